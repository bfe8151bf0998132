/*
 * One client's connection and its request of the moment: bytes in, a request
 * out, a reply in, bytes out. Internal to control.c.
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

/* CONTROL_TIMEOUT_S; a variable so that a test need not wait for it. */
extern struct timeval control_patience;

/*
 * Takes the socket over. The connection stands in `all` for as long as it lasts;
 * what it has received is given to control_dispatch. refusal: it only lasts until it has been told that,
 * and does not count; NULL: it is served.
 */
void control_request_new(struct control *control, struct event_base *base, evutil_socket_t fd, uid_t uid,
			 struct control_requests *all, const char *refusal);
/* Closes the connection and frees the request; a gone callback that is due comes. */
void control_request_close(struct control_request *request);
/* Tells a client that gets no connection why, as far as that works without waiting. */
void control_refuse(evutil_socket_t fd, int status, const char *message);

struct control_count {
	size_t all, of_user;    /* that are served */
	size_t refused;         /* that are being told so */
	size_t streams, unsent; /* of the user; unsent are bytes */
};
struct control_count control_requests_count(const struct control_requests *all, uid_t uid);
/* Who is at the other end; (uid_t)-1: nobody knows. */
uid_t control_peer(evutil_socket_t fd);

/* One more header line of the reply to come, without CRLF: "Allow: GET". */
void control_request_set_header(struct control_request *request, const char *line);

/* control.c: a whole request has come. path is without the query. */
void control_dispatch(struct control *control, struct control_request *request, const char *method,
		      const char *path);

#endif
