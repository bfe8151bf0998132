#include "daemon/specs/specs.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "common/words.h"
#include "daemon/core/hash.h"
#include "daemon/core/spec/spec_sharers.h"
#include "daemon/specs/named_files.h"
#include "daemon/specs/spec_admission.h"

struct specs {
	struct store *store;
	struct events *events;
	bool have_agent;
	bool looked;              /* the directory has been read once */
	struct spec_file **files; /* in the order in which they were first seen */
	size_t n;
	struct spec_file *by_name;
	struct spec_claims *claims; /* of the specs in force */
	size_t told_n;              /* the files before this index have no errors to tell */
	char **misnamed;
	size_t misnamed_n;
	struct named_files *named;
	struct words *released; /* files that versions have named that are not in force any more */
};

struct specs *specs_new(struct store *store, struct events *events, bool have_agent)
{
	struct specs *specs = xcalloc(1, sizeof(*specs));

	specs->store = store;
	specs->events = events;
	specs->have_agent = have_agent;
	specs->named = named_files_new(store);
	specs->claims = spec_claims_new();
	return specs;
}

static void file_free(struct specs *specs, struct spec_file *file)
{
	HASH_DEL(specs->by_name, file);
	if (file->spec)
		spec_claims_remove(specs->claims, file->spec);
	spec_free(file->spec);
	spec_free(file->refused);
	verdict_clear(&file->verdict);
	spec_errors_clear(&file->errors);
	free(file->name);
	free(file->path);
	free(file);
}

static void misnamed_clear(struct specs *specs)
{
	for (size_t i = 0; i < specs->misnamed_n; i++)
		free(specs->misnamed[i]);
	FREE(specs->misnamed);
	specs->misnamed_n = 0;
}

void specs_free(struct specs *specs)
{
	if (!specs)
		return;
	for (size_t i = 0; i < specs->n; i++)
		file_free(specs, specs->files[i]);
	free(specs->files);
	misnamed_clear(specs);
	named_files_free(specs->named);
	spec_claims_free(specs->claims);
	words_clear(&specs->released);
	free(specs);
}

const struct spec_file *const *specs_files(const struct specs *specs, size_t *n)
{
	*n = specs->n;
	return (const struct spec_file *const *)specs->files;
}

static struct spec_file *find(const struct specs *specs, const char *name)
{
	struct spec_file *file;

	HASH_FIND_STR(specs->by_name, name, file);
	return file;
}

const struct spec_file *specs_find(const struct specs *specs, const char *name)
{
	return find(specs, name);
}

/* twin: see refuse_twin. */
static struct spec_file *add(struct specs *specs, const char *name, const char *path, bool twin)
{
	struct spec_file *file = xcalloc(1, sizeof(*file));
	const char *key;

	file->twin = twin;
	file->name = xstrdup(name);
	file->path = xstrdup(path);
	specs->files = xreallocarray(specs->files, specs->n + 1, sizeof(*specs->files));
	specs->files[specs->n++] = file;
	key = twin ? file->path : file->name;
	HASH_ADD_KEYPTR(hh, specs->by_name, key, strlen(key), file);
	return file;
}

static bool taken_as_recorded(void *arg, const char *name)
{
	(void)arg;
	(void)name;
	return true;
}

static void recall(struct specs *specs, const struct store_spec *row)
{
	/* The text was good once: it stays good even if the agent is missing now. */
	struct verdict_context context = {
		.name = row->name,
		.have_agent = true,
		.named = specs->named,
		.read_file = named_files_recall,
		.has_recorded = taken_as_recorded,
	};
	struct spec_errors errors = {0};
	struct spec_file *file = add(specs, row->name, row->file, false);

	file->spec = verdict_parse(&file->verdict, &context, row->file, row->text, row->len, &errors);
	spec_errors_clear(&errors);
	if (!file->spec) {
		/* Newer rules must not make it bad either: it is parsed without them. Their errors are told
		 * when the file is read. */
		context.recalled = true;
		file->spec = verdict_parse(&file->verdict, &context, row->file, row->text, row->len, &errors);
		spec_errors_clear(&errors);
		verdict_clear(&file->verdict);
	}
	if (file->spec)
		spec_claims_add(specs->claims, file->spec, NULL, NULL);
}

int specs_recall(struct specs *specs, struct err *err)
{
	struct store_spec *rows;
	size_t n;

	if (store_load_specs(specs->store, &rows, &n, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		recall(specs, &rows[i]);
	store_specs_free(rows, n);
	return 0;
}

/* A version that is not in force yet. */
struct candidate {
	struct spec_file *file;
	const struct watch_file *source;
	struct spec *spec; /* valid by itself; NULL: it has been put in force */
};

static void release_sources(struct specs *specs, const struct spec *spec)
{
	for (size_t i = 0; spec && i < spec->sources_n; i++)
		words_add(&specs->released, spec->sources[i].path);
}

static void put_in_force(struct specs *specs, struct candidate *candidate)
{
	struct spec_file *file = candidate->file;

	release_sources(specs, file->spec);
	spec_free(file->spec);
	file->spec = candidate->spec;
	candidate->spec = NULL;
	spec_errors_clear(&file->errors);
	*file->told = '\0';
	file->to_tell = 0;
	if (!specs->store)
		return;
	store_put_spec(specs->store, &(struct store_spec){.name = file->name,
							  .file = file->path,
							  .text = candidate->source->text,
							  .len = candidate->source->len});
	named_files_remember(specs->named, file->spec);
	events_add(specs->events, LOG_LEVEL_INFO, file->name, NULL, "spec-loaded", "%s: %zu balancer%s",
		   file->path, file->spec->instances_n, file->spec->instances_n == 1 ? "" : "s");
}

/* If the errors differ from those that were last told, all of them are to be told. */
static void note_to_tell(struct spec_file *file)
{
	char sha256[SHA256_HEX_SIZE], *all;
	size_t len;
	FILE *out = text_open(&all, &len);

	for (size_t i = 0; i < file->errors.n; i++) {
		char *one = spec_error_text(&file->errors.v[i]);

		fprintf(out, "%s\n", one);
		free(one);
	}
	text_close(out);
	sha256_hex(all, len, sha256);
	free(all);
	if (strcmp(file->told, sha256) != 0)
		file->to_tell = file->errors.n;
	strcpy(file->told, sha256);
}

/* Tells at most `most` errors of the file. Returns the number. */
static size_t tell(struct specs *specs, struct spec_file *file, size_t most)
{
	size_t from = file->errors.n - file->to_tell;
	size_t n = file->to_tell < most ? file->to_tell : most;

	for (size_t i = from; i < from + n; i++) {
		char *one = spec_error_text(&file->errors.v[i]);

		events_add(specs->events, LOG_LEVEL_ERROR, file->name, NULL, "spec-invalid", "%s", one);
		free(one);
	}
	file->to_tell -= n;
	if (n > 0 && file->to_tell == 0 && file->spec)
		events_add(specs->events, LOG_LEVEL_WARNING, file->name, NULL, "spec-kept",
			   "%s: its last good version stays in force", file->path);
	return n;
}

bool specs_tell(struct specs *specs)
{
	size_t left = SPECS_TOLD_AT_ONCE;

	for (; specs->events && specs->told_n < specs->n; specs->told_n++) {
		struct spec_file *file = specs->files[specs->told_n];

		left -= tell(specs, file, left);
		if (file->to_tell > 0 || left == 0)
			return true;
	}
	return false;
}

/* Puts the candidates in force that fit beside the other specs. True: there are some. */
static bool admit(struct specs *specs, struct candidate *candidates, size_t n)
{
	struct admission *admissions = xcalloc(n, sizeof(*admissions));
	bool any = false;

	for (size_t i = 0; i < n; i++)
		admissions[i] = (struct admission){.in_force = candidates[i].file->spec,
						   .candidate = candidates[i].spec,
						   .errors = &candidates[i].file->errors};
	spec_admit(specs->claims, admissions, n);
	for (size_t i = 0; i < n; i++) {
		if (admissions[i].in)
			put_in_force(specs, &candidates[i]);
		any |= admissions[i].in;
	}
	free(admissions);
	return any;
}

/* The store keeps the content of files that a version in force names, and of no others. */
static void forget_released(struct specs *specs)
{
	struct words *named = NULL;

	for (size_t i = 0; i < specs->n; i++)
		for (size_t j = 0; specs->files[i]->spec && j < specs->files[i]->spec->sources_n; j++)
			words_add(&named, specs->files[i]->spec->sources[j].path);
	named_files_forget(specs->named, specs->released, named);
	words_clear(&named);
	words_clear(&specs->released);
}

/* A look that is being taken in. */
struct spec_update {
	struct specs *specs;
	struct spec_look *look;
	size_t next; /* index of the next of the look's files */
	struct candidate *candidates;
	size_t n;
	bool fresh; /* a candidate is not the same as at the look before */
};

static void take_finding(struct spec_file *file, struct spec_finding *finding)
{
	spec_errors_clear(&file->errors);
	spec_free(file->refused);
	verdict_clear(&file->verdict);
	file->errors = finding->errors;
	file->verdict = finding->verdict;
	file->refused = finding->spec;
	*finding = (struct spec_finding){0};
	if (file->errors.n > 0)
		note_to_tell(file);
}

/* Takes in one file. A newest version that is in force, or wrong by itself, stays so. A version that is valid
 * by itself becomes a candidate, even if it clashed with others before. */
static void take_in(struct spec_update *update, struct spec_file *file, const struct watch_file *source,
		    struct spec_finding *finding)
{
	struct candidate *candidate = &update->candidates[update->n];
	bool stands = finding->stands;

	if (!stands)
		take_finding(file, finding);
	if (!file->refused)
		return;
	*candidate = (struct candidate){.file = file, .source = source};
	update->fresh |= !stands;
	update->n++;
}

/* gone: the names of those whose files are gone; NULL ends the list, and the caller frees it all. */
static bool drop_absent(struct specs *specs, char ***gone)
{
	size_t gone_n = 0, kept = 0;

	*gone = xcalloc(specs->n + 1, sizeof(**gone));
	for (size_t i = 0; i < specs->n; i++) {
		struct spec_file *file = specs->files[i];

		if (file->present) {
			specs->files[kept++] = file;
			continue;
		}
		if (specs->store && !file->twin)
			store_delete_spec(specs->store, file->name);
		release_sources(specs, file->spec);
		if (!file->twin)
			(*gone)[gone_n++] = xstrdup(file->name);
		file_free(specs, file);
	}
	if (kept == specs->n)
		return false;
	specs->n = kept;
	return true;
}

static void tell_gone(const struct specs *specs, const char *name)
{
	const struct spec_file *unknown = specs_without_version(specs);

	if (unknown)
		events_add(
			specs->events, LOG_LEVEL_WARNING, name, NULL, "spec-removed",
			"its file is gone; but its balancers stay: no version of %s was ever valid, and it "
			"may be this spec under a new name. Correct that file or remove it",
			unknown->path);
	else
		events_add(specs->events, LOG_LEVEL_INFO, name, NULL, "spec-removed",
			   "its file is gone: its balancers are removed");
}

/* "a.yaml" and "a.yml" give one spec name: the second counts as a spec of its own, with only this error. It
 * goes by its path, since its name may be a spec's, too ("a.yml.yaml" gives it). */
static void refuse_twin(struct specs *specs, const struct spec_file *first, const struct watch_file *source)
{
	const char *base = strrchr(source->path, '/');
	struct spec_file *twin = find(specs, source->path);

	if (!twin)
		twin = add(specs, base ? base + 1 : source->path, source->path, true);
	twin->present = true;
	spec_errors_clear(&twin->errors);
	spec_errors_add(&twin->errors, source->path, 0, 0, "",
			"gives the same spec name \"%s\" as %s, which counts: rename one of them",
			first->name, first->path);
	note_to_tell(twin);
}

static struct spec_file *file_for(struct specs *specs, const struct watch_file *source)
{
	struct spec_file *file = find(specs, source->name);

	if (!file)
		file = add(specs, source->name, source->path, false);
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

static bool is_known_misnamed(const struct specs *specs, const char *text)
{
	for (size_t i = 0; i < specs->misnamed_n; i++)
		if (strcmp(specs->misnamed[i], text) == 0)
			return true;
	return false;
}

static void note_misnamed(struct specs *specs, const struct watch_listing *listing)
{
	char **now = xcalloc(listing->misnamed_n, sizeof(*now));

	for (size_t i = 0; i < listing->misnamed_n; i++) {
		now[i] = xstrdup(listing->misnamed[i]);
		if (specs->store && !is_known_misnamed(specs, now[i]))
			events_add(specs->events, LOG_LEVEL_WARNING, NULL, NULL, "spec-ignored", "%s",
				   now[i]);
	}
	misnamed_clear(specs);
	specs->misnamed = now;
	specs->misnamed_n = listing->misnamed_n;
}

char *const *specs_misnamed(const struct specs *specs, size_t *n)
{
	*n = specs->misnamed_n;
	return specs->misnamed;
}

static enum spec_came came_of(const struct spec_file *file)
{
	return file->errors.n == 0 ? SPEC_CAME_IN_FORCE
	       : file->refused     ? SPEC_CAME_CLASHING
				   : SPEC_CAME_WRONG;
}

struct spec_look *specs_look(const struct specs *specs, const char *dir)
{
	struct spec_look *look = spec_look_new(dir, specs->have_agent, named_files_new(specs->store));

	for (size_t i = 0; i < specs->n; i++)
		if (!specs->files[i]->twin)
			spec_look_know(look, specs->files[i]->name, specs->files[i]->path,
				       &specs->files[i]->verdict, came_of(specs->files[i]));
	return look;
}

struct spec_update *specs_update_begin(struct specs *specs, struct spec_look *look)
{
	struct spec_update *update = xcalloc(1, sizeof(*update));

	update->specs = specs;
	update->look = look;
	update->candidates = xcalloc(look->listing.n, sizeof(*update->candidates));
	named_files_free(specs->named);
	specs->named = look->named;
	look->named = NULL;
	note_misnamed(specs, &look->listing);
	for (size_t i = 0; i < specs->n; i++)
		specs->files[i]->present = false;
	return update;
}

bool specs_update_files(struct spec_update *update)
{
	const struct watch_listing *listing = &update->look->listing;

	for (size_t n = 0; n < SPECS_TAKEN_AT_ONCE && update->next < listing->n; n++) {
		const struct watch_file *source = &listing->files[update->next];
		struct spec_file *file = file_for(update->specs, source);

		if (file)
			take_in(update, file, source, &update->look->findings[update->next]);
		update->next++;
	}
	return update->next < listing->n;
}

void specs_update_cancel(struct spec_update *update)
{
	if (!update)
		return;
	spec_look_free(update->look);
	free(update->candidates);
	free(update);
}

bool specs_update_end(struct spec_update *update)
{
	struct specs *specs = update->specs;
	char **gone;
	bool changed;

	for (size_t i = 0; i < update->n; i++) {
		update->candidates[i].spec = update->candidates[i].file->refused;
		update->candidates[i].file->refused = NULL;
	}
	specs->looked = true;
	changed = drop_absent(specs, &gone);
	/* Candidates that did not fit at the last look do not fit now, unless something has changed. */
	if (changed || update->fresh)
		changed |= admit(specs, update->candidates, update->n);
	forget_released(specs);
	for (size_t i = 0; gone[i]; i++) {
		if (specs->store)
			tell_gone(specs, gone[i]);
		free(gone[i]);
	}
	free(gone);
	for (size_t i = 0; i < update->n; i++) {
		struct spec_file *file = update->candidates[i].file;

		file->refused = update->candidates[i].spec;
		if (file->errors.n > 0)
			note_to_tell(file);
	}
	specs->told_n = 0;
	specs_update_cancel(update);
	return changed;
}

bool specs_have_looked(const struct specs *specs)
{
	return specs->looked;
}

bool specs_all_valid(const struct specs *specs)
{
	for (size_t i = 0; i < specs->n; i++)
		if (specs->files[i]->errors.n > 0)
			return false;
	return true;
}

void specs_count_sharers(struct specs *specs)
{
	struct spec **in_force = xcalloc(specs->n, sizeof(struct spec *));
	size_t n = 0;

	for (size_t i = 0; i < specs->n; i++)
		if (specs->files[i]->spec)
			in_force[n++] = specs->files[i]->spec;
	spec_count_sharers(in_force, n);
	free(in_force);
}
