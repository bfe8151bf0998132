/* How much may be told of each host and spec. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/event_limits.h"
#include "tests/suite.h"

#define MINUTE_MS 60000

static struct event_limits *limits;
static char *told; /* "spec@host:n ", as they were swept */

static void setup(void)
{
	limits = event_limits_new();
	told = xstrdup("");
}

static void teardown(void)
{
	event_limits_free(limits);
	FREE(told);
}

/* How many of n pass. */
static unsigned pass(const char *spec, const char *host, unsigned n, int64_t now_ms)
{
	unsigned passed = 0;

	for (unsigned i = 0; i < n; i++)
		passed += event_limits_pass(limits, spec, host, now_ms);
	return passed;
}

static void note(void *arg, const char *spec, const char *host, uint64_t n)
{
	char *longer = xasprintf("%s%s@%s:%u ", told, spec ? spec : "-", host ? host : "-", (unsigned)n);

	(void)arg;
	free(told);
	told = longer;
}

START_TEST(a_burst_passes_and_then_so_many_a_minute)
{
	ck_assert_uint_eq(pass("prod", "h1", EVENT_BURST + 500, 0), EVENT_BURST);
	ck_assert_uint_eq(pass("prod", "h1", 500, MINUTE_MS), EVENT_RATE_PER_MIN);
	ck_assert_uint_eq(pass("prod", "h1", 500, MINUTE_MS + 500), 1);
	/* Never more than a burst, however long it was quiet. */
	ck_assert_uint_eq(pass("prod", "h1", EVENT_BURST + 500, INT64_MAX / 2), EVENT_BURST);
}
END_TEST

START_TEST(one_takes_nothing_from_another)
{
	pass(NULL, "h1", EVENT_BURST + 1, 0);
	ck_assert_uint_eq(pass(NULL, "h2", 1, 0), 1);
	ck_assert_uint_eq(pass("prod", "h1", 1, 0), 1);
	ck_assert_uint_eq(pass("prod", NULL, 1, 0), 1);
	ck_assert_uint_eq(pass(NULL, NULL, 1, 0), 1);
	ck_assert_uint_eq(pass(NULL, "h1", 1, 0), 0);
}
END_TEST

START_TEST(a_slow_trickle_is_never_cut)
{
	pass("prod", "h1", EVENT_BURST, 0);
	for (int i = 1; i <= 1000; i++)
		ck_assert_uint_eq(pass("prod", "h1", 1, i * (MINUTE_MS / EVENT_RATE_PER_MIN)), 1);
	/* Looks in between do not lose fractions. */
	for (int64_t ms = 500001; ms <= 500499; ms++)
		ck_assert_uint_eq(pass("prod", "h1", 1, ms), 0);
	ck_assert_uint_eq(pass("prod", "h1", 1, 500500), 1);
}
END_TEST

START_TEST(what_was_left_out_is_counted_and_told_once)
{
	pass(NULL, "h1", EVENT_BURST + 34000, 0);
	pass("prod", "h2", EVENT_BURST + 7, 0);
	pass("prod", "h3", EVENT_BURST, 0);
	event_limits_sweep(limits, 1000, note, NULL);
	ck_assert_str_eq(told, "-@h1:34000 prod@h2:7 ");
	event_limits_sweep(limits, 2000, note, NULL);
	ck_assert_str_eq(told, "-@h1:34000 prod@h2:7 ");
}
END_TEST

START_TEST(who_is_quiet_is_forgotten)
{
	pass("prod", "h1", 1, 0);
	pass("prod", "h2", EVENT_BURST, 0);
	ck_assert_uint_eq(event_limits_count(limits), 2);
	event_limits_sweep(limits, MINUTE_MS, note, NULL);
	ck_assert_uint_eq(event_limits_count(limits), 1);
	/* The other is still short of a burst. */
	ck_assert_uint_eq(pass("prod", "h2", EVENT_BURST, MINUTE_MS), EVENT_RATE_PER_MIN);
	event_limits_sweep(limits, 100 * MINUTE_MS, note, NULL);
	ck_assert_uint_eq(event_limits_count(limits), 0);
}
END_TEST

START_TEST(a_clock_that_goes_back_gives_nothing)
{
	pass("prod", "h1", EVENT_BURST, MINUTE_MS);
	ck_assert_uint_eq(pass("prod", "h1", 5, 0), 0);
	event_limits_free(NULL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_burst_passes_and_then_so_many_a_minute,
		one_takes_nothing_from_another,
		a_slow_trickle_is_never_cut,
		what_was_left_out_is_counted_and_told_once,
		who_is_quiet_is_forgotten,
		a_clock_that_goes_back_gives_nothing,
	};
	Suite *suite = suite_create("event_limits");
	TCase *cases = tcase_create("limits");

	tcase_add_checked_fixture(cases, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(cases, tests[i]);
	suite_add_tcase(suite, cases);
	return suite_run(suite);
}
