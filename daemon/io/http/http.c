#include "daemon/io/http/http.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/io/http/http_parser_compat.h"

/*
 * How lifetimes are kept simple: everything happens in turn(), which runs from the event loop. A turn makes
 * at most one callback, as its very last step, and uses nothing of the connection after it. Whatever is left
 * to do is done by the next turn, which is arranged before the callback. So a callback may send, cancel, or
 * free the connection.
 */

#define DEFAULT_MAX_BODY ((size_t)16 << 20)
#define MAX_HEADER_BYTES ((size_t)64 << 10)
/* The most that one turn parses, and that is read from the stream ahead of the parser. */
#define TURN_BYTES ((size_t)32 << 10)

struct http_call {
	TAILQ_ENTRY(http_call) next;
	struct http *http;
	struct evbuffer *request; /* as it goes over the wire; empty once it has been sent */
	bool started;
	bool head;
	int64_t timeout_ms;
	int64_t limit_ms, limit_at_ms; /* 0: none */
	size_t max_body;
	void (*on_piece)(void *arg, const char *data, size_t len);
	http_done_cb *done;
	void *arg;
};

struct reply {
	struct http_reply public; /* given to the callback; must come first, see http_reply_header() */
	struct evbuffer *headers; /* name, NUL, value, NUL, ... */
	struct evbuffer *body;    /* collected, or the piece to be delivered next */
	bool in_value;            /* the last header bytes belong to a value, not to a name */
	bool headers_complete;
	bool complete;
	bool ends_connection;
	size_t skipped; /* bytes dropped of a body that is too large; 0: the body is not too large */
};

struct http {
	struct bufferevent *stream; /* NULL once it has been closed */
	struct event *turn;
	struct event *deadline;
	bool deadline_is_limit;
	TAILQ_HEAD(, http_call) calls; /* the first one is under way when it is started */
	reply_parser parser;
	struct reply reply;
	bool began;       /* a byte of the reply under way has come */
	bool ended;       /* the stream has ended */
	struct err end;   /* the error that ended it; kind ERR_NONE: it was closed in order */
	struct err fault; /* why the connection cannot be used any more; kind ERR_NONE: it can */
};

/* -- the reply ------------------------------------------------------------------------------------------ */

static void reply_init(struct reply *r)
{
	*r = (struct reply){.headers = evbuffer_new(), .body = evbuffer_new()};
}

static void reply_clear(struct reply *r)
{
	evbuffer_free(r->headers);
	evbuffer_free(r->body);
}

static void reply_reset(struct reply *r)
{
	reply_clear(r);
	reply_init(r);
}

const char *http_reply_header(const struct http_reply *public, const char *name)
{
	const struct reply *r = (const struct reply *)public;
	size_t len = evbuffer_get_length(r->headers);
	const char *p = (const char *)evbuffer_pullup(r->headers, -1);
	const char *end = len ? p + len : p;

	while (p < end) {
		const char *value = p + strlen(p) + 1;

		if (strcasecmp(p, name) == 0)
			return value;
		p = value + strlen(value) + 1;
	}
	return NULL;
}

/* -- the parser's callbacks; none of them calls a user's callback --------------------------------------- */

static int refuse(struct err *err, const char *what, size_t limit)
{
	return err_set(err, ERR_PERMANENT, "%s is larger than %zu bytes", what, limit);
}

static int keep_header_bytes(struct http *http, const char *at, size_t len)
{
	if (evbuffer_get_length(http->reply.headers) + len > MAX_HEADER_BYTES)
		return refuse(&http->fault, "the reply's header", MAX_HEADER_BYTES);
	if (memchr(at, '\0', len)) /* http_parser lets a NUL pass, which ends strings here */
		return err_set(&http->fault, ERR_TRANSIENT, "the answer is not HTTP: a NUL in its header");
	evbuffer_add(http->reply.headers, at, len);
	return 0;
}

/* Names and values each end in a NUL: it is added when a value follows a name, or a name a value. */
static void end_header_string(struct reply *r, bool in_value)
{
	if (r->in_value != in_value)
		evbuffer_add(r->headers, "", 1);
	r->in_value = in_value;
}

static int on_message_begin(reply_parser *p)
{
	struct http *http = p->data;

	/* No request is sent before the last is answered: nobody has asked for a second reply. */
	return http->reply.complete ? -1 : 0;
}

static int on_header_field(reply_parser *p, const char *at, size_t len)
{
	struct http *http = p->data;

	end_header_string(&http->reply, false);
	return keep_header_bytes(http, at, len);
}

static int on_header_value(reply_parser *p, const char *at, size_t len)
{
	struct http *http = p->data;

	end_header_string(&http->reply, true);
	return keep_header_bytes(http, at, len);
}

static int on_headers_complete(reply_parser *p)
{
	struct http *http = p->data;
	struct reply *r = &http->reply;

	end_header_string(r, false);
	r->headers_complete = true;
	r->public.status = p->status_code;
	if (r->public.status == 101)
		return err_set(&http->fault, ERR_TRANSIENT, "unexpected change of protocol (status 101)");
	/* 1: the reply has no body, whatever length its header says (RFC 9110, 6.4.1). */
	return TAILQ_FIRST(&http->calls)->head || r->public.status == 204 || r->public.status == 304;
}

static bool is_streamed(const struct http_call *call, const struct reply *r)
{
	return call->on_piece && r->headers_complete && r->public.status / 100 == 2;
}

/* Drops the body of a reply that is too large, so that the connection stays usable for the next request. */
static int skip(struct http *http, size_t len, size_t limit)
{
	struct reply *r = &http->reply;

	r->skipped += evbuffer_get_length(r->body) + len;
	evbuffer_drain(r->body, evbuffer_get_length(r->body));
	return r->skipped > limit + HTTP_MAX_SKIPPED ? refuse(&http->fault, "the reply", limit) : 0;
}

static int on_body(reply_parser *p, const char *at, size_t len)
{
	struct http *http = p->data;
	const struct http_call *call = TAILQ_FIRST(&http->calls);
	struct reply *r = &http->reply;

	if (!is_streamed(call, r) && (r->skipped || len > call->max_body - evbuffer_get_length(r->body)))
		return skip(http, len, call->max_body);
	evbuffer_add(r->body, at, len);
	return 0;
}

static int on_message_complete(reply_parser *p)
{
	struct http *http = p->data;
	struct reply *r = &http->reply;

	if (r->public.status / 100 == 1) { /* "100 Continue": the real reply is yet to come */
		reply_reset(r);
		return 0;
	}
	end_header_string(r, false); /* the last value of a trailer */
	r->complete = true;
	r->ends_connection = !reply_parser_keep_alive(p);
	return 0;
}

static const reply_parser_callbacks parser_callbacks = {
	.on_message_begin = on_message_begin,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* -- the connection ------------------------------------------------------------------------------------- */

static void arrange_turn(struct http *http)
{
	event_active(http->turn, EV_TIMEOUT, 0);
}

/* Closes the connection at once, not when it is freed: so the other side can stop its work for us. */
static void close_stream(struct http *http)
{
	if (http->stream)
		bufferevent_free(http->stream);
	http->stream = NULL;
	event_del(http->deadline);
}

/* The next turn comes when the loop has served others. */
static void arrange_next_turn(struct http *http)
{
	event_add(http->turn, &(struct timeval){.tv_sec = 0});
}

static int64_t until_limit_ms(const struct http_call *call)
{
	int64_t left = call->limit_ms ? call->limit_at_ms - clock_ms() : INT64_MAX;

	return left > 0 ? left : 0;
}

static void set_deadline(struct http *http, int64_t ms)
{
	int64_t most_ms = until_limit_ms(TAILQ_FIRST(&http->calls));
	struct timeval tv = clock_timeval(ms < most_ms ? ms : most_ms);

	http->deadline_is_limit = most_ms <= ms;
	event_add(http->deadline, &tv);
}

static void call_free(struct http_call *call)
{
	TAILQ_REMOVE(&call->http->calls, call, next);
	evbuffer_free(call->request);
	free(call);
}

static void start(struct http *http, struct http_call *call)
{
	if (evbuffer_get_length(bufferevent_get_input(http->stream))) {
		err_set(&http->fault, ERR_TRANSIENT, "the other side sent data that nobody asked for");
		return;
	}
	call->started = true;
	http->began = false;
	reply_reset(&http->reply);
	reply_parser_init(&http->parser, &parser_callbacks);
	http->parser.data = http;
	call->limit_at_ms = clock_ms() + call->limit_ms;
	set_deadline(http, call->timeout_ms);
	bufferevent_write_buffer(http->stream, call->request);
}

/* Feeds the parser with what has come, at most TURN_BYTES; the outcome is in http->reply and http->fault. */
static void parse(struct http *http, struct http_call *call)
{
	struct evbuffer *input = bufferevent_get_input(http->stream);
	size_t len = evbuffer_get_length(input);
	bool more = len > TURN_BYTES;
	const char *why = NULL;

	if (len) {
		len = more ? TURN_BYTES : len;
		http->began = true;
		why = reply_parser_feed(&http->parser, &parser_callbacks,
					(const char *)evbuffer_pullup(input, (ev_ssize_t)len), len);
		evbuffer_drain(input, len);
		if (call->on_piece)
			set_deadline(http, call->timeout_ms);
	}
	if (more && !why && !http->reply.complete && http->fault.kind == ERR_NONE) {
		arrange_next_turn(http);
		return;
	}
	if (http->ended && !why && !http->reply.complete)
		reply_parser_feed(&http->parser, &parser_callbacks, NULL, 0);

	if (http->fault.kind != ERR_NONE || (!http->reply.complete && !why && !http->ended))
		return;
	if (!http->reply.complete && why)
		err_set(&http->fault, ERR_TRANSIENT, "the answer is not HTTP: %s", why);
	else if (!http->reply.complete && http->end.kind != ERR_NONE)
		http->fault = http->end;
	else if (!http->reply.complete)
		err_set(&http->fault, ERR_TRANSIENT, "the connection was closed %s",
			http->began ? "in the middle of the answer" : "without an answer");
	else if (why || more)
		err_set(&http->fault, ERR_TRANSIENT, "the other side sent data after its answer");
	else if (http->reply.ends_connection || http->ended ||
		 evbuffer_get_length(bufferevent_get_output(http->stream)))
		err_set(&http->fault, ERR_TRANSIENT, "the connection was closed after an earlier answer");
}

static void deliver_piece(struct http *http, struct http_call *call)
{
	struct evbuffer *piece = http->reply.body;

	http->reply.body = evbuffer_new();
	if (http->reply.complete || http->fault.kind != ERR_NONE)
		arrange_turn(http);
	call->on_piece(call->arg, (const char *)evbuffer_pullup(piece, -1), evbuffer_get_length(piece));
	evbuffer_free(piece);
}

static void deliver_reply(struct http *http, struct http_call *call)
{
	http_done_cb *done = call->done;
	void *arg = call->arg;
	struct reply r = http->reply;
	struct err too_large;

	if (r.skipped)
		refuse(&too_large, "the reply", call->max_body);
	reply_init(&http->reply);
	event_del(http->deadline);
	call_free(call);
	arrange_turn(http);

	r.public.body_len = evbuffer_get_length(r.body);
	evbuffer_add(r.body, "", 1);
	r.public.body = (const char *)evbuffer_pullup(r.body, -1);
	done(arg, r.skipped ? NULL : &r.public, r.skipped ? &too_large : NULL);
	reply_clear(&r);
}

static void deliver_fault(struct http *http, struct http_call *call)
{
	http_done_cb *done = call->done;
	void *arg = call->arg;
	struct err fault = http->fault;

	call_free(call);
	arrange_turn(http);
	done(arg, NULL, &fault);
}

static void notice_when_idle(struct http *http)
{
	if (http->ended)
		err_set(&http->fault, ERR_TRANSIENT, "the connection was closed while it was not in use");
	else if (evbuffer_get_length(bufferevent_get_input(http->stream)))
		err_set(&http->fault, ERR_TRANSIENT, "the other side sent data that nobody asked for");
}

static void turn(evutil_socket_t fd, short what, void *arg)
{
	struct http *http = arg;
	struct http_call *call = TAILQ_FIRST(&http->calls);

	(void)fd, (void)what;
	if (http->stream) {
		if (!call || (!call->started && http->ended))
			notice_when_idle(http);
		else if (!call->started)
			start(http, call);
		else if (!http->reply.complete)
			parse(http, call);
		if (http->fault.kind != ERR_NONE)
			close_stream(http);
	}
	if (!call)
		return;
	if (call->started && is_streamed(call, &http->reply) && evbuffer_get_length(http->reply.body))
		deliver_piece(http, call);
	else if (call->started && http->reply.complete)
		deliver_reply(http, call);
	else if (http->fault.kind != ERR_NONE)
		deliver_fault(http, call);
}

static void on_read(struct bufferevent *stream, void *arg)
{
	(void)stream;
	arrange_turn(arg);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
	struct http *http = arg;
	int error = EVUTIL_SOCKET_ERROR();

	/* A server may refuse a long request before it has read all of it, so that writing fails: its answer
	 * counts, and the end of the reading side will be reported as well. */
	if ((what & BEV_EVENT_ERROR) && (what & BEV_EVENT_WRITING))
		return;
	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	http->ended = true;
	if (what & BEV_EVENT_ERROR) /* errno belongs to this error only if there is a socket */
		err_set(&http->end, ERR_TRANSIENT, "the connection was lost%s%s",
			bufferevent_getfd(stream) >= 0 ? ": " : "",
			bufferevent_getfd(stream) >= 0 ? evutil_socket_error_to_string(error) : "");
	arrange_turn(http);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct http *http = arg;
	const struct http_call *call = TAILQ_FIRST(&http->calls);

	(void)fd, (void)what;
	if (http->reply.complete || http->fault.kind != ERR_NONE)
		return; /* the outcome came in time, and is about to be delivered */
	err_set(&http->fault, ERR_TRANSIENT, "%s within %g s",
		!http->began     ? "no answer"
		: call->on_piece ? "no more of the answer"
				 : "no complete answer",
		(double)call->timeout_ms / 1000);
	if (http->deadline_is_limit)
		err_set(&http->fault, ERR_TRANSIENT, "no complete answer within %g s",
			(double)call->limit_ms / 1000);
	close_stream(http);
	arrange_turn(http);
}

/* -- for the users of the connection -------------------------------------------------------------------- */

struct http *http_new(struct bufferevent *stream)
{
	struct http *http = xcalloc(1, sizeof(*http));
	struct event_base *base = bufferevent_get_base(stream);

	http->stream = stream;
	http->turn = event_new(base, -1, 0, turn, http);
	http->deadline = evtimer_new(base, on_deadline, http);
	TAILQ_INIT(&http->calls);
	reply_init(&http->reply);
	bufferevent_setcb(stream, on_read, NULL, on_event, http);
	bufferevent_setwatermark(stream, EV_READ, 0, TURN_BYTES);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	return http;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	while (!TAILQ_EMPTY(&http->calls))
		call_free(TAILQ_FIRST(&http->calls));
	close_stream(http);
	event_free(http->turn);
	event_free(http->deadline);
	reply_clear(&http->reply);
	free(http);
}

static struct evbuffer *serialise(const struct http_request *request)
{
	struct evbuffer *out = evbuffer_new();

	evbuffer_add_printf(out, "%s %s HTTP/1.1\r\nHost: localhost\r\n", request->method, request->target);
	if (request->header)
		evbuffer_add_printf(out, "%s\r\n", request->header);
	if (request->content_type)
		evbuffer_add_printf(out, "Content-Type: %s\r\n", request->content_type);
	/* RFC 9110, 8.6: a request that could have a body says that it has none. */
	if (request->content_type || strcmp(request->method, "POST") == 0 ||
	    strcmp(request->method, "PUT") == 0)
		evbuffer_add_printf(out, "Content-Length: %zu\r\n", request->body_len);
	evbuffer_add(out, "\r\n", 2);
	if (request->body_len)
		evbuffer_add(out, request->body, request->body_len);
	return out;
}

struct http_call *http_send(struct http *http, const struct http_request *request, http_done_cb *done,
			    void *arg)
{
	struct http_call *call = xcalloc(1, sizeof(*call));

	call->http = http;
	call->request = serialise(request);
	call->head = strcmp(request->method, "HEAD") == 0;
	call->timeout_ms = request->timeout_ms;
	call->limit_ms = request->limit_ms;
	call->max_body = request->max_body ? request->max_body : DEFAULT_MAX_BODY;
	call->on_piece = request->on_piece;
	call->done = done;
	call->arg = arg;
	TAILQ_INSERT_TAIL(&http->calls, call, next);
	arrange_turn(http);
	return call;
}

void http_cancel(struct http_call *call)
{
	struct http *http = call->http;

	if (call->started && http->fault.kind == ERR_NONE)
		err_set(&http->fault, ERR_TRANSIENT,
			"the connection was closed because a request was cancelled");
	call_free(call);
	if (http->fault.kind != ERR_NONE)
		close_stream(http);
	arrange_turn(http);
}

bool http_usable(const struct http *http)
{
	return http->fault.kind == ERR_NONE && !http->ended;
}
