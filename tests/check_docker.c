/* The Engine API: what goes out, what comes of the answers. The engine is played by the test. */
#include <check.h>
#include <event2/bufferevent.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/docker/docker.h"
#include "daemon/io/docker/docker_pull.h"
#include "tests/suite.h"
#include "tests/wire.h"

struct result {
	int calls;
	int status;
	char *body;
	char *json;
	char *path_stat;
	struct err err;
	char *progress; /* all that came, a line each */
	char *entries;  /* likewise */
	struct docker *docker;
	bool free_docker;
};

static void on_reply(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct result *r = arg;

	r->calls++;
	ck_assert(reply || err);
	if (r->free_docker) {
		docker_free(r->docker);
		r->docker = NULL;
	}
	if (err)
		r->err = *err;
	if (!reply)
		return;
	r->status = reply->status;
	r->body = memcpy(xcalloc(1, reply->body_len + 1), reply->body, reply->body_len);
	r->json = reply->json ? xstrdup(json_object_to_json_string_ext(reply->json, 0)) : NULL;
	r->path_stat = xstrdup(reply->path_stat);
}

static void on_entry(void *arg, struct json_object *entry)
{
	struct result *r = arg;
	const char *text = json_object_to_json_string_ext(entry, JSON_C_TO_STRING_PLAIN);
	char *all = xasprintf("%s%s\n", r->entries ? r->entries : "", text);

	ck_assert_int_eq(r->calls, 0);
	free(r->entries);
	r->entries = all;
}

static void on_progress(void *arg, const char *text)
{
	struct result *r = arg;
	char *all = xasprintf("%s%s\n", r->progress ? r->progress : "", text);

	free(r->progress);
	r->progress = all;
}

static void result_clear(struct result *r)
{
	free(r->body);
	free(r->json);
	free(r->path_stat);
	free(r->progress);
	free(r->entries);
	*r = (struct result){.docker = r->docker};
}

static void open_docker(struct wire *wire, struct result *r, int kind)
{
	*r = (struct result){0};
	wire_open(wire, (enum wire_kind)kind);
	r->docker = docker_new(wire->client);
}

static void close_docker(struct wire *wire, struct result *r)
{
	docker_free(r->docker);
	result_clear(r);
	wire_close(wire);
}

/* One answer: header lines end in CRLF. */
static void say(struct wire *wire, const char *status, const char *headers, const char *body, size_t len)
{
	char *head = xasprintf("HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, headers, len);

	wire_spin(wire);
	free(wire_heard(wire));
	wire_say(wire, head, strlen(head));
	wire_say(wire, body, len);
	free(head);
}

static void open_negotiated(struct wire *wire, struct result *r, int kind)
{
	open_docker(wire, r, kind);
	docker_ping(r->docker, on_reply, r);
	say(wire, "200 OK", "Api-Version: 1.41\r\n", "OK", 2);
	ck_assert_int_eq(r->calls, 1);
	ck_assert_int_eq(r->err.kind, ERR_NONE);
	result_clear(r);
}

/* -- what goes out -------------------------------------------------------------------------------------- */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void call_ping(struct result *r)
{
	docker_ping(r->docker, on_reply, r);
}

static void call_list(struct result *r)
{
	docker_list(r->docker, "io.apilb.owner=a&b", on_entry, on_reply, r);
}

static void call_inspect(struct result *r)
{
	docker_inspect(r->docker, "api-lb", on_reply, r);
}

static void call_create(struct result *r)
{
	struct json_object *config = json_tokener_parse("{\"Image\":\"i\"}");

	docker_create(r->docker, "api-lb", config, on_reply, r);
	json_object_put(config);
}

static void call_start(struct result *r)
{
	docker_start(r->docker, ID, on_reply, r);
}

static void call_stop(struct result *r)
{
	docker_stop(r->docker, "c", 10, on_reply, r);
}

static void call_wait(struct result *r)
{
	docker_wait(r->docker, "c", 0, on_reply, r);
}

static void call_kill(struct result *r)
{
	docker_kill(r->docker, "c", "SIGUSR1", on_reply, r);
}

static void call_unpause(struct result *r)
{
	docker_unpause(r->docker, "c", on_reply, r);
}

static void call_rename(struct result *r)
{
	docker_rename(r->docker, "c", "new", on_reply, r);
}

static void call_remove(struct result *r)
{
	docker_remove(r->docker, "c", true, on_reply, r);
}

static void call_image(struct result *r)
{
	docker_image_inspect(r->docker, "reg:5000/a/b@sha256:0", on_reply, r);
}

static void call_pull(struct result *r)
{
	docker_pull(r->docker, "reg:5000/a/b:1", on_progress, on_reply, r);
}

static void call_put(struct result *r)
{
	docker_put_archive(r->docker, "c", "/", "tar", 3, on_reply, r);
}

static void call_get(struct result *r)
{
	docker_get_archive(r->docker, "c", "/etc/a b?&\303\244", on_reply, r);
}

static void call_head(struct result *r)
{
	docker_head_archive(r->docker, ID, "/etc/x.cfg", on_reply, r);
}

static void call_logs(struct result *r)
{
	docker_logs(r->docker, "c", 50, on_reply, r);
}

static const struct {
	void (*call)(struct result *r);
	const char *line; /* the request's first line without the version of HTTP */
	const char *end;  /* the last header and the body */
	bool mutating;
} requests[] = {
	{call_ping, "GET /_ping", "", false},
	{call_list,
	 "GET "
	 "/v1.41/containers/"
	 "json?all=1&filters=%7B%20%22label%22%3A%20%5B%20%22io.apilb.owner%3Da%26b%22%20%5D%20%7D",
	 "", false},
	{call_inspect, "GET /v1.41/containers/api-lb/json", "", false},
	{call_create, "POST /v1.41/containers/create?name=api-lb",
	 "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"Image\":\"i\"}", true},
	{call_start, "POST /v1.41/containers/" ID "/start", "Content-Length: 0\r\n\r\n", true},
	{call_stop, "POST /v1.41/containers/c/stop?t=10", "Content-Length: 0\r\n\r\n", true},
	{call_wait, "POST /v1.41/containers/c/wait", "Content-Length: 0\r\n\r\n", true},
	{call_kill, "POST /v1.41/containers/c/kill?signal=SIGUSR1", "Content-Length: 0\r\n\r\n", true},
	{call_unpause, "POST /v1.41/containers/c/unpause", "Content-Length: 0\r\n\r\n", true},
	{call_rename, "POST /v1.41/containers/c/rename?name=new", "Content-Length: 0\r\n\r\n", true},
	{call_remove, "DELETE /v1.41/containers/c?force=1", "", true},
	{call_image, "GET /v1.41/images/reg%3A5000%2Fa%2Fb%40sha256%3A0/json", "", false},
	{call_pull, "POST /v1.41/images/create?fromImage=reg%3A5000%2Fa%2Fb&tag=1",
	 "Content-Length: 0\r\n\r\n", true},
	{call_put, "PUT /v1.41/containers/c/archive?path=%2F",
	 "Content-Type: application/x-tar\r\nContent-Length: 3\r\n\r\ntar", true},
	{call_get, "GET /v1.41/containers/c/archive?path=%2Fetc%2Fa%20b%3F%26%C3%A4", "", false},
	{call_head, "HEAD /v1.41/containers/" ID "/archive?path=%2Fetc%2Fx.cfg", "", false},
	{call_logs, "GET /v1.41/containers/c/logs?stdout=1&stderr=1&tail=50", "", false},
};

START_TEST(a_call_is_this_request)
{
	char *expected = xasprintf("%s HTTP/1.1\r\n", requests[_i].line);
	struct docker_counters before;
	struct wire wire;
	struct result r;
	char *heard;

	open_negotiated(&wire, &r, WIRE_SOCKET);
	before = docker_counters;
	requests[_i].call(&r);
	wire_spin(&wire);
	heard = wire_heard(&wire);
	ck_assert_msg(strncmp(heard, expected, strlen(expected)) == 0, "%s", heard);
	ck_assert_msg(strstr(heard, requests[_i].end), "%s", heard);
	ck_assert_uint_eq(docker_counters.requests - before.requests, 1);
	ck_assert_uint_eq(docker_counters.mutating - before.mutating, requests[_i].mutating);
	free(heard);
	free(expected);
	close_docker(&wire, &r);
}
END_TEST

/* -- negotiation ---------------------------------------------------------------------------------------- */

static const struct {
	const char *header;
	const char *prefix; /* of the next request */
	const char *error;
} versions[] = {
	{"Api-Version: 1.38\r\n", "GET /v1.38/containers/", NULL},
	{"Api-Version: 1.41\r\nLibpod-Api-Version: 4.3.1\r\n", "GET /v1.41/containers/", NULL},
	{"API-VERSION: 1.44\r\n", "GET /v1.44/containers/", NULL},
	{"Api-Version: 1.52\r\n", "GET /v" DOCKER_API_MAX "/containers/", NULL},
	{"Api-Version: 2.0\r\n", "GET /v" DOCKER_API_MAX "/containers/", NULL},
	{"Api-Version: 1.37\r\n", NULL,
	 "ping: the engine has API version 1.37, but at least 1.38 is needed (Docker 18.06 or later)"},
	{"Api-Version: 1.5\r\n", NULL,
	 "ping: the engine has API version 1.5, but at least 1.38 is needed (Docker 18.06 or later)"},
	{"Api-Version: new\r\n", NULL, "ping: what answers is not a Docker engine (no Api-Version)"},
	{"Api-Version: 1.41/../x\r\n", NULL, "ping: what answers is not a Docker engine (no Api-Version)"},
	{"Api-Version: 99999999999.1\r\n", NULL,
	 "ping: what answers is not a Docker engine (no Api-Version)"},
	{"Server: nginx\r\n", NULL, "ping: what answers is not a Docker engine (no Api-Version)"},
};

START_TEST(the_version_is_negotiated)
{
	struct wire wire;
	struct result r;
	char *heard;

	open_docker(&wire, &r, _i % WIRE_KINDS);
	docker_ping(r.docker, on_reply, &r);
	say(&wire, "200 OK", versions[_i].header, "OK", 2);
	ck_assert_int_eq(r.calls, 1);
	if (versions[_i].error) {
		ck_assert_str_eq(r.err.message, versions[_i].error);
		ck_assert_int_eq(r.err.kind, ERR_PERMANENT);
	} else {
		ck_assert_int_eq(r.err.kind, ERR_NONE);
		docker_inspect(r.docker, "c", on_reply, &r);
		wire_spin(&wire);
		heard = wire_heard(&wire);
		ck_assert_msg(strncmp(heard, versions[_i].prefix, strlen(versions[_i].prefix)) == 0, "%s",
			      heard);
		free(heard);
	}
	close_docker(&wire, &r);
}
END_TEST

/* -- what comes of the answers -------------------------------------------------------------------------- */

#define STAT(base64) "X-Docker-Container-Path-Stat: " base64 "\r\n"

static const struct {
	void (*call)(struct result *r);
	const char *status, *headers, *body;
	const char *error; /* NULL: none */
	enum err_kind kind;
	const char *json, *path_stat;
} answers[] = {
	{call_create, "201 Created", "", "{\"Id\":\"abc\",\"Warnings\":[]}", NULL, 0,
	 "{\"Id\":\"abc\",\"Warnings\":[]}", NULL},
	{call_start, "204 No Content", "", "", NULL, 0, NULL, NULL},
	{call_start, "304 Not Modified", "", "", NULL, 0, NULL, NULL},
	{call_put, "200 OK", "", "", NULL, 0, NULL, NULL},
	{call_head, "200 OK", STAT("eyJuYW1lIjoiZiIsInNpemUiOjh9"), "", NULL, 0, NULL,
	 "{\"name\":\"f\",\"size\":8}"},
	{call_head, "200 OK", STAT("eyJuYW1lIjoiIn0="), "", NULL, 0, NULL, "{\"name\":\"\"}"},
	{call_head, "200 OK", STAT("eyJuYW1lIjoiPj8-PyJ9"), "", NULL, 0, NULL, "{\"name\":\">?>?\"}"},
	{call_head, "200 OK", STAT("eyJuYW1lIjoiPj8+PyJ9"), "", NULL, 0, NULL, "{\"name\":\">?>?\"}"},
	{call_get, "200 OK", STAT("eyJuYW1lIjoiZiJ9"), "tar", NULL, 0, NULL, "{\"name\":\"f\"}"},
	/* There is none: an answer where that was the question, */
	{call_inspect, "404 Not Found", "", "{\"message\":\"No such container: api-lb\"}", NULL, 0, NULL,
	 NULL},
	{call_image, "404 Not Found", "", "{\"message\":\"No such image\"}", NULL, 0, NULL, NULL},
	{call_get, "404 Not Found", "", "{\"message\":\"Could not find the file\"}", NULL, 0, NULL, NULL},
	{call_head, "404 Not Found", "", "", NULL, 0, NULL, NULL},
	{call_remove, "404 Not Found", "", "{\"message\":\"No such container: c\"}", NULL, 0, NULL, NULL},
	/* an error elsewhere. */
	{call_create, "404 Not Found", "", "{\"message\":\"No such image: nope:9\"}\n",
	 "create container api-lb: No such image: nope:9", ERR_PERMANENT, NULL, NULL},
	{call_start, "404 Not Found", "", "{\"message\":\"No such container: x\"}",
	 "start container 0123456789ab: No such container: x", ERR_PERMANENT, NULL, NULL},
	{call_put, "404 Not Found", "", "{\"message\":\"Could not find the file /x in container c\"}",
	 "write into c:/: Could not find the file /x in container c", ERR_PERMANENT, NULL, NULL},
	{call_logs, "404 Not Found", "", "{\"message\":\"No such container: c\"}",
	 "read the log of container c: No such container: c", ERR_PERMANENT, NULL, NULL},
	/* The engine's words. */
	{call_create, "409 Conflict", "", "{\"message\":\"The container name is in use\"}",
	 "create container api-lb: The container name is in use", ERR_CONFLICT, NULL, NULL},
	{call_rename, "409 Conflict", "", "{\"message\":\"in use\"}", "rename container c: in use",
	 ERR_CONFLICT, NULL, NULL},
	{call_start, "409 Conflict", "", "{\"message\":\"cannot start a paused container\"}",
	 "start container 0123456789ab: cannot start a paused container", ERR_TRANSIENT, NULL, NULL},
	{call_create, "400 Bad Request", "", "{\"message\":\"invalid\"}", "create container api-lb: invalid",
	 ERR_PERMANENT, NULL, NULL},
	{call_start, "500 Internal Server Error", "", "{\"message\":\"driver failed\\nbadly\\r\\n\"}",
	 "start container 0123456789ab: driver failed badly", ERR_TRANSIENT, NULL, NULL},
	{call_list, "503 Service Unavailable", "", "{\"message\":\"busy\"}",
	 "list containers io.apilb.owner=a&b: busy", ERR_TRANSIENT, NULL, NULL},
	{call_pull, "404 Not Found", "", "{\"message\":\"pull access denied for a\"}",
	 "pull image reg:5000/a/b:1: pull access denied for a", ERR_PERMANENT, NULL, NULL},
	{call_start, "500 Internal Server Error", "", "{\"message\":\"\"}",
	 "start container 0123456789ab: the engine gives no reason", ERR_TRANSIENT, NULL, NULL},
	{call_start, "500 Internal Server Error", "", "{\"message\":null}",
	 "start container 0123456789ab: the engine answered with HTTP status 500", ERR_TRANSIENT, NULL, NULL},
	/* Garbage. */
	{call_head, "500 Internal Server Error", "", "",
	 "look at 0123456789ab:/etc/x.cfg: the engine answered with HTTP status 500", ERR_TRANSIENT, NULL,
	 NULL},
	{call_list, "502 Bad Gateway", "", "<html>",
	 "list containers io.apilb.owner=a&b: the engine answered with HTTP status 502", ERR_TRANSIENT, NULL,
	 NULL},
	{call_list, "301 Moved Permanently", "Location: /\r\n", "",
	 "list containers io.apilb.owner=a&b: the engine answered with HTTP status 301", ERR_PERMANENT, NULL,
	 NULL},
	{call_start, "500 Internal Server Error", "", "[\"message\"]",
	 "start container 0123456789ab: the engine answered with HTTP status 500", ERR_TRANSIENT, NULL, NULL},
	{call_inspect, "200 OK", "", "<html>hello</html>",
	 "inspect container api-lb: the engine's answer is not JSON: unexpected character: "
	 "<html>hello</html>",
	 ERR_TRANSIENT, NULL, NULL},
	{call_inspect, "200 OK", "", "",
	 "inspect container api-lb: the engine's answer is not JSON: unexpected end of data: ", ERR_TRANSIENT,
	 NULL, NULL},
	{call_inspect, "200 OK", "", "{\"Id\":",
	 "inspect container api-lb: the engine's answer is not JSON: unexpected end of data: {\"Id\":",
	 ERR_TRANSIENT, NULL, NULL},
	{call_inspect, "200 OK", "", "17",
	 "inspect container api-lb: the engine's answer is no JSON object: 17", ERR_TRANSIENT, NULL, NULL},
	{call_get, "200 OK", "", "tar",
	 "read c:/etc/a b?&\303\244: the engine's answer has no good X-Docker-Container-Path-Stat",
	 ERR_TRANSIENT, NULL, NULL},
	{call_head, "200 OK", STAT("*not base64*"), "",
	 "look at 0123456789ab:/etc/x.cfg: the engine's answer has no good X-Docker-Container-Path-Stat",
	 ERR_TRANSIENT, NULL, NULL},
	{call_head, "200 OK", STAT("bm90IEpTT04="), "",
	 "look at 0123456789ab:/etc/x.cfg: the engine's answer has no good X-Docker-Container-Path-Stat",
	 ERR_TRANSIENT, NULL, NULL},
};

START_TEST(an_answer_becomes_this)
{
	struct wire wire;
	struct result r;

	open_negotiated(&wire, &r, _i % WIRE_KINDS);
	answers[_i].call(&r);
	say(&wire, answers[_i].status, answers[_i].headers, answers[_i].body, strlen(answers[_i].body));
	ck_assert_int_eq(r.calls, 1);
	ck_assert_int_eq(r.status, atoi(answers[_i].status));
	if (answers[_i].error) {
		ck_assert_str_eq(r.err.message, answers[_i].error);
		ck_assert_int_eq(r.err.kind, answers[_i].kind);
	} else {
		ck_assert_msg(r.err.kind == ERR_NONE, "%s", r.err.message);
		ck_assert_str_eq(r.body, answers[_i].body);
		ck_assert_pstr_eq(r.json, answers[_i].json);
		ck_assert_pstr_eq(r.path_stat, answers[_i].path_stat);
	}
	ck_assert(docker_usable(r.docker));
	close_docker(&wire, &r);
}
END_TEST

static const struct {
	const char *body;
	const char *entries;
	const char *error;
	enum err_kind kind;
} lists[] = {
	{"[]\n", NULL, NULL, ERR_NONE},
	{"[{\"Id\":\"a\"}, {\"Id\":\"]}\\\"\"}]", "{\"Id\":\"a\"}\n{\"Id\":\"]}\\\"\"}\n", NULL, ERR_NONE},
	{"<html>", NULL, "the engine's answer: not a list of JSON objects: unexpected character",
	 ERR_TRANSIENT},
	{"{}", NULL, "the engine's answer: not a list of JSON objects: unexpected character", ERR_TRANSIENT},
	{"[{},{}", "{}\n{}\n", "the engine's answer: not a list of JSON objects: unexpected end of data",
	 ERR_TRANSIENT},
	{"[{\"a\": b}]", NULL, "the engine's answer: element 1 of the list: not JSON: unexpected character",
	 ERR_TRANSIENT},
	{"[{\"a\": [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}]", NULL,
	 "the engine's answer is beyond its limit (element 1 of the list: JSON that is nested more than 16 "
	 "deep); run \"docker ps --all --filter label=io.apilb.owner\" on the host to see it",
	 ERR_PERMANENT},
};

START_TEST(a_list_comes_entry_by_entry)
{
	struct wire wire;
	struct result r;

	open_negotiated(&wire, &r, _i % WIRE_KINDS);
	call_list(&r);
	say(&wire, "200 OK", "", lists[_i].body, strlen(lists[_i].body));
	ck_assert_int_eq(r.calls, 1);
	ck_assert_pstr_eq(r.entries, lists[_i].entries);
	ck_assert_int_eq(r.err.kind, lists[_i].kind);
	if (lists[_i].error) {
		ck_assert_int_eq(strncmp(r.err.message, "list containers io.apilb.owner=a&b: ", 36), 0);
		ck_assert_str_eq(r.err.message + 36, lists[_i].error);
	}
	close_docker(&wire, &r);
}
END_TEST

/* As soon as it is known: nobody waits for the rest of what cannot be right. */
START_TEST(a_list_without_end_is_cut_short)
{
	struct wire wire;
	struct result r;

	open_negotiated(&wire, &r, _i);
	call_list(&r);
	wire_spin(&wire);
	wire_say(&wire, "HTTP/1.1 200 OK\r\n\r\n[{}", 22);
	for (int i = 0; i < DOCKER_MAX_LISTED - 1; i++)
		bufferevent_write(wire.server, ",{}", 3);
	wire_spin(&wire);
	ck_assert_int_eq(r.calls, 0);
	wire_say(&wire, ",{}", 3);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_int_eq(r.err.kind, ERR_PERMANENT);
	ck_assert_msg(strstr(r.err.message, "the list has more than 5000 elements"), "%s", r.err.message);
	ck_assert(!docker_usable(r.docker));
	close_docker(&wire, &r);
}
END_TEST

START_TEST(a_pull_without_end_is_cut_short)
{
	static char blanks[1 << 20];
	struct wire wire;
	struct result r;

	/* Lines that are long, and say nothing. */
	memset(blanks, ' ', sizeof(blanks));
	for (size_t i = 0; i < sizeof(blanks); i += 1 << 15)
		memcpy(blanks + i, "{}\n", 3);
	open_negotiated(&wire, &r, _i);
	docker_pull(r.docker, "a", on_progress, on_reply, &r);
	wire_spin(&wire);
	wire_say(&wire, "HTTP/1.1 200 OK\r\n\r\n", 19);
	for (size_t said = 0; said <= DOCKER_MAX_PULL_BYTES; said += sizeof(blanks)) {
		ck_assert_int_eq(r.calls, 0);
		bufferevent_write(wire.server, blanks, sizeof(blanks));
	}
	for (int i = 0; i < 1000 && r.calls == 0; i++)
		wire_spin(&wire);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_int_eq(r.err.kind, ERR_PERMANENT);
	ck_assert_msg(strstr(r.err.message, "more than 67108864 bytes of progress"), "%s", r.err.message);
	close_docker(&wire, &r);
}
END_TEST

/* What is too large costs its own request, and not the connection of all. */
START_TEST(a_large_answer_costs_one_request)
{
	static char body[DOCKER_MAX_DETAILS_BYTES + 1];
	struct wire wire;
	struct result r;

	open_negotiated(&wire, &r, _i % WIRE_KINDS);
	call_inspect(&r);
	if (_i < WIRE_KINDS) { /* by its bytes, or by its values */
		memset(body, ' ', sizeof(body));
		say(&wire, "200 OK", "", body, sizeof(body));
	} else {
		memset(body, '[', sizeof(body));
		say(&wire, "200 OK", "", body, sizeof(body) - 1);
	}
	ck_assert_int_eq(r.calls, 1);
	ck_assert_int_eq(r.err.kind, ERR_PERMANENT);
	ck_assert_str_eq(r.err.message,
			 _i < WIRE_KINDS
				 ? "inspect container api-lb: the engine's answer is beyond its limit (the "
				   "reply is larger than 524288 bytes); run \"docker inspect\" on the host "
				   "to see it"
				 : "inspect container api-lb: the engine's answer is beyond its limit (more "
				   "than 4000 values of JSON); run \"docker inspect\" on the host to see it");
	ck_assert(docker_usable(r.docker));
	result_clear(&r);
	call_inspect(&r);
	say(&wire, "200 OK", "", "{}", 2);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_int_eq(r.err.kind, ERR_NONE);
	close_docker(&wire, &r);
}
END_TEST

START_TEST(no_answer_is_an_error_with_context)
{
	struct wire wire;
	struct result r;

	open_negotiated(&wire, &r, _i);
	call_create(&r);
	wire_spin(&wire);
	wire_end(&wire);
	ck_assert_str_eq(r.err.message,
			 "create container api-lb: the connection was closed without an answer");
	ck_assert_int_eq(r.err.kind, ERR_TRANSIENT);
	ck_assert(!docker_usable(r.docker));
	close_docker(&wire, &r);
}
END_TEST

/* -- logs ----------------------------------------------------------------------------------------------- */

#define FRAME(stream, len) stream "\0\0\0\0\0\0" len

static const struct {
	const char *body;
	size_t len;
	const char *text;
	size_t text_len;
} log_bodies[] = {
#define LOG(body, text)                                        \
	{                                                      \
		body, sizeof(body) - 1, text, sizeof(text) - 1 \
	}
	LOG("", ""),
	LOG(FRAME("\1", "\6") "hello\n", "hello\n"),
	LOG(FRAME("\1", "\2") "a\n" FRAME("\2", "\3") "bc\n", "a\nbc\n"),
	LOG(FRAME("\1", "\0") FRAME("\2", "\1") "x", "x"),
	LOG(FRAME("\1", "\3") "a\0b", "a\0b"),
	/* A frame that says more than there is, and half a frame's head: what there is. */
	LOG(FRAME("\1", "\177") "cut", "cut"),
	LOG("\1\0\0\0\377\377\377\377cut", "cut"),
	LOG(FRAME("\1", "\1") "x\1\0\0", "x\1\0\0"),
	/* With a terminal there are no frames. */
	LOG("plain text\r\n", "plain text\r\n"),
	LOG("short", "short"),
};

START_TEST(the_frames_of_a_log_are_taken_off)
{
	struct wire wire;
	struct result r;

	open_negotiated(&wire, &r, _i % WIRE_KINDS);
	call_logs(&r);
	say(&wire, "200 OK", "", log_bodies[_i].body, log_bodies[_i].len);
	ck_assert_msg(r.err.kind == ERR_NONE, "%s", r.err.message);
	ck_assert_mem_eq(r.body, log_bodies[_i].text, log_bodies[_i].text_len + 1);
	close_docker(&wire, &r);
}
END_TEST

/* The engine cuts the reply into chunks without regard to frames. */
START_TEST(frames_cross_chunks)
{
	static const char body[] = FRAME("\1", "\6") "hello\n" FRAME("\2", "\4") "bye\n";

	for (size_t cut = 1; cut < sizeof(body) - 1; cut++) {
		struct wire wire;
		struct result r;
		char size[16];

		open_negotiated(&wire, &r, _i);
		call_logs(&r);
		wire_spin(&wire);
		wire_say(&wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47);
		snprintf(size, sizeof(size), "%zx\r\n", cut);
		wire_say(&wire, size, strlen(size));
		wire_say(&wire, body, cut);
		snprintf(size, sizeof(size), "\r\n%zx\r\n", sizeof(body) - 1 - cut);
		wire_say(&wire, size, strlen(size));
		wire_say(&wire, body + cut, sizeof(body) - 1 - cut);
		wire_say(&wire, "\r\n0\r\n\r\n", 7);
		ck_assert_str_eq(r.body, "hello\nbye\n");
		close_docker(&wire, &r);
	}
}
END_TEST

/* -- pulls ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *ref, *name, *tag;
} refs[] = {
	{"haproxy", "haproxy", "latest"},
	{"haproxy:3.0", "haproxy", "3.0"},
	{"library/haproxy:3.0-alpine", "library/haproxy", "3.0-alpine"},
	{"reg:5000/haproxy", "reg:5000/haproxy", "latest"},
	{"reg:5000/a/b:1", "reg:5000/a/b", "1"},
	{"[::1]:5000/a:1", "[::1]:5000/a", "1"},
	{"haproxy@sha256:0123", "haproxy", "sha256:0123"},
	{"haproxy:3.0@sha256:0123", "haproxy", "sha256:0123"},
	{"reg:5000/a:1@sha256:0123", "reg:5000/a", "sha256:0123"},
	{"reg:5000/a@sha256:0123", "reg:5000/a", "sha256:0123"},
	/* With no tag at all the engine would pull every one of them. */
	{"haproxy@", "haproxy", "latest"},
	{"haproxy:", "haproxy", "latest"},
	{"haproxy:3.0@", "haproxy", "latest"},
};

START_TEST(a_reference_has_name_and_tag)
{
	char *name, *tag;

	image_ref_split(refs[_i].ref, &name, &tag);
	ck_assert_str_eq(name, refs[_i].name);
	ck_assert_str_eq(tag, refs[_i].tag);
	free(name);
	free(tag);
}
END_TEST

#define LAYER(id, status) "{\"status\":\"" status "\",\"progressDetail\":{},\"id\":\"" id "\"}\r\n"
#define LAYER_BYTES(id, status, current, total)                                                   \
	"{\"status\":\"" status "\",\"progressDetail\":{\"current\":" current ",\"total\":" total \
	"},\"progress\":\"[=>  ]\",\"id\":\"" id "\"}\r\n"
#define DOWNLOADING "{\"status\":\"Pulling from a/b\",\"id\":\"1\"}\r\n"
#define P "pulling reg:5000/a/b:1"

static const struct {
	const char *stream;
	const char *progress; /* a piece a line */
	const char *error;
} pulls[] = {
	{DOWNLOADING LAYER("aa", "Pulling fs layer") LAYER("bb", "Already exists") LAYER(
		 "cc", "Waiting") LAYER_BYTES("aa", "Downloading", "1000000",
					      "30000000") LAYER_BYTES("aa", "Downloading", "1000001",
								      "30000000") LAYER_BYTES("cc",
											      "Downloading",
											      "11300000",
											      "10100000")
		 LAYER("aa", "Verifying Checksum") LAYER("aa", "Download complete") LAYER_BYTES(
			 "aa", "Extracting", "500", "30000000")
			 LAYER("aa",
			       "Pull complete") "{\"status\":\"Digest: sha256:00\"}\r\n{\"status\":\"Status: "
						"Downloaded newer image\"}\r\n",
	 P "\n" P ": 0/1 layers\n" P ": 1/2 layers\n" P ": 1/3 layers\n" P
	   ": 1/3 layers, 1.0 MB of 30.0 MB\n" P ": 1/3 layers, 12.3 MB of 40.1 MB\n" P
	   ": 1/3 layers, 41.3 MB of 40.1 MB\n" P ": 2/3 layers, 41.3 MB of 40.1 MB\n",
	 NULL},
	{DOWNLOADING "{\"status\":\"Status: Image is up to date\"}\r\n", P "\n", NULL},
	{"{\"status\":\"x\"}", P "\n", NULL},
	{DOWNLOADING "{\"errorDetail\":{\"message\":\"no space left\"},\"error\":\"no space "
		     "left\"}\r\n{\"error\":\"more\"}\r\n",
	 P "\n", "pull image reg:5000/a/b:1: no space left"},
	{DOWNLOADING "{\"status\":\"cut", P "\n",
	 "pull image reg:5000/a/b:1: the engine's progress report is not JSON: {\"status\":\"cut"},
	{"<html>\n", P "\n", "pull image reg:5000/a/b:1: the engine's progress report is not JSON: <html>"},
	{LAYER_BYTES("aa", "Downloading", "-5", "99999999999999999999999"), P "\n" P ": 0/1 layers\n", NULL},
	{"{\"status\":5,\"id\":[],\"error\":null}\n[1]\n", P "\n",
	 "pull image reg:5000/a/b:1: the engine's progress report is not JSON: [1]"},
};

static void run_pull(int i, int kind, size_t first, size_t step)
{
	size_t len = strlen(pulls[i].stream);
	struct wire wire;
	struct result r;

	open_negotiated(&wire, &r, kind);
	call_pull(&r);
	wire_spin(&wire);
	wire_say(&wire, "HTTP/1.1 200 OK\r\n\r\n", 19);
	wire_say(&wire, pulls[i].stream, first);
	for (size_t at = first; at < len; at += step)
		wire_say(&wire, pulls[i].stream + at, step < len - at ? step : len - at);
	wire_end(&wire);
	ck_assert_int_eq(r.calls, 1);
	if (pulls[i].error)
		ck_assert_str_eq(r.err.message, pulls[i].error);
	else
		ck_assert_msg(r.err.kind == ERR_NONE, "%s", r.err.message);
	ck_assert_int_eq(r.status, 200);
	if (step == 1)
		ck_assert_str_eq(r.progress, pulls[i].progress);
	close_docker(&wire, &r);
}

START_TEST(a_pull_tells_its_progress)
{
	size_t len = strlen(pulls[_i].stream);

	run_pull(_i, WIRE_SOCKET, 0, 1);
	run_pull(_i, WIRE_PAIR, 0, 1);
	for (size_t cut = 0; cut <= len; cut += 1)
		run_pull(_i, (int)(cut % WIRE_KINDS), cut, len);
}
END_TEST

#define ONE_OF_FOUR_MB                                                                                \
	"{\"status\":\"Downloading\",\"id\":\"a\",\"progressDetail\":{\"current\":1000000,\"total\":" \
	"4000000}}\n"
#define SO_FAR                                                                                             \
	"; so far: pulling reg:5000/a/b:1: 0/1 layers, 1.0 MB of 4.0 MB. Is the registry there, and fast " \
	"enough for the host? See what \"docker pull reg:5000/a/b:1\" says on it"

static void say_progress(struct wire *wire)
{
	char *chunk = xasprintf("%zx\r\n" ONE_OF_FOUR_MB "\r\n", strlen(ONE_OF_FOUR_MB));

	wire_say(wire, chunk, strlen(chunk));
	free(chunk);
}

static void begin_pull(struct wire *wire, struct result *r, int kind)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

	open_negotiated(wire, r, kind);
	call_pull(r);
	wire_spin(wire);
	wire_say(wire, head, strlen(head));
	say_progress(wire);
}

/* A registry that drips: the engine tells of each byte. */
START_TEST(a_pull_has_a_limit_in_all)
{
	bool never = false;
	struct wire wire;
	struct result r;

	pull_limit_ms = 60;
	begin_pull(&wire, &r, _i);
	for (int i = 0; i < 500 && !r.calls; i++) {
		say_progress(&wire);
		wire_wait(&wire, &never, 10);
	}
	ck_assert_str_eq(r.err.message, "pull image reg:5000/a/b:1: no complete answer within 0.06 s" SO_FAR);
	ck_assert_int_eq(r.err.kind, ERR_TRANSIENT);
	pull_limit_ms = PULL_LIMIT_MS;
	close_docker(&wire, &r);
}
END_TEST

START_TEST(a_pull_that_is_cut_off_says_how_far_it_was)
{
	struct wire wire;
	struct result r;

	begin_pull(&wire, &r, _i);
	ck_assert_int_eq(r.calls, 0);
	wire_end(&wire);
	wire_spin(&wire);
	ck_assert_str_eq(
		r.err.message,
		"pull image reg:5000/a/b:1: the connection was closed in the middle of the answer" SO_FAR);
	close_docker(&wire, &r);
}
END_TEST

START_TEST(an_endless_line_is_refused)
{
	struct pull *pull = pull_new("x");
	static char text[1 << 16];
	struct err err;

	memset(text, ' ', sizeof(text));
	for (int i = 0; i < 100; i++)
		pull_feed(pull, text, sizeof(text));
	ck_assert_int_eq(pull_result(pull, &err), -1);
	ck_assert_str_eq(err.message, "the engine's progress report is not in lines");
	pull_free(pull);
}
END_TEST

/* -- lifetimes ------------------------------------------------------------------------------------------ */

START_TEST(a_callback_may_free_the_engine)
{
	struct wire wire;
	struct result r;

	open_negotiated(&wire, &r, _i);
	r.free_docker = true;
	call_inspect(&r);
	call_list(&r);
	say(&wire, "200 OK", "", "{\"a\":1}", 7);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_str_eq(r.json, "{\"a\":1}");
	close_docker(&wire, &r);
}
END_TEST

static void free_at_progress(void *arg, const char *text)
{
	struct result *r = arg;

	(void)text;
	docker_free(r->docker);
	r->docker = NULL;
}

START_TEST(progress_may_free_the_engine)
{
	struct wire wire;
	struct result r;

	open_negotiated(&wire, &r, _i);
	docker_pull(r.docker, "a", free_at_progress, on_reply, &r);
	wire_spin(&wire);
	wire_say(&wire, "HTTP/1.1 200 OK\r\n\r\n" ONE_OF_FOUR_MB,
		 strlen("HTTP/1.1 200 OK\r\n\r\n" ONE_OF_FOUR_MB));
	ck_assert_ptr_null(r.docker);
	ck_assert_int_eq(r.calls, 0);
	close_docker(&wire, &r);
}
END_TEST

START_TEST(a_cancelled_call_stays_silent)
{
	struct docker_call *call;
	struct wire wire;
	struct result r;

	open_negotiated(&wire, &r, _i);
	call = docker_pull(r.docker, "a", on_progress, on_reply, &r);
	wire_spin(&wire);
	docker_cancel(call);
	wire_spin(&wire);
	ck_assert_int_eq(r.calls, 0);
	ck_assert(!docker_usable(r.docker));
	close_docker(&wire, &r);
}
END_TEST

#define LOOP(tcase, test, table) tcase_add_loop_test(tcase, test, 0, sizeof(table) / sizeof(*(table)))

int main(void)
{
	Suite *suite = suite_create("docker");
	TCase *calls = tcase_create("calls");

	LOOP(calls, a_call_is_this_request, requests);
	LOOP(calls, the_version_is_negotiated, versions);
	LOOP(calls, an_answer_becomes_this, answers);
	LOOP(calls, a_list_comes_entry_by_entry, lists);
	tcase_add_loop_test(calls, a_list_without_end_is_cut_short, 0, WIRE_KINDS);
	tcase_add_loop_test(calls, a_pull_without_end_is_cut_short, 0, WIRE_KINDS);
	tcase_add_loop_test(calls, a_large_answer_costs_one_request, 0, 2 * WIRE_KINDS);
	tcase_add_loop_test(calls, no_answer_is_an_error_with_context, 0, WIRE_KINDS);
	LOOP(calls, the_frames_of_a_log_are_taken_off, log_bodies);
	tcase_add_loop_test(calls, frames_cross_chunks, 0, WIRE_KINDS);
	LOOP(calls, a_reference_has_name_and_tag, refs);
	LOOP(calls, a_pull_tells_its_progress, pulls);
	tcase_add_test(calls, an_endless_line_is_refused);
	tcase_add_loop_test(calls, a_pull_has_a_limit_in_all, 0, WIRE_KINDS);
	tcase_add_loop_test(calls, a_pull_that_is_cut_off_says_how_far_it_was, 0, WIRE_KINDS);
	tcase_add_loop_test(calls, a_callback_may_free_the_engine, 0, WIRE_KINDS);
	tcase_add_loop_test(calls, progress_may_free_the_engine, 0, WIRE_KINDS);
	tcase_add_loop_test(calls, a_cancelled_call_stays_silent, 0, WIRE_KINDS);
	suite_add_tcase(suite, calls);
	return suite_run(suite);
}
