/* What HAProxy says of servers, from look to look: the state, why, since when, and what is told. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/haproxy/server_check.h"
#include "daemon/core/plan/observed.h"
#include "daemon/core/servers.h"
#include "tests/suite.h"

/* Words. */

static const struct {
	struct server_check check;
	const char *why;
} reasons[] = {
	{{"DOWN", "L4CON", -1, 0, "Connection refused"}, "connection refused"},
	{{"DOWN", "L4CON", -1, 0, "No route to host"}, "no route to host"},
	{{"DOWN", "L4CON", -1, 0, ""}, "connection failed"},
	{{"DOWN", "L4TOUT", -1, 2001, ""}, "no connection within 2s"},
	{{"DOWN", "L6TOUT", -1, 1503, ""}, "no TLS handshake within 1.5s"},
	{{"DOWN", "L6RSP", -1, 3, "SSL handshake failure"}, "the TLS handshake failed"},
	{{"DOWN", "L7TOUT", -1, 1001, ""}, "no answer to the check within 1s"},
	{{"DOWN", "L7TOUT", -1, -1, ""}, "no answer to the check"},
	{{"DOWN", "L7RSP", -1, 4, ""}, "the answer to the check is not HTTP"},
	{{"DOWN", "L7STS", 500, 4, "Internal Server Error"}, "not ready: HTTP 500"},
	{{"DOWN", "SOCKERR", -1, 0, "Connection reset by peer"}, "connection reset by peer"},
	{{"DOWN", "HANA", -1, 0, "x"}, "too many connections to it failed"},
	{{"DOWN", "L9NEW", -1, 0, "who knows"}, "its check says L9NEW: who knows"},
	{{"DOWN", "", -1, 0, ""}, "its check says nothing"},
	{{"DOWN 1/2", "L7OK", 200, 4, ""}, "coming back: 1 of 2 checks passed"},
	{{"DOWN 1/2", "L4OK", -1, 0, ""}, "coming back: 1 of 2 checks passed"},
	{{"DOWN 2/3", "L6OK", -1, 4, ""}, "coming back: 2 of 3 checks passed"},
	{{"DOWN 1/2", "L7OKC", 500, 4, ""}, "not ready: HTTP 500"},
	{{"DOWN 1/2", "L7STS", 500, 4, ""}, "not ready: HTTP 500"},
	{{"NOLB", "L7OKC", 500, 4, "x"}, "not ready: HTTP 500; connections in use go on"},
	{{"NOLB 1/2", "L7TOUT", -1, 1000, ""}, "no answer to the check within 1s; connections in use go on"},
	{{"DRAIN", "L7OK", 200, 4, ""}, "drained by hand; connections in use go on"},
	{{"MAINT", "", -1, -1, ""}, "taken out by hand"},
	{{"MAINT (resolution)", "", -1, -1, ""}, "its name cannot be resolved"},
};

START_TEST(the_reason_is_in_words)
{
	char *why = server_why(&reasons[_i].check);

	ck_assert_str_eq(why, reasons[_i].why);
	free(why);
}
END_TEST

/* The answer. */

#define HEADER                                  \
	"Version: 2.6.12\nUptime_sec: 60\n\n# " \
	"pxname,svname,status,bck,lastchg,check_status,check_code,check_duration,last_chk,\n"

static const struct {
	const char *row;
	size_t servers;
	enum server_state state;
	bool draining, fallback;
	const char *why;
} rows[] = {
	{"kube-apiserver,a,UP,0,7,L7OK,200,3,,", 1, SERVER_UP, false, false, NULL},
	{"kube-apiserver,a,UP 1/3,0,7,* L7TOUT,,2000,,", 1, SERVER_UP, false, false, NULL},
	{"kube-apiserver,a,UP,0,7,INI,,,,", 1, SERVER_UNKNOWN, false, false, NULL},
	{"kube-apiserver,a,no check,0,7,,,,,", 1, SERVER_UNKNOWN, false, false, NULL},
	{"kube-apiserver,a,DOWN,0,7,* L4CON,,0,Connection refused,", 1, SERVER_DOWN, false, false,
	 "connection refused"},
	{"kube-apiserver,a,DOWN,0,7,L4CON,,0,\"No, \"\"never\"\"\",", 1, SERVER_DOWN, false, false,
	 "no, \"never\""},
	{"kube-apiserver,a,DOWN,0,7,L4CON,,0,\"open", 1, SERVER_DOWN, false, false, "open"},
	{"kube-apiserver,a,NOLB,0,7,L7OKC,500,3,x,", 1, SERVER_DOWN, true, false,
	 "not ready: HTTP 500; connections in use go on"},
	{"kube-apiserver,a,DRAIN,0,7,L7OK,200,3,,", 1, SERVER_DOWN, true, false,
	 "drained by hand; connections in use go on"},
	{"kube-apiserver,a-untested,no check,1,7,,,,,", 0, SERVER_UNKNOWN, false, true, NULL},
	{"elsewhere,a,DOWN,0,7,L4CON,,0,x,", 0, SERVER_UNKNOWN, false, false, NULL},
};

START_TEST(a_row_is_a_server)
{
	struct observed_instance observed = {0};
	char *text = xasprintf(HEADER "%s\n\n", rows[_i].row);

	observed_stats_parse(&observed, text);
	ck_assert_int_eq(observed.stats, STATS_ANSWERED);
	ck_assert_int_eq(observed.uptime_s, 60);
	ck_assert_uint_eq(observed.servers_n, rows[_i].servers);
	ck_assert_int_eq(observed.fallback, rows[_i].fallback);
	if (rows[_i].servers > 0) {
		ck_assert_int_eq(observed.servers[0].state, rows[_i].state);
		ck_assert_int_eq(observed.servers[0].draining, rows[_i].draining);
		ck_assert_int_eq(observed.servers[0].changed_s, 7);
		ck_assert_pstr_eq(observed.servers[0].why, rows[_i].why);
	}
	observed_instance_clear(&observed);
	free(text);
}
END_TEST

/* Columns that an older HAProxy may lack cost words, not the state. */
START_TEST(four_columns_are_enough)
{
	struct observed_instance observed = {0};

	observed_stats_parse(&observed, "Version: 2.4\n# pxname,svname,status,check_status\n"
					"kube-apiserver,a,DOWN,L4CON\n\n");
	ck_assert_uint_eq(observed.servers_n, 1);
	ck_assert_int_eq(observed.servers[0].state, SERVER_DOWN);
	ck_assert_int_eq(observed.servers[0].changed_s, -1);
	ck_assert_str_eq(observed.servers[0].why, "connection failed");
	observed_instance_clear(&observed);
}
END_TEST

/* Who answers in HAProxy's place may say any number: it is as if it had said none. */
static const struct {
	const char *told;
	int64_t number;
} numbers[] = {
	{"0", 0},
	{"2147483647", INT32_MAX},
	{"2147483648", -1},
	{"9223372036854775", -1}, /* times 1000 it does not fit */
	{"9223372036854775807", -1},
	{"99999999999999999999", -1},
	{"-9223372036854775808", -1},
	{"", -1},
};

START_TEST(a_number_that_cannot_be_is_not_told)
{
	struct observed_instance observed = {0};
	char *text = xasprintf("Version: 2\nUptime_sec: %s\n\n# "
			       "pxname,svname,status,lastchg,check_status,check_code,check_duration\n"
			       "kube-apiserver,a,DOWN,%s,L7TOUT,%s,%s\n\n",
			       numbers[_i].told, numbers[_i].told, numbers[_i].told, numbers[_i].told);

	observed_stats_parse(&observed, text);
	ck_assert_int_eq(observed.uptime_s, numbers[_i].number);
	ck_assert_int_eq(observed.servers[0].changed_s, numbers[_i].number);
	if (numbers[_i].number < 0)
		ck_assert_str_eq(observed.servers[0].why, "no answer to the check");
	observed_instance_clear(&observed);
	free(text);
}
END_TEST

/* From look to look. Two servers, "a:1" and "b:2". */

static struct servers memory;
static char *told;
static int64_t now_s;
static size_t wanted_n;

static void setup(void)
{
	told = xstrdup("");
	now_s = 1000000;
	wanted_n = 2;
}

static void teardown(void)
{
	servers_clear(&memory);
	FREE(told);
}

static void tell(void *arg, enum server_change change, const char *address, const char *text)
{
	char *longer = xasprintf("%s%s %s|%s\n", told, server_change_name(change), address, text);

	(void)arg;
	free(told);
	told = longer;
}

/*
 * After `later` seconds: u for up, d down, n not ready, ? not checked yet; each since so many seconds.
 * uptime: the process'.
 */
static void look(int later, int uptime, const char *states, int a, int b, bool fallback)
{
	static const struct spec_server wanted[] = {{.host = "a", .port = 1}, {.host = "b", .port = 2}};
	const int since[] = {a, b};
	struct observed_instance observed = {0};
	size_t len;
	char *text;
	FILE *out = text_open(&text, &len);

	now_s += later;
	fprintf(out,
		"Version: 2\nUptime_sec: %d\n\n# "
		"pxname,svname,status,check_status,check_code,lastchg,last_chk,bck\n",
		uptime);
	for (int i = 0; i < 2; i++)
		fprintf(out, "kube-apiserver,%s,%s,%d,,0\n", i ? "b:2" : "a:1",
			states[i] == 'u'   ? "UP,L7OK,200"
			: states[i] == 'd' ? "DOWN,L4CON,"
			: states[i] == 'n' ? "NOLB,L7OKC,500"
					   : "UP,INI,",
			since[i]);
	if (fallback)
		fputs("kube-apiserver,x,no check,,,0,,1\n", out);
	putc('\n', out);
	text_close(out);
	observed_stats_parse(&observed, text);
	observed.asked_at_ms = now_s * 1000 + 123;
	FREE(told);
	told = xstrdup("");
	servers_note(&memory, wanted, wanted_n, &observed, tell, NULL);
	observed_instance_clear(&observed);
	free(text);
}

static int64_t since_s(const char *name)
{
	const struct server_memory *server = servers_find(&memory, name);

	ck_assert_ptr_nonnull(server);
	return server->since_ms / 1000 - 1000000;
}

START_TEST(since_does_not_jitter)
{
	look(0, 500, "uu", 100, 50, false);
	ck_assert_int_eq(since_s("a:1"), -100);
	look(30, 530, "uu", 129, 81, false);
	ck_assert_int_eq(since_s("a:1"), -100);
	ck_assert_int_eq(since_s("b:2"), -50);
	ck_assert_str_eq(told, "");
	/* It was away and came back in between. */
	look(30, 560, "uu", 160, 9, false);
	ck_assert_int_eq(since_s("b:2"), 51);
}
END_TEST

START_TEST(a_change_is_told_once)
{
	look(0, 500, "uu", 500, 500, false);
	ck_assert_str_eq(told, "");
	look(30, 530, "du", 10, 530, false);
	ck_assert_str_eq(told, "server-down a:1|a:1 is down: connection failed\n");
	ck_assert_int_eq(since_s("a:1"), 20);
	look(30, 560, "du", 40, 560, false);
	ck_assert_str_eq(told, "");
	look(30, 590, "uu", 5, 590, false);
	ck_assert_str_eq(told, "server-up a:1|a:1 is up again, after 1m5s\n");
	look(30, 620, "uu", 35, 620, false);
	ck_assert_str_eq(told, "");
}
END_TEST

START_TEST(not_ready_is_told_before_down)
{
	look(0, 500, "uu", 500, 500, false);
	look(30, 530, "nu", 10, 530, false);
	ck_assert_str_eq(told,
			 "server-draining a:1|a:1 gets no new connections: not ready: HTTP 500; connections "
			 "in use go on\n");
	look(30, 560, "du", 20, 560, false);
	ck_assert_str_eq(told, "server-down a:1|a:1 is down: connection failed\n");
}
END_TEST

START_TEST(what_is_down_at_first_sight_is_told)
{
	look(0, 500, "du", 30, 500, false);
	ck_assert_str_eq(told, "server-down a:1|a:1 is down: connection failed\n");
	ck_assert_int_eq(since_s("a:1"), -30);
}
END_TEST

START_TEST(a_reload_is_no_change)
{
	look(0, 500, "ud", 500, 40, false);
	look(30, 1, "??", 1, 1, false);
	ck_assert_str_eq(told, "");
	look(3, 4, "ud", 4, 2, false);
	ck_assert_str_eq(told, "");
	look(30, 34, "ud", 34, 32, false);
	ck_assert_str_eq(told, "");
	ck_assert_int_eq(since_s("a:1"), -500);
	ck_assert_int_eq(since_s("b:2"), -40);
	/* But what changes after it counts. */
	look(30, 64, "dd", 3, 62, false);
	ck_assert_int_eq(since_s("a:1"), 60 + 33 - 3);
	ck_assert_int_eq(since_s("b:2"), -40);
}
END_TEST

START_TEST(no_server_up_is_told_loudly_and_once)
{
	look(0, 500, "uu", 500, 500, false);
	look(30, 530, "dd", 10, 9, false);
	ck_assert_str_eq(told,
			 "server-down a:1|a:1 is down: connection failed\n"
			 "server-down b:2|b:2 is down: connection failed\n"
			 "no-server-up |no server is up: no connection gets through; a:1: connection failed; "
			 "b:2: connection failed\n");
	ck_assert(memory.none_up);
	look(30, 560, "dd", 40, 39, false);
	ck_assert_str_eq(told, "");
	look(30, 1, "??", 1, 1, false);
	ck_assert(memory.none_up);
	look(30, 31, "ud", 2, 29, false);
	ck_assert_str_eq(told, "server-up a:1|a:1 is up again, after 1m38s\n"
			       "servers-up |1 of 2 servers are up again\n");
	ck_assert(!memory.none_up);
}
END_TEST

START_TEST(traffic_goes_on_untested)
{
	look(0, 500, "nd", 10, 9, true);
	ck_assert_ptr_nonnull(strstr(told,
				     "no-server-up |no server passes its check; traffic goes to all of them "
				     "untested; a:1: not ready: HTTP 500; connections in use go on; b:2: "));
}
END_TEST

START_TEST(some_unknown_is_not_none_up)
{
	look(0, 2, "?d", 2, 1, false);
	ck_assert(!memory.none_up);
	ck_assert_str_eq(told, "server-down b:2|b:2 is down: connection failed\n");
}
END_TEST

START_TEST(a_server_that_leaves_the_spec_is_forgotten)
{
	look(0, 500, "ud", 500, 500, false);
	wanted_n = 1;
	look(30, 530, "ud", 530, 530, false);
	ck_assert_ptr_null(servers_find(&memory, "b:2"));
	ck_assert_uint_eq(memory.n, 1);
	ck_assert_str_eq(told, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("servers");
	TCase *tcase = tcase_create("servers");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, the_reason_is_in_words, 0, N(reasons));
	tcase_add_loop_test(tcase, a_row_is_a_server, 0, N(rows));
	tcase_add_test(tcase, four_columns_are_enough);
	tcase_add_loop_test(tcase, a_number_that_cannot_be_is_not_told, 0, N(numbers));
	tcase_add_test(tcase, since_does_not_jitter);
	tcase_add_test(tcase, a_change_is_told_once);
	tcase_add_test(tcase, not_ready_is_told_before_down);
	tcase_add_test(tcase, what_is_down_at_first_sight_is_told);
	tcase_add_test(tcase, a_reload_is_no_change);
	tcase_add_test(tcase, no_server_up_is_told_loudly_and_once);
	tcase_add_test(tcase, traffic_goes_on_untested);
	tcase_add_test(tcase, some_unknown_is_not_none_up);
	tcase_add_test(tcase, a_server_that_leaves_the_spec_is_forgotten);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
