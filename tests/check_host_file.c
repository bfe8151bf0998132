/* What stands at a path of a host, and whether a config of ours may take its place. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/host_file.h"
#include "tests/suite.h"

#define SIZE "\"size\": 7"

/* The engine's stat. Go's FileMode of each kind, as GET /containers/{id}/archive gives it. */
static const struct {
	const char *stat;
	enum host_file_kind kind;
	int64_t size;
	int mode;
	bool readable;
} stats[] = {
	{"{\"mode\": 420, " SIZE ", \"mtime\": \"t\"}", HOST_FILE_REGULAR, 7, 0644, true},
	{"{\"mode\": 8388992, " SIZE "}", HOST_FILE_REGULAR, 7, 0600, true}, /* setuid */
	{"{\"mode\": 420, \"size\": 4194304}", HOST_FILE_REGULAR, 4194304, 0644, true},
	{"{\"mode\": 420, \"size\": 4194305}", HOST_FILE_REGULAR, 4194305, 0644, false},
	{"{\"mode\": 420, \"size\": 9223372036854775807}", HOST_FILE_REGULAR, INT64_MAX, 0644, false},
	{"{\"mode\": 2147484141, " SIZE "}", HOST_FILE_DIRECTORY, 7, 0755, false},
	{"{\"mode\": 134218239, " SIZE "}", HOST_FILE_LINK, 7, 0777, false},
	{"{\"mode\": 33554852, " SIZE "}", HOST_FILE_SPECIAL, 7, 0644, false}, /* a pipe */
	{"{\"mode\": 16777645, " SIZE "}", HOST_FILE_SPECIAL, 7, 0655, false}, /* a socket */
	{"{\"mode\": 67109284, " SIZE "}", HOST_FILE_SPECIAL, 7, 0644, false}, /* a block device */
	{"{\"mode\": 69206436, " SIZE "}", HOST_FILE_SPECIAL, 7, 0644, false}, /* a character device */
	{"{}", HOST_FILE_REGULAR, -1, -1, true},
	{"{\"mode\": null, \"size\": null, \"mtime\": null}", HOST_FILE_REGULAR, -1, -1, true},
	{"[1]", HOST_FILE_REGULAR, -1, -1, true},
	{"5", HOST_FILE_REGULAR, -1, -1, true},
	{"{\"mode\"", HOST_FILE_REGULAR, -1, -1, true},
	{NULL, HOST_FILE_REGULAR, -1, -1, true},
};

START_TEST(a_stat_tells_what_it_is)
{
	struct host_file file = {.text = xstrdup("of the last look")};

	host_file_stat(&file, stats[_i].stat);
	ck_assert_int_eq(file.kind, stats[_i].kind);
	ck_assert_int_eq(file.size, stats[_i].size);
	ck_assert_int_eq(file.mode, stats[_i].mode);
	ck_assert_ptr_null(file.text);
	ck_assert_int_eq(host_file_is_readable(&file), stats[_i].readable);
	host_file_clear(&file);
}
END_TEST

#define OURS "# Written by apilbd. Changes made here do not stay: change the spec.\n"
#define BLUES "# Written by apilbd (owner blue). Changes made here do not stay: change the spec.\n"
#define BLUE_ONES "# Written by apilbd (owner blue-2). Changes made here do not stay: change the spec.\n"
#define NOT_OURS "is not ours (a file of "

/* NULL: it may be written over. */
static const struct {
	const char *owner, *text, *objection;
} texts[] = {
	{"apilb", OURS "global\n", NULL},
	{"apilb", OURS, NULL},
	{"apilb", "# Written by apilbd. In other words than ours\n", NULL},
	{"apilb", "# Written by apilbd\n",
	 NOT_OURS "20 bytes that does not begin with \"# Written by apilbd.\")"},
	{"apilb", "", NULL},
	{"apilb", "#", NULL},
	{"apilb", "# Written by apil", NULL},
	{"apilb", "# Written by apilbd. Chan", NULL},
	{"apilb", "global\n", NOT_OURS "7 bytes that does not begin with \"# Written by apilbd.\")"},
	{"apilb", "\n" OURS, NOT_OURS "70 bytes that does not begin with \"# Written by apilbd.\")"},
	{"apilb", "# written by apilbd",
	 NOT_OURS "19 bytes that does not begin with \"# Written by apilbd.\")"},
	{"apilb", "##", NOT_OURS "2 bytes that does not begin with \"# Written by apilbd.\")"},
	{"apilb", BLUES, "belongs to the apilbd whose owner is \"blue\""},
	{"apilb", "# Written by apilbd (owner blue", "belongs to the apilbd whose owner is \"blue\""},
	{"blue", BLUES "global\n", NULL},
	{"blue", "# Written by apilbd (owner blu", NULL},
	{"blue", "# Written by", NULL},
	{"blue", BLUE_ONES, "belongs to the apilbd whose owner is \"blue-2\""},
	{"blue-2", BLUES, "belongs to the apilbd whose owner is \"blue\""},
	{"blue", OURS, "belongs to the apilbd whose owner is \"apilb\""},
};

START_TEST(a_text_tells_whose_it_is)
{
	struct host_file file = {.kind = HOST_FILE_REGULAR, .text = xstrdup(texts[_i].text)};
	char *objection;

	file.size = (int64_t)(file.len = strlen(file.text));
	objection = host_file_objection(&file, texts[_i].owner, false);
	ck_assert_pstr_eq(objection, texts[_i].objection);
	ck_assert_ptr_null(host_file_objection(&file, texts[_i].owner, true));
	free(objection);
	host_file_clear(&file);
}
END_TEST

START_TEST(what_we_write_begins_with_our_line)
{
	char *ours = host_file_head("apilb"), *blues = host_file_head("blue");

	ck_assert_str_eq(ours, OURS);
	ck_assert_str_eq(blues, BLUES);
	free(ours);
	free(blues);
}
END_TEST

/* Of the default owner. Where something else says that it was ours, only what is in a directory is spared. */
static const struct {
	struct host_file file;
	const char *objection, *although_ours;
} others[] = {
	{{.kind = HOST_FILE_UNKNOWN}, NULL, NULL},
	{{.kind = HOST_FILE_MISSING}, NULL, NULL},
	{{.kind = HOST_FILE_REGULAR, .size = 0}, NULL, NULL},
	{{.kind = HOST_FILE_REGULAR, .size = 5}, "may not be ours (its text was not read)", NULL},
	{{.kind = HOST_FILE_REGULAR, .size = -1}, "may not be ours (its text was not read)", NULL},
	{{.kind = HOST_FILE_REGULAR, .size = 1 << 30}, NOT_OURS "1073741824 bytes)", NULL},
	{{.kind = HOST_FILE_DIRECTORY}, "is a directory", "is a directory"},
	{{.kind = HOST_FILE_EMPTY_DIRECTORY}, "is a directory", NULL},
	{{.kind = HOST_FILE_LINK}, "is a symbolic link", NULL},
	{{.kind = HOST_FILE_SPECIAL}, "is not a regular file", NULL},
};

START_TEST(a_kind_tells_what_may_be_written_over)
{
	char *objection = host_file_objection(&others[_i].file, "apilb", false);
	char *although_ours = host_file_objection(&others[_i].file, "apilb", true);

	ck_assert_pstr_eq(objection, others[_i].objection);
	ck_assert_pstr_eq(although_ours, others[_i].although_ours);
	free(objection);
	free(although_ours);
}
END_TEST

#define LOOP(tests, test, table) tcase_add_loop_test(tests, test, 0, N(table))

int main(void)
{
	Suite *suite = suite_create("host file");
	TCase *tests = tcase_create("what and whose");

	LOOP(tests, a_stat_tells_what_it_is, stats);
	LOOP(tests, a_text_tells_whose_it_is, texts);
	LOOP(tests, a_kind_tells_what_may_be_written_over, others);
	tcase_add_test(tests, what_we_write_begins_with_our_line);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
