/* Key and password files, read beside a loop: real files, real threads, and an open(2) that hangs. */
#include <check.h>
#include <dlfcn.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/background.h"
#include "daemon/io/ssh/ssh_secret.h"
#include "tests/temp.h"

static struct event_base *base;
static struct ssh_secrets *secrets;

/* The file system of all that is called so: how many threads it holds, and how many may go. */
#define HUNG "/hung"
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static int held, let_go;

static void hang(void)
{
	pthread_mutex_lock(&lock);
	held++;
	pthread_cond_broadcast(&moved);
	while (let_go == 0)
		pthread_cond_wait(&moved, &lock);
	let_go--;
	held--;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&lock);
}

/* Until it holds so many. */
static void await_held(int n)
{
	pthread_mutex_lock(&lock);
	while (held != n)
		pthread_cond_wait(&moved, &lock);
	pthread_mutex_unlock(&lock);
}

static void release(int n)
{
	pthread_mutex_lock(&lock);
	let_go += n;
	pthread_cond_broadcast(&moved);
	pthread_mutex_unlock(&lock);
}

int open(const char *path, int flags, ...)
{
	static int (*next)(const char *, int, ...);
	va_list args;
	mode_t mode;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "open");
	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	if (strstr(path, HUNG) && !(flags & O_CREAT))
		hang();
	return next(path, flags, mode);
}

static void setup(void)
{
	temp_make();
	base = event_base_new();
	secrets = ssh_secrets_new(base);
}

static void teardown(void)
{
	ssh_secrets_free(secrets);
	event_base_free(base);
	temp_remove();
}

/* What came of one. */
struct answer {
	struct ssh_secret *secret; /* NULL: it has come */
	char text[64];
	struct err err;
};

static void on_secret(void *arg, char *text, const struct err *err)
{
	struct answer *answer = arg;

	ck_assert_ptr_nonnull(answer->secret);
	answer->secret = NULL;
	if (text)
		strcpy(answer->text, text);
	else
		answer->err = *err;
	secret_free(text);
}

static char *make(const char *name, const char *text, mode_t mode)
{
	char *path = temp_path(name), *slash = strrchr(path, '/');

	*slash = '\0';
	mkdir(path, 0755);
	*slash = '/';
	write_text(path, text);
	ck_assert_int_eq(chmod(path, mode), 0);
	return path;
}

static void ask(struct answer *answer, const char *path, enum secret_kind kind)
{
	*answer = (struct answer){0};
	answer->secret = ssh_secret_read(secrets, path, kind, on_secret, answer);
	ck_assert_ptr_nonnull(answer->secret);
}

static void await(const struct answer *answer)
{
	while (answer->secret)
		event_base_loop(base, EVLOOP_ONCE);
}

START_TEST(a_file_is_read_as_ever)
{
	char *key = make("a/key", "a key\n", 0600), *password = make("a/password", "secret\n", 0600);
	char *open_to_all = make("a/open", "secret\n", 0644), *missing = temp_path("a/missing");
	struct answer answers[4];

	ask(&answers[0], key, SECRET_KEY);
	ask(&answers[1], password, SECRET_PASSWORD);
	ask(&answers[2], open_to_all, SECRET_PASSWORD);
	ask(&answers[3], missing, SECRET_KEY);
	for (size_t i = 0; i < 4; i++)
		await(&answers[i]);
	ck_assert_str_eq(answers[0].text, "a key\n");
	ck_assert_str_eq(answers[1].text, "secret");
	ck_assert_ptr_nonnull(strstr(answers[2].err.message, "everybody may read it"));
	ck_assert_ptr_nonnull(strstr(answers[3].err.message, "No such file"));
	ck_assert_int_eq(answers[3].err.kind, ERR_PERMANENT);
	free(key);
	free(password);
	free(open_to_all);
	free(missing);
}
END_TEST

START_TEST(one_that_hangs_is_in_the_way_of_its_directory_only)
{
	char *one = make("hung/one", "1", 0600), *two = make("hung/two", "2", 0600);
	char *well = make("well/key", "3", 0600);
	struct answer first, second, third, fourth;

	ask(&first, one, SECRET_KEY);
	await_held(1);
	ask(&second, two, SECRET_KEY);
	ask(&third, one, SECRET_KEY);
	ask(&fourth, well, SECRET_KEY);
	await(&fourth);
	ck_assert_str_eq(fourth.text, "3");
	ck_assert(first.secret && second.secret && third.secret);
	/* Whoever has waited for too long: the one that is read, and the one that is not yet. */
	ssh_secret_cancel(first.secret);
	ssh_secret_cancel(third.secret);
	ssh_secret_cancel(NULL);
	ask(&fourth, one, SECRET_KEY);
	event_base_loop(base, EVLOOP_NONBLOCK);
	await_held(1);
	release(3);
	await(&second);
	await(&fourth);
	ck_assert_str_eq(second.text, "2");
	ck_assert_str_eq(fourth.text, "1");
	ck_assert(first.secret && third.secret);
	free(one);
	free(two);
	free(well);
}
END_TEST

START_TEST(there_are_so_many_threads_and_no_more)
{
	struct answer hung[SSH_SECRET_THREADS], next;
	char *well = make("well/key", "text", 0600);

	for (int i = 0; i < SSH_SECRET_THREADS; i++) {
		char *name = xasprintf("hung%d/key", i), *path = make(name, "late", 0600);

		ask(&hung[i], path, SECRET_KEY);
		free(path);
		free(name);
	}
	await_held(SSH_SECRET_THREADS);
	ask(&next, well, SECRET_KEY);
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_ptr_nonnull(next.secret);
	release(1);
	await(&next);
	ck_assert_str_eq(next.text, "text");
	release(SSH_SECRET_THREADS - 1);
	for (int i = 0; i < SSH_SECRET_THREADS; i++) {
		await(&hung[i]);
		ck_assert_str_eq(hung[i].text, "late");
	}
	free(well);
}
END_TEST

/* Asks for a key in a directory of its own on the file system that hangs. */
static void ask_hung(struct answer *answer, unsigned i)
{
	char *name = xasprintf("hung%u/key", i), *path = make(name, "late", 0600);

	ask(answer, path, SECRET_KEY);
	free(path);
	free(name);
}

/* As many, given up: each round takes all places. */
static void give_up(unsigned rounds)
{
	struct answer hung[SSH_SECRET_THREADS];

	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < SSH_SECRET_THREADS; i++)
			ask_hung(&hung[i], round * SSH_SECRET_THREADS + i);
		await_held((round + 1) * SSH_SECRET_THREADS);
		for (unsigned i = 0; i < SSH_SECRET_THREADS; i++)
			ssh_secret_cancel(hung[i].secret);
	}
}

START_TEST(those_that_hang_and_were_given_up_take_nobodys_place)
{
	char *well = make("well/key", "text", 0600);
	struct answer next;

	give_up(_i);
	ask(&next, well, SECRET_KEY);
	await(&next);
	ck_assert_str_eq(next.text, "text");
	release(_i * SSH_SECRET_THREADS);
	await_held(0);
	free(well);
}
END_TEST

START_TEST(who_waits_for_a_place_takes_the_one_that_is_given_up)
{
	char *well = make("well/key", "text", 0600);
	struct answer hung[SSH_SECRET_THREADS], next;

	for (unsigned i = 0; i < SSH_SECRET_THREADS; i++)
		ask_hung(&hung[i], i);
	await_held(SSH_SECRET_THREADS);
	ask(&next, well, SECRET_KEY);
	ssh_secret_cancel(hung[0].secret);
	await(&next);
	ck_assert_str_eq(next.text, "text");
	for (unsigned i = 1; i < SSH_SECRET_THREADS; i++)
		ssh_secret_cancel(hung[i].secret);
	release(SSH_SECRET_THREADS);
	await_held(0);
	free(well);
}
END_TEST

/* Their threads and descriptors are not without limit. */
START_TEST(when_too_many_hang_the_next_are_told_so)
{
	char *well = make("well/key", "text", 0600);
	struct answer next[3];

	give_up(SSH_SECRET_HUNG / SSH_SECRET_THREADS);
	for (int i = 0; i < 3; i++)
		ask(&next[i], well, SECRET_KEY);
	ssh_secret_cancel(next[1].secret);
	await(&next[0]);
	await(&next[2]);
	ck_assert_int_eq(next[0].err.kind, ERR_TRANSIENT);
	ck_assert_ptr_nonnull(strstr(next[2].err.message, "64 other key and password files hang"));
	ck_assert_ptr_nonnull(strstr(next[2].err.message, well));
	ck_assert_ptr_nonnull(next[1].secret);
	/* As soon as one is not hung any more: */
	release(1);
	await_held(SSH_SECRET_HUNG - 1);
	do {
		ask(&next[0], well, SECRET_KEY);
		await(&next[0]);
	} while (!*next[0].text);
	ck_assert_str_eq(next[0].text, "text");
	release(SSH_SECRET_HUNG - 1);
	await_held(0);
	free(well);
}
END_TEST

static void cancel_itself(void *arg, char *text, const struct err *err)
{
	struct answer *answer = arg;

	(void)err;
	ssh_secret_cancel(answer->secret);
	answer->secret = NULL;
	strcpy(answer->text, text);
	secret_free(text);
}

/* As an attempt does that ends because of what it is told. */
START_TEST(one_may_be_cancelled_when_it_is_told)
{
	char *well = make("well/key", "text", 0600);
	struct answer answer = {0}, next;

	answer.secret = ssh_secret_read(secrets, well, SECRET_KEY, cancel_itself, &answer);
	await(&answer);
	ck_assert_str_eq(answer.text, "text");
	ask(&next, well, SECRET_KEY);
	await(&next);
	ck_assert_str_eq(next.text, "text");
	free(well);
}
END_TEST

START_TEST(what_hangs_at_the_end_is_left)
{
	char *one = make("hung/one", "1", 0600);
	struct answer first;

	ask(&first, one, SECRET_KEY);
	await_held(1);
	ssh_secret_cancel(first.secret);
	ck_assert(!background_is_left());
	ssh_secrets_free(secrets);
	secrets = NULL;
	ck_assert(background_is_left());
	/* It goes on with what it was given. */
	release(1);
	await_held(0);
	free(one);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ssh_secret");
	TCase *tcase = tcase_create("ssh_secret");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	/* First: in one process (CK_FORK=no) the others may leave threads behind. */
	tcase_add_test(tcase, what_hangs_at_the_end_is_left);
	tcase_add_test(tcase, a_file_is_read_as_ever);
	tcase_add_test(tcase, one_that_hangs_is_in_the_way_of_its_directory_only);
	tcase_add_test(tcase, there_are_so_many_threads_and_no_more);
	tcase_add_loop_test(tcase, those_that_hang_and_were_given_up_take_nobodys_place, 1,
			    SSH_SECRET_HUNG / SSH_SECRET_THREADS);
	tcase_add_test(tcase, who_waits_for_a_place_takes_the_one_that_is_given_up);
	tcase_add_test(tcase, when_too_many_hang_the_next_are_told_so);
	tcase_add_test(tcase, one_may_be_cancelled_when_it_is_told);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
