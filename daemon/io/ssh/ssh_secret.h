/*
 * Reads the key and password files that specs name, beside the loop, since their
 * file system may hang, as a network mount does. Then the attempt to connect that
 * needs the file times out, and so do others that need a file of the same
 * directory; nobody else waits.
 *
 * There is at most one thread for each directory, and SSH_SECRET_THREADS in all. Those
 * whose read was cancelled, since they hang, do not count: a mount with a directory for
 * each host would take all threads for ever. If SSH_SECRET_HUNG of those hang, nothing
 * more is read, and err says so.
 */
#ifndef APILB_IO_SSH_SECRET_H
#define APILB_IO_SSH_SECRET_H

#include "common/err.h"
#include "common/secret_file.h"

struct event_base;
struct ssh_secrets;
struct ssh_secret;

#define SSH_SECRET_THREADS 8
#define SSH_SECRET_HUNG 64

struct ssh_secrets *ssh_secrets_new(struct event_base *base);
/* Only when all reads have ended or been cancelled. A thread that hangs goes on (see background_is_left).
 * NULL is fine. */
void ssh_secrets_free(struct ssh_secrets *secrets);

/* The callback owns text, and frees it with secret_free(); NULL: err says why the file was not read. */
typedef void ssh_secret_cb(void *arg, char *text, const struct err *err);

/* Reads like secret_file_read with `careful`. done comes once, from the event loop; after that the secret
 * must not be used. */
struct ssh_secret *ssh_secret_read(struct ssh_secrets *secrets, const char *path, enum secret_kind kind,
				   ssh_secret_cb *done, void *arg);
/* done does not come. May be called by done itself, to no effect. NULL is fine. */
void ssh_secret_cancel(struct ssh_secret *secret);

#endif
