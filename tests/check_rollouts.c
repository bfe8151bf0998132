/*
 * What is in force of balancers and what comes next, over restarts, first looks
 * and rollouts: with a store and real timers, and hosts that are never connected to.
 */
#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "daemon/core/rollout.h"
#include "daemon/rollout/rollouts_internal.h"
#include "tests/suite.h"
#include "tests/temp.h"

#define HOSTS 2
/* Far more turns of the loop than anything here takes. */
#define MAX_TURNS 1000

static struct event_base *base;
static struct store *store;
static struct events *events;
static struct rollouts *rollouts;
static struct spec *spec;
static struct host *hosts[HOSTS];
static struct instance *instances[HOSTS];

static void on_due(void *arg, struct host *host)
{
	(void)arg;
	(void)host;
}

static void on_changed(void *arg, struct host *host)
{
	(void)arg;
	(void)host;
}

static void on_moved(void *arg)
{
	(void)arg;
}

static struct host_context context = {.due = on_due};

static struct spec *parse_text(const char *text)
{
	static const struct spec_context context_of_spec = {.have_agent = true};
	struct spec_errors errors = {0};
	struct spec *parsed = spec_parse("test.yaml", text, strlen(text), &context_of_spec, &errors);

	ck_assert_ptr_nonnull(parsed);
	spec_errors_clear(&errors);
	return parsed;
}

static struct spec *parse(const char *image)
{
	char *text = xasprintf("servers: [\"10.0.0.1:6443\"]\n"
			       "image: %s\n"
			       "bindAddress: 127.0.0.1:7443\n"
			       "rollout: {canary: 1, parallel: 1, settle: 1ms, onFailure: revert}\n"
			       "apiLoadBalancers:\n"
			       "- {host: {ssh: {address: h1}}}\n"
			       "- {host: {ssh: {address: h2}}}\n",
			       image);
	struct spec *parsed = parse_text(text);

	free(text);
	return parsed;
}

static struct wanted *wanted_of(size_t i, const char *adopt_id)
{
	return wanted_new("apilb", spec->name, &spec->instances[i], adopt_id);
}

static void open_store(void)
{
	char *warning = NULL, *dir = temp_path("state");
	struct err err;

	store = store_open(base, dir, &warning, &err);
	ck_assert_ptr_nonnull(store);
	free(warning);
	free(dir);
}

static void setup(void)
{
	temp_make();
	/* The log is not what is looked at. */
	log_init(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT);
	base = event_base_new();
	memset(instances, 0, sizeof(instances));
	open_store();
	events = events_new(base, store);
	spec = parse("haproxy:1");
	context.base = base;
	context.store = store;
	context.events = events;
	context.owner = "apilb";
	rollouts = rollouts_new(&(struct rollouts_options){
		.base = base, .store = store, .events = events, .changed = on_changed, .moved = on_moved});
	for (size_t i = 0; i < HOSTS; i++)
		hosts[i] = host_new(&context, &spec->instances[i].host);
}

static void teardown(void)
{
	rollouts_free(rollouts);
	for (size_t i = 0; i < HOSTS; i++)
		host_free(hosts[i]);
	events_free(events);
	spec_free(spec);
	store_close(store);
	event_base_free(base);
	temp_remove();
}

/* What fleet_specs.c does, as core/assign would have it. n: so many have part; the others are left out. */
static void go_through_specs(size_t n)
{
	struct rollout_part parts[HOSTS];

	for (size_t i = 0; i < HOSTS; i++) {
		struct wanted *wanted = wanted_of(i, NULL);
		struct instance_change change;
		bool hold = instances[i] && instance_revision(instances[i])->as_found;

		instances[i] = host_wish(hosts[i], spec->instances[i].name, wanted, hold, &change);
		parts[i] = (struct rollout_part){
			.kind = i < n ? PART_WANTED : PART_LEFT_OUT,
			.spec = spec,
			.host = hosts[i],
			.instance = instances[i],
			.edited = change.edited,
		};
		wanted_unref(wanted);
	}
	rollouts_set(rollouts, parts, HOSTS);
}

/* A run has come to this. */
static void end_run(size_t i, enum err_kind kind)
{
	struct err err = {.kind = ERR_NONE};

	if (kind != ERR_NONE)
		err_set(&err, kind, "it does not come up");
	instance_settle(instances[i], NULL, &err, store, events);
}

/* The hosts have other versions than what the store, which was lost, says. */
static void find_other_versions(void)
{
	static const struct observed_instance observed;

	go_through_specs(HOSTS);
	for (size_t i = 0; i < HOSTS; i++) {
		instance_reached(instances[i], instance_revision(instances[i])->in_force, store);
		end_run(i, ERR_NONE);
		ck_assert(instance_found(instances[i], LOOK_LEAVE, &observed));
	}
	go_through_specs(HOSTS);
}

/* A run on the host ends so, again and again, until its balancer is at that. */
static void run_until(size_t i, enum err_kind kind, enum unit_state state)
{
	for (int turn = 0; turn < MAX_TURNS && instance_unit_state(instances[i]) != state; turn++) {
		end_run(i, kind);
		rollouts_ran(rollouts, hosts[i]);
		event_base_loop(base, EVLOOP_ONCE);
	}
	ck_assert_int_eq(instance_unit_state(instances[i]), state);
}

static bool phase_is(const char *phase)
{
	struct status_rollout status;

	if (!rollouts_status(rollouts, spec->name, &status) || strcmp(status.phase, phase) != 0)
		return false;
	ck_assert(status.stopped);
	return true;
}

static void turn_until_phase(const char *phase)
{
	for (int turn = 0; turn < MAX_TURNS && !phase_is(phase); turn++)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert(phase_is(phase));
}

static void turn_until_idle(void)
{
	for (int turn = 0; turn < MAX_TURNS && !rollouts_are_idle(rollouts); turn++)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert(rollouts_are_idle(rollouts));
}

/* How many there are; *message: of the last, which the caller frees. */
static size_t events_of(const char *type, char **message)
{
	struct store_event *rows;
	struct err err;
	size_t n, found = 0;

	*message = NULL;
	ck_assert_int_eq(store_load_events(store, 0, NULL, 100, &rows, &n, &err), 0);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(rows[i].type, type) != 0)
			continue;
		found++;
		free(*message);
		*message = xstrdup(rows[i].message);
	}
	store_events_free(rows, n);
	return found;
}

static void assert_events(const char *type, size_t n)
{
	char *message;

	ck_assert_uint_eq(events_of(type, &message), n);
	free(message);
}

START_TEST(what_has_nothing_to_go_back_to_stays_failed_until_resumed)
{
	char *message;

	find_other_versions();
	run_until(0, ERR_NONE, UNIT_CHANGING);
	run_until(0, ERR_PERMANENT, UNIT_FAILED);
	turn_until_phase("reverted");
	ck_assert_int_eq(instance_unit_state(instances[0]), UNIT_FAILED);
	ck_assert_uint_eq(events_of("rollout-reverted", &message), 1);
	ck_assert_ptr_nonnull(strstr(message, "except hosts that have none, which keep the change: h1"));
	free(message);
	ck_assert(rollouts_resume(rollouts, spec->name));
	ck_assert_int_eq(instance_unit_state(instances[0]), UNIT_ACKNOWLEDGED);
	go_through_specs(HOSTS);
	run_until(1, ERR_NONE, UNIT_CHANGING);
	assert_events("rollout-reverted", 1);
}
END_TEST

/* A run has found it as wanted, with its server in this state. */
static void see(struct instance *instance, enum server_state state)
{
	struct job_target target = instance_target(instance, false);
	struct observed_instance *observed = &target.result.observed;

	observed->stats = STATS_ANSWERED;
	observed->servers = xcalloc(1, sizeof(*observed->servers));
	observed->servers[0].name = xstrdup("10.0.0.1:6443");
	observed->servers[0].state = state;
	observed->servers_n = 1;
	instance_settle(instance, &target, &target.result.err, store, events);
	job_target_clear(&target);
}

/* Two balancers of a host are to change, and a server of each is up. */
static void change_two(const struct spec *two, struct instance *pair[2])
{
	static const struct observed_instance observed;
	struct rollout_part parts[2];

	for (size_t i = 0; i < 2; i++) {
		struct wanted *wanted = wanted_new("apilb", two->name, &two->instances[i], NULL);
		struct instance_change change;

		pair[i] = host_wish(hosts[0], two->instances[i].name, wanted, false, &change);
		instance_reached(pair[i], wanted, store);
		see(pair[i], SERVER_UP);
		instance_found(pair[i], LOOK_LEAVE, &observed);
		parts[i] = (struct rollout_part){
			.kind = PART_WANTED, .spec = two, .host = hosts[0], .instance = pair[i]};
		wanted_unref(wanted);
	}
	rollouts_set(rollouts, parts, 2);
	for (int turn = 0; turn < MAX_TURNS && instance_unit_state(pair[0]) != UNIT_CHANGING; turn++) {
		rollouts_ran(rollouts, hosts[0]);
		event_base_loop(base, EVLOOP_ONCE);
	}
	ck_assert_int_eq(instance_unit_state(pair[0]), UNIT_CHANGING);
}

/* Not the one before it, which has not checked its server yet, or is still being worked on. */
START_TEST(a_halt_names_the_balancer_that_has_failed)
{
	static const char text[] =
		"servers: [\"10.0.0.1:6443\"]\n"
		"rollout: {canary: 1, parallel: 1, settle: 1ms}\n"
		"ssh: {address: h1}\n"
		"apiLoadBalancers:\n"
		"- {name: lb1, bindAddress: 127.0.0.1:7443, hostConfigPath: /etc/lb1/haproxy.cfg}\n"
		"- {name: lb2, bindAddress: 127.0.0.1:8443, hostConfigPath: /etc/lb2/haproxy.cfg}\n";
	struct spec *two = parse_text(text);
	struct instance *pair[2];
	struct err err;
	char *message;

	change_two(two, pair);
	if (_i == 0)
		see(pair[0], SERVER_UNKNOWN);
	else
		instance_progress(pair[0], "pulling");
	err_set(&err, ERR_PERMANENT, "its port is taken");
	instance_settle(pair[1], NULL, &err, store, events);
	rollouts_ran(rollouts, hosts[0]);
	turn_until_phase("halted");
	ck_assert_uint_eq(events_of("rollout-halted", &message), 1);
	ck_assert_str_eq(message, "0 of 1 hosts were done: test/h1/lb2: its port is taken");
	free(message);
	spec_free(two);
}
END_TEST

START_TEST(a_rollout_does_not_end_without_what_was_left_out)
{
	struct status_rollout status;

	find_other_versions();
	run_until(0, ERR_NONE, UNIT_CHANGING);
	run_until(0, ERR_NONE, UNIT_DONE);
	for (size_t n = 0; n < HOSTS; n++) {
		go_through_specs(n);
		assert_events("rollout-done", 0);
		ck_assert_int_eq(instance_unit_state(instances[0]), UNIT_DONE);
	}
	go_through_specs(HOSTS);
	ck_assert(rollouts_status(rollouts, spec->name, &status));
	ck_assert_uint_eq(status.done, 1);
	ck_assert_uint_eq(status.total, 2);
	ck_assert(!status.stopped);
	assert_events("rollout-started", 1);
	run_until(1, ERR_NONE, UNIT_CHANGING);
	/* When it is done it has no part any more. */
	run_until(1, ERR_NONE, UNIT_OUT);
	assert_events("rollout-done", 1);
}
END_TEST

/* The first n of them; the last one as this, and edited. */
static void tell_edit(size_t n, enum rollout_part_kind kind, bool edited)
{
	struct rollout_part parts[HOSTS];

	for (size_t i = 0; i < HOSTS; i++)
		parts[i] = (struct rollout_part){
			.kind = i == HOSTS - 1 ? kind : PART_WANTED,
			.spec = spec,
			.host = hosts[i],
			.instance = instances[i],
			.edited = edited && i == HOSTS - 1,
		};
	rollouts_set(rollouts, parts, n);
}

/* Edited in a file that is not valid otherwise. Then the file is, without it or with it. */
START_TEST(what_was_left_out_starts_over_when_it_has_part_and_not_when_it_is_gone)
{
	bool gone = _i == 0;

	find_other_versions();
	run_until(0, ERR_NONE, UNIT_CHANGING);
	tell_edit(HOSTS, PART_LEFT_OUT, true);
	tell_edit(HOSTS, PART_LEFT_OUT, false);
	ck_assert_int_eq(instance_unit_state(instances[0]), UNIT_CHANGING);
	assert_events("rollout-started", 1);
	tell_edit(gone ? HOSTS - 1 : HOSTS, PART_WANTED, false);
	assert_events("rollout-started", gone ? 1 : 2);
	ck_assert_int_eq(instance_unit_state(instances[0]), gone ? UNIT_CHANGING : UNIT_OUT);
	/* Once; and what is forgotten with it is not recalled should it be wanted again. */
	if (gone)
		instance_want(instances[1], NULL);
	tell_edit(HOSTS, PART_WANTED, false);
	assert_events("rollout-started", gone ? 1 : 2);
}
END_TEST

/* One that its host was found to have in another version, as the store has it after a restart. */
static struct instance *recalled(void)
{
	struct wanted *wanted = wanted_of(0, NULL);
	struct store_instance record = {
		.host_url = xstrdup(spec->instances[0].host.url),
		.engine = xstrdup(spec->instances[0].host.engine),
		.name = xstrdup(spec->instances[0].name),
		.spec = xstrdup(spec->name),
		.host_json = spec_host_to_json(&spec->instances[0].host),
		.config_path = xstrdup(spec->instances[0].config_path),
		.in_force = spec_instance_to_json(&spec->instances[0]),
		.next_version = xstrdup(wanted->said),
	};
	struct instance *instance = instance_new(&record);
	struct err err;

	ck_assert_int_eq(instance_recall(instance, "apilb", &spec->instances[0].host, &err), 0);
	ck_assert(instance_revision(instance)->as_found && instance_is_left_alone(instance));
	wanted_unref(wanted);
	return instance;
}

START_TEST(what_was_left_as_found_is_looked_after_after_a_restart)
{
	struct instance *instance = recalled();
	struct wanted *wanted = wanted_of(0, NULL);
	struct instance_change change = instance_hold(instance, wanted);

	ck_assert(change.todo && !change.edited);
	ck_assert(!instance_is_left_alone(instance) && instance_revision(instance)->as_found);
	/* Another look at the same specs is no news. */
	ck_assert(!instance_hold(instance, wanted).todo);
	ck_assert(!instance_is_left_alone(instance));
	wanted_unref(wanted);
	instance_free(instance);
}
END_TEST

START_TEST(what_state_says_of_one_left_as_found_counts)
{
	struct instance *instance = recalled();
	struct wanted *wanted = wanted_of(0, "0123456789ab");
	struct instance_change change = instance_hold(instance, wanted);

	ck_assert(change.todo && !change.edited);
	ck_assert_str_eq(instance_revision(instance)->next->adopt_id, "0123456789ab");
	ck_assert(!instance_is_left_alone(instance) && instance_revision(instance)->as_found);
	ck_assert(!instance_hold(instance, wanted).todo);
	wanted_unref(wanted);
	instance_free(instance);
}
END_TEST

/* It was held, then its spec gave it up and left a container of its name behind. */
START_TEST(what_state_drops_waits_for_nothing)
{
	const char *name = spec->instances[0].name;
	struct wanted *wanted = wanted_of(0, NULL);
	struct instance_change change;
	struct job_target target;
	struct instance *instance = host_wish(hosts[0], name, wanted, true, &change);

	ck_assert(instance_is_left_alone(instance) && instance_revision(instance)->next && !change.todo);
	ck_assert(host_drop(hosts[0], spec->name, name, "0123456789ab"));
	ck_assert(!instance_is_left_alone(instance) && !instance_revision(instance)->next);
	target = instance_target(instance, false);
	ck_assert_str_eq(target.order.drop_id, "0123456789ab");
	job_target_clear(&target);
	ck_assert(!instance_claim(instance, false).waits);
	/* The same again is no news. */
	ck_assert(!host_drop(hosts[0], spec->name, name, "0123456789ab"));
	wanted_unref(wanted);
}
END_TEST

/* It is wanted, and would not be if its spec were not paused. */
static bool is_kept(const struct instance *instance)
{
	return instance_claim(instance, false).wanted && !instance_claim(instance, true).wanted;
}

/* Its removal waits as long as the spec is paused, and no longer than somebody wants it again. */
START_TEST(what_is_kept_is_kept_until_it_is_wanted_or_nobody_knows)
{
	struct wanted *wanted = wanted_of(0, NULL);
	struct instance *instance;

	go_through_specs(HOSTS);
	instance = instances[0];
	ck_assert(!instance_defer_removal(instance));
	ck_assert(is_kept(instance));
	instance_want(instance, wanted);
	ck_assert(!is_kept(instance));
	instance_defer_removal(instance);
	instance_hold(instance, wanted);
	ck_assert(!is_kept(instance));
	instance_defer_removal(instance);
	instance_leave(instance, "its file is gone");
	ck_assert(!is_kept(instance));
	wanted_unref(wanted);
}
END_TEST

/* Whoever has a seat knows why it waits; what was left out waits for something else than its turn. */
START_TEST(a_rollout_knows_who_has_part)
{
	const struct hold *hold;

	find_other_versions();
	hold = rollouts_hold(rollouts, instances[1]);
	ck_assert_ptr_nonnull(hold);
	ck_assert_str_eq(instance_held_because(instances[1], hold), hold->why);
	ck_assert(!hold->stopped);
	go_through_specs(1);
	hold = rollouts_hold(rollouts, instances[1]);
	ck_assert(hold->stopped);
	ck_assert_int_eq(instance_phase(instances[1], hold), PHASE_PAUSED);
	rollouts_set(rollouts, NULL, 0);
	ck_assert_ptr_null(rollouts_hold(rollouts, instances[1]));
	/* Nobody has told, yet it waits. */
	ck_assert_int_eq(instance_phase(instances[1], NULL), PHASE_PENDING);
}
END_TEST

/* What is asked of a spec makes an object for it, which may go with the spec; but not what it knows. */
START_TEST(specs_that_are_gone_leave_nothing_behind)
{
	go_through_specs(HOSTS);
	for (int i = 0; i < 100; i++) {
		char *name = xasprintf("once-%d", i);

		ck_assert(!rollouts_is_paused(rollouts, name));
		free(name);
	}
	rollouts_pause(rollouts, "held");
	go_through_specs(HOSTS);
	ck_assert_uint_eq(HASH_COUNT(rollouts->by_spec), 2);
	ck_assert(rollouts_is_paused(rollouts, "held"));
	rollouts_resume(rollouts, "held");
	turn_until_idle();
	rollouts_set(rollouts, NULL, 0);
	turn_until_idle();
	rollouts_set(rollouts, NULL, 0);
	ck_assert_uint_eq(HASH_COUNT(rollouts->by_spec), 0);
	ck_assert_ptr_null(rollouts_hold(rollouts, instances[0]));
	go_through_specs(HOSTS);
	ck_assert_ptr_nonnull(rollouts_hold(rollouts, instances[0]));
}
END_TEST

START_TEST(what_was_adopted_has_served_if_it_does)
{
	struct observed_server server = {.state = SERVER_UP};
	const struct observed_instance seen[] = {
		{.stats = STATS_ANSWERED},
		{.stats = STATS_ANSWERED, .servers = &server, .servers_n = 1},
	};
	struct store_instance *rows;
	struct err err;
	size_t n;

	for (int i = 0; i < 2; i++) {
		struct instance *instance = recalled();

		ck_assert(instance_found(instance, LOOK_ADOPT, &seen[i]));
		instance_store(instance, store);
		ck_assert_int_eq(store_load_instances(store, &rows, &n, &err), 0);
		ck_assert_uint_eq(n, 1);
		ck_assert_int_eq(rows[0].served, i);
		store_instances_free(rows, n);
		instance_free(instance);
	}
}
END_TEST

START_TEST(a_look_is_awaited_by_what_is_not_proven)
{
	static const struct observed_instance observed;
	struct wanted *wanted = wanted_of(0, NULL);
	struct instance *instance;

	go_through_specs(HOSTS);
	instance = instances[0];
	ck_assert(instance_awaits_look(instance));
	/* It is held, and its host was never reached: it is left alone. */
	instance_hold(instance, wanted);
	ck_assert(!instance_awaits_look(instance));
	instance_want(instance, wanted);
	ck_assert(instance_awaits_look(instance));
	ck_assert(!instance_found(instance, LOOK_NONE, &observed));
	ck_assert(instance_awaits_look(instance));
	instance_found(instance, LOOK_LEAVE, &observed);
	ck_assert(!instance_awaits_look(instance));
	instance_found(instance, LOOK_KEEP, &observed);
	ck_assert(!instance_awaits_look(instance));
	instance_want(instance, NULL);
	ck_assert(!instance_awaits_look(instance));
	wanted_unref(wanted);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rollouts");
	TCase *cases = tcase_create("rollouts");

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, what_has_nothing_to_go_back_to_stays_failed_until_resumed);
	tcase_add_loop_test(cases, a_halt_names_the_balancer_that_has_failed, 0, 2);
	tcase_add_test(cases, a_rollout_does_not_end_without_what_was_left_out);
	tcase_add_loop_test(cases, what_was_left_out_starts_over_when_it_has_part_and_not_when_it_is_gone, 0,
			    2);
	tcase_add_test(cases, what_was_left_as_found_is_looked_after_after_a_restart);
	tcase_add_test(cases, what_state_says_of_one_left_as_found_counts);
	tcase_add_test(cases, what_state_drops_waits_for_nothing);
	tcase_add_test(cases, what_is_kept_is_kept_until_it_is_wanted_or_nobody_knows);
	tcase_add_test(cases, a_rollout_knows_who_has_part);
	tcase_add_test(cases, specs_that_are_gone_leave_nothing_behind);
	tcase_add_test(cases, what_was_adopted_has_served_if_it_does);
	tcase_add_test(cases, a_look_is_awaited_by_what_is_not_proven);
	suite_add_tcase(suite, cases);
	return suite_run(suite);
}
