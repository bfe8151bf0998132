#include "daemon/specs.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/hash.h"

struct specs {
	struct store *store;
	struct events *events;
	bool have_agent;
	bool looked; /* the directory has been read once */
	struct spec_file **files;
	size_t n;
};

struct specs *specs_new(struct store *store, struct events *events, bool have_agent)
{
	struct specs *specs = xcalloc(1, sizeof(*specs));

	specs->store = store;
	specs->events = events;
	specs->have_agent = have_agent;
	return specs;
}

static void file_free(struct spec_file *file)
{
	spec_free(file->spec);
	spec_errors_clear(&file->errors);
	free(file->name);
	free(file->path);
	free(file->told);
	free(file);
}

void specs_free(struct specs *specs)
{
	if (!specs)
		return;
	for (size_t i = 0; i < specs->n; i++)
		file_free(specs->files[i]);
	free(specs->files);
	free(specs);
}

struct spec_file *const *specs_files(const struct specs *specs, size_t *n)
{
	*n = specs->n;
	return specs->files;
}

static struct spec_file *find(const struct specs *specs, const char *name)
{
	for (size_t i = 0; i < specs->n; i++)
		if (strcmp(specs->files[i]->name, name) == 0)
			return specs->files[i];
	return NULL;
}

const struct spec_file *specs_find(const struct specs *specs, const char *name)
{
	return find(specs, name);
}

static struct spec_file *add(struct specs *specs, const char *name, const char *path)
{
	struct spec_file *file = xcalloc(1, sizeof(*file));

	file->name = xstrdup(name);
	file->path = xstrdup(path);
	specs->files = xreallocarray(specs->files, specs->n + 1, sizeof(*specs->files));
	specs->files[specs->n++] = file;
	return file;
}

int specs_recall(struct specs *specs, struct err *err)
{
	struct store_spec *rows;
	size_t n;

	if (store_load_specs(specs->store, &rows, &n, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		/* It was good once: an agent that is missing now must not make it bad. */
		const struct spec_context context = {.have_agent = true, .have_recorded = true};
		struct spec_errors errors = {0};
		struct spec_file *file = add(specs, rows[i].name, rows[i].file);

		file->spec = spec_parse(rows[i].file, rows[i].text, rows[i].len, &context, &errors);
		if (file->spec)
			sha256_hex(rows[i].text, rows[i].len, file->text_sha256);
		spec_errors_clear(&errors);
	}
	store_specs_free(rows, n);
	return 0;
}

/* A version that was just parsed, waiting to be put in force. */
struct candidate {
	struct spec_file *file;
	const struct watch_file *source;
	struct spec *spec;
};

/* The rules across files, with the candidate in the place of its file's version: last, so that it is the one
 * to blame. */
static bool fits(const struct specs *specs, const struct candidate *candidate, struct spec_errors *errors)
{
	const struct spec **all = xcalloc(specs->n + 1, sizeof(*all));
	size_t n = 0;
	bool good;

	for (size_t i = 0; i < specs->n; i++)
		if (specs->files[i] != candidate->file && specs->files[i]->spec)
			all[n++] = specs->files[i]->spec;
	all[n++] = candidate->spec;
	good = spec_check_fleet(all, n, errors) == 0;
	free(all);
	return good;
}

static void put_in_force(struct specs *specs, struct candidate *candidate)
{
	struct spec_file *file = candidate->file;

	spec_free(file->spec);
	file->spec = candidate->spec;
	candidate->spec = NULL;
	spec_errors_clear(&file->errors);
	FREE(file->told);
	if (!specs->store)
		return;
	store_put_spec(specs->store, &(struct store_spec){.name = file->name,
							  .file = file->path,
							  .text = candidate->source->text,
							  .len = candidate->source->len});
	events_add(specs->events, LOG_LEVEL_INFO, file->name, NULL, "spec-loaded", "%s: %zu load balancers",
		   file->path, file->spec->instances_n);
}

static char *errors_text(const struct spec_errors *errors)
{
	char *all = xstrdup("");

	for (size_t i = 0; i < errors->n; i++) {
		char *one = spec_error_text(&errors->v[i]);
		char *longer = xasprintf("%s%s\n", all, one);

		free(one);
		free(all);
		all = longer;
	}
	return all;
}

static void tell_rejected(struct specs *specs, struct spec_file *file)
{
	char *text = errors_text(&file->errors);

	if (!specs->store || (file->told && strcmp(file->told, text) == 0)) {
		free(text);
		return;
	}
	free(file->told);
	file->told = text;
	for (size_t i = 0; i < file->errors.n; i++) {
		char *one = spec_error_text(&file->errors.v[i]);

		events_add(specs->events, LOG_LEVEL_ERROR, file->name, NULL, "spec-invalid", "%s", one);
		free(one);
	}
	if (file->spec)
		events_add(specs->events, LOG_LEVEL_WARNING, file->name, NULL, "spec-kept",
			   "%s: its last good version stays in force", file->path);
}

/*
 * Two files may change at once (an instance moves from one to the other): so
 * whoever does not fit yet is tried again as long as another one got in.
 */
static bool admit(struct specs *specs, struct candidate *candidates, size_t n)
{
	bool any = false, progress;

	do {
		progress = false;
		for (size_t i = 0; i < n; i++) {
			if (!candidates[i].spec)
				continue;
			spec_errors_clear(&candidates[i].file->errors);
			if (!fits(specs, &candidates[i], &candidates[i].file->errors))
				continue;
			put_in_force(specs, &candidates[i]);
			any = progress = true;
		}
	} while (progress);
	return any;
}

/* Parses a file whose text has changed since it was last judged. */
static struct spec *judge(struct specs *specs, struct spec_file *file, const struct watch_file *source,
			  bool has_recorded)
{
	const struct spec_context context = {
		.have_agent = specs->have_agent,
		.have_recorded = has_recorded,
	};

	spec_errors_clear(&file->errors);
	if (!source->text) {
		file->text_sha256[0] = '\0';
		spec_errors_add(&file->errors, source->path, 0, 0, "", "%s", source->error);
		return NULL;
	}
	sha256_hex(source->text, source->len, file->text_sha256);
	return spec_parse(source->path, source->text, source->len, &context, &file->errors);
}

/* A version with errors is judged again each time: what it clashed with may have changed. */
static bool is_in_force(const struct spec_file *file, const struct watch_file *source)
{
	char sha256[SHA256_HEX_SIZE];

	if (!source->text || !file->spec || file->errors.n > 0)
		return false;
	sha256_hex(source->text, source->len, sha256);
	return strcmp(sha256, file->text_sha256) == 0;
}

static bool drop_absent(struct specs *specs)
{
	bool any = false;
	size_t kept = 0;

	for (size_t i = 0; i < specs->n; i++) {
		struct spec_file *file = specs->files[i];

		if (file->present) {
			specs->files[kept++] = file;
			continue;
		}
		if (specs->store) {
			store_delete_spec(specs->store, file->name);
			events_add(specs->events, LOG_LEVEL_INFO, file->name, NULL, "spec-removed",
				   "%s is gone: its load balancers are removed", file->path);
		}
		any = true;
		file_free(file);
	}
	specs->n = kept;
	return any;
}

/* "a.yaml" and "a.yml" give one name: the second stands for itself, with nothing but this error. */
static void refuse_twin(struct specs *specs, const struct spec_file *first, const struct watch_file *source)
{
	const char *base = strrchr(source->path, '/');
	struct spec_file *twin;

	base = base ? base + 1 : source->path;
	twin = find(specs, base);
	if (!twin)
		twin = add(specs, base, source->path);
	twin->present = true;
	spec_errors_clear(&twin->errors);
	spec_errors_add(&twin->errors, source->path, 0, 0, "",
			"gives the same spec name \"%s\" as %s, which counts: rename one of them",
			first->name, first->path);
	tell_rejected(specs, twin);
}

static struct spec_file *file_for(struct specs *specs, const struct watch_file *source)
{
	struct spec_file *file = find(specs, source->name);

	if (!file)
		file = add(specs, source->name, source->path);
	if (file->present) {
		refuse_twin(specs, file, source);
		return NULL;
	}
	file->present = true;
	if (strcmp(file->path, source->path) != 0) {
		free(file->path);
		file->path = xstrdup(source->path);
	}
	return file;
}

bool specs_update(struct specs *specs, const struct watch_listing *listing,
		  bool (*has_recorded)(void *arg, const char *name), void *arg)
{
	struct candidate *candidates = xcalloc(listing->n, sizeof(*candidates));
	size_t n = 0;
	bool changed;

	specs->looked = true;
	for (size_t i = 0; i < specs->n; i++)
		specs->files[i]->present = false;
	for (size_t i = 0; i < listing->n; i++) {
		const struct watch_file *source = &listing->files[i];
		struct spec_file *file = file_for(specs, source);

		if (!file || is_in_force(file, source))
			continue;
		candidates[n++] = (struct candidate){
			.file = file,
			.source = source,
			.spec = judge(specs, file, source, has_recorded(arg, source->name)),
		};
	}
	changed = drop_absent(specs);
	changed |= admit(specs, candidates, n);
	for (size_t i = 0; i < n; i++) {
		if (candidates[i].file->errors.n > 0)
			tell_rejected(specs, candidates[i].file);
		spec_free(candidates[i].spec);
	}
	free(candidates);
	return changed;
}

bool specs_may_remove(const struct specs *specs, const char *name)
{
	const struct spec_file *file = name ? find(specs, name) : NULL;

	if (!specs->looked)
		return false;
	return !file || file->spec;
}

bool specs_all_valid(const struct specs *specs)
{
	for (size_t i = 0; i < specs->n; i++)
		if (specs->files[i]->errors.n > 0)
			return false;
	return true;
}
