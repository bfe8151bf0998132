/* Which files are taken for a key or a password. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret_file.h"
#include "tests/suite.h"
#include "tests/temp.h"

#define NOBODY 65534

static char *path;

static void setup(void)
{
	temp_make();
	path = temp_path("secret");
}

static void teardown(void)
{
	FREE(path);
	temp_remove();
}

/* What was read, or why not, without the path. */
static char *read_secret(enum secret_kind kind, bool careful)
{
	struct err err;
	char *text;

	if (secret_file_read(path, kind, careful, &text, &err) == 0)
		return text;
	ck_assert_int_eq(err.kind, ERR_PERMANENT);
	ck_assert(strncmp(err.message, path, strlen(path)) == 0);
	return xasprintf("!%s", err.message + strlen(path) + 2);
}

static void expect(enum secret_kind kind, bool careful, const char *start)
{
	char *text = read_secret(kind, careful);

	if (*start == '!')
		ck_assert_msg(strncmp(text, start, strlen(start)) == 0, "%s", text);
	else
		ck_assert_str_eq(text, start);
	free(text);
}

#define LINES "!has more than one line"

static const struct {
	const char *bytes;
	size_t len;
	const char *password, *key;
} texts[] = {
	{"hunter2", 7, "hunter2", "hunter2"},
	{"hunter2\n", 8, "hunter2", "hunter2\n"},
	{"hunter2\r\n", 9, "hunter2", "hunter2\r\n"},
	{" two words \n", 12, " two words ", " two words \n"},
	{"root:x:0:0\nme:x:1:1\n", 20, LINES, "root:x:0:0\nme:x:1:1\n"},
	{"a\n\n", 3, LINES, "a\n\n"},
	{"\na\n", 3, LINES, "\na\n"},
	{"a\rb\n", 4, LINES, "a\rb\n"},
	{"", 0, "!is empty", ""},
	{"\n", 1, "!is empty", "\n"},
	{"a\0b\n", 4, "!is not a text", "!is not a text"},
	{"a\0", 2, "!is not a text", "!is not a text"},
};

START_TEST(a_password_is_the_only_line)
{
	write_file(path, texts[_i].bytes, texts[_i].len);
	ck_assert_int_eq(chmod(path, 0600), 0);
	expect(SECRET_PASSWORD, true, texts[_i].password);
	expect(SECRET_PASSWORD, false, texts[_i].password);
	expect(SECRET_KEY, true, texts[_i].key);
}
END_TEST

#define EVERYBODY "!everybody may read it"
#define OTHERS "!others may write to it"

/* systemd's credentials are 0400 with a list of who else may, or 0440: the list's mask shows as the group's.
 */
static const struct {
	mode_t mode;
	const char *password, *key;
} modes[] = {
	{0400, "x", "x"},       {0600, "x", "x"},       {0440, "x", "x"},       {0640, "x", "x"},
	{0604, EVERYBODY, "x"}, {0644, EVERYBODY, "x"}, {0444, EVERYBODY, "x"}, {0620, OTHERS, OTHERS},
	{0602, OTHERS, OTHERS}, {0660, OTHERS, OTHERS}, {0666, OTHERS, OTHERS},
};

START_TEST(who_else_may_get_at_it_counts)
{
	write_text(path, "x");
	ck_assert_int_eq(chmod(path, modes[_i].mode), 0);
	expect(SECRET_PASSWORD, true, modes[_i].password);
	expect(SECRET_KEY, true, modes[_i].key);
	/* A person may read what they may read. */
	expect(SECRET_PASSWORD, false, "x");
}
END_TEST

START_TEST(it_belongs_to_root_or_to_us)
{
	write_text(path, "x");
	ck_assert_int_eq(chmod(path, 0600), 0);
	if (geteuid() != 0 || chown(path, NOBODY, NOBODY) < 0)
		return; /* only root can give files away */
	expect(SECRET_PASSWORD, true, "!belongs to user 65534, not to root or to user 0");
	expect(SECRET_KEY, true, "!belongs to user 65534");
	expect(SECRET_PASSWORD, false, "x");
	ck_assert_int_eq(chmod(temp_dir, 0755), 0);
	ck_assert_int_eq(seteuid(NOBODY), 0);
	expect(SECRET_PASSWORD, true, "x");
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(chown(path, 0, NOBODY) | chmod(path, 0440), 0);
	ck_assert_int_eq(setegid(NOBODY) | seteuid(NOBODY), 0);
	expect(SECRET_PASSWORD, true, "x");
	ck_assert_int_eq(seteuid(0) | setegid(0), 0);
}
END_TEST

/* Nobody writes to the FIFO: who waits for it waits for ever, and Check ends the test. */
START_TEST(only_a_file_is_opened_and_nothing_waits)
{
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	expect(SECRET_PASSWORD, true, "!not a file");
	expect(SECRET_KEY, false, "!not a file");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	expect(SECRET_PASSWORD, true, "!Is a directory");
	ck_assert_int_eq(rmdir(path), 0);
	expect(SECRET_PASSWORD, true, "!No such file or directory");
	ck_assert_int_eq(symlink("/dev/zero", path), 0);
	expect(SECRET_KEY, true, "!not a file");
}
END_TEST

/* As Kubernetes mounts secrets: the link is anybody's, the file at its end counts. */
START_TEST(a_link_leads_to_the_file_that_counts)
{
	char *target = temp_path("target");

	write_text(target, "x\n");
	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(chmod(target, 0600), 0);
	expect(SECRET_PASSWORD, true, "x");
	ck_assert_int_eq(chmod(target, 0644), 0);
	expect(SECRET_PASSWORD, true, EVERYBODY);
	free(target);
}
END_TEST

START_TEST(what_is_too_large_is_no_secret)
{
	char *text = xcalloc(1, SECRET_FILE_MAX_BYTES + 1);

	memset(text, 'x', SECRET_FILE_MAX_BYTES + 1);
	write_file(path, text, SECRET_FILE_MAX_BYTES + 1);
	expect(SECRET_KEY, true, "!larger than 65536 bytes");
	write_file(path, text, SECRET_FILE_MAX_BYTES);
	ck_assert_int_eq(chmod(path, 0600), 0);
	text[SECRET_FILE_MAX_BYTES] = '\0';
	expect(SECRET_PASSWORD, true, text);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("secret files");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, a_password_is_the_only_line, 0, N(texts));
	tcase_add_loop_test(tcase, who_else_may_get_at_it_counts, 0, N(modes));
	tcase_add_test(tcase, it_belongs_to_root_or_to_us);
	tcase_add_test(tcase, only_a_file_is_opened_and_nothing_waits);
	tcase_add_test(tcase, a_link_leads_to_the_file_that_counts);
	tcase_add_test(tcase, what_is_too_large_is_no_secret);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
