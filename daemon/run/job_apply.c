/* Applying: carries out the actions of a plan, one engine request after the other. */
#include <event2/util.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "daemon/core/container_name.h"
#include "daemon/core/haproxy/haproxy_log.h"
#include "daemon/io/clock.h"
#include "daemon/run/job_internal.h"

#define LOG_LINES 40

const struct action *job_action(const struct job *job)
{
	const struct result *result = &job->targets[job->target].result;

	return &result->plan.actions[result->applied];
}

static void await_nothing(struct job *job)
{
	job->awaiting = 0;
	job->awaited_since_ms = job->unhealthy_since_ms = 0;
	job->reloaded_again = false;
}

/* Drops the rest of this target's plan. The other targets go on, and the run looks again at all of them. */
static void target_failed(struct job *job, const struct err *err)
{
	/* A conflict may be over by the next look: a name is taken that was free (by a request of a daemon
	 * that was killed, say), or a container has changed meanwhile. */
	if (err->kind != ERR_CONFLICT || job->in_conflict || job->rounds + 1 >= JOB_MAX_ROUNDS)
		job_current(job)->result.err = *err;
	job->in_conflict = false;
	job_current(job)->result.applied = job_current(job)->result.plan.n;
	await_nothing(job);
	job->undoing = false;
	job->acted = true;
}

/* The action has failed. While the engine can be reached, the rows of undo_rows run next. */
void job_action_failed(struct job *job, const struct err *err)
{
	if (!job->undoing)
		job->failure = *err;
	if (!docker_usable(job->docker)) {
		/* Nobody knows whether the request took effect: the next run looks. */
		job->lost = *err;
		target_failed(job, &job->failure);
	} else if (job->undoing) {
		job->step++; /* this row has failed; the others may still work */
	} else {
		job->failed_step = job->step;
		job->undoing = true;
		job->step = 0;
	}
	job_run(job);
}

void job_on_step(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	(void)reply;
	if (err) {
		job_action_failed(job, err);
		return;
	}
	job->step++;
	job_run(job);
}

/* pull */

static void on_progress(void *arg, const char *text)
{
	struct job *job = arg;

	job_tell(job, job->pulls ? JOB_PROGRESS : JOB_BEGINS, "pulling", "%s", text);
	job->pulls = true;
}

static void pull(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	job->pulls = false;
	docker_pull(job->docker, action->container, on_progress, job_on_step, job);
}

/* Actions that are one request each. */

void job_make_token(char token[TOKEN_HEX_SIZE])
{
	unsigned char bytes[(TOKEN_HEX_SIZE - 1) / 2];

	evutil_secure_rng_get_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(token + 2 * i, 3, "%02x", bytes[i]);
}

static void on_created(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	const char *id = err ? NULL : json_text_at(reply->json, "/Id");

	if (id)
		replaced_note(&target->memory.replaced, id, job_action(job)->reason,
			      target->order.wanted->version);
	job_on_step(job, reply, err);
}

static void create(struct job *job, struct job_target *target, const struct action *action)
{
	struct json_object *request;
	char token[TOKEN_HEX_SIZE];

	job_make_token(token);
	request = wanted_create_with_token(target->order.wanted, token);
	docker_create(job->docker, action->container, request, on_created, job);
	json_object_put(request);
}

static void start(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_start(job->docker, action->container, job_on_step, job);
}

static void unpause(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_unpause(job->docker, action->container, job_on_step, job);
}

/*
 * reload: SIGUSR2 to HAProxy's master (HAProxy management guide, 4), sent from
 * within the container. The engine's own `kill` would do as well, but marks the
 * container as stopped by hand, whatever the signal: the restart policy then
 * brings it back neither after a crash nor after a reboot (moby issue 41302).
 */

static void on_reload_prepared(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct err nameless;

	FREE(job->exec_id);
	if (!err)
		job->exec_id = xstrdup(json_text_at(reply->json, "/Id"));
	if (!err && !job->exec_id) {
		err_set(&nameless, ERR_TRANSIENT,
			"the engine has prepared a command, but its reply has no Id");
		err = &nameless;
	}
	job_on_step(job, reply, err);
}

static void prepare_reload(struct job *job, struct job_target *target, const struct action *action)
{
	static const char *const command[] = {"/bin/sh", "-c", "kill -USR2 1", NULL};

	(void)target;
	docker_exec_create(job->docker, action->container, command, on_reload_prepared, job);
}

static void on_reload_sent(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	/* The image may have no shell: the engine's signal is better than none. */
	if (err && docker_usable(job->docker))
		docker_kill(job->docker, job_action(job)->container, "SIGUSR2", job_on_step, job);
	else
		job_on_step(job, reply, err);
}

static void reload(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target, (void)action;
	docker_exec_start(job->docker, job->exec_id ? job->exec_id : "", on_reload_sent, job);
}

static void stop(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_stop(job->docker, action->container, STOP_TIMEOUT_S, job_on_step, job);
}

/* An engine that is busy with the container (Podman, while it restarts or cleans it up) cannot remove it: as
 * a conflict, the error makes the run look again. */
static void on_removed(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct err changed;

	if (err && err->kind == ERR_TRANSIENT && docker_usable(job->docker) &&
	    job->rounds + 1 < JOB_MAX_ROUNDS) {
		changed = *err;
		changed.kind = ERR_CONFLICT;
		job_action_failed(job, &changed);
	} else {
		job_on_step(job, reply, err);
	}
}

static void remove_container(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_remove(job->docker, action->container, true, on_removed, job);
}

static void rename_container(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_rename(job->docker, action->container, action->argument, job_on_step, job);
}

/* After a failed action: the rows of undo_rows, in their order, as far as they apply. */

static void on_reason(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct err *failure = &job->failure;
	char reason[ERR_MESSAGE_BYTES / 2];
	char *message;

	reason[0] = '\0';
	if (!err && reply->body)
		haproxy_log_reason(reply->body, reason, sizeof(reason));
	if (*reason) {
		message = xstrdup(failure->message);
		err_set(failure, failure->kind, "%s; its log: %s", message, reason);
		free(message);
	}
	job->step++;
	job_run(job);
}

static void explain(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_logs(job->docker, action->container, LOG_LINES, on_reason, job);
}

static bool is_of_successor(const struct job *job, const struct job_target *target,
			    const struct action *action)
{
	char *next = container_next_name(target->order.name);
	bool is = (action->kind == ACTION_AWAIT || action->kind == ACTION_START) &&
		  strcmp(next, action->name) == 0;

	(void)job;
	free(next);
	return is;
}

/* The container has just been started beside another balancer, which still serves. */
static bool relieves_another(const struct job *job, const struct job_target *target,
			     const struct action *action)
{
	(void)job;
	return (action->kind == ACTION_AWAIT || action->kind == ACTION_START) &&
	       target->result.observed.relieves && strcmp(action->name, target->order.name) == 0;
}

/* The container was to take over, from a container of this balancer or from another balancer. */
static bool takes_over(const struct job *job, const struct job_target *target, const struct action *action)
{
	return is_of_successor(job, target, action) || relieves_another(job, target, action);
}

/* The failed successor was told to drain. It has just started, and may not have heard the signal. */
static bool may_not_have_heard(const struct job *job, const struct job_target *target,
			       const struct action *action)
{
	return takes_over(job, target, action) && job_drainer_can_be_asked(job);
}

static bool has_helper(const struct job *job, const struct job_target *target, const struct action *action)
{
	(void)target;
	return job->failed_step > 0 &&
	       (action->kind == ACTION_WRITE_CONFIG || action->kind == ACTION_CHECK_CONFIG ||
		action->kind == ACTION_REHEARSE);
}

static bool has_log(const struct job *job, const struct job_target *target, const struct action *action)
{
	return action->kind == ACTION_AWAIT || has_helper(job, target, action);
}

/* HAProxy has loaded the new config, and sees no server up: it must load the former config, which the rows
 * before have put back. */
static bool runs_unhealthy(const struct job *job, const struct job_target *target,
			   const struct action *action)
{
	return job->unhealthy_since_ms > 0 && !is_of_successor(job, target, action) &&
	       job_has_former(job, target, action);
}

/* The stopped container is fine as it was; only the new version could not be prepared. It is started again,
 * unless another balancer serves in its place. */
static bool waits_stopped(const struct job *job, const struct job_target *target, const struct action *action)
{
	const struct observed_container *current = target->result.observed.current;

	(void)job;
	return (action->kind == ACTION_PULL || action->kind == ACTION_CHECK_CONFIG ||
		action->kind == ACTION_REHEARSE || action->kind == ACTION_WRITE_CONFIG) &&
	       !target->result.observed.relieves && current &&
	       (current->status == CONTAINER_EXITED || current->status == CONTAINER_CREATED);
}

static bool revives(const struct job *job, const struct job_target *target, const struct action *action)
{
	return !target->result.observed.relieves && job_revives_former(job, target, action) &&
	       job_has_former(job, target, action);
}

static void start_current(struct job *job, struct job_target *target, const struct action *action)
{
	(void)action;
	docker_start(job->docker, target->result.observed.current->id, job_on_step, job);
}

static const struct {
	bool (*applies)(const struct job *job, const struct job_target *target, const struct action *action);
	job_step_fn *step;
} undo_rows[] = {
	{has_log, explain},
	{takes_over, job_undo_handover},
	{may_not_have_heard, job_hear_drainer},
	{has_helper, job_remove_helper},
	{job_has_former, job_create_helper},
	{job_has_former, job_put_former},
	{job_has_former, job_remove_helper},
	{runs_unhealthy, prepare_reload},
	{runs_unhealthy, reload},
	{revives, stop},
	{revives, start_current},
	{waits_stopped, start_current},
};

static enum step undo(struct job *job, struct job_target *target, const struct action *action)
{
	for (; job->step < (int)(sizeof(undo_rows) / sizeof(undo_rows[0])); job->step++) {
		if (undo_rows[job->step].applies(job, target, action)) {
			undo_rows[job->step].step(job, target, action);
			return STEP_WAIT;
		}
	}
	target_failed(job, &job->failure);
	return STEP_NEXT;
}

/* The steps of each action. */
static job_step_fn *const recipes[ACTION_KINDS][JOB_MAX_STEPS] = {
	[ACTION_PULL] = {pull},
	[ACTION_CHECK_CONFIG] = {job_create_checker, job_put_companions, job_put_candidate, start,
				 job_wait_for_verdict, job_note_image, remove_container},
	/* The directory of the stats socket comes first: a balancer that was not made by apilb has none. */
	[ACTION_REHEARSE] = {job_create_helper, job_put_run_dir, job_remove_helper, job_create_rehearsal,
			     job_put_rehearsal, start, job_await, remove_container},
	[ACTION_WRITE_CONFIG] = {job_create_helper, job_look_at_place, job_read_place, job_put_run_dir,
				 job_put_config, job_remove_helper},
	[ACTION_CREATE] = {create},
	[ACTION_START] = {start},
	[ACTION_UNPAUSE] = {unpause},
	[ACTION_RELOAD] = {prepare_reload, reload},
	[ACTION_AWAIT] = {job_await},
	[ACTION_DRAIN] = {job_look_at_drainer, job_try_drainer_socket, job_drain, job_hear_drainer},
	[ACTION_STOP] = {stop},
	[ACTION_REMOVE] = {remove_container},
	[ACTION_RENAME] = {rename_container},
};

static bool is_left_out(const struct job *job, job_step_fn *step, const struct job_target *target)
{
	if (step == job_try_drainer_socket || step == job_hear_drainer)
		return !job_drainer_can_be_asked(job);
	if (step == job_put_companions)
		return target->order.wanted->files_n == 0;
	return (step == job_look_at_place || step == job_read_place) && job_has_seen_place(target);
}

static job_step_fn *next_step(struct job *job, const struct job_target *target, const struct action *action)
{
	while (job->step < JOB_MAX_STEPS && is_left_out(job, recipes[action->kind][job->step], target))
		job->step++;
	return job->step < JOB_MAX_STEPS ? recipes[action->kind][job->step] : NULL;
}

static void tell_done(struct job *job, const struct action *action)
{
	char *text = action_text(action);

	job_tell(job, JOB_DONE, action_name(action->kind), "%s (%s)", text, action->reason);
	free(text);
}

static void begin(struct job *job, struct job_target *target, const struct action *action)
{
	char *text = action_text(action);

	/* An attempt counts only when its first action begins: the daemon may end before. */
	if (target->result.plan.for_silence && target->result.applied == 0)
		silence_tried(&target->memory.silence, job_clock());
	job_tell(job, JOB_PROGRESS, action_name(action->kind), "%s", text);
	free(text);
}

enum step job_apply(struct job *job, struct job_target *target, bool before_drain)
{
	if (job->undoing)
		return undo(job, target, job_action(job));
	while (target->result.applied < target->result.plan.n) {
		const struct action *action = job_action(job);
		job_step_fn *step;

		if (before_drain && action->kind == ACTION_DRAIN)
			break;
		step = next_step(job, target, action);
		if (!step) {
			tell_done(job, action);
			target->result.changed = true;
			job->acted = true;
			target->result.applied++;
			job->step = 0;
			if (action->kind != ACTION_RELOAD)
				await_nothing(job);
			continue;
		}
		if (job->step == 0 && job->awaited_since_ms == 0)
			begin(job, target, action);
		step(job, target, action);
		return STEP_WAIT;
	}
	return STEP_NEXT;
}

/* explain: adds lines of HAProxy's log to a trouble that no action can repair */

enum step job_explain(struct job *job, struct job_target *target)
{
	const struct observed_container *current = target->result.observed.current;
	const struct wanted *wanted = target->order.wanted;

	if (target->result.plan.trouble.kind == ERR_NONE || job->options.observe_only)
		return STEP_NEXT;
	/* A refused version has been explained before; a silent HAProxy's log changes all the time. */
	if ((wanted && refused_why(&target->memory.refused, wanted->version)) ||
	    target->result.observed.silence || target->result.observed.hurried) {
		target->result.err = target->result.plan.trouble;
		return STEP_NEXT;
	}
	if (job->step == 0) {
		job->failure = target->result.plan.trouble;
		if (current && job->failure.kind != ERR_CONFLICT) {
			docker_logs(job->docker, current->id, LOG_LINES, on_reason, job);
			return STEP_WAIT;
		}
	}
	target->result.err = job->failure;
	return STEP_NEXT;
}
