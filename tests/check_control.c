/* The control socket, as its clients see it: requests, errors, answers that come later, and streams. */
#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/io/control/control.h"
#include "daemon/io/control/control_request.h"
#include "tests/control_lab.h"
#include "tests/suite.h"
#include "tests/temp.h"

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

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *requests = add_case(suite, "requests"), *errors = add_case(suite, "errors");
	TCase *later = add_case(suite, "later"), *streams = add_case(suite, "streams");

	ADD(requests, a_request_is_answered, parameters_are_decoded, a_connection_serves_many_requests,
	    a_request_may_come_byte_by_byte, head_gives_the_head_of_get, http_1_0_ends_with_the_connection,
	    a_client_that_sends_no_more_still_gets_its_answer, the_largest_request_is_fine);
	tcase_add_loop_test(errors, a_bad_request_is_told_what_is_wrong, 0, N(bad_requests));
	ADD(errors, too_much_is_refused_while_it_comes,
	    a_second_request_before_the_answer_ends_the_connection_after_it);
	ADD(later, an_answer_may_come_later, a_client_that_leaves_before_the_answer_is_gone,
	    clients_that_leave_at_any_moment_harm_nobody);
	ADD(streams, a_stream_comes_in_chunks, an_old_client_gets_a_stream_until_the_end,
	    a_client_that_leaves_a_stream_is_gone, a_stream_lives_on_without_a_word,
	    a_client_that_does_not_read_its_stream_is_dropped, a_stream_may_end_after_it_was_too_much,
	    the_end_of_the_server_ends_everything);
	return suite_run(suite);
}
