/*
 * Errors as plain values: a kind, which decides what is done, and a message
 * that a person can act on. Context is added in front on the way up:
 *
 *     ssh://root@10.0.0.5:22: create container api-lb: no such image: haproxy:9.9
 *
 * Functions that can fail return 0 or -1 and take a struct err * last. It may
 * not be NULL. It is written only on failure. No message ever holds a secret.
 */
#ifndef APILB_ERR_H
#define APILB_ERR_H

#include <stdarg.h>
#include <stdbool.h>

enum err_kind {
	ERR_NONE = 0,
	ERR_SPEC,        /* what the operator wrote is wrong; retrying cannot help */
	ERR_UNREACHABLE, /* no usable connection to the host or its engine; retried with backoff */
	ERR_TRANSIENT,   /* may well work the next time; retried with backoff */
	ERR_PERMANENT,   /* cannot work until somebody changes something; retried at each resync */
	ERR_CONFLICT,    /* a container or file that is not ours is in the way; it is left alone */
	ERR_CANCELLED,   /* we gave the operation up ourselves; not reported */
	ERR_KINDS
};

/* Longer messages are cut after a whole character, and end in "...". */
#define ERR_MESSAGE_BYTES 1024

struct err {
	enum err_kind kind;
	char message[ERR_MESSAGE_BYTES];
	/* Of opening a stream to a Unix socket: it is missing, or nobody listens there. False: not certain.
	 */
	bool nobody_listens;
};

/* Always returns -1, for `return err_set(err, ...)`. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_vset(struct err *err, enum err_kind kind, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

/* Puts "<context>: " in front of the message. Returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "spec", "unreachable", ...: what status shows as lastError.kind. */
const char *err_kind_name(enum err_kind kind);

#endif
