/*
 * The specs that are in force: for each file of the spec directory its last
 * good version.
 *
 * A new version is taken when it is valid by itself and beside the others that
 * are in force; otherwise its errors are kept for status, and the version
 * before it stays. A directory that cannot be read changes nothing. A version is
 * new as well when a file that it names has changed, such as a CA.
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

/* Nobody else writes any of it. */
struct spec_file {
	char *name, *path;
	bool present;      /* in the directory at the last look */
	struct spec *spec; /* in force; NULL: there has been no good version yet */
	struct verdict
		verdict;      /* on the newest version by itself; as good as none when it could not be read */
	struct spec *refused; /* the newest version, when it is valid but not beside others; or NULL */
	struct spec_errors errors;   /* of the newest version; n is 0 when that is in force */
	char told[SHA256_HEX_SIZE];  /* of the errors as they were last told, so that each is told once */
	size_t to_tell;              /* so many of them are still to be told */
	struct candidate *candidate; /* its newest version, while that is judged */
	UT_hash_handle hh;           /* by name */
};

struct specs;

/* store may be NULL (--check). have_agent: SSH_AUTH_SOCK is set. */
struct specs *specs_new(struct store *store, struct events *events, bool have_agent);
void specs_free(struct specs *specs); /* NULL is fine */

/* The last good versions from the store; for the start, before the first look. */
int specs_recall(struct specs *specs, struct err *err);

/* A look that knows what is known of all files, to be read beside the loop. */
struct spec_look *specs_look(const struct specs *specs, const char *dir);
/*
 * Takes in a look whose directory could be read, and frees it, in slices: there may be many files, each with
 * many errors. Begin; then files until that is false; then end, which puts in force what fits, all at once.
 * Until then what is in force is what it was. There is one update at a time, and no look begins meanwhile.
 */
struct spec_update;
#define SPECS_TAKEN_AT_ONCE 50
struct spec_update *specs_update_begin(struct specs *specs, struct spec_look *look);
/* Takes in SPECS_TAKEN_AT_ONCE files at most. False: there are no more. */
bool specs_update_files(struct spec_update *update);
/* True when what is in force has changed. */
bool specs_update_end(struct spec_update *update);
void specs_update_cancel(struct spec_update *update); /* before its end; NULL is fine */

/*
 * Tells of the files that are refused, each error once, at most SPECS_TOLD_AT_ONCE of them. False: all are
 * told; else there is more for the next turn of the loop.
 */
#define SPECS_TOLD_AT_ONCE 200
bool specs_tell(struct specs *specs);

const struct spec_file *const *specs_files(const struct specs *specs, size_t *n);
/* NULL if no file has given this name. */
const struct spec_file *specs_find(const struct specs *specs, const char *name);

/*
 * Whether a container whose label names this spec (NULL: none) may be taken off
 * because no instance of it is wanted: the spec is gone from a directory that
 * could be read, or a version is in force that does not have it.
 */
bool specs_may_remove(const struct specs *specs, const char *name);

/* The directory has been read once. */
bool specs_have_looked(const struct specs *specs);

/* Files of the directory that may have been meant to be specs, in words; at the last look. */
char *const *specs_misnamed(const struct specs *specs, size_t *n);

/* Tells the instances of all that is in force how many of them share a server (core/spec_sharers.h). */
void specs_count_sharers(struct specs *specs);

/* Every newest version is in force. */
bool specs_all_valid(const struct specs *specs);

#endif
