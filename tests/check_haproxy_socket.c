/* HAProxy's stats socket: one question, the answers, the end. */
#include <check.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/haproxy_socket.h"
#include "tests/suite.h"
#include "tests/wire.h"

struct result {
	int calls;
	bool done;
	char *text;
	struct err err;
};

static void on_answer(void *arg, const char *text, size_t len, const struct err *err)
{
	struct result *r = arg;

	r->calls++;
	r->done = true;
	ck_assert((text != NULL) != (err != NULL));
	if (err)
		r->err = *err;
	else
		r->text = xstrndup(text, len);
}

static struct haproxy_query *ask(struct wire *wire, struct result *r, int kind, int64_t timeout_ms)
{
	*r = (struct result){0};
	wire_open(wire, (enum wire_kind)kind);
	return haproxy_query(wire->client, "show info;show stat", timeout_ms, on_answer, r);
}

#define ANSWER "Name: HAProxy\nVersion: 2.6.12\n\n# pxname,svname\napi,FRONTEND\n\n"

START_TEST(the_answers_end_with_the_connection)
{
	struct result r;
	struct wire wire;
	char *heard;

	ask(&wire, &r, _i, 5000);
	ck_assert_int_eq(r.calls, 0);
	wire_spin(&wire);
	heard = wire_heard(&wire);
	ck_assert_str_eq(heard, "show info;show stat\n");
	free(heard);
	for (const char *p = ANSWER; *p; p++)
		wire_say(&wire, p, 1);
	ck_assert_int_eq(r.calls, 0);
	wire_end(&wire);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_str_eq(r.text, ANSWER);
	free(r.text);
	wire_close(&wire);
}
END_TEST

START_TEST(answer_and_end_may_come_at_once)
{
	struct result r;
	struct wire wire;

	ask(&wire, &r, _i, 5000);
	wire_say_and_end(&wire, ANSWER, strlen(ANSWER));
	ck_assert_int_eq(r.calls, 1);
	ck_assert_str_eq(r.text, ANSWER);
	free(r.text);
	wire_close(&wire);
}
END_TEST

START_TEST(no_answer_is_an_error)
{
	struct result r;
	struct wire wire;

	ask(&wire, &r, _i, 5000);
	wire_spin(&wire);
	wire_end(&wire);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_int_eq(r.err.kind, ERR_TRANSIENT);
	ck_assert_str_eq(r.err.message, "HAProxy's stats socket: closed without an answer");
	wire_close(&wire);
}
END_TEST

START_TEST(half_an_answer_is_not_waited_for)
{
	struct result r;
	struct wire wire;

	ask(&wire, &r, _i, 30);
	wire_say(&wire, ANSWER, 10);
	wire_wait(&wire, &r.done, 3000);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_str_eq(r.err.message, "HAProxy's stats socket: no complete answer within 0.03 s");
	wire_close(&wire);
}
END_TEST

/* Bytes do not buy time. */
START_TEST(who_drips_is_not_waited_for)
{
	struct result r;
	struct wire wire;

	ask(&wire, &r, _i, 30);
	for (int i = 0; i < 1000 && !r.done; i++) {
		wire_say(&wire, ANSWER, 1);
		wire_wait(&wire, &r.done, 5);
	}
	ck_assert_int_eq(r.calls, 1);
	ck_assert_str_eq(r.err.message, "HAProxy's stats socket: no complete answer within 0.03 s");
	wire_close(&wire);
}
END_TEST

START_TEST(an_endless_answer_is_cut)
{
	static char text[1 << 20];
	struct result r;
	struct wire wire;

	memset(text, 'x', sizeof(text));
	ask(&wire, &r, _i, 30000);
	for (int i = 0; i < 10 && !r.done; i++) {
		wire_say(&wire, text, sizeof(text));
		wire_wait(&wire, &r.done, 50);
	}
	ck_assert_int_eq(r.calls, 1);
	ck_assert_str_eq(r.err.message, "HAProxy's stats socket: the answer is larger than 4 MiB");
	wire_close(&wire);
}
END_TEST

START_TEST(after_a_cancel_nothing_comes)
{
	struct result r;
	struct wire wire;

	haproxy_query_cancel(NULL);
	haproxy_query_cancel(ask(&wire, &r, _i, 5000));
	wire_spin(&wire);
	ck_assert_int_eq(r.calls, 0);
	wire_close(&wire);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("haproxy_socket");
	TCase *query = tcase_create("query");

	tcase_add_loop_test(query, the_answers_end_with_the_connection, 0, WIRE_KINDS);
	tcase_add_loop_test(query, answer_and_end_may_come_at_once, 0, WIRE_KINDS);
	tcase_add_loop_test(query, no_answer_is_an_error, 0, WIRE_KINDS);
	tcase_add_loop_test(query, half_an_answer_is_not_waited_for, 0, WIRE_KINDS);
	tcase_add_loop_test(query, who_drips_is_not_waited_for, 0, WIRE_KINDS);
	tcase_add_loop_test(query, an_endless_answer_is_cut, 0, WIRE_KINDS);
	tcase_add_loop_test(query, after_a_cancel_nothing_comes, 0, WIRE_KINDS);
	suite_add_tcase(suite, query);
	return suite_run(suite);
}
