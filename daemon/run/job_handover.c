/* Applying: removes a successor that has failed to take over. */
#include <stdlib.h>

#include "common/mem.h"
#include "daemon/core/container_name.h"
#include "daemon/io/clock.h"
#include "daemon/run/job_internal.h"

/*
 * The successor has taken connections since it began to listen. They must not be
 * cut off, so it drains, as former containers do (add_drain in plan_drain.c). Only a
 * successor that does not run has no connections, and is removed at once.
 */

static void remove_successor(struct job *job)
{
	docker_remove(job->docker, job_action(job)->container, true, job_on_step, job);
}

static void on_told(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	/* By ID, since it has been renamed. */
	if (err) {
		docker_remove(job->docker, job->drainer_id, true, job_on_step, job);
		return;
	}
	draining_add(&job_current(job)->memory.draining, job->drainer_id, clock_ms(),
		     job->drainer_started_at);
	job_on_step(job, reply, NULL);
}

static void on_renamed(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	(void)reply;
	if (err)
		remove_successor(job);
	else
		docker_kill(job->docker, job->drainer_id, "SIGUSR1", on_told, job);
}

/* The container that was to hand over is gone or down: the handover was interrupted. */
static bool is_all_that_serves(const struct job_target *target)
{
	const struct observed_instance *observed = &target->result.observed;

	return !observed->relieves && !observed_is_up(observed->current);
}

static void on_inspected(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct observed_container *next = NULL;
	struct err bad;
	char *old;

	if (!err && reply->status != 404)
		next = observed_from_inspect(reply->json, &bad);
	job_note_drainer(job, NULL);
	if (!next || next->status != CONTAINER_RUNNING) {
		remove_successor(job);
	} else if (is_all_that_serves(job_current(job))) {
		/* Whatever is wrong with the successor, nothing else takes connections. */
		job_on_step(job, reply, NULL);
	} else {
		job_note_drainer(job, next);
		old = container_old_name(job_current(job)->order.name, next->id);
		docker_rename(job->docker, next->id, old, on_renamed, job);
		free(old);
	}
	observed_container_free(next);
}

void job_undo_handover(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_inspect(job->docker, action->container, on_inspected, job);
}
