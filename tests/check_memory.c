/* What is remembered of a balancer from run to run. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/memory/memory.h"
#include "tests/suite.h"

#define SECOND 1000

static const char V1[SHA256_HEX_SIZE] = "1111", V2[SHA256_HEX_SIZE] = "2222";
static const char SHA[SHA256_HEX_SIZE] = "abcd";
static struct memory memory;

static void setup(void)
{
	memory_init(&memory);
}

static void teardown(void)
{
	memory_clear(&memory);
}

static void fill(void)
{
	memory_turn_to_config(&memory, "/etc/lb.cfg");
	memory_read_config(&memory, SHA, 7, "yesterday");
	memory_saw_companion(&memory, "ca.pem", "monday");
	memory_know(&memory, "id1");
	memory.accepted = xstrdup("some ");
	refused_note(&memory.refused, V1);
	silence_met(&memory.silence, "id1 then", (struct silence_clock){1, 2}, 60 * SECOND);
	replaced_note(&memory.replaced, "id2", "it was dead", V1);
	draining_add(&memory.draining, "id0", 3, "then");
}

static void expect_filled(const struct memory *is)
{
	ck_assert_str_eq(is->config_path, "/etc/lb.cfg");
	ck_assert(memory_has_config(is, 7, "yesterday"));
	ck_assert_str_eq(is->config_sha256, SHA);
	ck_assert(memory_has_companion(is, "ca.pem", "monday"));
	ck_assert(memory_knows(is, "id1"));
	ck_assert(memory_knows(is, "id2"));
	ck_assert_str_eq(is->accepted, "some ");
	ck_assert(refused_is(&is->refused, V1));
	ck_assert_str_eq(is->silence.run, "id1 then");
	ck_assert_str_eq(replaced_reason(&is->replaced, "id2", V1), "it was dead");
	ck_assert_int_eq(draining_since(&is->draining, "id0", 9), 3);
}

static void expect_nothing(const struct memory *is)
{
	ck_assert_ptr_null(is->config_path);
	ck_assert_int_eq(is->config_size, -1);
	ck_assert(!memory_has_config(is, -1, "yesterday"));
	ck_assert_str_eq(is->config_sha256, "");
	ck_assert(!memory_has_companion(is, "ca.pem", "monday"));
	ck_assert(!memory_knows(is, "id1"));
	ck_assert(!memory_knows(is, "id2"));
	ck_assert_ptr_null(is->accepted);
	ck_assert(!refused_is(&is->refused, V1));
	ck_assert_ptr_null(is->silence.run);
	ck_assert(!draining_has(&is->draining, "id0"));
}

START_TEST(a_copy_has_all_of_it_and_is_another)
{
	struct memory copy;

	fill();
	memory_copy(&copy, &memory);
	expect_filled(&copy);
	memory_clear(&memory);
	expect_nothing(&memory);
	expect_filled(&copy);
	memory_clear(&copy);
}
END_TEST

static const struct err fine = {.kind = ERR_NONE};

/* A run for this version: what it learns is done by `learn`, at `ms`. */
static void run(const char *version, void (*learn)(struct memory *lent), const struct err *err, int64_t ms)
{
	struct memory lent;

	memory_lend(&lent, &memory, version, ms);
	learn(&lent);
	memory_take(&memory, &lent, version, err, ms);
	expect_nothing(&lent);
}

static void learn_nothing(struct memory *lent)
{
	(void)lent;
}

START_TEST(what_a_run_gives_back_is_what_it_was_lent)
{
	fill();
	run(V1, learn_nothing, &fine, 5);
	expect_filled(&memory);
	run(NULL, learn_nothing, &fine, 5);
	expect_filled(&memory);
}
END_TEST

static void learn_much(struct memory *lent)
{
	memory_read_config(lent, V2, 8, NULL);
	memory_know(lent, "id3");
	draining_clear(&lent->draining);
	silence_broken(&lent->silence, "id1 then", 9);
	refused_taken(&lent->refused);
}

START_TEST(what_a_run_learns_stays)
{
	fill();
	run(V1, learn_much, &fine, 5);
	ck_assert_int_eq(memory.config_size, 8);
	ck_assert_str_eq(memory.config_sha256, V2);
	ck_assert(memory_knows(&memory, "id3") && !memory_knows(&memory, "id1"));
	ck_assert(!draining_has(&memory.draining, "id0"));
	ck_assert_ptr_null(memory.silence.run);
	ck_assert(!refused_is(&memory.refused, V1));
}
END_TEST

/* A file is known by its path, its size and its time. */

START_TEST(a_file_at_another_path_is_another)
{
	fill();
	memory_turn_to_config(&memory, "/etc/lb.cfg");
	expect_filled(&memory);
	memory_turn_to_config(&memory, "/etc/other.cfg");
	ck_assert(!memory_has_config(&memory, 7, "yesterday"));
	ck_assert_str_eq(memory.config_sha256, "");
	ck_assert_int_eq(memory.config_size, -1);
	/* And back: nobody has looked after the first one meanwhile. */
	memory_turn_to_config(&memory, "/etc/lb.cfg");
	ck_assert(!memory_has_config(&memory, 7, "yesterday"));
}
END_TEST

static const struct {
	int64_t size;
	const char *mtime;
	bool doubted, same;
} files[] = {
	{7, "yesterday", false, true}, {8, "yesterday", false, false}, {7, "today", false, false},
	{7, NULL, false, false},       {7, "yesterday", true, false},  {-1, "yesterday", true, true},
};

START_TEST(a_file_is_read_again_unless_it_looks_the_same)
{
	fill();
	if (files[_i].doubted)
		memory_doubt_config(&memory);
	ck_assert_int_eq(memory_has_config(&memory, files[_i].size, files[_i].mtime), files[_i].same);
	/* That it has been ours is known all the same. */
	ck_assert_str_eq(memory.config_sha256, SHA);
}
END_TEST

START_TEST(a_file_without_a_time_is_never_the_same)
{
	memory_read_config(&memory, SHA, 7, NULL);
	ck_assert(!memory_has_config(&memory, 7, NULL));
	ck_assert(!memory_has_config(&memory, 7, "today"));
}
END_TEST

START_TEST(files_beside_it_are_known_one_by_one)
{
	memory_saw_companion(&memory, "a.pem", "monday");
	memory_saw_companion(&memory, "b.lua", "tuesday");
	memory_saw_companion(&memory, "c.pem", NULL);
	ck_assert(memory_has_companion(&memory, "a.pem", "monday"));
	ck_assert(memory_has_companion(&memory, "b.lua", "tuesday"));
	ck_assert(!memory_has_companion(&memory, "a.pem", "tuesday"));
	ck_assert(!memory_has_companion(&memory, "c.pem", NULL));
	ck_assert(!memory_has_companion(&memory, "a.pem", "mon"));
}
END_TEST

/* Hosts may change such a file as often as they like. */
START_TEST(files_beside_it_take_no_more_room_than_they_may)
{
	char mtime[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(mtime, sizeof(mtime), "%d", i);
		memory_saw_companion(&memory, "ca.pem", mtime);
		memory_saw_companion(&memory, "ca.pem", mtime);
		ck_assert(memory_has_companion(&memory, "ca.pem", mtime));
		ck_assert_uint_lt(strlen(memory.companions_seen), 1100);
	}
}
END_TEST

/* What the store holds of it. */

static void read_again(void)
{
	memory_read_config(&memory, SHA, 7, "today");
}

static void accept_another(void)
{
	free(memory.accepted);
	memory.accepted = xstrdup("another some ");
}

static void turn_away(void)
{
	memory_turn_to_config(&memory, "/etc/other.cfg");
}

static void doubt(void)
{
	memory_doubt_config(&memory);
}

static void see_beside(void)
{
	memory_saw_companion(&memory, "b.lua", "monday");
}

static void try_a_successor(void)
{
	silence_tried(&memory.silence, (struct silence_clock){2, 3});
}

static void hear(void)
{
	silence_broken(&memory.silence, "id1 then", 4);
}

static void replace_again(void)
{
	replaced_note(&memory.replaced, "id3", "it was dead again", V1);
}

static void help(void)
{
	replaced_helped(&memory.replaced, "id2");
}

static const struct {
	void (*change)(void);
	bool recorded;
} changes[] = {
	{read_again, false},    {accept_another, false}, {turn_away, false},
	{doubt, false},         {see_beside, true},      {hear, false},
	{replace_again, false}, {help, false},           {try_a_successor, false},
};

START_TEST(what_is_not_in_the_store_yet_is_told_from_what_is)
{
	struct memory before;

	fill();
	memory_copy(&before, &memory);
	ck_assert(memory_is_recorded(&memory, &before));
	changes[_i].change();
	ck_assert_int_eq(memory_is_recorded(&memory, &before), changes[_i].recorded);
	memory_clear(&before);
}
END_TEST

static const struct silence_clock later = {.ms = 77, .unix_ms = 100002};

/* What another process makes of what this one has written down. */
static void restart(struct memory *after)
{
	char *json = memory_to_json(&memory);

	memory_init(after);
	memory_recall(after, json, later);
	free(json);
}

START_TEST(a_restart_forgets_neither_silence_nor_what_was_in_vain)
{
	struct memory after;

	fill();
	try_a_successor();
	restart(&after);
	ck_assert_str_eq(after.silence.run, "id1 then");
	ck_assert_int_eq(after.silence.since.unix_ms, 2);
	ck_assert_int_eq(silence_lasts_ms(&after.silence, later.ms), 100000);
	ck_assert_uint_eq(after.silence.tries, 1);
	ck_assert_int_eq(after.silence.tried.unix_ms, 3);
	ck_assert_int_eq(after.silence.tried.ms, later.ms - 99999);
	ck_assert_str_eq(replaced_reason(&after.replaced, "id2", V1), "it was dead");
	ck_assert_ptr_null(replaced_reason(&after.replaced, "id2", V2));
	memory_clear(&after);
}
END_TEST

START_TEST(what_is_well_leaves_nothing_to_write_down)
{
	struct memory after;

	ck_assert_ptr_null(memory_to_json(&memory));
	fill();
	hear();
	help();
	ck_assert_ptr_null(memory_to_json(&memory));
	restart(&after);
	expect_nothing(&after);
	memory_clear(&after);
}
END_TEST

START_TEST(patience_outlives_a_word_and_a_restart)
{
	struct memory after;

	fill();
	try_a_successor();
	hear();
	restart(&after);
	ck_assert_ptr_null(after.silence.run);
	ck_assert_str_eq(after.silence.heard, "id1 then");
	ck_assert_uint_eq(after.silence.tries, 1);
	memory_clear(&after);
}
END_TEST

#define GOOD_SILENCE "\"silence\":{\"run\":\"a b\",\"since\":5}"

/* What a store may hold: of which this is believed. */
static const struct {
	const char *json;
	bool silence, replaced;
	unsigned tries;
} recalled[] = {
	{NULL, false, false, 0},
	{"", false, false, 0},
	{"null", false, false, 0},
	{"{}", false, false, 0},
	{"[1,2]", false, false, 0},
	{"\"silence\"", false, false, 0},
	{"{" GOOD_SILENCE, false, false, 0},
	{"{" GOOD_SILENCE "}", true, false, 0},
	{"{" GOOD_SILENCE ",\"replaced\":7}", true, false, 0},
	{"{\"silence\":[],\"replaced\":{}}", false, false, 0},
	{"{\"silence\":{\"run\":\"a b\"}}", false, false, 0},
	{"{\"silence\":{\"since\":5}}", false, false, 0},
	{"{\"silence\":{\"run\":5,\"since\":5}}", false, false, 0},
	{"{\"silence\":{\"run\":\"a b\",\"since\":\"5\"}}", false, false, 0},
	{"{\"silence\":{\"run\":\"a b\",\"since\":-5}}", false, false, 0},
	{"{\"silence\":{\"run\":\"a b\",\"since\":9223372036854775807}}", false, false, 0},
	{"{\"silence\":{\"run\":\"a b\",\"since\":1e99}}", false, false, 0},
	{"{\"silence\":{\"run\":\"a b\",\"since\":253402300799999}}", true, false, 0},
	{"{\"silence\":{\"tries\":3,\"tried\":5}}", false, false, 3},
	{"{\"silence\":{\"tries\":3}}", false, false, 0},
	{"{\"silence\":{\"tries\":-3,\"tried\":5}}", false, false, 0},
	{"{\"silence\":{\"tries\":2147483647,\"tried\":5}}", false, false, INT32_MAX},
	{"{\"silence\":{\"tries\":2147483648,\"tried\":5}}", false, false, 0},
	{"{\"replaced\":{\"id\":\"id2\",\"reason\":\"r\",\"version\":\"1111\"}}", false, true, 0},
	{"{\"replaced\":{\"id\":\"id2\",\"version\":\"1111\"}}", false, false, 0},
	{"{\"replaced\":{\"id\":\"id2\",\"reason\":\"r\",\"version\":\""
	 "0123456789012345678901234567890123456789012345678901234567890123456789\"}}",
	 false, false, 0},
	{"{\"replaced\":{\"id\":\"id2\",\"reason\":{\"a\":1},\"version\":\"1111\"}}", false, false, 0},
};

START_TEST(nonsense_in_the_store_is_not_believed)
{
	const char *json = recalled[_i].json;

	fill(); /* before it was known what the store has */
	memory_recall(&memory, json, later);
	ck_assert_msg(!!memory.silence.run == recalled[_i].silence, "%s", json);
	ck_assert_msg(!!replaced_reason(&memory.replaced, "id2", V1) == recalled[_i].replaced, "%s", json);
	ck_assert_msg(memory.silence.tries == recalled[_i].tries, "%s", json);
	/* Whatever it was: what follows from it is soon. */
	silence_met(&memory.silence, "a b", later, 60 * SECOND);
	ck_assert_int_ge(silence_lasts_ms(&memory.silence, later.ms), 0);
	ck_assert(silence_is_due(&memory.silence, later.ms + SILENCE_MAX_RETRY_MS));
}
END_TEST

START_TEST(a_store_may_hold_far_too_much)
{
	size_t len = 1 << 20;
	char *json = xcalloc(1, len + 1);

	memset(json, '[', len);
	memory_recall(&memory, json, later);
	expect_nothing(&memory);
	free(json);
}
END_TEST

/* A version that HAProxy did not take: one line a run, for which version, and what came of it. */

enum outcome { REFUSED, TAKEN, FAILED, NOTHING };

struct refused_run {
	int64_t at_s;
	const char *version;
	bool barred; /* it is not to be tried */
	enum outcome outcome;
};

static const struct {
	const char *name;
	struct refused_run runs[8];
} lives[] = {
	{"once more at once, then ever more seldom, but not for ever",
	 {{0, V1, false, REFUSED},
	  {1, V1, false, REFUSED},
	  {2, V1, true, FAILED},
	  {30, V1, true, FAILED},
	  {31, V1, false, REFUSED},
	  {60, V1, true, FAILED},
	  {91, V1, false, REFUSED}}},
	{"what has been taken begins anew",
	 {{0, V1, false, REFUSED},
	  {1, V1, false, REFUSED},
	  {31, V1, false, TAKEN},
	  {32, V1, false, REFUSED},
	  {33, V1, false, REFUSED},
	  {34, V1, true, FAILED}}},
	{"another version is another matter",
	 {{0, V1, false, REFUSED},
	  {1, V1, false, REFUSED},
	  {2, V2, false, REFUSED},
	  {3, V2, false, REFUSED},
	  {4, V2, true, FAILED}}},
	{"what fails of another version is no refusal of the first",
	 {{0, V1, false, REFUSED},
	  {1, V2, false, FAILED},
	  {1, NULL, false, FAILED},
	  {2, V1, false, REFUSED},
	  {3, V1, true, FAILED}}},
	{"to be tried, but nothing came of it",
	 {{0, V1, false, REFUSED},
	  {1, V1, false, REFUSED},
	  {31, V1, false, NOTHING},
	  {32, V1, false, NOTHING}}},
};

static void one_run(const char *name, const struct refused_run *step)
{
	struct err err = {.kind = ERR_NONE};
	struct memory lent;

	memory_lend(&lent, &memory, step->version, step->at_s * SECOND);
	ck_assert_msg(!!lent.refused.why == step->barred, "%s: at %d s", name, (int)step->at_s);
	if (step->outcome == REFUSED)
		refused_note(&lent.refused, step->version);
	if (step->outcome == TAKEN)
		refused_taken(&lent.refused);
	if (step->outcome == REFUSED || step->outcome == FAILED)
		err_set(&err, ERR_PERMANENT, "refused at %d", (int)step->at_s);
	memory_take(&memory, &lent, step->version, &err, step->at_s * SECOND);
}

START_TEST(what_was_refused_is_tried_ever_more_seldom)
{
	for (size_t i = 0; lives[_i].runs[i].at_s || i == 0; i++)
		one_run(lives[_i].name, &lives[_i].runs[i]);
}
END_TEST

START_TEST(a_refusal_is_told_in_the_words_of_its_own_version)
{
	static const struct refused_run runs[] = {
		{1, V1, false, REFUSED},
		{2, V1, false, REFUSED},
		{3, V2, false, REFUSED},
		{4, V2, false, REFUSED},
	};
	struct memory lent;

	for (int i = 0; i < N(runs); i++)
		one_run("words", &runs[i]);
	memory_lend(&lent, &memory, V2, 5 * SECOND);
	ck_assert_str_eq(lent.refused.why, "refused at 4");
	memory_clear(&lent);
}
END_TEST

START_TEST(the_longest_wait_is_bounded)
{
	struct refused_run step = {0, V1, false, REFUSED};
	int64_t longest = 0;

	for (int i = 0; i < 20; i++) {
		one_run("bound", &step);
		longest = memory.refused.until_ms - step.at_s * SECOND;
		step.at_s = memory.refused.until_ms / SECOND + 1;
	}
	ck_assert_int_eq(longest, REFUSED_MAX_MS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory");
	TCase *tcase = tcase_create("memory");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_copy_has_all_of_it_and_is_another);
	tcase_add_test(tcase, what_a_run_gives_back_is_what_it_was_lent);
	tcase_add_test(tcase, what_a_run_learns_stays);
	tcase_add_test(tcase, a_file_at_another_path_is_another);
	tcase_add_loop_test(tcase, a_file_is_read_again_unless_it_looks_the_same, 0, N(files));
	tcase_add_test(tcase, a_file_without_a_time_is_never_the_same);
	tcase_add_test(tcase, files_beside_it_are_known_one_by_one);
	tcase_add_test(tcase, files_beside_it_take_no_more_room_than_they_may);
	tcase_add_loop_test(tcase, what_is_not_in_the_store_yet_is_told_from_what_is, 0, N(changes));
	tcase_add_test(tcase, a_restart_forgets_neither_silence_nor_what_was_in_vain);
	tcase_add_test(tcase, what_is_well_leaves_nothing_to_write_down);
	tcase_add_test(tcase, patience_outlives_a_word_and_a_restart);
	tcase_add_loop_test(tcase, nonsense_in_the_store_is_not_believed, 0, N(recalled));
	tcase_add_test(tcase, a_store_may_hold_far_too_much);
	tcase_add_loop_test(tcase, what_was_refused_is_tried_ever_more_seldom, 0, N(lives));
	tcase_add_test(tcase, a_refusal_is_told_in_the_words_of_its_own_version);
	tcase_add_test(tcase, the_longest_wait_is_bounded);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
