/*
 * Streams: bytes both ways, with back-pressure and an end.
 *
 * A stream is a libevent bufferevent over a socket, or (see ssh.h) over a
 * channel of an SSH session; its users need not know which. Its owner
 * closes it with bufferevent_free(). Watermarks give back-pressure; the end is
 * BEV_EVENT_EOF or BEV_EVENT_ERROR. A user who will send nothing more may
 * say so with bufferevent_flush(stream, EV_WRITE, BEV_FINISHED): a channel passes
 * this on, a socket ignores it. The process must ignore SIGPIPE.
 *
 * Opening is asynchronous: the callback comes exactly once, from the event
 * loop and never from within the call, unless the opening is cancelled first.
 */
#ifndef APILB_IO_STREAM_H
#define APILB_IO_STREAM_H

#include <stdint.h>

#include "common/err.h"

struct bufferevent;
struct event_base;
struct evdns_base;

/*
 * The callback owns stream. On failure stream is NULL, and err says why. The
 * stream has no callbacks yet, and reading is not enabled: set its callbacks
 * before returning, since an error that comes before is not repeated.
 */
typedef void stream_open_cb(void *arg, struct bufferevent *stream, const struct err *err);

/* An opening under way; freed before its callback comes. */
struct stream_opening;
void stream_open_cancel(struct stream_opening *opening); /* NULL is fine; no callback comes */
/* The current step, in a word or two: "resolving", "connecting", "opening a channel". */
const char *stream_open_phase(const struct stream_opening *opening);

/* Errors are ERR_UNREACHABLE, with messages as "PATH: no such file or directory" or "PATH: connection
 * refused": what the socket is for, and what to do, the caller must add. */
struct stream_opening *stream_open_unix(struct event_base *base, const char *path, int64_t timeout_ms,
					stream_open_cb *cb, void *arg);

/*
 * TCP to a name or address. evdns resolves names without blocking; the addresses
 * are tried in turn until the deadline. TCP_NODELAY is set. Errors are
 * ERR_UNREACHABLE and tell apart: name not found, refused, timed out, no route.
 * dns may be NULL: then every name is "not found".
 */
struct stream_opening *stream_open_tcp(struct event_base *base, struct evdns_base *dns, const char *host,
				       uint16_t port, int64_t timeout_ms, stream_open_cb *cb, void *arg);

#endif
