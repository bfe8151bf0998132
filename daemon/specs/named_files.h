/*
 * The files that specs name and whose content is part of the spec, such as a CA,
 * at one look at the spec directory. Each file is read once, even if many specs
 * name it. The store keeps the contents, so that a last good version is complete
 * after a restart. The files' file system may hang, so they are read beside the
 * loop; the functions for the loop only ask the store.
 */
#ifndef APILB_NAMED_FILES_H
#define APILB_NAMED_FILES_H

#include <stdbool.h>

#include "common/file.h"
#include "common/words.h"
#include "daemon/core/spec/spec.h"
#include "daemon/io/store/store.h"

struct named_files;

struct named_files *named_files_new(struct store *store); /* store may be NULL */
void named_files_free(struct named_files *files);         /* NULL is fine */

/* For spec_context.read_file, beside the loop; arg is a struct named_files. Gives the file's present content;
 * the caller frees *text. */
int named_files_read(void *arg, const char *path, char **text, struct err *err);
/* The same, on the loop: gives the content that was last put in force, from the store. */
int named_files_recall(void *arg, const char *path, char **text, struct err *err);

/* Beside the loop: true when all files are unchanged. A file that cannot be read has the sha256 of the error
 * message. */
bool named_files_unchanged(struct named_files *files, const struct spec_source *sources, size_t n);
/* The spec has been put in force: stores the contents, as they were read, of the files that it names. */
void named_files_remember(struct named_files *files, const struct spec *spec);
/* Removes from the store the contents of those files in `released` that are not in `named`. */
void named_files_forget(struct named_files *files, const struct words *released, const struct words *named);

/* Calls each for every file of this look, including those that could not be read. */
void named_files_each(const struct named_files *files,
		      void (*each)(void *arg, const char *path, const struct file_stamp *stamp), void *arg);

#endif
