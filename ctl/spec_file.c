#include "ctl/spec_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/spec/certificates.h"

static int read_error(struct spec_errors *errors, const char *path)
{
	spec_errors_add(errors, path, 0, 0, "", "cannot be read: %s", strerror(errno));
	return -1;
}

/* Reads little more than the limit: spec_parse then says that the file is too large. */
static char *read_stream(FILE *in, size_t *len)
{
	size_t size = 65536, n;
	char *text = xcalloc(1, size);

	*len = 0;
	while (*len <= SPEC_MAX_BYTES && (n = fread(text + *len, 1, size - *len, in)) > 0) {
		*len += n;
		if (*len == size)
			text = xrealloc(text, size *= 2);
	}
	return text;
}

static int read_named(void *arg, const char *path, char **text, struct err *err)
{
	(void)arg;
	return file_read(path, CERTIFICATES_MAX_BYTES, text, err);
}

static void parse(struct spec_list *list, const char *name, const char *text, size_t len)
{
	/* Nobody asks the daemon which instances it has recorded, so an empty list is an error, as with
	 * --check. */
	const struct spec_context context = {
		.have_agent = getenv("SSH_AUTH_SOCK") != NULL,
		.read_file = read_named,
	};
	struct spec *spec = spec_parse(name, text, len, &context, &list->errors);

	if (!spec)
		return;
	list->specs = xreallocarray(list->specs, list->n + 1, sizeof(struct spec *));
	list->specs[list->n++] = spec;
}

static void add_file(struct spec_list *list, const char *path)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *in = standard ? stdin : fopen(path, "re");
	size_t len;
	char *text;

	if (!in) {
		read_error(&list->errors, path);
		return;
	}
	text = read_stream(in, &len);
	if (ferror(in))
		read_error(&list->errors, path);
	else
		parse(list, standard ? "stdin.yaml" : path, text, len);
	explicit_bzero(text, len); /* the text may hold passwords and keys */
	free(text);
	if (!standard)
		fclose(in);
}

static int is_spec_or_mistaken(const struct dirent *entry)
{
	char *name = spec_name_from_file(entry->d_name);

	free(name);
	return name != NULL || spec_name_mistake(entry->d_name) != NULL;
}

/* Remarks about what is no error, but probably not meant: a check of the wrong directory would never fail. */
static void note(const char *path, const char *about, const char *why)
{
	char *safe = text_printable(path, TEXT_LINE);

	fprintf(stderr, "%s%s: %s\n", safe, about, why);
	free(safe);
}

static void add_directory(struct spec_list *list, const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, is_spec_or_mistaken, alphasort);
	size_t specs = 0;

	if (n < 0) {
		read_error(&list->errors, path);
		return;
	}
	for (int i = 0; i < n; i++) {
		/* A shell completes the name of a directory with a slash. */
		const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
		char *file = xasprintf("%s%s%s", path, slash, entries[i]->d_name);
		const char *mistake = spec_name_mistake(entries[i]->d_name);

		if (mistake)
			note(file, " is not read", mistake);
		else
			add_file(list, file);
		specs += !mistake;
		free(file);
		free(entries[i]);
	}
	free(entries);
	if (specs == 0)
		note(path, "", "no spec is in this directory (a spec's name ends in .yaml or .yml)");
}

void spec_list_add(struct spec_list *list, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *mistake = spec_name_mistake(slash ? slash + 1 : path);
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		add_directory(list, path);
		return;
	}
	if (mistake)
		note(path, " would not be read from a spec directory", mistake);
	add_file(list, path);
}

void spec_list_clear(struct spec_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		spec_free(list->specs[i]);
	free(list->specs);
	spec_errors_clear(&list->errors);
	memset(list, 0, sizeof(*list));
}

void spec_list_print_errors(const struct spec_list *list)
{
	for (size_t i = 0; i < list->errors.n; i++) {
		char *text = spec_error_text(&list->errors.v[i]);
		char *safe = text_printable(text, TEXT_LINE);

		fprintf(stderr, "%s\n", safe);
		free(safe);
		free(text);
	}
}
