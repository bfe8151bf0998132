/*
 * What an edit of the spec directory comes to on the hosts (core/assign.h, carried out by fleet_specs.c):
 * balancers that move between files, files that are renamed or removed while paused, containers that `state`
 * names. Over hosts in memory (fleet_lab.h).
 */
#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/fleet_lab.h"
#include "tests/suite.h"

#define HOSTS 3

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

/* A spec with a balancer "lb" on each of these hosts; lines: at the top. */
static void write_spec(const char *name, const char *hosts, const char *lines)
{
	char *list = xstrdup("");

	for (; *hosts; hosts++) {
		char *longer = xasprintf("%s- {host: {ssh: {address: h%c}}}\n", list, *hosts);

		free(list);
		list = longer;
	}
	lab_write(name,
		  "image: " LAB_OLD "\nname: lb\nservers: [\"192.0.2.1:6443\", \"192.0.2.2:6443\"]\n"
		  "bindAddress: 192.0.2.9:7443\nhostConfigPath: /etc/haproxy-lb/haproxy.cfg\n"
		  "ssh: {password: secret}\n%s%s%s",
		  lines, *list ? "apiLoadBalancers:\n" : "apiLoadBalancers: []\n", list);
	free(list);
}

/* All of them, or one: nothing happens on the hosts. */
START_TEST(balancers_move_to_another_file)
{
	for (size_t i = 1; i <= HOSTS; i++)
		FREE(lab_machine(i)->history);
	lab.hasty = true;
	if (_i == 0) {
		lab_remove("prod");
		write_spec("edge", "123", "");
	} else {
		write_spec("prod", "13", "");
		write_spec("edge", "2", "");
	}
	lab.hasty = false;
	lab_pass(1000);
	lab_converge();
	for (size_t i = 1; i <= HOSTS; i++)
		ck_assert_ptr_null(lab_machine(i)->history);
	ck_assert_str_eq(lab_phase(2, "lb"), "converged");
	ck_assert_str_eq(lab_rollout("edge"), "");
}
END_TEST

/* Paused is the name, with or without a file; resuming it lets go. */
START_TEST(a_file_that_is_removed_while_paused_removes_nothing)
{
	ck_assert_int_eq(lab_post("/v1/pause?spec=prod", NULL), 202);
	lab_remove("prod");
	lab_pass(60000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	ck_assert_str_eq(lab_phase(2, "lb"), "paused");
	/* It is looked after, also by a daemon that has just started. */
	lab_stop();
	fake_remove(lab_machine(2), lab_container(2, "lb"));
	lab_start();
	LAB_UNTIL(lab_count(LAB_OLD) == HOSTS);
	if (_i == 0) {
		/* It is wanted again, as it was. */
		lab_write_prod(HOSTS, LAB_OLD, "");
		lab_pass(60000);
		ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
		ck_assert_str_eq(lab_phase(2, "lb"), "converged");
	} else {
		ck_assert_int_eq(lab_post("/v1/resume?spec=prod", NULL), 202);
		LAB_UNTIL(lab_count(LAB_OLD) == 0);
	}
}
END_TEST

#define LEFT(host, id)                                                                             \
	"state: {\"0\": {container: {config: {name: lb, image: \"" LAB_OLD "\"}, status: {id: " id \
	", status: running}, runtime: {docker: {}}}, host: {ssh: {address: " host ", password: secret}}}}\n"

/* Somebody else's, which the state of a spec names. */
static void add_foreign(size_t host)
{
	struct json_object *request = json_object_new_object();
	struct fake_container *container;

	json_object_object_add(request, "Image", json_object_new_string(LAB_OLD));
	json_object_object_add(request, "Env", json_object_new_array());
	json_object_object_add(request, "HostConfig", json_object_new_object());
	container = fake_create(lab_machine(host), "lb", request);
	memset(container->id, 'f', 64);
}

/* It would, if nobody wanted something of its name: another spec does, and is paused. */
START_TEST(what_state_leaves_stays_where_its_name_is_wanted)
{
	write_spec("prod", "1", "");
	LAB_UNTIL(lab_containers(2) == 0 && lab_containers(3) == 0);
	add_foreign(2);
	ck_assert_int_eq(lab_post("/v1/pause?spec=prod", NULL), 202);
	if (_i == 0)
		write_spec("prod", "12", "");
	lab_write("flex", "image: " LAB_OLD "\nname: other\nservers: [\"192.0.2.1:6443\"]\n"
			  "bindAddress: 192.0.2.9:7444\nhostConfigPath: /etc/haproxy-other/haproxy.cfg\n"
			  "ssh: {password: secret}\napiLoadBalancers:\n- {host: {ssh: {address: h3}}}\n" LEFT(
				  "h2", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"));
	lab_pass(120000);
	ck_assert_uint_eq(lab_containers(3), 1);
	ck_assert_uint_eq(lab_containers(2), _i == 0);
	if (_i == 0)
		ck_assert_str_eq(lab_phase(2, "lb"), "paused");
	ck_assert_int_eq(lab_post("/v1/resume?spec=prod", NULL), 202);
	lab_pass(120000);
	ck_assert(lab_runs(1, LAB_OLD));
	if (_i == 0)
		ck_assert_str_eq(lab_phase(2, "lb"), "conflict");
}
END_TEST

/* Of the fleet. */
static size_t hosts(void)
{
	size_t n;

	fleet_hosts(lab.fleet, &n);
	return n;
}

#define FLEX                                                                            \
	"image: " LAB_OLD "\nname: other\nservers: [\"192.0.2.1:6443\"]\n"              \
	"bindAddress: 192.0.2.9:7444\nhostConfigPath: /etc/haproxy-other/haproxy.cfg\n" \
	"ssh: {password: secret}\napiLoadBalancers: []\n"

static void leaves_a_container(void)
{
	lab_write("prod", FLEX LEFT("h2", "ffffffffffff"));
}

static void leaves_a_container_beside_others(void)
{
	lab_write("prod", FLEX LEFT("h2", "ffffffffffff"));
	write_spec("edge", "1", "");
}

static void wants_a_new_one(void)
{
	write_spec("prod", "2", "");
}

static void wants_new_ones_beside_others(void)
{
	write_spec("prod", "23", "");
	write_spec("edge", "1", "");
}

static const struct {
	void (*edit)(void);
	size_t hosts;
	size_t made;
} held[] = {
	{leaves_a_container, 0, 0},
	{leaves_a_container_beside_others, 1, 1},
	{wants_a_new_one, 1, 0},
	{wants_new_ones_beside_others, 3, 1},
};

/* Nothing is done on hosts where all that a paused spec wants is new: nobody waits for a verdict on them, not
 * even `apilbd --once`, and nobody counts one that has nothing of ours. */
START_TEST(hosts_where_nothing_is_done_are_not_waited_for)
{
	write_spec("prod", "", "");
	LAB_UNTIL(lab_count(LAB_OLD) == 0 && hosts() == 0);
	ck_assert_int_eq(lab_post("/v1/pause?spec=prod", NULL), 202);
	add_foreign(2);
	lab.quiet = 0;
	held[_i].edit();
	for (int i = 0; i < 2; i++) {
		/* Without any host --once is through before that. */
		LAB_UNTIL(lab.quiet > 0 || held[_i].hosts == 0);
		ck_assert_uint_eq(hosts(), held[_i].hosts);
		ck_assert_uint_eq(lab_containers(1), held[_i].made);
		ck_assert_uint_eq(lab_containers(2), 1);
		lab_stop();
		lab_start();
	}
	ck_assert_int_eq(lab_post("/v1/resume?spec=prod", NULL), 202);
	lab_pass(60000);
	ck_assert(fleet_running(lab.fleet) == 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fleet_specs");
	TCase *tcase = tcase_create("fleet_specs");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, balancers_move_to_another_file, 0, 2);
	tcase_add_loop_test(tcase, a_file_that_is_removed_while_paused_removes_nothing, 0, 2);
	tcase_add_loop_test(tcase, what_state_leaves_stays_where_its_name_is_wanted, 0, 2);
	tcase_add_loop_test(tcase, hosts_where_nothing_is_done_are_not_waited_for, 0, (int)(N(held)));
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
