#include "daemon/specs/spec_look.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"
#include "common/text.h"
#include "common/words.h"

/* What is known of a spec, by its name. */
struct spec_known {
	UT_hash_handle hh;
	char *name;
	char *path; /* NULL: no file gave this name at the look before */
	struct verdict verdict;
	enum spec_came came;
	bool met; /* a file of this look gives the name */
};

struct spec_look *spec_look_new(const char *dir, bool have_agent, struct named_files *named)
{
	struct spec_look *look = xcalloc(1, sizeof(*look));

	look->dir = xstrdup(dir);
	look->have_agent = have_agent;
	look->named = named;
	return look;
}

static struct spec_known *find_or_add(struct spec_known **names, const char *name)
{
	struct spec_known *known;

	HASH_FIND_STR(*names, name, known);
	if (known)
		return known;
	known = xcalloc(1, sizeof(*known));
	known->name = xstrdup(name);
	HASH_ADD_KEYPTR(hh, *names, known->name, strlen(known->name), known);
	return known;
}

static void forget(struct spec_known **names)
{
	struct spec_known *known, *tmp;

	HASH_ITER (hh, *names, known, tmp) {
		HASH_DEL(*names, known);
		verdict_clear(&known->verdict);
		free(known->name);
		free(known->path);
		free(known);
	}
}

void spec_look_free(struct spec_look *look)
{
	if (!look)
		return;
	for (size_t i = 0; i < look->findings_n; i++) {
		verdict_clear(&look->findings[i].verdict);
		spec_free(look->findings[i].spec);
		spec_errors_clear(&look->findings[i].errors);
	}
	free(look->findings);
	watch_listing_clear(&look->listing);
	forget(&look->known);
	words_clear(&look->recorded);
	named_files_free(look->named);
	free(look->dir);
	free(look);
}

void spec_look_know(struct spec_look *look, const char *name, const char *path, const struct verdict *verdict,
		    enum spec_came came)
{
	struct spec_known *known = find_or_add(&look->known, name);

	known->path = xstrdup(path);
	verdict_copy(&known->verdict, verdict);
	known->came = came;
}

void spec_look_record(struct spec_look *look, const char *name)
{
	words_add(&look->recorded, name);
}

static bool has_recorded(void *arg, const char *name)
{
	const struct spec_look *look = arg;

	return words_have(look->recorded, name);
}

static void judge(struct spec_look *look, const struct spec_known *known, struct watch_file *file,
		  struct spec_finding *finding)
{
	const struct verdict_context context = {
		.name = file->name,
		.have_agent = look->have_agent,
		.named = look->named,
		.read_file = named_files_read,
		.has_recorded = has_recorded,
		.arg = look,
	};

	if (!file->text) {
		spec_errors_add(&finding->errors, file->path, 0, 0, "", "%s", file->error);
		return;
	}
	finding->stands = text_equal(known->path, file->path) && /* errors name the path */
			  verdict_stands(&known->verdict, &context, file->text, file->len,
					 known->came != SPEC_CAME_WRONG);
	if (!finding->stands)
		finding->spec = verdict_parse(&finding->verdict, &context, file->path, file->text, file->len,
					      &finding->errors);
	/* The text is kept only if its version may be put in force: then it is stored. */
	if (!finding->spec && !(finding->stands && known->came == SPEC_CAME_CLASHING))
		watch_drop_text(file);
}

void spec_look_judge(struct spec_look *look, struct watch_file *file)
{
	size_t n = look->findings_n++;
	struct spec_known *known = find_or_add(&look->known, file->name);

	look->findings = xgrow(look->findings, n, sizeof(*look->findings));
	look->findings[n] = (struct spec_finding){0};
	/* If two files give the same name, the first counts. */
	if (known->met)
		watch_drop_text(file);
	else
		judge(look, known, file, &look->findings[n]);
	known->met = true;
}

struct reading {
	struct spec_look *look;
	const atomic_bool *stop;
	bool parsed;
};

static bool on_file(void *arg, struct watch_file *file)
{
	struct reading *reading = arg;

	spec_look_judge(reading->look, file);
	if (reading->look->view)
		atomic_fetch_add(&reading->look->view->answered_n, 1);
	reading->parsed |= !reading->look->findings[reading->look->findings_n - 1].stands;
	return !atomic_load(reading->stop);
}

/* The base names of all files of the look before, then NULL. The caller frees the list, not the names. */
static const char **known_files(const struct spec_look *look)
{
	const char **names = xcalloc(HASH_COUNT(look->known) + 1, sizeof(*names));
	size_t n = 0;

	for (const struct spec_known *known = look->known; known; known = known->hh.next)
		if (known->path)
			names[n++] = strrchr(known->path, '/') ? strrchr(known->path, '/') + 1 : known->path;
	return names;
}

static void follow(void *arg, const char *path, const struct file_stamp *stamp)
{
	watch_follow(arg, path, stamp);
}

static void follow_all(struct spec_look *look)
{
	watch_follow_listing(look->view, &look->listing);
	named_files_each(look->named, follow, look->view);
	look->changed = watch_has_changed(look->view);
}

void spec_look_read(void *arg, const atomic_bool *stop)
{
	struct reading reading = {.look = arg, .stop = stop};
	const char **known = known_files(reading.look);

	watch_read(reading.look->dir, known, &reading.look->listing, on_file, &reading);
	free(known);
	if (reading.look->view)
		follow_all(reading.look);
	/* The memory that a large file needed is given back: else it would stay with this thread. */
	if (reading.parsed)
		malloc_trim(0);
}
