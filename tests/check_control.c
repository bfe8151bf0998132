/* The control socket, as its clients see it: real sockets, and the loop turned between their steps. */
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/io/control/control.h"
#include "daemon/io/control/control_request.h"
#include "tests/suite.h"
#include "tests/temp.h"

/* Only ends what hangs. */
#define LIMIT_MS 60000

static struct event_base *base;
static struct control *control;
static char *path;
static struct err err;

/* What the handlers leave for the test. */
static struct control_request *held; /* by the route that answers later, or streams */
static int gone_count;
static int handled_count;

static void on_gone(void *arg)
{
	ck_assert_ptr_eq(arg, &gone_count);
	gone_count++;
	held = NULL;
}

static void handle_hello(void *arg, struct control_request *r)
{
	const char *name = control_param(r, "name");
	char *text = xasprintf("hello %s\n", name ? name : "world");

	ck_assert_ptr_eq(arg, &base);
	handled_count++;
	control_reply(r, 200, "text/plain", text, strlen(text));
	free(text);
}

static void handle_post(void *arg, struct control_request *r)
{
	(void)arg;
	handled_count++;
	control_reply(r, 202, "application/json", "{}", 2);
}

static void handle_fail(void *arg, struct control_request *r)
{
	(void)arg;
	control_error(r, 409, "a \"quoted\" reason: %s", control_param(r, "why"));
}

static void handle_later(void *arg, struct control_request *r)
{
	(void)arg;
	held = r;
	control_on_gone(r, on_gone, &gone_count);
}

static void handle_stream(void *arg, struct control_request *r)
{
	(void)arg;
	held = r;
	control_stream(r, "application/x-ndjson", on_gone, &gone_count);
	control_stream_write(r, "first\n", 6);
}

#define BIG_BYTES (8u << 20)
static void handle_big(void *arg, struct control_request *r)
{
	char *body = xcalloc(1, BIG_BYTES);

	(void)arg;
	memset(body, 'x', BIG_BYTES);
	control_reply(r, 200, "text/plain", body, BIG_BYTES);
	free(body);
}

static const struct control_route routes[] = {
	{"GET", "/hello", handle_hello}, {"POST", "/hello", handle_post},
	{"POST", "/post", handle_post},  {"GET", "/fail", handle_fail},
	{"GET", "/later", handle_later}, {"GET", "/stream", handle_stream},
	{"GET", "/big", handle_big},     {NULL, NULL, NULL},
};

static void start(void)
{
	control = control_new(base, path, routes, &base, &err);
	ck_assert_msg(control != NULL, "%s", err.message);
}

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	temp_make();
	base = event_base_new();
	path = temp_path("apilbd.sock");
	held = NULL;
	gone_count = handled_count = 0;
	control_patience = (struct timeval){CONTROL_TIMEOUT_S, 0};
	start();
}

static void teardown(void)
{
	control_free(control);
	control = NULL;
	event_base_free(base);
	FREE(path);
	temp_remove();
}

static void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

/* Turns the loop until the condition holds, or the test fails. */
#define TURN_UNTIL(condition)                                                       \
	do {                                                                        \
		int64_t limit = clock_ms() + LIMIT_MS;                              \
		while (!(condition)) {                                              \
			ck_assert_msg(clock_ms() < limit, "never: %s", #condition); \
			turn();                                                     \
			usleep(200);                                                \
		}                                                                   \
	} while (0)

static void settle(void)
{
	for (int i = 0; i < 20; i++) {
		turn();
		usleep(500);
	}
}

static int connect_to(const char *where)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, where);
	ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "%s", strerror(errno));
	return fd;
}

static int client(void)
{
	return connect_to(path);
}

static void say_bytes(int fd, const char *text, size_t len)
{
	int64_t limit = clock_ms() + LIMIT_MS;

	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		ck_assert(n > 0 || errno == EAGAIN);
		ck_assert_int_lt(clock_ms(), limit);
		if (n > 0) {
			text += n;
			len -= n;
		}
		turn();
	}
}

static void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

/* What has come so far from one client; text ends in a NUL. */
struct heard {
	char *text;
	size_t len;
	bool end; /* the server has closed */
};

static void hear(int fd, struct heard *heard)
{
	ssize_t n;

	turn();
	heard->text = xrealloc(heard->text, heard->len + 65536 + 1);
	n = recv(fd, heard->text + heard->len, 65536, 0);
	if (n > 0)
		heard->len += n;
	else if (n == 0 || errno != EAGAIN)
		heard->end = true;
	else
		usleep(200);
	heard->text[heard->len] = '\0';
}

/* Until this has been heard; dies if it never is. */
static void hear_until(int fd, struct heard *heard, const char *words)
{
	int64_t limit = clock_ms() + LIMIT_MS;

	do {
		hear(fd, heard);
		ck_assert_msg(clock_ms() < limit && (!heard->end || strstr(heard->text, words)),
			      "heard \"%.2000s\"%s, never \"%s\"", heard->text,
			      heard->end ? " and the end" : "", words);
	} while (!strstr(heard->text, words));
}

static void hear_end(int fd, struct heard *heard)
{
	int64_t limit = clock_ms() + LIMIT_MS;

	while (!heard->end) {
		ck_assert_msg(clock_ms() < limit, "heard \"%.2000s\", never the end", heard->text);
		hear(fd, heard);
	}
}

static void forget(struct heard *heard)
{
	free(heard->text);
	memset(heard, 0, sizeof(*heard));
}

/* Asks on a connection of its own, and closes it. */
static struct heard ask(const char *request)
{
	struct heard heard = {0};
	int fd = client();

	say(fd, request);
	hear_end(fd, &heard);
	close(fd);
	return heard;
}

static void assert_has(const struct heard *heard, const char *words)
{
	ck_assert_msg(strstr(heard->text, words) != NULL, "\"%.2000s\" lacks \"%s\"", heard->text, words);
}

static void assert_begins(const struct heard *heard, const char *words)
{
	ck_assert_msg(strncmp(heard->text, words, strlen(words)) == 0,
		      "\"%.2000s\" does not begin with \"%s\"", heard->text, words);
}

/* Whatever happened before, the next client is served. */
static void assert_serves(void)
{
	struct heard heard = ask("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

	assert_begins(&heard, "HTTP/1.1 200 OK\r\n");
	forget(&heard);
}

/* Requests. */

START_TEST(a_request_is_answered)
{
	struct heard heard = ask("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

	assert_begins(&heard, "HTTP/1.1 200 OK\r\n");
	assert_has(&heard, "\r\nContent-Type: text/plain\r\n");
	assert_has(&heard, "\r\nContent-Length: 12\r\n");
	assert_has(&heard, "\r\nConnection: close\r\n");
	assert_has(&heard, "\r\nDate: ");
	assert_has(&heard, "\r\n\r\nhello world\n");
	forget(&heard);
}
END_TEST

START_TEST(parameters_are_decoded)
{
	struct heard heard = ask("GET /hello?x=1&name=a%20b%2Fc+d HTTP/1.0\r\n\r\n");

	assert_has(&heard, "hello a b/c d\n");
	forget(&heard);
	heard = ask("GET /hello?name HTTP/1.0\r\n\r\n");
	assert_begins(&heard, "HTTP/1.1 400 ");
	assert_has(&heard, "NAME=VALUE");
	forget(&heard);
}
END_TEST

START_TEST(a_connection_serves_many_requests)
{
	struct heard heard = {0};
	int fd = client();

	for (int i = 0; i < 100; i++) {
		say(fd, i % 2 ? "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
			      : "POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
		hear_until(fd, &heard, i % 2 ? "hello world" : "202 Accepted");
		ck_assert(!heard.end);
		hear(fd, &heard);
		forget(&heard);
	}
	ck_assert_int_eq(handled_count, 100);
	close(fd);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
	static const char request[] =
		"POST /post HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
	struct heard heard = {0};
	int fd = client();

	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		ck_assert_int_eq(handled_count, 0);
		say_bytes(fd, request + i, 1);
		turn();
	}
	hear_until(fd, &heard, "202 Accepted");
	forget(&heard);
	close(fd);
}
END_TEST

START_TEST(head_gives_the_head_of_get)
{
	struct heard heard = ask("HEAD /hello HTTP/1.1\r\nConnection: close\r\n\r\n");

	assert_begins(&heard, "HTTP/1.1 200 OK\r\n");
	assert_has(&heard, "Content-Length: 12\r\n");
	ck_assert_str_eq(heard.text + heard.len - 4, "\r\n\r\n");
	forget(&heard);
	heard = ask("HEAD /stream HTTP/1.1\r\n\r\n");
	assert_has(&heard, "Content-Type: application/x-ndjson\r\n");
	ck_assert_str_eq(heard.text + heard.len - 4, "\r\n\r\n");
	ck_assert_int_eq(gone_count, 1);
	forget(&heard);
}
END_TEST

START_TEST(http_1_0_ends_with_the_connection)
{
	struct heard heard = ask("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");

	assert_has(&heard, "\r\nConnection: close\r\n");
	assert_has(&heard, "hello world\n");
	forget(&heard);
}
END_TEST

START_TEST(a_client_that_sends_no_more_still_gets_its_answer)
{
	struct heard heard = {0};
	int fd = client();

	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	shutdown(fd, SHUT_WR);
	TURN_UNTIL(held);
	settle();
	ck_assert_int_eq(gone_count, 0);
	control_reply(held, 200, "text/plain", "late\n", 5);
	hear_end(fd, &heard);
	assert_has(&heard, "late\n");
	forget(&heard);
	close(fd);

	fd = client();
	say(fd, "GET /hello HTTP/1.1\r\n\r\n");
	shutdown(fd, SHUT_WR);
	hear_end(fd, &heard);
	assert_has(&heard, "hello world\n");
	forget(&heard);
	close(fd);
}
END_TEST

/* Errors. */

static const struct {
	const char *request;
	const char *status;
	const char *words;
} bad_requests[] = {
	{"GET /nothing HTTP/1.1\r\n\r\n", "404", "no such path"},
	{"GET /hello/ HTTP/1.1\r\n\r\n", "404", "no such path"},
	{"GET /HELLO HTTP/1.1\r\n\r\n", "404", "no such path"},
	{"GET //hello HTTP/1.1\r\n\r\n", "404", "no such path"},
	{"DELETE /hello HTTP/1.1\r\n\r\n", "405", "\r\nAllow: GET, HEAD, POST\r\n"},
	{"GET /post HTTP/1.1\r\n\r\n", "405", "GET is not allowed here; POST is"},
	{"HEAD /post HTTP/1.1\r\n\r\n", "405", "Allow: POST\r\n"},
	{"GET /fail?why=this HTTP/1.1\r\n\r\n", "409", "{ \"error\": \"a \\\"quoted\\\" reason: this\" }\n"},
	{"this is not HTTP\r\n\r\n", "400", "{ \"error\": \""},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400", "{ \"error\": \""},
	{"GET /hello HTTP/9.9\r\n\r\n", NULL, "{ \"error\": \""},
	{"GET /hello HTTP/1.1\r\nContent-Length: x\r\n\r\n", "400", "{ \"error\": \""},
	{"POST /post HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", "413", "the body is too large"},
	{"CONNECT a:1 HTTP/1.1\r\n\r\n", "404", "no such path"},
};

START_TEST(a_bad_request_is_told_what_is_wrong)
{
	char *request = xasprintf("%s", bad_requests[_i].request);
	struct heard heard = {0};
	int fd = client();

	say(fd, request);
	shutdown(fd, SHUT_WR);
	hear_end(fd, &heard);
	if (bad_requests[_i].status)
		ck_assert_msg(strncmp(heard.text + 9, bad_requests[_i].status, 3) == 0, "%s", heard.text);
	assert_has(&heard, "\r\nContent-Type: application/json\r\n");
	assert_has(&heard, bad_requests[_i].words);
	forget(&heard);
	close(fd);
	free(request);
	assert_serves();
	ck_assert_int_eq(handled_count, 1);
}
END_TEST

/* The whole reply must arrive although the client never stops to send. */
static void assert_refused_in_the_middle(const char *begin, const char *piece, const char *status)
{
	struct heard heard = {0};
	int64_t limit = clock_ms() + LIMIT_MS;
	int fd = client();

	say(fd, begin);
	while (!heard.end && !strstr(heard.text ? heard.text : "", "\r\n\r\n{")) {
		ck_assert_int_lt(clock_ms(), limit);
		send(fd, piece, strlen(piece), MSG_NOSIGNAL);
		hear(fd, &heard);
	}
	assert_begins(&heard, status);
	assert_has(&heard, "too large");
	forget(&heard);
	close(fd);
	assert_serves();
	ck_assert_int_eq(handled_count, 1);
}

START_TEST(too_much_is_refused_while_it_comes)
{
	char piece[1025];

	memset(piece, 'x', 1024);
	piece[1024] = '\0';
	assert_refused_in_the_middle("GET /", piece, "HTTP/1.1 431 ");
	handled_count = 0;
	assert_refused_in_the_middle("GET /hello HTTP/1.1\r\nX: ", piece, "HTTP/1.1 431 ");
	handled_count = 0;
	assert_refused_in_the_middle("GET /hello HTTP/1.1\r\n", "X: y\r\n", "HTTP/1.1 431 ");
	handled_count = 0;
	assert_refused_in_the_middle("POST /post HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
				     "10\r\n0123456789abcdef\r\n", "HTTP/1.1 413 ");
}
END_TEST

START_TEST(the_largest_request_is_fine)
{
	char *request = xcalloc(1, CONTROL_MAX_HEADER + CONTROL_MAX_BODY), *p = request;
	struct heard heard = {0};
	int fd = client();

	p += sprintf(p, "POST /post HTTP/1.1\r\nContent-Length: %u\r\nX: ", CONTROL_MAX_BODY);
	memset(p, 'x', CONTROL_MAX_HEADER - 100);
	p += CONTROL_MAX_HEADER - 100;
	p += sprintf(p, "\r\n\r\n");
	say_bytes(fd, request, p - request);
	memset(request, 'y', CONTROL_MAX_BODY);
	say_bytes(fd, request, CONTROL_MAX_BODY);
	hear_until(fd, &heard, "202 Accepted");
	forget(&heard);
	close(fd);
	free(request);
}
END_TEST

START_TEST(a_second_request_before_the_answer_ends_the_connection_after_it)
{
	struct heard heard = ask("GET /hello HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\n\r\n");

	ck_assert_int_eq(handled_count, 1);
	assert_has(&heard, "Connection: close\r\n");
	forget(&heard);

	int fd = client();

	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	TURN_UNTIL(held);
	for (int i = 0; i < 1000; i++)
		say(fd, "GET /hello HTTP/1.1\r\n\r\n");
	control_reply(held, 200, "text/plain", "late\n", 5);
	hear_end(fd, &heard);
	assert_has(&heard, "late\n");
	ck_assert_int_eq(handled_count, 1);
	forget(&heard);
	close(fd);
}
END_TEST

/* Answers that come later. */

START_TEST(an_answer_may_come_later)
{
	struct heard heard = {0};
	int fd = client();

	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	TURN_UNTIL(held);
	assert_serves();
	control_error(held, 503, "not yet");
	hear_until(fd, &heard, "{ \"error\": \"not yet\" }\n");
	forget(&heard);
	/* And the connection goes on. */
	say(fd, "GET /hello HTTP/1.1\r\n\r\n");
	hear_until(fd, &heard, "hello world\n");
	forget(&heard);
	close(fd);
	settle();
	ck_assert_int_eq(gone_count, 0);
}
END_TEST

START_TEST(a_client_that_leaves_before_the_answer_is_gone)
{
	int fd = client();

	say(fd, "GET /later HTTP/1.1\r\n\r\n");
	TURN_UNTIL(held);
	close(fd);
	TURN_UNTIL(gone_count);
	settle();
	ck_assert_int_eq(gone_count, 1);
	assert_serves();
}
END_TEST

START_TEST(clients_that_leave_at_any_moment_harm_nobody)
{
	static const char *const requests[] = {"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
					       "POST /post HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde",
					       "GET /big HTTP/1.1\r\n\r\n", "GET /stream HTTP/1.1\r\n\r\n"};

	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		for (size_t len = 0; len <= strlen(requests[i]); len++) {
			/* Closed before, or after, the loop has seen what was sent; or after some of the
			 * reply. */
			for (int turns = 0; turns < 4; turns++) {
				struct heard heard = {0};
				int fd = client();

				ck_assert_int_eq(send(fd, requests[i], len, MSG_NOSIGNAL), (ssize_t)len);
				for (int t = 0; t < turns; t++)
					turn();
				if (turns == 3)
					hear(fd, &heard);
				close(fd);
				turn();
				forget(&heard);
			}
		}
	}
	settle();
	/* Every stream that began is gone. */
	ck_assert_ptr_null(held);
	ck_assert_int_gt(gone_count, 0);
	assert_serves();
}
END_TEST

/* Streams. */

START_TEST(a_stream_comes_in_chunks)
{
	struct heard heard = {0};
	int fd = client();

	say(fd, "GET /stream HTTP/1.1\r\n\r\n");
	hear_until(fd, &heard, "\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n");
	assert_begins(&heard, "HTTP/1.1 200 OK\r\n");
	control_stream_write(held, "", 0);
	control_stream_write(held, "second line\n", 12);
	hear_until(fd, &heard, "\r\n\r\n6\r\nfirst\n\r\nc\r\nsecond line\n\r\n");
	control_stream_end(held);
	hear_until(fd, &heard, "second line\n\r\n0\r\n\r\n");
	forget(&heard);
	say(fd, "GET /hello HTTP/1.1\r\n\r\n");
	hear_until(fd, &heard, "hello world\n");
	forget(&heard);
	close(fd);
	settle();
	ck_assert_int_eq(gone_count, 0);
}
END_TEST

START_TEST(an_old_client_gets_a_stream_until_the_end)
{
	struct heard heard = {0};
	int fd = client();

	say(fd, "GET /stream HTTP/1.0\r\n\r\n");
	hear_until(fd, &heard, "\r\n\r\nfirst\n");
	ck_assert_ptr_null(strstr(heard.text, "chunked"));
	control_stream_end(held);
	hear_end(fd, &heard);
	ck_assert_int_eq(gone_count, 0);
	forget(&heard);
	close(fd);
}
END_TEST

START_TEST(a_client_that_leaves_a_stream_is_gone)
{
	struct heard heard = {0};
	int fd = client();

	say(fd, "GET /stream HTTP/1.1\r\n\r\n");
	hear_until(fd, &heard, "first");
	close(fd);
	TURN_UNTIL(gone_count);
	settle();
	ck_assert_int_eq(gone_count, 1);
	forget(&heard);
}
END_TEST

START_TEST(a_stream_lives_on_without_a_word)
{
	struct heard heard = {0};
	int fd;

	control_patience = (struct timeval){0, 500000};
	fd = client();
	say(fd, "GET /stream HTTP/1.1\r\n\r\n");
	hear_until(fd, &heard, "first");
	for (int i = 0; i < 50; i++) {
		usleep(20000);
		turn();
	}
	ck_assert_int_eq(gone_count, 0);
	control_stream_write(held, "second", 6);
	hear_until(fd, &heard, "second");
	forget(&heard);
	close(fd);
}
END_TEST

START_TEST(a_client_that_does_not_read_its_stream_is_dropped)
{
	static char text[65536];
	struct heard heard = {0};
	int fd = client(), writes = 0;

	say(fd, "GET /stream HTTP/1.1\r\n\r\n");
	hear_until(fd, &heard, "first");
	while (gone_count == 0 && writes < 1000) {
		struct control_request *r = held;

		/* gone never comes from within the call: several in one turn, past the limit, are fine. */
		for (int i = 0; i < 10 && r == held; i++, writes++)
			control_stream_write(r, text, sizeof(text));
		ck_assert_ptr_eq(r, held);
		turn();
	}
	ck_assert_int_eq(gone_count, 1);
	ck_assert_int_gt(writes * sizeof(text), CONTROL_MAX_BACKLOG);
	ck_assert_int_lt(writes * sizeof(text), 4 * CONTROL_MAX_BACKLOG);
	forget(&heard);
	close(fd);
	assert_serves();
}
END_TEST

START_TEST(a_stream_may_end_after_it_was_too_much)
{
	static char text[2 * CONTROL_MAX_BACKLOG];
	struct heard heard = {0};
	int fd = client();

	say(fd, "GET /stream HTTP/1.1\r\n\r\n");
	hear_until(fd, &heard, "first");
	control_stream_write(held, text, sizeof(text));
	control_stream_end(held);
	hear_end(fd, &heard);
	ck_assert_int_eq(gone_count, 0);
	forget(&heard);
	close(fd);
}
END_TEST

START_TEST(the_end_of_the_server_ends_everything)
{
	struct heard stream = {0}, later = {0}, idle = {0}, half = {0};
	int fds[4] = {client(), client(), client(), client()};

	say(fds[0], "GET /stream HTTP/1.1\r\n\r\n");
	hear_until(fds[0], &stream, "first");
	say(fds[1], "GET /later HTTP/1.1\r\n\r\n");
	say(fds[2], "GET /hel");
	settle();
	control_free(control);
	control = NULL;
	ck_assert_int_eq(gone_count, 2);
	ck_assert_int_eq(access(path, F_OK), -1);
	hear_end(fds[0], &stream);
	hear_end(fds[1], &later);
	hear_end(fds[2], &half);
	hear_end(fds[3], &idle);
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	forget(&stream);
	forget(&later);
	forget(&half);
	forget(&idle);
}
END_TEST

/* Slow, dead and many clients. */

START_TEST(an_idle_client_is_closed)
{
	struct heard heard = {0};
	int fd;

	control_patience = (struct timeval){0, 50000};
	fd = client();
	hear_end(fd, &heard);
	ck_assert_uint_eq(heard.len, 0);
	forget(&heard);
	close(fd);
}
END_TEST

START_TEST(a_slow_writer_is_told_and_closed)
{
	struct heard heard = {0};
	int64_t begin;
	int fd;

	control_patience = (struct timeval){0, 100000};
	fd = client();
	begin = clock_ms();
	say(fd, "GET /hello HTTP/1.1\r\nX: ");
	/* Each byte in time, the whole never. */
	while (!heard.end && clock_ms() - begin < LIMIT_MS) {
		send(fd, "x", 1, MSG_NOSIGNAL);
		usleep(10000);
		hear(fd, &heard);
	}
	ck_assert(heard.end);
	assert_begins(&heard, "HTTP/1.1 408 ");
	ck_assert_int_eq(handled_count, 0);
	forget(&heard);
	close(fd);
}
END_TEST

START_TEST(a_slow_reader_of_a_large_reply_gets_all_of_it)
{
	struct heard heard = {0};
	int fd;

	control_patience = (struct timeval){0, 500000};
	fd = client();
	say(fd, "GET /big HTTP/1.1\r\n\r\n");
	/* Takes longer than the patience, but never stands still. */
	while (heard.len < BIG_BYTES) {
		ck_assert(!heard.end);
		hear(fd, &heard);
		usleep(8000);
	}
	forget(&heard);
	close(fd);
}
END_TEST

START_TEST(a_reader_that_stands_still_is_closed)
{
	struct heard heard = {0};
	int fd;

	control_patience = (struct timeval){0, 100000};
	fd = client();
	say(fd, "GET /big HTTP/1.1\r\n\r\n");
	for (int i = 0; i < 40; i++) {
		usleep(10000);
		turn();
	}
	hear_end(fd, &heard);
	ck_assert_uint_lt(heard.len, BIG_BYTES);
	forget(&heard);
	close(fd);
	assert_serves();
}
END_TEST

START_TEST(a_client_that_only_asks_and_never_reads_is_closed)
{
	int64_t limit = clock_ms() + LIMIT_MS;
	int fd = client();

	for (;;) {
		static const char request[] = "GET /big HTTP/1.1\r\n\r\n";

		ck_assert_int_lt(clock_ms(), limit);
		if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0 && errno == EPIPE)
			break;
		turn();
	}
	close(fd);
	assert_serves();
}
END_TEST

START_TEST(many_clients_are_served_at_once)
{
	struct heard heard[CONTROL_USER_CLIENTS] = {{0}};
	int fds[CONTROL_USER_CLIENTS];

	for (int i = 0; i < CONTROL_USER_CLIENTS; i++)
		fds[i] = client();
	/* One of them dead in the middle, one slow. */
	say(fds[0], "GET /hel");
	say(fds[1], "GET /stream HTTP/1.1\r\n\r\n");
	for (int i = 2; i < CONTROL_USER_CLIENTS; i++) {
		char *request = xasprintf("GET /hello?name=%d HTTP/1.1\r\n\r\n", i);

		say(fds[i], request);
		free(request);
	}
	for (int i = CONTROL_USER_CLIENTS - 1; i > 1; i--) {
		char *words = xasprintf("hello %d\n", i);

		hear_until(fds[i], &heard[i], words);
		free(words);
	}
	for (int i = 0; i < CONTROL_USER_CLIENTS; i++) {
		forget(&heard[i]);
		close(fds[i]);
	}
	settle();
	assert_serves();
}
END_TEST

/* Who connects while another user's rights are in force is that user. */
static int client_of(uid_t uid)
{
	int fd;

	ck_assert_int_eq(chmod(temp_dir, 0755), 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(seteuid(uid), 0);
	fd = client();
	ck_assert_int_eq(seteuid(0), 0);
	turn();
	return fd;
}

/* The answer to hello; then the client is gone. */
static struct heard hello(int fd)
{
	struct heard heard = {0};

	say(fd, "GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n");
	hear_end(fd, &heard);
	close(fd);
	return heard;
}

static void assert_served(uid_t uid)
{
	struct heard heard = hello(client_of(uid));

	assert_begins(&heard, "HTTP/1.1 200 OK\r\n");
	forget(&heard);
}

static void assert_no_place(uid_t uid, const char *words)
{
	struct heard heard = hello(client_of(uid));

	assert_begins(&heard, "HTTP/1.1 503 Service Unavailable\r\n");
	assert_has(&heard, "{ \"error\": \"too many clients at once: ");
	assert_has(&heard, words);
	forget(&heard);
}

/* What may hold a place without ever ending by itself. */
static const char *const squatting[] = {"", "GET /hel", "GET /later HTTP/1.1\r\n\r\n",
					"GET /big HTTP/1.1\r\n\r\n"};

START_TEST(a_user_takes_no_place_from_another)
{
	struct heard heard = {0};
	int fds[CONTROL_USER_CLIENTS];

	for (int i = 0; i < CONTROL_USER_CLIENTS; i++) {
		fds[i] = client_of(1000);
		/* Of large replies only a few, which is another limit. */
		say(fds[i], squatting[i < 4 ? i : i % 3]);
	}
	assert_no_place(1000, "user 1000 has 64 connections here");
	assert_served(1001);
	assert_served(0);
	/* The others are not hurt, and one that leaves makes room. */
	say(fds[0], "GET /hello HTTP/1.1\r\n\r\n");
	hear_until(fds[0], &heard, "hello world");
	forget(&heard);
	close(fds[0]);
	settle();
	assert_served(1000);
	for (int i = 1; i < CONTROL_USER_CLIENTS; i++)
		close(fds[i]);
}
END_TEST

START_TEST(followers_leave_room_for_questions)
{
	static const char follow[] = "GET /stream HTTP/1.1\r\n\r\n";
	int fds[CONTROL_USER_CLIENTS];
	struct heard heard = {0};

	for (int i = 0; i < CONTROL_USER_STREAMS; i++) {
		fds[i] = client_of(1000);
		say(fds[i], follow);
		hear_until(fds[i], &heard, "first");
		forget(&heard);
	}
	for (int i = 0; i < 3; i++) {
		int fd = client_of(1000);

		say(fd, follow);
		hear_end(fd, &heard);
		assert_begins(&heard, "HTTP/1.1 503 Service Unavailable\r\n");
		assert_has(&heard, "{ \"error\": \"too many followers at once: user 1000 has 32 here");
		ck_assert_ptr_null(strstr(heard.text, "first"));
		/* Its handler hears of the end like any other's. */
		ck_assert_int_eq(gone_count, i + 1);
		forget(&heard);
		close(fd);
	}
	assert_served(1000);
	assert_served(0);
	for (int i = 0; i < CONTROL_USER_STREAMS; i++)
		close(fds[i]);
	TURN_UNTIL(gone_count == CONTROL_USER_STREAMS + 3);
}
END_TEST

START_TEST(a_crowd_keeps_out_neither_who_has_few_nor_root)
{
	int fds[CONTROL_MAX_CLIENTS], n = 0;
	uid_t uid = 1000;

	for (; n < CONTROL_MAX_CLIENTS - CONTROL_FOR_ROOT - CONTROL_FOR_FEW; n++)
		fds[n] = client_of(uid + n / CONTROL_USER_CLIENTS);
	assert_no_place(uid, "user 1000 has 64");
	fds[n++] = client_of(2000);
	assert_served(2000);
	for (int i = 1; i < CONTROL_FEW; i++)
		fds[n++] = client_of(2000);
	assert_no_place(2000, "connections; try again later");
	for (uid = 3000; n < CONTROL_MAX_CLIENTS - CONTROL_FOR_ROOT; uid++)
		fds[n++] = client_of(uid);
	assert_no_place(uid, "240 connections; try again later");
	while (n < CONTROL_MAX_CLIENTS) {
		assert_served(0);
		fds[n++] = client_of(0);
	}
	assert_no_place(0, "256 connections");
	while (n > 0)
		close(fds[--n]);
}
END_TEST

/* Far more than may be told slowly; nobody of them reads. */
START_TEST(those_who_get_no_place_take_none)
{
	int fds[CONTROL_USER_CLIENTS + 2 * CONTROL_MAX_REFUSED];
	const int n = sizeof(fds) / sizeof(fds[0]);

	for (int i = 0; i < n; i++)
		fds[i] = client_of(1000);
	assert_served(1001);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	settle();
	assert_served(1000);
}
END_TEST

START_TEST(who_reads_nothing_is_asked_to_before_he_asks_for_more)
{
	const int n = CONTROL_USER_BACKLOG / BIG_BYTES + 1;
	int fds[CONTROL_USER_BACKLOG / BIG_BYTES + 1];
	struct heard heard = {0};

	for (int i = 0; i < n; i++) {
		fds[i] = client_of(1000);
		say(fds[i], "GET /big HTTP/1.1\r\n\r\n");
		settle();
	}
	heard = hello(client_of(1000));
	assert_begins(&heard, "HTTP/1.1 503 ");
	assert_has(&heard, "user 1000 has 32 MiB of answers waiting here");
	forget(&heard);
	assert_served(1001);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	settle();
	assert_served(1000);
}
END_TEST

START_TEST(running_out_of_descriptors_passes)
{
	struct rlimit limit, none;
	int fd = client();

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	settle();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	close(fd);
	assert_serves();
}
END_TEST

/* The socket's path. */

static void assert_no_control(const char *where, const char *words)
{
	memset(&err, 0, sizeof(err));
	ck_assert_ptr_null(control_new(base, where, routes, &base, &err));
	ck_assert_msg(strstr(err.message, words) && strstr(err.message, where), "\"%s\" lacks \"%s\"",
		      err.message, words);
	/* Who answers may be just ending. */
	ck_assert_int_eq(err.kind, strstr(words, "another apilbd") ? ERR_CONFLICT : ERR_PERMANENT);
}

START_TEST(only_owner_and_group_may_connect_whatever_the_umask)
{
	static const mode_t masks[] = {0, 022, 0777};

	for (int i = 0; i < 3; i++) {
		struct stat st;
		mode_t old;

		control_free(control);
		old = umask(masks[i]);
		start();
		ck_assert_int_eq(umask(old), masks[i]);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert(S_ISSOCK(st.st_mode));
		ck_assert_int_eq(st.st_mode & 07777, 0660);
	}
}
END_TEST

START_TEST(a_socket_in_use_is_left_alone)
{
	assert_no_control(path, "another apilbd answers there");
	assert_serves();
}
END_TEST

START_TEST(a_socket_that_was_left_over_is_replaced)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	control_free(control);
	strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	close(fd);
	ck_assert_int_eq(access(path, F_OK), 0);
	start();
	assert_serves();
}
END_TEST

START_TEST(what_is_no_socket_is_never_removed)
{
	char *file = temp_path("file"), *link = temp_path("link"), *target = temp_path("target");
	struct stat st;

	write_text(file, "precious");
	assert_no_control(file, "is not a socket");
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_size, 8);
	assert_no_control(temp_dir, "is not a socket");
	ck_assert_int_eq(symlink(target, link), 0);
	assert_no_control(link, "is not a socket");
	ck_assert_int_eq(lstat(link, &st), 0);
	free(file);
	free(link);
	free(target);
}
END_TEST

START_TEST(a_path_that_cannot_be_is_refused_in_words)
{
	char *missing = temp_path("no/apilbd.sock"), name[200];
	char *longer;

	assert_no_control(missing, "its directory does not exist");
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	longer = temp_path(name);
	assert_no_control(longer, "too long: 107 bytes");
	free(longer);
	name[107 - strlen(temp_dir) - 1] = '\0';
	longer = temp_path(name);
	ck_assert_uint_eq(strlen(longer), 107);
	control_free(control);
	control = control_new(base, longer, routes, &base, &err);
	ck_assert_ptr_nonnull(control);
	free(path);
	path = longer;
	assert_serves();
	free(missing);
}
END_TEST

START_TEST(the_socket_of_a_successor_is_not_removed)
{
	struct control *old = control;

	/* Somebody takes the path away; another server begins there; then the old one ends. */
	ck_assert_int_eq(unlink(path), 0);
	start();
	control_free(old);
	assert_serves();
	control_free(NULL);
}
END_TEST

#define ADD(tcase, ...)                                           \
	do {                                                      \
		static const TTest *const *list;                  \
		list = (const TTest *const[]){__VA_ARGS__, NULL}; \
		for (; *list; list++)                             \
			tcase_add_test(tcase, *list);             \
	} while (0)

static TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	suite_add_tcase(suite, tcase);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *requests = add_case(suite, "requests"), *errors = add_case(suite, "errors");
	TCase *later = add_case(suite, "later"), *streams = add_case(suite, "streams");
	TCase *clients = add_case(suite, "clients"), *paths = add_case(suite, "paths");

	ADD(requests, a_request_is_answered, parameters_are_decoded, a_connection_serves_many_requests,
	    a_request_may_come_byte_by_byte, head_gives_the_head_of_get, http_1_0_ends_with_the_connection,
	    a_client_that_sends_no_more_still_gets_its_answer, the_largest_request_is_fine);
	tcase_add_loop_test(errors, a_bad_request_is_told_what_is_wrong, 0,
			    sizeof(bad_requests) / sizeof(*bad_requests));
	ADD(errors, too_much_is_refused_while_it_comes,
	    a_second_request_before_the_answer_ends_the_connection_after_it);
	ADD(later, an_answer_may_come_later, a_client_that_leaves_before_the_answer_is_gone,
	    clients_that_leave_at_any_moment_harm_nobody);
	ADD(streams, a_stream_comes_in_chunks, an_old_client_gets_a_stream_until_the_end,
	    a_client_that_leaves_a_stream_is_gone, a_stream_lives_on_without_a_word,
	    a_client_that_does_not_read_its_stream_is_dropped, a_stream_may_end_after_it_was_too_much,
	    the_end_of_the_server_ends_everything);
	ADD(clients, an_idle_client_is_closed, a_slow_writer_is_told_and_closed,
	    a_slow_reader_of_a_large_reply_gets_all_of_it, a_reader_that_stands_still_is_closed,
	    a_client_that_only_asks_and_never_reads_is_closed, many_clients_are_served_at_once,
	    a_user_takes_no_place_from_another, followers_leave_room_for_questions,
	    a_crowd_keeps_out_neither_who_has_few_nor_root, those_who_get_no_place_take_none,
	    who_reads_nothing_is_asked_to_before_he_asks_for_more, running_out_of_descriptors_passes);
	ADD(paths, only_owner_and_group_may_connect_whatever_the_umask, a_socket_in_use_is_left_alone,
	    a_socket_that_was_left_over_is_replaced, what_is_no_socket_is_never_removed,
	    a_path_that_cannot_be_is_refused_in_words, the_socket_of_a_successor_is_not_removed);
	return suite_run(suite);
}
