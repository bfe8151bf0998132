#include "daemon/io/docker/docker.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/names.h"
#include "daemon/io/docker/docker_list.h"
#include "daemon/io/docker/docker_pull.h"
#include "daemon/io/docker/docker_reply.h"
#include "daemon/io/http/http.h"

struct docker_counters docker_counters;

struct docker {
	struct http *http;
	char *version;   /* "1.41" once it is negotiated */
	size_t answered; /* replies so far */
	LIST_HEAD(, docker_call) calls;
};

struct docker_call {
	LIST_ENTRY(docker_call) next;
	struct docker *docker;
	struct http_call *http_call;
	const struct endpoint *endpoint;
	char *what; /* "create container api-lb": what its errors begin with */
	struct pull *pull;
	size_t pulled_bytes;
	docker_progress_cb *progress;
	struct list_reader *list;
	docker_entry_cb *entry;
	docker_cb *cb;
	void *arg;
};

/* How long an engine may take before the connection is given up; in a pull, how long it may be silent. */
enum { LOOK_S = 30, CHANGE_S = 60, TRANSFER_S = 120, PULL_S = 300 };

/* 404 is an answer, not an error. */
#define MAY_BE_MISSING 1u
/* 409 says that the name is taken. */
#define TAKES_NAME 2u

#define LIMITS static const struct reply_limits
LIMITS word = {{DOCKER_MAX_WORD_BYTES, DOCKER_MAX_WORD_VALUES, DOCKER_MAX_DEPTH}, "docker version"};
LIMITS details = {{DOCKER_MAX_DETAILS_BYTES, DOCKER_MAX_DETAILS_VALUES, DOCKER_MAX_DEPTH}, "docker inspect"};
LIMITS file = {{.bytes = DOCKER_MAX_FILE_BYTES}, "docker cp"};
LIMITS log_lines = {{.bytes = DOCKER_MAX_LOG_BYTES}, "docker logs"};
/* Of a pull or a list only an error reply is collected whole; list_limits is for the list itself. */
LIMITS pulling = {{DOCKER_MAX_WORD_BYTES, DOCKER_MAX_WORD_VALUES, DOCKER_MAX_DEPTH}, "docker pull"};
LIMITS listing = {{DOCKER_MAX_WORD_BYTES, DOCKER_MAX_WORD_VALUES, DOCKER_MAX_DEPTH},
		  "docker ps --all --filter label=" LABEL_OWNER};

static const struct list_limits list_limits = {
	.elements = DOCKER_MAX_LISTED,
	.element = {DOCKER_MAX_ENTRY_BYTES, DOCKER_MAX_ENTRY_VALUES, DOCKER_MAX_DEPTH},
};

struct endpoint {
	const char *method;
	const char *target; /* each {} stands for an argument, percent-encoded */
	const char *what;
	int timeout_s;
	reply_read_fn *read; /* NULL: a good status is enough, or see judge() */
	unsigned flags;
	const struct reply_limits *limits;
};

#define ENDPOINT static const struct endpoint
ENDPOINT ping = {"GET", "/_ping", "ping", LOOK_S, NULL, 0, &word};
ENDPOINT list = {"GET", "/containers/json?all=1&filters={}", "list containers", LOOK_S, NULL, 0, &listing};
ENDPOINT inspect = {
	"GET", "/containers/{}/json", "inspect container", LOOK_S, reply_read_json, MAY_BE_MISSING, &details};
ENDPOINT create = {
	"POST", "/containers/create?name={}", "create container", CHANGE_S, reply_read_json, TAKES_NAME,
	&word};
ENDPOINT start = {"POST", "/containers/{}/start", "start container", CHANGE_S, NULL, 0, &word};
ENDPOINT wait_for = {"POST", "/containers/{}/wait", "wait for container", CHANGE_S, reply_read_json, 0,
		     &word};
ENDPOINT stop = {"POST", "/containers/{}/stop?t={}", "stop container", CHANGE_S, NULL, 0, &word};
ENDPOINT send_signal = {"POST", "/containers/{}/kill?signal={}", "signal container", CHANGE_S, NULL, 0,
			&word};
ENDPOINT exec_create = {
	"POST", "/containers/{}/exec", "prepare a command in container", CHANGE_S, reply_read_json, 0, &word};
ENDPOINT exec_start = {"POST", "/exec/{}/start", "run command", CHANGE_S, NULL, 0, &word};
ENDPOINT unpause = {"POST", "/containers/{}/unpause", "unpause container", CHANGE_S, NULL, 0, &word};
ENDPOINT rename_to = {"POST", "/containers/{}/rename?name={}", "rename container", CHANGE_S, NULL, TAKES_NAME,
		      &word};
ENDPOINT delete = {"DELETE", "/containers/{}?force={}", "remove container", CHANGE_S, NULL, MAY_BE_MISSING,
		   &word};
ENDPOINT image_inspect = {"GET",           "/images/{}/json", "inspect image", LOOK_S,
			  reply_read_json, MAY_BE_MISSING,    &details};
ENDPOINT image_pull = {"POST", "/images/create?fromImage={}&tag={}", "pull image", PULL_S, NULL, 0, &pulling};
ENDPOINT put = {"PUT", "/containers/{}/archive?path={}", "write into", TRANSFER_S, NULL, 0, &word};
ENDPOINT get = {
	"GET", "/containers/{}/archive?path={}", "read", TRANSFER_S, reply_read_archive, MAY_BE_MISSING,
	&file};
ENDPOINT head = {
	"HEAD", "/containers/{}/archive?path={}", "look at", LOOK_S, reply_read_archive, MAY_BE_MISSING,
	&word};
ENDPOINT logs = {"GET",
		 "/containers/{}/logs?stdout=1&stderr=1&tail={}",
		 "read the log of container",
		 TRANSFER_S,
		 reply_read_log,
		 0,
		 &log_lines};

/* -- calls ---------------------------------------------------------------------------------------------- */

static int judge(struct docker_call *call, const struct http_reply *http, struct docker_reply *reply,
		 void **owned, struct err *err)
{
	const struct endpoint *endpoint = call->endpoint;

	*reply =
		(struct docker_reply){.status = http->status, .body = http->body, .body_len = http->body_len};
	if (http->status == 304 || (http->status == 404 && (endpoint->flags & MAY_BE_MISSING)))
		return 0;
	if (http->status / 100 != 2)
		return reply_refuse(http, endpoint->flags & TAKES_NAME, reply, err);
	if (call->list)
		return list_reader_end(call->list, err) < 0 ? err_prefix(err, "the engine's answer") : 0;
	if (call->pull)
		return pull_result(call->pull, err);
	if (endpoint == &ping)
		return reply_read_version(http, &call->docker->version, err);
	return endpoint->read ? endpoint->read(http, endpoint->limits, reply, owned, err) : 0;
}

static void call_free(struct docker_call *call)
{
	LIST_REMOVE(call, next);
	pull_free(call->pull);
	list_reader_free(call->list);
	free(call->what);
	free(call);
}

/* Every call that is not cancelled ends here. The callback may free the engine, so nothing of it is used
 * afterwards. */
static void on_done(void *arg, const struct http_reply *http, const struct err *http_err)
{
	struct docker_call *call = arg;
	docker_cb *cb = call->cb;
	void *cb_arg = call->arg, *owned = NULL;
	struct docker_reply reply;
	struct err err = {.kind = ERR_NONE};

	call->docker->answered += http != NULL;
	if (http)
		judge(call, http, &reply, &owned, &err);
	else if (http_err->kind == ERR_PERMANENT)
		reply_too_large(call->endpoint->limits, http_err, &err);
	else
		err = *http_err;
	if (err.kind != ERR_NONE)
		err_prefix(&err, "%s", call->what);
	if (!http && call->pull)
		pull_explain(call->pull, &err);
	call_free(call);
	cb(cb_arg, http ? &reply : NULL, err.kind != ERR_NONE ? &err : NULL);
	if (http)
		json_object_put(reply.json);
	free(owned);
}

/* Ends a call without waiting for the rest of a reply that cannot be right. */
static void give_up(struct docker_call *call, const struct err *why)
{
	http_cancel(call->http_call);
	on_done(call, NULL, why);
}

static void on_pull_piece(void *arg, const char *data, size_t len)
{
	struct docker_call *call = arg;
	const char *text = pull_feed(call->pull, data, len);
	struct err why;

	call->pulled_bytes += len;
	if (call->pulled_bytes > DOCKER_MAX_PULL_BYTES) {
		err_set(&why, ERR_PERMANENT, "more than %u bytes of progress", DOCKER_MAX_PULL_BYTES);
		give_up(call, &why);
	} else if (text && call->progress) {
		call->progress(call->arg, text);
	}
}

static void on_list_piece(void *arg, const char *data, size_t len)
{
	struct docker_call *call = arg;
	struct err why;

	if (list_reader_feed(call->list, data, len, &why) == 0)
		return;
	if (why.kind != ERR_PERMANENT)
		err_prefix(&why, "the engine's answer");
	give_up(call, &why);
}

static void on_entry(void *arg, struct json_object *entry)
{
	struct docker_call *call = arg;

	call->entry(call->arg, entry);
}

/* Fills the arguments into the target, and puts the negotiated API version before it. */
static char *make_target(const struct docker *d, const char *pattern, const char *const args[2])
{
	struct evbuffer *out = evbuffer_new();
	const char *hole;
	char *target;

	if (d->version)
		evbuffer_add_printf(out, "/v%s", d->version);
	for (; (hole = strstr(pattern, "{}")); pattern = hole + 2) {
		char *encoded = evhttp_uriencode(*args++, -1, 0);

		evbuffer_add_printf(out, "%.*s%s", (int)(hole - pattern), pattern, encoded);
		free(encoded);
	}
	evbuffer_add(out, pattern, strlen(pattern) + 1);
	target = xstrdup((const char *)evbuffer_pullup(out, -1));
	evbuffer_free(out);
	return target;
}

/* "create container api-lb", "read 0123456789ab:/etc/haproxy/haproxy.cfg": ids cut as the docker command cuts
 * them. */
static char *describe(const struct endpoint *endpoint, const char *subject, const char *path)
{
	bool is_id = subject && strlen(subject) == 64 && strspn(subject, "0123456789abcdef") == 64;

	if (!subject)
		return xstrdup(endpoint->what);
	return xasprintf("%s %.*s%s%s", endpoint->what, is_id ? 12 : (int)strlen(subject), subject,
			 path ? ":" : "", path ? path : "");
}

/* The variable parts of one call; a member that is not set is not sent. */
struct request {
	const char *subject; /* for the context of errors; NULL: the first argument */
	const char *path;
	const char *args[2];
	const char *content_type;
	const void *body;
	size_t body_len;
	int extra_s; /* how long the engine is asked to wait; added to the endpoint's timeout */
	void (*on_piece)(void *arg, const char *data, size_t len);
	int64_t limit_ms; /* for the whole of a reply in pieces */
};

static struct docker_call *send_call(struct docker *d, const struct endpoint *endpoint,
				     const struct request *parts, docker_cb *cb, void *arg)
{
	struct docker_call *call = xcalloc(1, sizeof(*call));
	char *target =
		endpoint == &ping ? xstrdup(endpoint->target) : make_target(d, endpoint->target, parts->args);
	struct http_request request = {
		.method = endpoint->method,
		.target = target,
		.content_type = parts->content_type,
		.body = parts->body,
		.body_len = parts->body_len,
		.timeout_ms = (int64_t)(endpoint->timeout_s + parts->extra_s) * 1000,
		.max_body = endpoint->limits->json.bytes,
		.limit_ms = parts->limit_ms,
		.on_piece = parts->on_piece,
	};

	call->docker = d;
	call->endpoint = endpoint;
	call->what = describe(endpoint, parts->subject ? parts->subject : parts->args[0], parts->path);
	call->cb = cb;
	call->arg = arg;
	LIST_INSERT_HEAD(&d->calls, call, next);
	call->http_call = http_send(d->http, &request, on_done, call);
	free(target);

	docker_counters.requests++;
	if (strcmp(endpoint->method, "GET") != 0 && strcmp(endpoint->method, "HEAD") != 0)
		docker_counters.mutating++;
	return call;
}

void docker_cancel(struct docker_call *call)
{
	http_cancel(call->http_call);
	call_free(call);
}

struct docker *docker_new(struct bufferevent *stream)
{
	struct docker *d = xcalloc(1, sizeof(*d));

	d->http = http_new(stream);
	LIST_INIT(&d->calls);
	return d;
}

void docker_free(struct docker *d)
{
	if (!d)
		return;
	while (!LIST_EMPTY(&d->calls))
		call_free(LIST_FIRST(&d->calls));
	http_free(d->http);
	free(d->version);
	free(d);
}

bool docker_usable(const struct docker *d)
{
	return http_usable(d->http);
}

bool docker_is_of_use(const struct docker *d)
{
	return d->answered > 1;
}

/* -- the endpoints -------------------------------------------------------------------------------------- */

struct docker_call *docker_ping(struct docker *d, docker_cb *cb, void *arg)
{
	return send_call(d, &ping, &(struct request){0}, cb, arg);
}

struct docker_call *docker_list(struct docker *d, const char *label, docker_entry_cb *entry, docker_cb *cb,
				void *arg)
{
	struct json_object *filters = json_object_new_object(), *labels = json_object_new_array();
	struct docker_call *call;

	json_object_array_add(labels, json_object_new_string(label));
	json_object_object_add(filters, "label", labels);
	call = send_call(d, &list,
			 &(struct request){.subject = label,
					   .args = {json_object_to_json_string(filters)},
					   .on_piece = on_list_piece,
					   .limit_ms = LOOK_S * 1000},
			 cb, arg);
	call->list = list_reader_new(&list_limits, on_entry, call);
	call->entry = entry;
	json_object_put(filters);
	return call;
}

struct docker_call *docker_inspect(struct docker *d, const char *id_or_name, docker_cb *cb, void *arg)
{
	return send_call(d, &inspect, &(struct request){.args = {id_or_name}}, cb, arg);
}

static struct docker_call *send_json(struct docker *d, const struct endpoint *endpoint, const char *argument,
				     struct json_object *json, docker_cb *cb, void *arg)
{
	const char *body = json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN);

	return send_call(d, endpoint,
			 &(struct request){.args = {argument},
					   .content_type = "application/json",
					   .body = body,
					   .body_len = strlen(body)},
			 cb, arg);
}

struct docker_call *docker_create(struct docker *d, const char *name, struct json_object *config,
				  docker_cb *cb, void *arg)
{
	return send_json(d, &create, name, config, cb, arg);
}

struct docker_call *docker_start(struct docker *d, const char *id, docker_cb *cb, void *arg)
{
	return send_call(d, &start, &(struct request){.args = {id}}, cb, arg);
}

struct docker_call *docker_wait(struct docker *d, const char *id, int extra_s, docker_cb *cb, void *arg)
{
	return send_call(d, &wait_for, &(struct request){.args = {id}, .extra_s = extra_s}, cb, arg);
}

struct docker_call *docker_stop(struct docker *d, const char *id, int timeout_s, docker_cb *cb, void *arg)
{
	char seconds[16];

	snprintf(seconds, sizeof(seconds), "%d", timeout_s);
	return send_call(d, &stop, &(struct request){.args = {id, seconds}, .extra_s = timeout_s}, cb, arg);
}

struct docker_call *docker_kill(struct docker *d, const char *id, const char *signal, docker_cb *cb,
				void *arg)
{
	return send_call(d, &send_signal, &(struct request){.args = {id, signal}}, cb, arg);
}

struct docker_call *docker_exec_create(struct docker *d, const char *id, const char *const *command,
				       docker_cb *cb, void *arg)
{
	struct json_object *json = json_object_new_object(), *words = json_object_new_array();
	struct docker_call *call;

	for (; *command; command++)
		json_object_array_add(words, json_object_new_string(*command));
	json_object_object_add(json, "Cmd", words);
	call = send_json(d, &exec_create, id, json, cb, arg);
	json_object_put(json);
	return call;
}

struct docker_call *docker_exec_start(struct docker *d, const char *exec_id, docker_cb *cb, void *arg)
{
	struct json_object *json = json_object_new_object();
	struct docker_call *call;

	json_object_object_add(json, "Detach", json_object_new_boolean(true));
	call = send_json(d, &exec_start, exec_id, json, cb, arg);
	json_object_put(json);
	return call;
}

struct docker_call *docker_unpause(struct docker *d, const char *id, docker_cb *cb, void *arg)
{
	return send_call(d, &unpause, &(struct request){.args = {id}}, cb, arg);
}

struct docker_call *docker_rename(struct docker *d, const char *id, const char *name, docker_cb *cb,
				  void *arg)
{
	return send_call(d, &rename_to, &(struct request){.args = {id, name}}, cb, arg);
}

struct docker_call *docker_remove(struct docker *d, const char *id, bool force, docker_cb *cb, void *arg)
{
	return send_call(d, &delete, &(struct request){.args = {id, force ? "1" : "0"}}, cb, arg);
}

struct docker_call *docker_image_inspect(struct docker *d, const char *ref, docker_cb *cb, void *arg)
{
	return send_call(d, &image_inspect, &(struct request){.args = {ref}}, cb, arg);
}

struct docker_call *docker_pull(struct docker *d, const char *ref, docker_progress_cb *progress,
				docker_cb *cb, void *arg)
{
	struct docker_call *call;
	char *name, *tag;

	image_ref_split(ref, &name, &tag);
	call = send_call(d, &image_pull,
			 &(struct request){.subject = ref,
					   .args = {name, tag},
					   .limit_ms = pull_limit_ms,
					   .on_piece = on_pull_piece},
			 cb, arg);
	call->pull = pull_new(ref);
	call->progress = progress;
	free(name);
	free(tag);
	return call;
}

struct docker_call *docker_put_archive(struct docker *d, const char *id, const char *path, const void *tar,
				       size_t len, docker_cb *cb, void *arg)
{
	/* With any other content type the engine answers 200 and writes nothing. */
	return send_call(d, &put,
			 &(struct request){.path = path,
					   .args = {id, path},
					   .content_type = "application/x-tar",
					   .body = tar,
					   .body_len = len},
			 cb, arg);
}

struct docker_call *docker_get_archive(struct docker *d, const char *id, const char *path, docker_cb *cb,
				       void *arg)
{
	return send_call(d, &get, &(struct request){.path = path, .args = {id, path}}, cb, arg);
}

struct docker_call *docker_head_archive(struct docker *d, const char *id, const char *path, docker_cb *cb,
					void *arg)
{
	return send_call(d, &head, &(struct request){.path = path, .args = {id, path}}, cb, arg);
}

struct docker_call *docker_logs(struct docker *d, const char *id, int lines, docker_cb *cb, void *arg)
{
	char tail[16];

	snprintf(tail, sizeof(tail), "%d", lines);
	return send_call(d, &logs, &(struct request){.args = {id, tail}}, cb, arg);
}
