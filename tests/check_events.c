/* Events: told to whoever follows, through a real socket. */
#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "daemon/core/event_limits.h"
#include "daemon/io/control/control.h"
#include "daemon/tell/events.h"
#include "tests/suite.h"
#include "tests/temp.h"

#define LIMIT_S 20

static struct event_base *base;
static struct store *store;
static struct events *events;
static struct control *control;
static char *socket_path;
static int client;
static char *got; /* all that the client has read */
static size_t got_len;

static void answer(void *arg, struct control_request *request)
{
	events_answer(arg, request);
}

static const struct control_route routes[] = {{"GET", "/v1/events", answer}, {NULL, NULL, NULL}};

static void setup(void)
{
	char *warning = NULL, *dir;
	struct err err;

	temp_make();
	/* The log is not what is looked at. */
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	base = event_base_new();
	dir = temp_path("state");
	socket_path = temp_path("socket");
	store = store_open(base, dir, &warning, &err);
	ck_assert_ptr_nonnull(store);
	events = events_new(base, store);
	control = control_new(base, socket_path, routes, events, &err);
	ck_assert_ptr_nonnull(control);
	client = -1;
	free(dir);
}

static void teardown(void)
{
	if (client >= 0)
		close(client);
	events_free(events);
	control_free(control);
	store_close(store);
	event_base_free(base);
	FREE(got);
	got_len = 0;
	free(socket_path);
	temp_remove();
}

/* Of one spec after the other, so that it is no flood of any. */
static void add(const char *message)
{
	static unsigned n;
	char *spec = xasprintf("spec%u", n++ % 100);

	events_add(events, LOG_LEVEL_INFO, spec, NULL, "created", "%s", message);
	free(spec);
}

static void ask(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char *request = xasprintf("GET %s HTTP/1.1\r\nHost: apilb\r\n\r\n", path);

	strncpy(address.sun_path, socket_path, sizeof(address.sun_path) - 1);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(write(client, request, strlen(request)), (ssize_t)strlen(request));
	free(request);
}

/* Runs both sides until the client has read these words. */
static void read_until(const char *words)
{
	time_t limit = time(NULL) + LIMIT_S;

	while (!got || !strstr(got, words)) {
		ssize_t n;

		ck_assert_msg(time(NULL) < limit, "\"%s\" did not come", words);
		event_base_loop(base, EVLOOP_NONBLOCK);
		got = xrealloc(got, got_len + 65536 + 1);
		n = read(client, got + got_len, 65536);
		ck_assert_msg(n != 0, "the client was dropped before \"%s\"", words);
		got_len += n > 0 ? (size_t)n : 0;
		got[got_len] = '\0';
	}
}

START_TEST(a_follower_gets_what_was_and_what_comes)
{
	add("first");
	ask("/v1/events?follow=1&after=0");
	read_until("\"first\"");
	add("second");
	read_until("\"second\"");
}
END_TEST

static void add_more_than_is_kept_waiting(void)
{
	char text[501] = "";

	memset(text, 'x', sizeof(text) - 1);
	add("oldest");
	for (size_t sent = 0; sent < 2 * CONTROL_MAX_BACKLOG; sent += sizeof(text))
		add(text);
	add("newest");
}

START_TEST(who_has_missed_more_than_is_kept_waiting_gets_the_newest)
{
	add_more_than_is_kept_waiting();
	ask("/v1/events?follow=1&after=0");
	read_until("\"newest\"");
	ck_assert_ptr_null(strstr(got, "\"oldest\""));
	ck_assert_uint_gt(got_len, CONTROL_MAX_BACKLOG / 3);
	ck_assert_uint_lt(got_len, CONTROL_MAX_BACKLOG);
	/* And goes on to follow. */
	add("after that");
	read_until("\"after that\"");
}
END_TEST

START_TEST(who_only_asks_gets_all_of_it)
{
	add_more_than_is_kept_waiting();
	ask("/v1/events?after=0");
	read_until("\"newest\"");
	ck_assert_ptr_nonnull(strstr(got, "\"oldest\""));
}
END_TEST

START_TEST(bytes_that_are_no_utf8_are_told_as_such)
{
	add("caf\xe9");
	ask("/v1/events?after=0");
	read_until("\"message\":\"caf\xef\xbf\xbd\"");
}
END_TEST

static size_t count_of(const char *type, const char *host, char **last)
{
	struct store_event *v;
	struct err err;
	size_t n, count = 0;

	ck_assert_int_eq(store_load_events(store, 0, NULL, SIZE_MAX, &v, &n, &err), 0);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].type, type) != 0 || !v[i].host || strcmp(v[i].host, host) != 0)
			continue;
		count++;
		free(*last);
		*last = xstrdup(v[i].message);
	}
	store_events_free(v, n);
	return count;
}

START_TEST(a_flood_is_cut_and_that_is_told_once)
{
	/* The same name of a host, by itself and in an id. */
	static const char host[] = "10.0.0.1", other[] = "10.0.0.2:2222";
	char *last = NULL;

	for (int i = 0; i < EVENT_BURST + 500; i++) {
		events_add_host(events, LOG_LEVEL_INFO, host, "remove", "%s: %d", host, i);
		events_add(events, LOG_LEVEL_INFO, "prod", "prod/10.0.0.1/lb", "drift", "%d", i);
	}
	events_add_host(events, LOG_LEVEL_INFO, other, "remove", "%s: x", other);
	events_add(events, LOG_LEVEL_INFO, "prod", "prod/10.0.0.2:2222/lb", "drift", "x");
	ck_assert_uint_ge(count_of("remove", host, &last), EVENT_BURST);
	ck_assert_uint_lt(count_of("remove", host, &last), EVENT_BURST + 100);
	ck_assert_uint_lt(count_of("drift", host, &last), EVENT_BURST + 100);
	ck_assert_uint_eq(count_of("remove", other, &last), 1);
	ck_assert_uint_eq(count_of("drift", other, &last), 1);
	ck_assert_uint_eq(count_of("events-left-out", host, &last), 0);
	events_free(events);
	events = NULL;
	/* Of the host, and of the spec there. */
	ck_assert_uint_eq(count_of("events-left-out", host, &last), 2);
	ck_assert_ptr_nonnull(strstr(last, "events were left out"));
	ck_assert_uint_eq(count_of("events-left-out", other, &last), 0);
	free(last);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("events");
	TCase *tcase = tcase_create("events");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_follower_gets_what_was_and_what_comes);
	tcase_add_test(tcase, who_has_missed_more_than_is_kept_waiting_gets_the_newest);
	tcase_add_test(tcase, who_only_asks_gets_all_of_it);
	tcase_add_test(tcase, bytes_that_are_no_utf8_are_told_as_such);
	tcase_add_test(tcase, a_flood_is_cut_and_that_is_told_once);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
