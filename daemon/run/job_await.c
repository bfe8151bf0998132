/* Applying: waits until HAProxy has loaded the wanted version, and serves no worse than the former one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/run/job_internal.h"

#define AWAIT_INTERVAL_MS 100
/* How long a HAProxy is asked again that does not answer, or has not loaded the wanted version. A time, not a
 * count, since each question may take long. */
#define AWAIT_MS 10000
#define AWAIT_TIMEOUT_MS 2000
/* A reload that shows no effect is repeated after 1 / RELOAD_AGAIN_AFTER of that time. */
#define RELOAD_AGAIN_AFTER 4
/* How long a HAProxy is asked again that sees no server up. The second, if servers are given by name: it may
 * still be resolving the names. */
#define UNHEALTHY_MS 3000
#define UNHEALTHY_NAME_MS 10000
/* The most servers that a message lists. */
#define SHOWN_SERVERS 3

enum { AWAIT_INSPECT, AWAIT_ASK, AWAIT_PAUSE };

static void await_failed(struct job *job, enum err_kind kind, const char *what)
{
	struct job_target *target = job_current(job);
	struct err err;

	/* The next plan must know that this version failed; unless the container was replaced only because
	 * its HAProxy was silent: then the version is not to blame. */
	if (!target->result.plan.for_silence)
		refused_note(&target->memory.refused, target->order.wanted->version);
	err_set(&err, kind, "%s", what);
	job_action_failed(job, &err);
}

static size_t names(struct job *job)
{
	return haproxy_names(&job_current(job)->order.wanted->instance);
}

/* True when limit_ms have passed since *since_ms; sets *since_ms to now if it is 0. */
static bool for_long(int64_t *since_ms, int64_t limit_ms)
{
	int64_t now = clock_ms();

	if (*since_ms == 0)
		*since_ms = now;
	return now - *since_ms >= limit_ms;
}

static int64_t limit_of(struct job *job)
{
	return AWAIT_MS + (int64_t)haproxy_look_up_max_s(&job_current(job)->order.wanted->instance) * 1000;
}

static void await_again(struct job *job, const char *why)
{
	int64_t limit_ms = limit_of(job);
	char *what;

	if (!for_long(&job->awaited_since_ms, limit_ms)) {
		job->awaiting = AWAIT_PAUSE;
		job_run(job);
		return;
	}
	what = xasprintf("HAProxy has not loaded the config within %d s: %s%s", (int)(limit_ms / 1000), why,
			 names(job) > 0 ? "; it looks up its servers' names first: do the name servers in "
					  "the host's /etc/resolv.conf answer?"
					: "");
	await_failed(job, ERR_PERMANENT, what);
	free(what);
}

static void on_await_inspect(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct observed_container *container;
	struct err bad;

	if (err) {
		job_action_failed(job, err);
		return;
	}
	container = reply->status == 404 ? NULL : observed_from_inspect(reply->json, &bad);
	if (!container) {
		await_failed(job, ERR_TRANSIENT, "the container has gone while HAProxy was to start");
	} else if (container->status == CONTAINER_RUNNING) {
		memcpy(job->token, container->token, sizeof(job->token));
		job->awaiting = AWAIT_ASK;
		job_run(job);
	} else {
		char *what = xasprintf("HAProxy does not stay up (exit code %lld)",
				       (long long)container->exit_code);

		await_failed(job, ERR_PERMANENT, what);
		free(what);
	}
	observed_container_free(container);
}

static void await_done(struct job *job)
{
	job->awaiting = AWAIT_INSPECT;
	job->step++;
	refused_taken(&job_current(job)->memory.refused);
	job_run(job);
}

/* The result of the server's last check; if it was never checked, the reason why. */
static const char *verdict(const struct observed_server *server)
{
	return server->check[0] || !server->why ? server->check : server->why;
}

static void no_server_up(struct job *job, const struct observed_instance *answer)
{
	const struct observed_instance *former = &job_current(job)->result.observed;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fprintf(out, "HAProxy on this host sees none of the %zu wanted servers up (", answer->servers_n);
	for (size_t i = 0; i < answer->servers_n && i < SHOWN_SERVERS; i++)
		fprintf(out, "%s%s: %s", i ? ", " : "", answer->servers[i].name,
			verdict(&answer->servers[i]));
	fprintf(out, "%s)", answer->servers_n > SHOWN_SERVERS ? ", ..." : "");
	if (observed_servers_in(former, SERVER_UP) > 0)
		fprintf(out, ", but %zu of its former servers", observed_servers_in(former, SERVER_UP));
	else if (former->relieves)
		fprintf(out, ", and %s, which serves until this balancer does in its place, may see one up",
			former->relieves);
	else
		fprintf(out, ", and the running balancer, which does not say what it sees, may see one up");
	if (fclose(out) != 0)
		abort();
	await_failed(job, ERR_PERMANENT, text);
	free(text);
}

/*
 * HAProxy runs the wanted version. If the former version sees a server up, this
 * one must see a server up as well. Servers that are still not checked after the
 * limit get the benefit of the doubt: checks may be far apart.
 */
static void judge_health(struct job *job, const struct observed_instance *answer)
{
	const struct job_target *target = job_current(job);

	if (!plan_must_see_a_server(target->order.wanted, &target->result.observed) ||
	    observed_servers_in(answer, SERVER_UP) > 0) {
		await_done(job);
	} else if (!for_long(&job->unhealthy_since_ms, names(job) > 0 ? UNHEALTHY_NAME_MS : UNHEALTHY_MS)) {
		job->awaiting = AWAIT_PAUSE;
		job_run(job);
	} else if (observed_servers_in(answer, SERVER_UNKNOWN) > 0) {
		await_done(job);
	} else {
		no_server_up(job, answer);
	}
}

/* Only a reload makes HAProxy look up names again: if the plan had none (the container was only unpaused,
 * say), names that were not found stay so. */
static bool was_reloaded(const struct job *job)
{
	const struct result *result = &job->targets[job->target].result;

	for (size_t i = 0; i < result->applied; i++)
		if (result->plan.actions[i].kind == ACTION_RELOAD)
			return true;
	return false;
}

/* The signal to reload may have been lost (see job_drain.c), so it is repeated once. */
static bool reload_again(struct job *job)
{
	struct result *result = &job_current(job)->result;

	if (job->reloaded_again || result->applied == 0 ||
	    result->plan.actions[result->applied - 1].kind != ACTION_RELOAD ||
	    !for_long(&job->awaited_since_ms, limit_of(job) / RELOAD_AGAIN_AFTER))
		return false;
	job->reloaded_again = true;
	job->awaiting = AWAIT_INSPECT;
	result->applied--;
	job->step = 0;
	job_run(job);
	return true;
}

static void on_await_answer(void *arg, const char *text, size_t len, const struct err *err)
{
	struct job *job = arg;
	const struct wanted *wanted = job_current(job)->order.wanted;
	struct observed_instance answer = {0};

	(void)len;
	job->query = NULL;
	if (err) {
		await_again(job, err->message);
		return;
	}
	observed_stats_parse(&answer, text);
	/* A rehearsal can run nothing but the wanted version. A reload that is only to look up names keeps
	 * the generation: while names must be looked up, the process of before still answers. */
	if (answer.stats != STATS_ANSWERED)
		await_again(job, answer.stats_error);
	else if (job_action(job)->kind == ACTION_REHEARSE ||
		 (strcmp(answer.loaded.generation, wanted->description.generation) == 0 &&
		  !(was_reloaded(job) && plan_must_look_up(&answer))))
		judge_health(job, &answer);
	else if (!reload_again(job))
		await_again(job, "it goes on with the former config");
	observed_instance_clear(&answer);
}

static void on_await_open(void *arg, struct bufferevent *stream, const struct err *err)
{
	struct job *job = arg;

	job->opening = NULL;
	if (err)
		await_again(job, err->message);
	else
		job->query =
			haproxy_query(stream, "show info;show stat", AWAIT_TIMEOUT_MS, on_await_answer, job);
}

void job_await(struct job *job, struct job_target *target, const struct action *action)
{
	char *path;

	switch (job->awaiting) {
	case AWAIT_INSPECT:
		docker_inspect(job->docker, action->container, on_await_inspect, job);
		break;
	case AWAIT_ASK:
		path = haproxy_socket_path(target->order.name, job->token);
		job->opening =
			job->options.open(job->options.arg, path, AWAIT_TIMEOUT_MS, on_await_open, job);
		free(path);
		break;
	default:
		job->awaiting = AWAIT_INSPECT;
		job_sleep(job, AWAIT_INTERVAL_MS);
	}
}
