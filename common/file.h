/* Reading a small file whole, and telling whether it is still the same file later. */
#ifndef APILB_COMMON_FILE_H
#define APILB_COMMON_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "common/err.h"

/*
 * Reads a regular file of at most max bytes into *text, which the caller frees;
 * text after a NUL is lost. On failure -1, and an error that names the path.
 * Never waits: a FIFO is refused.
 */
int file_read(const char *path, size_t max, char **text, struct err *err);

/*
 * Files of our own, in a directory of our own: what we write there must not end
 * up elsewhere, and what we read must be ours. These files are refused, with an
 * error that says what to do: a symbolic link, a file with a second name (hard
 * link), a file that is not regular, a file that belongs to neither us nor root.
 */

/* open(2), with mode 0600 for a new file; never waits. Returns the descriptor or -1; errno is ENOENT if there
 * is no file. */
int file_open_own(const char *path, int flags, struct err *err);
/* The same checks for a file that a library opens. A file that does not exist is fine. */
int file_check_own(const char *path, struct err *err);
/* The same checks for the directory, which only its owner may write. A symbolic link to it is fine if the
 * link is ours or root's. */
int file_check_own_dir(const char *path, struct err *err);

/* First thing in main(). A program that was started without a descriptor 0, 1 or 2 (`>&-`) would give its
 * number to the next file or socket, and print into that. Puts /dev/null there, opened so that reading, or
 * printing, fails. */
void file_hold_standard(void);

/* Identifies a version of a file. All zero: there was no file, or it could not be examined. */
struct file_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

/* Take the stamp before you read the file. Follows links. */
struct file_stamp file_stamp(const char *path);
struct file_stamp file_stamp_of(const struct stat *st);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);
/*
 * The same for one that is kept, to be compared later: a file that has only just changed may change
 * again and look as it did, so its stamp is made equal to none.
 */
void file_stamp_keep(struct file_stamp *stamp);
/* How long ago the file was changed, by its file system's clock; negative if that clock is ahead of ours. */
int64_t file_stamp_age_ms(const struct file_stamp *stamp);

#endif
