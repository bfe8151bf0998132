/*
 * A change goes over the hosts of a spec (fleet_lab.h): canary, waves, halt and revert, pauses; with hosts
 * that cannot be reached, and a daemon that is started anew in the middle.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/fleet_lab.h"
#include "tests/suite.h"
#include "tests/turned_clock.h"

#define HOSTS 4
#define SETTLE_MS 10000
#define ROLLOUT "rollout: {canary: 1, parallel: 2, settle: 10s}\n"

static void setup(void)
{
	lab_open(HOSTS);
	lab_write_prod(HOSTS, LAB_OLD, ROLLOUT);
	lab_start();
	lab_converge();
}

static void teardown(void)
{
	lab_close();
}

/* When each host first ran the new image, since the edit. */
static void watch_change(int64_t at_ms[HOSTS])
{
	int64_t began = turned_clock_ms(), limit = lab_limit_ms();

	for (size_t i = 0; i < HOSTS; i++)
		at_ms[i] = -1;
	lab.hasty = true;
	lab_write_prod(HOSTS, LAB_NEW, ROLLOUT);
	while (lab_count(LAB_NEW) < HOSTS) {
		ck_assert_msg(lab_turn(limit), "%s", lab_told());
		for (size_t i = 0; i < HOSTS; i++)
			if (at_ms[i] < 0 && lab_runs(i + 1, LAB_NEW))
				at_ms[i] = turned_clock_ms() - began;
	}
}

START_TEST(the_canary_is_first_and_the_others_come_in_waves)
{
	int64_t at_ms[HOSTS];

	watch_change(at_ms);
	ck_assert_int_lt(at_ms[0], 5000);
	for (size_t i = 1; i < HOSTS; i++)
		ck_assert_int_ge(at_ms[i], at_ms[0] + SETTLE_MS);
	/* Two at a time, and the window slides when one of them has settled. */
	ck_assert_int_lt(at_ms[1], at_ms[0] + 2 * SETTLE_MS);
	ck_assert_int_lt(at_ms[2], at_ms[0] + 2 * SETTLE_MS);
	ck_assert_int_ge(at_ms[3], at_ms[1] + SETTLE_MS);
	lab_converge();
	ck_assert_str_eq(lab_rollout("prod"), "");
	ck_assert_uint_eq(lab_events("rollout-done", ""), 1);
}
END_TEST

START_TEST(who_waits_is_kept_at_what_it_has)
{
	lab_write_prod(HOSTS, LAB_NEW, ROLLOUT);
	LAB_UNTIL(lab_runs(1, LAB_NEW));
	ck_assert_str_eq(lab_rollout("prod"), "rolling");
	fake_remove(lab_machine(4), lab_container(4, "lb"));
	lab_pass(1000);
	lab_post("/v1/reconcile?spec=prod", NULL);
	LAB_UNTIL(lab_container(4, "lb"));
	LAB_UNTIL(fleet_running(lab.fleet) == 0);
	ck_assert(lab_runs(4, LAB_OLD));
	lab_converge();
	ck_assert_uint_eq(lab_count(LAB_NEW), HOSTS);
}
END_TEST

/* HAProxy refuses the config. */
#define REFUSED "healthCheck: {path: /unloadable}\n"

static const char *config_of(size_t host)
{
	const struct fake_container *container = lab_container(host, "lb");

	return container && container->loaded ? container->loaded : "";
}

static size_t configs_with(const char *words)
{
	size_t n = 0;

	for (size_t i = 1; i <= HOSTS; i++)
		n += strstr(config_of(i), words) != NULL;
	return n;
}

START_TEST(what_a_canary_refuses_goes_no_further)
{
	lab_write_prod(HOSTS, LAB_OLD, ROLLOUT REFUSED);
	LAB_ASK_UNTIL(strcmp(lab_rollout("prod"), "halted") == 0);
	lab_pass(600000);
	ck_assert_uint_eq(configs_with("unloadable"), 0);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	ck_assert_str_eq(lab_phase(1, "lb"), "failed");
	ck_assert_uint_eq(lab_events("rollout-halted", "0 of 4 hosts"), 1);
	for (size_t i = 2; i <= HOSTS; i++)
		ck_assert_ptr_null(strstr(fake_file_find(lab_machine(i), "/etc/haproxy-lb/haproxy.cfg")->text,
					  "unloadable"));
	/* Also after a restart. */
	lab_stop();
	lab_start();
	lab_pass(60000);
	ck_assert_str_eq(lab_rollout("prod"), "halted");
	ck_assert_uint_eq(configs_with("unloadable"), 0);
	/* A better edit starts over. */
	lab_write_prod(HOSTS, LAB_NEW, ROLLOUT);
	LAB_UNTIL(lab_count(LAB_NEW) == HOSTS);
	lab_converge();
}
END_TEST

START_TEST(resume_goes_on_past_what_has_failed)
{
	lab_write_prod(HOSTS, LAB_OLD, ROLLOUT REFUSED);
	LAB_ASK_UNTIL(strcmp(lab_rollout("prod"), "halted") == 0);
	ck_assert_int_eq(lab_post("/v1/resume?spec=prod", NULL), 202);
	LAB_ASK_UNTIL(strcmp(lab_phase(2, "lb"), "failed") == 0);
	LAB_ASK_UNTIL(strcmp(lab_rollout("prod"), "halted") == 0);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	/* Back to what all have: it is over. */
	lab_write_prod(HOSTS, LAB_OLD, ROLLOUT);
	lab_converge();
	ck_assert_str_eq(lab_rollout("prod"), "");
	ck_assert_int_eq(lab_post("/v1/resume?spec=prod", NULL), 409);
}
END_TEST

static void write_servers(const char *servers, const char *on_failure)
{
	char *list = xstrdup("");

	for (size_t i = 1; i <= HOSTS; i++) {
		char *longer = xasprintf("%s- {host: {ssh: {address: h%zu}}}\n", list, i);

		free(list);
		list = longer;
	}
	lab_write("prod",
		  "image: " LAB_OLD "\nname: lb\nservers: [\"%s\"]\nbindAddress: 192.0.2.9:7443\n"
		  "hostConfigPath: /etc/haproxy-lb/haproxy.cfg\nssh: {password: secret}\n"
		  "rollout: {canary: 1, parallel: 2, settle: 10s, onFailure: %s}\napiLoadBalancers:\n%s",
		  servers, on_failure, list);
	free(list);
}

/* That is found out before anything is touched. */
START_TEST(servers_that_no_host_reaches_go_nowhere)
{
	write_servers(FAKE_DEAD_SERVER ":6443", "halt");
	LAB_ASK_UNTIL(strcmp(lab_rollout("prod"), "halted") == 0);
	lab_pass(120000);
	ck_assert_uint_eq(configs_with(FAKE_DEAD_SERVER), 0);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	ck_assert_msg(strstr(lab_error(1, "lb"), "sees none of the 1 wanted servers up"), "%s",
		      lab_error(1, "lb"));
	write_servers("192.0.2.4:6443", "halt");
	LAB_UNTIL(configs_with("192.0.2.4") == HOSTS);
	lab_converge();
}
END_TEST

#define REVERTS "rollout: {canary: 1, parallel: 2, settle: 10s, onFailure: revert}\n"

/* Its canary gets the change, and loses all its servers while it is watched. */
static void lose_canary(const char *rollout)
{
	lab_write_prod(HOSTS, LAB_NEW, rollout);
	LAB_UNTIL(lab_runs(1, LAB_NEW));
	lab_container(1, "lb")->cut_off = true;
}

START_TEST(a_canary_that_loses_its_servers_stops_the_rollout)
{
	const char *stopped = _i == 0 ? "halted" : "reverted";
	size_t changed = _i == 0 ? 1 : 0;

	lose_canary(_i == 0 ? ROLLOUT : REVERTS);
	LAB_ASK_UNTIL(strcmp(lab_rollout("prod"), stopped) == 0);
	lab_pass(120000);
	ck_assert_uint_eq(lab_count(LAB_NEW), changed);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS - changed);
	ck_assert_uint_eq(lab_events(_i == 0 ? "rollout-halted" : "rollout-reverted", "0 of 4 hosts"), 1);
	/* It stays so after a restart. */
	lab_stop();
	lab_start();
	lab_pass(120000);
	ck_assert_str_eq(lab_rollout("prod"), stopped);
	ck_assert_uint_eq(lab_count(LAB_NEW), changed);
	/* After a halt it goes on past it, after a revert from the beginning. */
	ck_assert_int_eq(lab_post("/v1/resume?spec=prod", NULL), 202);
	LAB_UNTIL(lab_runs(_i == 0 ? 2 : 1, LAB_NEW));
	LAB_UNTIL(lab_count(LAB_NEW) == HOSTS);
}
END_TEST

/* Wherever the daemon ends in it, all go back. */
START_TEST(a_revert_goes_on_after_a_restart)
{
	lose_canary(REVERTS);
	LAB_UNTIL(lab_events("rollout-reverted", "") == 1);
	ck_assert(lab_runs(1, LAB_NEW));
	lab_stop();
	lab_start();
	LAB_UNTIL(lab_count(LAB_OLD) == HOSTS);
	lab_pass(120000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	ck_assert_str_eq(lab_rollout("prod"), "reverted");
}
END_TEST

START_TEST(who_cannot_be_reached_is_no_canary_and_not_waited_for)
{
	fake_ssh_answer("h1", ANSWERS_REFUSING);
	fake_ssh_lose("h1", false);
	lab_pass(120000);
	ck_assert_str_eq(lab_phase(1, "lb"), "unreachable");
	lab_write_prod(HOSTS, LAB_NEW, ROLLOUT);
	LAB_UNTIL(lab_runs(2, LAB_NEW));
	ck_assert_uint_eq(lab_count(LAB_NEW), 1);
	LAB_UNTIL(lab_count(LAB_NEW) == 3);
	lab_pass(120000);
	ck_assert(lab_runs(1, LAB_OLD));
	fake_ssh_answer("h1", ANSWERS_WELL);
	LAB_UNTIL(lab_runs(1, LAB_NEW));
	lab_converge();
	ck_assert_str_eq(lab_rollout("prod"), "");
}
END_TEST

START_TEST(a_pause_holds_changes_and_no_repairs)
{
	ck_assert_int_eq(lab_post("/v1/pause?spec=prod", NULL), 202);
	ck_assert_str_eq(lab_rollout("prod"), "paused");
	/* Once more is no error. */
	ck_assert_int_eq(lab_post("/v1/pause?spec=prod", NULL), 202);
	if (_i == 0)
		lab_write_prod(HOSTS, LAB_NEW, ROLLOUT);
	else
		lab_write_prod(1, LAB_OLD, ROLLOUT);
	fake_remove(lab_machine(3), lab_container(3, "lb"));
	lab_pass(120000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	if (_i == 0)
		ck_assert_str_eq(lab_phase(2, "lb"), "paused");
	lab_stop();
	lab_start();
	lab_pass(120000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	ck_assert_str_eq(lab_rollout("prod"), "paused");
	ck_assert_int_eq(lab_post("/v1/resume?spec=prod", NULL), 202);
	LAB_UNTIL(_i == 0 ? lab_count(LAB_NEW) == HOSTS : lab_count(LAB_OLD) == 1);
	lab_converge();
	ck_assert_str_eq(lab_rollout("prod"), "");
}
END_TEST

START_TEST(a_pause_stops_a_rollout_that_is_under_way)
{
	lab_write_prod(HOSTS, LAB_NEW, ROLLOUT);
	LAB_UNTIL(lab_runs(1, LAB_NEW));
	ck_assert_int_eq(lab_post("/v1/pause?spec=prod", NULL), 202);
	lab_pass(300000);
	ck_assert_uint_eq(lab_count(LAB_NEW), 1);
	ck_assert_int_eq(lab_post("/v1/resume?spec=prod", NULL), 202);
	lab_converge();
	ck_assert_uint_eq(lab_count(LAB_NEW), HOSTS);
}
END_TEST

/* With the canary, or with the first wave, changed: the daemon is started anew. */
START_TEST(a_rollout_goes_on_after_a_restart)
{
	size_t changed = _i == 0 ? 1 : 3;

	lab_write_prod(HOSTS, LAB_NEW, ROLLOUT);
	LAB_UNTIL(lab_count(LAB_NEW) == changed);
	lab_stop();
	lab_start();
	lab_pass(3000);
	/* Nobody is overtaken: those are still watched. */
	ck_assert_uint_eq(lab_count(LAB_NEW), changed);
	LAB_UNTIL(lab_count(LAB_NEW) == HOSTS);
	lab_converge();
	ck_assert_str_eq(lab_rollout("prod"), "");
}
END_TEST

START_TEST(an_edit_starts_over_with_the_canary)
{
	lab_write_prod(HOSTS, LAB_NEW, ROLLOUT);
	LAB_UNTIL(lab_count(LAB_NEW) == 3);
	lab_write_prod(HOSTS, LAB_OLD, ROLLOUT "balance: roundrobin\n");
	LAB_UNTIL(strstr(config_of(1), "roundrobin") && lab_runs(1, LAB_OLD));
	ck_assert_uint_eq(configs_with("roundrobin"), 1);
	LAB_UNTIL(configs_with("roundrobin") == HOSTS && lab_count(LAB_OLD) == HOSTS);
	lab_converge();
}
END_TEST

START_TEST(an_edit_back_ends_it)
{
	lab_write_prod(HOSTS, LAB_NEW, ROLLOUT);
	LAB_UNTIL(lab_count(LAB_NEW) == 1);
	lab_write_prod(HOSTS, LAB_OLD, ROLLOUT);
	LAB_UNTIL(lab_count(LAB_OLD) == HOSTS);
	lab_converge();
	ck_assert_str_eq(lab_rollout("prod"), "");
}
END_TEST

START_TEST(with_no_canary_a_share_goes_at_once)
{
	lab_write_prod(HOSTS, LAB_NEW, "rollout: {canary: 0, parallel: 75%, settle: 10s}\n");
	LAB_UNTIL(lab_count(LAB_NEW) == 3);
	lab_pass(5000);
	ck_assert_uint_eq(lab_count(LAB_NEW), 3);
	lab_converge();
	ck_assert_uint_eq(lab_count(LAB_NEW), HOSTS);
}
END_TEST

START_TEST(an_emergency_has_no_waves)
{
	lab_write_prod(HOSTS, LAB_NEW, "rollout: {canary: 0, parallel: 100%, settle: 0s}\n");
	lab_pass(3000);
	ck_assert_uint_eq(lab_count(LAB_NEW), HOSTS);
}
END_TEST

START_TEST(new_hosts_of_a_spec_do_not_wait)
{
	lab_write_prod(HOSTS - 1, LAB_OLD, ROLLOUT);
	LAB_UNTIL(lab_containers(4) == 0);
	lab_write_prod(HOSTS, LAB_NEW, ROLLOUT);
	lab_pass(3000);
	ck_assert(lab_runs(4, LAB_NEW) && lab_runs(1, LAB_NEW));
	ck_assert_uint_eq(lab_count(LAB_NEW), 2);
	lab_converge();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fleet_rollout");
	TCase *tcase = tcase_create("fleet_rollout");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_canary_is_first_and_the_others_come_in_waves);
	tcase_add_test(tcase, who_waits_is_kept_at_what_it_has);
	tcase_add_test(tcase, what_a_canary_refuses_goes_no_further);
	tcase_add_test(tcase, resume_goes_on_past_what_has_failed);
	tcase_add_test(tcase, servers_that_no_host_reaches_go_nowhere);
	tcase_add_loop_test(tcase, a_canary_that_loses_its_servers_stops_the_rollout, 0, 2);
	tcase_add_test(tcase, a_revert_goes_on_after_a_restart);
	tcase_add_test(tcase, who_cannot_be_reached_is_no_canary_and_not_waited_for);
	tcase_add_loop_test(tcase, a_pause_holds_changes_and_no_repairs, 0, 2);
	tcase_add_test(tcase, a_pause_stops_a_rollout_that_is_under_way);
	tcase_add_loop_test(tcase, a_rollout_goes_on_after_a_restart, 0, 2);
	tcase_add_test(tcase, an_edit_starts_over_with_the_canary);
	tcase_add_test(tcase, an_edit_back_ends_it);
	tcase_add_test(tcase, with_no_canary_a_share_goes_at_once);
	tcase_add_test(tcase, an_emergency_has_no_waves);
	tcase_add_test(tcase, new_hosts_of_a_spec_do_not_wait);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
