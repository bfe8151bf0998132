/*
 * Runs that find containers of ours which no balancer that is known stands for
 * (core/found.h): when they go, how, and who waits for whom.
 */
#include <check.h>
#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/names.h"
#include "daemon/core/container_name.h"
#include "tests/run_worlds.h"
#include "tests/suite.h"
#include "tests/turned_clock.h"

/* The store is lost, and the balancer has got another name meanwhile: nobody knows what it was made for. */
static struct fake_container *add_orphan_at(struct place *place, const char *name, const char *spec,
					    const char *port)
{
	static unsigned token;
	struct wanted *former = wanted_named(name, CONFIG, OLD, port, "'192.0.2.1:6443'");
	struct json_object *request, *labels = NULL;
	struct fake_container *orphan;
	char text[TOKEN_HEX_SIZE];

	snprintf(text, sizeof(text), "%08x", ++token);
	request = wanted_create_with_token(former, text);

	json_object_object_get_ex(request, "Labels", &labels);
	json_object_object_add(labels, LABEL_SPEC, json_object_new_string(spec));
	orphan = fake_create(&place->machine, name, request);
	orphan->status = FAKE_RUNNING;
	orphan->loaded = xstrdup(former->config);
	wanted_unref(former);
	return orphan;
}

/* It listens where lb is to. */
static struct fake_container *add_orphan(struct place *place, const char *name, const char *spec)
{
	return add_orphan_at(place, name, spec, "7443");
}

static bool is_there(const struct place *place, const char *name)
{
	const struct fake_container *found = fake_find(&place->machine, name);

	return found && found->status == FAKE_RUNNING;
}

START_TEST(an_orphan_serves_until_what_its_spec_wants_does)
{
	const struct fake_container *orphan;
	struct place place;

	place_open(&place);
	place_add_bystander(&place);
	orphan = add_orphan(&place, "former", "prod");
	place_want(&place, OLD, "7443", "'unloadable:6443'");
	place_run(&place);
	ck_assert_int_ne(place.last.result.err.kind, ERR_NONE);
	ck_assert_msg(fake_find(&place.machine, "former") == orphan && orphan->status == FAKE_RUNNING, "%s",
		      place.machine.history);
	place_want(&place, OLD, "7443", "'192.0.2.1:6443'");
	place_run(&place);
	expect_as_wanted(&place, "with another name");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	expect_bystander(&place, "with another name");
	place_close(&place);
}
END_TEST

/* Its servers fail between the rehearsal and the start. */
static void cut_off_at_its_start(struct place *place)
{
	if (place_balancer(place))
		place_balancer(place)->cut_off = true;
}

START_TEST(who_starts_beside_another_and_sees_no_server_leaves_again)
{
	const struct fake_container *orphan;
	struct place place;

	place_open(&place);
	place_add_bystander(&place);
	orphan = add_orphan(&place, "former", "prod");
	place.each_turn = cut_off_at_its_start;
	place.machine.lasting = true;
	place_run(&place);
	ck_assert_msg(strstr(place.last.result.err.message, "former, which serves until this balancer does"),
		      "%s", place.last.result.err.message);
	ck_assert_msg(!place_balancer(&place), "%s", place.machine.history);
	ck_assert_msg(orphan->status == FAKE_RUNNING && !orphan->leaves, "%s", place.machine.history);
	/* What it has taken lives on. */
	ck_assert_uint_eq(place_containers(&place), 2);
	place.each_turn = NULL;
	place.machine.lasting = false;
	place_end_connections(&place);
	place_recover(&place);
	expect_as_wanted(&place, "when its servers are back");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	expect_bystander(&place, "when its servers are back");
	place_close(&place);
}
END_TEST

static void ended(struct place *place)
{
	fake_end(place_balancer(place), 1);
}

static void paused(struct place *place)
{
	place_balancer(place)->status = FAKE_PAUSED;
}

/* It has been there before, and nobody may need it any less. */
static void (*const mishaps_of_one[])(struct place *place) = {ended, paused};

START_TEST(who_has_served_comes_back_beside_another)
{
	const struct fake_container *orphan;
	struct place place;
	char id[65];

	place_open(&place);
	place_run(&place);
	strcpy(id, place_balancer(&place)->id);
	orphan = add_orphan(&place, "former", "prod");
	mishaps_of_one[_i](&place);
	place.each_turn = cut_off_at_its_start;
	place_run(&place);
	ck_assert_msg(place_balancer(&place) && strcmp(place_balancer(&place)->id, id) == 0 &&
			      place_balancer(&place)->status == FAKE_RUNNING,
		      "%s: %s", place.last.result.err.message, place.machine.history);
	ck_assert_msg(orphan->status == FAKE_RUNNING && !orphan->leaves, "%s", place.machine.history);
	place_close(&place);
}
END_TEST

/* What its spec wants on the host are two balancers, and where the orphan listens the first of them does, or
 * neither. */
enum { SERVING, CUT_OFF, /* its servers may be down for weeks */ UNMADE };
static const struct {
	int first, second;
	bool elsewhere, stays;
} peers[] = {
	{SERVING, SERVING, false, false}, {CUT_OFF, SERVING, false, true}, {SERVING, CUT_OFF, false, false},
	{CUT_OFF, CUT_OFF, false, true},  {UNMADE, SERVING, false, true},  {SERVING, UNMADE, false, false},
	{SERVING, SERVING, true, false},  {CUT_OFF, SERVING, true, false}, {SERVING, CUT_OFF, true, false},
	{CUT_OFF, CUT_OFF, true, true},   {UNMADE, SERVING, true, true},   {SERVING, UNMADE, true, true},
};

static struct wanted *second_of(const char *servers)
{
	return wanted_named("lb2", "/etc/haproxy-lb2/haproxy.cfg", OLD, "7444", servers);
}

static void enter_peers(struct place *place, int first, int second)
{
	place_want(place, OLD, "7443", "'192.0.2.1:6443'");
	place->second = second_of("'192.0.2.1:6443'");
	place_run(place);
	place_balancer(place)->cut_off = first == CUT_OFF;
	fake_find(&place->machine, "lb2")->cut_off = second == CUT_OFF;
	if (first == UNMADE)
		place_want(place, OLD, "7443", "'unloadable:6443'");
	if (second == UNMADE) {
		wanted_unref(place->second);
		place->second = second_of("'unloadable:6443'");
	}
}

START_TEST(an_orphan_stays_until_some_of_its_spec_serves_and_that_is_told)
{
	const char *told = peers[_i].stays ? "container former" : NULL;
	struct place place;

	place_open(&place);
	enter_peers(&place, peers[_i].first, peers[_i].second);
	add_orphan_at(&place, "former", "prod", peers[_i].elsewhere ? "7999" : "7443");
	for (int i = 0; i < 2; i++) {
		place_run(&place);
		ck_assert_msg(is_there(&place, "former") == peers[_i].stays, "%s%s", place.told,
			      place.machine.history);
		ck_assert_pstr_eq(place.waiting, told);
	}
	place.observe_only = true;
	place_run(&place);
	ck_assert_uint_eq(place.due, 0);
	ck_assert_uint_eq(place.later, peers[_i].stays);
	place_close(&place);
}
END_TEST

START_TEST(orphans_that_wait_are_in_nobodys_way)
{
	struct place place;

	place_open(&place);
	place_run(&place);
	place_balancer(&place)->cut_off = true;
	add_orphan_at(&place, "first", "gone", "7001");
	for (int i = 0; i < JOB_MAX_FOUND + 10; i++) {
		char *name = xasprintf("former-%d", i);

		add_orphan(&place, name, "prod");
		free(name);
	}
	add_orphan_at(&place, "last", "gone", "7002");
	place_run(&place);
	ck_assert(!is_there(&place, "first") && !is_there(&place, "last"));
	ck_assert_uint_eq(place_containers(&place), JOB_MAX_FOUND + 11);

	/* And then they go, a hundred in a run. */
	place_balancer(&place)->cut_off = false;
	place_run(&place);
	ck_assert_uint_eq(place_containers(&place), 11);
	place_run(&place);
	expect_as_wanted(&place, "after two runs");
	place_close(&place);
}
END_TEST

/* How they go. */

static struct fake_container *former_of(const struct place *place, const char *name,
					const struct fake_container *container)
{
	char *old = container_old_name(name, container->id);
	struct fake_container *found = fake_find(&place->machine, old);

	free(old);
	return found == container ? found : NULL;
}

static bool has_done(const struct place *place, const char *words)
{
	return place->machine.history && strstr(place->machine.history, words);
}

/* Its connections go on until they end; the run does not wait for that, and a later one removes it. */
static void expect_drains(struct place *place, struct fake_container *orphan, const char *name)
{
	place_run(place);
	ck_assert_msg(former_of(place, name, orphan) && orphan->leaves && orphan->status == FAKE_RUNNING,
		      "%s%s", place->told, place->machine.history);
	ck_assert_msg(!has_done(place, " stop"), "%s", place->machine.history);
	ck_assert_ptr_null(place->waiting);
	for (int i = 0; i < 3; i++) {
		turned_clock_turn(60000);
		place_run(place);
		ck_assert_msg(!place->machine.history, "not quiet: %s", place->machine.history);
	}
	ck_assert_uint_eq(place->later, 1);
}

static void gives_up_its_name(struct place *place, struct fake_container *orphan)
{
	(void)place, (void)orphan;
}

static void has_the_name_of_a_former_one(struct place *place, struct fake_container *orphan)
{
	(void)place;
	free(orphan->name);
	orphan->name = container_old_name("former", orphan->id);
}

static void has_been_told_before(struct place *place, struct fake_container *orphan)
{
	has_the_name_of_a_former_one(place, orphan);
	orphan->leaves = true;
}

static void was_a_successor(struct place *place, struct fake_container *orphan)
{
	(void)place;
	free(orphan->name);
	orphan->name = container_next_name("former");
}

static void is_paused(struct place *place, struct fake_container *orphan)
{
	(void)place;
	orphan->status = FAKE_PAUSED;
}

static void (*const guises[])(struct place *place, struct fake_container *orphan) = {
	gives_up_its_name, has_the_name_of_a_former_one, has_been_told_before, was_a_successor, is_paused,
};

START_TEST(an_orphan_whose_place_is_taken_drains)
{
	struct fake_container *orphan;
	struct place place;

	place_open(&place);
	place_run(&place);
	place.machine.lasting = true;
	orphan = add_orphan(&place, "former", "prod");
	guises[_i](&place, orphan);
	place.observe_only = true;
	place_run(&place);
	ck_assert_uint_eq(place.due, 1);
	place.observe_only = false;
	expect_drains(&place, orphan, "former");
	place_end_connections(&place);
	place_run(&place);
	expect_as_wanted(&place, "when its last connection has ended");
	place_close(&place);
}
END_TEST

static void take_socket(struct fake_container *orphan)
{
	struct json_object *env = NULL;

	ck_assert_int_eq(json_pointer_get(orphan->request, "/Env", &env), 0);
	ck_assert(json_object_array_length(env) > 0);
	json_object_array_del_idx(env, 0, json_object_array_length(env));
	ck_assert_str_eq(fake_token(orphan), "");
}

/* Its name says that it was told to drain, but nobody knows whether it has heard. */
START_TEST(a_former_one_that_was_not_asked_waits_for_what_takes_its_place)
{
	struct fake_container *orphan;
	struct place place;

	place_open(&place);
	place_run(&place);
	place.machine.lasting = true;
	place_balancer(&place)->cut_off = true;
	orphan = add_orphan(&place, "former", "prod");
	has_the_name_of_a_former_one(&place, orphan);
	take_socket(orphan);
	for (int i = 0; i < 2; i++) {
		place_run(&place);
		ck_assert_msg(!orphan->leaves && !place.machine.history, "%s%s", place.told,
			      place.machine.history);
		ck_assert_ptr_nonnull(place.waiting);
	}
	place_balancer(&place)->cut_off = false;
	expect_drains(&place, orphan, "former");
	place_close(&place);
}
END_TEST

/* The same for a HAProxy that does not say, although it may serve: only a closed socket tells that it drains.
 */
START_TEST(a_former_one_that_does_not_say_waits_for_what_takes_its_place)
{
	static const enum fake_mouth mouths[] = {MOUTH_FORBIDS, MOUTH_SILENT, MOUTH_REFUSES};
	struct fake_container *orphan;
	struct place place;

	place_open(&place);
	place_run(&place);
	place.machine.lasting = true;
	place_balancer(&place)->cut_off = true;
	orphan = add_orphan(&place, "former", "prod");
	has_the_name_of_a_former_one(&place, orphan);
	fake_engine_gag(place.engine, fake_token(orphan), mouths[_i]);
	for (int i = 0; i < 2; i++) {
		place_run(&place);
		ck_assert_msg(orphan->leaves == (mouths[_i] == MOUTH_REFUSES), "%s%s", place.told,
			      place.machine.history);
	}
	place_balancer(&place)->cut_off = false;
	fake_engine_gag(place.engine, fake_token(orphan), MOUTH_SPEAKS);
	place_run(&place);
	ck_assert(orphan->leaves);
	place_close(&place);
}
END_TEST

/* HAProxy ends by itself then; this is one that does not. */
START_TEST(an_orphan_that_does_not_end_is_stopped_in_the_end)
{
	struct fake_container *orphan;
	struct place place;

	place_open(&place);
	place_run(&place);
	place.machine.lasting = true;
	orphan = add_orphan(&place, "former", "prod");
	expect_drains(&place, orphan, "former");
	/* After a restart nobody knows since when: it is told once more, and its time begins again. */
	draining_clear(&place.draining);
	expect_drains(&place, orphan, "former");
	turned_clock_turn(place.wanted->instance.timeouts.drain_ms);
	place_run(&place);
	ck_assert(has_done(&place, " stop"));
	expect_as_wanted(&place, "in the end");
	place_close(&place);
}
END_TEST

/* Podman before 4.7 starts it again when its last connection has ended. */
START_TEST(an_orphan_that_is_started_again_is_stopped)
{
	struct place place;

	place_open(&place);
	place.machine.podman = true;
	place_run(&place);
	place.machine.lasting = true;
	add_orphan(&place, "former", "prod");
	place_run(&place);
	ck_assert_uint_eq(place_containers(&place), 2);
	place.machine.lasting = false;
	place_end_connections(&place);
	place_run(&place);
	expect_as_wanted(&place, "after that");
	place_close(&place);
}
END_TEST

/* Its clients have nowhere to go: it goes as a balancer does that has left its spec. */
START_TEST(an_orphan_with_nothing_in_its_place_is_stopped)
{
	struct place place;

	place_open(&place);
	place_run(&place);
	place.machine.lasting = true;
	add_orphan_at(&place, "former", "gone", "7999");
	place_run(&place);
	ck_assert_msg(has_done(&place, " stop"), "%s", place.machine.history);
	expect_as_wanted(&place, "at once");
	place_close(&place);
}
END_TEST

/* Of another spec, as after a rename of its file with the store lost: where it listens says whom it waits
 * for. */
START_TEST(an_orphan_waits_for_what_listens_where_it_does)
{
	struct fake_container *orphan;
	struct place place;

	place_open(&place);
	place_run(&place);
	place_balancer(&place)->cut_off = true;
	place.machine.lasting = true;
	orphan = add_orphan(&place, "former", "of-old");
	place_run(&place);
	ck_assert_msg(!place.machine.history, "%s", place.machine.history);
	ck_assert_pstr_eq(place.waiting, "container former");
	/* Also when both are without servers: then neither is worse. */
	orphan->cut_off = _i == 1;
	place_balancer(&place)->cut_off = _i == 1;
	expect_drains(&place, orphan, "former");
	place_close(&place);
}
END_TEST

/* Made for lb, which is another container by now. */
START_TEST(a_stray_waits_for_its_balancer_drains_and_is_told)
{
	struct fake_container *stray;
	struct place place;

	place_open(&place);
	place_run(&place);
	stray = place_rename(&place, "mine");
	place_want(&place, OLD, "7443", "'unloadable:6443'");
	place.machine.lasting = true;
	for (int i = 0; i < 2; i++) {
		place_run(&place);
		ck_assert_msg(is_there(&place, "mine") && !stray->leaves, "%s", place.machine.history);
		ck_assert_pstr_eq(place.waiting, "container mine");
		ck_assert_uint_eq(place_times_told(&place, "removing: "), 0);
	}
	place.observe_only = true;
	place_run(&place);
	ck_assert_uint_eq(place.due, 0);
	ck_assert_uint_eq(place.later, 1);
	place.observe_only = false;
	place_want(&place, OLD, "7443", "'192.0.2.1:6443'");
	expect_drains(&place, stray, "mine");
	place_end_connections(&place);
	place_run(&place);
	expect_as_wanted(&place, "when its last connection has ended");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	place_close(&place);
}
END_TEST

/* What takes its place has just started: a plan looks again, too, so that it shows what the run does. */
START_TEST(what_takes_its_place_is_given_a_moment)
{
	struct fake_container *orphan;
	struct place place;

	place_open(&place);
	place_run(&place);
	place.machine.lasting = true;
	orphan = add_orphan(&place, "former", "prod");
	place_balancer(&place)->unchecked = 2;
	place.observe_only = _i == 1;
	place_run(&place);
	ck_assert_ptr_null(place.waiting);
	ck_assert_int_eq(place_balancer(&place)->unchecked, 0);
	ck_assert_int_eq(orphan->leaves, !place.observe_only);
	ck_assert_uint_eq(place.due, place.observe_only);
	place_close(&place);
}
END_TEST

/* Each is one by itself, also those that have one balancer's name in theirs. */
START_TEST(containers_of_one_name_go_in_one_run)
{
	struct fake_container *waits;
	struct place place;

	place_open(&place);
	place_run(&place);
	place_balancer(&place)->cut_off = true;
	waits = add_orphan(&place, "former", "prod");
	was_a_successor(&place, add_orphan_at(&place, "former-a", "gone", "7001"));
	has_the_name_of_a_former_one(&place, add_orphan_at(&place, "former-b", "gone", "7002"));
	was_a_successor(&place, add_orphan_at(&place, "xx", "gone", "7003"));
	has_the_name_of_a_former_one(&place, add_orphan_at(&place, "yy", "gone", "7004"));
	place_run(&place);
	ck_assert_uint_eq(place_containers(&place), 2);
	ck_assert(is_there(&place, "former") && !waits->leaves);
	ck_assert_pstr_eq(place.waiting, "container former");
	place_close(&place);
}
END_TEST

/* Those that drain are in nobody's way either, and none is told twice. */
START_TEST(orphans_that_drain_are_in_nobodys_way)
{
	struct place place;

	place_open(&place);
	place_run(&place);
	place.machine.lasting = true;
	for (int i = 0; i < 2 * JOB_MAX_FOUND; i++) {
		char *name = xasprintf("former-%d", i);

		add_orphan(&place, name, "prod");
		free(name);
	}
	for (size_t runs = 1; runs <= 2; runs++) {
		size_t n = 0;

		place_run(&place);
		for (const struct fake_container *c = place.machine.containers; c; c = c->next)
			n += c->leaves;
		ck_assert_uint_eq(n, runs * JOB_MAX_FOUND);
		ck_assert_uint_eq(place.draining.n, n);
	}
	place_run(&place);
	ck_assert_msg(!place.machine.history, "%s", place.machine.history);
	place_end_connections(&place);
	place_recover(&place);
	expect_as_wanted(&place, "after all");
	place_close(&place);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run_found");
	TCase *tcase = tcase_create("run_found");

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_test(tcase, an_orphan_serves_until_what_its_spec_wants_does);
	tcase_add_test(tcase, who_starts_beside_another_and_sees_no_server_leaves_again);
	tcase_add_loop_test(tcase, who_has_served_comes_back_beside_another, 0, N(mishaps_of_one));
	tcase_add_loop_test(tcase, an_orphan_stays_until_some_of_its_spec_serves_and_that_is_told, 0,
			    N(peers));
	tcase_add_test(tcase, orphans_that_wait_are_in_nobodys_way);
	tcase_add_loop_test(tcase, an_orphan_whose_place_is_taken_drains, 0, N(guises));
	tcase_add_test(tcase, a_former_one_that_was_not_asked_waits_for_what_takes_its_place);
	tcase_add_loop_test(tcase, a_former_one_that_does_not_say_waits_for_what_takes_its_place, 0, 3);
	tcase_add_test(tcase, an_orphan_that_does_not_end_is_stopped_in_the_end);
	tcase_add_test(tcase, an_orphan_that_is_started_again_is_stopped);
	tcase_add_test(tcase, an_orphan_with_nothing_in_its_place_is_stopped);
	tcase_add_loop_test(tcase, an_orphan_waits_for_what_listens_where_it_does, 0, 2);
	tcase_add_test(tcase, a_stray_waits_for_its_balancer_drains_and_is_told);
	tcase_add_loop_test(tcase, what_takes_its_place_is_given_a_moment, 0, 2);
	tcase_add_test(tcase, containers_of_one_name_go_in_one_run);
	tcase_add_test(tcase, orphans_that_drain_are_in_nobodys_way);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
