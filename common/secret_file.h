/*
 * Files that hold a secret: a private key, or a password.
 *
 * The daemon reads what a spec names and sends a password to a host that the
 * spec names too. So that a spec's author cannot have it send any file that it
 * may read, a file must look as if it were meant for that.
 */
#ifndef APILB_SECRET_FILE_H
#define APILB_SECRET_FILE_H

#include <stdbool.h>

#include "common/err.h"

#define SECRET_FILE_MAX_BYTES (64 << 10)

enum secret_kind {
	SECRET_KEY,      /* the whole text */
	SECRET_PASSWORD, /* the only line of the file, without its end */
};

/*
 * The caller frees *text with secret_free(). On failure -1, and the message is
 * "PATH: why". Never waits: what is not a regular file is refused, a link leads to
 * the file that counts. careful, for the daemon: the file must belong to root or
 * to whoever we are, and nobody else may write to it; nor may everybody read a
 * password (a group may: systemd's credentials are 0440).
 */
int secret_file_read(const char *path, enum secret_kind kind, bool careful, char **text, struct err *err);

#endif
