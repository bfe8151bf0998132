#include "daemon/io/control/control_request.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/io/http/http_parser_compat.h"

/*
 * Why not libevent's own server, evhttp: up to version 2.1 it has no limit on connections, its errors are
 * HTML, it does not notice that a client has left while its answer is being made, and a client that goes on
 * sending meanwhile crashes the process.
 */

enum state {
	READING,   /* a request is awaited, or has come in part */
	HANDLING,  /* the request is complete, and the handler has not answered yet */
	STREAMING, /* the handler answers piece by piece */
	CLOSING,   /* the last reply is on its way; then the connection ends */
};

struct control_request {
	TAILQ_ENTRY(control_request) next;
	struct control_requests *all;
	struct control *control;
	struct bufferevent *bev;
	/* READING: the request's deadline; STREAMING: drops the stream; CLOSING: ends lingering */
	struct event *timer;
	enum state state;
	uid_t uid;
	bool uncounted; /* the client is refused, and is only told so */

	/* The request that is being read or answered. */
	reply_parser parser;
	char *target;
	size_t target_len;
	size_t header_bytes, body_bytes;
	struct evkeyvalq params;
	bool whole;
	int refused; /* not 0: the request is not read any further, and is answered with this HTTP status */
	bool head;
	bool keep_alive;
	bool chunked;
	bool half_closed; /* the client sends no more, but may go on reading */
	bool dropped;     /* nothing more is streamed: the connection is about to be closed */
	char *header;
	void (*gone)(void *arg);
	void *gone_arg;
};

static const struct timeval now = {0, 0};
struct timeval control_patience = {CONTROL_TIMEOUT_S, 0};
/* How long a client that is still sending has to take the last reply. */
static const struct timeval linger = {1, 0};

static const struct {
	int status;
	const char *phrase;
} phrases[] = {
	{200, "OK"},
	{202, "Accepted"},
	{400, "Bad Request"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{413, "Content Too Large"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{503, "Service Unavailable"},
	{505, "HTTP Version Not Supported"},
};

/* The phrase is for people who look at the wire; a status without one is fine (RFC 9112, 4). */
static const char *phrase_of(int status)
{
	for (size_t i = 0; i < sizeof(phrases) / sizeof(*phrases); i++)
		if (phrases[i].status == status)
			return phrases[i].phrase;
	return "";
}

static void forget_request(struct control_request *r)
{
	FREE(r->target);
	FREE(r->header);
	evhttp_clear_headers(&r->params);
	r->target_len = r->header_bytes = r->body_bytes = 0;
	r->whole = r->head = r->chunked = false;
	r->refused = 0;
	r->gone = NULL;
}

static size_t unsent(const struct control_request *r)
{
	return evbuffer_get_length(bufferevent_get_output(r->bev));
}

void control_request_close(struct control_request *r)
{
	void (*gone)(void *) = r->gone;
	void *arg = r->gone_arg;

	TAILQ_REMOVE(r->all, r, next);
	forget_request(r);
	event_free(r->timer);
	bufferevent_free(r->bev);
	free(r);
	if (gone)
		gone(arg);
}

/* Reading. */

static int refuse(struct control_request *r, int status)
{
	r->refused = status;
	return -1;
}

static int count_header(struct control_request *r, size_t len)
{
	r->header_bytes += len;
	return r->header_bytes > CONTROL_MAX_HEADER ? refuse(r, 431) : 0;
}

/* A second request before the first is answered (pipelining) is not read; the connection ends after the
 * first answer. */
static int on_begin(reply_parser *p)
{
	struct control_request *r = p->data;

	return r->whole ? -1 : 0;
}

static int on_url(reply_parser *p, const char *at, size_t len)
{
	struct control_request *r = p->data;

	if (count_header(r, len) < 0)
		return -1;
	r->target = xrealloc(r->target, r->target_len + len + 1);
	memcpy(r->target + r->target_len, at, len);
	r->target_len += len;
	r->target[r->target_len] = '\0';
	return 0;
}

static int on_header(reply_parser *p, const char *at, size_t len)
{
	(void)at;
	/* The two bytes between fields and values count as well. */
	return count_header(p->data, len + 2);
}

static int on_headers_complete(reply_parser *p)
{
	struct control_request *r = p->data;

	if (p->http_major != 1)
		return refuse(r, 505);
	/* UINT64_MAX is http_parser's value for a request without Content-Length. */
	if (p->content_length != UINT64_MAX && p->content_length > CONTROL_MAX_BODY)
		return refuse(r, 413);
	return 0;
}

/* No request of this API has a body with a meaning: bodies are counted and dropped. */
static int on_body(reply_parser *p, const char *at, size_t len)
{
	struct control_request *r = p->data;

	(void)at;
	r->body_bytes += len;
	return r->body_bytes > CONTROL_MAX_BODY ? refuse(r, 413) : 0;
}

static int on_complete(reply_parser *p)
{
	struct control_request *r = p->data;

	r->whole = true;
	r->head = strcmp(request_parser_method_name(p), "HEAD") == 0;
	r->chunked = p->http_minor > 0;
	r->keep_alive = p->http_minor > 0 && !p->upgrade && reply_parser_keep_alive(p);
	return 0;
}

static const reply_parser_callbacks callbacks = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_header_field = on_header,
	.on_header_value = on_header,
	.on_headers_complete = on_headers_complete,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

static void await_request(struct control_request *r)
{
	forget_request(r);
	request_parser_init(&r->parser, &callbacks);
	r->parser.data = r;
	r->state = READING;
	event_add(r->timer, &control_patience);
}

/* The client has made an error after which nothing that it sends can be understood. */
static void fail_client(struct control_request *r, int status, const char *message)
{
	r->state = HANDLING;
	r->keep_alive = false;
	control_error(r, status, "%s", message);
}

static const char *refusal_text(int status)
{
	switch (status) {
	case 413:
		return "the body is too large";
	case 431:
		return "the headers are too large";
	default:
		return "only HTTP/1.0 and HTTP/1.1 are spoken here";
	}
}

static void handle(struct control_request *r)
{
	char *query = strchr(r->target, '?');

	event_del(r->timer);
	r->state = HANDLING;
	if (query)
		*query++ = '\0';
	/* The client goes on asking and never reads its answers. */
	if (unsent(r) > CONTROL_MAX_BACKLOG)
		control_request_close(r);
	else if (control_requests_count(r->all, r->uid).unsent > CONTROL_USER_BACKLOG)
		control_error(
			r, 503,
			"user %u has %u MiB of answers waiting here that nobody reads; read them, or end "
			"those clients",
			r->uid, CONTROL_USER_BACKLOG >> 20);
	else if (query && evhttp_parse_query_str(query, &r->params) < 0)
		control_error(r, 400, "the query must be NAME=VALUE&NAME=VALUE...");
	else
		control_dispatch(r->control, r, request_parser_method_name(&r->parser), r->target);
}

static void on_readable(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(input);
	struct control_request *r = arg;
	const char *wrong = NULL;

	if (r->state == READING)
		wrong = reply_parser_feed(&r->parser, &callbacks, (char *)evbuffer_pullup(input, -1), len);
	else
		r->keep_alive = false;
	evbuffer_drain(input, len);
	if (r->state != READING)
		return;

	if (r->refused) {
		fail_client(r, r->refused, refusal_text(r->refused));
	} else if (r->whole) {
		if (wrong)
			r->keep_alive = false;
		handle(r);
	} else if (wrong) {
		fail_client(r, 400, wrong);
	}
}

/* The parameters are decoded copies: they do not point into the request. */
const char *control_param(const struct control_request *r, const char *name)
{
	return evhttp_find_header(&r->params, name);
}

/* Writing. */

static void write_head(struct control_request *r, int status, const char *content_type)
{
	struct evbuffer *out = bufferevent_get_output(r->bev);
	char date[64];

	evutil_date_rfc1123(date, sizeof(date), NULL);
	evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\n", status,
			    phrase_of(status), date, content_type);
	if (r->header)
		evbuffer_add_printf(out, "%s\r\n", r->header);
	if (!r->keep_alive)
		evbuffer_add_printf(out, "Connection: close\r\n");
}

static void finish(struct control_request *r)
{
	if (r->keep_alive && !r->half_closed) {
		await_request(r);
		return;
	}
	forget_request(r);
	r->state = CLOSING;
	event_del(r->timer);
	/* on_written does not come when nothing is left to write. */
	if (unsent(r) == 0)
		event_add(r->timer, &now);
}

void control_reply(struct control_request *r, int status, const char *content_type, const char *body,
		   size_t len)
{
	struct evbuffer *out = bufferevent_get_output(r->bev);

	write_head(r, status, content_type);
	evbuffer_add_printf(out, "Content-Length: %zu\r\n\r\n", len);
	if (!r->head)
		evbuffer_add(out, body, len);
	finish(r);
}

static char *error_body(const char *message)
{
	struct json_object *json = json_object_new_object();
	char *body;

	json_object_object_add(json, "error", text_json(message));
	body = xasprintf("%s\n", json_object_to_json_string_ext(
					 json, JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(json);
	return body;
}

void control_error(struct control_request *r, int status, const char *fmt, ...)
{
	char *message = NULL, *body;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	body = error_body(message ? message : phrase_of(status));
	control_reply(r, status, "application/json", body, strlen(body));
	free(body);
	free(message);
}

void control_on_gone(struct control_request *r, void (*gone)(void *arg), void *arg)
{
	r->gone = gone;
	r->gone_arg = arg;
}

/* Ends a stream that its handler has not ended: from the loop, since the handler may be writing just now. */
static void drop_soon(struct control_request *r)
{
	r->dropped = true;
	event_add(r->timer, &now);
}

/* Answers with 503 instead of the stream; gone comes when the answer has been sent. */
static void refuse_stream(struct control_request *r)
{
	r->keep_alive = false;
	r->dropped = true;
	control_error(r, 503,
		      "too many followers at once: user %u has %u here, the most that one may have; end some "
		      "of them",
		      r->uid, CONTROL_USER_STREAMS);
	r->state = STREAMING;
}

void control_stream(struct control_request *r, const char *content_type, void (*gone)(void *arg), void *arg)
{
	if (control_requests_count(r->all, r->uid).streams >= CONTROL_USER_STREAMS) {
		refuse_stream(r);
		control_on_gone(r, gone, arg);
		return;
	}
	/* Without chunks only the end of the connection marks the end of the stream. */
	if (!r->chunked || r->head)
		r->keep_alive = false;
	write_head(r, 200, content_type);
	evbuffer_add_printf(bufferevent_get_output(r->bev), "%s\r\n",
			    r->chunked ? "Transfer-Encoding: chunked\r\n" : "");
	r->state = STREAMING;
	control_on_gone(r, gone, arg);
}

void control_stream_write(struct control_request *r, const char *data, size_t len)
{
	struct evbuffer *out = bufferevent_get_output(r->bev);

	/* An empty chunk would mark the end of the stream. */
	if (r->dropped || r->head || len == 0)
		return;
	if (r->chunked)
		evbuffer_add_printf(out, "%zx\r\n", len);
	evbuffer_add(out, data, len);
	if (r->chunked)
		evbuffer_add(out, "\r\n", 2);
	if (evbuffer_get_length(out) > CONTROL_MAX_BACKLOG)
		drop_soon(r);
}

void control_stream_end(struct control_request *r)
{
	if (r->dropped) {
		/* The timer closes the connection: it is set already, or will be when all has been sent. */
		r->gone = NULL;
		return;
	}
	if (r->chunked && !r->head)
		evbuffer_add(bufferevent_get_output(r->bev), "0\r\n\r\n", 5);
	finish(r);
}

void control_request_set_header(struct control_request *r, const char *line)
{
	free(r->header);
	r->header = xstrdup(line);
}

void control_refuse(evutil_socket_t fd, int status, const char *message)
{
	char *body = error_body(message);
	char *reply = xasprintf("HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
				"Connection: close\r\n\r\n%s",
				status, phrase_of(status), strlen(body), body);

	send(fd, reply, strlen(reply), MSG_DONTWAIT | MSG_NOSIGNAL);
	free(reply);
	free(body);
}

/* The end of a connection. */

/* True: the client has closed the connection; false: it only sends no more. */
static bool hung_up(const struct control_request *r)
{
	struct pollfd p = {.fd = bufferevent_getfd(r->bev)};

	return poll(&p, 1, 0) != 0;
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct control_request *r = arg;

	if (r->state == STREAMING && (r->head || r->dropped))
		drop_soon(r);
	if (r->state != CLOSING)
		return;
	if (r->half_closed) {
		control_request_close(r);
		return;
	}
	/* To close a socket with unread bytes would destroy the reply on its way: let the client finish
	 * first. */
	shutdown(bufferevent_getfd(bev), SHUT_WR);
	event_add(r->timer, &linger);
}

static void on_end(struct bufferevent *bev, short what, void *arg)
{
	struct control_request *r = arg;
	bool busy = r->state == HANDLING || r->state == STREAMING || unsent(r) > 0;

	(void)bev;
	if ((what & BEV_EVENT_EOF) && busy && !hung_up(r)) {
		r->half_closed = true;
		if (r->state == READING) {
			r->state = CLOSING;
			event_del(r->timer);
		}
		return;
	}
	control_request_close(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct control_request *r = arg;

	(void)fd;
	(void)what;
	if (r->state == READING && unsent(r) > 0)
		/* The client still reads the last reply; a reply that makes no progress has a time-out of
		 * its own. */
		event_add(r->timer, &control_patience);
	else if (r->state == READING && r->header_bytes > 0)
		fail_client(r, 408, "the request was not complete in time");
	else
		control_request_close(r);
}

void control_request_new(struct control *control, struct event_base *base, evutil_socket_t fd, uid_t uid,
			 struct control_requests *all, const char *refusal)
{
	struct control_request *r = xcalloc(1, sizeof(*r));

	r->control = control;
	r->all = all;
	r->uid = uid;
	r->uncounted = refusal != NULL;
	TAILQ_INSERT_TAIL(all, r, next);
	TAILQ_INIT(&r->params);
	r->timer = evtimer_new(base, on_timer, r);
	r->bev = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(r->bev, on_readable, on_written, on_end, r);
	bufferevent_set_timeouts(r->bev, NULL, &control_patience);
	bufferevent_enable(r->bev, EV_READ | EV_WRITE);
	await_request(r);
	if (refusal)
		fail_client(r, 503, refusal);
}

/* Counting connections, and telling their users. */

struct control_count control_requests_count(const struct control_requests *all, uid_t uid)
{
	struct control_count count = {0};
	const struct control_request *r;

	TAILQ_FOREACH (r, all, next) {
		count.refused += r->uncounted;
		count.all += !r->uncounted;
		if (r->uncounted || r->uid != uid)
			continue;
		count.of_user++;
		count.streams += r->state == STREAMING;
		count.unsent += unsent(r);
	}
	return count;
}

uid_t control_peer(evutil_socket_t fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.uid : (uid_t)-1;
}
