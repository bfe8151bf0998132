/* A run of which a request fails: each request of each change, in each way. */
#include <check.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/run_worlds.h"
#include "tests/suite.h"
#include "tests/turned_clock.h"

/* How many requests a change takes when all goes well. */
static size_t requests_of(const struct world *world)
{
	struct place place;
	size_t before, n;

	world_enter(&place, world);
	before = fake_engine_requests(place.engine);
	place_run(&place);
	n = fake_engine_requests(place.engine) - before;
	place_close(&place);
	return n;
}

/* One request of a change fails: who served goes on to serve, and the runs after it mend all. */
static void try_mishap(const struct world *world, size_t nth, const struct mishap *mishap)
{
	char *when = xasprintf("%s, request %zu %s", world->name, nth, mishap->name);
	struct place place;

	world_enter(&place, world);
	fake_engine_fail(place.engine, nth, mishap->how);
	place_run_until(&place, mishap);
	ck_assert_msg(fake_engine_has_failed(place.engine), "%s: there was no such request", when);
	expect_no_outage(&place, world, when);
	expect_bystander(&place, when);
	expect_whole_file(&place, when);
	place_recover(&place);
	expect_no_outage(&place, world, when);
	if (place.wanted)
		expect_as_wanted(&place, when);
	else
		ck_assert_msg(place_is_as_wanted(&place), "%s: something is left\n%s", when,
			      place.machine.history);
	place_close(&place);
	free(when);
}

START_TEST(any_request_may_fail)
{
	const struct world *world = &worlds[_i];
	size_t n = requests_of(world);

	for (int i = 0; i < MISHAPS; i++)
		for (size_t nth = 1; nth <= n; nth++)
			try_mishap(world, nth, &mishaps[i]);
}
END_TEST

/* The successor, before it has the balancer's name. */
static bool end_successor(struct place *place, bool removed)
{
	struct fake_container *next = fake_find(&place->machine, "lb-apilb-next");

	if (!next || next->status != FAKE_RUNNING)
		return false;
	if (removed)
		fake_remove(&place->machine, next);
	else
		fake_end(next, 1);
	return true;
}

/* A killed daemon has left a handover half done, and then its successor ends, or is gone: who served before
 * it goes on to serve until another successor does. */
START_TEST(a_successor_that_ends_costs_nothing)
{
	const struct mishap *killed = &mishaps[MISHAPS - 1];
	const struct world *world = &worlds[0];
	size_t n = requests_of(world), ended = 0, between_renames = 0;

	for (size_t nth = 1; nth <= n; nth++) {
		char *when = xasprintf("%s, request %zu", _i ? "removed" : "ended", nth);
		struct place place;

		world_enter(&place, world);
		fake_engine_fail(place.engine, nth, killed->how);
		place_run_until(&place, killed);
		if (end_successor(&place, _i)) {
			ended++;
			between_renames += !place_balancer(&place);
			place_recover(&place);
			expect_no_outage(&place, world, when);
			expect_as_wanted(&place, when);
		}
		place_close(&place);
		free(when);
	}
	ck_assert_uint_gt(ended, between_renames);
	ck_assert_uint_gt(between_renames, 0);
}
END_TEST

/* With nothing to do, a request that fails is no reason to do anything. */
START_TEST(a_mishap_alone_changes_nothing)
{
	const struct mishap *mishap = &mishaps[_i];
	struct place place;
	size_t before, n;

	place_begin(&place, 0);
	before = fake_engine_requests(place.engine);
	place_run(&place);
	n = fake_engine_requests(place.engine) - before;
	for (size_t nth = 1; nth <= n; nth++) {
		fake_engine_fail(place.engine, nth, mishap->how);
		place_run_until(&place, mishap);
		ck_assert(fake_engine_has_failed(place.engine));
		ck_assert_msg(!place.machine.history, "request %zu %s: %s", nth, mishap->name,
			      place.machine.history);
		place_run(&place);
		expect_as_wanted(&place, mishap->name);
		ck_assert_msg(!place.machine.history, "after request %zu %s: %s", nth, mishap->name,
			      place.machine.history);
	}
	place_close(&place);
}
END_TEST

/* Who is told to leave has its last connection for 300 ms more. */
static int64_t last_connection_ends;

static void end_soon(struct place *place)
{
	for (struct fake_container *c = place->machine.containers; c; c = c->next)
		if (c->leaves && last_connection_ends == 0)
			last_connection_ends = turned_clock_ms() + 300;
	if (last_connection_ends > 0 && turned_clock_ms() >= last_connection_ends)
		place_end_connections(place);
}

/* The next look may be half a minute away, or more. */
START_TEST(who_ends_soon_is_removed_by_this_run_or_the_next)
{
	struct place place;
	size_t nth = 0;
	bool came_to_it;

	do {
		last_connection_ends = 0;
		place_begin(&place, 0);
		place.machine.lasting = true;
		place.each_turn = end_soon;
		change_image(&place);
		fake_engine_fail(place.engine, ++nth, FAULT_CUT_BEFORE);
		place_run(&place);
		came_to_it = fake_engine_has_failed(place.engine);
		place_run(&place);
		ck_assert_msg(place_containers(&place) == 1, "request %zu: %zu containers\n%s", nth,
			      place_containers(&place), place.machine.history);
		place_close(&place);
	} while (came_to_it);
	ck_assert_uint_gt(nth, 20);
}
END_TEST

/* A second balancer on the same host, of which a request costs the connection. */

static struct wanted *second_wanted(const char *servers)
{
	return wanted_named("other", "/etc/haproxy-other/haproxy.cfg", OLD, "7500", servers);
}

static bool runs_config(const struct place *place, const struct wanted *wanted)
{
	const struct fake_container *container = fake_find(&place->machine, wanted->instance.name);

	return container && container->loaded && strcmp(container->loaded, wanted->config) == 0;
}

static void want_second(struct place *place, const char *servers)
{
	wanted_unref(place->second);
	place->second = second_wanted(servers);
}

/* Only the list of all containers is about all: any other request is one balancer's alone. */
static size_t expect_one_bad(const struct place *place, size_t nth)
{
	size_t bad = (size_t)!runs_config(place, place->wanted) + (size_t)!runs_config(place, place->second);

	if (place->err.kind != ERR_NONE) {
		ck_assert_msg(strncmp(place->err.message, "list containers", 15) == 0,
			      "request %zu is taken for the host's: %s", nth, place->err.message);
		return 0;
	}
	ck_assert_msg(bad <= 1, "request %zu: %s; %s", nth, place->last.result.err.message,
		      place->second_err.message);
	ck_assert_msg(bad == 0 || place->last.result.err.kind != ERR_NONE ||
			      place->second_err.kind != ERR_NONE,
		      "request %zu: one is not as wanted, and nobody says so", nth);
	return bad;
}

/* Both get other servers, and a request fails. False: there are not so many. */
static bool try_costly_request(size_t nth, enum fake_fault how, size_t *failed)
{
	struct place place;
	bool came_to_it;

	turned_clock_begin();
	place_open(&place);
	want_second(&place, "'192.0.2.1:6443'");
	place_run(&place);
	ck_assert_int_eq(place.err.kind, ERR_NONE);
	change_servers(&place);
	want_second(&place, "'192.0.2.3:6443'");
	fake_engine_fail(place.engine, nth, how);
	place_run(&place);
	came_to_it = fake_engine_has_failed(place.engine);
	*failed += expect_one_bad(&place, nth);
	place_close(&place);
	return came_to_it;
}

START_TEST(what_costs_the_connection_costs_the_others_nothing)
{
	static const enum fake_fault faults[] = {FAULT_CUT_BEFORE, FAULT_CUT_AFTER, FAULT_SILENT};
	size_t nth = 1, failed = 0;

	/* The first is the ping. */
	while (try_costly_request(++nth, faults[_i], &failed))
		;
	ck_assert_uint_gt(nth, 20);
	ck_assert_uint_gt(failed, 4);
}
END_TEST

/* The first connection is lost with the first question about a balancer, after the ping and the list; the
 * second when something has been created. */
static void lose_another(struct place *place)
{
	if (!place->machine.history || !strstr(place->machine.history, "create"))
		return;
	ck_assert(fake_engine_has_failed(place->engine));
	fake_engine_fail(place->engine, 1, FAULT_CUT_BEFORE);
	place->each_turn = NULL;
}

/* Two in a run that have nothing to do with each other: between them the engine worked for minutes. */
START_TEST(connections_lost_far_apart_do_not_fail_the_host)
{
	struct place place;

	place_open(&place);
	want_second(&place, "'192.0.2.1:6443'");
	turned_clock_turn(1000);
	place.machine.pull_ms = 180000;
	change_image_to_be_pulled(&place);
	place.second_first = true;
	place.each_turn = lose_another;
	fake_engine_fail(place.engine, 3, FAULT_CUT_BEFORE);
	place_run(&place);
	ck_assert(!place.each_turn && fake_engine_has_failed(place.engine));
	ck_assert_int_gt(turned_clock_ms(), 180000);
	ck_assert_msg(place.err.kind == ERR_NONE, "%s", place.err.message);
	ck_assert_int_ne(place.last.result.err.kind, ERR_NONE);
	ck_assert_int_ne(place.second_err.kind, ERR_NONE);
	place_close(&place);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run_faults");
	TCase *tcase = tcase_create("run_faults"), *every = tcase_create("every");

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_loop_test(tcase, a_mishap_alone_changes_nothing, 0, MISHAPS);
	tcase_add_loop_test(tcase, what_costs_the_connection_costs_the_others_nothing, 0, 3);
	tcase_add_loop_test(tcase, a_successor_that_ends_costs_nothing, 0, 2);
	tcase_add_test(tcase, connections_lost_far_apart_do_not_fail_the_host);
	tcase_add_test(tcase, who_ends_soon_is_removed_by_this_run_or_the_next);
	/* Thousands of runs: minutes under sanitizers on a busy machine, and not for valgrind. */
	tcase_set_tags(every, "long");
	tcase_add_loop_test(every, any_request_may_fail, 0, WORLDS);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, every);
	return suite_run(suite);
}
