/*
 * Private keys as far as libssh2 leaves to us: reading their files, and saying
 * in words what is wrong with one (libssh2's errors do not tell).
 */
#ifndef APILB_IO_SSH_KEY_H
#define APILB_IO_SSH_KEY_H

#include <stddef.h>

#include "common/err.h"

#define SSH_SECRET_FILE_MAX_BYTES (64 << 10)

enum ssh_key_kind {
	SSH_KEY_OTHER, /* Ed25519 or ECDSA, or something that libssh2 may know */
	SSH_KEY_RSA,
	SSH_KEY_ENCRYPTED,
	SSH_KEY_NONE, /* no private key at all */
};

/* A small text file, NUL-terminated; free it with secret_free(). The message is "PATH: why". */
int ssh_secret_read(const char *path, char **text, struct err *err);

enum ssh_key_kind ssh_key_kind(const char *text);

#endif
