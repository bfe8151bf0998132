#include "daemon/io/haproxy_socket.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>

#include "common/mem.h"
#include "daemon/io/clock.h"

/* "show stat" has some 400 bytes a row, and a server name with three addresses takes six rows. The number of
 * names is limited by SPEC_MAX_ITEMS. */
#define MAX_ANSWER_BYTES ((size_t)4 << 20)

struct haproxy_query {
	struct bufferevent *stream;
	struct event *deadline;
	int64_t timeout_ms;
	haproxy_query_cb *cb;
	void *arg;
};

void haproxy_query_cancel(struct haproxy_query *query)
{
	if (!query)
		return;
	bufferevent_free(query->stream);
	event_free(query->deadline);
	free(query);
}

/* Every query that is not cancelled ends here. The query is freed before the callback, its answer after. */
static void finish(struct haproxy_query *query, const struct err *err)
{
	haproxy_query_cb *cb = query->cb;
	void *arg = query->arg;
	struct evbuffer *answer = evbuffer_new();
	size_t len;

	evbuffer_add_buffer(answer, bufferevent_get_input(query->stream));
	haproxy_query_cancel(query);
	len = evbuffer_get_length(answer);
	evbuffer_add(answer, "", 1); /* a NUL, so that callers may use string functions */
	if (err)
		cb(arg, NULL, 0, err);
	else
		cb(arg, (const char *)evbuffer_pullup(answer, -1), len, NULL);
	evbuffer_free(answer);
}

static void fail(struct haproxy_query *query, const char *what)
{
	struct err err;

	err_set(&err, ERR_TRANSIENT, "HAProxy's stats socket: %s", what);
	finish(query, &err);
}

static void on_read(struct bufferevent *stream, void *arg)
{
	if (evbuffer_get_length(bufferevent_get_input(stream)) > MAX_ANSWER_BYTES)
		fail(arg, "the answer is larger than 4 MiB");
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
	size_t len = evbuffer_get_length(bufferevent_get_input(stream));

	if (len > MAX_ANSWER_BYTES)
		fail(arg, "the answer is larger than 4 MiB");
	else if (what & BEV_EVENT_ERROR)
		fail(arg, "the connection was lost");
	else if ((what & BEV_EVENT_EOF) && len == 0)
		fail(arg, "closed without an answer");
	else if (what & BEV_EVENT_EOF) /* HAProxy marks the end of the last answer by closing */
		finish(arg, NULL);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	const struct haproxy_query *query = arg;
	char text[64];

	(void)fd, (void)what;
	evutil_snprintf(text, sizeof(text), "no complete answer within %g s",
			(double)query->timeout_ms / 1000);
	fail(arg, text);
}

struct haproxy_query *haproxy_query(struct bufferevent *stream, const char *commands, int64_t timeout_ms,
				    haproxy_query_cb *cb, void *arg)
{
	struct haproxy_query *query = xcalloc(1, sizeof(*query));
	struct timeval tv = clock_timeval(timeout_ms);

	query->stream = stream;
	query->deadline = evtimer_new(bufferevent_get_base(stream), on_deadline, query);
	query->timeout_ms = timeout_ms;
	query->cb = cb;
	query->arg = arg;
	event_add(query->deadline, &tv);
	bufferevent_setcb(stream, on_read, NULL, on_event, query);
	evbuffer_add_printf(bufferevent_get_output(stream), "%s\n", commands);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	return query;
}
