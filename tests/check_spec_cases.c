/*
 * The golden cases: tests/cases/spec/NAME/ has one or more specs and what comes
 * of them. See tests/cases/spec/README for the form and how to make new ones.
 */
#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/core/spec/spec.h"
#include "tests/spec_dump.h"

#define CASES TOP_SRCDIR "/tests/cases/spec"
#define MAX_FILES 8

static struct dirent **names;
static int names_n;

static int is_case(const struct dirent *entry)
{
	char *path = xasprintf(CASES "/%s", entry->d_name);
	struct stat st;
	int yes = entry->d_name[0] != '.' && stat(path, &st) == 0 && S_ISDIR(st.st_mode);

	free(path);
	return yes;
}

static int is_spec(const struct dirent *entry)
{
	char *name = spec_name_from_file(entry->d_name);

	free(name);
	return name != NULL;
}

/* The whole file, or NULL when there is none. */
static char *read_file(const char *dir, const char *name, size_t *len)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *file = fopen(path, "r");
	char *text = NULL;

	free(path);
	*len = 0;
	if (!file)
		return NULL;
	while (!feof(file)) {
		text = xrealloc(text, *len + 4096);
		*len += fread(text + *len, 1, 4095, file);
	}
	text[*len] = '\0';
	fclose(file);
	return text;
}

/* A file that a spec names lies in its case, whatever directory the spec gives. */
static int read_named(void *arg, const char *path, char **text, struct err *err)
{
	size_t len;

	*text = read_file(arg, strrchr(path, '/') + 1, &len);
	return *text ? 0 : err_set(err, ERR_SPEC, "%s: No such file or directory", path);
}

static bool something_recorded(void *arg)
{
	(void)arg;
	return true;
}

static struct spec_context read_context(const char *dir)
{
	size_t len;
	char *text = read_file(dir, "context", &len);
	struct spec_context context = {
		.have_agent = text && strstr(text, "agent"),
		.has_recorded = text && strstr(text, "recorded") ? something_recorded : NULL,
		.read_file = read_named,
		.arg = (void *)dir,
	};

	free(text);
	return context;
}

static void print_errors(FILE *out, const struct spec_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++) {
		char *text = spec_error_text(&errors->v[i]);

		fprintf(out, "%s\n", text);
		free(text);
	}
}

/* Every file by itself; when all are valid, all of them together. */
static void run_case(const char *dir, FILE *out)
{
	struct spec_context context = read_context(dir);
	struct spec_errors errors = {0};
	struct spec *specs[MAX_FILES];
	struct dirent **files;
	int n = scandir(dir, &files, is_spec, alphasort);
	int valid = 0;

	ck_assert_msg(n > 0 && n <= MAX_FILES, "%s: 1 to %d specs expected", dir, MAX_FILES);
	for (int i = 0; i < n; i++) {
		size_t len;
		char *text = read_file(dir, files[i]->d_name, &len);

		specs[valid] = spec_parse(files[i]->d_name, text, len, &context, &errors);
		if (specs[valid])
			spec_dump(out, specs[valid++]);
		free(text);
		free(files[i]);
	}
	free(files);
	if (valid == n)
		spec_check_fleet((const struct spec *const *)specs, (size_t)n, &errors);
	print_errors(out, &errors);
	for (int i = 0; i < valid; i++)
		spec_free(specs[i]);
	spec_errors_clear(&errors);
}

static void update(const char *dir, const char *text)
{
	char *path = xasprintf("%s/expected.txt", dir);
	FILE *file = fopen(path, "w");

	ck_assert_msg(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s cannot be written", path);
	free(path);
}

START_TEST(the_case_gives_what_is_expected)
{
	char *dir = xasprintf(CASES "/%s", names[_i]->d_name);
	char *expected, *got = NULL;
	size_t got_len, len;
	FILE *out = open_memstream(&got, &got_len);

	run_case(dir, out);
	fclose(out);
	if (getenv("APILB_UPDATE_CASES"))
		update(dir, got);
	expected = read_file(dir, "expected.txt", &len);
	ck_assert_msg(expected && strcmp(got, expected) == 0, "%s: expected:\n%s\ngot:\n%s", dir,
		      expected ? expected : "(no expected.txt)", got);
	free(expected);
	free(got);
	free(dir);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spec cases");
	TCase *cases = tcase_create("cases");
	SRunner *runner;
	int failed;

	names_n = scandir(CASES, &names, is_case, alphasort);
	if (names_n <= 0) {
		fprintf(stderr, "no cases in %s\n", CASES);
		return EXIT_FAILURE;
	}
	tcase_add_loop_test(cases, the_case_gives_what_is_expected, 0, names_n);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	for (int i = 0; i < names_n; i++)
		free(names[i]);
	free(names);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
