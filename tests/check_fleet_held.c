/*
 * Removals that are held (core/removal.h): how often it is looked whether they may go, and what is told of
 * them. Over hosts in memory (fleet_lab.h).
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/fleet_lab.h"
#include "tests/suite.h"

static void setup(void)
{
	lab_open(2);
	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
}

static void teardown(void)
{
	lab_close();
}

/* The spec has the balancer at another address, which may be the same machine, and cannot be reached. */
static void moves_where_nobody_answers(void)
{
	fake_ssh_answer("h2", ANSWERS_REFUSING);
	lab_write("prod", "%s",
		  "image: " LAB_OLD "\nname: lb\nservers: [\"192.0.2.1:6443\"]\n"
		  "bindAddress: 192.0.2.9:7443\nhostConfigPath: /etc/haproxy-lb/haproxy.cfg\n"
		  "ssh: {password: secret}\napiLoadBalancers: [{host: {ssh: {address: h2}}}]\n");
}

static void is_reached(void)
{
	fake_ssh_answer("h2", ANSWERS_WELL);
}

/* A paused spec has a balancer that will listen where it does. */
static void gives_way_to_what_is_paused(void)
{
	lab_write("next", "%s",
		  "image: " LAB_OLD "\nname: third\nservers: [\"192.0.2.1:6443\"]\n"
		  "bindAddress: 192.0.2.9:7444\nhostConfigPath: /etc/haproxy-third/haproxy.cfg\n"
		  "ssh: {password: secret}\napiLoadBalancers: [{host: {ssh: {address: h2}}}]\n");
	ck_assert_int_eq(lab_post("/v1/pause?spec=next", NULL), 202);
	lab.hasty = true; /* both at once */
	lab_remove("prod");
	lab.hasty = false;
	lab_write("next", "%s",
		  "image: " LAB_OLD "\nname: other\nservers: [\"192.0.2.1:6443\"]\n"
		  "bindAddress: 192.0.2.9:7443\nhostConfigPath: /etc/haproxy-other/haproxy.cfg\n"
		  "ssh: {password: secret}\napiLoadBalancers: [{host: {ssh: {address: h1}}}]\n");
}

static void is_resumed(void)
{
	ck_assert_int_eq(lab_post("/v1/resume?spec=next", NULL), 202);
}

static const struct {
	void (*is_held)(void);
	void (*may_go)(void);
} removals[] = {
	{moves_where_nobody_answers, is_reached},
	{gives_way_to_what_is_paused, is_resumed},
};

static size_t asked_in(int64_t ms)
{
	size_t before = fake_engine_requests(lab_engine(1));

	lab_pass(ms);
	return fake_engine_requests(lab_engine(1)) - before;
}

START_TEST(whether_it_may_go_is_asked_less_and_less)
{
	size_t first, later;

	lab.settings.resync_ms = 300000;
	fleet_settings_changed(lab.fleet);
	removals[_i].is_held();
	lab_pass(1000);
	first = asked_in(60000);
	later = asked_in(600000);
	ck_assert_str_eq(lab_phase(1, "lb"), "removing");
	ck_assert_uint_gt(later, 0);
	ck_assert_msg(later <= first, "%zu in a minute, then %zu in ten", first, later);
	/* Whoever has done something about it need not wait for that. */
	ck_assert_int_eq(lab_post("/v1/reconcile", NULL), 202);
	lab_pass(1000);
	ck_assert_uint_ge(asked_in(60000) * 3, first * 2);
	lab_pass(600000);
	removals[_i].may_go();
	lab_pass(400000);
	ck_assert_msg(!lab_container(1, "lb"), "%s", lab_told());
}
END_TEST

static const struct {
	size_t nth; /* request of the run: 3: of the container, 4: of its image */
	enum fake_fault how;
} unseen[] = {{3, FAULT_REFUSED}, {4, FAULT_REFUSED}, {3, FAULT_SILENT}, {3, FAULT_CUT_BEFORE}};

/* Nobody has tried to remove it. */
START_TEST(who_is_held_and_cannot_be_seen_is_said_to_be)
{
	removals[_i % 2].is_held();
	lab_pass(100000);
	fake_engine_fail(lab_engine(1), unseen[_i / 2].nth, unseen[_i / 2].how);
	ck_assert_int_eq(lab_post("/v1/reconcile", NULL), 202);
	LAB_ASK_UNTIL(*lab_error(1, "lb"));
	ck_assert_msg(strstr(lab_error(1, "lb"), "its removal is held, and it could not be looked at: "),
		      "%s", lab_error(1, "lb"));
	ck_assert_uint_eq(lab_events("stays", "and it could not be looked at"), 1);
	ck_assert_uint_eq(lab_events("removing-failed", ""), 0);
	/* The next look comes as ever, and sees it. */
	lab_pass(31000);
	ck_assert_str_eq(lab_error(1, "lb"), "");
	ck_assert_int_eq(lab_container(1, "lb")->status, FAKE_RUNNING);
}
END_TEST

/* Its host is away for long. So it is for a new one that is held: nobody removes that. */
START_TEST(who_is_held_on_a_host_that_is_away_is_said_to_be)
{
	gives_way_to_what_is_paused();
	lab_pass(100000);
	fake_ssh_answer("h1", ANSWERS_REFUSING);
	fake_ssh_lose("h1", false);
	lab_pass(200000);
	ck_assert_uint_eq(lab_events("stays", "could not be looked at: ssh://root@h1:22: connection refused"),
			  1);
	ck_assert_msg(lab_events("removing-failed", "") == 0, "%s", lab_told());
	ck_assert_str_eq(lab_phase(1, "other"), "unreachable");
	fake_ssh_answer("h1", ANSWERS_WELL);
	lab_pass(100000);
	ck_assert_str_eq(lab_error(1, "lb"), "");
	ck_assert_str_eq(lab_error(1, "other"), "");
	ck_assert_str_eq(lab_phase(1, "other"), "paused");
}
END_TEST

/* The store is lost, and the name has changed: lb is an orphan, and stays until the new one has a server. */
START_TEST(an_orphan_that_stays_and_cannot_be_seen_is_said_to)
{
	char *db = xasprintf("%s/apilbd.db", lab.settings.state_dir);
	bool failed = true;

	lab_stop();
	ck_assert_int_eq(unlink(db), 0);
	free(db);
	lab_write("prod", "%s",
		  "image: " LAB_OLD "\nname: other\nservers: [\"" FAKE_DEAD_SERVER ":6443\"]\n"
		  "bindAddress: 192.0.2.9:7443\nhostConfigPath: /etc/haproxy-other/haproxy.cfg\n"
		  "ssh: {password: secret}\napiLoadBalancers: [{host: {ssh: {address: h1}}}]\n");
	lab_start();
	lab_pass(100000);
	for (size_t nth = 1; failed; nth++) {
		fake_engine_fail(lab_engine(1), nth, FAULT_REFUSED);
		ck_assert_int_eq(lab_post("/v1/reconcile", NULL), 202);
		lab_pass(20000);
		failed = fake_engine_has_failed(lab_engine(1)) && nth < 40;
	}
	ck_assert_msg(lab_events("removing-failed", "") == 0, "%s", lab_told());
	ck_assert_msg(lab_events("stays", "lb, which no spec has, could not be looked at: inspect") > 0, "%s",
		      lab_told());
	ck_assert_int_eq(lab_container(1, "lb")->status, FAKE_RUNNING);
}
END_TEST

static void expect_told(const char *path, const char *words)
{
	char *body;

	ck_assert_int_eq(lab_get(path, &body), 200);
	ck_assert_msg(strstr(body, words) != NULL, "%s: no %s in %s", path, words, body);
	free(body);
}

/* The file may have been renamed, and not be valid since. Whoever looks is told whom the balancer waits for,
 * until nobody is left. */
START_TEST(whose_spec_is_gone_beside_an_invalid_one_is_said_to_be_kept)
{
	bool restarts = _i == 1;

	lab_write("next", "servers: [\n");
	lab_write("zeta", "servers: [\n");
	lab_remove("prod");
	if (restarts) {
		lab_stop();
		lab_start();
	}
	lab_pass(100000);
	ck_assert(lab_runs(1, LAB_OLD));
	ck_assert_str_eq(lab_phase(1, "lb"), restarts ? "pending" : "converged");
	expect_told("/v1/status", "\"progress\":\"kept: the file of its spec is gone, but no version of /");
	expect_told("/v1/status", "/specs/next.yaml and 1 more file was ever valid, and this balancer may be "
				  "meant there: correct or remove what is invalid\"");
	expect_told("/v1/status", "\"warnings\":[\"no version of /");
	expect_told("/v1/plan", restarts ? "" : "\"held\":\"kept: the file of its spec is gone");
	lab_remove("next");
	lab_pass(1000);
	expect_told("/v1/status", "/specs/zeta.yaml was ever valid, and this balancer may be meant there");
	/* An edit that says what it is to be ends that. */
	lab_write_prod(1, LAB_OLD, "");
	lab_pass(100000);
	expect_told("/v1/status", "\"progress\":null");
	lab_remove("prod");
	lab_pass(1000);
	expect_told("/v1/status", "\"progress\":\"kept: ");
	lab_remove("zeta");
	LAB_UNTIL(!lab_container(1, "lb"));
	expect_told("/v1/status", "\"warnings\":[]");
}
END_TEST

static void write_beside(const char *bind)
{
	lab_write("beside",
		  "image: " LAB_OLD "\nname: beside\nservers: [\"192.0.2.1:6443\"]\n"
		  "bindAddress: \"%s\"\nhostConfigPath: /etc/haproxy-beside/haproxy.cfg\n"
		  "ssh: {password: secret}\napiLoadBalancers: [{host: {ssh: {address: h1}}}]\n",
		  bind);
}

static void write_renamed(const char *spec, const char *bind)
{
	lab_write(spec,
		  "image: " LAB_OLD "\nname: other\nservers: [\"192.0.2.1:6443\"]\n"
		  "bindAddress: \"%s\"\nhostConfigPath: /etc/haproxy-other/haproxy.cfg\n"
		  "ssh: {password: secret}\napiLoadBalancers: [{host: {ssh: {address: h1}}}]\n",
		  bind);
}

/* A new daemon without a store, whose spec has got another name for the balancer, or one that has its
 * address, and is paused before it has begun: nobody serves in the place of the orphan yet. */
static const struct {
	const char *spec, *bind;
} heirs[] = {{"prod", "192.0.2.9:7443"}, {"next", "192.0.2.9:7443"}, {"prod", "192.0.2.9:7445"}};

START_TEST(an_orphan_stays_until_the_held_one_in_its_place_has_come)
{
	char *db = xasprintf("%s/apilbd.db", lab.settings.state_dir), *path;

	lab_stop();
	ck_assert_int_eq(unlink(db), 0);
	free(db);
	lab_remove("prod");
	lab_write(heirs[_i].spec, "servers: [\n");
	write_beside("192.0.2.9:7444");
	lab_start();
	lab_pass(100000);
	path = xasprintf("/v1/pause?spec=%s", heirs[_i].spec);
	ck_assert_int_eq(lab_post(path, NULL), 202);
	free(path);
	write_renamed(heirs[_i].spec, heirs[_i].bind);
	lab_pass(200000);
	ck_assert_str_eq(lab_phase(1, "other"), "paused");
	ck_assert_ptr_null(lab_container(1, "other"));
	ck_assert_msg(lab_container(1, "lb") && lab_container(1, "lb")->status == FAKE_RUNNING, "%s",
		      lab_told());
	ck_assert_uint_eq(lab_events("stays", "lb"), 1);
	path = xasprintf("/v1/resume?spec=%s", heirs[_i].spec);
	ck_assert_int_eq(lab_post(path, NULL), 202);
	free(path);
	LAB_UNTIL(lab_container(1, "other") && !lab_container(1, "lb"));
	ck_assert_uint_eq(fake_engine_outages(lab_engine(1)), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fleet_held");
	TCase *tcase = tcase_create("fleet_held");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, whether_it_may_go_is_asked_less_and_less, 0, 2);
	tcase_add_loop_test(tcase, who_is_held_and_cannot_be_seen_is_said_to_be, 0, 8);
	tcase_add_test(tcase, who_is_held_on_a_host_that_is_away_is_said_to_be);
	tcase_add_test(tcase, an_orphan_that_stays_and_cannot_be_seen_is_said_to);
	tcase_add_loop_test(tcase, whose_spec_is_gone_beside_an_invalid_one_is_said_to_be_kept, 0, 2);
	tcase_add_loop_test(tcase, an_orphan_stays_until_the_held_one_in_its_place_has_come, 0, 3);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
