#include "daemon/io/docker/docker_reply.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/docker/docker_text.h"

/* Of an error reply, and of what a header says of a path. */
static const struct json_limits word_limits = {DOCKER_MAX_WORD_BYTES, DOCKER_MAX_WORD_VALUES,
					       DOCKER_MAX_DEPTH};

int reply_too_large(const struct reply_limits *limits, const struct err *why, struct err *err)
{
	return err_set(err, ERR_PERMANENT,
		       "the engine's answer is beyond its limit (%s); run \"%s\" on the host to see it",
		       why->message, limits->look);
}

int reply_read_json(const struct http_reply *http, const struct reply_limits *limits,
		    struct docker_reply *reply, void **owned, struct err *err)
{
	struct err why;

	(void)owned;
	reply->json = json_parse(http->body, http->body_len, &limits->json, &why);
	if (json_as_map(reply->json))
		return 0;
	if (reply->json)
		return err_set(err, ERR_TRANSIENT, "the engine's answer is no JSON object: %.60s",
			       http->body);
	if (why.kind == ERR_PERMANENT)
		return reply_too_large(limits, &why, err);
	return err_set(err, ERR_TRANSIENT, "the engine's answer is %s: %.60s", why.message, http->body);
}

int reply_read_archive(const struct http_reply *http, const struct reply_limits *limits,
		       struct docker_reply *reply, void **owned, struct err *err)
{
	const char *encoded = http_reply_header(http, "X-Docker-Container-Path-Stat");
	char *decoded = base64_text(encoded ? encoded : "");
	struct err why;

	struct json_object *stat = json_parse(decoded, strlen(decoded), &word_limits, &why);
	bool good = json_as_map(stat);

	(void)limits;
	*owned = decoded;
	json_object_put(stat);
	if (!good)
		return err_set(err, ERR_TRANSIENT,
			       "the engine's answer has no good X-Docker-Container-Path-Stat");
	reply->path_stat = decoded;
	return 0;
}

int reply_read_log(const struct http_reply *http, const struct reply_limits *limits,
		   struct docker_reply *reply, void **owned, struct err *err)
{
	(void)limits, (void)err;
	reply->body = *owned = log_text(http->body, http->body_len, &reply->body_len);
	return 0;
}

static int version_number(const char *version, int *number)
{
	int major, minor, end = 0;

	if (sscanf(version, "%4d.%4d%n", &major, &minor, &end) != 2 || version[end])
		return -1;
	*number = major * 1000 + minor;
	return 0;
}

int reply_read_version(const struct http_reply *http, char **version, struct err *err)
{
	const char *has = http_reply_header(http, "Api-Version");
	int number, min, max;

	version_number(DOCKER_API_MIN, &min);
	version_number(DOCKER_API_MAX, &max);
	if (!has || version_number(has, &number) < 0)
		return err_set(err, ERR_PERMANENT, "what answers is not a Docker engine (no Api-Version)");
	if (number < min)
		return err_set(
			err, ERR_PERMANENT,
			"the engine has API version %s, but at least %s is needed (Docker 18.06 or later)",
			has, DOCKER_API_MIN);
	free(*version);
	*version = xstrdup(number < max ? has : DOCKER_API_MAX);
	return 0;
}

static enum err_kind kind_of_status(int status, bool takes_name)
{
	/* From other requests 409 says that a state has changed meanwhile. */
	if (status == 409)
		return takes_name ? ERR_CONFLICT : ERR_TRANSIENT;
	return status >= 500 || status == 408 || status == 429 ? ERR_TRANSIENT : ERR_PERMANENT;
}

int reply_refuse(const struct http_reply *http, bool takes_name, struct docker_reply *reply, struct err *err)
{
	enum err_kind kind = kind_of_status(http->status, takes_name);
	const char *message;
	struct err why;
	char *text;

	reply->json = json_parse(http->body, http->body_len, &word_limits, &why);
	message = json_text(reply->json, "message", NULL);
	if (!message)
		return err_set(err, kind, "the engine answered with HTTP status %d", http->status);
	text = one_line(message);
	err_set(err, kind, "%s", *text ? text : "the engine gives no reason");
	free(text);
	return -1;
}
