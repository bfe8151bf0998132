/*
 * The daemon over hosts in memory (fleet_lab.h): who is looked after, when, and how many at a time;
 * what is repaired, removed and left alone, also when the daemon is stopped in the middle of it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/fleet_lab.h"
#include "tests/suite.h"
#include "tests/turned_clock.h"

static void setup(void)
{
	lab_open(3);
}

static void teardown(void)
{
	lab_close();
}

START_TEST(what_specs_want_is_made_on_every_host)
{
	lab_write_prod(3, LAB_OLD, "");
	lab_start();
	lab_converge();
	ck_assert_uint_eq(lab_count(LAB_OLD), 3);
	for (size_t i = 1; i <= 3; i++) {
		ck_assert_str_eq(lab_phase(i, "lb"), "converged");
		ck_assert_uint_eq(lab_containers(i), 1);
		ck_assert_uint_eq(fake_ssh_sessions("h1"), 1);
	}
	ck_assert_uint_ge(lab.quiet, 1);
}
END_TEST

static size_t changes(void)
{
	size_t n = 0;

	for (size_t i = 1; i <= lab.hosts; i++)
		n += lab_machine(i)->history != NULL;
	return n;
}

static void forget_history(void)
{
	for (size_t i = 1; i <= lab.hosts; i++)
		FREE(lab_machine(i)->history);
}

START_TEST(a_fleet_that_is_as_wanted_is_looked_at_and_left_alone)
{
	size_t before;

	lab_write_prod(3, LAB_OLD, "");
	lab_start();
	lab_converge();
	forget_history();
	before = fake_engine_requests(lab_engine(2));
	lab_pass(5 * lab.settings.resync_ms);
	ck_assert_uint_gt(fake_engine_requests(lab_engine(2)), before + 5);
	ck_assert_uint_eq(changes(), 0);
	ck_assert_uint_eq(fake_ssh_attempts("h2"), 1);
}
END_TEST

START_TEST(drift_is_repaired_at_the_next_look)
{
	lab_write_prod(3, LAB_OLD, "");
	lab_start();
	lab_converge();
	fake_remove(lab_machine(2), lab_container(2, "lb"));
	fake_end(lab_container(3, "lb"), 1);
	lab_pass(lab.settings.resync_ms + 5000);
	ck_assert_uint_eq(lab_count(LAB_OLD), 3);
	ck_assert_uint_ge(lab_events("drift", ""), 2);
}
END_TEST

/* How many at a time. */

/* Runs until all hosts have run; no more than that many at a time. */
static void converge_within_places(size_t places)
{
	size_t most = 0;

	LAB_UNTIL(({
		size_t now = fleet_running(lab.fleet);

		most = now > most ? now : most;
		lab_count(LAB_OLD) == lab.hosts;
	}));
	ck_assert_uint_eq(most, places);
}

START_TEST(no_more_hosts_run_than_there_are_places)
{
	lab.settings.concurrency = _i;
	lab_write_prod(3, LAB_OLD, "");
	lab_start();
	converge_within_places((size_t)_i);
}
END_TEST

START_TEST(more_places_are_there_at_once)
{
	lab.settings.concurrency = 1;
	lab_write_prod(3, LAB_OLD, "");
	lab_start();
	ck_assert_uint_eq(fleet_running(lab.fleet), 1);
	lab.settings.concurrency = 3;
	fleet_settings_changed(lab.fleet);
	ck_assert_uint_eq(fleet_running(lab.fleet), 3);
}
END_TEST

START_TEST(who_never_answers_takes_no_place_of_others)
{
	lab.settings.concurrency = 1;
	fake_ssh_answer("h1", ANSWERS_NEVER);
	lab_write_prod(3, LAB_OLD, "");
	lab_start();
	/* It takes the one place once, until it is known. */
	LAB_UNTIL(lab_count(LAB_OLD) == 2);
	for (int i = 0; i < 4; i++) {
		fake_remove(lab_machine(3), lab_container(3, "lb"));
		lab_pass(lab.settings.resync_ms + 2000);
		ck_assert(lab_runs(3, LAB_OLD));
	}
	ck_assert_str_eq(lab_phase(1, "lb"), "unreachable");
}
END_TEST

START_TEST(hosts_are_looked_at_as_often_as_the_settings_say)
{
	size_t often, seldom, before;

	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	before = fake_engine_requests(lab_engine(1));
	lab_pass(600000);
	often = fake_engine_requests(lab_engine(1)) - before;
	lab.settings.resync_ms = 300000;
	fleet_settings_changed(lab.fleet);
	lab_pass(60000);
	before = fake_engine_requests(lab_engine(1));
	lab_pass(600000);
	seldom = fake_engine_requests(lab_engine(1)) - before;
	ck_assert_uint_ge(often, 8 * seldom);
	ck_assert_uint_gt(seldom, 0);
}
END_TEST

/* Hosts that cannot be reached. */

START_TEST(who_refuses_is_tried_often_then_seldom_and_found_again)
{
	size_t blips, later;

	fake_ssh_answer("h2", ANSWERS_REFUSING);
	lab_write_prod(2, LAB_OLD, "");
	lab_start();
	lab_pass(50000);
	/* Within retryTimeout, each retryInterval; nobody says yet that it cannot be reached. */
	blips = fake_ssh_attempts("h2");
	ck_assert_uint_ge(blips, 45);
	ck_assert_str_ne(lab_phase(2, "lb"), "unreachable");
	lab_pass(20000);
	ck_assert_str_eq(lab_phase(2, "lb"), "unreachable");
	ck_assert_msg(strstr(lab_error(2, "lb"), "ssh://root@h2:22: connection refused"), "%s",
		      lab_error(2, "lb"));
	later = fake_ssh_attempts("h2");
	lab_pass(600000);
	ck_assert_uint_le(fake_ssh_attempts("h2") - later, 20);
	ck_assert_uint_ge(fake_ssh_attempts("h2") - later, 10);
	ck_assert(lab_runs(1, LAB_OLD));
	fake_ssh_answer("h2", ANSWERS_WELL);
	lab_pass(70000);
	ck_assert(lab_runs(2, LAB_OLD));
	ck_assert_str_eq(lab_phase(2, "lb"), "converged");
	ck_assert_uint_eq(lab_events("reachable", "reachable again after"), 1);
}
END_TEST

START_TEST(who_denies_is_said_to_at_once)
{
	fake_ssh_answer("h2", ANSWERS_DENYING);
	lab_write_prod(2, LAB_OLD, "");
	lab_start();
	lab_pass(5000);
	ck_assert_str_eq(lab_phase(2, "lb"), "unreachable");
	ck_assert_msg(strstr(lab_error(2, "lb"), "authentication refused"), "%s", lab_error(2, "lb"));
}
END_TEST

START_TEST(a_lost_connection_is_made_again)
{
	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	fake_ssh_lose("h1", false);
	lab_pass(100);
	ck_assert_uint_eq(lab_events("connection-lost", "connection reset by peer"), 1);
	ck_assert_uint_eq(fake_ssh_sessions("h1"), 0);
	lab_pass(5000);
	ck_assert_uint_eq(fake_ssh_sessions("h1"), 1);
	ck_assert_str_eq(lab_phase(1, "lb"), "converged");
	/* One that somebody must do something about is no blip. */
	fake_ssh_answer("h1", ANSWERS_DENYING);
	fake_ssh_lose("h1", true);
	lab_pass(100);
	ck_assert_str_eq(lab_phase(1, "lb"), "unreachable");
	ck_assert_msg(strstr(lab_error(1, "lb"), "host key has changed"), "%s", lab_error(1, "lb"));
}
END_TEST

/* sshd, or a firewall, ends each connection that is idle for a moment: the host is reached each time, and yet
 * not asked all the time. */
START_TEST(a_host_that_ends_each_connection_is_left_in_peace)
{
	size_t before;

	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	before = fake_ssh_attempts("h1");
	for (int i = 0; i < 1200; i++) {
		if (fleet_running(lab.fleet) == 0)
			fake_ssh_lose("h1", false);
		lab_pass(500);
	}
	/* Within ten minutes, at each resync, which comes after 27 s or more, and a few times at first. */
	ck_assert_uint_le(fake_ssh_attempts("h1") - before, 600 / 27 + 5);
	ck_assert_uint_ge(fake_ssh_attempts("h1") - before, 600 / 32);
	ck_assert_str_eq(lab_phase(1, "lb"), "converged");
	/* One that has lasted is made again at once. */
	lab_pass(100000);
	fake_ssh_lose("h1", false);
	lab_pass(2000);
	ck_assert_uint_eq(fake_ssh_sessions("h1"), 1);
}
END_TEST

START_TEST(a_connection_that_is_lost_in_a_run_costs_the_run_only)
{
	lab_write_prod(1, LAB_OLD, "");
	fake_engine_fail(lab_engine(1), 8, FAULT_SILENT);
	lab_start();
	LAB_UNTIL(fake_engine_has_failed(lab_engine(1)));
	fake_ssh_lose("h1", false);
	lab_converge();
	ck_assert(lab_runs(1, LAB_OLD));
	ck_assert_uint_eq(lab_containers(1), 1);
}
END_TEST

START_TEST(new_credentials_are_for_the_next_connection)
{
	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	forget_history();
	lab_write_prod(1, LAB_OLD, "# other words\n");
	lab_pass(60000);
	ck_assert_uint_eq(fake_ssh_attempts("h1"), 1);
	lab_write("prod", "%s",
		  "image: " LAB_OLD "\nname: lb\nservers: [\"192.0.2.1:6443\", \"192.0.2.2:6443\"]\n"
		  "bindAddress: 192.0.2.9:7443\nhostConfigPath: /etc/haproxy-lb/haproxy.cfg\n"
		  "ssh: {password: another}\napiLoadBalancers:\n- {host: {ssh: {address: h1}}}\n");
	lab_pass(60000);
	ck_assert_uint_eq(fake_ssh_attempts("h1"), 2);
	ck_assert_uint_eq(changes(), 0);
}
END_TEST

/* Edits. */

START_TEST(an_edit_during_a_run_is_done_after_it)
{
	lab_write_prod(1, LAB_OLD, "rollout: {settle: 0s}\n");
	fake_engine_fail(lab_engine(1), 8, FAULT_SILENT);
	lab_start();
	LAB_UNTIL(fake_engine_has_failed(lab_engine(1)));
	ck_assert_uint_eq(fleet_running(lab.fleet), 1);
	lab_write_prod(_i == 0 ? 1 : 0, LAB_NEW, "rollout: {settle: 0s}\n");
	lab_pass(300000);
	ck_assert_uint_eq(lab_count(LAB_NEW), _i == 0 ? 1 : 0);
	ck_assert_uint_eq(lab_containers(1), _i == 0 ? 1 : 0);
}
END_TEST

#define CONFIG "/etc/haproxy-lb/haproxy.cfg"

/* What came about after the run had looked is seen by the one that was asked for, not by the next look. */
START_TEST(who_is_asked_to_run_during_a_run_runs_again)
{
	size_t before, requests;

	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	before = fake_engine_requests(lab_engine(1));
	ck_assert_uint_eq(fleet_kick(lab.fleet, "prod"), 1);
	LAB_UNTIL(fleet_running(lab.fleet) == 0);
	requests = fake_engine_requests(lab_engine(1)) - before;
	before = fake_engine_requests(lab_engine(1));
	fleet_kick(lab.fleet, "prod");
	LAB_UNTIL(fake_engine_requests(lab_engine(1)) == before + requests);
	ck_assert_uint_eq(fleet_running(lab.fleet), 1);
	fake_file_write(lab_machine(1), CONFIG, "# mine\n", strlen("# mine\n"), 0644);
	fleet_kick(lab.fleet, "prod");
	lab_pass(2000);
	ck_assert_str_ne(fake_file_find(lab_machine(1), CONFIG)->text, "# mine\n");
}
END_TEST

START_TEST(a_bad_edit_leaves_its_last_good_version_in_force)
{
	static const char *const bad[] = {"image: [\n", "servers: 5\n", "",
					  "apiLoadBalancers: []\nnonsense: 1\n"};

	lab_write_prod(2, LAB_OLD, "");
	lab_start();
	lab_converge();
	lab_write("prod", "%s", bad[_i]);
	fake_remove(lab_machine(2), lab_container(2, "lb"));
	lab_pass(60000);
	ck_assert_uint_eq(lab_count(LAB_OLD), 2);
	ck_assert(!fleet_is_converged(lab.fleet));
	/* Also after a restart. */
	lab_stop();
	fake_remove(lab_machine(1), lab_container(1, "lb"));
	lab_start();
	lab_pass(60000);
	ck_assert_uint_eq(lab_count(LAB_OLD), 2);
	lab_write_prod(2, LAB_OLD, "");
	lab_converge();
}
END_TEST

START_TEST(two_specs_that_want_one_place_are_both_named)
{
	char *body;

	lab_write_prod(2, LAB_OLD, "");
	lab_start();
	lab_converge();
	forget_history();
	lab_write("rival", "%s",
		  "image: " LAB_NEW "\nname: lb\nservers: [\"192.0.2.1:6443\"]\n"
		  "bindAddress: 192.0.2.9:7444\nhostConfigPath: /etc/haproxy-rival/haproxy.cfg\n"
		  "ssh: {password: secret}\napiLoadBalancers:\n- {host: {ssh: {address: h2}}}\n");
	lab_pass(60000);
	ck_assert_uint_eq(changes(), 0);
	ck_assert_int_eq(lab_get("/v1/status?spec=rival", &body), 200);
	ck_assert_msg(strstr(body, "\"valid\":false") && strstr(body, "prod"), "%s", body);
	free(body);
	/* When the first gives it up, the second gets it. */
	lab_write_prod(1, LAB_OLD, "");
	lab_pass(60000);
	ck_assert(lab_runs(1, LAB_OLD) && lab_runs(2, LAB_NEW));
	ck_assert_uint_eq(lab_containers(2), 1);
}
END_TEST

/* Restarts. */

START_TEST(a_restart_changes_nothing)
{
	lab_write_prod(3, LAB_OLD, "");
	lab_start();
	lab_converge();
	lab_stop();
	forget_history();
	if (_i == 1) {
		char *state = xasprintf("%s/apilbd.db", lab.settings.state_dir);

		ck_assert_int_eq(unlink(state), 0);
		free(state);
	}
	lab_start();
	lab_converge();
	lab_pass(100000);
	ck_assert_uint_eq(changes(), 0);
	ck_assert_uint_eq(lab_count(LAB_OLD), 3);
}
END_TEST

/* Of a daemon that does not run. */
static void copy_store(const char *from, const char *to)
{
	char *command =
		xasprintf("cp '%s/%s' '%s/%s'", lab.settings.state_dir, from, lab.settings.state_dir, to);

	ck_assert_int_eq(system(command), 0);
	free(command);
}

/* The store is an older one: the host has what the spec wants. While it is looked at, it is wanted no more.
 */
START_TEST(an_edit_during_the_first_look_costs_no_connection)
{
	lab_write_prod(1, LAB_OLD, "rollout: {settle: 0s}\n");
	lab_start();
	lab_converge();
	lab_stop();
	copy_store("apilbd.db", "older");
	lab_start();
	lab_write_prod(1, LAB_NEW, "rollout: {settle: 0s}\n");
	lab_converge();
	lab_stop();
	copy_store("older", "apilbd.db");
	fake_engine_gag(lab_engine(1), NULL, MOUTH_SLOW);
	lab_start();
	LAB_UNTIL(fleet_running(lab.fleet) == 1);
	lab_pass(10);
	if (_i == 0)
		lab_write_prod(1, LAB_OLD, "rollout: {settle: 0s}\n");
	else
		lab_write_prod(1, LAB_NEW, "rollout: {settle: 0s}\nbalance: roundrobin\n");
	ck_assert_uint_eq(fleet_running(lab.fleet), 1);
	fake_engine_gag(lab_engine(1), NULL, MOUTH_SPEAKS);
	lab_pass(1000);
	LAB_UNTIL(lab_runs(1, _i == 0 ? LAB_OLD : LAB_NEW));
	lab_converge();
	ck_assert_uint_eq(lab_containers(1), 1);
	ck_assert_uint_eq(fake_engine_outages(lab_engine(1)), 0);
	ck_assert_uint_eq(lab_events("found", "has what the spec wants already"), 0);
}
END_TEST

/* What is tried while one of its requests fails, or is the last before the daemon's end. */

#define AT_ONCE "rollout: {settle: 0s}\n"

static void begin_with_none(void)
{
	lab.hasty = true;
}

static void begin_with_one(void)
{
	lab_write_prod(1, LAB_OLD, AT_ONCE);
	lab_start();
	lab_converge();
	lab.hasty = true;
}

static void make_it(void)
{
	lab_write_prod(1, LAB_OLD, AT_ONCE);
	lab_start();
}

static void change_its_image(void)
{
	lab_write_prod(1, LAB_NEW, AT_ONCE);
}

static void change_its_config(void)
{
	lab_write_prod(1, LAB_OLD, AT_ONCE "balance: roundrobin\n");
}

static void remove_it(void)
{
	lab_write_prod(0, LAB_OLD, "");
}

static const struct story {
	const char *name;
	void (*begin)(void), (*act)(void);
	const char *image; /* what runs in the end; NULL: nothing is left */
	size_t requests;   /* it takes more than so many */
} stories[] = {
	{"made", begin_with_none, make_it, LAB_OLD, 20},
	{"image changed", begin_with_one, change_its_image, LAB_NEW, 30},
	{"config changed", begin_with_one, change_its_config, LAB_OLD, 20},
	{"removed", begin_with_one, remove_it, NULL, 3},
};

static bool is_told(const struct story *story)
{
	return fleet_running(lab.fleet) == 0 && fleet_is_converged(lab.fleet) &&
	       lab_containers(1) == (story->image ? 1 : 0) && (!story->image || lab_runs(1, story->image));
}

/* Within ten minutes, whatever went wrong. */
static void expect_end(const struct story *story, size_t nth, const char *how)
{
	int64_t limit = turned_clock_ms() + 600000;

	while (!is_told(story))
		ck_assert_msg(lab_turn(limit), "%s, request %zu %s: %zu containers\n%s\n%s", story->name, nth,
			      how, lab_containers(1), lab_told(), lab_machine(1)->history);
}

/* Until the request was made. False: there are not so many, until all hosts are looked at again. */
static bool tell_until(const struct story *story, size_t nth, enum fake_fault how)
{
	int64_t limit;

	story->begin();
	fake_engine_fail(lab_engine(1), nth, how);
	story->act();
	limit = turned_clock_ms() + 20000;
	while (!fake_engine_has_failed(lab_engine(1)))
		if (!lab_turn(limit))
			return false;
	return true;
}

static void begin_anew(void)
{
	lab_close();
	lab_open(1);
}

START_TEST(the_daemon_may_end_at_each_request)
{
	const struct story *story = &stories[_i];
	size_t nth = 1;

	for (begin_anew(); tell_until(story, nth, nth % 2 ? FAULT_SILENT : FAULT_CUT_AFTER); begin_anew()) {
		lab_stop();
		lab_start();
		expect_end(story, nth++, "was the last of a daemon");
	}
	ck_assert_uint_gt(nth, story->requests);
}
END_TEST

/* In each way that is possible at a run by itself (check_run_faults); here in one way after the other. */
START_TEST(any_request_of_a_fleet_may_fail)
{
	const struct story *story = &stories[_i];
	size_t nth = 1;

	for (begin_anew(); tell_until(story, nth, (enum fake_fault)(nth % FAULTS)); begin_anew(), nth++)
		expect_end(story, nth, fake_fault_names[nth % FAULTS]);
	ck_assert_uint_gt(nth, story->requests);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fleet");
	TCase *tcase = tcase_create("fleet"), *faults = tcase_create("faults");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, what_specs_want_is_made_on_every_host);
	tcase_add_test(tcase, a_fleet_that_is_as_wanted_is_looked_at_and_left_alone);
	tcase_add_test(tcase, drift_is_repaired_at_the_next_look);
	tcase_add_loop_test(tcase, no_more_hosts_run_than_there_are_places, 1, 4);
	tcase_add_test(tcase, more_places_are_there_at_once);
	tcase_add_test(tcase, who_never_answers_takes_no_place_of_others);
	tcase_add_test(tcase, hosts_are_looked_at_as_often_as_the_settings_say);
	tcase_add_test(tcase, who_refuses_is_tried_often_then_seldom_and_found_again);
	tcase_add_test(tcase, who_denies_is_said_to_at_once);
	tcase_add_test(tcase, a_lost_connection_is_made_again);
	tcase_add_test(tcase, a_host_that_ends_each_connection_is_left_in_peace);
	tcase_add_test(tcase, a_connection_that_is_lost_in_a_run_costs_the_run_only);
	tcase_add_test(tcase, new_credentials_are_for_the_next_connection);
	tcase_add_loop_test(tcase, an_edit_during_a_run_is_done_after_it, 0, 2);
	tcase_add_test(tcase, who_is_asked_to_run_during_a_run_runs_again);
	tcase_add_loop_test(tcase, a_bad_edit_leaves_its_last_good_version_in_force, 0, 4);
	tcase_add_test(tcase, two_specs_that_want_one_place_are_both_named);
	tcase_add_loop_test(tcase, a_restart_changes_nothing, 0, 2);
	tcase_add_loop_test(tcase, an_edit_during_the_first_look_costs_no_connection, 0, 2);
	suite_add_tcase(suite, tcase);
	tcase_add_checked_fixture(faults, setup, teardown);
	tcase_add_loop_test(faults, the_daemon_may_end_at_each_request, 0, N(stories));
	tcase_add_loop_test(faults, any_request_of_a_fleet_may_fail, 0, N(stories));
	suite_add_tcase(suite, faults);
	return suite_run(suite);
}
