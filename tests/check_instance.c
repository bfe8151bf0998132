/* What a balancer remembers from one run to the next. */
#include <check.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "daemon/core/spec/spec.h"
#include "daemon/instance/instance_internal.h"
#include "daemon/io/clock.h"
#include "tests/one_balancer.h"
#include "tests/some_spec.h"
#include "tests/suite.h"

/* A run has seen this container, and judged so. */
static void run_with(const char *id, enum first_look look, enum err_kind kind)
{
	struct job_target target = instance_target(instance, false);

	balancer_met(&target, id);
	target.result.look = look;
	if (kind != ERR_NONE)
		err_set(&target.result.err, kind, "something is the matter");
	instance_settle(instance, &target, &target.result.err, store, events);
	job_target_clear(&target);
}

static void lose_host(void)
{
	struct err err;

	err_set(&err, ERR_UNREACHABLE, "no route to host");
	instance_settle(instance, NULL, &err, store, events);
}

static void expect_known(const char *id)
{
	struct job_target target = instance_target(instance, false);

	ck_assert_str_eq(target.memory.known_id ? target.memory.known_id : "", id);
	job_target_clear(&target);
}

START_TEST(what_was_right_stays_known_whatever_goes_wrong)
{
	run_with("id1", LOOK_KEEP, ERR_NONE);
	expect_known("id1");
	lose_host();
	expect_known("id1");
	run_with("id1", LOOK_NONE, ERR_TRANSIENT);
	run_with("id1", LOOK_NONE, ERR_PERMANENT);
	expect_known("id1");
}
END_TEST

START_TEST(what_was_not_judged_right_is_not_known)
{
	run_with("id1", LOOK_KEEP, ERR_NONE);
	run_with("id2", LOOK_NONE, ERR_PERMANENT);
	expect_known("id1");
	lose_host();
	expect_known("id1");
	/* It stays until its turn comes: that is no judgement. */
	run_with("id3", LOOK_LEAVE, ERR_NONE);
	expect_known("id1");
	run_with("id3", LOOK_NONE, ERR_NONE);
	expect_known("id3");
}
END_TEST

/* A run has asked its HAProxy, which sees one server so. */
static void run_and_see(enum server_state state, bool held, const char *id)
{
	struct job_target target = instance_target(instance, false);
	struct observed_instance *observed = &target.result.observed;

	if (id)
		balancer_met(&target, id);
	target.order.removal_held = held;
	observed->stats = STATS_ANSWERED;
	observed->servers = xcalloc(1, sizeof(*observed->servers));
	observed->servers_n = 1;
	observed->servers[0] = (struct observed_server){.name = xstrdup("a:1"), .state = state};
	instance_settle(instance, &target, &target.result.err, store, events);
	job_target_clear(&target);
}

/* It may have servers up: nothing may take it for one that has none. */
START_TEST(who_has_just_started_says_nothing_yet)
{
	run_and_see(SERVER_UNKNOWN, false, "id1");
	ck_assert(!instance_claim(instance, false).answers);
	run_and_see(SERVER_DOWN, false, "id1");
	ck_assert(instance_claim(instance, false).answers);
	run_and_see(SERVER_UP, false, "id1");
	ck_assert(instance_claim(instance, false).answers);
	ck_assert_uint_eq(instance_claim(instance, false).servers_up, 1);
}
END_TEST

/* A container that has another name by now is not seen at its own. */
START_TEST(who_has_to_stay_is_known_by_its_container)
{
	run_and_see(SERVER_UP, false, "id1");
	instance_stay(instance, "of this");
	run_and_see(SERVER_UP, true, NULL);
	ck_assert_str_eq(instance_claim(instance, false).container_id, "id1");
	ck_assert_str_eq(instance_verdict(instance)->progress, "stays: of this");
	run_and_see(SERVER_UP, false, NULL);
	ck_assert_ptr_null(instance_claim(instance, false).container_id);
	ck_assert_ptr_null(instance_verdict(instance)->progress);
}
END_TEST

/* What its spec says by the end of a run: the same, rendered anew; the same, and what `state` hands over has
 * changed; another version. */
enum { SAYS_THE_SAME, SAYS_ANOTHER_CONTAINER, SAYS_ANOTHER_VERSION };

START_TEST(a_verdict_is_on_what_a_version_says)
{
	struct job_target target = instance_target(instance, false);
	struct wanted *by_the_end = some_wanted();

	if (_i == SAYS_ANOTHER_CONTAINER)
		by_the_end->adopt_id = xstrdup("0123456789ab");
	if (_i == SAYS_ANOTHER_VERSION)
		by_the_end->version[0] = 'a';
	ck_assert_int_eq(instance_want(instance, by_the_end).todo, _i != SAYS_THE_SAME);
	balancer_met(&target, "id1");
	instance_settle(instance, &target, &target.result.err, store, events);
	ck_assert_int_eq(instance_verdict(instance)->phase,
			 _i == SAYS_THE_SAME ? PHASE_CONVERGED : PHASE_RECONCILING);
	job_target_clear(&target);
	wanted_unref(by_the_end);
}
END_TEST

static const struct {
	enum err_kind kind;
	const char *message, *known;
} records[] = {
	{ERR_NONE, NULL, "id0"},
	{ERR_UNREACHABLE, "no route to host", "id0"},
	{ERR_PERMANENT, "it is not as wanted", ""},
	{ERR_TRANSIENT, "it does not answer", ""},
};

START_TEST(a_start_knows_what_the_store_says_no_ill_of)
{
	instance_free(instance);
	instance = instance_with(records[_i].kind, records[_i].message);
	expect_known(records[_i].known);
}
END_TEST

/* The connection is lost in the middle of a run: what it did was done. */
START_TEST(a_run_without_a_verdict_is_not_forgotten)
{
	struct job_target target = instance_target(instance, false);

	replaced_note(&target.memory.replaced, "id9", "container is dead", target.order.wanted->version);
	draining_add(&target.memory.draining, "id0", 1, NULL);
	silence_met(&target.memory.silence, "id0 then", (struct silence_clock){1, 1}, 60000);
	silence_tried(&target.memory.silence, (struct silence_clock){2, 2});
	refused_note(&target.memory.refused, target.order.wanted->version);
	target.memory.accepted = xstrdup("some");
	err_set(&target.result.err, ERR_PERMANENT, "HAProxy has not loaded it");
	instance_keep(instance, &target, store);
	job_target_clear(&target);
	lose_host();

	target = instance_target(instance, false);
	ck_assert(replaced_is(&target.memory.replaced, "id9"));
	ck_assert(draining_has(&target.memory.draining, "id0"));
	ck_assert_uint_eq(target.memory.silence.tries, 1);
	ck_assert(refused_is(&target.memory.refused, target.order.wanted->version));
	ck_assert_str_eq(target.memory.accepted, "some");
	ck_assert_str_eq(instance->memory.refused.why, "HAProxy has not loaded it");
	job_target_clear(&target);
}
END_TEST

/* Nor is it when the daemon ends then. */
START_TEST(a_run_without_a_verdict_is_written_down)
{
	struct job_target target = instance_target(instance, false);
	struct store_instance *rows;
	struct err err;
	size_t n;

	memory_turn_to_config(&target.memory, "/etc/lb.cfg");
	memory_read_config(&target.memory, target.order.wanted->config_sha256, 7, "today");
	target.memory.accepted = xstrdup("some");
	instance_keep(instance, &target, store);
	job_target_clear(&target);

	ck_assert_int_eq(store_load_instances(store, &rows, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(rows[0].accepted, "some");
	ck_assert_str_eq(rows[0].config_path, "/etc/lb.cfg");
	ck_assert_str_eq(rows[0].config_sha256, instance_revision(instance)->in_force->config_sha256);
	ck_assert_int_eq(rows[0].config_size, 7);
	ck_assert_str_eq(rows[0].config_mtime, "today");
	store_instances_free(rows, n);
}
END_TEST

/* A run that has found this container silent for so long, and has made it for a reason that it still has. */
static void run_in_vain(int64_t silent_ms, enum err_kind kind)
{
	struct job_target target = instance_target(instance, false);

	balancer_met(&target, "id1");
	silence_met(&target.memory.silence, "id1 then", ago(silent_ms), 60000);
	replaced_note(&target.memory.replaced, "id1", "stop signal", target.order.wanted->version);
	err_set(&target.result.err, kind, "HAProxy does not answer");
	if (kind == ERR_CANCELLED)
		instance_keep(instance, &target, store);
	else
		instance_settle(instance, &target, &target.result.err, store, events);
	job_target_clear(&target);
}

START_TEST(a_restart_forgets_neither_silence_nor_what_was_in_vain)
{
	const struct memory *memory;

	run_in_vain(50000, _i == 0 ? ERR_TRANSIENT : ERR_CANCELLED);
	balancer_restart();
	memory = &instance->memory;
	ck_assert_str_eq(memory->silence.run, "id1 then");
	ck_assert_int_ge(silence_lasts_ms(&memory->silence, clock_ms()), 50000);
	ck_assert_int_lt(silence_lasts_ms(&memory->silence, clock_ms()), 200000);
	ck_assert_str_eq(replaced_reason(&memory->replaced, "id1", some_version), "stop signal");
	ck_assert(memory_knows(memory, "id1"));
}
END_TEST

START_TEST(what_has_passed_is_not_recalled)
{
	struct job_target target;

	run_in_vain(50000, ERR_TRANSIENT);
	target = instance_target(instance, false);
	balancer_met(&target, "id1");
	silence_broken(&target.memory.silence, "id1 then", clock_ms());
	replaced_helped(&target.memory.replaced, "id1");
	instance_settle(instance, &target, &target.result.err, store, events);
	job_target_clear(&target);
	balancer_restart();
	ck_assert_ptr_null(instance->memory.silence.run);
	ck_assert_ptr_null(instance->memory.replaced.id);
	ck_assert(memory_knows(&instance->memory, "id1"));
}
END_TEST

/* What a store may hold of a silence: what of it is not believed is written down as it is believed, so that
 * the next start does not begin anew once more. */
static const struct {
	const char *json;
	bool differs;
} silences[] = {
	{"{\"silence\":{\"run\":\"id1 then\",\"since\":1767323045000}}", false},
	{"{\"silence\":{\"run\":\"id1 then\",\"since\":253402300799000}}", true},
	{"{\"silence\":{\"run\":\"id1 then\",\"since\":1767323045000,\"tries\":1,"
	 "\"tried\":253402300799000}}",
	 true},
	{"{\"silence\":{\"run\":\"id1 then\"}}", true},
};

START_TEST(what_of_a_silence_is_corrected_is_written_down)
{
	struct job_target target = instance_target(instance, false);
	struct store_instance *rows;
	struct err err;
	size_t n;

	/* As an earlier life has left it. */
	instance_store(instance, store);
	ck_assert_int_eq(store_load_instances(store, &rows, &n, &err), 0);
	instance_free(instance);
	free(rows[0].memory);
	rows[0].memory = xstrdup(silences[_i].json);
	store_put_instance(store, &rows[0]);
	instance = instance_new(&rows[0]);
	store_instances_free(rows, n);

	/* A run that learns nothing new. */
	memory_clear(&target.memory);
	memory_copy(&target.memory, &instance->memory);
	instance_keep(instance, &target, store);
	job_target_clear(&target);
	ck_assert_int_eq(store_load_instances(store, &rows, &n, &err), 0);
	if (silences[_i].differs)
		ck_assert_pstr_ne(rows[0].memory, silences[_i].json);
	else
		ck_assert_pstr_eq(rows[0].memory, silences[_i].json);
	store_instances_free(rows, n);

	/* And once is enough. */
	ck_assert(!instance->recalled_otherwise);
	balancer_restart();
	ck_assert(!instance->recalled_otherwise);
}
END_TEST

static const struct {
	int stored;
	const char *name;
} error_kinds[] = {{ERR_TRANSIENT, "transient"},
		   {ERR_KINDS, "permanent"},
		   {-1, "permanent"},
		   {INT32_MAX, "permanent"},
		   {INT32_MIN, "permanent"}};

START_TEST(an_error_of_a_kind_that_nobody_knows_is_one_all_the_same)
{
	struct store_instance record = {
		.host_url = xstrdup("direct"),
		.engine = xstrdup("/run/docker.sock"),
		.name = xstrdup("lb2"),
		.spec = xstrdup("prod"),
		.error_kind = error_kinds[_i].stored,
		.error_message = xstrdup("it is so"),
	};
	struct instance *made = instance_new(&record);

	ck_assert_int_ge(instance_verdict(made)->err.kind, 0);
	ck_assert_int_lt(instance_verdict(made)->err.kind, ERR_KINDS);
	ck_assert_str_eq(err_kind_name(instance_verdict(made)->err.kind), error_kinds[_i].name);
	ck_assert_str_eq(instance_verdict(made)->err.message, "it is so");
	instance_free(made);
}
END_TEST

static const struct {
	int stored;
	enum unit_state state;
} unit_states[] = {{UNIT_OUT, UNIT_OUT},
		   {UNIT_FAILED, UNIT_FAILED},
		   {UNIT_REVERTING, UNIT_REVERTING},
		   {UNIT_STATES, UNIT_OUT},
		   {-1, UNIT_OUT},
		   {INT32_MAX, UNIT_OUT}};

START_TEST(a_part_in_a_rollout_that_nobody_knows_is_none)
{
	struct store_instance record = {
		.host_url = xstrdup("direct"),
		.engine = xstrdup("/run/docker.sock"),
		.name = xstrdup("lb2"),
		.spec = xstrdup("prod"),
		.rollout = unit_states[_i].stored,
	};
	struct instance *made = instance_new(&record);

	ck_assert_int_eq(instance_unit_state(made), unit_states[_i].state);
	ck_assert_int_eq(instance_is_under_way(made), unit_states[_i].state != UNIT_OUT);
	instance_free(made);
}
END_TEST

/* Times that are still to come, and what else a store may hold. */
static const char *const rows_of_others[] = {
	NULL,
	"nonsense",
	"{\"silence\": 7, \"replaced\": \"x\"}",
	"{\"silence\": {\"run\": \"id1 then\", \"since\": 253402300799000, \"tries\": 2147483647,"
	" \"tried\": 253402300799000}}",
};

START_TEST(a_start_with_any_store_waits_no_longer_than_anew)
{
	struct store_instance record = {
		.host_url = xstrdup("direct"),
		.engine = xstrdup("/run/docker.sock"),
		.name = xstrdup("lb"),
		.spec = xstrdup("prod"),
		.host_json = xstrdup("{}"),
		.config_size = -1,
		.memory = xstrdup(rows_of_others[_i]),
	};
	struct silence *silence;
	struct silence_clock now = ago(0);

	instance_free(instance);
	instance = instance_new(&record);
	silence = &instance->memory.silence;
	ck_assert_int_le(silence_lasts_ms(silence, now.ms), 0);
	silence_met(silence, "id1 then", now, 60000);
	ck_assert(!silence_is_due(silence, now.ms));
	ck_assert(silence_is_due(silence, now.ms + SILENCE_MAX_RETRY_MS + 1000));
}
END_TEST

/* A balancer on its way out is found by its container's label, which has the id that the spec gave it. */
START_TEST(one_that_leaves_has_its_id_after_a_restart)
{
	static const char yaml[] = "image: haproxy:3.0\n"
				   "apiLoadBalancers: [{name: lb, bindAddress: 10.0.0.9}]\n"
				   "ssh: {address: 10.0.0.9, password: x}\n"
				   "servers: ['10.0.0.1:6443']\n";
	struct wanted *wanted = parse_wanted(yaml);
	struct store_instance *rows;
	struct err err;
	size_t n;

	instance_want(instance, wanted);
	ck_assert_str_eq(instance_identity(instance)->id, "prod/10.0.0.9/lb");
	instance_want(instance, NULL);
	instance_store(instance, store);
	ck_assert_int_eq(store_load_instances(store, &rows, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	instance_free(instance);
	instance = instance_new(&rows[0]);
	ck_assert_int_eq(instance_recall(instance, "apilb", &wanted->instance.host, &err), 0);
	ck_assert_ptr_null(instance_revision(instance)->in_force);
	ck_assert_str_eq(instance_identity(instance)->id, "prod/10.0.0.9/lb");
	store_instances_free(rows, n);
	wanted_unref(wanted);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("instance");
	TCase *tcase = tcase_create("instance");

	tcase_add_checked_fixture(tcase, balancer_setup, balancer_teardown);
	tcase_add_test(tcase, what_was_right_stays_known_whatever_goes_wrong);
	tcase_add_test(tcase, what_was_not_judged_right_is_not_known);
	tcase_add_loop_test(tcase, a_verdict_is_on_what_a_version_says, 0, SAYS_ANOTHER_VERSION + 1);
	tcase_add_loop_test(tcase, a_start_knows_what_the_store_says_no_ill_of, 0, (int)(N(records)));
	tcase_add_test(tcase, a_run_without_a_verdict_is_not_forgotten);
	tcase_add_test(tcase, a_run_without_a_verdict_is_written_down);
	tcase_add_loop_test(tcase, a_restart_forgets_neither_silence_nor_what_was_in_vain, 0, 2);
	tcase_add_test(tcase, what_has_passed_is_not_recalled);
	tcase_add_loop_test(tcase, what_of_a_silence_is_corrected_is_written_down, 0, (int)(N(silences)));
	tcase_add_loop_test(tcase, an_error_of_a_kind_that_nobody_knows_is_one_all_the_same, 0,
			    (int)(N(error_kinds)));
	tcase_add_loop_test(tcase, a_part_in_a_rollout_that_nobody_knows_is_none, 0, (int)(N(unit_states)));
	tcase_add_loop_test(tcase, a_start_with_any_store_waits_no_longer_than_anew, 0,
			    (int)(N(rows_of_others)));
	tcase_add_test(tcase, one_that_leaves_has_its_id_after_a_restart);
	tcase_add_test(tcase, who_has_just_started_says_nothing_yet);
	tcase_add_test(tcase, who_has_to_stay_is_known_by_its_container);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
