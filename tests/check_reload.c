/* The settings are read again, beside the loop: their file may hang, as on a mount whose server is gone. */
#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/settings/reload.h"
#include "daemon/settings/settings.h"
#include "tests/suite.h"
#include "tests/temp.h"
#include "tests/turned_clock.h"

static struct event_base *base;
static char *file, *argv[] = {"apilbd", "--config", NULL};
static struct settings settings;
static struct reload *reload;
static int taken, refused;
static char *said;

static void on_told(void *arg, const char *restart, const struct err *err)
{
	ck_assert_ptr_eq(arg, &settings);
	*(err ? &refused : &taken) += 1;
	free(said);
	said = err ? xstrdup(err->message) : restart ? xstrdup(restart) : NULL;
}

static void setup(void)
{
	struct err err;

	temp_make();
	file = argv[2] = temp_path("apilbd.yaml");
	write_text(file, "resync: 10s\n");
	ck_assert_int_eq(settings_parse(&settings, N(argv), argv, &err), 0);
	base = event_base_new();
	reload = reload_new(base, &settings, N(argv), argv, on_told, &settings);
	taken = refused = 0;
}

static void teardown(void)
{
	if (turned_clock_is_thread_hung())
		turned_clock_thread_goes_on();
	reload_free(reload);
	event_base_free(base);
	settings_clear(&settings);
	FREE(said);
	FREE(file);
	temp_remove();
}

static void pass(int64_t ms)
{
	struct timeval tv = clock_timeval(ms);

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

static void hang(void)
{
	turned_clock_thread_hangs = true;
	reload_begin(reload);
	ck_assert(turned_clock_is_thread_hung());
}

START_TEST(a_file_that_answers_is_taken_over)
{
	write_text(file, "resync: 20s\nowner: other\n");
	reload_begin(reload);
	ck_assert_int_eq(taken, 0); /* never from within the call */
	pass(1);
	ck_assert_int_eq(taken, 1);
	ck_assert_str_eq(said, "owner");
	ck_assert_int_eq(settings.resync_ms, 20000);
	write_text(file, "resync: soon\n");
	reload_begin(reload);
	pass(1);
	ck_assert_int_eq(refused, 1);
	ck_assert_ptr_nonnull(strstr(said, "apilbd.yaml:1:1: resync: "));
	ck_assert_int_eq(settings.resync_ms, 20000);
	pass(100000);
	ck_assert_int_eq(taken + refused, 2);
}
END_TEST

START_TEST(a_file_that_hangs_is_told_and_taken_over_when_it_answers)
{
	hang();
	pass(RELOAD_PATIENCE_MS - 100);
	ck_assert_int_eq(taken + refused, 0);
	pass(200);
	ck_assert_int_eq(refused, 1);
	ck_assert_ptr_nonnull(
		strstr(said, "apilbd.yaml could not be read for 5 s: does its file system hang?"));
	ck_assert_int_eq(settings.resync_ms, 10000);
	pass(100000);
	ck_assert_int_eq(refused, 1);
	write_text(file, "resync: 20s\n");
	turned_clock_thread_goes_on();
	pass(1);
	ck_assert_int_eq(taken, 1);
	ck_assert_int_eq(settings.resync_ms, 20000);
}
END_TEST

/* Each SIGHUP is answered, by one thread at most, and the last of them sees what was written before it. */
START_TEST(who_asks_while_the_file_hangs_is_told_so)
{
	hang();
	reload_begin(reload);
	pass(RELOAD_PATIENCE_MS + 100);
	ck_assert_int_eq(refused, 1);
	reload_begin(reload);
	ck_assert_int_eq(refused, 1);
	pass(1);
	ck_assert_int_eq(refused, 2);
	/* The thread has read what was there before. */
	turned_clock_thread_goes_on();
	write_text(file, "resync: 20s\n");
	pass(1);
	ck_assert_int_eq(taken, 1);
	ck_assert_int_eq(settings.resync_ms, 20000);
	pass(100000);
	ck_assert_int_eq(taken, 1);
	ck_assert_int_eq(refused, 2);
}
END_TEST

START_TEST(a_file_that_was_named_and_is_gone_is_refused)
{
	unlink(file);
	reload_begin(reload);
	pass(1);
	ck_assert_int_eq(refused, 1);
	ck_assert(!settings.config_missing);
	ck_assert_int_eq(settings.resync_ms, 10000);
}
END_TEST

/* SIGTERM: what the thread was given is its own, whenever it goes on. */
START_TEST(the_daemon_ends_while_the_file_hangs)
{
	hang();
	if (_i)
		pass(100000);
	reload_free(reload);
	reload = NULL;
	turned_clock_thread_goes_on();
	ck_assert_int_eq(taken, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reload");
	TCase *tcase = tcase_create("reload");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_file_that_answers_is_taken_over);
	tcase_add_test(tcase, a_file_that_hangs_is_told_and_taken_over_when_it_answers);
	tcase_add_test(tcase, who_asks_while_the_file_hangs_is_told_so);
	tcase_add_test(tcase, a_file_that_was_named_and_is_gone_is_refused);
	tcase_add_loop_test(tcase, the_daemon_ends_while_the_file_hangs, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
