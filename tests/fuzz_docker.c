/*
 * Replies of an engine that is out of its mind, one for each call: the first byte chooses which. HTTP itself
 * is fuzz_http's; here the status line is good, and the rest says what it wants.
 */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <json-c/json.h>

#include "daemon/io/archive.h"
#include "daemon/io/docker/docker.h"
#include "tests/fuzz.h"

static void on_progress(void *arg, const char *text)
{
	(void)arg;
	require(*text != '\0');
}

static void on_done(void *arg, const struct docker_reply *reply, const struct err *err)
{
	int *answers = arg;

	++*answers;
	require(reply || err);
	if (err)
		require(err->kind != ERR_NONE && *err->message);
	if (reply && reply->body)
		require(reply->body[reply->body_len] == '\0');
	if (reply && !err && reply->path_stat) {
		struct json_object *stat = json_tokener_parse(reply->path_stat);

		require(json_object_is_type(stat, json_type_object));
		json_object_put(stat);
	}
}

static void call_ping(struct docker *d, int *n)
{
	docker_ping(d, on_done, n);
}

static void on_entry(void *arg, struct json_object *entry)
{
	(void)arg;
	if (!json_object_is_type(entry, json_type_object))
		abort();
}

static void call_list(struct docker *d, int *n)
{
	docker_list(d, "io.apilb.owner=apilb", on_entry, on_done, n);
}

static void call_inspect(struct docker *d, int *n)
{
	docker_inspect(d, "api-lb", on_done, n);
}

static void call_head(struct docker *d, int *n)
{
	docker_head_archive(d, "api-lb", "/etc/haproxy/haproxy.cfg", on_done, n);
}

static void call_get(struct docker *d, int *n)
{
	docker_get_archive(d, "api-lb", "/etc/haproxy/haproxy.cfg", on_done, n);
}

static void call_logs(struct docker *d, int *n)
{
	docker_logs(d, "api-lb", 50, on_done, n);
}

static void call_pull(struct docker *d, int *n)
{
	docker_pull(d, "haproxy:3.2", on_progress, on_done, n);
}

static void call_create(struct docker *d, int *n)
{
	struct json_object *config = json_object_new_object();

	docker_create(d, "api-lb", config, on_done, n);
	json_object_put(config);
}

static void (*const calls[])(struct docker *d, int *n) = {call_ping, call_list, call_inspect, call_head,
							  call_get,  call_logs, call_pull,    call_create};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned choice = fuzz_choice(&data, &size);
	struct event_base *base = event_base_new();
	struct bufferevent *pair[2];
	struct docker *docker;
	int answers = 0;

	bufferevent_pair_new(base, 0, pair);
	docker = docker_new(pair[0]);
	calls[choice % (sizeof(calls) / sizeof(calls[0]))](docker, &answers);
	event_base_loop(base, EVLOOP_NONBLOCK);
	bufferevent_write(pair[1], "HTTP/1.1 200 OK\r\n", choice & 0x80 ? 0 : 17);
	bufferevent_write(pair[1], data, size);
	bufferevent_flush(pair[1], EV_WRITE, BEV_FINISHED);
	for (int i = 0; i < 10; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	require(answers == 1);
	docker_free(docker);
	bufferevent_free(pair[1]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
	return 0;
}
