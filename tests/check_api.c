/*
 * What the control socket answers (fleet_lab.h): status, plans, what is asked to be done, state, metrics and
 * events, over the socket as clients see it.
 */
#include <check.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "tests/fleet_lab.h"
#include "tests/suite.h"
#include "tests/turned_clock.h"

#define HOSTS 2

static void setup(void)
{
	lab_open(HOSTS);
	lab_write_prod(HOSTS, LAB_OLD, "");
	lab_start();
	lab_converge();
}

static void teardown(void)
{
	lab_close();
}

/* Whether the answer has these words. */
static void expect(const char *path, int status, const char *const words[], size_t n)
{
	char *body;
	int got = lab_get(path, &body);

	ck_assert_msg(got == status, "%s: %d %s", path, got, body);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(strstr(body, words[i]) != NULL, "%s: no %s in %.3000s", path, words[i], body);
	ck_assert_msg(!strstr(body, "%secret%"), "%s tells a password: %s", path, body);
	free(body);
}

static const struct answer {
	const char *path;
	int status;
	const char *words[4];
} answers[] = {
	{"/healthz", 200, {"ok\n"}},
	{"/v1/status", 200, {"\"ready\":true", "\"troubles\":[]", "\"instances\":2,\"converged\":2"}},
	{"/v1/status", 200, {"\"id\":\"prod/h1/lb\"", "\"id\":\"prod/h2/lb\"", "\"phase\":\"converged\""}},
	{"/v1/status", 200, {"\"address\":\"192.0.2.1:6443\"", "\"state\":\"up\"", "\"lastError\":null"}},
	{"/v1/status?spec=prod", 200, {"\"name\":\"prod\"", "ssh://root@h2:22"}},
	{"/v1/status?spec=none", 404, {"no spec is named \\\"none\\\""}},
	{"/v1/plan?spec=none", 404, {"no spec is named"}},
	{"/v1/state?spec=none", 404, {"no spec is named"}},
	{"/v1/plan", 200, {"\"actions\":[]", "\"configDiff\":null", "\"id\":\"prod/h2/lb\""}},
	{"/v1/state", 200, {"state:\n", "  \"0\":\n", "address: h1\n", "name: lb\n"}},
	{"/v1/state?format=json", 200, {"\"instances\":{\"0\":\"prod/h1/lb\",\"1\":\"prod/h2/lb\"}"}},
	{"/v1/events?limit=3", 200, {"\"type\":\"converged\"", "\"instance\":\"prod/h"}},
	{"/metrics", 200, {"apilb_instances{phase=\"converged\"} 2", "apilb_hosts_connected 2\n"}},
	{"/metrics", 200, {"apilb_spec_valid{spec=\"prod\"} 1\n", "apilb_spec_dir_readable 1\n"}},
	{"/metrics", 200, {"apilb_store_ok 1\n", "apilb_engine_mutating_requests_total"}},
	{"/v1/pause", 405, {"error"}},
	{"/v1/nothing", 404, {"error"}},
};

START_TEST(what_is_as_wanted_is_told)
{
	const struct answer *answer = &answers[_i];
	size_t n = 0;

	while (n < 4 && answer->words[n])
		n++;
	expect(answer->path, answer->status, answer->words, n);
}
END_TEST

/* What is asked for and cannot be. */
static const struct {
	const char *path;
	int status;
	const char *says;
} refusals[] = {
	{"/v1/pause", 400, "which spec?"},
	{"/v1/resume", 400, "which spec?"},
	{"/v1/pause?spec=none", 404, "no spec is named"},
	{"/v1/resume?spec=none", 404, "no spec is named"},
	{"/v1/resume?spec=prod", 409, "there is nothing to resume"},
	{"/v1/reconcile?spec=none", 404, "no spec is named"},
	{"/v1/reconcile?spec=none&plan=0123456789abcdef", 404, "no spec is named"},
	{"/v1/reconcile?plan=0123456789abcdef", 409, "is out of date"},
	{"/v1/status", 405, "error"},
};

START_TEST(what_cannot_be_done_is_refused)
{
	char *body;
	int status = lab_post(refusals[_i].path, &body);

	ck_assert_msg(status == refusals[_i].status && strstr(body, refusals[_i].says), "%s: %d %s",
		      refusals[_i].path, status, body);
	free(body);
	ck_assert_str_eq(lab_rollout("prod"), "");
}
END_TEST

START_TEST(drift_is_planned_and_then_reconciled)
{
	struct json_object *plan, *row, *reply;

	fake_remove(lab_machine(2), lab_container(2, "lb"));
	FREE(lab_machine(2)->history);
	plan = lab_json("GET", "/v1/plan?spec=prod");
	ck_assert_uint_eq(json_length(json_list(plan, "instances")), HOSTS);
	row = json_object_array_get_idx(json_list(plan, "instances"), 1);
	ck_assert_str_eq(json_text(row, "id", ""), "prod/h2/lb");
	ck_assert_uint_ge(json_length(json_list(row, "actions")), 2);
	/* A plan does nothing, whatever becomes of the drift. */
	ck_assert_uint_eq(lab_containers(2), 0);
	json_object_put(plan);
	reply = lab_json("POST", "/v1/reconcile?spec=prod");
	ck_assert_int_eq(json_number(reply, "hosts"), HOSTS);
	json_object_put(reply);
	lab_pass(2000);
	ck_assert(lab_runs(2, LAB_OLD));
}
END_TEST

/* By its name a plan is done as it was shown, or not at all. */
START_TEST(a_plan_is_applied_by_its_name)
{
	struct json_object *plan;
	char *path;

	fake_remove(lab_machine(2), lab_container(2, "lb"));
	plan = lab_json("GET", "/v1/plan");
	path = xasprintf("/v1/reconcile?plan=%s", json_text(plan, "id", ""));
	json_object_put(plan);
	if (_i == 0) {
		ck_assert_int_eq(lab_post(path, NULL), 202);
		lab_pass(2000);
		ck_assert(lab_runs(2, LAB_OLD));
	} else {
		fake_end(lab_container(1, "lb"), 1);
		ck_assert_int_eq(lab_post(path, NULL), 409);
		ck_assert_uint_eq(lab_containers(2), 0);
	}
	free(path);
}
END_TEST

START_TEST(a_plan_shows_what_an_edit_does_and_what_is_held)
{
	char *body, *path;
	struct json_object *plan;

	lab_post("/v1/pause?spec=prod", NULL);
	lab_write_prod(HOSTS, LAB_NEW, "balance: roundrobin\n");
	ck_assert_int_eq(lab_get("/v1/plan", &body), 200);
	ck_assert_msg(strstr(body, "+    balance roundrobin") && strstr(body, "changes are paused"),
		      "%.3000s", body);
	free(body);
	plan = lab_json("GET", "/v1/plan");
	path = xasprintf("/v1/reconcile?plan=%s", json_text(plan, "id", ""));
	json_object_put(plan);
	ck_assert_int_eq(lab_post(path, &body), 409);
	ck_assert_msg(strstr(body, "changes that are held"), "%s", body);
	free(body);
	free(path);
	lab_pass(100000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
}
END_TEST

START_TEST(a_plan_says_of_whom_nothing_could_be_seen)
{
	struct json_object *plan, *row;

	fake_ssh_answer("h2", ANSWERS_DENYING);
	fake_ssh_lose("h2", true);
	lab_pass(1000);
	plan = lab_json("GET", "/v1/plan");
	row = json_object_array_get_idx(json_list(plan, "instances"), 1);
	ck_assert_str_eq(json_text(json_map(row, "error"), "kind", ""), "permanent");
	ck_assert_ptr_nonnull(strstr(json_text(json_map(row, "error"), "message", ""), "authentication"));
	ck_assert_uint_eq(json_length(json_list(row, "actions")), 0);
	json_object_put(plan);
}
END_TEST

/* Who asks and leaves again while hosts are looked at, or while the daemon ends. */
START_TEST(a_client_may_leave_before_its_plan_is_there)
{
	struct lab_client *client;

	fake_engine_fail(lab_engine(2), 3, FAULT_SILENT);
	client = lab_ask("GET", "/v1/plan");
	LAB_UNTIL(fake_engine_has_failed(lab_engine(2)));
	ck_assert(!lab_is_answered(client));
	if (_i == 0) {
		lab_hang_up(client);
		lab_pass(120000);
		lab_converge();
	} else {
		lab_stop();
		lab_pass(10);
		ck_assert_msg(strstr(lab_heard(client), "no longer looked after"), "%s", lab_heard(client));
		lab_hang_up(client);
	}
}
END_TEST

START_TEST(every_answer_knows_what_was_written_before)
{
	struct lab_client *client;

	lab.hasty = true;
	lab_write_prod(1, LAB_OLD, "");
	client = lab_ask("GET", "/v1/status");
	if (_i == 0) {
		LAB_UNTIL(lab_is_answered(client));
		ck_assert_msg(strstr(lab_heard(client), "\"instances\":1") ||
				      strstr(lab_heard(client), "\"removing\""),
			      "%s", lab_heard(client));
	} else {
		/* Or says that it cannot be told any more. */
		for (int i = 0; i < 20; i++)
			event_base_loop(lab.base, EVLOOP_NONBLOCK);
		ck_assert_str_eq(lab_heard(client), "");
		lab_stop();
		LAB_UNTIL(lab_is_answered(client));
		ck_assert_msg(strstr(lab_heard(client), "503") &&
				      strstr(lab_heard(client), "apilbd is ending"),
			      "%s", lab_heard(client));
	}
	lab_hang_up(client);
}
END_TEST

START_TEST(events_are_followed)
{
	struct lab_client *client = lab_ask("GET", "/v1/events?follow=1&limit=1&spec=prod");

	lab_pass(100);
	ck_assert(!lab_is_answered(client));
	fake_end(lab_container(2, "lb"), 1);
	lab_post("/v1/reconcile", NULL);
	LAB_UNTIL(strstr(lab_heard(client), "\"type\":\"drift\""));
	ck_assert_ptr_nonnull(strstr(lab_heard(client), "prod/h2/lb"));
	lab_stop();
	LAB_UNTIL(lab_is_answered(client));
	lab_hang_up(client);
}
END_TEST

START_TEST(what_is_wrong_with_a_balancer_is_told)
{
	static const char *const sick[] = {"\"phase\":\"failed\"", "\"state\":\"down\"", "L4TOUT"};
	static const char *const counted[] = {"apilb_instances_without_server 1\n",
					      "apilb_server_balancers{"};
	static const char *const stopped[] = {"apilb_rollout_stopped{spec=\"prod\",phase=\"paused\"} 1\n"};
	static const char *const invalid[] = {"apilb_spec_valid{spec=\"prod\"} 0\n"};

	lab_container(2, "lb")->cut_off = true;
	lab_pass(60000);
	ck_assert_uint_ge(lab_events("server-down", ""), 1);
	expect("/v1/status", 200, sick + 1, 2);
	expect("/metrics", 200, counted, 2);
	lab_container(2, "lb")->cut_off = false;
	lab_pass(60000);
	ck_assert_uint_ge(lab_events("server-up", ""), 1);
	lab_post("/v1/pause?spec=prod", NULL);
	expect("/metrics", 200, stopped, 1);
	lab_write("prod", "nonsense: 1\n");
	expect("/metrics", 200, invalid, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("api");
	TCase *tcase = tcase_create("api");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, what_is_as_wanted_is_told, 0, N(answers));
	tcase_add_loop_test(tcase, what_cannot_be_done_is_refused, 0, N(refusals));
	tcase_add_test(tcase, drift_is_planned_and_then_reconciled);
	tcase_add_loop_test(tcase, a_plan_is_applied_by_its_name, 0, 2);
	tcase_add_test(tcase, a_plan_shows_what_an_edit_does_and_what_is_held);
	tcase_add_test(tcase, a_plan_says_of_whom_nothing_could_be_seen);
	tcase_add_loop_test(tcase, a_client_may_leave_before_its_plan_is_there, 0, 2);
	tcase_add_loop_test(tcase, every_answer_knows_what_was_written_before, 0, 2);
	tcase_add_test(tcase, events_are_followed);
	tcase_add_test(tcase, what_is_wrong_with_a_balancer_is_told);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
