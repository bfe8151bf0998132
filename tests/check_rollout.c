/* Which hosts get a change now: each case is a row of hosts, a letter a host. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/rollout.h"
#include "tests/suite.h"

#define NOW 100000
#define SETTLE 5000

/*
 * w waits, u waits and cannot be reached, ? waits and has not been seen yet;
 * c is being changed, x the same and cannot be reached, s settles, l the same and
 * is to be looked at again; d is done, f has failed, a has failed and that is known.
 */
static struct rollout_unit unit_of(char letter)
{
	static const struct {
		char letter;
		struct rollout_unit unit;
	} units[] = {
		{'w', {.state = UNIT_WAITING, .seen = true}},
		{'u', {.state = UNIT_WAITING, .seen = true, .unreachable = true}},
		{'?', {.state = UNIT_WAITING}},
		{'c', {.state = UNIT_CHANGING, .seen = true}},
		{'x', {.state = UNIT_CHANGING, .seen = true, .unreachable = true}},
		{'s',
		 {.state = UNIT_SETTLING, .seen = true, .since_ms = NOW - 1000, .look_at_ms = NOW + 4000}},
		{'l', {.state = UNIT_SETTLING, .seen = true, .since_ms = NOW - SETTLE, .look_at_ms = NOW}},
		{'d', {.state = UNIT_DONE, .seen = true}},
		{'f', {.state = UNIT_FAILED, .seen = true}},
		{'a', {.state = UNIT_ACKNOWLEDGED, .seen = true}},
	};

	for (int i = 0; i < N(units); i++)
		if (units[i].letter == letter)
			return units[i].unit;
	ck_abort_msg("no unit is called %c", letter);
	return units[0].unit;
}

static struct rollout rollout_of(const char *letters, struct rollout_settings settings)
{
	struct rollout rollout = {.settings = settings, .n = strlen(letters), .hosts = strlen(letters)};

	rollout.units = rollout.n ? xcalloc(rollout.n, sizeof(*rollout.units)) : NULL;
	for (size_t i = 0; i < rollout.n; i++)
		rollout.units[i] = unit_of(letters[i]);
	return rollout;
}

#define PERCENT(share)        \
	{                     \
		(share), true \
	}
#define HOSTS(number)           \
	{                       \
		(number), false \
	}

/* '+' is let in now, 'l' is to be looked at, '.' neither. */
static const struct {
	const char *name, *units, *expected;
	uint32_t canary;
	struct spec_share parallel;
	bool paused;
	enum rollout_stop stop;
	size_t hosts; /* of the spec; 0: as many as there are units */
} decisions[] = {
	{.name = "the canary is the first", "wwww", "+...", 1, PERCENT(25)},
	{.name = "there may be several", "wwww", "++..", 2, PERCENT(25)},
	{.name = "or none", "wwww", "+...", 0, PERCENT(25)},
	{.name = "more canaries than hosts", "ww", "++", 9, HOSTS(1)},
	{.name = "while the canary changes nobody else does", "cwww", "....", 1, HOSTS(4)},
	{.name = "nor while it settles", "swww", "....", 1, HOSTS(4)},
	{.name = "nor while it is looked at", "lwww", "l...", 1, HOSTS(4)},
	{.name = "of two canaries both must be done", "dcww", "....", 2, HOSTS(4)},
	{.name = "then as many as may at a time", "dwwww", ".++..", 1, HOSTS(2)},
	{.name = "a window that slides", "dscdww", "....+.", 1, HOSTS(3)},
	{.name = "and is full", "dscww", ".....", 1, HOSTS(2)},
	{.name = "a share is rounded up", "dwwwwwwww", ".+++.....", 1, PERCENT(25)},
	{.name = "a share of the spec's hosts, not of those that change",
	 "dwww",
	 ".++.",
	 1,
	 PERCENT(25),
	 false,
	 ROLLOUT_RUNS,
	 8},
	{.name = "at least one", "dww", ".+.", 1, PERCENT(1)},
	{.name = "all of them", "wwww", "++++", 0, PERCENT(100)},
	{.name = "also those that cannot be reached: nobody has to wait", "wu?w", "++++", 0, PERCENT(100)},
	{.name = "who cannot be reached is no canary", "uwww", ".+..", 1, HOSTS(4)},
	{.name = "nor is one that was let in and went away", "xwww", ".+..", 1, HOSTS(4)},
	{.name = "and takes no place", "dxuwww", "...++.", 1, HOSTS(2)},
	{.name = "when it is back it has its turn", "dddwdd", "...+..", 1, HOSTS(2)},
	{.name = "the canary is the first of all, not the first that is seen", "?www", "....", 1, HOSTS(4)},
	{.name = "which is known when those before it are seen", "u?ww", "....", 1, HOSTS(4)},
	{.name = "a window does not wait for who is not seen yet", "d?ww", "..++", 1, HOSTS(2)},
	{.name = "a failure lets nobody in", "dfww", "....", 1, HOSTS(4)},
	{.name = "nor does a halt", "dfww", "....", 1, HOSTS(4), false, ROLLOUT_HALTED},
	{.name = "but what is under way is looked at", "dflw", "..l.", 1, HOSTS(4), false, ROLLOUT_HALTED},
	{.name = "nor a revert", "wwww", "....", 1, HOSTS(4), false, ROLLOUT_REVERTED},
	{.name = "nor a pause", "wwww", "....", 1, HOSTS(4), true},
	{.name = "an acknowledged failure does not stop it", "daww", "..++", 1, HOSTS(4)},
	{.name = "a failed canary gives way to another one", "awww", ".+..", 1, HOSTS(4)},
	{.name = "there is nothing to do", "", "", 1, HOSTS(1)},
	{.name = "all are done", "ddd", "...", 1, HOSTS(1)},
};

START_TEST(the_decision_is)
{
	struct rollout rollout =
		rollout_of(decisions[_i].units, (struct rollout_settings){.canary = decisions[_i].canary,
									  .parallel = decisions[_i].parallel,
									  .settle_ms = SETTLE});
	struct rollout_outcome outcome;
	char got[32] = "";

	rollout.paused = decisions[_i].paused;
	rollout.stop = decisions[_i].stop;
	if (decisions[_i].hosts)
		rollout.hosts = decisions[_i].hosts;
	rollout_decide(&rollout, NOW, &outcome);
	for (size_t i = 0; i < rollout.n; i++)
		got[i] = rollout.units[i].admit ? '+' : rollout.units[i].look ? 'l' : '.';
	ck_assert_msg(strcmp(got, decisions[_i].expected) == 0, "%s: %s gives %s, not %s", decisions[_i].name,
		      decisions[_i].units, got, decisions[_i].expected);
	free(rollout.units);
}
END_TEST

static const struct {
	const char *units;
	enum rollout_stop stop;
	const char *progress;
	bool over, idle, fails;
	int64_t look_at_ms;
} outcomes[] = {
	{"dddd", ROLLOUT_RUNS, "4 of 4 hosts are done", true, true, false, 0},
	{"dssw", ROLLOUT_RUNS, "1 of 4 hosts are done", false, false, false, NOW + 4000},
	{"dduu", ROLLOUT_RUNS, "2 of 4 hosts are done, 2 cannot be reached", false, true, false, 0},
	{"ddux", ROLLOUT_RUNS, "2 of 4 hosts are done, 2 cannot be reached", false, true, false, 0},
	{"dd?u", ROLLOUT_RUNS, "2 of 4 hosts are done, 1 cannot be reached", false, false, false, 0},
	{"dfww", ROLLOUT_RUNS, "1 of 4 hosts are done, 1 failed", false, false, true, 0},
	{"dfww", ROLLOUT_HALTED, "1 of 4 hosts are done, 1 failed", false, true, false, 0},
	{"dfcw", ROLLOUT_HALTED, "1 of 4 hosts are done, 1 failed", false, false, false, 0},
	{"ddad", ROLLOUT_RUNS, "3 of 4 hosts are done, 1 failed", false, true, false, 0},
	{"c", ROLLOUT_RUNS, "0 of 1 host is done", false, false, false, 0},
	{"wwww", ROLLOUT_REVERTED, "0 of 4 hosts are done", false, true, false, 0},
	{"wwww", ROLLOUT_RUNS, "0 of 4 hosts are done", false, false, false, 0},
};

START_TEST(the_outcome_is)
{
	struct rollout rollout =
		rollout_of(outcomes[_i].units,
			   (struct rollout_settings){.canary = 1, .parallel = HOSTS(2), .settle_ms = SETTLE});
	struct rollout_outcome outcome;
	char *progress;

	rollout.stop = outcomes[_i].stop;
	rollout_decide(&rollout, NOW, &outcome);
	progress = rollout_progress(&rollout, &outcome);
	ck_assert_str_eq(progress, outcomes[_i].progress);
	ck_assert_int_eq(outcome.over, outcomes[_i].over);
	ck_assert_int_eq(outcome.idle, outcomes[_i].idle);
	ck_assert_int_eq(outcome.failure != NULL, outcomes[_i].fails);
	ck_assert_int_eq(outcome.look_at_ms, outcomes[_i].look_at_ms);
	free(progress);
	free(rollout.units);
}
END_TEST

/* What a run has found, one after the other: {verdict, ms later, state then}. */
#define MAX_STEPS 5
static const struct {
	const char *name;
	int64_t settle_ms;
	struct {
		enum rollout_verdict verdict;
		int64_t after_ms;
		enum unit_state state;
	} steps[MAX_STEPS];
} lives[] = {
	{"it settles, and is done after a fresh look",
	 SETTLE,
	 {{VERDICT_NONE, 0, UNIT_CHANGING},
	  {VERDICT_WELL, 100, UNIT_SETTLING},
	  {VERDICT_WELL, 1000, UNIT_SETTLING},
	  {VERDICT_WELL, 4000, UNIT_DONE}}},
	{"without settle the first look will do", 0, {{VERDICT_WELL, 100, UNIT_DONE}}},
	{"what is done cannot fail any more",
	 0,
	 {{VERDICT_WELL, 0, UNIT_DONE}, {VERDICT_FAILED, 0, UNIT_DONE}}},
	{"it fails at once", SETTLE, {{VERDICT_FAILED, 0, UNIT_FAILED}, {VERDICT_FAILED, 0, UNIT_FAILED}}},
	{"it fails while it settles",
	 SETTLE,
	 {{VERDICT_WELL, 0, UNIT_SETTLING}, {VERDICT_FAILED, 10, UNIT_FAILED}}},
	{"it loses its servers while it settles",
	 SETTLE,
	 {{VERDICT_WELL, 0, UNIT_SETTLING}, {VERDICT_LOST, 10, UNIT_FAILED}}},
	{"or with the change", 0, {{VERDICT_LOST, 10, UNIT_FAILED}}},
	{"one that failed and mends itself settles like any other",
	 SETTLE,
	 {{VERDICT_FAILED, 0, UNIT_FAILED},
	  {VERDICT_WELL, 0, UNIT_SETTLING},
	  {VERDICT_WELL, SETTLE, UNIT_DONE}}},
	{"servers may need a moment",
	 0,
	 {{VERDICT_UNSURE, 0, UNIT_SETTLING},
	  {VERDICT_UNSURE, 1000, UNIT_SETTLING},
	  {VERDICT_WELL, 1000, UNIT_DONE}}},
	{"but not for ever",
	 SETTLE,
	 {{VERDICT_UNSURE, 0, UNIT_SETTLING},
	  {VERDICT_UNSURE, SETTLE, UNIT_SETTLING},
	  {VERDICT_UNSURE, ROLLOUT_UNSURE_MAX_MS, UNIT_FAILED}}},
	{"it goes away and comes back",
	 SETTLE,
	 {{VERDICT_WELL, 0, UNIT_SETTLING},
	  {VERDICT_UNREACHABLE, SETTLE, UNIT_SETTLING},
	  {VERDICT_WELL, 60000, UNIT_DONE}}},
};

START_TEST(a_unit_lives)
{
	struct rollout_unit unit = {.state = UNIT_CHANGING, .seen = true};
	int64_t now_ms = NOW;

	for (int i = 0; i < MAX_STEPS && lives[_i].steps[i].state != UNIT_OUT; i++) {
		now_ms += lives[_i].steps[i].after_ms;
		rollout_note(&unit, lives[_i].steps[i].verdict, lives[_i].settle_ms, now_ms);
		ck_assert_msg(unit.state == lives[_i].steps[i].state, "%s: step %d: %d, not %d",
			      lives[_i].name, i, unit.state, lives[_i].steps[i].state);
		ck_assert_int_eq(unit.unreachable, lives[_i].steps[i].verdict == VERDICT_UNREACHABLE);
	}
}
END_TEST

START_TEST(an_acknowledged_failure_stays_one_until_it_is_well)
{
	struct rollout_unit unit = {.state = UNIT_ACKNOWLEDGED, .seen = true};

	ck_assert(!rollout_note(&unit, VERDICT_FAILED, SETTLE, NOW));
	ck_assert_int_eq(unit.state, UNIT_ACKNOWLEDGED);
	ck_assert(rollout_note(&unit, VERDICT_WELL, SETTLE, NOW));
	ck_assert_int_eq(unit.state, UNIT_SETTLING);
	ck_assert_int_eq(unit.look_at_ms, NOW + SETTLE);
}
END_TEST

START_TEST(one_that_waits_is_only_seen)
{
	struct rollout_unit unit = {.state = UNIT_WAITING};

	ck_assert(rollout_note(&unit, VERDICT_FAILED, SETTLE, NOW));
	ck_assert(unit.seen);
	ck_assert(!rollout_note(&unit, VERDICT_WELL, SETTLE, NOW));
	ck_assert(rollout_note(&unit, VERDICT_UNREACHABLE, SETTLE, NOW));
	ck_assert(unit.unreachable);
	ck_assert_int_eq(unit.state, UNIT_WAITING);
}
END_TEST

START_TEST(stops_have_names)
{
	for (int stop = 0; stop < ROLLOUT_STOPS; stop++)
		ck_assert_int_eq(rollout_stop_parse(rollout_stop_name(stop)), stop);
	ck_assert_int_eq(rollout_stop_parse("what?"), ROLLOUT_RUNS);
	ck_assert_int_eq(rollout_stop_parse(NULL), ROLLOUT_RUNS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rollout");
	TCase *tcase = tcase_create("rollout");

	tcase_add_loop_test(tcase, the_decision_is, 0, N(decisions));
	tcase_add_loop_test(tcase, the_outcome_is, 0, N(outcomes));
	tcase_add_loop_test(tcase, a_unit_lives, 0, N(lives));
	tcase_add_test(tcase, an_acknowledged_failure_stays_one_until_it_is_well);
	tcase_add_test(tcase, one_that_waits_is_only_seen);
	tcase_add_test(tcase, stops_have_names);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
