/*
 * HTTP/1.1 requests over a stream (RFC 9112), one after the other on one
 * connection. The parser is llhttp or http_parser; knows nothing of Docker. A long reply is
 * gone through 32 KiB at a time, with turns of the loop for others in between.
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
	int64_t timeout_ms; /* needed; the whole exchange; for a streamed reply, the longest silence */
	int64_t limit_ms;   /* of a streamed reply: the whole exchange; 0: none */
	size_t max_body;    /* a longer reply is an error; 0: 16 MiB; pieces do not count */
	/*
	 * Set: the body comes in pieces as it arrives, not in the reply (pull
	 * progress, followed logs). Only called for 2xx replies; others are collected.
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

/* A header of the reply being delivered, by name without regard to case; NULL if there is none. */
const char *http_reply_header(const struct http_reply *reply, const char *name);

/*
 * Exactly once, from the event loop, never from within http_send; not after
 * http_cancel or http_free. err is NULL when a whole reply has come, whatever
 * its status. Errors are ERR_TRANSIENT: closed in the middle, timed out,
 * not HTTP; and ERR_PERMANENT: too large. Of a reply that is too large the rest is
 * read and thrown away, up to HTTP_MAX_SKIPPED, and the connection stays usable. The callback (and on_piece)
 * may send again, cancel, or free the connection; the reply stays there until it returns.
 */
typedef void http_done_cb(void *arg, const struct http_reply *reply, const struct err *err);

struct http *http_new(struct bufferevent *stream); /* takes the stream over */
void http_free(struct http *http);                 /* NULL is fine; drops requests without callbacks */

/* The request is copied. Requests wait for those before them; the timeout starts when its turn comes. */
struct http_call *http_send(struct http *http, const struct http_request *request, http_done_cb *done,
			    void *arg);
/* Drops the request; where it was under way the connection is of no more use (http_usable is false). */
void http_cancel(struct http_call *call);
/* False after any error, a cancel, or a reply that ends with the connection. */
bool http_usable(const struct http *http);

#endif
