/* A long list in pieces: cut anywhere, its elements are the same. */
#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/io/docker/docker_list.h"
#include "tests/suite.h"

static const struct list_limits limits = {.elements = 4, .element = {.bytes = 60, .values = 10, .depth = 4}};

static void on_element(void *arg, struct json_object *element)
{
	fprintf(arg, "%s;", json_object_to_json_string_ext(element, JSON_C_TO_STRING_PLAIN));
}

/* What is read of it, in pieces of up to `step` bytes after the first one; the error behind "!". */
static char *read_in_pieces(const char *text, size_t first, size_t step)
{
	size_t len = strlen(text), read_len, at;
	struct err err = {.kind = ERR_NONE};
	char *read;
	FILE *out = text_open(&read, &read_len);
	struct list_reader *reader = list_reader_new(&limits, on_element, out);
	int rc = list_reader_feed(reader, text, first, &err);

	for (at = first; rc == 0 && at < len; at += step)
		rc = list_reader_feed(reader, text + at, step < len - at ? step : len - at, &err);
	if (rc == 0)
		rc = list_reader_end(reader, &err);
	list_reader_free(reader);
	if (rc < 0)
		fprintf(out, "!%s%s", err.kind == ERR_PERMANENT ? "!" : "", err.message);
	text_close(out);
	return read;
}

static const struct {
	const char *text, *is;
} rows[] = {
	{"[]", ""},
	{" \r\n[ ]\t\n", ""},
	{"[{}]", "{};"},
	{"[{},{} , {\"a\":[{}, 1]}]", "{};{};{\"a\":[{},1]};"},
	{"[{\"a\":\"]}[{,\"},{\"\\\"]\":\"\\\\\"}]", "{\"a\":\"]}[{,\"};{\"\\\"]\":\"\\\\\"};"},
	{"[{},{},{},{}]", "{};{};{};{};"},
	{"[{},{},{},{},{}", "{};{};{};{};!!the list has more than 4 elements"},
	{"[{\"a\":[1,2,3,4,5,6,7,8,9,10]}]", "!!element 1 of the list: more than 10 values of JSON"},
	{"[{},{\"a\":\"123456789012345678901234567890123456789012345678901234567890",
	 "{};!!element 2 of the list is larger than 60 bytes"},
	{"[{\"a\":[[[[[[[[", "!not a list of JSON objects: unexpected end of data"},
	{"[{\"a\":[[[[]]]]}]", "!!element 1 of the list: JSON that is nested more than 4 deep"},
	{"[{\"a\":[}]", "!element 1 of the list: not JSON: unexpected character"},
	{"[{\"a\":]}", "!element 1 of the list: not JSON: unexpected character"},
	{"[{]", "!element 1 of the list: not JSON: quoted object property name expected"},
	{"", "!not a list of JSON objects: unexpected end of data"},
	{"[{}", "{};!not a list of JSON objects: unexpected end of data"},
	{"[{},", "{};!not a list of JSON objects: unexpected end of data"},
	{"[{},]", "{};!not a list of JSON objects: unexpected character"},
	{"[,{}]", "!not a list of JSON objects: unexpected character"},
	{"[{} {}]", "{};!not a list of JSON objects: unexpected character"},
	{"[null]", "!not a list of JSON objects: unexpected character"},
	{"[[]]", "!not a list of JSON objects: unexpected character"},
	{"{}", "!not a list of JSON objects: unexpected character"},
	{"[]]", "!not a list of JSON objects: unexpected character"},
	{"[] {}", "!not a list of JSON objects: unexpected character"},
};

START_TEST(cut_anywhere)
{
	size_t len = strlen(rows[_i].text);

	for (size_t first = 0; first <= len; first++)
		for (size_t step = 1; step <= 3; step++) {
			char *read = read_in_pieces(rows[_i].text, first, step == 3 ? len + 1 : step);

			ck_assert_msg(strcmp(read, rows[_i].is) == 0,
				      "\"%s\" cut at %zu, then every %zu: \"%s\"", rows[_i].text, first, step,
				      read);
			free(read);
		}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("docker_list");
	TCase *tests = tcase_create("docker_list");

	tcase_add_loop_test(tests, cut_anywhere, 0, N(rows));
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
