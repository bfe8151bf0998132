/*
 * Files that hold a secret: a private key, or a password. A spec names such a
 * file, and also the host that the daemon sends the password to. So that the
 * author of a spec cannot have the daemon send just any file that it may read, a
 * file must look as if it were meant for a secret.
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
 * "PATH: why". Never waits: a file that is not regular is refused. Symbolic
 * links are followed, and the file at the end counts. careful, for the daemon:
 * the file must belong to root or to our user, and nobody else may write it; a
 * password must not be readable for everybody (for a group it may: systemd's
 * credentials are 0440).
 */
int secret_file_read(const char *path, enum secret_kind kind, bool careful, char **text, struct err *err);

#endif
