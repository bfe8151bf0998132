/* A HAProxy that does not answer: since when, and when a successor is due. */
#include <check.h>
#include <stdlib.h>

#include "daemon/core/memory/silence.h"
#include "tests/suite.h"

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define AFTER MINUTE

/* The two clocks have nothing to do with each other. */
static struct silence_clock at(int64_t ms)
{
	return (struct silence_clock){.ms = ms, .unix_ms = 1767323045000 + ms};
}

enum what { ANSWERS, SILENT, TRIED };

/* One line a look, or a successor that is made: what is so after it. */
struct look {
	int64_t ms;
	enum what what;
	const char *run;
	bool early, due;
};
#define LOOKS 12

static const struct life {
	const char *name;
	struct look looks[LOOKS];
} lives[] = {
	{"short runs one after the other count as one silence",
	 {{0, SILENT, "a", true, false},
	  {2 * SECOND, SILENT, "a", true, false},
	  {4 * SECOND, SILENT, "a", false, false},
	  {30 * SECOND, SILENT, "a", false, false},
	  {59 * SECOND, SILENT, "a", false, false},
	  {60 * SECOND, SILENT, "a", false, true}}},
	{"who has answered before has not just started",
	 {{0, ANSWERS, "a", false, false}, {1 * SECOND, SILENT, "a", false, false}}},
	{"another run may have just started",
	 {{0, ANSWERS, "a", false, false},
	  {1 * SECOND, SILENT, "b", true, false},
	  {5 * SECOND, SILENT, "b", false, false}}},
	{"the same container, started again, begins anew",
	 {{0, SILENT, "a 1", true, false},
	  {59 * SECOND, SILENT, "a 2", true, false},
	  {70 * SECOND, SILENT, "a 2", false, false},
	  {119 * SECOND, SILENT, "a 2", false, true}}},
	{"a word ends it",
	 {{0, SILENT, "a", true, false},
	  {59 * SECOND, ANSWERS, "a", false, false},
	  {60 * SECOND, SILENT, "a", false, false},
	  {119 * SECOND, SILENT, "a", false, false},
	  {120 * SECOND, SILENT, "a", false, true}}},
	{"tries are ever more seldom",
	 {{0, SILENT, "a", true, false},
	  {1 * MINUTE, TRIED, "a", false, false},
	  {3 * MINUTE - 1, SILENT, "a", false, false},
	  {3 * MINUTE, SILENT, "a", false, true},
	  {3 * MINUTE, TRIED, "a", false, false},
	  {7 * MINUTE - 1, SILENT, "a", false, false},
	  {7 * MINUTE, TRIED, "a", false, false},
	  {15 * MINUTE - 1, SILENT, "a", false, false},
	  {15 * MINUTE, SILENT, "a", false, true}}},
	{"a successor that answers, and is soon silent, is no reason to make more of them",
	 {{0, SILENT, "a", true, false},
	  {1 * MINUTE, TRIED, "a", false, false},
	  {1 * MINUTE + 1, ANSWERS, "b", false, false},
	  {1 * MINUTE + 2, SILENT, "b", false, false},
	  {2 * MINUTE + 2, SILENT, "b", false, false},
	  {3 * MINUTE, SILENT, "b", false, true},
	  {3 * MINUTE, TRIED, "b", false, false},
	  {4 * MINUTE, ANSWERS, "c", false, false},
	  {5 * MINUTE, SILENT, "c", false, false},
	  {7 * MINUTE, SILENT, "c", false, true}}},
	{"what was long ago does not count",
	 {{0, SILENT, "a", true, false},
	  {1 * MINUTE, TRIED, "a", false, false},
	  {2 * MINUTE, ANSWERS, "b", false, false},
	  {62 * MINUTE, ANSWERS, "b", false, false},
	  {63 * MINUTE, SILENT, "b", false, false},
	  {64 * MINUTE, TRIED, "b", false, false},
	  {66 * MINUTE, SILENT, "b", false, true}}},
	{"at the first word all was long ago",
	 {{0, ANSWERS, "a", false, false}, {5, SILENT, "a", false, false}}},
};

static void happen(struct silence *silence, const struct look *look)
{
	if (look->what == ANSWERS)
		silence_broken(silence, look->run, look->ms);
	else if (look->what == SILENT)
		silence_met(silence, look->run, at(look->ms), AFTER);
	else
		silence_tried(silence, at(look->ms));
}

START_TEST(a_life)
{
	const struct life *life = &lives[_i];
	struct silence silence = {0};

	for (const struct look *look = life->looks; look->run; look++) {
		happen(&silence, look);
		ck_assert_msg(silence_is_early(&silence, look->ms) == look->early, "%s: early at %lld ms",
			      life->name, (long long)look->ms);
		ck_assert_msg(silence_is_due(&silence, look->ms) == look->due, "%s: due at %lld ms",
			      life->name, (long long)look->ms);
	}
	silence_clear(&silence);
}
END_TEST

START_TEST(tries_come_once_an_hour_at_last)
{
	struct silence silence = {0};

	silence_met(&silence, "a", at(0), AFTER);
	for (int i = 0; i < 100; i++)
		silence_tried(&silence, at(0));
	ck_assert(!silence_is_due(&silence, 60 * MINUTE - 1));
	ck_assert(silence_is_due(&silence, 60 * MINUTE));
	silence_clear(&silence);
}
END_TEST

/* Written down, and read again by another process, whose clocks say something else. */
static void restart(struct silence *silence, struct silence_clock now)
{
	silence->since.ms = silence->tried.ms = -1;
	silence_recall(silence, now);
}

/* A reboot: this one began later. */
static struct silence_clock rebooted(int64_t ms)
{
	return (struct silence_clock){.ms = ms - 1000000000, .unix_ms = at(ms).unix_ms};
}

START_TEST(a_restart_is_no_word)
{
	struct silence silence = {0};
	int64_t now = rebooted(50 * SECOND).ms;
	char *before, *after;

	silence_met(&silence, "a", at(0), AFTER);
	before = silence_words(&silence, "x");
	restart(&silence, rebooted(50 * SECOND));
	/* Not before somebody has looked. */
	ck_assert(!silence_is_due(&silence, now + 60 * MINUTE));
	silence_met(&silence, "a", rebooted(50 * SECOND), AFTER);
	ck_assert_int_eq(silence_lasts_ms(&silence, now), 50 * SECOND);
	ck_assert(!silence_is_due(&silence, now + 10 * SECOND - 1));
	ck_assert(silence_is_due(&silence, now + 10 * SECOND));
	after = silence_words(&silence, "x");
	ck_assert_str_eq(after, before);
	free(before);
	free(after);
	silence_clear(&silence);
}
END_TEST

START_TEST(a_word_after_a_restart_ends_it)
{
	struct silence silence = {0};
	int64_t now = rebooted(50 * SECOND).ms;

	silence_met(&silence, "a", at(0), AFTER);
	restart(&silence, rebooted(50 * SECOND));
	silence_broken(&silence, "a", now);
	silence_met(&silence, "a", rebooted(51 * SECOND), AFTER);
	ck_assert(!silence_is_due(&silence, now + 60 * SECOND));
	ck_assert(silence_is_due(&silence, now + 61 * SECOND));
	silence_clear(&silence);
}
END_TEST

START_TEST(a_restart_makes_tries_no_more_frequent)
{
	struct silence silence = {0};
	int64_t now = rebooted(2 * MINUTE).ms;

	silence_met(&silence, "a", at(0), AFTER);
	silence_tried(&silence, at(MINUTE));
	silence_tried(&silence, at(MINUTE));
	restart(&silence, rebooted(2 * MINUTE));
	silence_met(&silence, "a", rebooted(2 * MINUTE), AFTER);
	ck_assert(!silence_is_due(&silence, now + 3 * MINUTE - 1));
	ck_assert(silence_is_due(&silence, now + 3 * MINUTE));
	/* Nor for another container. */
	silence_met(&silence, "b", rebooted(2 * MINUTE), AFTER);
	ck_assert(!silence_is_due(&silence, now + 3 * MINUTE - 1));
	silence_clear(&silence);
}
END_TEST

START_TEST(a_clock_that_was_turned_back_makes_it_wait_no_longer_than_anew)
{
	struct silence silence = {0};
	struct silence_clock now = at(-1000 * MINUTE);

	silence_met(&silence, "a", at(0), AFTER);
	if (_i == 1)
		silence_tried(&silence, at(MINUTE));
	restart(&silence, now);
	silence_met(&silence, "a", now, AFTER);
	ck_assert_int_eq(silence_lasts_ms(&silence, now.ms), 0);
	ck_assert(!silence_is_due(&silence, now.ms + MINUTE - 1));
	ck_assert(silence_is_due(&silence, now.ms + (_i == 1 ? 2 : 1) * MINUTE));
	silence_clear(&silence);
}
END_TEST

/* What was written down was the year 2020's, say, until the machine learned the time; or the silence is as
 * long as it seems: nobody can tell. */
START_TEST(a_clock_that_was_turned_forward_asks_for_a_second_look)
{
	struct silence silence = {0};
	int64_t years = (int64_t)3 * 365 * 24 * 60 * MINUTE;
	struct silence_clock now = {.ms = 5 * SECOND, .unix_ms = at(years).unix_ms};

	silence_met(&silence, "a", at(0), AFTER);
	if (_i == 1)
		silence_tried(&silence, at(MINUTE));
	restart(&silence, now);
	silence_met(&silence, "a", now, AFTER);
	ck_assert(!silence_is_due(&silence, now.ms + SILENCE_EARLY_MS - 1));
	silence_met(&silence, "a", (struct silence_clock){now.ms + 1, now.unix_ms + 1}, AFTER);
	ck_assert(!silence_is_due(&silence, now.ms + SILENCE_EARLY_MS - 1));
	ck_assert(silence_is_due(&silence, now.ms + SILENCE_EARLY_MS));
	silence_clear(&silence);
}
END_TEST

START_TEST(the_words_stay_the_same)
{
	struct silence silence = {0};
	char *words;

	silence_met(&silence, "a", at(0), AFTER);
	silence_met(&silence, "a", at(30 * SECOND), AFTER);
	words = silence_words(&silence, "connection refused");
	ck_assert_str_eq(
		words, "HAProxy has not answered on its stats socket since 2026-01-02T03:04:05Z (connection "
		       "refused); it may serve all the same; a successor follows at 2026-01-02T03:05:05Z");
	free(words);
	silence_tried(&silence, at(MINUTE));
	words = silence_words(&silence, "x");
	ck_assert_str_eq(words,
			 "HAProxy has not answered on its stats socket since 2026-01-02T03:04:05Z, nor did a "
			 "successor for long (x); it may serve all the same; a successor follows at "
			 "2026-01-02T03:07:05Z");
	free(words);
	silence_clear(&silence);
}
END_TEST

START_TEST(a_run_is_a_container_since_its_start)
{
	char *one = silence_run("abc", "2026-01-02T03:04:05Z"), *none = silence_run("abc", NULL);

	ck_assert_str_ne(one, none);
	free(one);
	free(none);
}
END_TEST

START_TEST(a_copy_stands_by_itself)
{
	struct silence silence = {0}, copy;

	silence_broken(&silence, "a", 0);
	silence_met(&silence, "b", at(0), AFTER);
	silence_copy(&copy, &silence);
	silence_clear(&silence);
	ck_assert_str_eq(copy.heard, "a");
	ck_assert_str_eq(copy.run, "b");
	ck_assert_int_eq(silence_lasts_ms(&copy, 5), 5);
	ck_assert_int_eq(silence_lasts_ms(&silence, 5), 0);
	silence_clear(&copy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("silence");
	TCase *tcase = tcase_create("silence");

	tcase_add_loop_test(tcase, a_life, 0, N(lives));
	tcase_add_test(tcase, tries_come_once_an_hour_at_last);
	tcase_add_test(tcase, a_restart_is_no_word);
	tcase_add_test(tcase, a_word_after_a_restart_ends_it);
	tcase_add_test(tcase, a_restart_makes_tries_no_more_frequent);
	tcase_add_loop_test(tcase, a_clock_that_was_turned_back_makes_it_wait_no_longer_than_anew, 0, 2);
	tcase_add_loop_test(tcase, a_clock_that_was_turned_forward_asks_for_a_second_look, 0, 2);
	tcase_add_test(tcase, the_words_stay_the_same);
	tcase_add_test(tcase, a_run_is_a_container_since_its_start);
	tcase_add_test(tcase, a_copy_stands_by_itself);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
