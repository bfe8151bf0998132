/* What comes out on stderr: one line each, that no terminal obeys, and JSON that stays the same value. */
#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/text.h"
#include "tests/suite.h"

/* The line that is logged, without its end. */
static char *logged(enum log_format format, const char *subject, const char *message)
{
	FILE *file = tmpfile();
	int before = dup(STDERR_FILENO);
	char *line = xcalloc(1, 1000);

	dup2(fileno(file), STDERR_FILENO);
	log_init(LOG_LEVEL_INFO, format);
	log_at(LOG_LEVEL_INFO, subject, "%s", message);
	dup2(before, STDERR_FILENO);
	close(before);
	rewind(file);
	ck_assert_ptr_nonnull(fgets(line, 1000, file));
	ck_assert_int_eq(fgetc(file), EOF);
	ck_assert_int_eq(line[strlen(line) - 1], '\n');
	line[strlen(line) - 1] = '\0';
	fclose(file);
	return line;
}

static const struct {
	const char *message;
	const char *shown; /* in a text */
	const char *value; /* what JSON gives back */
} messages[] = {
	{"it is Z\xc3\xbcrich", "it is Z\xc3\xbcrich", "it is Z\xc3\xbcrich"},
	{"two\r\n\tlines", "two   lines", "two   lines"},
	{"\x1b[2J", "\\u001b[2J", "\x1b[2J"},
	{"\xc2\x9b"
	 "2J",
	 "\\u009b2J",
	 "\xc2\x9b"
	 "2J"},
	{"a\xe2\x80\xae"
	 "b",
	 "a\\u202eb",
	 "a\xe2\x80\xae"
	 "b"},
	{"\xf3\xa0\x81\x81", "\\udb40\\udc41", "\xf3\xa0\x81\x81"},
	{"\xff", "\\ufffd", "\xef\xbf\xbd"},
};

START_TEST(a_line_steers_no_terminal)
{
	char *line = logged(LOG_FORMAT_TEXT, "prod/a\x1b", messages[_i].message);
	char *end = xasprintf(" info prod/a\\u001b: %s", messages[_i].shown);

	ck_assert_uint_gt(strlen(line), strlen(end));
	ck_assert_str_eq(line + strlen(line) - strlen(end), end);
	free(end);
	free(line);
}
END_TEST

START_TEST(json_stays_the_same_value)
{
	char *line = logged(LOG_FORMAT_JSON, NULL, messages[_i].message);
	struct json_object *json = json_tokener_parse(line);

	ck_assert_str_eq(json_object_get_string(json_object_object_get(json, "message")), messages[_i].value);
	ck_assert_msg(text_is_printable(line, TEXT_LINE), "%s", line);
	json_object_put(json);
	free(line);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *tcase = tcase_create("lines");

	tcase_add_loop_test(tcase, a_line_steers_no_terminal, 0, N(messages));
	tcase_add_loop_test(tcase, json_stays_the_same_value, 0, N(messages));
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
