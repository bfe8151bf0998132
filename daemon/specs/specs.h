/*
 * The specs in force: for each file of the spec directory its last good version.
 *
 * A new version is put in force when it is valid by itself and fits beside the
 * other specs in force. Else its errors are kept for status, and the former
 * version stays in force. A version also counts as new when a file that it names,
 * such as a CA, has changed. A directory that cannot be read changes nothing.
 */
#ifndef APILB_SPECS_H
#define APILB_SPECS_H

#include <stdbool.h>
#include <stddef.h>
#include <uthash.h>

#include "daemon/core/spec/spec.h"
#include "daemon/io/store/store.h"
#include "daemon/io/watch/watch.h"
#include "daemon/specs/spec_look.h"
#include "daemon/specs/spec_verdict.h"
#include "daemon/tell/events.h"

/* All files. Nobody else may change them. */
struct spec_file {
	char *name, *path;
	bool twin;              /* another file gives the same spec name, and counts; name: of the file */
	bool present;           /* the file was in the directory at the last look */
	struct spec *spec;      /* the version in force; NULL: there has been no good version yet */
	struct verdict verdict; /* on the newest version by itself; none if that could not be read */
	struct spec *refused; /* the newest version, if it is valid but clashes with other specs; else NULL */
	struct spec_errors errors;  /* of the newest version; n is 0 if that is in force */
	char told[SHA256_HEX_SIZE]; /* of the errors that were last told, so that each is told once */
	size_t to_tell;             /* the last so many errors are still to be told */
	UT_hash_handle hh;          /* by name */
};

struct specs;

/* store may be NULL (--check). have_agent: SSH_AUTH_SOCK is set. */
struct specs *specs_new(struct store *store, struct events *events, bool have_agent);
void specs_free(struct specs *specs); /* NULL is fine */

/* Puts the last good versions in force that the store has: at the start, before the first look. */
int specs_recall(struct specs *specs, struct err *err);

/* Makes a look that knows the verdicts of the look before, to be read beside the loop (spec_look_read). */
struct spec_look *specs_look(const struct specs *specs, const char *dir);
/*
 * Takes in a look whose directory could be read, and frees it. This is done in slices, since there may be
 * many files, each with many errors: specs_update_begin; then specs_update_files until it returns false; then
 * specs_update_end, which puts all versions that fit in force at once. Until then nothing in force changes.
 * There is one update at a time, and no look may begin meanwhile.
 */
struct spec_update;
#define SPECS_TAKEN_AT_ONCE 50
struct spec_update *specs_update_begin(struct specs *specs, struct spec_look *look);
/* Takes in at most SPECS_TAKEN_AT_ONCE files. False: there are no more. */
bool specs_update_files(struct spec_update *update);
/* True when the specs in force have changed. */
bool specs_update_end(struct spec_update *update);
void specs_update_cancel(struct spec_update *update); /* instead of specs_update_end; NULL is fine */

/*
 * Makes events of the errors of refused versions, each error once, at most SPECS_TOLD_AT_ONCE at a time.
 * True: there are more, for the next turn of the loop.
 */
#define SPECS_TOLD_AT_ONCE 200
bool specs_tell(struct specs *specs);

const struct spec_file *const *specs_files(const struct specs *specs, size_t *n);
/* NULL if no file has given this name. */
const struct spec_file *specs_find(const struct specs *specs, const char *name);
/* The first file of which no version was ever in force; NULL: there is none. */
const struct spec_file *specs_without_version(const struct specs *specs);

/*
 * May containers whose label names this spec (NULL: no spec) be removed if no
 * instance wants them? True when the spec has had its say: a version of it is in
 * force, or its file is gone from a directory that could be read. But while there
 * is a file of which no version was ever in force, that may be the same spec
 * under a new name, with a mistake in it.
 */
bool specs_may_remove(const struct specs *specs, const char *name);
/* Why not, for people, and what to do about it; NULL: they may. The caller frees. */
char *specs_why_kept(const struct specs *specs, const char *name);
/* The same for all specs whose files are gone, in general; NULL: there is nothing to warn of. The caller
 * frees. */
char *specs_kept_warning(const struct specs *specs);

/* True once the directory has been read. */
bool specs_have_looked(const struct specs *specs);

/* Warnings of the last look: files whose names are not a spec's, but may have been meant to be. */
char *const *specs_misnamed(const struct specs *specs, size_t *n);

/* Tells the instances of all specs in force how many of them share a server (core/spec/spec_sharers.h). */
void specs_count_sharers(struct specs *specs);

/* True when the newest version of every file is in force. */
bool specs_all_valid(const struct specs *specs);

#endif
