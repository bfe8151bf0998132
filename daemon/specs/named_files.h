/*
 * The files that specs name and that belong to what they say, such as a CA, at
 * one look at the spec directory: read once, however many specs name them, and
 * remembered by the store, so that a last good version is whole after a restart.
 * Their file system may hang, so they are read beside the loop; what is done on it asks only the store.
 */
#ifndef APILB_NAMED_FILES_H
#define APILB_NAMED_FILES_H

#include <stdbool.h>

#include "common/file.h"
#include "daemon/core/spec/spec.h"
#include "daemon/io/store/store.h"

struct named_files;

struct named_files *named_files_new(struct store *store); /* store may be NULL */
void named_files_free(struct named_files *files);         /* NULL is fine */

/* For spec_context.read_file; arg is a struct named_files. Beside the loop: the file as it is. */
int named_files_read(void *arg, const char *path, char **text, struct err *err);
/* Likewise, on the loop: as it was when a version that names it was last put in force, by the store. */
int named_files_recall(void *arg, const char *path, char **text, struct err *err);

/* Beside the loop: whether each is still as it was; what cannot be read has the sha256 of the reason. */
bool named_files_unchanged(struct named_files *files, const struct spec_source *sources, size_t n);
/* The spec is in force now, with what it names, as it was read: to the store. */
void named_files_remember(struct named_files *files, const struct spec *spec);

/* Everything that was read in the last look, or could not be. */
void named_files_each(const struct named_files *files,
		      void (*each)(void *arg, const char *path, const struct file_stamp *stamp), void *arg);

#endif
