#include "tests/control_lab.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/io/control/control.h"
#include "daemon/io/control/control_request.h"
#include "tests/temp.h"

struct event_base *base;
struct control *control;
char *path;
struct err err;

/* What the handlers leave for the test. */
struct control_request *held; /* by the route that answers later, or streams */
int gone_count;
int handled_count;

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

static void handle_big(void *arg, struct control_request *r)
{
	char *body = xcalloc(1, BIG_BYTES);

	(void)arg;
	memset(body, 'x', BIG_BYTES);
	control_reply(r, 200, "text/plain", body, BIG_BYTES);
	free(body);
}

const struct control_route routes[] = {
	{"GET", "/hello", handle_hello}, {"POST", "/hello", handle_post},
	{"POST", "/post", handle_post},  {"GET", "/fail", handle_fail},
	{"GET", "/later", handle_later}, {"GET", "/stream", handle_stream},
	{"GET", "/big", handle_big},     {NULL, NULL, NULL},
};

void start(void)
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

void turn(void)
{
	event_base_loop(base, EVLOOP_NONBLOCK);
}

void settle(void)
{
	for (int i = 0; i < 20; i++) {
		turn();
		usleep(500);
	}
}

int connect_to(const char *where)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, where);
	ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "%s", strerror(errno));
	return fd;
}

int client(void)
{
	return connect_to(path);
}

void say_bytes(int fd, const char *text, size_t len)
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

void say(int fd, const char *text)
{
	say_bytes(fd, text, strlen(text));
}

void hear(int fd, struct heard *heard)
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

void hear_until(int fd, struct heard *heard, const char *words)
{
	int64_t limit = clock_ms() + LIMIT_MS;

	do {
		hear(fd, heard);
		ck_assert_msg(clock_ms() < limit && (!heard->end || strstr(heard->text, words)),
			      "heard \"%.2000s\"%s, never \"%s\"", heard->text,
			      heard->end ? " and the end" : "", words);
	} while (!strstr(heard->text, words));
}

void hear_end(int fd, struct heard *heard)
{
	int64_t limit = clock_ms() + LIMIT_MS;

	while (!heard->end) {
		ck_assert_msg(clock_ms() < limit, "heard \"%.2000s\", never the end", heard->text);
		hear(fd, heard);
	}
}

void forget(struct heard *heard)
{
	free(heard->text);
	memset(heard, 0, sizeof(*heard));
}

struct heard ask(const char *request)
{
	struct heard heard = {0};
	int fd = client();

	say(fd, request);
	hear_end(fd, &heard);
	close(fd);
	return heard;
}

void assert_has(const struct heard *heard, const char *words)
{
	ck_assert_msg(strstr(heard->text, words) != NULL, "\"%.2000s\" lacks \"%s\"", heard->text, words);
}

void assert_begins(const struct heard *heard, const char *words)
{
	ck_assert_msg(strncmp(heard->text, words, strlen(words)) == 0,
		      "\"%.2000s\" does not begin with \"%s\"", heard->text, words);
}

void assert_serves(void)
{
	struct heard heard = ask("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

	assert_begins(&heard, "HTTP/1.1 200 OK\r\n");
	forget(&heard);
}

TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	suite_add_tcase(suite, tcase);
	return tcase;
}
