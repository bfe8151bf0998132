/*
 * HTTP/1.1 requests over a stream (RFC 9112), one after the other on one
 * connection. The parser is llhttp or http_parser. Knows nothing of the Engine API. A long reply is
 * parsed 32 KiB at a time; the loop serves others in between.
 */
#ifndef APILB_IO_HTTP_H
#define APILB_IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct bufferevent;
struct evbuffer;
struct http;
struct http_call;

struct http_request {
	const char *method;       /* "GET", ... */
	const char *target;       /* "/v1.41/containers/json?all=1" */
	const char *content_type; /* NULL: no body */
	const void *body;
	size_t body_len;
	const char *header; /* one more header line without CRLF ("X-Registry-Auth: ..."), or NULL */
	int64_t timeout_ms; /* required: of the whole exchange; of a streamed reply, of the longest silence */
	int64_t limit_ms;   /* of a streamed reply: of the whole exchange; 0: no limit */
	size_t max_body;    /* a longer reply is an error; 0: 16 MiB; pieces do not count */
	/*
	 * If set, the body comes in pieces as it arrives, not in the reply (for pull
	 * progress and lists). Only called for 2xx replies; the body of others is in the reply.
	 */
	void (*on_piece)(void *arg, const char *data, size_t len);
};

/* Valid only within the callback. */
struct http_reply {
	int status;
	const char *body; /* NUL terminated for convenience; may hold NULs */
	size_t body_len;
};

#define HTTP_MAX_SKIPPED ((size_t)32 << 20)

/* A header of the reply, its name in any case; NULL if there is none. Only within the callback. */
const char *http_reply_header(const struct http_reply *reply, const char *name);

/*
 * Comes exactly once, from the event loop, never from within http_send; not after
 * http_cancel or http_free. err is NULL when a whole reply has come, whatever
 * its status. Errors: ERR_TRANSIENT (closed in the middle, timed out,
 * not HTTP) and ERR_PERMANENT (too large). The rest of a reply that is too large is
 * read and dropped, up to HTTP_MAX_SKIPPED bytes, and the connection stays usable. The callback (and
 * on_piece) may send again, cancel, or free the connection; the reply is valid until the callback returns.
 */
typedef void http_done_cb(void *arg, const struct http_reply *reply, const struct err *err);

struct http *http_new(struct bufferevent *stream); /* takes the stream over */
void http_free(struct http *http);                 /* NULL is fine; drops requests without callbacks */

/* The request is copied. It waits for the requests before it; its timeout starts when its turn comes. */
struct http_call *http_send(struct http *http, const struct http_request *request, http_done_cb *done,
			    void *arg);
/* Drops the request. If it was under way, the connection cannot be used any more (http_usable is false). */
void http_cancel(struct http_call *call);
/* False after any error, a cancel, or a reply that ends with the connection. */
bool http_usable(const struct http *http);

#endif
