/*
 * The bytes of an engine that is out of its mind, or of something else that listens there. The
 * first byte says how they are cut and what was asked; each request must be answered exactly once.
 */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/io/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_piece(void *arg, const char *data, size_t len)
{
	(void)arg;
	if (!data || len == 0)
		abort();
}

static void on_done(void *arg, const struct http_reply *reply, const struct err *err)
{
	int *answers = arg;

	if (!reply == !err || (reply && reply->body[reply->body_len] != '\0'))
		abort();
	if (reply)
		http_reply_header(reply, "X-Docker-Container-Path-Stat");
	++*answers;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT"};
	struct event_base *base;
	struct bufferevent *pair[2];
	struct http *http;
	size_t cut;
	int answers = 0;

	if (size == 0)
		return 0;
	cut = data[0] >> 3 ? (size_t)(data[0] >> 3) : size;
	base = event_base_new();
	bufferevent_pair_new(base, 0, pair);
	http = http_new(pair[0]);
	for (int i = 0; i < 2; i++)
		http_send(http,
			  &(struct http_request){.method = methods[data[0] & 3],
						 .target = "/",
						 .timeout_ms = 60000,
						 .max_body = 1000,
						 .on_piece = data[0] & 4 ? on_piece : NULL},
			  on_done, &answers);
	for (size_t at = 1; at < size; at += cut) {
		event_base_loop(base, EVLOOP_NONBLOCK);
		bufferevent_write(pair[1], data + at, cut < size - at ? cut : size - at);
	}
	bufferevent_flush(pair[1], EV_WRITE, BEV_FINISHED);
	for (int i = 0; i < 10; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	if (answers != 2 || http_usable(http))
		abort();
	http_free(http);
	bufferevent_free(pair[1]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
	return 0;
}
