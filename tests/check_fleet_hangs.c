/*
 * The spec directory, or a file that it leads to, lies on a mount that hangs: a thread of the daemon does,
 * and nothing else (fleet_lab.h; fleet_directory.c).
 */
#include <check.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/fleet/fleet_internal.h"
#include "tests/file_calls.h"
#include "tests/fleet_lab.h"
#include "tests/some_ca.h"
#include "tests/suite.h"
#include "tests/temp.h"
#include "tests/turned_clock.h"

#define HOSTS 3

/* What lies on the mount that hangs: the spec directory, and a directory elsewhere with what a spec names. */
static char *elsewhere, *ca_line;
/* What would hang while the thread does: all that is done then is done on the loop, or by the test. */
static bool by_test;
/* The net itself is tried: what was caught. */
static bool net_is_tried;
static const char *caught;

static bool is_on_mount(const char *path)
{
	const char *const roots[] = {lab.settings.spec_dir, elsewhere};

	for (int i = 0; i < N(roots); i++)
		if (roots[i] && strncmp(path, roots[i], strlen(roots[i])) == 0)
			return true;
	return false;
}

void file_call(const char *call, int at, const char *path)
{
	char link[32], dir[PATH_MAX], whole[2 * PATH_MAX];
	ssize_t len = 0;

	if (!turned_clock_is_thread_hung() || by_test)
		return;
	if (at != AT_FDCWD && *path != '/') {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
		len = syscall(SYS_readlink, link, dir, sizeof(dir) - 1);
	}
	dir[len > 0 ? len : 0] = '\0';
	snprintf(whole, sizeof(whole), "%s%s%s", dir, *dir ? "/" : "", path);
	if (!is_on_mount(whole))
		return;
	if (!net_is_tried)
		ck_abort_msg("the loop hangs in %s(\"%s\")", call, whole);
	caught = call;
}

static void write_prod(size_t hosts, const char *more)
{
	char *lines = xasprintf("%s%s", ca_line, more);

	lab_write_prod(hosts, LAB_OLD, lines);
	free(lines);
}

static void setup(void)
{
	char *ca;

	lab_open(HOSTS);
	elsewhere = temp_path("elsewhere");
	ck_assert_int_eq(mkdir(elsewhere, 0755), 0);
	ca = temp_path("elsewhere/ca.crt");
	write_text(ca, some_ca);
	ca_line = xasprintf("healthCheck: {caFile: %s}\n", ca);
	free(ca);
	write_prod(HOSTS, "");
	lab_start();
	lab_converge();
}

static void teardown(void)
{
	if (turned_clock_is_thread_hung())
		turned_clock_thread_goes_on();
	lab_close();
	FREE(elsewhere);
	FREE(ca_line);
}

static void edit(size_t hosts)
{
	lab.hasty = by_test = true;
	write_prod(hosts, "");
	lab.hasty = by_test = false;
}

/* Before a look the directory is asked what has changed. */
enum { IN_QUESTION, IN_LOOK, MOMENTS };

static void hang(unsigned moment)
{
	turned_clock_threads_before = moment;
	turned_clock_thread_hangs = true;
}

/* The net. */

#define TRY(name, arguments, end)                                  \
	static void try_##name(const char *path, const char *base) \
	{                                                          \
		__auto_type got = name arguments;                  \
                                                                   \
		(void)base;                                        \
		(void)path;                                        \
		(void)got;                                         \
		end;                                               \
	}

static int dir_fd, mount_id;
static struct stat st;
static struct statx stx;
static char target[PATH_MAX];
static union {
	struct file_handle head;
	char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
} handle = {.head.handle_bytes = MAX_HANDLE_SZ};

TRY(stat, (path, &st), )
TRY(lstat, (path, &st), )
TRY(fstatat, (dir_fd, base, &st, 0), )
TRY(statx, (dir_fd, base, 0, STATX_BTIME, &stx), )
TRY(access, (path, F_OK), )
TRY(faccessat, (dir_fd, base, F_OK, 0), )
TRY(readlink, (path, target, sizeof(target)), )
TRY(readlinkat, (dir_fd, base, target, sizeof(target)), )
TRY(realpath, (path, NULL), free(got))
TRY(opendir, (path), if (got) closedir(got))
TRY(fopen, (path, "r"), if (got) fclose(got))
TRY(open, (path, O_RDONLY), if (got >= 0) close(got))
TRY(openat, (dir_fd, base, O_RDONLY), if (got >= 0) close(got))
TRY(inotify_add_watch, (-1, path, IN_CREATE), )
TRY(name_to_handle_at, (dir_fd, base, &handle.head, &mount_id, 0), )
TRY(unlink, (path), )
TRY(mkdir, (path, 0700), )

static void try_connect(const char *path, const char *base)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};

	(void)base;
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	ck_assert_int_lt(connect(-1, (struct sockaddr *)&to, sizeof(to)), 0);
}

#define ROW(name)                 \
	{                         \
#name, try_##name \
	}
static const struct {
	const char *name;
	void (*call)(const char *path, const char *base);
} calls[] = {ROW(stat),
	     ROW(lstat),
	     ROW(fstatat),
	     ROW(statx),
	     ROW(access),
	     ROW(faccessat),
	     ROW(readlink),
	     ROW(readlinkat),
	     ROW(realpath),
	     ROW(opendir),
	     ROW(fopen),
	     ROW(open),
	     ROW(openat),
	     ROW(unlink),
	     ROW(mkdir),
	     ROW(connect),
	     ROW(inotify_add_watch),
	     ROW(name_to_handle_at)};

static void try_net(const char *dir, const char *base)
{
	char *path = xasprintf("%s/%s", dir, base);

	dir_fd = (int)syscall(SYS_open, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < N(calls); i++) {
		caught = NULL;
		calls[i].call(path, base);
		ck_assert_msg(caught && strcmp(caught, calls[i].name) == 0, "%s(\"%s\") is not caught",
			      calls[i].name, path);
	}
	close(dir_fd);
	free(path);
}

/* Else the tests here would prove nothing of a call that the loop makes some day. */
START_TEST(whatever_the_loop_asks_of_the_mount_is_caught)
{
	hang(IN_QUESTION);
	lab_pass(100000);
	ck_assert(turned_clock_is_thread_hung());
	net_is_tried = true;
	try_net(lab.settings.spec_dir, "prod.yaml");
	try_net(elsewhere, "ca.crt");
	net_is_tried = false;
}
END_TEST

/* What GET answers, and that it does at once. */
static void expect_answer(const char *path, int status, const char *words)
{
	int64_t before = turned_clock_ms();
	char *body;

	ck_assert_int_eq(lab_get(path, &body), status);
	ck_assert_msg(strstr(body, words) != NULL, "%s: no \"%s\" in %s", path, words, body);
	ck_assert_int_le(turned_clock_ms() - before, 100);
	free(body);
}

static void expect_hung(void)
{
	ck_assert(turned_clock_is_thread_hung());
	expect_answer("/healthz", 503, "could not be read for");
	expect_answer("/v1/status", 200, "could not be read for");
	expect_answer("/metrics", 200, "apilb_");
	expect_answer("/v1/state", 200, "");
}

/* At a start, or later. */
START_TEST(a_directory_that_hangs_removes_nothing_and_is_told)
{
	hang(_i % MOMENTS);
	if (_i / MOMENTS) {
		/* The socket, beside the directory, is new: it asks again. */
		turned_clock_threads_before *= 2;
		lab_stop();
		lab_start();
	} else {
		lab_pass(100000);
	}
	expect_hung();
	ck_assert_msg(lab_events("spec-dir", "for 5 s") == 1, "%s", lab_told());
	/* Repairs go on, also after regular looks that were due meanwhile, and orders. */
	fake_remove(lab_machine(2), lab_container(2, "lb"));
	lab_pass(100000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	fake_remove(lab_machine(3), lab_container(3, "lb"));
	ck_assert_int_eq(lab_post("/v1/reconcile?spec=prod", NULL), 202);
	LAB_UNTIL(lab_count(LAB_OLD) == HOSTS);
	ck_assert_int_eq(lab_get("/v1/plan", NULL), 200);
	fleet_load(lab.fleet); /* SIGHUP */
	expect_hung();
	/* An edit made meanwhile is taken when it answers again. */
	edit(1);
	lab_pass(100000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	turned_clock_thread_goes_on();
	LAB_UNTIL(lab_count(LAB_OLD) == 1);
	ck_assert_int_eq(lab_get("/healthz", NULL), 200);
	ck_assert_uint_eq(lab_events("spec-dir", "can be read again"), 1);
}
END_TEST

/* As a network mount with many files, each of which takes its time. */
START_TEST(a_slow_answer_is_waited_for_while_it_gets_on)
{
	struct lab_client *client;

	hang(IN_QUESTION);
	client = lab_ask("GET", "/v1/status");
	for (int i = 0; i < 6; i++) {
		lab_pass(4100);
		ck_assert(turned_clock_is_thread_hung());
		/* As the thread does, for another file. */
		atomic_fetch_add(&lab.fleet->view->answered_n, 1);
	}
	ck_assert(!lab_is_answered(client));
	turned_clock_thread_goes_on();
	lab_pass(1000);
	ck_assert(lab_is_answered(client));
	ck_assert_uint_eq(lab_events("spec-dir", ""), 0);
	lab_hang_up(client);
}
END_TEST

/* The directory answers, and the CA behind it hangs: apilbctl waits for 10 s. */
START_TEST(a_directory_that_hangs_after_some_files_is_told_as_soon)
{
	struct lab_client *client;

	hang(IN_QUESTION);
	client = lab_ask("GET", "/v1/status");
	lab_pass(100);
	ck_assert(turned_clock_is_thread_hung());
	/* As the thread does, for files that answer. */
	atomic_fetch_add(&lab.fleet->view->answered_n, 3);
	lab_pass(4900);
	ck_assert(!lab_is_answered(client));
	lab_pass(1000);
	ck_assert(lab_is_answered(client));
	ck_assert_ptr_nonnull(strstr(lab_heard(client), "could not be read for"));
	lab_hang_up(client);
	expect_hung();
}
END_TEST

/* Who asks when it is not known yet is answered after some seconds, and so is who comes meanwhile. */
START_TEST(who_asks_a_directory_that_hangs_is_answered)
{
	struct lab_client *first, *second;

	hang(IN_QUESTION);
	first = lab_ask("GET", "/v1/status");
	lab_pass(3000);
	second = lab_ask("POST", "/v1/reconcile");
	lab_pass(1000);
	ck_assert(turned_clock_is_thread_hung());
	ck_assert(!lab_is_answered(first) && !lab_is_answered(second));
	lab_pass(1100);
	ck_assert(lab_is_answered(first) && lab_is_answered(second));
	ck_assert_ptr_nonnull(strstr(lab_heard(first), "could not be read for 5 s"));
	lab_hang_up(first);
	lab_hang_up(second);
	expect_hung();
	/* Nothing has changed: that is found out, too. */
	turned_clock_thread_goes_on();
	lab_pass(1000);
	ck_assert_int_eq(lab_get("/healthz", NULL), 200);
	expect_answer("/v1/status", 200, "\"troubles\":[]");
}
END_TEST

/* What it took long to answer counts for who waited for it. */
START_TEST(who_waits_for_a_slow_directory_is_answered_by_it)
{
	struct lab_client *client;

	hang(IN_QUESTION);
	client = lab_ask("GET", "/v1/status");
	lab_pass(4000);
	edit(HOSTS - 1);
	turned_clock_thread_goes_on();
	lab_pass(1000);
	ck_assert(lab_is_answered(client));
	ck_assert_ptr_nonnull(strstr(lab_heard(client), "removing"));
	ck_assert_uint_eq(lab_events("spec-dir", ""), 0);
	lab_hang_up(client);
}
END_TEST

/* What changed first had settled long ago; what is being written when the directory answers has not. */
START_TEST(what_is_written_when_a_directory_answers_is_not_read_half)
{
	hang(IN_QUESTION);
	lab_pass(100000);
	expect_hung();
	lab.hasty = by_test = true;
	write_prod(HOSTS, "# edited\n");
	lab_pass(60000);
	/* Half of it is a valid, shorter spec. */
	write_prod(1, "");
	lab_pass(10);
	turned_clock_thread_goes_on();
	lab_pass(50);
	write_prod(HOSTS, "# edited again\n");
	lab_pass(100000);
	lab.hasty = by_test = false;
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	ck_assert_uint_eq(lab_events("remove", ""), 0);
	ck_assert_int_eq(lab_get("/healthz", NULL), 200);
}
END_TEST

/* SIGTERM: the thread goes on with what it was given, whenever that is. */
START_TEST(a_daemon_ends_while_its_directory_hangs)
{
	hang(_i);
	lab_pass(100000);
	expect_hung();
	lab_stop();
	turned_clock_thread_goes_on();
	lab_start();
	lab_converge();
	ck_assert_int_eq(lab_get("/healthz", NULL), 200);
}
END_TEST

/* A look that gets on is waited for, for half a minute. Those that are dropped are one wait. */
START_TEST(a_directory_that_is_slow_and_busy_is_waited_for_once)
{
	hang(IN_LOOK);
	fleet_load(lab.fleet);
	lab_pass(4000);
	for (int i = 0; i < 6; i++) {
		ck_assert(turned_clock_is_thread_hung());
		ck_assert_uint_eq(lab_events("spec-dir", ""), 0);
		/* As the thread does, which has read another file. */
		atomic_fetch_add(&lab.fleet->view->answered_n, 1);
		if (i == 2) {
			fleet_load(lab.fleet);
			hang(IN_LOOK);
			turned_clock_thread_goes_on();
		}
		lab_pass(4100);
	}
	ck_assert_uint_eq(lab_events("spec-dir", ""), 0);
	atomic_fetch_add(&lab.fleet->view->answered_n, 1);
	lab_pass(2000);
	ck_assert_uint_eq(lab_events("spec-dir", "could not be read for 30 s"), 1);
	expect_hung();
	/* Nor does anybody wait for the next of them. */
	fleet_load(lab.fleet);
	hang(IN_LOOK);
	turned_clock_thread_goes_on();
	lab_pass(1000);
	expect_hung();
	turned_clock_thread_goes_on();
	lab_pass(1000);
	ck_assert_int_eq(lab_get("/healthz", NULL), 200);
}
END_TEST

/* Nothing of it has changed: but until it was read nothing could be removed. */
START_TEST(what_is_to_go_goes_after_a_start_with_a_directory_that_hangs)
{
	fake_ssh_answer("h3", ANSWERS_REFUSING);
	fake_ssh_lose("h3", false);
	lab_remove("prod");
	LAB_UNTIL(lab_count(LAB_OLD) == 1);
	lab_stop();
	fake_ssh_answer("h3", ANSWERS_WELL);
	hang(_i);
	lab_start();
	lab_pass(10000);
	ck_assert_uint_eq(lab_count(LAB_OLD), 1);
	turned_clock_thread_goes_on();
	LAB_UNTIL(lab_count(LAB_OLD) == 0);
}
END_TEST

static struct fleet_waiter early, late;
static bool late_told;

static void on_late(void *arg, bool loaded)
{
	(void)arg;
	late_told = loaded;
}

static void on_early(void *arg, bool loaded)
{
	(void)arg;
	ck_assert(loaded);
	hang(IN_QUESTION);
	fleet_load(lab.fleet);
}

/* As SIGHUP during a start does it. */
START_TEST(who_asks_for_a_look_when_told_of_one_ends_nobody_elses_wait)
{
	early = (struct fleet_waiter){.loaded = on_early};
	late = (struct fleet_waiter){.loaded = on_late};
	late_told = false;
	lab.hasty = true;
	write_prod(HOSTS, "# edited\n");
	ck_assert(fleet_wait(lab.fleet, &early));
	hang(IN_LOOK);
	lab_pass(1000);
	ck_assert(fleet_wait(lab.fleet, &late));
	turned_clock_thread_goes_on();
	lab_pass(1000);
	ck_assert(turned_clock_is_thread_hung());
	ck_assert(!late_told);
	turned_clock_thread_goes_on();
	lab_pass(1000);
	ck_assert(late_told);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fleet_hangs");
	TCase *tcase = tcase_create("fleet_hangs");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, whatever_the_loop_asks_of_the_mount_is_caught);
	tcase_add_loop_test(tcase, a_directory_that_hangs_removes_nothing_and_is_told, 0, 2 * MOMENTS);
	tcase_add_test(tcase, who_asks_a_directory_that_hangs_is_answered);
	tcase_add_test(tcase, a_slow_answer_is_waited_for_while_it_gets_on);
	tcase_add_test(tcase, a_directory_that_hangs_after_some_files_is_told_as_soon);
	tcase_add_test(tcase, who_waits_for_a_slow_directory_is_answered_by_it);
	tcase_add_test(tcase, what_is_written_when_a_directory_answers_is_not_read_half);
	tcase_add_loop_test(tcase, a_daemon_ends_while_its_directory_hangs, 0, MOMENTS);
	tcase_add_test(tcase, a_directory_that_is_slow_and_busy_is_waited_for_once);
	tcase_add_loop_test(tcase, what_is_to_go_goes_after_a_start_with_a_directory_that_hangs, 0, MOMENTS);
	tcase_add_test(tcase, who_asks_for_a_look_when_told_of_one_ends_nobody_elses_wait);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
