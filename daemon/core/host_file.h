/*
 * What exists at a path of a host where we want a file of ours, and whose it
 * is. Known from the engine's archive endpoints: a stat (Engine API,
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
	HOST_FILE_DIRECTORY, /* not empty, as far as we know */
	HOST_FILE_EMPTY_DIRECTORY,
	HOST_FILE_LINK,
	HOST_FILE_SPECIAL, /* a device, a pipe, a socket */
};

struct host_file {
	enum host_file_kind kind;
	int64_t size; /* -1: unknown */
	int mode;     /* permission bits; -1: unknown */
	char *mtime;  /* as the engine prints it; NULL: unknown */
	char *text;   /* of a regular file, ends in a NUL; NULL: not read */
	size_t len;
};

/*
 * A larger file is not read, and not ours. A spec whose config could get larger is refused: its
 * file could not be compared.
 */
#define HOST_FILE_MAX_BYTES ((size_t)4 << 20)

/*
 * Fills the struct, whatever it held before. path_stat: the header, base64 decoded. NULL or
 * nonsense counts as a regular file of unknown size.
 */
void host_file_stat(struct host_file *file, const char *path_stat);
/* Whether the file is regular and small enough to be ours: then its text must be read. */
bool host_file_is_readable(const struct host_file *file);
void host_file_clear(struct host_file *file);

/*
 * The first line of each file that we write. It names the owner unless that is the default. The
 * caller frees.
 */
char *host_file_head(const char *owner);

/*
 * Why a config of this owner must not replace the file, in words that follow
 * "PATH on the host "; NULL: it may. said_ours: something other than the text
 * says that the file is this balancer's. The caller frees.
 *
 * Nothing is lost where there is no file, an empty one, or only the beginning
 * of our first line, which an interrupted write leaves. A directory with
 * something in it is never replaced: the engine would remove all of that.
 */
char *host_file_objection(const struct host_file *file, const char *owner, bool said_ours);

#endif
