/*
 * The control socket: HTTP/1.1 (RFC 9112) over a Unix socket. Knows requests
 * and replies; what they mean is in the table that floor 3 gives.
 *
 * A slow or dead client costs its own user at most: connections are counted by
 * user (SO_PEERCRED), and one too many is told 503; a request must be whole within
 * CONTROL_TIMEOUT_S, so long may a connection be idle or a reply make no
 * progress, and all buffers have a limit. The process must ignore SIGPIPE.
 */
#ifndef APILB_IO_CONTROL_H
#define APILB_IO_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct event_base;
struct control;
struct control_request;

/* Connections at once: of one user, and how many of these may be streams, so that questions find a place. */
#define CONTROL_USER_CLIENTS 64
#define CONTROL_USER_STREAMS 32
/* What a user's connections may hold that has not been read yet, before questions are refused. */
#define CONTROL_USER_BACKLOG (32u << 20)
/* In all; the last ones are root's, and before them come those of users who have only a few. */
#define CONTROL_MAX_CLIENTS 256
#define CONTROL_FOR_ROOT 16
#define CONTROL_FOR_FEW 48
#define CONTROL_FEW 4
/* And so many more may take their time to read why they got no place. */
#define CONTROL_MAX_REFUSED 32
#define CONTROL_MAX_HEADER (16u << 10)
#define CONTROL_MAX_BODY (64u << 10)
#define CONTROL_TIMEOUT_S 30

struct control_route {
	const char *method; /* "GET", "POST"; HEAD comes to the row of GET, and the body is left out */
	const char *path;   /* exact: "/v1/status" */
	/* Must answer, now or later, with exactly one of control_reply, control_error, control_stream. */
	void (*handle)(void *arg, struct control_request *request);
};

/*
 * Binds PATH (mode 0660; its directory must exist). A socket that is left over, where
 * nobody answers, is replaced; one where somebody answers is an error that says so (ERR_CONFLICT), and a path
 * that is something else than a socket is never removed. routes end with a row of NULLs and outlive the
 * server. An unknown path gives 404, a wrong method 405 with Allow, all errors as { "error": ... }.
 */
struct control *control_new(struct event_base *base, const char *path, const struct control_route *routes,
			    void *arg, struct err *err);
/* What every request has to pass: gate calls handle, now or later, or answers itself. */
void control_set_gate(struct control *control,
		      void (*gate)(void *arg, struct control_request *request,
				   void (*handle)(void *arg, struct control_request *request)));
/* From now on no handler is called: what it would work on may be gone. Replies still go out. NULL is fine. */
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
 * A reply without end. gone comes exactly once, when the client has left, is too slow (more
 * than CONTROL_MAX_BACKLOG bytes waiting) or the server ends; never from within
 * control_stream or control_stream_write. After it the request must not be used.
 * Of a user who has CONTROL_USER_STREAMS of them another one is answered with 503, and gone soon.
 */
#define CONTROL_MAX_BACKLOG (1u << 20)
void control_stream(struct control_request *request, const char *content_type, void (*gone)(void *arg),
		    void *arg);
void control_stream_write(struct control_request *request, const char *data, size_t len);
void control_stream_end(struct control_request *request); /* gone does not come */

/*
 * For an answer that comes later, and then a must: gone comes when the client leaves before it, or the
 * server ends (then answering is neither needed nor allowed).
 */
void control_on_gone(struct control_request *request, void (*gone)(void *arg), void *arg);

#endif
