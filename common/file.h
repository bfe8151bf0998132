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

#endif
