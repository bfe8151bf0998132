/* Floor 0: errors as plain values, memory, and sets of words. */
#include <check.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/words.h"
#include "tests/suite.h"

START_TEST(an_error_gets_context_in_front)
{
	struct err err;

	ck_assert_int_eq(err_set(&err, ERR_TRANSIENT, "no such image: %s", "haproxy:9.9"), -1);
	err_prefix(&err, "create container %s", "api-lb");
	err_prefix(&err, "host %s", "10.0.0.5");
	ck_assert_str_eq(err.message, "host 10.0.0.5: create container api-lb: no such image: haproxy:9.9");
	ck_assert_int_eq(err.kind, ERR_TRANSIENT);
}
END_TEST

START_TEST(a_long_message_is_cut_and_says_so)
{
	struct err err;
	char *text = xcalloc(1, 5000);

	memset(text, 'x', 4999);
	err_set(&err, ERR_PERMANENT, "%s", text);
	ck_assert_uint_eq(strlen(err.message), ERR_MESSAGE_BYTES - 1);
	ck_assert_str_eq(err.message + ERR_MESSAGE_BYTES - 4, "...");
	err_prefix(&err, "context");
	ck_assert_uint_eq(strlen(err.message), ERR_MESSAGE_BYTES - 1);
	ck_assert(strncmp(err.message, "context: xxx", 12) == 0);
	ck_assert_str_eq(err.message + ERR_MESSAGE_BYTES - 4, "...");
	free(text);
}
END_TEST

/* Each start of the text lets the cut fall on another byte of a character. */
START_TEST(a_message_is_cut_between_characters)
{
	static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
	const char *character = characters[_i];
	size_t size = strlen(character);

	for (size_t shift = 0; shift < size; shift++) {
		struct err err;
		char *text = xcalloc(1, 5000);

		memset(text, 'x', shift);
		for (size_t at = shift; at + size < 5000; at += size)
			memcpy(text + at, character, size);
		err_set(&err, ERR_PERMANENT, "%s", text);
		ck_assert_uint_gt(strlen(err.message), ERR_MESSAGE_BYTES - 1 - size);
		ck_assert_uint_eq((strlen(err.message) - 3 - shift) % size, 0);
		ck_assert_str_eq(err.message + strlen(err.message) - 3, "...");
		/* The context as well. */
		err_set(&err, ERR_PERMANENT, "why");
		err_prefix(&err, "%s", text);
		ck_assert_str_eq(err.message + strlen(err.message) - 8, "...: why");
		ck_assert_uint_eq((strlen(err.message) - 8 - shift) % size, 0);
		free(text);
	}
}
END_TEST

START_TEST(every_kind_has_a_name)
{
	for (int kind = 0; kind < ERR_KINDS; kind++)
		ck_assert_ptr_nonnull(err_kind_name(kind));
}
END_TEST

START_TEST(an_array_has_room_for_one_more)
{
	uint64_t *array = NULL;
	size_t n, moved = 0;

	for (n = 0; n < 1000; n++) {
		uint64_t *grown = xgrow(array, n, sizeof(*array));

		moved += grown != array;
		array = grown;
		ck_assert_uint_ge(malloc_usable_size(array), (n + 1) * sizeof(*array));
		array[n] = n;
	}
	ck_assert_uint_lt(moved, 12);
	for (n = 0; n < 1000; n++)
		ck_assert_uint_eq(array[n], n);
	/* Elements may be taken off its end. */
	for (n = 1000; n-- > 0;) {
		array = xgrow(array, n, sizeof(*array));
		ck_assert_uint_ge(malloc_usable_size(array), (n + 1) * sizeof(*array));
	}
	free(array);
}
END_TEST

START_TEST(a_set_has_each_word_once)
{
	struct words *set = NULL;

	ck_assert(!words_have(set, "one"));
	ck_assert(words_add(&set, "one"));
	ck_assert(!words_add(&set, "one"));
	ck_assert(words_have(set, "one"));
	ck_assert(!words_have(set, "on"));
	ck_assert(!words_have(set, NULL));
	ck_assert(words_add(&set, ""));
	ck_assert(words_have(set, ""));
	words_clear(&set);
	ck_assert_ptr_null(set);
}
END_TEST

START_TEST(a_set_has_a_number_for_each_word)
{
	struct words *set = NULL;
	size_t *one = words_number(&set, "one");

	ck_assert_uint_eq(*one, 0);
	++*one;
	for (int i = 0; i < 1000; i++) {
		char *word = xasprintf("%d", i);

		++*words_number(&set, word);
		free(word);
	}
	++*words_number(&set, "one");
	ck_assert_uint_eq(*one, 2);
	ck_assert_uint_eq(*words_number(&set, "999"), 1);
	ck_assert(!words_add(&set, "one"));
	ck_assert_uint_eq(*one, 2);
	words_clear(&set);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("common");
	TCase *errors = tcase_create("errors"), *memory = tcase_create("memory"),
	      *words = tcase_create("words");

	tcase_add_test(errors, an_error_gets_context_in_front);
	tcase_add_loop_test(errors, a_message_is_cut_between_characters, 0, 3);
	tcase_add_test(errors, a_long_message_is_cut_and_says_so);
	tcase_add_test(errors, every_kind_has_a_name);
	suite_add_tcase(suite, errors);
	tcase_add_test(memory, an_array_has_room_for_one_more);
	suite_add_tcase(suite, memory);
	tcase_add_test(words, a_set_has_each_word_once);
	tcase_add_test(words, a_set_has_a_number_for_each_word);
	suite_add_tcase(suite, words);
	return suite_run(suite);
}
