/*
 * The control socket: HTTP/1.1 (RFC 9112) over a Unix socket. This module knows requests and replies; what
 * each path means stands in the table of routes that its caller gives.
 *
 * A slow or dead client harms nobody but its own user: connections are counted by user (SO_PEERCRED), and a
 * connection beyond the limit is answered with 503. A request must be complete within CONTROL_TIMEOUT_S. A
 * connection is closed when it has been idle, or its reply has made no progress, for as long. All buffers
 * have a limit. The process must ignore SIGPIPE.
 */
#ifndef APILB_IO_CONTROL_H
#define APILB_IO_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct event_base;
struct control;
struct control_request;

/* The connections that one user may have at once, and how many of them may be streams: the others stay free
 * for questions. */
#define CONTROL_USER_CLIENTS 64
#define CONTROL_USER_STREAMS 32
/* Bytes of answers that may wait unread in all connections of a user before questions are refused. */
#define CONTROL_USER_BACKLOG (32u << 20)
/* All connections at once. The last CONTROL_FOR_ROOT places are kept for root, and the CONTROL_FOR_FEW before
 * them for users who have fewer than CONTROL_FEW connections. */
#define CONTROL_MAX_CLIENTS 256
#define CONTROL_FOR_ROOT 16
#define CONTROL_FOR_FEW 48
#define CONTROL_FEW 4
/* Beyond these limits, so many connections may stay open until clients have read why they are refused. */
#define CONTROL_MAX_REFUSED 32
#define CONTROL_MAX_HEADER (16u << 10)
#define CONTROL_MAX_BODY (64u << 10)
#define CONTROL_TIMEOUT_S 30

struct control_route {
	const char *method; /* "GET", "POST"; a GET row also serves HEAD, without the body */
	const char *path;   /* exact: "/v1/status" */
	/* Must answer, at once or later, with exactly one of control_reply, control_error, control_stream. */
	void (*handle)(void *arg, struct control_request *request);
};

/*
 * Binds PATH (mode 0660; its directory must exist). A left-over socket, where nobody answers, is replaced; a
 * socket where somebody answers is an error (ERR_CONFLICT); anything but a socket is never removed. routes
 * end with a row of NULLs and outlive the server. An unknown path is answered with 404, a wrong method with
 * 405 and Allow; every error reply is { "error": ... }.
 */
struct control *control_new(struct event_base *base, const char *path, const struct control_route *routes,
			    void *arg, struct err *err);
/* Every request passes gate first: gate calls handle, at once or later, or answers the request itself. */
void control_set_gate(struct control *control,
		      void (*gate)(void *arg, struct control_request *request,
				   void (*handle)(void *arg, struct control_request *request)));
/* From now on no handler is called, since the objects that handlers work on may be gone; new requests are
 * answered with 503. Replies still go out. NULL is fine. */
void control_end(struct control *control);
/* Ends every request and stream, unlinks the socket. NULL is fine. Not from within a handler. */
void control_free(struct control *control);

/* A query parameter, decoded; NULL if absent. Valid until the request is answered. */
const char *control_param(const struct control_request *request, const char *name);

void control_reply(struct control_request *request, int status, const char *content_type, const char *body,
		   size_t len);
/* { "error": "<formatted>" } */
void control_error(struct control_request *request, int status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * A reply without end. gone comes exactly once: when the client has left, when it is too slow (more than
 * CONTROL_MAX_BACKLOG bytes wait for it), or when the server ends; never from within control_stream or
 * control_stream_write. After gone the request must not be used. Where the user has CONTROL_USER_STREAMS
 * streams already, the client is answered with 503, and gone comes soon.
 */
#define CONTROL_MAX_BACKLOG (1u << 20)
void control_stream(struct control_request *request, const char *content_type, void (*gone)(void *arg),
		    void *arg);
void control_stream_write(struct control_request *request, const char *data, size_t len);
void control_stream_end(struct control_request *request); /* gone does not come */

/*
 * Needed by every handler that answers later: gone comes when the client leaves before its answer, or the
 * server ends. After gone the request must not be answered.
 */
void control_on_gone(struct control_request *request, void (*gone)(void *arg), void *arg);

#endif
