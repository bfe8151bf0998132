/* What is safe to show, and how wide it is; and YAML that every reader reads alike. */
#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/text.h"
#include "common/yaml_emit.h"
#include "tests/suite.h"

static const struct {
	const char *bytes;
	size_t used;
	uint32_t character;
} characters[] = {
	{"a", 1, 'a'},
	{"\xc3\xa9x", 2, 0xe9},
	{"\xe2\x82\xac", 3, 0x20ac},
	{"\xf0\x9f\x98\x80", 4, 0x1f600},
	{"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
	{"\x80", 1, TEXT_INVALID},                 /* goes on, but nothing has begun */
	{"\xc3", 1, TEXT_INVALID},                 /* ends too early */
	{"\xe2\x82", 1, TEXT_INVALID},             /* */
	{"\xe2\x82x", 1, TEXT_INVALID},            /* */
	{"\xc0\xaf", 1, TEXT_INVALID},             /* longer than needed */
	{"\xe0\x80\xaf", 1, TEXT_INVALID},         /* */
	{"\xed\xa0\x80", 1, TEXT_INVALID},         /* half of a surrogate pair */
	{"\xf4\x90\x80\x80", 1, TEXT_INVALID},     /* beyond Unicode */
	{"\xf8\x88\x80\x80\x80", 1, TEXT_INVALID}, /* five bytes */
	{"\xff", 1, TEXT_INVALID},
};

START_TEST(utf8_is_decoded_as_rfc_3629_says)
{
	uint32_t character;

	ck_assert_uint_eq(text_decode(characters[_i].bytes, strlen(characters[_i].bytes), &character),
			  characters[_i].used);
	ck_assert_uint_eq(character, characters[_i].character);
}
END_TEST

static const struct {
	const char *text, *line, *block;
} printables[] = {
	{"", "", ""},
	{"plain \\ \"text\"", "plain \\ \"text\"", "plain \\ \"text\""},
	{"Z\xc3\xbcrich", "Z\xc3\xbcrich", "Z\xc3\xbcrich"},
	{"a\n\tb", "a\\n\\tb", "a\n\tb"},
	{"a\r\nb", "a\\u000d\\nb", "a\\u000d\nb"},
	{"\x1b[2J", "\\u001b[2J", "\\u001b[2J"},
	{"\x7f", "\\u007f", "\\u007f"},
	{"\xc2\x9b"
	 "2J",
	 "\\u009b2J", "\\u009b2J"},
	{"\xc2\xad", "\\u00ad", "\\u00ad"},
	{"\xd8\x9c", "\\u061c", "\\u061c"},
	{"\xe2\x80\x8b\xe2\x80\x8f", "\\u200b\\u200f", "\\u200b\\u200f"},
	{"\xe2\x80\xa8", "\\u2028", "\\u2028"},
	{"\xe2\x80\xae", "\\u202e", "\\u202e"},
	{"\xe2\x81\xa6", "\\u2066", "\\u2066"},
	{"\xef\xbb\xbf", "\\ufeff", "\\ufeff"},
	{"\xf3\xa0\x81\x81", "\\udb40\\udc41", "\\udb40\\udc41"},
	{"\xf0\x9f\x98\x80 \xe2\x82\xac", "\xf0\x9f\x98\x80 \xe2\x82\xac", "\xf0\x9f\x98\x80 \xe2\x82\xac"},
	{"\xff", "\\ufffd", "\\ufffd"},
};

START_TEST(what_a_terminal_would_obey_is_escaped)
{
	char *line = text_printable(printables[_i].text, TEXT_LINE);
	char *block = text_printable(printables[_i].text, TEXT_BLOCK);

	ck_assert_int_eq(text_is_printable(printables[_i].text, TEXT_LINE),
			 strcmp(line, printables[_i].text) == 0);
	ck_assert_int_eq(text_is_printable(printables[_i].text, TEXT_BLOCK),
			 strcmp(block, printables[_i].text) == 0);
	ck_assert_str_eq(line, printables[_i].line);
	ck_assert_str_eq(block, printables[_i].block);
	free(line);
	free(block);
}
END_TEST

static const struct {
	const char *a, *b;
	unsigned distance;
} distances[] = {
	{"status", "status", 0},
	{"Status", "sTATUS", 0},
	{"stauts", "status", 2},
	{"statu", "status", 1},
	{"statuss", "status", 1},
	{"", "plan", 4},
	{"kitten", "sitting", 3},
	/* What is beyond 40 bytes does not count. */
	{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaX", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaYYY", 0},
};

START_TEST(distance_counts_mistakes)
{
	ck_assert_uint_eq(text_distance(distances[_i].a, distances[_i].b), distances[_i].distance);
	ck_assert_uint_eq(text_distance(distances[_i].b, distances[_i].a), distances[_i].distance);
}
END_TEST

START_TEST(width_counts_characters)
{
	ck_assert_uint_eq(text_width(""), 0);
	ck_assert_uint_eq(text_width("abc"), 3);
	ck_assert_uint_eq(text_width("Z\xc3\xbcrich"), 6);
}
END_TEST

static const struct {
	const char *text;
	size_t width;
	const char *shortened;
} shortenings[] = {
	{"12345678", 8, "12345678"},
	{"123456789", 8, "12345..."},
	{"", 4, ""},
	{"\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc", 4, "\xc3\xbc..."},
	{"12345", 1, "1..."}, /* less than is allowed still ends */
};

START_TEST(what_is_cut_says_so_and_stays_utf8)
{
	char *text = text_shorten(shortenings[_i].text, shortenings[_i].width);

	ck_assert_str_eq(text, shortenings[_i].shortened);
	free(text);
}
END_TEST

static const struct {
	const char *json, *yaml;
} documents[] = {
	{"{}", "{}\n"},
	{"[]", "[]\n"},
	{"null", "null\n"},
	{"{\"a\": [1, 2.50, true, null, \"b\"], \"c\": {\"d\": {}}}",
	 "a:\n- 1\n- 2.50\n- true\n- null\n- b\nc:\n  d: {}\n"},
	{"{\"0\": \"haproxy:3.0\", \"no\": \"10.0.0.1:6443\"}",
	 "\"0\": haproxy:3.0\n\"no\": 10.0.0.1:6443\n"},
	{"{\"key\": \"-----BEGIN\\nabc\\n  def\\n-----END\\n\"}",
	 "key: |\n  -----BEGIN\n  abc\n    def\n  -----END\n"},
	{"{\"key\": \"no end\\nhere\"}", "key: |-\n  no end\n  here\n"},
	{"[\"Z\xc3\xbcrich\", \"\xff\"]", "- Z\xc3\xbcrich\n- \xef\xbf\xbd\n"},
};

START_TEST(json_becomes_block_yaml)
{
	struct json_object *value = json_tokener_parse(documents[_i].json);
	char *yaml = yaml_emit(value);

	ck_assert_str_eq(yaml, documents[_i].yaml);
	free(yaml);
	json_object_put(value);
}
END_TEST

/* Plain, a YAML 1.1 or 1.2 reader takes these for something else than strings. */
static const char *const quoted[] = {
	"",     "~",       "null", "Null",  "NULL",  "true",    "False", "yes",        "NO",
	"on",   "Off",     "y",    "N",     "0",     "12",      "-3",    "+4",         "1_000",
	"0x1F", "0b101",   "0o17", "017",   "12:30", "1:2:3.5", "1.5",   ".5",         "5.",
	"1e3",  "-1.5E-3", ".inf", "-.Inf", ".NaN",  "<<",      "=",     "2026-05-01", "2026-05-01T10:00:00Z",
};

START_TEST(strings_that_look_like_something_else_are_quoted)
{
	struct json_object *value = json_object_new_string(quoted[_i]);
	char *yaml = yaml_emit(value);

	ck_assert_int_eq(yaml[0], '"');
	free(yaml);
	json_object_put(value);
}
END_TEST

static const char *const strings[] = {
	"plain",
	"a: b",
	"a #b",
	"# a",
	"- a",
	"[a",
	"{a",
	"*a",
	"&a",
	"!a",
	"%a",
	"@a",
	"`a",
	"'a'",
	"\"a\"",
	"? a",
	" lead",
	"trail ",
	"\n",
	"\n\n",
	"a\n",
	"a\n\n",
	"\na",
	" a\nb",
	"a \nb",
	"a\n b\n\tc\n",
	"\ta\nb",
	"a\r\nb",
	"a\rb",
	"a\xc2\x85"
	"b",
	"a\xe2\x80\xa8"
	"b",
	"tab\there",
	"\x1b[0m\x01",
	"\xef\xbb\xbf"
	"bom",
	"---",
	"--- a\n...\n",
	"\xf0\x9f\x98\x80 smile\nx",
	"\xc2\x9b"
	"2J",
	"a\xe2\x80\xae"
	"b\nZ\xc3\xbcrich",
	"\xe2\x81\xa6"
	"x\xe2\x81\xa9",
	"\xf3\xa0\x81\x81",
	"very long very long very long very long very long very long very long very long very long very long "
	"very long very long very long",
};

/* The only scalar of the document, as libyaml reads it. */
static char *read_back(const char *yaml)
{
	yaml_parser_t parser;
	yaml_document_t document;
	yaml_node_t *root;
	char *text;

	ck_assert(yaml_parser_initialize(&parser));
	yaml_parser_set_input_string(&parser, (const yaml_char_t *)yaml, strlen(yaml));
	ck_assert_msg(yaml_parser_load(&parser, &document), "%s in %s", parser.problem, yaml);
	root = yaml_document_get_root_node(&document);
	ck_assert_ptr_nonnull(root);
	root = yaml_document_get_node(&document, root->data.sequence.items.start[0]);
	ck_assert_int_eq(root->type, YAML_SCALAR_NODE);
	text = strdup((const char *)root->data.scalar.value);
	yaml_document_delete(&document);
	yaml_parser_delete(&parser);
	return text;
}

START_TEST(every_string_comes_back)
{
	struct json_object *list = json_object_new_array();
	char *yaml, *text;

	json_object_array_add(list, json_object_new_string(strings[_i]));
	yaml = yaml_emit(list);
	ck_assert_msg(text_is_printable(yaml, TEXT_BLOCK), "%s", yaml);
	text = read_back(yaml);
	ck_assert_str_eq(text, strings[_i]);
	free(text);
	free(yaml);
	json_object_put(list);
}
END_TEST

static const struct {
	const char *bytes, *json;
} json_texts[] = {
	{NULL, "null"},
	{"", "\"\""},
	{"Z\xc3\xbcrich \"x\"\n", "\"Z\xc3\xbcrich \\\"x\\\"\\n\""},
	{"caf\xe9", "\"caf\xef\xbf\xbd\""},
	{"cut \xe2\x82", "\"cut \xef\xbf\xbd\xef\xbf\xbd\""},
	{"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
};

START_TEST(json_is_always_utf8)
{
	struct json_object *json = text_json(json_texts[_i].bytes);

	ck_assert_str_eq(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN), json_texts[_i].json);
	json_object_put(json);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("text");
	TCase *text = tcase_create("text"), *yaml = tcase_create("yaml");

	tcase_add_loop_test(text, utf8_is_decoded_as_rfc_3629_says, 0, N(characters));
	tcase_add_loop_test(text, what_a_terminal_would_obey_is_escaped, 0, N(printables));
	tcase_add_test(text, width_counts_characters);
	tcase_add_loop_test(text, distance_counts_mistakes, 0, N(distances));
	tcase_add_loop_test(text, what_is_cut_says_so_and_stays_utf8, 0, N(shortenings));
	tcase_add_loop_test(text, json_is_always_utf8, 0, N(json_texts));
	suite_add_tcase(suite, text);
	tcase_add_loop_test(yaml, json_becomes_block_yaml, 0, N(documents));
	tcase_add_loop_test(yaml, strings_that_look_like_something_else_are_quoted, 0, N(quoted));
	tcase_add_loop_test(yaml, every_string_comes_back, 0, N(strings));
	suite_add_tcase(suite, yaml);
	return suite_run(suite);
}
