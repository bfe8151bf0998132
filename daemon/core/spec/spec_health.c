#include "daemon/core/spec/spec_health.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"
#include "daemon/core/hash.h"
#include "daemon/core/spec/certificates.h"

/* A file that was read, or an attempt to. */
struct named_file {
	UT_hash_handle hh;
	char *path;
	char *text; /* NULL: the file cannot be used, and err says why */
	struct err err;
};

struct spec_files {
	const struct spec_context *context;
	struct named_file *by_path;
};

struct spec_files *spec_files_new(const struct spec_context *context)
{
	struct spec_files *files = xcalloc(1, sizeof(*files));

	files->context = context;
	return files;
}

void spec_files_free(struct spec_files *files)
{
	struct named_file *file, *tmp;

	HASH_ITER (hh, files->by_path, file, tmp) {
		HASH_DEL(files->by_path, file);
		free(file->path);
		free(file->text);
		free(file);
	}
	free(files);
}

struct spec_source *spec_files_sources(const struct spec_files *files, size_t *n)
{
	struct spec_source *sources = xcalloc(HASH_COUNT(files->by_path), sizeof(*sources));
	struct named_file *file, *tmp;

	*n = 0;
	HASH_ITER (hh, files->by_path, file, tmp) {
		struct spec_source *source = &sources[*n];

		if (!file->text)
			continue;
		source->path = xstrdup(file->path);
		sha256_hex(file->text, strlen(file->text), source->sha256);
		++*n;
	}
	return sources;
}

static const struct named_file *find(const struct spec_files *files, const char *path)
{
	struct named_file *file;

	HASH_FIND_STR(files->by_path, path, file);
	return file;
}

/* The file at the path; reads it at the first call. */
static const struct named_file *file_at(struct spec_files *files, const char *path)
{
	const struct spec_context *context = files->context;
	const struct named_file *known = find(files, path);
	struct named_file *file;
	struct err why;

	if (known)
		return known;
	file = xcalloc(1, sizeof(*file));
	file->path = xstrdup(path);
	HASH_ADD_KEYPTR(hh, files->by_path, file->path, strlen(file->path), file);
	if (context->read_file(context->arg, path, &file->text, &file->err) == 0 &&
	    certificates_check(file->text, &why) < 0) {
		FREE(file->text);
		err_set(&file->err, ERR_SPEC, "%s %s", path, why.message);
	}
	return file;
}

static const struct yaml_value *text_in(const struct yaml_value *map, const char *key)
{
	const struct yaml_value *value = given(map, key);

	return value && value->kind == YAML_TEXT ? value : NULL;
}

static bool is_insecure(const struct yaml_value *health)
{
	const struct yaml_value *value = text_in(health, "insecure");

	return value && strcmp(value->text, "true") == 0;
}

static bool has_ca(const struct yaml_value *health)
{
	return given(health, "ca") || given(health, "caFile");
}

static void check_ca_file(struct spec_files *files, struct yaml_value *value, struct report *report)
{
	const struct named_file *file;
	size_t before;

	if (!value || value->kind != YAML_TEXT || value->marked || !files->context->read_file)
		return;
	file = file_at(files, value->text);
	before = report_key(report, "caFile");
	if (!file->text)
		report_value(report, value, "%s", file->err.message);
	report_up(report, before);
}

void spec_health_check(struct spec_files *files, const struct yaml_value *map, struct report *report)
{
	struct yaml_value *health = given(map, "healthCheck");
	size_t before;

	if (!health || health->kind != YAML_MAP)
		return;
	before = report_key(report, "healthCheck");
	if (is_insecure(health) && has_ca(health)) {
		size_t key = report_key(report, "insecure");

		report_value(report, given(health, "insecure"),
			     "insecure: true and a CA are both given: only one of them may be given");
		report_up(report, key);
	}
	check_ca_file(files, given(health, "caFile"), report);
	report_up(report, before);
}

void spec_health_finish(const struct spec_files *files, struct spec_health_check *health,
			const struct spec_layers *layers, struct spec_merge *merge)
{
	const struct named_file *file = health->ca_file ? find(files, health->ca_file) : NULL;

	if (file && file->text) {
		health->ca = xstrdup(file->text);
		merge->bytes += strlen(health->ca);
	}
	/* The first layer that gives a CA or `insecure` decides. */
	for (size_t i = 0; i < SPEC_MAX_LAYERS; i++) {
		const struct yaml_value *own = given(layers->map[i], "healthCheck");

		if (has_ca(own)) {
			health->insecure = false;
			return;
		}
		if (is_insecure(own)) {
			FREE(health->ca);
			FREE(health->ca_file);
			return;
		}
	}
}
