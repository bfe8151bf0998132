/* Applying: the actions of a plan, one engine request after the other. */
#include <event2/util.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "daemon/core/container_name.h"
#include "daemon/core/haproxy.h"
#include "daemon/core/haproxy_log.h"
#include "daemon/io/archive.h"
#include "daemon/job_internal.h"

#define AWAIT_INTERVAL_MS 100
#define AWAIT_POLLS 100
#define AWAIT_TIMEOUT_MS 2000
#define LOG_LINES 40
/* The longest recipe. */
#define MAX_STEPS 4

typedef void step_fn(struct job *job, struct job_target *target, const struct action *action);

static const struct action *current_action(const struct job *job)
{
	return &job->targets[job->target].plan.actions[job->action];
}

/* The rest of this target's plan is dropped; the other targets go on, and are looked at again. */
static void target_failed(struct job *job, const struct err *err)
{
	job_current(job)->err = *err;
	job->action = 0;
	job->polls = 0;
	job->undoing = false;
	job->acted = true;
}

/* The action cannot be carried out. What it leaves behind is tidied up first, while the engine can be talked
 * to. */
static void action_failed(struct job *job, const struct err *err)
{
	if (!job->undoing)
		job->failure = *err;
	if (!docker_usable(job->docker)) {
		target_failed(job, &job->failure);
		job->err = *err;
	} else if (job->undoing) {
		job->step++; /* the rest of it may still work */
	} else {
		job->failed_step = job->step;
		job->undoing = true;
		job->step = 0;
	}
	job_run(job);
}

static void on_step(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	(void)reply;
	if (err) {
		action_failed(job, err);
		return;
	}
	job->step++;
	job_run(job);
}

/* pull */

static void on_progress(void *arg, const char *text)
{
	job_tell(arg, JOB_PROGRESS, "pulling", "%s", text);
}

static void pull(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_pull(job->docker, action->container, on_progress, on_step, job);
}

/* write-config: a container that is never started carries the files */

static void create_helper(struct job *job, struct job_target *target, const struct action *action)
{
	struct json_object *request = wanted_helper_create(target->wanted);
	char *name = container_helper_name(target->name);

	(void)action;
	docker_create(job->docker, name, request, on_step, job);
	free(name);
	json_object_put(request);
}

/* One entry into one of the helper's mounts. Not all at once through "/": Podman would write beside the
 * mounts. */
static void put_entry(struct job *job, struct job_target *target, const char *mount,
		      const struct archive_entry_spec *entry)
{
	char *helper = container_helper_name(target->name);
	char *tar;
	size_t len;

	archive_pack(entry, 1, time(NULL), &tar, &len);
	docker_put_archive(job->docker, helper, mount, tar, len, on_step, job);
	free(tar);
	free(helper);
}

static void put_run_dir(struct job *job, struct job_target *target, const struct action *action)
{
	char *path = xasprintf("%s/", target->name);
	const struct archive_entry_spec entry = {
		.path = path, .mode = RUN_DIR_MODE, .uid = WANTED_UID, .gid = WANTED_UID};

	(void)action;
	put_entry(job, target, HELPER_RUN_DIR, &entry);
	free(path);
}

static void put_config(struct job *job, struct job_target *target, const struct action *action)
{
	const struct wanted *wanted = target->wanted;
	const struct archive_entry_spec entry = {
		.path = strrchr(wanted->instance.config_path, '/') + 1,
		.mode = CONFIG_MODE,
		.data = wanted->config,
		.len = wanted->config_len,
	};

	(void)action;
	/* Whatever it was before: it is to be read again. */
	target->config_size = -1;
	put_entry(job, target, HELPER_CONFIG_DIR, &entry);
}

static void remove_helper(struct job *job, struct job_target *target, const struct action *action)
{
	char *name = container_helper_name(target->name);

	(void)action;
	docker_remove(job->docker, name, true, on_step, job);
	free(name);
}

/* What is one request each. */

static void create(struct job *job, struct job_target *target, const struct action *action)
{
	struct json_object *request;
	unsigned char bytes[(TOKEN_HEX_SIZE - 1) / 2];
	char token[TOKEN_HEX_SIZE];

	evutil_secure_rng_get_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(token + 2 * i, 3, "%02x", bytes[i]);
	request = wanted_create_with_token(target->wanted, token);
	docker_create(job->docker, action->container, request, on_step, job);
	json_object_put(request);
}

static void start(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_start(job->docker, action->container, on_step, job);
}

static void unpause(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_unpause(job->docker, action->container, on_step, job);
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
	struct json_object *id = NULL;

	FREE(job->exec_id);
	if (!err && json_object_object_get_ex(reply->json, "Id", &id))
		job->exec_id = xstrdup(json_object_get_string(id));
	on_step(job, reply, err);
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

	/* An image without a shell: the engine's signal is better than none. */
	if (err && docker_usable(job->docker))
		docker_kill(job->docker, current_action(job)->container, "SIGUSR2", on_step, job);
	else
		on_step(job, reply, err);
}

static void reload(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target, (void)action;
	docker_exec_start(job->docker, job->exec_id ? job->exec_id : "", on_reload_sent, job);
}

/* SIGUSR1 to HAProxy's master (HAProxy management guide, 4). Here the engine's own kill is right: what it has
 * signalled it does not start again, neither when it ends nor after a reboot. */
static void drain(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_kill(job->docker, action->container, "SIGUSR1", on_step, job);
}

static void stop(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_stop(job->docker, action->container, STOP_TIMEOUT_S, on_step, job);
}

static void remove_container(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_remove(job->docker, action->container, true, on_step, job);
}

static void rename_container(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_rename(job->docker, action->container, action->argument, on_step, job);
}

/* await: ask container and HAProxy in turn until the wanted generation is loaded */

enum { AWAIT_INSPECT, AWAIT_ASK, AWAIT_PAUSE };

static void await_failed(struct job *job, enum err_kind kind, const char *what)
{
	struct job_target *target = job_current(job);
	struct err err;

	/* So that the next plan knows. */
	memcpy(target->refused, target->wanted->version, sizeof(target->refused));
	err_set(&err, kind, "%s", what);
	action_failed(job, &err);
}

static void await_again(struct job *job, const char *why)
{
	char *what;

	if (++job->polls < AWAIT_POLLS) {
		job->step = AWAIT_PAUSE;
		job_run(job);
		return;
	}
	what = xasprintf("HAProxy has not loaded the config within %d s: %s",
			 AWAIT_POLLS * AWAIT_INTERVAL_MS / 1000, why);
	await_failed(job, ERR_PERMANENT, what);
	free(what);
}

static void on_await_inspect(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct observed_container *container;
	struct err bad;

	if (err) {
		action_failed(job, err);
		return;
	}
	container = reply->status == 404 ? NULL : observed_from_inspect(reply->json, &bad);
	if (!container) {
		await_failed(job, ERR_TRANSIENT, "the container has gone while HAProxy was to start");
	} else if (container->status == CONTAINER_RUNNING) {
		memcpy(job->token, container->token, sizeof(job->token));
		job->step = AWAIT_ASK;
		job_run(job);
	} else {
		char *what = xasprintf("HAProxy does not stay up (exit code %lld)",
				       (long long)container->exit_code);

		await_failed(job, ERR_PERMANENT, what);
		free(what);
	}
	observed_container_free(container);
}

static void on_await_answer(void *arg, const char *text, size_t len, const struct err *err)
{
	struct job *job = arg;
	const struct wanted *wanted = job_current(job)->wanted;
	struct observed_instance answer = {0};

	(void)len;
	job->query = NULL;
	if (err) {
		await_again(job, err->message);
		return;
	}
	observed_stats_parse(&answer, text);
	if (strcmp(answer.loaded.generation, wanted->description.generation) == 0) {
		job->step = MAX_STEPS; /* through */
		job_current(job)->refused[0] = '\0';
		job_run(job);
	} else {
		await_again(job, "it goes on with the former one");
	}
	observed_instance_clear(&answer);
}

static void on_await_open(void *arg, struct bufferevent *stream, const struct err *err)
{
	struct job *job = arg;

	job->opening = NULL;
	if (err)
		await_again(job, err->message);
	else
		job->query = haproxy_query(stream, "show info", AWAIT_TIMEOUT_MS, on_await_answer, job);
}

static void await(struct job *job, struct job_target *target, const struct action *action)
{
	char *path;

	switch (job->step) {
	case AWAIT_INSPECT:
		docker_inspect(job->docker, action->container, on_await_inspect, job);
		break;
	case AWAIT_ASK:
		path = haproxy_socket_path(target->name, job->token);
		job->opening =
			job->options.open(job->options.arg, path, AWAIT_TIMEOUT_MS, on_await_open, job);
		free(path);
		break;
	default:
		job->step = AWAIT_INSPECT;
		job_sleep(job, AWAIT_INTERVAL_MS);
	}
}

/* What is done when an action has failed: a row each, in this order, where it applies. */

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

static bool is_await(const struct job *job, const struct job_target *target, const struct action *action)
{
	(void)job, (void)target;
	return action->kind == ACTION_AWAIT;
}

static bool is_of_successor(const struct job *job, const struct job_target *target,
			    const struct action *action)
{
	char *next = container_next_name(target->name);
	bool is = (action->kind == ACTION_AWAIT || action->kind == ACTION_START) &&
		  strcmp(next, action->name) == 0;

	(void)job;
	free(next);
	return is;
}

static bool has_helper(const struct job *job, const struct job_target *target, const struct action *action)
{
	(void)target;
	return action->kind == ACTION_WRITE_CONFIG && job->failed_step > 0;
}

/* HAProxy has not taken the new version and runs the former, whose text we have. */
static bool has_former(const struct job *job, const struct job_target *target, const struct action *action)
{
	const struct observed_instance *observed = &target->observed;
	struct haproxy_description former;

	(void)job;
	if (action->kind != ACTION_AWAIT || !observed->config || observed->stats != STATS_ANSWERED)
		return false;
	former = haproxy_description_of(observed->config);
	return former.generation[0] && strcmp(former.generation, observed->loaded.generation) == 0;
}

static void put_former(struct job *job, struct job_target *target, const struct action *action)
{
	const char *text = target->observed.config;
	const struct archive_entry_spec entry = {
		.path = strrchr(target->wanted->instance.config_path, '/') + 1,
		.mode = CONFIG_MODE,
		.data = text,
		.len = strlen(text),
	};

	(void)action;
	target->config_size = -1;
	put_entry(job, target, HELPER_CONFIG_DIR, &entry);
}

static const struct {
	bool (*applies)(const struct job *job, const struct job_target *target, const struct action *action);
	step_fn *step;
} undo_rows[] = {
	{is_await, explain},         {is_of_successor, remove_container},
	{has_helper, remove_helper}, {has_former, create_helper},
	{has_former, put_former},    {has_former, remove_helper},
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

/* What each action is made of. */
static step_fn *const recipes[ACTION_KINDS][MAX_STEPS] = {
	[ACTION_PULL] = {pull},
	[ACTION_WRITE_CONFIG] = {create_helper, put_run_dir, put_config, remove_helper},
	[ACTION_CREATE] = {create},
	[ACTION_START] = {start},
	[ACTION_UNPAUSE] = {unpause},
	[ACTION_RELOAD] = {prepare_reload, reload},
	[ACTION_AWAIT] = {await, await, await},
	[ACTION_DRAIN] = {drain},
	[ACTION_STOP] = {stop},
	[ACTION_REMOVE] = {remove_container},
	[ACTION_RENAME] = {rename_container},
};

static step_fn *next_step(const struct job *job, const struct action *action)
{
	return job->step < MAX_STEPS ? recipes[action->kind][job->step] : NULL;
}

static void tell_done(struct job *job, const struct action *action)
{
	char *text = action_text(action);

	job_tell(job, JOB_DONE, action_name(action->kind), "%s (%s)", text, action->reason);
	free(text);
}

enum step job_apply(struct job *job, struct job_target *target)
{
	if (job->undoing)
		return undo(job, target, current_action(job));
	while (job->action < target->plan.n) {
		const struct action *action = current_action(job);
		step_fn *step = next_step(job, action);
		char *text;

		if (!step) {
			tell_done(job, action);
			target->changed = true;
			job->action++;
			job->step = 0;
			job->polls = 0;
			continue;
		}
		if (job->step == 0 && job->polls == 0) {
			text = action_text(action);
			job_tell(job, JOB_PROGRESS, action_name(action->kind), "%s", text);
			free(text);
		}
		step(job, target, action);
		return STEP_WAIT;
	}
	job->action = 0;
	job->acted = true;
	return STEP_NEXT;
}

/* explain: what no action could mend, in HAProxy's own words */

enum step job_explain(struct job *job, struct job_target *target)
{
	const struct observed_container *current = target->observed.current;

	if (target->plan.trouble.kind == ERR_NONE || job->options.observe_only)
		return STEP_NEXT;
	/* That one has been explained already. */
	if (target->observed.refusal) {
		target->err = target->plan.trouble;
		return STEP_NEXT;
	}
	if (job->step == 0) {
		job->failure = target->plan.trouble;
		if (current && job->failure.kind != ERR_CONFLICT) {
			docker_logs(job->docker, current->id, LOG_LINES, on_reason, job);
			return STEP_WAIT;
		}
	}
	target->err = job->failure;
	return STEP_NEXT;
}
