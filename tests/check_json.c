/* JSON from outside: what is taken in, and that a reader cannot be misused. */
#include <check.h>
#include <glob.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/json.h"
#include "common/mem.h"
#include "tests/suite.h"

static const struct json_limits no_limits = {.bytes = 0};

static const struct text {
	const char *text, *error; /* NULL: it is taken */
	size_t len;               /* 0: to its NUL */
} texts[] = {
	{"{}", NULL, 0},
	{" {\"a\": [1, -2.5e3, true, null, \"\\u00e9\\n\\\"\"]}\r\n", NULL, 0},
	{"\"text\"", NULL, 0},
	{"17", NULL, 0},
	{"{\"a\": \"\xc3\xa9\"}", NULL, 0},
	{"", "unexpected end of data", 0},
	{"{\"a\":", "unexpected end of data", 0},
	{"null", "it is null", 0},
	{"{'a': 1}", "not JSON", 0},
	{"{\"a\": 'b'}", "not JSON", 0},
	{"/* really */ {}", "not JSON", 0},
	{"{} // end", "not JSON", 0},
	{"{}{}", "not JSON", 0},
	{"{} and more", "not JSON", 0},
	{"{\"a\": 1,}", "not JSON", 0},
	{"[1 2]", "not JSON", 0},
	{"[TRUE]", "not JSON", 0},
	{"[NaN]", "not JSON", 0},
	{"[-Infinity]", "not JSON", 0},
	{"{\"a\": \"\xff\"}", "not UTF-8", 0},
	{"{\"a\": \"\xc0\xaf\"}", "not UTF-8", 0},
	{"{\"a\": \"\xed\xa0\x80\"}", "not UTF-8", 0},
	{"{\"a\": \"\xc3", "not UTF-8", 0},
	{"{\"a\": \"line\nbreak\"}", "control character", 0},
	{"{}\0{}", "control character", 5},
	{"{\"a\": \"b\0c\"}", "control character", 12},
	{"\x1b[31m", "control character", 0},
};

START_TEST(strict)
{
	const struct text *t = &texts[_i];
	size_t len = t->len ? t->len : strlen(t->text);
	struct err err = {.kind = ERR_NONE};
	struct json_object *json = json_parse(t->text, len, &no_limits, &err);

	ck_assert_msg((json == NULL) == (t->error != NULL), "%s: %s", t->text, err.message);
	if (t->error)
		ck_assert_msg(strstr(err.message, t->error), "%s: %s", t->text, err.message);
	json_object_put(json);
}
END_TEST

/* The text that is `unit` n times between two brackets. */
static char *list_of(const char *unit, size_t n, const char *last)
{
	char *text = xcalloc(1, n * strlen(unit) + strlen(last) + 3);
	char *end = text;

	*end++ = '[';
	for (size_t i = 0; i < n; i++)
		end = stpcpy(end, unit);
	strcpy(stpcpy(end, last), "]");
	return text;
}

START_TEST(limits)
{
	static const struct json_limits few = {.bytes = 10000, .values = 100, .depth = 5};
	static const struct {
		const char *unit, *last;
		size_t n;
		const char *error;
	} rows[] = {
		{"{},", "{}", 49, NULL},
		{"{},", "{}", 50, "more than 100 values"},
		{"1,", "1", 99, NULL},
		{"1,", "1", 100, "more than 100 values"},
		{"[", "]]]]", 4, NULL},
		{"[", "]]]]]", 5, "nested more than 5 deep"},
		{"[", "", 99, "nested more than 5 deep"}, /* and never closed */
		{"[", "", 4000, "more than 100 values"},
		{"         ", "", 1110, NULL},
		{"         ", "", 1111, "more than 10000 bytes"},
		{"\",,,,[[[[{{{{\\\\\\\"\",", "0", 40, NULL}, /* in a text nothing counts */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = list_of(rows[i].unit, rows[i].n, rows[i].last);
		struct err err = {.kind = ERR_NONE};
		struct json_object *json = json_parse(text, strlen(text), &few, &err);

		ck_assert_msg((json == NULL) == (rows[i].error != NULL), "%zu: %s", i, err.message);
		if (rows[i].error)
			ck_assert_msg(strstr(err.message, rows[i].error), "%zu: %s", i, err.message);
		json_object_put(json);
		free(text);
	}
}
END_TEST

/* Each reader at each kind of value: nothing, or what it is there for. */
START_TEST(readers)
{
	static const char *const values[] = {
		"null",
		"true",
		"-7",
		"1e999",
		"99999999999999999999999",
		"2.5",
		"\"\"",
		"\"a\\u0000b\"",
		"\"text\"",
		"[]",
		"[null, 1, \"x\"]",
		"{}",
		"{\"member\": \"inner\"}",
	};

	for (size_t i = 0; i <= sizeof(values) / sizeof(values[0]); i++) {
		bool last = i == sizeof(values) / sizeof(values[0]);
		char *text = last ? xstrdup("{}") : xasprintf("{\"v\": %s}", values[i]);
		const char *is = last ? "absent" : values[i];
		struct err err;
		struct json_object *json = json_parse(text, strlen(text), &no_limits, &err);

		ck_assert_msg(json, "%s: %s", text, err.message);
		ck_assert_str_eq(json_text(json, "v", "none"), strcmp(is, "\"text\"") == 0 ? "text"
							       : strcmp(is, "\"\"") == 0   ? ""
											   : "none");
		ck_assert_int_eq(json_text_at(json, "/v") != NULL, strcmp(is, "\"text\"") == 0);
		ck_assert_int_eq(json_flag(json, "v"), strcmp(is, "true") == 0);
		ck_assert_int_eq(json_has_flag(json, "v"), strcmp(is, "true") == 0);
		ck_assert_int_eq(json_number_in(json, "v", -100, 100, 55), strcmp(is, "-7") == 0 ? -7 : 55);
		ck_assert_int_eq(json_length(json_list(json, "v")), is[0] == '[' && is[1] != ']' ? 3 : 0);
		ck_assert_int_eq(json_length(json_any(json, "v")), json_length(json_list(json, "v")));
		ck_assert_ptr_null(json_item_text(json_any(json, "v"), 0));
		ck_assert_ptr_null(json_item(json_any(json, "v"), 3));
		ck_assert_int_eq(json_text(json_any(json, "v"), "member", NULL) != NULL,
				 strstr(is, "inner") != NULL);
		ck_assert_int_eq(json_at(json, "/v/member/deeper/0/1") != NULL, false);
		json_object_put(json);
		free(text);
	}
	ck_assert_ptr_null(json_at(NULL, "/a"));
	ck_assert_ptr_null(json_any(NULL, "a"));
	ck_assert_int_eq(json_number(NULL, "a"), 0);
	ck_assert_int_eq(json_is_nothing(NULL), true);
}
END_TEST

START_TEST(the_last_of_two)
{
	static const char text[] = "{\"a\": 1, \"a\": \"text\"}";
	struct err err;
	struct json_object *json = json_parse(text, strlen(text), &no_limits, &err);

	ck_assert_str_eq(json_text(json, "a", "none"), "text");
	ck_assert_int_eq(json_number(json, "a"), 0);
	json_object_put(json);
}
END_TEST

/* Outside of common/ nothing of json-c reads. */
START_TEST(nobody_else_reads)
{
	static const char *const patterns[] = {"ctl/*.[ch]", "daemon/*.[ch]", "daemon/*/*.[ch]",
					       "daemon/*/*/*.[ch]"};
	static const char *const reading[] = {
		"json_tokener_",           "json_pointer_get",           "json_object_object_get",
		"json_object_object_each", "json_object_object_foreach", "json_object_iter",
		"json_object_array_get",   "json_object_array_length",   "json_object_get_string",
		"json_object_get_int",     "json_object_get_uint",       "json_object_get_boolean",
		"json_object_get_double",  "json_object_get_object",     "json_object_get_array",
	};
	size_t files = 0;

	for (size_t p = 0; p < sizeof(patterns) / sizeof(patterns[0]); p++) {
		char *pattern = xasprintf(TOP_SRCDIR "/%s", patterns[p]);
		glob_t found;

		ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
		for (size_t i = 0; i < found.gl_pathc; i++, files++) {
			struct err err;
			char *text = NULL;

			ck_assert_msg(file_read(found.gl_pathv[i], 1 << 20, &text, &err) == 0, "%s",
				      err.message);
			for (size_t r = 0; r < sizeof(reading) / sizeof(reading[0]); r++)
				ck_assert_msg(!strstr(text, reading[r]),
					      "%s reads with %s: common/json.h is for that",
					      found.gl_pathv[i], reading[r]);
			free(text);
		}
		globfree(&found);
		free(pattern);
	}
	ck_assert_int_gt(files, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json");
	TCase *tests = tcase_create("json");

	tcase_add_loop_test(tests, strict, 0, N(texts));
	tcase_add_test(tests, limits);
	tcase_add_test(tests, readers);
	tcase_add_test(tests, the_last_of_two);
	tcase_add_test(tests, nobody_else_reads);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
