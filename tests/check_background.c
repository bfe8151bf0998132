/* Work beside the loop: it leaves the loop alone, and ends once. */
#include <check.h>
#include <event2/event.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "daemon/io/background.h"
#include "tests/suite.h"

static struct event_base *base;
static int dones;
static bool was_beside;

/* What the work is given: a pipe that it reads from, so that it takes as long as the test likes. */
struct material {
	int from[2];
	pthread_t by;
	atomic_char read;
	atomic_bool told_to_stop;
};

static struct material material;

static void setup(void)
{
	base = event_base_new();
	dones = 0;
	material = (struct material){0};
	ck_assert_int_eq(pipe(material.from), 0);
}

static void teardown(void)
{
	close(material.from[0]);
	close(material.from[1]);
	event_base_free(base);
}

static void work(void *arg, const atomic_bool *stop)
{
	struct material *given = arg;

	char c;

	(void)stop;
	given->by = pthread_self();
	ck_assert_int_eq(read(given->from[0], &c, 1), 1);
	given->read = c;
}

static void done(void *arg)
{
	ck_assert_ptr_eq(arg, &dones);
	dones++;
	was_beside = !pthread_equal(material.by, pthread_self());
}

START_TEST(the_loop_goes_on_meanwhile)
{
	background_start(base, work, &material, done, &dones);
	for (int i = 0; i < 100; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_int_eq(dones, 0);
	ck_assert_int_eq(write(material.from[1], "x", 1), 1);
	event_base_dispatch(base); /* ends when nothing is awaited any more */
	ck_assert_int_eq(dones, 1);
	ck_assert(was_beside);
	ck_assert_int_eq(material.read, 'x');
}
END_TEST

static void wait_for_stop(void *arg, const atomic_bool *stop)
{
	struct material *given = arg;

	while (!atomic_load(stop))
		continue;
	given->told_to_stop = true;
}

START_TEST(what_is_cancelled_has_ended_and_is_not_told)
{
	ck_assert(background_cancel(background_start(base, wait_for_stop, &material, done, &dones)));
	ck_assert(material.told_to_stop);
	event_base_dispatch(base);
	ck_assert_int_eq(dones, 0);
	ck_assert(background_cancel(NULL));
}
END_TEST

/* It has ended, and the loop has not come to know it yet. */
START_TEST(what_has_ended_can_be_cancelled)
{
	struct background *background = background_start(base, work, &material, done, &dones);

	ck_assert_int_eq(write(material.from[1], "x", 1), 1);
	while (!material.read)
		sched_yield();
	ck_assert(background_cancel(background));
	event_base_dispatch(base);
	ck_assert_int_eq(dones, 0);
}
END_TEST

/* Its file system hangs: whoever ends does not hang with it. */
START_TEST(what_never_returns_is_left)
{
	ck_assert(!background_is_left());
	ck_assert(!background_cancel(background_start(base, work, &material, done, &dones)));
	ck_assert(background_is_left());
	event_base_dispatch(base);
	ck_assert_int_eq(dones, 0);
	/* What it was given is its own until then. */
	ck_assert_int_eq(write(material.from[1], "x", 1), 1);
	while (!material.read)
		sched_yield();
}
END_TEST

static const int resources[] = {RLIMIT_NOFILE, RLIMIT_NPROC};

/* Then the loop waits, but nothing is left undone; nor is done called from within start. */
START_TEST(without_descriptors_or_threads_it_is_done_at_once)
{
	struct rlimit before, none = {0};

	/* Root may make as many threads as it likes. */
	if (resources[_i] == RLIMIT_NPROC && geteuid() == 0)
		ck_assert_int_eq(setuid(65534), 0);
	getrlimit(resources[_i], &before);
	none.rlim_max = before.rlim_max;
	setrlimit(resources[_i], &none);
	ck_assert_int_eq(write(material.from[1], "x", 1), 1);
	background_start(base, work, &material, done, &dones);
	ck_assert_int_eq(material.read, 'x');
	ck_assert_int_eq(dones, 0);
	event_base_dispatch(base);
	setrlimit(resources[_i], &before);
	ck_assert_int_eq(dones, 1);
	ck_assert(!was_beside);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("background");
	TCase *tcase = tcase_create("background");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_loop_goes_on_meanwhile);
	tcase_add_test(tcase, what_is_cancelled_has_ended_and_is_not_told);
	tcase_add_test(tcase, what_has_ended_can_be_cancelled);
	tcase_add_test(tcase, what_never_returns_is_left);
	tcase_add_loop_test(tcase, without_descriptors_or_threads_it_is_done_at_once, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
