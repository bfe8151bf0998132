#include "tests/golden.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/spec/yaml_tree.h"

#define MAX_BYTES (1 << 20)

static const char *subject;
static golden_answer *answer_of;
static struct dirent **cases;

static char *dir_of(const struct dirent *entry)
{
	return xasprintf(TOP_SRCDIR "/tests/cases/%s/%s", subject, entry->d_name);
}

char *golden_read(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name), *text = NULL;
	struct err err;

	if (file_read(path, MAX_BYTES, &text, &err) < 0)
		text = NULL;
	free(path);
	return text;
}

struct yaml_tree *golden_tree(const char *dir, const char *name)
{
	static const struct yaml_limits limits = {.max_bytes = 1 << 16, .max_values = 4096, .max_depth = 8};
	char *text = golden_read(dir, name);
	struct yaml_tree *tree;
	struct err err;

	ck_assert_msg(text, "%s has no %s", dir, name);
	tree = yaml_tree_parse(text, strlen(text), &limits, NULL, NULL, &err);
	ck_assert_msg(tree, "%s: %s", dir, err.message);
	free(text);
	return tree;
}

static void update(const char *dir, const char *text)
{
	char *path = xasprintf("%s/expected.txt", dir);
	FILE *file = fopen(path, "w");

	ck_assert_msg(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s cannot be written", path);
	free(path);
}

START_TEST(a_case)
{
	char *dir = dir_of(cases[_i]), *got = answer_of(dir), *expected;

	ck_assert_msg(*got, "%s: nothing follows", dir);
	if (getenv("APILB_UPDATE_CASES"))
		update(dir, got);
	expected = golden_read(dir, "expected.txt");
	ck_assert_msg(text_equal(expected, got), "%s\n-- expected\n%s-- is\n%s", dir,
		      expected ? expected : "(no expected.txt)\n", got);
	free(expected);
	free(got);
	free(dir);
}
END_TEST

static int is_case(const struct dirent *entry)
{
	char *path = dir_of(entry);
	struct stat st;
	bool is = entry->d_name[0] != '.' && stat(path, &st) == 0 && S_ISDIR(st.st_mode);

	free(path);
	return is;
}

void golden_add(Suite *suite, const char *of, golden_answer *answer)
{
	char *dir = xasprintf(TOP_SRCDIR "/tests/cases/%s", of);
	TCase *tc = tcase_create("cases");
	int n;

	subject = of;
	answer_of = answer;
	n = scandir(dir, &cases, is_case, alphasort);
	if (n <= 0) {
		fprintf(stderr, "no cases in %s\n", dir);
		exit(EXIT_FAILURE);
	}
	free(dir);
	tcase_add_loop_test(tc, a_case, 0, n);
	suite_add_tcase(suite, tc);
}
