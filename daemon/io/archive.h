/*
 * The tar archives of the engine's archive endpoints, by libarchive.
 */
#ifndef APILB_IO_ARCHIVE_H
#define APILB_IO_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "common/err.h"

struct archive_entry_spec {
	const char *path; /* relative, no leading slash; a directory ends in "/" */
	unsigned mode;    /* permission bits */
	unsigned uid, gid;
	const void *data; /* NULL for a directory, or a link */
	size_t len;
	const char *link; /* NULL, or: another name (a hard link) of this path, which comes before it */
};

/* Packs the entries, in this order, into a tar; mtime is that of every entry. The caller frees *out. */
void archive_pack(const struct archive_entry_spec *entries, size_t n, time_t mtime, char **out, size_t *len);

/*
 * The content of the first regular file in the tar. The caller frees *data, which is NUL terminated.
 * The tar of a directory gives a file from within it: ask first whether the path is a directory.
 * Errors: ERR_TRANSIENT where the tar is damaged; ERR_PERMANENT where it has no regular file, or one of more
 * than max bytes.
 */
int archive_first_file(const void *tar, size_t tar_len, size_t max, char **data, size_t *len,
		       struct err *err);

/* The tar has one entry, a directory: this is what the engine gives for an empty directory. */
bool archive_is_empty_directory(const void *tar, size_t tar_len);

#endif
