/* A host and what its runs have found, when the daemon ends or its spec changes meanwhile. */
#include <check.h>
#include <stdlib.h>

#include "common/mem.h"
#include "daemon/host/host_internal.h"
#include "tests/one_balancer.h"
#include "tests/suite.h"

static void on_due(void *arg, struct host *host)
{
	(void)arg;
	(void)host;
}

static void on_plan(void *arg, struct host *host, const struct job_target *targets, size_t n,
		    const struct err *err)
{
	(void)arg;
	(void)host;
	(void)targets;
	(void)n;
	ck_assert_int_eq(err->kind, ERR_CANCELLED);
}

/* A run on a host, which has learned of a silence, when the daemon ends. */
static void end_in_a_run(bool observing)
{
	const struct host_context context = {
		.base = base, .store = store, .events = events, .owner = "apilb", .due = on_due};
	struct wanted *wanted = some_wanted();
	struct host *host = host_new(&context, &wanted->instance.host);
	struct job_target *targets;
	struct instance_change change;
	size_t n;

	host_wish(host, "lb", wanted, false, &change);
	if (observing)
		host_plan(host, on_plan, NULL);
	host_run(host);
	targets = job_targets(host->job, &n);
	ck_assert_uint_eq(n, 1);
	silence_met(&targets[0].memory.silence, "id1 then", ago(5000), 60000);
	host_free(host);
	wanted_unref(wanted);
}

/* What only looked has nothing to say. */
START_TEST(an_end_in_the_middle_of_a_run_forgets_nothing)
{
	struct job_target next_run;

	end_in_a_run(_i == 1);
	balancer_restart();
	next_run = instance_target(instance, false);
	ck_assert_pstr_eq(next_run.memory.silence.run, _i == 1 ? NULL : "id1 then");
	job_target_clear(&next_run);
}
END_TEST

static void on_found(void *arg)
{
	size_t *times = arg;

	(*times)++;
}

/* found: how often the host has found another version. */
static struct host_context context_that_counts(size_t *found)
{
	return (struct host_context){
		.base = base,
		.store = store,
		.events = events,
		.owner = "apilb",
		.due = on_due,
		.found = on_found,
		.resync_ms = 30000,
		.arg = found,
	};
}

/* What its spec wants by the end of a run that has found what it wanted before: that, nothing else than what
 * is in force, another version. */
enum { WANTS_THE_SAME, WANTS_WHAT_IS_IN_FORCE, WANTS_ANOTHER };

START_TEST(what_a_look_finds_is_adopted_if_it_is_still_to_come_next)
{
	size_t found = 0;
	const struct host_context context = context_that_counts(&found);
	struct wanted *in_force = some_wanted(), *next = some_wanted(), *another = some_wanted();
	struct wanted *const by_the_end[] = {next, in_force, another};
	struct host *host = host_new(&context, &in_force->instance.host);
	struct instance_change change;
	const struct instance_revision *revision;
	struct job_target target, judged;
	struct instance *lb;

	/* Versions that differ; nothing is made of them here. */
	next->version[0] = 'n';
	another->version[0] = 'a';
	lb = host_wish(host, "lb", in_force, false, &change);
	instance_reached(lb, in_force, store);
	host_wish(host, "lb", next, true, &change);
	target = instance_target(lb, false);
	balancer_met(&target, "id1");
	target.result.look = LOOK_ADOPT;
	host_wish(host, "lb", by_the_end[_i], _i != WANTS_WHAT_IS_IN_FORCE, &change);
	host_settle(host, &target, 1);

	revision = instance_revision(lb);
	ck_assert(wanted_same_version(revision->in_force, _i == WANTS_THE_SAME ? next : in_force));
	ck_assert(wanted_same_version(revision->next, _i == WANTS_ANOTHER ? another : NULL));
	ck_assert_uint_eq(found, _i == WANTS_THE_SAME);
	/* Either way there was no verdict on what is in force: it runs again, and asks again where it has to.
	 */
	ck_assert(host->again);
	ck_assert_int_eq(instance_verdict(lb)->phase, PHASE_RECONCILING);
	judged = instance_target(lb, false);
	ck_assert(!memory_knows(&judged.memory, "id1"));
	job_target_clear(&judged);
	ck_assert_int_eq(instance_awaits_look(lb), _i != WANTS_THE_SAME);
	job_target_clear(&target);
	host_free(host);
	wanted_unref(in_force);
	wanted_unref(next);
	wanted_unref(another);
}
END_TEST

/* Its spec says the same, rendered anew: then the run was for what is in force. Or a next revision of it
 * does, and the run has found that. */
START_TEST(a_run_is_for_a_version_however_often_it_is_rendered)
{
	size_t found = 0;
	const struct host_context context = context_that_counts(&found);
	struct wanted *in_force = some_wanted(), *again = some_wanted();
	struct host *host = host_new(&context, &in_force->instance.host);
	struct instance_change change;
	struct job_target target;
	struct instance *lb;
	bool adopts = _i == 1;

	lb = host_wish(host, "lb", in_force, false, &change);
	instance_reached(lb, in_force, store);
	if (adopts) {
		struct wanted *next = some_wanted();

		next->version[0] = again->version[0] = 'n';
		host_wish(host, "lb", next, true, &change);
		wanted_unref(next);
	}
	target = instance_target(lb, false);
	balancer_met(&target, "id1");
	target.result.look = adopts ? LOOK_ADOPT : LOOK_KEEP;
	host_wish(host, "lb", again, adopts, &change);
	ck_assert(!change.todo);
	host_settle(host, &target, 1);

	ck_assert_int_eq(host->again, adopts);
	ck_assert_uint_eq(found, adopts);
	ck_assert(wanted_same_version(instance_revision(lb)->in_force, again));
	ck_assert_int_eq(instance_verdict(lb)->phase, adopts ? PHASE_RECONCILING : PHASE_CONVERGED);
	job_target_clear(&target);
	host_free(host);
	wanted_unref(in_force);
	wanted_unref(again);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host");
	TCase *tcase = tcase_create("host");

	tcase_add_checked_fixture(tcase, balancer_setup, balancer_teardown);
	tcase_add_loop_test(tcase, an_end_in_the_middle_of_a_run_forgets_nothing, 0, 2);
	tcase_add_loop_test(tcase, what_a_look_finds_is_adopted_if_it_is_still_to_come_next, 0,
			    WANTS_ANOTHER + 1);
	tcase_add_loop_test(tcase, a_run_is_for_a_version_however_often_it_is_rendered, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
