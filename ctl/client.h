/*
 * The daemon, as seen from outside: HTTP/1.1 over its Unix socket, by libcurl.
 *
 * Errors are of two kinds. ERR_UNREACHABLE: nobody there, or nobody who speaks
 * as apilbd does; the message says which socket, what was tried, and what to do.
 * ERR_PERMANENT: the daemon says no, in its own words.
 */
#ifndef APILB_CTL_CLIENT_H
#define APILB_CTL_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct client;
struct json_object;

/* A longer reply is not from apilbd: the status of 10,000 balancers takes about 10 MB. */
#define CLIENT_MAX_REPLY_BYTES (256u << 20)

struct client *client_new(const char *socket_path);
void client_free(struct client *client);

/* One request. A list of params ends with a NULL name; a param whose value is NULL is not sent. */
struct client_param {
	const char *name, *value;
};

struct client_request {
	const char *method; /* "GET" or "POST" */
	const char *path;   /* "/v1/status" */
	const struct client_param *params;
	int64_t timeout_ms; /* time for the whole reply; for client_lines, time until the reply begins */
};

/* The reply's body, which the caller frees; NULL after an error. */
char *client_text(struct client *client, const struct client_request *request, struct err *err);

/* The reply as a JSON object, which the caller releases with json_object_put(); NULL after an error. */
struct json_object *client_json(struct client *client, const struct client_request *request, struct err *err);

/*
 * Calls on_line for each line of the reply as it arrives, until the reply ends.
 * `line` has no newline and is valid only during the call. If on_line returns
 * nonzero, the request ends, and client_lines returns 0.
 */
int client_lines(struct client *client, const struct client_request *request,
		 int (*on_line)(void *arg, const char *line), void *arg, struct err *err);

#endif
