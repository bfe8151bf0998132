/* Specs by example: tests/cases/spec. */
#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "daemon/core/spec/spec.h"
#include "tests/golden.h"
#include "tests/spec_dump.h"
#include "tests/suite.h"

#define MAX_FILES 8

static int is_spec(const struct dirent *entry)
{
	char *name = spec_name_from_file(entry->d_name);

	free(name);
	return name != NULL;
}

/* A file that a spec names lies in its case, whatever directory the spec gives. */
static int read_named(void *arg, const char *path, char **text, struct err *err)
{
	*text = golden_read(arg, strrchr(path, '/') + 1);
	return *text ? 0 : err_set(err, ERR_SPEC, "%s: No such file or directory", path);
}

static bool something_recorded(void *arg)
{
	(void)arg;
	return true;
}

static struct spec_context read_context(const char *dir)
{
	char *text = golden_read(dir, "context"), *rest = text, *word;
	struct spec_context context = {.read_file = read_named, .arg = (void *)dir};

	while ((word = strsep(&rest, " \n")) != NULL) {
		ck_assert_msg(golden_is_one_of("agent, recorded", word) || !*word, "%s: context %s?", dir,
			      word);
		context.have_agent |= strcmp(word, "agent") == 0;
		if (strcmp(word, "recorded") == 0)
			context.has_recorded = something_recorded;
	}
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
		char *text = golden_read(dir, files[i]->d_name);

		specs[valid] = spec_parse(files[i]->d_name, text, strlen(text), &context, &errors);
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

static char *answer_to(const char *dir)
{
	size_t len;
	char *text;
	FILE *out = text_open(&text, &len);

	run_case(dir, out);
	text_close(out);
	return text;
}

int main(void)
{
	Suite *suite = suite_create("spec cases");

	golden_add(suite, "spec", NULL, answer_to);
	return suite_run(suite);
}
