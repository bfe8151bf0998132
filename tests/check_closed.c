/* What a struct is made of is its folder's alone: its NAME_internal.h is included there, and by its own
 * tests. */
#include <check.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "tests/suite.h"

#define INCLUDE "#include \""
#define INTERNAL "_internal.h"

/* Of "daemon/host/host_internal.h": "daemon/host". The caller frees. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return xstrndup(path, slash ? (size_t)(slash - path) : 0);
}

/* Of daemon/host/host_internal.h: tests/check_host.c, and what begins so. */
static bool is_test_of(const char *path, const char *header)
{
	const char *name = strrchr(header, '/') + 1;
	char *test = xasprintf("tests/check_%.*s", (int)(strlen(name) - strlen(INTERNAL)), name);
	bool is = strncmp(path, test, strlen(test)) == 0;

	free(test);
	return is;
}

static void check_include(const char *path, const char *header)
{
	char *mine = folder_of(path), *its = folder_of(header);

	ck_assert_msg(strcmp(mine, its) == 0 || is_test_of(path, header),
		      "%s includes %s, which is for %s/ alone: what it needs is to be in a public header",
		      path, header, its);
	free(mine);
	free(its);
}

static bool text_ends(const char *text, const char *end)
{
	size_t len = strlen(text), tail = strlen(end);

	return len > tail && strcmp(text + len - tail, end) == 0;
}

/* Returns how many such headers it includes. */
static size_t check_file(const char *path, char *text)
{
	size_t n = 0;

	for (char *at = text; (at = strstr(at, INCLUDE)) != NULL;) {
		char *header = at + strlen(INCLUDE), *end = strchr(header, '"');

		ck_assert_ptr_nonnull(end);
		*end = '\0';
		at = end + 1;
		if (!text_ends(header, INTERNAL))
			continue;
		check_include(path, header);
		n++;
	}
	return n;
}

START_TEST(nobody_looks_into_what_is_somebody_elses)
{
	static const char *const patterns[] = {"common/*.[ch]",   "ctl/*.[ch]",        "daemon/*.[ch]",
					       "daemon/*/*.[ch]", "daemon/*/*/*.[ch]", "tests/*.[ch]"};
	size_t includes = 0;

	for (size_t p = 0; p < sizeof(patterns) / sizeof(patterns[0]); p++) {
		char *pattern = xasprintf(TOP_SRCDIR "/%s", patterns[p]);
		glob_t found;

		ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
		for (size_t i = 0; i < found.gl_pathc; i++) {
			struct err err;
			char *text = NULL;

			ck_assert_msg(file_read(found.gl_pathv[i], 1 << 20, &text, &err) == 0, "%s",
				      err.message);
			includes += check_file(found.gl_pathv[i] + strlen(TOP_SRCDIR "/"), text);
			free(text);
		}
		globfree(&found);
		free(pattern);
	}
	ck_assert_uint_gt(includes, 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("closed");
	TCase *tests = tcase_create("closed");

	tcase_add_test(tests, nobody_looks_into_what_is_somebody_elses);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
