/*
 * What stands at a path of a host where we want a file of ours, and whose it
 * is. The engine's archive endpoints tell: a stat (Engine API,
 * X-Docker-Container-Path-Stat), and the text.
 */
#ifndef APILB_CORE_HOST_FILE_H
#define APILB_CORE_HOST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum host_file_kind {
	HOST_FILE_UNKNOWN, /* not looked at */
	HOST_FILE_MISSING,
	HOST_FILE_REGULAR,
	HOST_FILE_DIRECTORY, /* with something in it, as far as anybody knows */
	HOST_FILE_EMPTY_DIRECTORY,
	HOST_FILE_LINK,
	HOST_FILE_SPECIAL, /* a device, a pipe, a socket */
};

struct host_file {
	enum host_file_kind kind;
	int64_t size; /* -1: not told */
	int mode;     /* permission bits; -1: not told */
	char *mtime;  /* the engine's words; NULL: not told */
	char *text;   /* of a regular file, NUL behind it; NULL: not read */
	size_t len;
};

/* What is larger is not read, and so none of ours. A spec whose config would be is refused: it could not be
 * compared. */
#define HOST_FILE_MAX_BYTES ((size_t)4 << 20)

/* path_stat: the decoded JSON. What says nothing (NULL, garbage) counts as a regular file of which no more is
 * known. Clears what was there before. */
void host_file_stat(struct host_file *file, const char *path_stat);
/* A regular file that can be one of ours by its size: its text has to tell. */
bool host_file_is_readable(const struct host_file *file);
void host_file_clear(struct host_file *file);

/* The first line of what we write. Of another owner than the default one it says whose. The caller frees. */
char *host_file_head(const char *owner);

/*
 * Why a config of this owner must not take the place of what is there, in words
 * that follow "PATH on the host "; NULL: it may. said_ours: something else than
 * the text says that it is this balancer's. The caller frees.
 *
 * Where there is nothing (also an empty file, or the beginning of our own first
 * line, which a write left that did not get far), nobody loses anything. A
 * directory is never replaced: the engine would remove all that is in it.
 */
char *host_file_objection(const struct host_file *file, const char *owner, bool said_ours);

#endif
