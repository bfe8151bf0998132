/* A small file, whole. */
#ifndef APILB_COMMON_FILE_H
#define APILB_COMMON_FILE_H

#include <stddef.h>

#include "common/err.h"

/*
 * The text of a regular file of at most max bytes, which the caller frees; what
 * follows a NUL is lost. On failure -1 and an error that names the path. Does not
 * wait: a FIFO is refused.
 */
int file_read(const char *path, size_t max, char **text, struct err *err);

/*
 * For files of our own, in a directory of our own: what is written there must not
 * end up elsewhere, and what is read must be ours. Refused with words that say what to do:
 * a symbolic link, a second name (hard link), what is no regular file, what
 * belongs to neither us nor root.
 */

/* open(2); mode 0600 for a new one; does not wait. Returns the descriptor or -1; errno is ENOENT where there
 * is none. */
int file_open_own(const char *path, int flags, struct err *err);
/* The same for a file that somebody else opens. One that is not there is fine. */
int file_check_own(const char *path, struct err *err);
/* The same for the directory, which nobody but its owner may write. A link to it is fine when it is ours or
 * root's. */
int file_check_own_dir(const char *path, struct err *err);

#endif
