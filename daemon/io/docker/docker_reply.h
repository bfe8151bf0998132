/*
 * What an engine's reply means: reads a good one as docker.h promises it, and
 * makes an error of any other, in the engine's own words if it has given some.
 */
#ifndef APILB_IO_DOCKER_REPLY_H
#define APILB_IO_DOCKER_REPLY_H

#include <stdbool.h>

#include "common/err.h"
#include "common/json.h"
#include "daemon/io/docker/docker.h"
#include "daemon/io/http/http.h"

/* See docker.h. `look` is the command that shows a person such a reply on the host. */
struct reply_limits {
	struct json_limits json; /* json.bytes limits replies that are not JSON, too */
	const char *look;
};

/* Reads a reply with a good status. *owned: what the reply needs; the caller frees it. */
typedef int reply_read_fn(const struct http_reply *http, const struct reply_limits *limits,
			  struct docker_reply *reply, void **owned, struct err *err);
reply_read_fn reply_read_json, reply_read_archive, reply_read_log;

/* The API version to use, from the reply to a ping; it takes the place of *version. */
int reply_read_version(const struct http_reply *http, char **version, struct err *err);

/* Sets the error of a reply with a bad status. takes_name: of a request for which 409 says that a name is
 * taken. */
int reply_refuse(const struct http_reply *http, bool takes_name, struct docker_reply *reply, struct err *err);
/* Sets the error of a reply beyond its limits. */
int reply_too_large(const struct reply_limits *limits, const struct err *why, struct err *err);

#endif
