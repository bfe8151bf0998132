#include "daemon/specs.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/mem.h"
#include "daemon/core/hash.h"
#include "daemon/core/spec_fleet.h"
#include "daemon/core/spec_sharers.h"
#include "daemon/named_files.h"

struct specs {
	struct store *store;
	struct events *events;
	bool have_agent;
	bool looked;              /* the directory has been read once */
	struct spec_file **files; /* in the order that they came up */
	size_t n;
	struct spec_file *by_name;
	char **misnamed;
	size_t misnamed_n;
	struct named_files *named;
};

struct specs *specs_new(struct store *store, struct events *events, bool have_agent)
{
	struct specs *specs = xcalloc(1, sizeof(*specs));

	specs->store = store;
	specs->events = events;
	specs->have_agent = have_agent;
	specs->named = named_files_new(store);
	return specs;
}

static void file_free(struct specs *specs, struct spec_file *file)
{
	HASH_DEL(specs->by_name, file);
	spec_free(file->spec);
	spec_free(file->refused);
	verdict_clear(&file->verdict);
	spec_errors_clear(&file->errors);
	free(file->name);
	free(file->path);
	free(file->told);
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
	free(specs);
}

struct spec_file *const *specs_files(const struct specs *specs, size_t *n)
{
	*n = specs->n;
	return specs->files;
}

void specs_each_named(const struct specs *specs,
		      void (*each)(void *arg, const char *path, const struct file_stamp *stamp), void *arg)
{
	named_files_each(specs->named, each, arg);
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

static struct spec_file *add(struct specs *specs, const char *name, const char *path)
{
	struct spec_file *file = xcalloc(1, sizeof(*file));

	file->name = xstrdup(name);
	file->path = xstrdup(path);
	specs->files = xreallocarray(specs->files, specs->n + 1, sizeof(*specs->files));
	specs->files[specs->n++] = file;
	HASH_ADD_KEYPTR(hh, specs->by_name, file->name, strlen(file->name), file);
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
	/* It was good once: an agent that is missing now must not make it bad. */
	struct verdict_context context = {
		.name = row->name,
		.have_agent = true,
		.named = specs->named,
		.read_file = named_files_recall,
		.has_recorded = taken_as_recorded,
	};
	struct spec_errors errors = {0};
	struct spec_file *file = add(specs, row->name, row->file);

	file->spec = verdict_parse(&file->verdict, &context, row->file, row->text, row->len, &errors);
	spec_errors_clear(&errors);
	if (file->spec)
		return;
	/* Nor do rules that are newer. What they have against the file is told when that is read. */
	context.recalled = true;
	file->spec = verdict_parse(&file->verdict, &context, row->file, row->text, row->len, &errors);
	spec_errors_clear(&errors);
	verdict_clear(&file->verdict);
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
	struct spec *spec; /* valid by itself; NULL: it is not, or it is in force now */
	bool in;           /* it is among the claims, in the place of the version before it */
	struct candidate *next;
};

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
	named_files_remember(specs->named, file->spec);
	events_add(specs->events, LOG_LEVEL_INFO, file->name, NULL, "spec-loaded", "%s: %zu balancer%s",
		   file->path, file->spec->instances_n, file->spec->instances_n == 1 ? "" : "s");
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
 * The rules across files. All that is in force has claimed what it has on its
 * hosts; a candidate fits when it claims nothing of somebody else, its own
 * file's version before it not counted. What is in force is never displaced.
 */

static void leave(struct spec_claims *claims, const struct spec *spec)
{
	if (spec)
		spec_claims_remove(claims, spec);
}

static bool enter(struct spec_claims *claims, struct candidate *candidate)
{
	struct spec_errors *errors = &candidate->file->errors;

	spec_errors_clear(errors);
	candidate->in = spec_claims_add(claims, candidate->spec, spec_clash_error, errors) == 0;
	if (!candidate->in)
		leave(claims, candidate->spec);
	return candidate->in;
}

struct eviction {
	struct specs *specs;
	struct candidate *in_the_way;
};

static void on_taken(void *arg, const struct spec *spec, const struct spec_instance *instance,
		     const struct spec *other, const char *what)
{
	struct eviction *eviction = arg;
	struct candidate *candidate = find(eviction->specs, other->name)->candidate;

	(void)spec;
	(void)instance;
	(void)what;
	if (candidate && candidate->spec == other)
		eviction->in_the_way = candidate;
}

/* Somebody took what the version in force gives up only with its next one, and that is refused: out with him.
 */
static struct candidate *take_back(struct specs *specs, struct spec_claims *claims, const struct spec *spec)
{
	struct eviction eviction = {.specs = specs};

	spec_claims_add(claims, spec, on_taken, &eviction);
	if (eviction.in_the_way)
		leave(claims, spec);
	return eviction.in_the_way;
}

/* An instance may move from one file to another, or two may swap: so all candidates are taken at once, and
 * whoever does not fit goes back, and with him who came in his place. */
static void admit_together(struct specs *specs, struct spec_claims *claims, struct candidate *candidates,
			   size_t n)
{
	struct candidate *refused = NULL, *candidate, *evicted;

	for (size_t i = 0; i < n; i++)
		if (candidates[i].spec)
			leave(claims, candidates[i].file->spec);
	for (size_t i = 0; i < n; i++)
		if (candidates[i].spec && !enter(claims, &candidates[i]))
			LL_PREPEND(refused, &candidates[i]);
	while ((candidate = refused) != NULL) {
		LL_DELETE(refused, candidate);
		while (candidate->file->spec &&
		       (evicted = take_back(specs, claims, candidate->file->spec)) != NULL) {
			leave(claims, evicted->spec);
			evicted->in = false;
			LL_PREPEND(refused, evicted);
		}
	}
}

/* One that was refused may fit now, since whom it clashed with went back. */
static bool admit_alone(struct spec_claims *claims, struct candidate *candidate)
{
	leave(claims, candidate->file->spec);
	if (!enter(claims, candidate) && candidate->file->spec)
		spec_claims_add(claims, candidate->file->spec, NULL, NULL);
	return candidate->in;
}

static struct spec_claims *claims_in_force(const struct specs *specs)
{
	struct spec_claims *claims = spec_claims_new();

	for (size_t i = 0; i < specs->n; i++)
		if (specs->files[i]->spec)
			spec_claims_add(claims, specs->files[i]->spec, NULL, NULL);
	return claims;
}

static bool any_valid(const struct candidate *candidates, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (candidates[i].spec)
			return true;
	return false;
}

static bool admit(struct specs *specs, struct candidate *candidates, size_t n)
{
	struct spec_claims *claims;
	bool any = false, progress;

	if (!any_valid(candidates, n))
		return false;
	claims = claims_in_force(specs);
	admit_together(specs, claims, candidates, n);
	do {
		progress = false;
		for (size_t i = 0; i < n; i++)
			if (candidates[i].spec && !candidates[i].in)
				progress |= admit_alone(claims, &candidates[i]);
	} while (progress);
	spec_claims_free(claims);
	for (size_t i = 0; i < n; i++) {
		if (!candidates[i].in)
			continue;
		put_in_force(specs, &candidates[i]);
		any = true;
	}
	return any;
}

/* One look at the directory. */
struct look {
	struct specs *specs;
	bool (*has_recorded)(void *arg, const char *name);
	void *arg;
	struct candidate *candidates;
	size_t n;
	bool fresh; /* one of them was not there at the look before */
};

static struct verdict_context context_of(const struct look *look, const struct watch_file *source)
{
	return (struct verdict_context){
		.name = source->name,
		.have_agent = look->specs->have_agent,
		.named = look->specs->named,
		.read_file = named_files_read,
		.has_recorded = look->has_recorded,
		.arg = look->arg,
	};
}

static struct spec *judge(const struct look *look, struct spec_file *file, const struct watch_file *source)
{
	const struct verdict_context context = context_of(look, source);

	spec_errors_clear(&file->errors);
	spec_free(file->refused);
	file->refused = NULL;
	if (source->text)
		return verdict_parse(&file->verdict, &context, source->path, source->text, source->len,
				     &file->errors);
	verdict_clear(&file->verdict);
	spec_errors_add(&file->errors, source->path, 0, 0, "", "%s", source->error);
	return NULL;
}

/* The newest version is one that was judged already. */
static bool is_judged(const struct look *look, const struct spec_file *file, const struct watch_file *source)
{
	const struct verdict_context context = context_of(look, source);

	return source->text && verdict_stands(&file->verdict, &context, source->text, source->len,
					      file->errors.n == 0 || file->refused);
}

/* What is in force, or wrong by itself, stays so; whether one fits beside the others is asked again. */
static void look_at(struct look *look, struct spec_file *file, const struct watch_file *source)
{
	bool judged = is_judged(look, file, source);
	struct candidate *candidate = &look->candidates[look->n];

	if (judged && !file->refused)
		return;
	*candidate = (struct candidate){
		.file = file,
		.source = source,
		.spec = judged ? file->refused : judge(look, file, source),
	};
	file->refused = NULL;
	file->candidate = candidate;
	look->fresh |= !judged;
	look->n++;
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
				   file->spec ? "%s is gone: its balancers are removed"
					      : "%s is gone; no version of it was ever in force",
				   file->path);
		}
		any = true;
		file_free(specs, file);
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
		verdict_clear(&file->verdict); /* errors name the path */
	}
	return file;
}

static bool is_told(const struct specs *specs, const char *text)
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
		if (specs->store && !is_told(specs, now[i]))
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

static void end_look(struct look *look)
{
	for (size_t i = 0; i < look->n; i++) {
		struct spec_file *file = look->candidates[i].file;

		file->candidate = NULL;
		file->refused = look->candidates[i].spec;
		if (file->errors.n > 0)
			tell_rejected(look->specs, file);
	}
	free(look->candidates);
}

bool specs_update(struct specs *specs, const struct watch_listing *listing,
		  bool (*has_recorded)(void *arg, const char *name), void *arg)
{
	struct look look = {.specs = specs, .has_recorded = has_recorded, .arg = arg};
	bool changed;

	look.candidates = xcalloc(listing->n, sizeof(*look.candidates));
	specs->looked = true;
	named_files_forget(specs->named);
	note_misnamed(specs, listing);
	for (size_t i = 0; i < specs->n; i++)
		specs->files[i]->present = false;
	for (size_t i = 0; i < listing->n; i++) {
		struct spec_file *file = file_for(specs, &listing->files[i]);

		if (file)
			look_at(&look, file, &listing->files[i]);
	}
	changed = drop_absent(specs);
	/* Who did not fit does not fit now, unless something is new. */
	if (changed || look.fresh)
		changed |= admit(specs, look.candidates, look.n);
	end_look(&look);
	return changed;
}

bool specs_may_remove(const struct specs *specs, const char *name)
{
	const struct spec_file *file = name ? find(specs, name) : NULL;

	if (!specs->looked)
		return false;
	return !file || file->spec;
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
