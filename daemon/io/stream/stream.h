/*
 * Streams: bytes both ways, with back-pressure and an end.
 *
 * A stream is a libevent bufferevent, whatever is underneath: a socket, or (see
 * ssh.h) a channel of an SSH session. Who reads it cannot tell. Its owner
 * closes it with bufferevent_free(). Watermarks give back-pressure; the end is
 * BEV_EVENT_EOF or BEV_EVENT_ERROR. Whoever has sent all that he will send may
 * say so with bufferevent_flush(stream, EV_WRITE, BEV_FINISHED): a channel passes
 * it on, a socket ignores it. The process ignores SIGPIPE.
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
 * stream is owned by the callee; NULL on failure, and then err says why. No
 * callbacks are set on it yet, and reading is not enabled. Set them before
 * returning: an error that comes while there are none is not repeated.
 */
typedef void stream_open_cb(void *arg, struct bufferevent *stream, const struct err *err);

/* An opening under way; gone once its callback has come. */
struct stream_opening;
void stream_open_cancel(struct stream_opening *opening); /* NULL is fine; no callback comes */
/* What it waits for, in a word or two: "resolving", "connecting", "opening". */
const char *stream_open_phase(const struct stream_opening *opening);

/* Errors: ERR_UNREACHABLE; "engine socket /run/docker.sock: permission denied ..." is the caller's to word:
 * the message here is "PATH: no such file or directory", "PATH: connection refused", ... */
struct stream_opening *stream_open_unix(struct event_base *base, const char *path, int64_t timeout_ms,
					stream_open_cb *cb, void *arg);

/*
 * TCP to a name or address (resolved by evdns, never blocking; every address
 * is tried in turn until the deadline). TCP_NODELAY is set. Errors are
 * ERR_UNREACHABLE and tell apart: name not found, refused, timed out, no route.
 */
struct stream_opening *stream_open_tcp(struct event_base *base, struct evdns_base *dns, const char *host,
				       uint16_t port, int64_t timeout_ms, stream_open_cb *cb, void *arg);

#endif
