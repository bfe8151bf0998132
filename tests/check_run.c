/*
 * A run on one host, against a machine in memory and with a clock that turns by
 * itself: every action and every drift. See also check_run_*.c.
 */
#include <check.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/run_worlds.h"
#include "tests/suite.h"
#include "tests/turned_clock.h"

START_TEST(what_is_new_is_made_and_then_left_alone)
{
	struct place place;

	place_begin(&place, 0);
	place_run(&place);
	expect_as_wanted(&place, "the second time");
	ck_assert_msg(place.machine.history == NULL, "%s", place.machine.history);
	place_close(&place);
}
END_TEST

/* The engine makes something else of what we ask for. */
START_TEST(a_container_is_not_replaced_in_vain)
{
	char first[65];
	struct place place;

	place_open(&place);
	place.machine.twists = true;
	place_run(&place);
	ck_assert_int_eq(place.last.result.err.kind, ERR_PERMANENT);
	ck_assert_msg(strstr(place.last.result.err.message,
			     "replacing the container has not helped: stop signal is "
			     "\"SIGTERM\", wanted \"SIGUSR1\""),
		      "%s", place.last.result.err.message);
	ck_assert_uint_eq(place_times_told(&place, "create: "), 2); /* the first, and one attempt */
	ck_assert_uint_eq(place_containers(&place), 1);
	strcpy(first, place_balancer(&place)->id);

	/* Not again, however often it is looked at, by whatever process. */
	for (int i = 0; i < 6; i++) {
		place.restarts = i >= 2;
		place_run(&place);
		ck_assert_msg(place.machine.history == NULL, "%s", place.machine.history);
		ck_assert_int_eq(place.last.result.err.kind, ERR_PERMANENT);
	}
	place.restarts = false;

	/* Everything else is repaired as ever. */
	fake_file_write(&place.machine, CONFIG, "# mine\n", strlen("# mine\n"), 0644);
	place_run(&place);
	ck_assert_str_eq(fake_file_find(&place.machine, CONFIG)->text, place.wanted->config);
	fake_end(place_balancer(&place), 1);
	place_run(&place);
	ck_assert_int_eq(place_balancer(&place)->status, FAKE_RUNNING);
	ck_assert_str_eq(place_balancer(&place)->id, first);

	/* Another container is another matter, and so is another engine. */
	place.machine.twists = false;
	fake_remove(&place.machine, place_balancer(&place));
	place_run(&place);
	expect_as_wanted(&place, "an engine that does as it is told");

	/* What it was made for has been mended: when it comes again, that is repaired again. */
	for (int i = 0; i < 2; i++) {
		json_object_object_add(place_balancer(&place)->request, "StopSignal",
				       json_object_new_string("SIGTERM"));
		place_run(&place);
		expect_as_wanted(&place, "the same once more");
	}
	place_close(&place);
}
END_TEST

START_TEST(a_changed_spec_is_tried_where_replacing_was_in_vain)
{
	struct place place;

	place_open(&place);
	place.machine.twists = true;
	place_run(&place);
	place.machine.twists = false;
	change_image(&place);
	place_run(&place);
	place_run(&place);
	expect_as_wanted(&place, "another image");
	place_close(&place);
}
END_TEST

/* Podman before 4.7. What has left is back at once, and must not stay. */
START_TEST(what_has_left_and_is_started_again_is_stopped)
{
	struct place place;

	place_begin(&place, PODMAN);
	place_run(&place);
	ck_assert_msg(place.machine.history == NULL, "%s", place.machine.history);
	change_image(&place);
	place_run(&place);
	expect_as_wanted(&place, "in the same run");
	ck_assert_uint_eq(place_times_told(&place, "it had drained, and the engine has started it again"), 2);

	/* With connections it stays for as long as they do. */
	place.machine.lasting = true;
	place_want(&place, OLD, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
	place_run(&place);
	ck_assert_uint_eq(place_containers(&place), 2);
	place_run(&place);
	ck_assert_uint_eq(place_containers(&place), 2);
	ck_assert_msg(place.machine.history == NULL, "%s", place.machine.history);
	place.machine.lasting = false;
	place_end_connections(&place);
	place_run(&place);
	expect_as_wanted(&place, "when its connections have ended");
	place_close(&place);
}
END_TEST

/* Podman does so while it tidies up what has left, or starts it again. */
/* As an event: what comes after it is progress. */
START_TEST(each_pull_is_told_once)
{
	struct place place;

	place_open(&place);
	place_run(&place);
	for (int i = 0; i < 2; i++) {
		char *image = xasprintf("registry.example.org/haproxy:3.%d", i);

		place_want(&place, image, "7443", "'192.0.2.1:6443'");
		place_run(&place);
		ck_assert_uint_eq(place_times_told(&place, "pulling: "), 1);
		free(image);
	}
	place_close(&place);
}
END_TEST

START_TEST(a_refused_removal_is_tried_again_in_the_same_run)
{
	char line[128] = "";
	size_t nth = 0;
	struct place place;

	/* Which request it is. */
	do {
		place_open(&place);
		place_run(&place);
		change_image(&place);
		snprintf(line, sizeof(line), "remove %s   -> 500", place_balancer(&place)->id);
		fake_engine_fail(place.engine, ++nth, FAULT_REFUSED);
		place_run(&place);
		ck_assert_msg(fake_engine_has_failed(place.engine), "it was never removed");
		if (strstr(place.machine.history ? place.machine.history : "", line))
			break;
		place_close(&place);
	} while (true);
	expect_as_wanted(&place, "after another look");
	place_close(&place);
}
END_TEST

START_TEST(what_is_not_wanted_any_more_goes)
{
	struct place place;

	place_begin(&place, 0);
	place_want(&place, NULL, NULL, NULL);
	place_run(&place);
	ck_assert(place.last.result.removed);
	ck_assert_uint_eq(place_containers(&place), 0);
	place_close(&place);
}
END_TEST

START_TEST(a_change_is_made_true)
{
	const struct world *world = &worlds[_i];
	struct place place;

	world_enter(&place, world);
	place_recover(&place);
	expect_no_outage(&place, world, world->name);
	ck_assert_msg(place_is_as_wanted(&place), "%s: %s", world->name, place.last.result.err.message);
	if (place.wanted)
		expect_as_wanted(&place, world->name);
	place_run(&place);
	ck_assert_msg(place.machine.history == NULL, "%s: not quiet: %s", world->name, place.machine.history);
	place_close(&place);
}
END_TEST

/* A thousand names with three addresses each, in both roles: more than a MiB. */
START_TEST(a_large_config_converges)
{
	char *servers = NULL;
	struct place place;
	size_t len;
	FILE *out = open_memstream(&servers, &len);

	for (int i = 0; i < 1000; i++)
		fprintf(out, "%skube-apiserver-%03d.a-cluster-with-a-name.example.com:6443", i ? ", " : "",
			i);
	fclose(out);
	place_open(&place);
	place_want(&place, OLD, "7443", servers);
	ck_assert_uint_gt(place.wanted->config_len, 1 << 20);
	place_run(&place);
	expect_as_wanted(&place, "at first");
	for (int i = 0; i < 2; i++) {
		memory_clear(&place.memory); /* it has to be read */
		place_run(&place);
		expect_as_wanted(&place, "when it is read");
		ck_assert_msg(!place.machine.history, "%s", place.machine.history);
	}
	/* It can be written over, too. */
	place_want(&place, OLD, "7443", "'192.0.2.1:6443'");
	memory_clear(&place.memory);
	place_run(&place);
	expect_as_wanted(&place, "a short one after it");
	free(servers);
	place_close(&place);
}
END_TEST

/* What it was made from is gone, by whatever way. */

static void image_gone(struct place *place)
{
	fake_remove_image(&place->machine, OLD);
}

static void image_gone_and_file_edited(struct place *place)
{
	image_gone(place);
	file_edited(place);
}

static void image_gone_and_stopped(struct place *place)
{
	image_gone(place);
	container_stopped(place);
}

static void image_gone_and_changed(struct place *place)
{
	image_gone(place);
	change_image_and_servers(place);
}

static void image_gone_and_servers_changed(struct place *place)
{
	image_gone(place);
	change_servers(place);
}

static const struct world imageless[] = {
	{"image gone", image_gone, SERVES},
	{"image gone and config edited", image_gone_and_file_edited, SERVES},
	{"image gone and container stopped", image_gone_and_stopped, 0},
	{"image gone and another wanted", image_gone_and_changed, SERVES},
	{"image gone and other servers wanted", image_gone_and_servers_changed, SERVES},
};

START_TEST(an_image_that_is_gone_is_in_nobodys_way)
{
	const struct world *world = &imageless[_i];
	struct place place;

	world_enter(&place, world);
	place_run(&place);
	expect_no_outage(&place, world, world->name);
	expect_as_wanted(&place, world->name);
	ck_assert_msg(_i > 0 || !place.machine.history, "%s", place.machine.history);
	place_run(&place);
	ck_assert_msg(!place.machine.history, "%s", place.machine.history);
	place_close(&place);
}
END_TEST

static struct wanted *second_at(const char *port, const char *servers)
{
	return wanted_named("other", "/etc/haproxy-other/haproxy.cfg", OLD, port, servers);
}

static void want_second(struct place *place, const char *port, const char *servers)
{
	wanted_unref(place->second);
	place->second = second_at(port, servers);
}

/* lb listens on 7443, and the other one on 7500; then each is to listen where the other does. */
static void enter_swap(struct place *place, const char *servers_of_second)
{
	place_open(place);
	want_second(place, "7500", "'192.0.2.1:6443'");
	place_run(place);
	ck_assert_int_eq(place->second_err.kind, ERR_NONE);
	place->former = wanted_ref(place->wanted);
	place_want(place, OLD, "7500", "'192.0.2.1:6443'");
	want_second(place, "7443", servers_of_second);
}

START_TEST(who_swap_addresses_drain_when_both_listen)
{
	struct place place;
	const char *at, *awaited = NULL;

	enter_swap(&place, "'192.0.2.1:6443'");
	place.second_first = _i == 1;
	place_run(&place);
	for (at = place.told; (at = strstr(at, "await: ")) != NULL; at++)
		awaited = at;
	ck_assert_uint_eq(place_times_told(&place, "await: "), 2);
	ck_assert_uint_eq(place_times_told(&place, "drain: "), 2);
	ck_assert_msg(awaited < strstr(place.told, "drain: "), "%s", place.told);
	place_close(&place);
}
END_TEST

/* Until somebody else listens there. */
START_TEST(who_hands_an_address_to_one_that_fails_serves_on)
{
	struct place place;

	enter_swap(&place, "'unloadable:6443'");
	for (int i = 0; i < 2; i++) {
		place_run(&place);
		ck_assert_int_ne(place.second_err.kind, ERR_NONE);
		ck_assert_msg(place_times_told(&place, "drain: ") == 0, "%s", place.told);
		ck_assert_int_eq(place.last.result.err.kind, ERR_NONE);
	}
	want_second(&place, "7443", "'192.0.2.1:6443'");
	place_run(&place);
	ck_assert_int_eq(place.second_err.kind, ERR_NONE);
	ck_assert_msg(place_times_told(&place, "drain: ") == 2, "%s", place.told);
	place_close(&place);
}
END_TEST

/* The rollout of the other one's spec is slower, or is paused. */
START_TEST(who_hands_an_address_to_one_that_waits_for_its_turn_serves_on)
{
	struct place place;

	enter_swap(&place, "'192.0.2.1:6443'");
	want_second(&place, "7500", "'192.0.2.1:6443'");
	place.second_next = second_at("7443", "'192.0.2.1:6443'");
	for (int i = 0; i < 3; i++) {
		place_run(&place);
		ck_assert_int_eq(place.last.result.err.kind, ERR_NONE);
		ck_assert_msg(place_times_told(&place, "drain: ") == 0, "%s", place.told);
		/* Its removal is for later, and until then there is nothing to tell. */
		ck_assert_uint_eq(place.last.result.plan.n, 0);
		ck_assert_uint_eq(place.last.result.plan.later_n, 1);
		ck_assert_uint_eq(place_times_told(&place, "drift: "), i == 0);
		/* Its own rollout is done: nobody remembers the former version. */
		wanted_unref(place.former);
		place.former = NULL;
	}
	wanted_unref(place.second);
	place.second = place.second_next;
	place.second_next = NULL;
	place_run(&place);
	ck_assert_msg(place_times_told(&place, "drain: ") == 2, "%s", place.told);
	place_close(&place);
}
END_TEST

/* The label of the container says where it listens. */
START_TEST(who_hands_over_an_address_is_known_without_the_store)
{
	struct place place;

	enter_swap(&place, "'unloadable:6443'");
	place_run(&place);
	ck_assert_int_ne(place.second_err.kind, ERR_NONE);
	wanted_unref(place.former);
	place.former = NULL;
	place_forget(&place);
	memory_init(&place.memory);
	place.unproven = true;
	/* The host has another version of the other one than the spec: that is left there until its turn. */
	for (int i = 0; i < 2; i++) {
		place_run(&place);
		ck_assert_msg(place_times_told(&place, "drain: ") == 0, "%s", place.told);
		place.unproven = false;
	}
	ck_assert_int_ne(place.second_err.kind, ERR_NONE);
	place_close(&place);
}
END_TEST

/* It may serve on an address that nobody else gets: then it leaves, whoever fails. */
START_TEST(who_hands_over_nothing_drains_beside_one_that_fails)
{
	struct place place;

	enter_swap(&place, "'unloadable:6443'");
	want_second(&place, "7501", "'unloadable:6443'");
	place_run(&place);
	ck_assert_int_ne(place.second_err.kind, ERR_NONE);
	ck_assert_msg(place_times_told(&place, "drain: ") == 1, "%s", place.told);
	place_close(&place);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run");
	TCase *tcase = tcase_create("run");

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_test(tcase, what_is_new_is_made_and_then_left_alone);
	tcase_add_loop_test(tcase, a_change_is_made_true, 0, WORLDS);
	tcase_add_test(tcase, a_container_is_not_replaced_in_vain);
	tcase_add_test(tcase, a_changed_spec_is_tried_where_replacing_was_in_vain);
	tcase_add_test(tcase, what_has_left_and_is_started_again_is_stopped);
	tcase_add_test(tcase, each_pull_is_told_once);
	tcase_add_test(tcase, a_refused_removal_is_tried_again_in_the_same_run);
	tcase_add_test(tcase, what_is_not_wanted_any_more_goes);
	tcase_add_loop_test(tcase, who_swap_addresses_drain_when_both_listen, 0, 2);
	tcase_add_test(tcase, who_hands_an_address_to_one_that_fails_serves_on);
	tcase_add_test(tcase, who_hands_an_address_to_one_that_waits_for_its_turn_serves_on);
	tcase_add_test(tcase, who_hands_over_an_address_is_known_without_the_store);
	tcase_add_test(tcase, who_hands_over_nothing_drains_beside_one_that_fails);
	tcase_add_test(tcase, a_large_config_converges);
	tcase_add_loop_test(tcase, an_image_that_is_gone_is_in_nobodys_way, 0, N(imageless));
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
