/* A small file, whole; and whether it is still the one that was read. */
#ifndef APILB_COMMON_FILE_H
#define APILB_COMMON_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

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

/* First thing in main(). A program that was started without a descriptor 0, 1 or 2 (`>&-`) would give its
 * number to the next file or socket, and print into that. Puts /dev/null there, opened so that reading, or
 * printing, fails. */
void file_hold_standard(void);

/* Which version of a file there was; all zero: none, or it could not be looked at. */
struct file_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

/* Take it before the file is read. Follows links. */
struct file_stamp file_stamp(const char *path);
struct file_stamp file_stamp_of(const struct stat *st);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);
/* How long ago it was changed, by its own clock; negative when that is ahead of ours. */
int64_t file_stamp_age_ms(const struct file_stamp *stamp);

#endif
