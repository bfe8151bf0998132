/* Applying: tells a container to drain: it takes no new connections, and ends with its last one. */
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/run/job_internal.h"

#define HEAR_TIMEOUT_MS 2000
#define HEAR_INTERVAL_MS 100
/* A HAProxy that goes on as before is told again every TELL_AGAIN_MS, and no more after HEAR_MS. A time, not
 * a count, since a host may take long for each answer. */
#define TELL_AGAIN_MS 1000
#define HEAR_MS 10000
/* The same for a HAProxy whose socket was never seen open: it may be about to open it, or have drained long
 * ago. In all of one run, since the other balancers of the host wait meanwhile. */
#define NEVER_LISTENED_MS 5000
/* The most time that one run spends on asking. Containers after that are told, but not asked. */
#define HEAR_RUN_MS 30000

/* Its start is noted, since Podman before 4.7 starts a draining container again (podman issue 19889). */
void job_note_drainer(struct job *job, const struct observed_container *container)
{
	FREE(job->drainer_id);
	FREE(job->drainer_started_at);
	FREE(job->drainer_made_as);
	job->drainer_token[0] = '\0';
	job->drainer_listened = false;
	if (job->asking_since_ms)
		job->asked_ms += clock_ms() - job->asking_since_ms;
	job->asking_since_ms = 0;
	if (!container)
		return;
	job->drainer_id = xstrdup(container->id);
	job->drainer_started_at = xstrdup(container->started_at);
	job->drainer_made_as = xstrdup(observed_made_as(container));
	memcpy(job->drainer_token, container->token, sizeof(job->drainer_token));
}

static void on_drainer(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct observed_container *container = NULL;
	struct err bad;

	if (!err && reply->status != 404)
		container = observed_from_inspect(reply->json, &bad);
	job_note_drainer(job, container);
	observed_container_free(container);
	job_on_step(job, reply, err);
}

void job_look_at_drainer(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_inspect(job->docker, action->container, on_drainer, job);
}

static void on_drain_in_vain(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct observed_container *container = NULL;
	struct err bad, failure = job->failure;

	if (!err && reply->status != 404)
		container = observed_from_inspect(reply->json, &bad);
	/* The container has ended by itself: so it has drained. */
	if (!err && (!container || container->status != CONTAINER_RUNNING))
		job_on_step(job, reply, NULL);
	else
		job_action_failed(job, &failure);
	observed_container_free(container);
}

static void on_drained(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	const char *id = job_action(job)->container;

	if (err && docker_usable(job->docker)) {
		job->failure = *err;
		docker_inspect(job->docker, id, on_drain_in_vain, job);
		return;
	}
	if (!err)
		draining_add(&job_current(job)->memory.draining, id, clock_ms(), job->drainer_started_at);
	job_on_step(job, reply, err);
}

/*
 * Sends SIGUSR1 to HAProxy's master (HAProxy management guide, 4). The engine's
 * own kill is right here: the engine does not restart a container that it has
 * signalled, neither when the container ends nor after a reboot.
 */
void job_drain(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_kill(job->docker, action->container, "SIGUSR1", on_drained, job);
}

/*
 * Has HAProxy heard the signal? A master that has just forked its worker loses
 * signals until it is in its own loop, while the worker answers already (seen with
 * HAProxy 2.6): such a HAProxy would go on taking connections until the drain
 * timeout. A HAProxy that has heard closes its stats socket, or says that it is
 * stopping. But a closed socket proves nothing if it was never seen open: HAProxy
 * may not have opened it yet.
 */

bool job_drainer_can_be_asked(const struct job *job)
{
	return job->drainer_id && job->drainer_token[0] && job->asked_ms < HEAR_RUN_MS;
}

static void open_socket(struct job *job, stream_open_cb *cb)
{
	const char *name = job->drainer_made_as ? job->drainer_made_as : job_current(job)->order.name;
	char *path = haproxy_socket_path(name, job->drainer_token);

	job->opening = job->options.open(job->options.arg, path, HEAR_TIMEOUT_MS, cb, job);
	free(path);
}

static void on_socket_tried(void *arg, struct bufferevent *stream, const struct err *err)
{
	struct job *job = arg;

	job->opening = NULL;
	job->drainer_listened = !err;
	if (stream)
		bufferevent_free(stream);
	job_on_step(job, NULL, NULL);
}

void job_try_drainer_socket(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target, (void)action;
	open_socket(job, on_socket_tried);
}

static void heard(struct job *job)
{
	job_note_drainer(job, NULL);
	job_on_step(job, NULL, NULL);
}

static void on_told_again(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	(void)reply;
	if (!err) {
		job_run(job);
	} else if (docker_usable(job->docker)) { /* the container has ended meanwhile */
		heard(job);
	} else {
		job_note_drainer(job, NULL);
		job_action_failed(job, err);
	}
}

static void ask_again(struct job *job, int64_t limit_ms)
{
	int64_t now = clock_ms();

	if (now - job->asking_since_ms >= limit_ms) {
		heard(job);
	} else if (now - job->told_ms >= TELL_AGAIN_MS) {
		job->told_ms = now;
		docker_kill(job->docker, job->drainer_id, "SIGUSR1", on_told_again, job);
	} else {
		job_sleep(job, HEAR_INTERVAL_MS);
	}
}

static void on_hearing(void *arg, const char *text, size_t len, const struct err *err)
{
	struct job *job = arg;

	(void)len;
	job->query = NULL;
	if (err || !strstr(text, "\nStopping: 0\n"))
		heard(job);
	else
		ask_again(job, HEAR_MS);
}

static void on_hearing_open(void *arg, struct bufferevent *stream, const struct err *err)
{
	struct job *job = arg;

	job->opening = NULL;
	if (err && job->drainer_listened)
		heard(job);
	else if (err)
		ask_again(job, NEVER_LISTENED_MS - job->asked_ms);
	else
		job->query = haproxy_query(stream, "show info", HEAR_TIMEOUT_MS, on_hearing, job);
}

void job_hear_drainer(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target, (void)action;
	if (!job->asking_since_ms)
		job->asking_since_ms = job->told_ms = clock_ms();
	open_socket(job, on_hearing_open);
}
