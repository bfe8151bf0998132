/*
 * What goes and what stays (fleet_lab.h): instances, specs and directories that are gone, stores that were
 * lost, containers of others, and those that `state` hands over.
 */
#include <check.h>
#include <dirent.h>
#include <dlfcn.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "tests/fleet_lab.h"
#include "tests/temp.h"
#include "tests/suite.h"
#include "tests/turned_clock.h"

#define HOSTS 3
#define CONFIG "/etc/haproxy-lb/haproxy.cfg"

/* No listing has it, as if it were just being replaced, on btrfs, whenever one begins. */
static const char *unlisted;

struct dirent *readdir(DIR *stream)
{
	static struct dirent *(*next)(DIR *);
	struct dirent *entry;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "readdir");
	do
		entry = next(stream);
	while (entry && unlisted && strcmp(entry->d_name, unlisted) == 0);
	return entry;
}

static void setup(void)
{
	lab_open(HOSTS);
}

static void teardown(void)
{
	lab_close();
}

static void begin(void)
{
	lab_write_prod(HOSTS, LAB_OLD, "");
	lab_start();
	lab_converge();
}

static void lose_store(void)
{
	char *path = xasprintf("%s/apilbd.db", lab.settings.state_dir);

	ck_assert_int_eq(unlink(path), 0);
	free(path);
}

START_TEST(an_instance_that_is_gone_from_its_list_goes)
{
	begin();
	lab_write_prod(HOSTS - 1, LAB_OLD, "");
	LAB_UNTIL(lab_containers(3) == 0);
	/* Its files stay. */
	ck_assert_ptr_nonnull(fake_file_find(lab_machine(3), CONFIG));
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS - 1);
	lab_converge();
	ck_assert_uint_eq(lab_events("removed", ""), 1);
	ck_assert_str_eq(lab_phase(3, "lb"), "");
	ck_assert_uint_eq(fake_ssh_sessions("h3"), 0);
}
END_TEST

/* In whatever way nobody wants them any more. */
START_TEST(a_spec_that_is_gone_takes_its_balancers_with_it)
{
	begin();
	if (_i == 0)
		lab_remove("prod");
	else
		lab_write_prod(0, LAB_OLD, "");
	LAB_UNTIL(lab_containers(1) + lab_containers(2) + lab_containers(3) == 0);
	lab_pass(100000);
	ck_assert_str_eq(lab_phase(1, "lb"), "");
	/* And comes back. */
	lab_write_prod(HOSTS, LAB_NEW, "");
	LAB_UNTIL(lab_count(LAB_NEW) == HOSTS);
}
END_TEST

START_TEST(what_went_while_the_daemon_was_down_goes_after_its_start)
{
	begin();
	lab_stop();
	if (_i > 0)
		lose_store();
	lab_write_prod(1, LAB_OLD, "");
	if (_i == 2)
		lab_write(
			"other", "%s",
			"servers: [\"192.0.2.1:6443\"]\nbindAddress: 192.0.2.9:7500\nname: other\n"
			"image: " LAB_OLD "\nhostConfigPath: /etc/haproxy-other/haproxy.cfg\n"
			"ssh: {password: \"%secret%\"}\napiLoadBalancers: [{host: {ssh: {address: h2}}}]\n");
	lab_start();
	lab_pass(100000);
	ck_assert(lab_runs(1, LAB_OLD));
	/* Without a store nobody knows of h3 any more; of h2 when somebody has to do with it. */
	ck_assert_uint_eq(lab_containers(2), _i == 0 ? 0 : 1);
	ck_assert_uint_eq(lab_container(2, "lb") != NULL, _i == 1);
	ck_assert_uint_eq(lab_containers(3), _i == 0 ? 0 : 1);
}
END_TEST

/* Nobody knows what it wants: its only version since the store was lost cannot be read. */
START_TEST(a_spec_that_has_had_no_say_removes_nothing)
{
	begin();
	lab_stop();
	lose_store();
	lab_write("prod", "servers: [\n");
	lab_write("other", "%s",
		  "servers: [\"192.0.2.1:6443\"]\nbindAddress: 192.0.2.9:7500\nname: other\n"
		  "image: " LAB_OLD "\nhostConfigPath: /etc/haproxy-other/haproxy.cfg\n"
		  "ssh: {password: secret}\napiLoadBalancers: [{host: {ssh: {address: h2}}}]\n");
	lab_start();
	lab_pass(200000);
	ck_assert_ptr_nonnull(lab_container(2, "other"));
	ck_assert(lab_runs(2, LAB_OLD));
	/* Then it has: */
	lab_write_prod(1, LAB_OLD, "");
	LAB_UNTIL(lab_containers(2) == 1 && lab_container(2, "other"));
	ck_assert(lab_runs(1, LAB_OLD));
}
END_TEST

/* git mv, and a mistake in the same edit, or a claim that another spec has. */
START_TEST(a_spec_that_was_renamed_and_is_not_valid_removes_nothing)
{
	static const char *const mistakes[] = {
		"servers: [\n",
		"servers: [\"192.0.2.1:6443\"]\nbindAddress: 192.0.2.9:7500\nname: other\nimage: " LAB_OLD
		"\nhostConfigPath: /etc/haproxy-other/haproxy.cfg\nssh: {password: \"%secret%\"}\n"
		"apiLoadBalancers: [{host: {ssh: {address: h2}}}]\n",
	};

	begin();
	lab_write("other", "%s", mistakes[1]);
	LAB_UNTIL(lab_container(2, "other"));
	lab_write("prod2", "%s", mistakes[_i % 2]);
	lab_remove("prod");
	if (_i >= 2) {
		lab_pass(1000);
		lab_stop();
		if (_i >= 4)
			lose_store();
		lab_start();
	}
	lab_pass(100000);
	for (int i = 1; i <= HOSTS; i++)
		ck_assert_msg(lab_runs(i, LAB_OLD), "h%d", i);
	/* It is corrected: whatever it leaves out goes. */
	lab_remove("prod2");
	lab_write("prod", "%s", mistakes[1]);
	lab_remove("other");
	LAB_UNTIL(lab_containers(2) == 1);
	/* Without a store nobody knows of the other hosts any more. */
	LAB_UNTIL(_i >= 4 || lab_containers(1) + lab_containers(3) == 0);
}
END_TEST

/* A directory that is gone, or another one in its place, says nothing. */
START_TEST(a_directory_that_is_gone_removes_nothing)
{
	char *away = xasprintf("%s.away", lab.settings.spec_dir), *body;

	begin();
	ck_assert_int_eq(rename(lab.settings.spec_dir, away), 0);
	if (_i == 1)
		ck_assert_int_eq(mkdir(lab.settings.spec_dir, 0755), 0);
	lab_pass(100000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	ck_assert_int_eq(lab_get("/healthz", NULL), 503);
	ck_assert_int_eq(lab_get("/v1/status", &body), 200);
	ck_assert_msg(!strstr(body, "\"troubles\":[]"), "%s", body);
	free(body);
	/* Repairs go on, also after a restart. */
	lab_stop();
	fake_remove(lab_machine(2), lab_container(2, "lb"));
	lab_start();
	lab_pass(100000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	if (_i == 1)
		ck_assert_int_eq(rmdir(lab.settings.spec_dir), 0);
	ck_assert_int_eq(rename(away, lab.settings.spec_dir), 0);
	lab_pass(100000);
	ck_assert_int_eq(lab_get("/healthz", NULL), 200);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	free(away);
}
END_TEST

START_TEST(who_cannot_be_reached_is_removed_when_it_is_back)
{
	begin();
	fake_ssh_answer("h3", ANSWERS_REFUSING);
	fake_ssh_lose("h3", false);
	lab_write_prod(HOSTS - 1, LAB_OLD, "");
	lab_pass(200000);
	ck_assert_uint_eq(lab_containers(3), 1);
	ck_assert(!fleet_is_converged(lab.fleet));
	lab_stop();
	fake_ssh_answer("h3", ANSWERS_WELL);
	lab_start();
	LAB_UNTIL(lab_containers(3) == 0);
	lab_converge();
}
END_TEST

/* One that was never reached has nothing to be removed. */
START_TEST(who_was_never_reached_is_forgotten_at_once)
{
	fake_ssh_answer("h3", ANSWERS_REFUSING);
	lab_write_prod(HOSTS, LAB_OLD, "");
	lab_start();
	lab_pass(100000);
	ck_assert_str_eq(lab_phase(3, "lb"), "unreachable");
	lab_write_prod(HOSTS - 1, LAB_OLD, "");
	lab_pass(1000);
	ck_assert_str_eq(lab_phase(3, "lb"), "");
	lab_converge();
}
END_TEST

/* Somebody else's container. */
static struct fake_container *add_container(size_t host, const char *name)
{
	struct json_object *request = json_object_new_object();
	struct fake_container *container;

	json_object_object_add(request, "Image", json_object_new_string(LAB_OLD));
	container = fake_create(lab_machine(host), name, request);
	container->status = FAKE_RUNNING;
	return container;
}

START_TEST(a_container_of_somebody_else_is_a_conflict_and_left_alone)
{
	struct fake_container *others = add_container(2, "lb");
	char id[65];

	strcpy(id, others->id);
	lab_write_prod(HOSTS, LAB_OLD, "");
	lab_start();
	lab_pass(200000);
	ck_assert_str_eq(lab_phase(2, "lb"), "conflict");
	ck_assert_str_eq(lab_container(2, "lb")->id, id);
	ck_assert_int_eq(lab_container(2, "lb")->status, FAKE_RUNNING);
	ck_assert_ptr_null(fake_file_find(lab_machine(2), CONFIG));
	ck_assert(lab_runs(1, LAB_OLD) && lab_runs(3, LAB_OLD));
	/* Also when nobody wants it there any more. */
	lab_write_prod(1, LAB_OLD, "");
	lab_pass(200000);
	ck_assert_str_eq(lab_container(2, "lb")->id, id);
	/* And when it is gone: */
	fake_remove(lab_machine(2), lab_container(2, "lb"));
	lab_write_prod(HOSTS, LAB_OLD, "");
	LAB_UNTIL(lab_runs(2, LAB_OLD));
}
END_TEST

/* The spec of a take-over: `state` names these two containers of h1, of which only the first has a place. */
static void write_takeover(const char *lb, const char *old)
{
	lab_write("prod",
		  "image: " LAB_OLD "\nname: lb\nservers: [\"192.0.2.1:6443\"]\nbindAddress: 192.0.2.9:7443\n"
		  "hostConfigPath: " CONFIG "\nssh: {password: secret}\n"
		  "apiLoadBalancers: [{host: {ssh: {address: h1}}}]\nstate:\n"
		  "  \"0\":\n    container:\n      config: {name: lb, image: \"" LAB_OLD "\"}\n"
		  "      status: {id: %s, status: running}\n    host: {ssh: {address: h1}}\n"
		  "  \"7\":\n    container:\n      config: {name: old, image: \"" LAB_OLD "\"}\n"
		  "      status: {id: %s, status: running}\n    host: {ssh: {address: h1}}\n",
		  lb, old);
}

START_TEST(what_state_hands_over_is_taken_over_or_goes)
{
	char lb[65], old[65], bystander[65];

	strcpy(lb, add_container(1, "lb")->id);
	strcpy(old, add_container(1, "old")->id);
	strcpy(bystander, add_container(1, "bystander")->id);
	write_takeover(lb, old);
	lab_start();
	LAB_UNTIL(lab_runs(1, LAB_OLD) && lab_containers(1) == 2);
	ck_assert_str_ne(lab_container(1, "lb")->id, lb);
	ck_assert_ptr_null(lab_container(1, "old"));
	ck_assert_str_eq(lab_container(1, "bystander")->id, bystander);
	lab_converge();
	/* It does nothing more, also after a restart. */
	FREE(lab_machine(1)->history);
	lab_stop();
	lab_start();
	lab_pass(200000);
	ck_assert_msg(!lab_machine(1)->history, "%s", lab_machine(1)->history);
	ck_assert_uint_eq(lab_containers(1), 2);
}
END_TEST

/* Wherever the daemon ends in it, all of it comes true, and nothing else. */
START_TEST(a_take_over_may_end_at_each_request)
{
	bool came_to_it = true;
	size_t nth;

	for (nth = 1; came_to_it; nth++) {
		char lb[65], old[65];
		int64_t limit = turned_clock_ms() + 20000;

		lab_close();
		lab_open(1);
		strcpy(lb, add_container(1, "lb")->id);
		strcpy(old, add_container(1, "old")->id);
		add_container(1, "bystander");
		write_takeover(lb, old);
		fake_engine_fail(lab_engine(1), nth, nth % 2 ? FAULT_CUT_AFTER : FAULT_SILENT);
		lab_start();
		while (!fake_engine_has_failed(lab_engine(1)) && lab_turn(limit))
			;
		came_to_it = fake_engine_has_failed(lab_engine(1));
		lab_stop();
		lab_start();
		LAB_UNTIL(lab_runs(1, LAB_OLD) && lab_containers(1) == 2 && !lab_container(1, "old") &&
			  lab_container(1, "bystander"));
	}
	ck_assert_uint_gt(nth, 30);
}
END_TEST

/* The same machine by two names: what one spec gives up is not taken from under the other. */
START_TEST(a_machine_with_two_names_keeps_what_serves)
{
	fake_ssh_add("twin", lab_engine(3));
	begin();
	lab.hasty = true;
	lab_write_prod(HOSTS - 1, LAB_OLD, "");
	lab_write("twin", "%s",
		  "servers: [\"192.0.2.1:6443\", \"192.0.2.2:6443\"]\nbindAddress: 192.0.2.9:7443\nname: lb\n"
		  "image: " LAB_OLD "\nhostConfigPath: " CONFIG "\n"
		  "ssh: {password: secret}\napiLoadBalancers: [{host: {ssh: {address: twin}}}]\n");
	lab_pass(300000);
	ck_assert(lab_runs(3, LAB_OLD));
	ck_assert_uint_eq(lab_containers(3), 1);
	ck_assert_uint_eq(fake_engine_outages(lab_engine(3)), 0);
}
END_TEST

/* A balancer of h1 alone. */
static void write_one(const char *spec, const char *name, const char *image, const char *lines)
{
	lab_write(spec,
		  "image: %s\nname: %s\nservers: [\"192.0.2.1:6443\", \"192.0.2.2:6443\"]\n"
		  "bindAddress: 192.0.2.9:7443\nhostConfigPath: " CONFIG "\nssh: {password: secret}\n"
		  "rollout: {settle: 0s}\n%sapiLoadBalancers: [{host: {ssh: {address: h1}}}]\n",
		  image, name, lines);
}

/* What drains has the label of a spec that is gone, and the name of a balancer that has to stay until its own
 * successor serves: nobody's is the one, and not the other. */
static void leave_an_orphan_of_lb(void)
{
	write_one("a", "lb", LAB_OLD, "");
	lab_start();
	lab_converge();
	lab.hasty = true;
	lab_remove("a");
	write_one("b", "lb", LAB_OLD, "");
	lab.hasty = false;
	lab_pass(1000);
	lab_converge();
	lab_machine(1)->lasting = true;
	write_one("b", "lb", LAB_NEW, "");
	LAB_UNTIL(lab_runs(1, LAB_NEW) && lab_containers(1) == 2);
	lab_pass(2000);
}

/* All connections end, at last, of those that were told to leave. */
static void end_connections(void)
{
	lab_machine(1)->lasting = false;
	for (struct fake_container *c = lab_machine(1)->containers; c; c = c->next)
		if (c->leaves)
			fake_leave(lab_machine(1), c);
}

enum { SERVES, REFUSED, REFUSED_AND_CUT_OFF };

START_TEST(what_nobody_knows_takes_along_nothing_that_has_to_stay)
{
	char id[65];

	leave_an_orphan_of_lb();
	strcpy(id, lab_container(1, "lb")->id);
	if (_i == REFUSED_AND_CUT_OFF)
		fake_engine_fail(lab_engine(1), 10, FAULT_SILENT);
	write_one("b", "other", LAB_NEW, _i == SERVES ? "" : "healthCheck: {path: /unloadable}\n");
	if (_i == REFUSED_AND_CUT_OFF) {
		LAB_UNTIL(fake_engine_has_failed(lab_engine(1)));
		fake_ssh_lose("h1", false);
	}
	if (_i == SERVES) {
		LAB_UNTIL(lab_container(1, "other") && !lab_container(1, "lb"));
	} else {
		lab_pass(300000);
		ck_assert_msg(lab_runs(1, LAB_NEW) && strcmp(lab_container(1, "lb")->id, id) == 0, "%s",
			      lab_told());
		/* It is remembered, and what nobody knows goes when its connections have ended. */
		ck_assert_str_eq(lab_phase(1, "lb"), "removing");
		ck_assert_uint_eq(lab_containers(1), 2);
		end_connections();
		LAB_UNTIL(lab_containers(1) == 1);
		write_one("b", "other", LAB_NEW, "");
		LAB_UNTIL(lab_container(1, "other") && !lab_container(1, "lb"));
	}
	ck_assert_uint_eq(fake_engine_outages(lab_engine(1)), 0);
}
END_TEST

/*
 * A balancer is to have another name, or to come from another spec, and with it
 * come servers that do not answer. The new one would listen beside the old one,
 * and take its share of the connections.
 */

static void write_other(const char *spec, const char *servers, const char *more)
{
	lab_write(spec,
		  "image: " LAB_OLD "\nname: other\nservers: [\"%s:6443\"]\nbindAddress: 192.0.2.9:7443\n"
		  "hostConfigPath: /etc/haproxy-other/haproxy.cfg\nssh: {password: secret}\n%s"
		  "apiLoadBalancers: [{host: {ssh: {address: h1}}}]\n",
		  servers, more);
}

static void other_name(const char *servers)
{
	write_other("prod", servers, "");
}

static void other_name_and_path_as_before(const char *servers)
{
	lab_write("prod",
		  "image: " LAB_OLD "\nname: other\nservers: [\"%s:6443\"]\nbindAddress: 192.0.2.9:7443\n"
		  "hostConfigPath: " CONFIG "\nssh: {password: secret}\n"
		  "apiLoadBalancers: [{host: {ssh: {address: h1}}}]\n",
		  servers);
}

static void other_spec_and_name(const char *servers)
{
	if (!lab.hasty) {
		lab.hasty = true; /* both at once */
		lab_remove("prod");
	}
	write_other("next", servers, "");
}

static const struct {
	void (*edit)(const char *servers);
	enum { STAYS_UP, RESTARTS, LOSES_STORE } daemon;
} renamings[] = {
	{other_name, STAYS_UP},
	{other_name_and_path_as_before, STAYS_UP},
	{other_spec_and_name, STAYS_UP},
	{other_name, RESTARTS},
	{other_spec_and_name, RESTARTS},
	{other_name, LOSES_STORE},
	{other_spec_and_name, LOSES_STORE},
};
START_TEST(a_new_name_does_not_listen_before_it_has_a_server)
{
	char lb[65];

	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	strcpy(lb, lab_container(1, "lb")->id);
	if (renamings[_i].daemon == LOSES_STORE) {
		lab_stop();
		lose_store();
	}
	renamings[_i].edit(FAKE_DEAD_SERVER);
	if (renamings[_i].daemon == LOSES_STORE)
		lab_start();
	lab_pass(100000);
	if (renamings[_i].daemon == RESTARTS) {
		lab_stop();
		lab_start();
		lab_pass(100000);
	}
	LAB_ASK_UNTIL(strcmp(lab_phase(1, "other"), "failed") == 0);
	ck_assert_msg(strstr(lab_error(1, "other"), "none of the 1 wanted servers up") &&
			      strstr(lab_error(1, "other"), "lb, which serves until this balancer does"),
		      "%s", lab_error(1, "other"));
	ck_assert_msg(lab_events("create", "other") == 0, "%s", lab_told());
	ck_assert_str_eq(lab_container(1, "lb")->id, lb);
	ck_assert_int_eq(lab_container(1, "lb")->status, FAKE_RUNNING);
	/* When the slip of the pen is mended: */
	renamings[_i].edit("192.0.2.1");
	LAB_UNTIL(lab_container(1, "other") && !lab_container(1, "lb") && lab_containers(1) == 1);
	lab_converge();
	ck_assert_uint_eq(fake_engine_outages(lab_engine(1)), 0);
}
END_TEST

/* Nothing is to be lost: it waits for its servers where it listens. */
START_TEST(what_is_first_on_its_host_needs_no_server)
{
	write_other("prod", FAKE_DEAD_SERVER, "");
	lab_start();
	lab_converge();
	ck_assert_int_eq(lab_container(1, "other")->status, FAKE_RUNNING);
}
END_TEST

/* A cluster begins with its balancer, and a `state` of other days names containers that are long gone. */
START_TEST(what_state_names_and_is_gone_holds_up_no_first_one)
{
	write_other(
		"prod", FAKE_DEAD_SERVER,
		"state:\n  \"7\":\n    container:\n      config: {name: lb, image: \"" LAB_OLD "\"}\n"
		"      status: {id: 0123456789abcdef, status: running}\n    host: {ssh: {address: h1}}\n");
	lab_start();
	LAB_UNTIL(lab_container(1, "other") && lab_container(1, "other")->status == FAKE_RUNNING);
}
END_TEST

/* All API servers are down, or answer 401: who sees no better is no worse, as far as the daemon knows, or can
 * find out. */
START_TEST(who_serves_nobody_holds_up_no_new_name)
{
	bool down = _i / 2 != STAYS_UP;

	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	lab_container(1, "lb")->cut_off = true;
	lab_pass(100000);
	if (down)
		lab_stop();
	if (_i / 2 == LOSES_STORE)
		lose_store();
	(_i % 2 ? other_spec_and_name : other_name)(FAKE_DEAD_SERVER);
	if (down)
		lab_start();
	LAB_UNTIL(lab_container(1, "other") && !lab_container(1, "lb"));
	lab_converge();
}
END_TEST

/* Nobody listens in the place of the new one, whatever becomes of the other. */
START_TEST(who_listens_elsewhere_holds_up_nobody)
{
	write_other("prod", "192.0.2.1", "");
	lab_start();
	lab_converge();
	if (_i == 1) {
		lab_stop();
		lose_store();
	}
	lab_write("prod", "%s",
		  "image: " LAB_OLD "\nname: lb\nservers: [\"" FAKE_DEAD_SERVER ":6443\"]\n"
		  "bindAddress: 192.0.2.9:7444\nhostConfigPath: " CONFIG "\nssh: {password: \"%secret%\"}\n"
		  "apiLoadBalancers: [{host: {ssh: {address: h1}}}]\n");
	if (_i == 1)
		lab_start();
	LAB_UNTIL(lab_container(1, "lb") && lab_container(1, "lb")->status == FAKE_RUNNING);
	lab_pass(100000);
	ck_assert_int_eq(lab_container(1, "other")->status, FAKE_RUNNING);
	ck_assert_int_eq(lab_container(1, "lb")->status, FAKE_RUNNING);
}
END_TEST

/* Its clients go to what listens where it did: those that it has may stay until they are done. */
START_TEST(whose_place_another_takes_drains)
{
	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	lab_machine(1)->lasting = true;
	(_i == 0 ? other_name : other_spec_and_name)("192.0.2.1");
	LAB_UNTIL(lab_container(1, "other") && !lab_container(1, "lb"));
	lab_pass(20000);
	ck_assert_msg(lab_containers(1) == 2, "%s", lab_told());
	lab_machine(1)->lasting = false;
}
END_TEST

static void write_third(const char *binds)
{
	lab_write("third",
		  "image: " LAB_OLD "\nname: third\nservers: [\"192.0.2.1:6443\"]\nbindAddress: [%s]\n"
		  "hostConfigPath: /etc/haproxy-third/haproxy.cfg\nssh: {password: \"%%secret%%\"}\n"
		  "apiLoadBalancers: [{host: {ssh: {address: h1}}}]\n",
		  binds);
}

/* The same when what listens elsewhere gets the address as well, at once or when its spec is resumed: nobody
 * would serve there meanwhile. */
START_TEST(whose_address_another_gets_beside_its_own_drains_after_that)
{
	const char *told, *listens, *drains;

	lab_write_prod(1, LAB_OLD, "");
	write_third("\"192.0.2.9:7500\"");
	lab_start();
	lab_converge();
	lab_machine(1)->lasting = true;
	if (_i == 1)
		ck_assert_int_eq(lab_post("/v1/pause?spec=third", NULL), 202);
	lab.hasty = true; /* both at once */
	lab_remove("prod");
	write_third("\"192.0.2.9:7500\", \"192.0.2.9:7443\"");
	lab_pass(20000);
	if (_i == 1) {
		ck_assert_msg(lab_events("drain", "") + lab_events("stop", "") == 0, "%s", lab_told());
		ck_assert_int_eq(lab_post("/v1/resume?spec=third", NULL), 202);
		lab_pass(20000);
	}
	ck_assert_msg(lab_events("drain", "lb-apilb-old") == 1, "%s", lab_told());
	ck_assert_msg(lab_events("stop", "") == 0, "%s", lab_told());
	told = lab_told();
	listens = strstr(told, "HAProxy in container third-apilb-next has loaded");
	drains = strstr(told, "drain container lb-apilb-old");
	ck_assert_msg(listens && listens < drains, "%s", told);
	lab_machine(1)->lasting = false;
}
END_TEST

/* Nor when nobody knows the former one any more. */
START_TEST(whose_address_another_gets_drains_after_that_without_the_store)
{
	const char *told, *listens, *drains;

	lab_write_prod(1, LAB_OLD, "");
	write_third("\"192.0.2.9:7500\"");
	lab_start();
	lab_converge();
	lab_stop();
	lose_store();
	lab_remove("prod");
	write_third("\"192.0.2.9:7500\", \"192.0.2.9:7443\"");
	lab_machine(1)->lasting = true;
	lab_start();
	lab_pass(60000);
	ck_assert_msg(lab_events("stop", "") == 0, "%s", lab_told());
	ck_assert_msg(lab_events("drain", "lb-apilb-old") == 1, "%s", lab_told());
	told = lab_told();
	listens = strstr(told, "HAProxy in container third-apilb-next has loaded");
	drains = strstr(told, "drain container lb-apilb-old");
	ck_assert_msg(listens && listens < drains, "%s", told);
	lab_machine(1)->lasting = false;
}
END_TEST

/* The plan of what waits while the spec is paused is what happens when it is resumed. */
START_TEST(the_plan_of_a_paused_removal_drains_and_waits)
{
	char *body = NULL;

	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	ck_assert_int_eq(lab_post("/v1/pause?spec=prod", NULL), 202);
	other_name("192.0.2.1");
	lab_pass(20000);
	ck_assert_int_eq(lab_get("/v1/plan", &body), 200);
	ck_assert_msg(strstr(body, "drain container lb") != NULL, "%s", body);
	ck_assert_msg(!strstr(body, "stop container lb"), "%s", body);
	ck_assert_msg(strstr(body, "\"later\"") != NULL, "%s", body);
	free(body);
	ck_assert_str_eq(lab_phase(1, "lb"), "paused");
	lab_machine(1)->lasting = true;
	ck_assert_int_eq(lab_post("/v1/resume?spec=prod", NULL), 202);
	LAB_UNTIL(lab_container(1, "other") && !lab_container(1, "lb"));
	lab_pass(20000);
	ck_assert_msg(lab_containers(1) == 2, "%s", lab_told());
	lab_machine(1)->lasting = false;
}
END_TEST

/* The same when nobody knows it any more: it is told to leave once, by each daemon, and has its time. */
START_TEST(what_nobody_knows_and_another_replaces_drains)
{
	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	lab_machine(1)->lasting = true;
	lab_stop();
	lose_store();
	(_i == 0 ? other_name : other_spec_and_name)("192.0.2.1");
	lab_start();
	LAB_UNTIL(lab_container(1, "other") && !lab_container(1, "lb"));
	lab_pass(5000);
	FREE(lab_machine(1)->history);
	lab_pass(200000);
	ck_assert_msg(!lab_machine(1)->history, "not quiet: %s", lab_machine(1)->history);
	ck_assert_msg(lab_containers(1) == 2, "%s", lab_told());
	/* A process of its own, each; and with a host that is lost for a moment nothing is forgotten. */
	lab_stop();
	lab_start();
	lab_pass(5000);
	FREE(lab_machine(1)->history);
	fake_ssh_lose("h1", false);
	lab_pass(100000);
	ck_assert_msg(!lab_machine(1)->history, "not quiet: %s", lab_machine(1)->history);
	ck_assert_uint_eq(lab_containers(1), 2);
	end_connections();
	LAB_UNTIL(lab_containers(1) == 1);
	ck_assert_uint_eq(fake_engine_outages(lab_engine(1)), 0);
}
END_TEST

/* Its spec has nothing on this host any more, but it says elsewhere for how long its connections may go on.
 */
START_TEST(what_nobody_knows_drains_for_as_long_as_its_spec_says)
{
	lab_write_prod(2, LAB_OLD, "timeouts: {drain: 20m}\n");
	lab_start();
	lab_converge();
	lab_machine(1)->lasting = true;
	lab_write_prod(2, LAB_NEW, "timeouts: {drain: 20m}\n");
	LAB_UNTIL(lab_runs(1, LAB_NEW) && lab_runs(2, LAB_NEW) && lab_containers(1) == 2);
	lab_stop();
	lose_store();
	lab_write("prod", "%s",
		  "image: " LAB_NEW "\nname: lb\nservers: [\"192.0.2.1:6443\"]\nbindAddress: 192.0.2.9:7443\n"
		  "hostConfigPath: " CONFIG "\nssh: {password: secret}\ntimeouts: {drain: 20m}\n"
		  "apiLoadBalancers: [{host: {ssh: {address: h2}}}]\n");
	lab_write("next", "%s",
		  "image: " LAB_OLD
		  "\nname: other\nservers: [\"192.0.2.1:6443\"]\nbindAddress: 192.0.2.9:7444\n"
		  "hostConfigPath: /etc/haproxy-other/haproxy.cfg\nssh: {password: secret}\n"
		  "apiLoadBalancers: [{host: {ssh: {address: h1}}}]\n");
	lab_start();
	LAB_UNTIL(lab_container(1, "other") && !lab_container(1, "lb"));
	lab_pass(600000);
	ck_assert_msg(lab_containers(1) == 2, "%s", lab_told());
	/* But no longer. */
	lab_pass(1200000);
	ck_assert_msg(lab_containers(1) == 1, "%s", lab_told());
}
END_TEST

/* Its HAProxy has ended: it is removed by the look that comes soon, not by the next one at its regular time.
 */
START_TEST(what_has_drained_soon_goes_soon)
{
	lab.settings.resync_ms = 3600000;
	lab_write_prod(1, LAB_OLD, "");
	lab_start();
	lab_converge();
	lab_machine(1)->lasting = true;
	lab_stop();
	lose_store();
	other_name("192.0.2.1");
	lab_start();
	LAB_UNTIL(lab_container(1, "other") && !lab_container(1, "lb"));
	lab_pass(1500);
	end_connections();
	lab_pass(5000);
	ck_assert_msg(lab_containers(1) == 1, "%s", lab_told());
}
END_TEST

static void write_rest(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	lab_write_prod(HOSTS, LAB_OLD, "");
}

/* As far as it has got, it is a good spec of fewer balancers. */
static void write_half(void)
{
	turned_clock_instead_of_thread = NULL;
	lab_write_prod(1, LAB_OLD, "");
	event_base_once(lab.base, -1, EV_TIMEOUT, write_rest, NULL, &(struct timeval){.tv_usec = 50000});
}

static void expect_all_stays(void)
{
	lab_pass(100000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	ck_assert_msg(lab_events("removing", "") == 0, "%s", lab_told());
	lab_converge();
}

/* It is being written while the daemon starts: the store was not to be had at once, say. */
START_TEST(half_a_spec_at_a_start_removes_nothing)
{
	begin();
	lab_stop();
	lab.hasty = true;
	lab.before_load = write_half;
	lab_start();
	expect_all_stays();
}
END_TEST

/* It is being written while the look goes on, at a start or later. */
START_TEST(half_a_spec_in_a_look_removes_nothing)
{
	begin();
	lab.hasty = true;
	/* First it asks, and then it looks. */
	turned_clock_threads_before = 1;
	turned_clock_instead_of_thread = write_half;
	if (_i == 0) {
		lab_stop();
		lab_start();
	} else {
		fleet_load(lab.fleet);
		lab_pass(10);
	}
	ck_assert_ptr_null(turned_clock_instead_of_thread);
	expect_all_stays();
}
END_TEST

static char *elsewhere, *whole;

static void write_whole(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	write_text(elsewhere, whole);
}

static char *text_of_prod(size_t hosts)
{
	char *path = lab_spec_path("prod.yaml"), *text;
	struct err err;

	lab_write_prod(hosts, LAB_OLD, "");
	ck_assert_int_eq(file_read(path, 1 << 20, &text, &err), 0);
	free(path);
	return text;
}

/* Nothing tells of what is written where a link leads; and its file system has a clock of its own. */
START_TEST(half_a_spec_elsewhere_removes_nothing)
{
	char *half = text_of_prod(1), *path = lab_spec_path("prod.yaml");

	elsewhere = temp_path("elsewhere");
	whole = text_of_prod(HOSTS);
	write_text(elsewhere, whole);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink(elsewhere, path), 0);
	lab_start();
	lab_converge();
	write_text(elsewhere, half);
	event_base_once(lab.base, -1, EV_TIMEOUT, write_whole, NULL, &(struct timeval){.tv_usec = 50000});
	fleet_load(lab.fleet);
	expect_all_stays();
	/* When it is the whole, it is taken. */
	write_text(elsewhere, half);
	LAB_UNTIL(lab_count(LAB_OLD) == 1);
	FREE(elsewhere);
	FREE(whole);
	free(path);
	free(half);
}
END_TEST

START_TEST(a_file_that_is_in_no_listing_is_not_gone)
{
	begin();
	unlisted = "prod.yaml";
	if (_i == 1) {
		lab_stop();
		lab_start();
	}
	/* An edit elsewhere makes it look. */
	lab_write("other", "%s", "nonsense\n");
	lab_pass(100000);
	ck_assert_uint_eq(lab_events("spec-invalid", "other.yaml"), 1);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	unlisted = NULL;
	/* What is nonsense could be "prod" under a new name. */
	lab_remove("other");
	lab_remove("prod");
	LAB_UNTIL(lab_count(LAB_OLD) == 0);
}
END_TEST

static void replace_directory(evutil_socket_t fd, short what, void *arg)
{
	char *away = xasprintf("%s.away", lab.settings.spec_dir);

	(void)fd;
	(void)what;
	(void)arg;
	ck_assert_int_eq(rename(lab.settings.spec_dir, away), 0);
	ck_assert_int_eq(mkdir(lab.settings.spec_dir, 0700), 0);
	free(away);
}

static void empty_directory(void)
{
	turned_clock_instead_of_thread = NULL;
	lab_remove("prod");
	event_base_once(lab.base, -1, EV_TIMEOUT, replace_directory, NULL,
			&(struct timeval){.tv_usec = 50000});
}

/* A tool empties and refills it, and before it does the file system is gone: the look that saw it empty has
 * no say in which directory held the specs. */
START_TEST(what_a_dropped_look_saw_is_not_meant)
{
	begin();
	lab.hasty = true;
	turned_clock_threads_before = 1;
	turned_clock_instead_of_thread = empty_directory;
	fleet_load(lab.fleet);
	lab_pass(10);
	ck_assert_ptr_null(turned_clock_instead_of_thread);
	lab_pass(100000);
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
	ck_assert_msg(lab_events("spec-dir", "is another one than before") == 1, "%s", lab_told());
}
END_TEST

static unsigned others;

static void write_another(void)
{
	lab_write("other", "%s# %u\n", "servers: [\"192.0.2.1:6443\"]\nname: other\napiLoadBalancers: [\n",
		  ++others);
}

/* What never rests is taken in at last. */
START_TEST(a_directory_that_changes_in_every_look_is_read_all_the_same)
{
	begin();
	lab.hasty = true;
	turned_clock_instead_of_thread = write_another;
	fleet_load(lab.fleet);
	LAB_UNTIL(lab_events("spec-invalid", "other.yaml") > 0);
	ck_assert_uint_gt(others, 1);
	turned_clock_instead_of_thread = NULL;
	ck_assert_uint_eq(lab_count(LAB_OLD), HOSTS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fleet_removal");
	TCase *tcase = tcase_create("fleet_removal");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, an_instance_that_is_gone_from_its_list_goes);
	tcase_add_loop_test(tcase, a_spec_that_is_gone_takes_its_balancers_with_it, 0, 2);
	tcase_add_loop_test(tcase, what_went_while_the_daemon_was_down_goes_after_its_start, 0, 3);
	tcase_add_test(tcase, a_spec_that_has_had_no_say_removes_nothing);
	tcase_add_loop_test(tcase, a_spec_that_was_renamed_and_is_not_valid_removes_nothing, 0, 6);
	tcase_add_loop_test(tcase, a_directory_that_is_gone_removes_nothing, 0, 2);
	tcase_add_test(tcase, half_a_spec_at_a_start_removes_nothing);
	tcase_add_loop_test(tcase, half_a_spec_in_a_look_removes_nothing, 0, 2);
	tcase_add_test(tcase, half_a_spec_elsewhere_removes_nothing);
	tcase_add_loop_test(tcase, a_file_that_is_in_no_listing_is_not_gone, 0, 2);
	tcase_add_test(tcase, what_a_dropped_look_saw_is_not_meant);
	tcase_add_test(tcase, a_directory_that_changes_in_every_look_is_read_all_the_same);
	tcase_add_test(tcase, who_cannot_be_reached_is_removed_when_it_is_back);
	tcase_add_test(tcase, who_was_never_reached_is_forgotten_at_once);
	tcase_add_test(tcase, a_container_of_somebody_else_is_a_conflict_and_left_alone);
	tcase_add_test(tcase, what_state_hands_over_is_taken_over_or_goes);
	tcase_add_test(tcase, a_take_over_may_end_at_each_request);
	tcase_add_test(tcase, a_machine_with_two_names_keeps_what_serves);
	tcase_add_loop_test(tcase, what_nobody_knows_takes_along_nothing_that_has_to_stay, 0,
			    REFUSED_AND_CUT_OFF + 1);
	tcase_add_loop_test(tcase, a_new_name_does_not_listen_before_it_has_a_server, 0, N(renamings));
	tcase_add_test(tcase, what_is_first_on_its_host_needs_no_server);
	tcase_add_test(tcase, what_state_names_and_is_gone_holds_up_no_first_one);
	tcase_add_loop_test(tcase, who_serves_nobody_holds_up_no_new_name, 0, 6);
	tcase_add_loop_test(tcase, who_listens_elsewhere_holds_up_nobody, 0, 2);
	tcase_add_test(tcase, the_plan_of_a_paused_removal_drains_and_waits);
	tcase_add_loop_test(tcase, whose_place_another_takes_drains, 0, 2);
	tcase_add_loop_test(tcase, whose_address_another_gets_beside_its_own_drains_after_that, 0, 2);
	tcase_add_test(tcase, whose_address_another_gets_drains_after_that_without_the_store);
	tcase_add_loop_test(tcase, what_nobody_knows_and_another_replaces_drains, 0, 2);
	tcase_add_test(tcase, what_nobody_knows_drains_for_as_long_as_its_spec_says);
	tcase_add_test(tcase, what_has_drained_soon_goes_soon);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
