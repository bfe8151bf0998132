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

/* A tar of the entries in their order; the caller frees *out. mtime is for all. */
void archive_pack(const struct archive_entry_spec *entries, size_t n, time_t mtime, char **out, size_t *len);

/* The content of the first regular file in the tar, at most max bytes (of a directory's tar, that is a file
 * in it: ask the path's stat first); the caller frees *data (NUL terminated). */
int archive_first_file(const void *tar, size_t tar_len, size_t max, char **data, size_t *len,
		       struct err *err);

/* Nothing but a directory is in it: what the engine gives for one that is empty. */
bool archive_is_empty_directory(const void *tar, size_t tar_len);

#endif
