/* HTTP over a stream: tables of bytes in pieces and what comes of them; then who may do what, and when. */
#include <check.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/http/http.h"
#include "tests/suite.h"
#include "tests/wire.h"

/* What a callback got, and what it is to do then. */
struct result {
	int calls;
	bool done;
	int status;
	char *body;
	char *etag;
	struct err err;
	struct evbuffer *pieces;
	int n_pieces;
	struct wire *wire;
	struct http *http;
	struct http_call *call;
	void (*then)(struct result *result);
	void (*then_at_piece)(struct result *result);
};

static void on_done(void *arg, const struct http_reply *reply, const struct err *err)
{
	struct result *r = arg;
	const char *etag;

	r->calls++;
	r->done = true;
	ck_assert((reply != NULL) != (err != NULL));
	if (err)
		r->err = *err;
	if (r->then)
		r->then(r);
	if (!reply)
		return;
	/* After what it did, the reply is still there. */
	r->status = reply->status;
	free(r->body);
	r->body = xstrndup(reply->body, reply->body_len);
	ck_assert_int_eq(reply->body[reply->body_len], 0);
	etag = http_reply_header(reply, "ETag");
	free(r->etag);
	r->etag = etag ? xstrdup(etag) : NULL;
}

static void on_piece(void *arg, const char *data, size_t len)
{
	struct result *r = arg;

	ck_assert(!r->done);
	ck_assert_uint_gt(len, 0);
	ck_assert_uint_le(len, 32 << 10); /* however much comes at once */
	evbuffer_add(r->pieces, data, len);
	r->n_pieces++;
	if (r->then_at_piece)
		r->then_at_piece(r);
}

static void open_http(struct wire *wire, struct result *r, int kind)
{
	*r = (struct result){.wire = wire, .pieces = evbuffer_new()};
	wire_open(wire, (enum wire_kind)kind);
	r->http = http_new(wire->client);
}

static void close_http(struct wire *wire, struct result *r)
{
	http_free(r->http);
	wire_close(wire);
	evbuffer_free(r->pieces);
	free(r->body);
	free(r->etag);
}

static const struct http_request get = {.method = "GET", .target = "/x", .timeout_ms = 5000};
static const struct http_request get_soon = {.method = "GET", .target = "/x", .timeout_ms = 40};
static const struct http_request get_pieces = {
	.method = "GET", .target = "/x", .timeout_ms = 1000, .on_piece = on_piece};

#define say_text(wire, text) wire_say(wire, text, strlen(text))
#define OK_ABC "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"

/* -- bytes and what comes of them ----------------------------------------------------------------------- */

static const struct exchange {
	const char *name;
	const char *method;
	const char *bytes;
	bool ends; /* then the stream ends */
	bool usable;
	const char *error; /* part of the message; NULL: a reply comes */
	int status;
	const char *body;
	const char *etag;
} exchanges[] = {
	{"length", "GET", OK_ABC, false, true, NULL, 200, "abc", NULL},
	{"no such thing", "GET", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}", false, true, NULL,
	 404, "{}", NULL},
	{"no reason phrase", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", false, true, NULL, 200, "",
	 NULL},
	{"chunked", "GET",
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n",
	 false, true, NULL, 200, "abc0123456789", NULL},
	{"chunk extension and trailer", "GET",
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nETag: t\r\n\r\n", false,
	 true, NULL, 200, "abc", "t"},
	{"header in any case", "GET", "HTTP/1.1 200 OK\r\neTAG:  \"q\"\r\nContent-Length: 0\r\n\r\n", false,
	 true, NULL, 200, "", "\"q\""},
	{"empty header value", "GET", "HTTP/1.1 200 OK\r\nX-Empty:\r\nETag: e\r\nContent-Length: 0\r\n\r\n",
	 false, true, NULL, 200, "", "e"},
	{"HEAD has no body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", false, true, NULL,
	 200, "", NULL},
	{"HEAD, chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, true, NULL,
	 200, "", NULL},
	{"HEAD without length", "HEAD", "HTTP/1.1 404 Not Found\r\n\r\n", false, true, NULL, 404, "", NULL},
	{"204", "POST", "HTTP/1.1 204 No Content\r\n\r\n", false, true, NULL, 204, "", NULL},
	{"304 with a length", "POST", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", false, true,
	 NULL, 304, "", NULL},
	{"204 with a length", "POST", "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", false, true,
	 NULL, 204, "", NULL},
	{"100 first", "PUT", "HTTP/1.1 100 Continue\r\nETag: no\r\n\r\n" OK_ABC, false, true, NULL, 200,
	 "abc", NULL},
	{"hints first", "GET", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" OK_ABC,
	 false, true, NULL, 200, "abc", NULL},
	{"close, with a length", "GET",
	 "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", false, false, NULL, 200,
	 "abc", NULL},
	{"close, chunked", "GET",
	 "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	 true, false, NULL, 200, "abc", NULL},
	{"until the end", "GET", "HTTP/1.1 200 OK\r\n\r\nabc", true, false, NULL, 200, "abc", NULL},
	{"until the end, nothing", "GET", "HTTP/1.1 200 OK\r\n\r\n", true, false, NULL, 200, "", NULL},
	{"1.0", "GET", "HTTP/1.0 200 OK\r\n\r\nabc", true, false, NULL, 200, "abc", NULL},
	{"1.0 keeps nothing alive", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", false, false,
	 NULL, 200, "abc", NULL},
	{"end after a whole reply", "GET", OK_ABC, true, false, NULL, 200, "abc", NULL},
	{"bytes after the reply", "GET", OK_ABC "junk", false, false, NULL, 200, "abc", NULL},
	{"a second reply", "GET", OK_ABC OK_ABC, false, false, NULL, 200, "abc", NULL},
	{"a reply after the last", "GET",
	 "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc" OK_ABC, false, false, NULL,
	 200, "abc", NULL},

	{"no answer", "GET", "", true, false, "closed without an answer", 0, NULL, NULL},
	{"end in the status line", "GET", "HTTP/1.1 20", true, false, "closed in the middle", 0, NULL, NULL},
	{"end in the header", "GET", "HTTP/1.1 200 OK\r\nContent-Le", true, false, "closed in the middle", 0,
	 NULL, NULL},
	{"end in the body", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true, false,
	 "closed in the middle", 0, NULL, NULL},
	{"end in a chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", true,
	 false, "closed in the middle", 0, NULL, NULL},
	{"end before the last chunk", "GET",
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, false,
	 "closed in the middle", 0, NULL, NULL},
	{"end after 100", "PUT", "HTTP/1.1 100 Continue\r\n\r\n", true, false, "closed in the middle", 0,
	 NULL, NULL},
	{"not HTTP", "GET", "SSH-2.0-OpenSSH_9.2\r\n", false, false, "not HTTP", 0, NULL, NULL},
	{"a request", "GET", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", false, false, "not HTTP", 0, NULL, NULL},
	{"bad status", "GET", "HTTP/1.1 2x0 OK\r\n\r\n", false, false, "not HTTP", 0, NULL, NULL},
	{"bad length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\n", false, false, "not HTTP", 0,
	 NULL, NULL},
	{"two lengths", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", false,
	 false, "not HTTP", 0, NULL, NULL},
	{"length too long for a number", "GET",
	 "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", false, false, "not HTTP", 0, NULL,
	 NULL},
	{"bad chunk size", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false,
	 false, "not HTTP", 0, NULL, NULL},
	{"another protocol", "GET", "HTTP/1.1 101 Switching\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
	 false, false, "status 101", 0, NULL, NULL},
	{"longer than allowed", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n012345678901234567890",
	 false, true, "the reply is larger than 20 bytes", 0, NULL, NULL},
	{"chunks longer than allowed", "GET",
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
	 "chunked\r\n\r\na\r\n0123456789\r\nb\r\n01234567890\r\n0\r\n\r\n",
	 false, true, "the reply is larger than 20 bytes", 0, NULL, NULL},
};

enum { N_EXCHANGES = sizeof(exchanges) / sizeof(*exchanges) };

static void check_exchange_result(const struct exchange *e, const struct result *r)
{
	ck_assert_msg(r->calls == 1, "%s: %d callbacks", e->name, r->calls);
	ck_assert_msg(http_usable(r->http) == e->usable, "%s: usable", e->name);
	if (e->error) {
		ck_assert_msg(strstr(r->err.message, e->error), "%s: \"%s\"", e->name, r->err.message);
		ck_assert_int_eq(r->err.kind, strstr(e->error, "larger") ? ERR_PERMANENT : ERR_TRANSIENT);
		return;
	}
	ck_assert_msg(r->err.kind == ERR_NONE, "%s: \"%s\"", e->name, r->err.message);
	ck_assert_int_eq(r->status, e->status);
	ck_assert_str_eq(r->body, e->body);
	ck_assert_pstr_eq(r->etag, e->etag);
}

/* The bytes come in three pieces: up to `first`, then `step` bytes at a time. */
static void run_exchange(const struct exchange *e, int kind, size_t first, size_t step)
{
	struct http_request request = {
		.method = e->method, .target = "/x", .timeout_ms = 60000, .max_body = 20};
	size_t len = strlen(e->bytes);
	struct wire wire;
	struct result r;

	open_http(&wire, &r, kind);
	http_send(r.http, &request, on_done, &r);
	wire_spin(&wire);
	wire_say(&wire, e->bytes, first);
	for (size_t at = first; at < len; at += step)
		wire_say(&wire, e->bytes + at, step < len - at ? step : len - at);
	if (e->ends)
		wire_end(&wire);
	check_exchange_result(e, &r);
	close_http(&wire, &r);
}

START_TEST(a_reply_comes_in_one_piece)
{
	run_exchange(&exchanges[_i], WIRE_SOCKET, strlen(exchanges[_i].bytes), 1);
	run_exchange(&exchanges[_i], WIRE_PAIR, strlen(exchanges[_i].bytes), 1);
}
END_TEST

START_TEST(a_reply_comes_byte_by_byte)
{
	run_exchange(&exchanges[_i], WIRE_SOCKET, 0, 1);
	run_exchange(&exchanges[_i], WIRE_PAIR, 0, 1);
}
END_TEST

START_TEST(a_reply_is_split_at_every_position)
{
	size_t len = strlen(exchanges[_i].bytes);

	for (size_t at = 1; at < len; at++)
		run_exchange(&exchanges[_i], (int)(at % WIRE_KINDS), at, len);
}
END_TEST

START_TEST(a_header_has_a_limit)
{
	struct wire wire;
	struct result r;
	char line[1000];

	open_http(&wire, &r, _i);
	http_send(r.http, &get, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 200 OK\r\n");
	memset(line, 'v', sizeof(line));
	memcpy(line, "X: ", 3);
	memcpy(line + sizeof(line) - 2, "\r\n", 2);
	for (int i = 0; i < 100 && !r.done; i++)
		wire_say(&wire, line, sizeof(line));
	ck_assert_int_eq(r.calls, 1);
	ck_assert_str_eq(r.err.message, "the reply's header is larger than 65536 bytes");
	ck_assert(!http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

/* The rest is not kept; and who sends without end is not listened to for ever. */
START_TEST(skipping_has_an_end)
{
	static char block[1 << 20];
	struct http_request request = {.method = "GET", .target = "/x", .timeout_ms = 5000, .max_body = 20};
	struct wire wire;
	struct result r;
	size_t said = 0;

	open_http(&wire, &r, _i);
	http_send(r.http, &request, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 200 OK\r\n\r\n");
	for (; said < HTTP_MAX_SKIPPED; said += sizeof(block))
		wire_say(&wire, block, sizeof(block));
	for (int i = 0; i < 100; i++) /* all of it is heard */
		wire_spin(&wire);
	ck_assert_int_eq(r.calls, 0);
	wire_say(&wire, block, 100000);
	wire_wait(&wire, &r.done, 3000);
	ck_assert_str_eq(r.err.message, "the reply is larger than 20 bytes");
	ck_assert(!http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

START_TEST(a_long_reply_comes_in_short_pieces)
{
	static char block[1 << 20];
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	http_send(r.http, &get_pieces, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
	bufferevent_write(wire.server, block, sizeof(block));
	wire_wait(&wire, &r.done, 3000);
	ck_assert_int_eq(r.status, 200);
	ck_assert_uint_eq(evbuffer_get_length(r.pieces), sizeof(block));
	close_http(&wire, &r);
}
END_TEST

START_TEST(a_header_has_no_nul)
{
	static const char bytes[] = "HTTP/1.1 200 OK\r\nETag: a\0b\r\nContent-Length: 0\r\n\r\n";
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	http_send(r.http, &get, on_done, &r);
	wire_spin(&wire);
	wire_say(&wire, bytes, sizeof(bytes) - 1);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_msg(strstr(r.err.message, "not HTTP"), "%s", r.err.message);
	close_http(&wire, &r);
}
END_TEST

START_TEST(a_large_reply_comes_whole)
{
	static char body[1 << 20];
	struct wire wire;
	struct result r;
	char head[100];

	memset(body, 'b', sizeof(body) - 1);
	open_http(&wire, &r, _i);
	http_send(r.http, &get, on_done, &r);
	wire_spin(&wire);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", sizeof(body) - 1);
	say_text(&wire, head);
	wire_say(&wire, body, sizeof(body) - 1);
	wire_wait(&wire, &r.done, 3000);
	ck_assert_int_eq(r.status, 200);
	ck_assert_str_eq(r.body, body);
	ck_assert(http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

/* -- requests ------------------------------------------------------------------------------------------- */

static const struct {
	struct http_request request;
	const char *bytes;
} requests[] = {
	{{.method = "GET", .target = "/a?b=c"}, "GET /a?b=c HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	{{.method = "POST", .target = "/a"},
	 "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"},
	{{.method = "DELETE", .target = "/a", .header = "X-Y: z"},
	 "DELETE /a HTTP/1.1\r\nHost: localhost\r\nX-Y: z\r\n\r\n"},
	{{.method = "PUT", .target = "/a", .content_type = "application/x-tar", .body = "tar", .body_len = 3},
	 "PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-tar\r\nContent-Length: "
	 "3\r\n\r\ntar"},
};

START_TEST(a_request_goes_over_the_wire)
{
	struct http_request request = requests[_i].request;
	struct wire wire;
	struct result r;
	char *heard;

	open_http(&wire, &r, WIRE_SOCKET);
	request.timeout_ms = 5000;
	http_send(r.http, &request, on_done, &r);
	memset(&request, 0, sizeof(request)); /* it is copied */
	wire_spin(&wire);
	heard = wire_heard(&wire);
	ck_assert_str_eq(heard, requests[_i].bytes);
	free(heard);
	close_http(&wire, &r);
}
END_TEST

static bool server_heard_something(struct wire *wire)
{
	char *heard = wire_heard(wire);
	bool something = *heard;

	free(heard);
	return something;
}

START_TEST(requests_go_one_after_the_other)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	for (int i = 0; i < 3; i++)
		http_send(r.http, &get, on_done, &r);
	for (int i = 1; i <= 3; i++) {
		wire_spin(&wire);
		ck_assert(server_heard_something(&wire));
		wire_spin(&wire);
		ck_assert(!server_heard_something(&wire));
		say_text(&wire, OK_ABC);
		ck_assert_int_eq(r.calls, i);
	}
	ck_assert(http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

START_TEST(what_waits_fails_with_the_connection)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	for (int i = 0; i < 3; i++)
		http_send(r.http, &get, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc");
	ck_assert_int_eq(r.calls, 3);
	ck_assert_str_eq(r.body, "abc");
	ck_assert_str_eq(r.err.message, "the connection was closed after an earlier answer");
	close_http(&wire, &r);
}
END_TEST

START_TEST(no_callback_comes_from_within_send)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	wire_end(&wire);
	ck_assert(!http_usable(r.http));
	http_send(r.http, &get, on_done, &r);
	ck_assert_int_eq(r.calls, 0);
	wire_spin(&wire);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_str_eq(r.err.message, "the connection was closed while it was not in use");
	close_http(&wire, &r);
}
END_TEST

START_TEST(nobody_speaks_unasked)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	say_text(&wire, "HTTP/1.1 408 Request Timeout\r\n\r\n");
	ck_assert(!http_usable(r.http));
	http_send(r.http, &get, on_done, &r);
	wire_spin(&wire);
	ck_assert_str_eq(r.err.message, "the other side sent data that nobody asked for");
	close_http(&wire, &r);
}
END_TEST

/* A server that refuses a long request before it has read it: the reason must not get lost. */
START_TEST(an_early_answer_counts)
{
	static char body[4 << 20];
	struct http_request request = {.method = "PUT",
				       .target = "/x",
				       .content_type = "application/x-tar",
				       .body = body,
				       .body_len = sizeof(body),
				       .timeout_ms = 5000};
	struct wire wire;
	struct result r;

	open_http(&wire, &r, WIRE_SOCKET);
	bufferevent_disable(wire.server, EV_READ);
	http_send(r.http, &request, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
	if (_i == 1) { /* and it closes at once, so that writing fails first */
		bufferevent_free(wire.server);
		wire.server = NULL;
	}
	wire_wait(&wire, &r.done, 3000);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_msg(r.status == 403, "%s", r.err.message);
	ck_assert_str_eq(r.body, "no");
	wire_spin(&wire);
	ck_assert(!http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

/* -- deadlines ------------------------------------------------------------------------------------------ */

START_TEST(never_answering_has_an_end)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	http_send(r.http, &get_soon, on_done, &r);
	wire_wait(&wire, &r.done, 3000);
	ck_assert_str_eq(r.err.message, "no answer within 0.04 s");
	ck_assert(!http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

START_TEST(a_dripping_answer_has_an_end)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	http_send(r.http, &get_soon, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	for (int i = 0; i < 100 && !r.done; i++) {
		say_text(&wire, "x");
		wire_wait(&wire, &r.done, 10);
	}
	ck_assert_str_eq(r.err.message, "no complete answer within 0.04 s");
	close_http(&wire, &r);
}
END_TEST

START_TEST(a_streamed_answer_may_drip_but_not_stop)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	http_send(r.http, &get_pieces, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 200 OK\r\n\r\n");
	/* Longer than the deadline in all; no single pause is, on a busy machine neither. */
	for (int i = 0; i < 120; i++) {
		say_text(&wire, "x");
		wire_wait(&wire, &r.done, 10);
		ck_assert(!r.done);
	}
	ck_assert_int_eq(r.n_pieces, 120);
	wire_wait(&wire, &r.done, 3000);
	ck_assert_str_eq(r.err.message, "no more of the answer within 1 s");
	close_http(&wire, &r);
}
END_TEST

START_TEST(a_streamed_answer_may_not_drip_for_ever)
{
	struct http_request limited = get_pieces;
	struct wire wire;
	struct result r;

	limited.timeout_ms = 60000;
	limited.limit_ms = 80;
	open_http(&wire, &r, _i);
	http_send(r.http, &limited, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 200 OK\r\n\r\n");
	for (int i = 0; i < 500 && !r.done; i++) {
		say_text(&wire, "x");
		wire_wait(&wire, &r.done, 10);
	}
	ck_assert_str_eq(r.err.message, "no complete answer within 0.08 s");
	ck_assert_int_gt(r.n_pieces, 0);
	ck_assert(!http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

START_TEST(the_deadline_of_a_waiting_request_starts_with_its_turn)
{
	struct wire wire;
	struct result first, second;

	open_http(&wire, &first, _i);
	second = (struct result){.wire = &wire};
	http_send(first.http, &get, on_done, &first);
	http_send(first.http, &get_soon, on_done, &second);
	wire_wait(&wire, &second.done, 100);
	ck_assert(!second.done);
	say_text(&wire, OK_ABC);
	ck_assert(first.done);
	say_text(&wire, OK_ABC);
	ck_assert_int_eq(second.status, 200);
	free(second.body);
	close_http(&wire, &first);
}
END_TEST

/* -- pieces --------------------------------------------------------------------------------------------- */

START_TEST(a_body_comes_in_pieces)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	http_send(r.http, &get_pieces, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	ck_assert_int_eq(r.n_pieces, 1);
	say_text(&wire, "3\r\ndef\r\n0\r\n\r\n");
	ck_assert_int_eq(r.n_pieces, 2);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_str_eq(r.body, "");
	evbuffer_add(r.pieces, "", 1);
	ck_assert_str_eq((char *)evbuffer_pullup(r.pieces, -1), "abcdef");
	ck_assert(http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

START_TEST(an_error_body_does_not_come_in_pieces)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	http_send(r.http, &get_pieces, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope");
	ck_assert_int_eq(r.n_pieces, 0);
	ck_assert_str_eq(r.body, "nope");
	close_http(&wire, &r);
}
END_TEST

START_TEST(pieces_before_a_failure_come)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	http_send(r.http, &get_pieces, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n");
	ck_assert_int_eq(r.n_pieces, 1);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_ptr_nonnull(strstr(r.err.message, "not HTTP"));
	close_http(&wire, &r);
}
END_TEST

/* -- what callbacks may do ------------------------------------------------------------------------------ */

static void send_again(struct result *r)
{
	if (r->calls < 3)
		http_send(r->http, &get, on_done, r);
}

static void free_connection(struct result *r)
{
	http_free(r->http);
	r->http = NULL;
}

static void cancel_call(struct result *r)
{
	http_cancel(r->call);
}

START_TEST(a_callback_may_send_again)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	r.then = send_again;
	http_send(r.http, &get, on_done, &r);
	for (int i = 0; i < 3; i++) {
		wire_spin(&wire);
		say_text(&wire, OK_ABC);
	}
	ck_assert_int_eq(r.calls, 3);
	ck_assert_str_eq(r.body, "abc");
	close_http(&wire, &r);
}
END_TEST

START_TEST(a_callback_may_free_the_connection)
{
	static const char *const bytes[] = {OK_ABC, OK_ABC "junk", "garbage", "HTTP/1.1 200 OK\r\n\r\nabc"};

	for (size_t i = 0; i < sizeof(bytes) / sizeof(*bytes); i++) {
		struct wire wire;
		struct result r;

		open_http(&wire, &r, _i);
		r.then = free_connection;
		http_send(r.http, &get, on_done, &r);
		http_send(r.http, &get, on_done, &r);
		wire_spin(&wire);
		say_text(&wire, bytes[i]);
		wire_end(&wire);
		ck_assert_int_eq(r.calls, 1);
		close_http(&wire, &r);
	}
}
END_TEST

START_TEST(a_piece_may_free_the_connection)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	r.then_at_piece = free_connection;
	http_send(r.http, &get_pieces, on_done, &r);
	wire_spin(&wire);
	say_text(&wire, OK_ABC);
	ck_assert_int_eq(r.n_pieces, 1);
	ck_assert_int_eq(r.calls, 0);
	close_http(&wire, &r);
}
END_TEST

START_TEST(a_piece_may_cancel)
{
	struct wire wire;
	struct result r, next;

	open_http(&wire, &r, _i);
	next = (struct result){.wire = &wire};
	r.then_at_piece = cancel_call;
	r.call = http_send(r.http, &get_pieces, on_done, &r);
	http_send(r.http, &get, on_done, &next);
	wire_spin(&wire);
	say_text(&wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	ck_assert_int_eq(r.n_pieces, 1);
	ck_assert_int_eq(r.calls, 0);
	ck_assert_int_eq(next.calls, 1);
	ck_assert_ptr_nonnull(strstr(next.err.message, "was cancelled"));
	ck_assert(!http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

START_TEST(a_waiting_request_can_be_cancelled)
{
	struct wire wire;
	struct result r, waiting;
	struct http_call *call;

	open_http(&wire, &r, _i);
	waiting = (struct result){.wire = &wire};
	http_send(r.http, &get, on_done, &r);
	call = http_send(r.http, &get, on_done, &waiting);
	wire_spin(&wire);
	http_cancel(call);
	say_text(&wire, OK_ABC);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_int_eq(waiting.calls, 0);
	ck_assert(http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

START_TEST(a_request_that_did_not_start_can_be_cancelled)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	http_cancel(http_send(r.http, &get, on_done, &r));
	wire_spin(&wire);
	ck_assert(!server_heard_something(&wire));
	ck_assert(http_usable(r.http));
	close_http(&wire, &r);
}
END_TEST

static void on_server_event(struct bufferevent *stream, short what, void *arg)
{
	(void)stream;
	*(bool *)arg = what & BEV_EVENT_EOF;
}

/* What is cancelled must not go on on the other side: a pull, say. */
START_TEST(a_cancelled_request_closes_the_stream)
{
	bool closed = false;
	struct http_call *call;
	struct wire wire;
	struct result r;

	open_http(&wire, &r, WIRE_SOCKET);
	bufferevent_setcb(wire.server, NULL, NULL, on_server_event, &closed);
	call = http_send(r.http, &get, on_done, &r);
	wire_spin(&wire);
	http_cancel(call);
	wire_spin(&wire);
	ck_assert(closed);
	ck_assert_int_eq(r.calls, 0);
	close_http(&wire, &r);
}
END_TEST

START_TEST(freeing_drops_requests_silently)
{
	struct wire wire;
	struct result r;

	open_http(&wire, &r, _i);
	http_send(r.http, &get, on_done, &r);
	http_send(r.http, &get, on_done, &r);
	wire_spin(&wire);
	free_connection(&r);
	say_text(&wire, OK_ABC);
	ck_assert_int_eq(r.calls, 0);
	close_http(&wire, &r);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http");
	TCase *bytes = tcase_create("bytes"), *rules = tcase_create("rules");

	tcase_add_loop_test(bytes, a_reply_comes_in_one_piece, 0, N_EXCHANGES);
	tcase_add_loop_test(bytes, a_reply_comes_byte_by_byte, 0, N_EXCHANGES);
	tcase_add_loop_test(bytes, a_reply_is_split_at_every_position, 0, N_EXCHANGES);
	tcase_add_loop_test(bytes, a_header_has_a_limit, 0, WIRE_KINDS);
	tcase_add_loop_test(bytes, skipping_has_an_end, 0, WIRE_KINDS);
	tcase_add_loop_test(bytes, a_long_reply_comes_in_short_pieces, 0, WIRE_KINDS);
	tcase_add_loop_test(bytes, a_header_has_no_nul, 0, WIRE_KINDS);
	tcase_add_loop_test(bytes, a_large_reply_comes_whole, 0, WIRE_KINDS);
	tcase_add_loop_test(bytes, a_request_goes_over_the_wire, 0, N(requests));
	suite_add_tcase(suite, bytes);

	tcase_add_loop_test(rules, requests_go_one_after_the_other, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, what_waits_fails_with_the_connection, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, no_callback_comes_from_within_send, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, nobody_speaks_unasked, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, an_early_answer_counts, 0, 2);
	tcase_add_loop_test(rules, never_answering_has_an_end, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, a_dripping_answer_has_an_end, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, a_streamed_answer_may_drip_but_not_stop, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, a_streamed_answer_may_not_drip_for_ever, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, the_deadline_of_a_waiting_request_starts_with_its_turn, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, a_body_comes_in_pieces, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, an_error_body_does_not_come_in_pieces, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, pieces_before_a_failure_come, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, a_callback_may_send_again, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, a_callback_may_free_the_connection, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, a_piece_may_free_the_connection, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, a_piece_may_cancel, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, a_waiting_request_can_be_cancelled, 0, WIRE_KINDS);
	tcase_add_loop_test(rules, a_request_that_did_not_start_can_be_cancelled, 0, WIRE_KINDS);
	tcase_add_test(rules, a_cancelled_request_closes_the_stream);
	tcase_add_loop_test(rules, freeing_drops_requests_silently, 0, WIRE_KINDS);
	suite_add_tcase(suite, rules);

	return suite_run(suite);
}
