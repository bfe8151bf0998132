/*
 * The key and password files that specs name, read beside the loop: their file
 * system may hang, as that of a network mount does. Then the attempt to connect
 * that needs the file times out, and so do others that need one of the same
 * directory; nobody else waits.
 *
 * Of one directory there is one thread at most, and SSH_SECRET_THREADS in all.
 */
#ifndef APILB_IO_SSH_SECRET_H
#define APILB_IO_SSH_SECRET_H

#include "common/err.h"
#include "common/secret_file.h"

struct event_base;
struct ssh_secrets;
struct ssh_secret;

#define SSH_SECRET_THREADS 8

struct ssh_secrets *ssh_secrets_new(struct event_base *base);
/* When nobody waits any more. A thread that hangs is left to itself (background_is_left). NULL is fine. */
void ssh_secrets_free(struct ssh_secrets *secrets);

/* text is the callee's, to be freed with secret_free(); NULL: err says why. */
typedef void ssh_secret_cb(void *arg, char *text, const struct err *err);

/* As secret_file_read, careful. done comes once, from the event loop; the secret is gone by then. */
struct ssh_secret *ssh_secret_read(struct ssh_secrets *secrets, const char *path, enum secret_kind kind,
				   ssh_secret_cb *done, void *arg);
/* done does not come. NULL is fine. */
void ssh_secret_cancel(struct ssh_secret *secret);

#endif
