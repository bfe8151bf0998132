/*
 * One client's connection and its current request: bytes come in, a request goes out to control_dispatch; a
 * reply comes in, bytes go out. Internal to control.c.
 */
#ifndef APILB_IO_CONTROL_REQUEST_H
#define APILB_IO_CONTROL_REQUEST_H

#include <event2/util.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/time.h>
#include <sys/types.h>

#include "daemon/io/control/control.h"

TAILQ_HEAD(control_requests, control_request);

/* CONTROL_TIMEOUT_S; a variable so that a test can shorten it. */
extern struct timeval control_patience;

/*
 * Takes the socket over. The connection stands in `all` for as long as it lasts; each complete request is
 * given to control_dispatch. refusal, if not NULL: the client is not served; the connection is open only
 * until the client has been sent this text, and does not count as a client.
 */
void control_request_new(struct control *control, struct event_base *base, evutil_socket_t fd, uid_t uid,
			 struct control_requests *all, const char *refusal);
/* Closes the connection and frees the request; its gone callback, if one is set, comes. */
void control_request_close(struct control_request *request);
/* Tells a client why it gets no connection, as far as the socket takes the text without waiting. */
void control_refuse(evutil_socket_t fd, int status, const char *message);

struct control_count {
	size_t all, of_user; /* served connections */
	size_t refused;      /* connections that are open only until the client knows that it is refused */
	size_t streams;      /* of the user */
	size_t unsent;       /* of the user, in bytes */
};
struct control_count control_requests_count(const struct control_requests *all, uid_t uid);
/* The user at the other end; (uid_t)-1: the kernel does not say. */
uid_t control_peer(evutil_socket_t fd);

/* Adds a header line, without CRLF, to the reply that is to come: "Allow: GET". */
void control_request_set_header(struct control_request *request, const char *line);

/* Called when a request is complete; in control.c. path is without the query. */
void control_dispatch(struct control *control, struct control_request *request, const char *method,
		      const char *path);

#endif
