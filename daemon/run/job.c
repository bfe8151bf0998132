#include "daemon/run/job.h"

#include <event2/event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/container_name.h"
#include "daemon/io/clock.h"
#include "daemon/run/job_internal.h"

#define OPEN_TIMEOUT_MS 10000
/* If requests cost the connection to the engine for longer than this, the run fails as a whole. */
#define MAX_LOSING_MS 120000
/* While a state is transient (HAProxy has just started), the run observes again every LOOK_INTERVAL_MS, for
 * at most MOMENT_MS: other hosts want its place. */
#define MOMENT_MS 10000
#define LOOK_INTERVAL_MS 200
/* The most looks while a draining container may end soon: one that this run has told to drain, or that was
 * told within the last DRAINING_NEW_MS. */
#define DRAINING_LOOKS 5
#define DRAINING_NEW_MS 5000
/* The most targets that a run handles in one turn of the loop. */
#define TARGETS_A_TURN 16

/* The phases stand in the order of time. A phase runs once for the host, or once for each target. */
struct phase {
	enum step (*host)(struct job *job);
	enum step (*target)(struct job *job, struct job_target *target);
};

static enum step phase_connect(struct job *job);
static enum step phase_ping(struct job *job);
static enum step phase_plan(struct job *job, struct job_target *target);
static enum step phase_apply(struct job *job, struct job_target *target);
static enum step phase_drain(struct job *job, struct job_target *target);
static enum step phase_verify(struct job *job);

enum { CONNECT, PING, LIST, INSPECT, CONFIG, STATS, PLAN, APPLY, DRAIN, VERIFY, EXPLAIN, PHASES_N };

static const struct phase phases[PHASES_N] = {
	[CONNECT] = {.host = phase_connect},
	[PING] = {.host = phase_ping},
	[LIST] = {.host = job_list},
	[INSPECT] = {.target = job_inspect},
	[CONFIG] = {.target = job_look_at_config},
	[STATS] = {.target = job_ask_haproxy},
	[PLAN] = {.target = phase_plan},
	[APPLY] = {.target = phase_apply},
	[DRAIN] = {.target = phase_drain},
	[VERIFY] = {.host = phase_verify},
	[EXPLAIN] = {.target = job_explain},
};

/* The loop that drives it. */

static void go_to(struct job *job, size_t phase)
{
	job->phase = phase;
	job->target = 0;
	job->step = 0;
}

static enum step run_targets(struct job *job, const struct phase *phase)
{
	while (job->target < job->n) {
		struct job_target *target = &job->targets[job->target];
		enum step step;

		if (job->worked++ == TARGETS_A_TURN) {
			job_sleep(job, 0);
			return STEP_WAIT;
		}
		step = target->result.err.kind == ERR_NONE ? phase->target(job, target) : STEP_NEXT;

		if (step != STEP_NEXT)
			return step;
		job->target++;
		job->step = 0;
	}
	return STEP_NEXT;
}

/* Every job ends here. */
static void finish(struct job *job)
{
	docker_free(job->docker);
	job->docker = NULL;
	job->options.done(job->options.arg, job->err.kind == ERR_NONE ? NULL : &job->err);
	/* The job may have been freed. */
}

/*
 * An answer that is too large, broken, or never comes costs the connection, and
 * its target fails; the other targets get a new connection. With an engine that
 * answers nothing at all, the run does not get beyond the ping.
 */

static void on_ping_again(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	(void)reply;
	if (err)
		job->err = *err;
	job_run(job);
}

static void on_open_again(void *arg, struct bufferevent *stream, const struct err *err)
{
	struct job *job = arg;

	job->opening = NULL;
	if (err) {
		job->err = *err;
		err_prefix(&job->err, "engine socket");
		job_run(job);
		return;
	}
	docker_free(job->docker);
	job->docker = docker_new(stream);
	docker_ping(job->docker, on_ping_again, job);
}

static bool has_work(const struct job *job)
{
	for (size_t i = 0; i < job->n; i++)
		if (job->targets[i].result.err.kind == ERR_NONE)
			return true;
	return job->undoing || job->acted;
}

static bool needs_connection(const struct job *job)
{
	return job->phase > PING && !docker_usable(job->docker) && has_work(job);
}

/* STEP_FAIL: connections have been lost for too long. */
static enum step connect_again(struct job *job)
{
	int64_t now = clock_ms();

	/* A connection over which the engine has answered more than the ping starts the count anew. */
	if (job->lost_at_ms == 0 || docker_is_of_use(job->docker))
		job->lost_at_ms = now;
	if (now - job->lost_at_ms > MAX_LOSING_MS) {
		job->err = job->lost;
		if (job->err.kind == ERR_NONE)
			err_set(&job->err, ERR_TRANSIENT, "the engine closes each connection again");
		return STEP_FAIL;
	}
	job->opening =
		job->options.open(job->options.arg, job->options.engine, OPEN_TIMEOUT_MS, on_open_again, job);
	return STEP_WAIT;
}

static enum step run_phase(struct job *job, const struct phase *phase)
{
	if (needs_connection(job))
		return connect_again(job);
	return phase->host ? phase->host(job) : run_targets(job, phase);
}

void job_run(struct job *job)
{
	while (job->err.kind == ERR_NONE && job->phase < PHASES_N) {
		const struct phase *phase = &phases[job->phase];
		size_t before = job->phase;
		enum step step = run_phase(job, phase);

		if (step == STEP_WAIT) {
			/* Valid only until others ask, and things may change while the job waits. */
			job->removal = NULL;
			return;
		}
		if (step == STEP_FAIL)
			break;
		if (job->phase == before) /* verify goes back */
			go_to(job, before + 1);
	}
	finish(job);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct job *job = arg;

	(void)fd;
	(void)what;
	job->worked = 0;
	job_run(job);
}

void job_sleep(struct job *job, int64_t ms)
{
	struct timeval delay = clock_timeval(ms);

	evtimer_add(job->timer, &delay);
}

struct silence_clock job_clock(void)
{
	return (struct silence_clock){.ms = clock_ms(), .unix_ms = clock_now_ms()};
}

struct job_target *job_current(struct job *job)
{
	return &job->targets[job->target];
}

void job_tell(struct job *job, enum job_news news, const char *type, const char *fmt, ...)
{
	const struct job_target *target = phases[job->phase].target ? job_current(job) : NULL;
	char text[ERR_MESSAGE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	job->options.tell(job->options.arg, target, news, type, text);
}

void job_request_failed(struct job *job, const struct err *err)
{
	if (!docker_usable(job->docker))
		job->lost = *err;
	job_current(job)->result.err = *err;
	job_run(job);
}

/* A request for the host as a whole has failed. */
static void host_failed(struct job *job, const struct err *err)
{
	job->err = *err;
	job_run(job);
}

/* connect */

static void on_open(void *arg, struct bufferevent *stream, const struct err *err)
{
	struct job *job = arg;

	job->opening = NULL;
	if (err) {
		job->err = *err;
		err_prefix(&job->err, "engine socket");
	} else {
		job->docker = docker_new(stream);
		go_to(job, PING);
	}
	job_run(job);
}

static enum step phase_connect(struct job *job)
{
	job->opening =
		job->options.open(job->options.arg, job->options.engine, OPEN_TIMEOUT_MS, on_open, job);
	return STEP_WAIT;
}

/* ping */

static void on_ping(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	(void)reply;
	if (err) {
		host_failed(job, err);
		return;
	}
	for (size_t i = 0; i < job->n; i++)
		if (job->targets[i].order.wanted)
			memory_turn_to_config(&job->targets[i].memory,
					      job->targets[i].order.wanted->instance.config_path);
	job->options.reached(job->options.arg, job->targets, job->n);
	go_to(job, LIST);
	job_run(job);
}

static enum step phase_ping(struct job *job)
{
	docker_ping(job->docker, on_ping, job);
	return STEP_WAIT;
}

/* plan */

/* True when `wanted` is to be made true. The first look decides this, once for all rounds. */
static bool may_plan(struct job_target *target)
{
	if (!target->order.unproven || target->result.look == LOOK_KEEP)
		return true;
	target->result.look = first_look(target->order.wanted, target->order.next, target->order.under_way,
					 &target->result.observed);
	return target->result.look == LOOK_KEEP;
}

bool job_target_is_found(const struct job_target *target)
{
	return target->found_id != NULL;
}

/* The container has been started once: it may have served, even if it is paused or has ended. */
static bool has_run(const struct observed_container *container)
{
	return container && container->status != CONTAINER_CREATED;
}

/* Notes the balancer whose place the target takes. Only needed before the target serves for the first time: a
 * container that has served just comes back. */
static void note_relieved(struct job *job, struct job_target *target)
{
	struct observed_instance *observed = &target->result.observed;

	if (!target->order.wanted || observed->relieves || has_run(observed->current) ||
	    has_run(observed->next))
		return;
	observed->relieves = job_relieved_by(job, target);
}

/* order.name of a found target is a container's name, of which the balancer's name is a part. */
static void plan_found(const struct job *job, struct job_target *target)
{
	char *balancer;

	job_judge_found(job, target);
	container_role_of(target->order.name, &balancer);
	plan_removal(balancer, &target->result.observed, target->fate != FOUND_STOPS, &target->result.plan);
	free(balancer);
}

static void plan_target(const struct job *job, struct job_target *target)
{
	const struct observed_instance *observed = &target->result.observed;
	struct plan *plan = &target->result.plan;

	if (target->order.wanted)
		plan_instance(target->order.wanted, observed, &target->memory, plan);
	else if (job_target_is_found(target))
		plan_found(job, target);
	else
		plan_removal(target->order.name, observed, target->order.drain_ms > 0, plan);
	if (target->order.removal_held || (job->options.observe_only && job_found_stays(target)))
		plan_hold(plan);
}

static enum step phase_plan(struct job *job, struct job_target *target)
{
	plan_clear(&target->result.plan);
	target->result.applied = 0;
	if (!may_plan(target))
		return STEP_NEXT;
	note_relieved(job, target);
	job_note_heirs(job, target);
	plan_target(job, target);
	if (target->result.observed.current && target->result.plan.n == 0 &&
	    target->result.plan.trouble.kind == ERR_NONE)
		replaced_helped(&target->memory.replaced, target->result.observed.current->id);
	/* The phase runs again after each of these three. */
	if (target->order.wanted && target->result.plan.n > 0 && !target->result.observed.image_known)
		return job_look_at_image(job, target);
	if (job_needs_look_for_plan(job, target))
		return job_look_for_plan(job, target);
	if (target->result.plan.n > 0 && job_needs_former_config(target))
		return job_read_config(job, target);
	if (target->result.plan.n > 0 && job->rounds == 0 && !job->options.observe_only &&
	    !job_found_stays(target))
		job_tell(job, JOB_DRIFT, target->order.wanted ? "drift" : "removing", "%s",
			 target->result.plan.actions[0].reason);
	return STEP_NEXT;
}

/* apply */

/* The plan only concerns former containers. They drain, each in its own time, so the balancer does not fail
 * because some are left. */
static bool only_tidies_up(const struct job_target *target)
{
	for (size_t i = 0; i < target->result.plan.n; i++) {
		bool is_old = false;

		for (size_t j = 0; j < target->result.observed.old_n; j++)
			is_old |= strcmp(target->result.plan.actions[i].container,
					 target->result.observed.old[j]->id) == 0;
		if (!is_old)
			return false;
	}
	return true;
}

static enum step phase_apply(struct job *job, struct job_target *target)
{
	if (job->options.observe_only || target->result.plan.n == 0 || job_found_stays(target))
		return STEP_NEXT;
	if (job->rounds >= JOB_MAX_ROUNDS &&
	    (job_target_is_found(target) || (target->order.wanted && only_tidies_up(target))))
		return STEP_NEXT; /* another run follows soon */
	if (job->rounds >= JOB_MAX_ROUNDS) {
		/* Each repetition would cost connections, so it is retried less and less often. */
		if (target->order.wanted)
			refused_note(&target->memory.refused, target->order.wanted->version);
		err_set(&target->result.err, ERR_TRANSIENT, "after %d rounds still not as wanted: %s",
			JOB_MAX_ROUNDS, target->result.plan.actions[0].reason);
		return STEP_NEXT;
	}
	return job_apply(job, target, true);
}

/*
 * drain: the rest of the plans, once the successors of all balancers of the host
 * listen. Balancers may swap addresses: a former container that leaves before
 * another balancer's successor has come would leave nobody at its address.
 */

static enum step phase_drain(struct job *job, struct job_target *target)
{
	if (job->options.observe_only || job->rounds >= JOB_MAX_ROUNDS || job_found_stays(target))
		return STEP_NEXT;
	/* An action that is under way is not judged again. */
	if (job->step == 0 && !job->undoing && job_lacks_an_heir(job, target))
		return STEP_NEXT;
	return job_apply(job, target, false);
}

/* verify: observes again after actions, and while a state is transient; so does a plan, to be true */

/* A HAProxy that has been silent for longer than MOMENT_MS is not waited for. */
static bool has_been_silent(const struct job_target *target)
{
	return observed_is_silent(&target->result.observed) &&
	       silence_lasts_ms(&target->memory.silence, clock_ms()) >= MOMENT_MS;
}

/* In a plan as in a run: a plan has put off by now what it would do. */
static bool lingers(const struct job_target *target)
{
	const struct plan *plan = &target->result.plan;

	return job_target_is_found(target) && target->fate == FOUND_LINGERS &&
	       (plan->n > 0 || plan->later_n > 0);
}

static bool needs_a_moment(const struct job *job)
{
	for (size_t i = 0; i < job->n; i++)
		if (lingers(&job->targets[i]))
			return true;
	for (size_t i = 0; i < job->n; i++)
		if (job->targets[i].result.err.kind == ERR_NONE &&
		    job->targets[i].result.plan.trouble.kind == ERR_TRANSIENT &&
		    !has_been_silent(&job->targets[i]))
			return true;
	return false;
}

/* True when another look ends within MOMENT_MS, if it takes as long as the last one. */
static bool may_look_again(const struct job *job)
{
	int64_t now = clock_ms();

	return now + (now - job->look_ms) + LOOK_INTERVAL_MS <= job->moment_ms + MOMENT_MS;
}

/* Most former containers have no connections, and end at once: then this run removes them, or, if it failed
 * after it had told them to drain, the next run. */
static bool awaits_draining(const struct job *job)
{
	bool acts = job->rounds > 0;

	if (job->looks >= DRAINING_LOOKS || job->options.observe_only)
		return false;
	for (size_t i = 0; i < job->n; i++) {
		const struct job_target *target = &job->targets[i];

		if (target->result.err.kind == ERR_NONE && target->result.observed.old_n > 0 &&
		    (acts || draining_told_since(&target->memory.draining, clock_ms() - DRAINING_NEW_MS)))
			return true;
	}
	return false;
}

static void observe_again(struct job *job)
{
	go_to(job, LIST);
}

static enum step phase_verify(struct job *job)
{
	if (job->acted) {
		job->acted = false;
		job->rounds++;
		job->looks = 0;
		observe_again(job);
		return STEP_NEXT;
	}
	if ((needs_a_moment(job) && may_look_again(job)) || awaits_draining(job)) {
		if (job->step++ == 0) {
			job_sleep(job, LOOK_INTERVAL_MS);
			return STEP_WAIT;
		}
		observe_again(job);
		return STEP_NEXT;
	}
	for (size_t i = 0; i < job->n && !job->options.observe_only; i++) {
		struct job_target *target = &job->targets[i];

		if (target->result.err.kind == ERR_NONE && !target->order.wanted &&
		    !target->order.removal_held)
			target->result.removed =
				!target->order.drain_ms || target->result.observed.old_n == 0;
	}
	return STEP_NEXT;
}

/* Making and freeing. */

struct job *job_start(const struct job_options *options, struct job_target *targets, size_t n)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->options = *options;
	job->targets = targets;
	job->n = n;
	job->to_come = xcalloc(options->to_come_n + 1, sizeof(*job->to_come));
	for (size_t i = 0; i < options->to_come_n; i++)
		job->to_come[i] = wanted_ref(options->to_come[i]);
	job->timer = evtimer_new(options->base, on_timer, job);
	job_sleep(job, 0);
	return job;
}

static void order_clear(struct order *order)
{
	wanted_unref(order->wanted);
	wanted_unref(order->former);
	wanted_unref(order->next);
	wanted_unref(order->displaced);
	free(order->name);
	free(order->drop_id);
}

static void result_clear(struct result *result)
{
	observed_instance_clear(&result->observed);
	plan_clear(&result->plan);
}

void job_target_clear(struct job_target *target)
{
	order_clear(&target->order);
	memory_clear(&target->memory);
	result_clear(&target->result);
	free(target->found_id);
	free(target->stray_of);
	free(target->orphan_of);
}

void job_free(struct job *job)
{
	if (!job)
		return;
	stream_open_cancel(job->opening);
	haproxy_query_cancel(job->query);
	docker_free(job->docker);
	event_free(job->timer);
	job_list_free(job->list);
	free(job->exec_id);
	job_note_drainer(job, NULL);
	for (size_t i = 0; i < job->n; i++)
		job_target_clear(&job->targets[i]);
	free(job->targets);
	for (size_t i = 0; i < job->options.to_come_n; i++)
		wanted_unref(job->to_come[i]);
	free(job->to_come);
	free(job);
}

struct job_target *job_targets(struct job *job, size_t *n)
{
	*n = job->n;
	return job->targets;
}
