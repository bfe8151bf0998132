/* Observing: which containers a target has, and how they were made. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "daemon/core/container_name.h"
#include "daemon/core/plan/difference.h"
#include "daemon/core/spec/spec_state.h"
#include "daemon/io/clock.h"
#include "daemon/run/job_internal.h"

/* A draining container is overdue when it has not ended so long after HAProxy's own limit. */
#define DRAIN_GRACE_MS 30000

/* From the list. */

static struct observed_container *copy_of(const struct observed_container *listed)
{
	struct observed_container *copy;

	if (!listed)
		return NULL;
	copy = xcalloc(1, sizeof(*copy));
	copy->id = xstrdup(listed->id);
	copy->name = xstrdup(listed->name);
	copy->image = xstrdup(listed->image);
	copy->image_id = xstrdup(listed->image_id);
	copy->status = listed->status;
	copy->owner = xstrdup(listed->owner);
	copy->spec = xstrdup(listed->spec);
	copy->instance = xstrdup(listed->instance);
	copy->binds = xstrdup(listed->binds);
	copy->container_sha256 = xstrdup(listed->container_sha256);
	return copy;
}

static struct observed_container *copy_removable(struct job *job, const struct job_target *target,
						 const char *name)
{
	const struct observed_container *listed = job_find_listed(job, name);

	return listed && job_may_take(job, target, listed) ? copy_of(listed) : NULL;
}

static bool is_old_of(const struct job_target *target, const struct observed_container *container)
{
	char *name;
	bool is = container_role_of(container->name, &name) == CONTAINER_OLD &&
		  (job_target_is_found(target) ? strcmp(container->id, target->found_id) == 0
					       : strcmp(name, target->order.name) == 0);

	free(name);
	return is;
}

/* Takes the container over. */
static void add_old(struct job_target *target, struct observed_container *old)
{
	int64_t now = clock_ms();
	int64_t drain_ms = target->order.wanted ? target->order.wanted->instance.timeouts.drain_ms
						: target->order.drain_ms;
	int64_t limit = drain_ms + DRAIN_GRACE_MS;

	old->undrained = !draining_has(&target->memory.draining, old->id);
	old->overdue = now - draining_since(&target->memory.draining, old->id, now) > limit;
	observed_instance_add_old(&target->result.observed, old);
}

static void find_old(struct job *job, struct job_target *target)
{
	const struct listed *old = job_first_old(job, target->order.name);

	for (size_t n = 0; old && n < JOB_MAX_OLD; old = old->next_old) {
		add_old(target, copy_of(old->container));
		n++;
	}
}

/* By ID, since the container may have been renamed in this run; its present name tells its role. */
static void find_found(struct job *job, struct job_target *target)
{
	struct observed_instance *observed = &target->result.observed;
	struct observed_container **const places[] = {
		[CONTAINER_BALANCER] = &observed->current,
		[CONTAINER_NEXT] = &observed->next,
		[CONTAINER_HELPER] = &observed->helper,
	};
	struct listed *listed = job_find_listed_id(job, target->found_id);
	enum container_role role;

	if (!listed || !job_may_take(job, target, listed->container))
		return;
	listed->target = target - job->targets + 1;
	role = container_role_of(listed->container->name, NULL);
	if (role == CONTAINER_OLD)
		add_old(target, copy_of(listed->container));
	else
		*places[role] = copy_of(listed->container);
}

/* If the target's removal is held, its HAProxy is asked whether it serves anybody: notes with its container
 * in the list which target has the answer. */
static void note_who_tells(struct job *job, const struct job_target *target)
{
	const struct observed_container *asked = job_to_be_asked(target);

	if (asked)
		job_find_listed_id(job, asked->id)->target = target - job->targets + 1;
}

/* Fills in what the list tells. For a target that is to be removed this is mostly enough. */
static void inspect_from_list(struct job *job, struct job_target *target)
{
	char *next, *helper;

	if (job_target_is_found(target)) {
		find_found(job, target);
		return;
	}
	next = container_next_name(target->order.name);
	helper = container_helper_name(target->order.name);
	if (!target->order.wanted) {
		target->result.observed.current = copy_removable(job, target, target->order.name);
		target->result.observed.next = copy_removable(job, target, next);
		note_who_tells(job, target);
	}
	target->result.observed.helper = copy_of(job_find_listed(job, helper));
	find_old(job, target);
	free(next);
	free(helper);
}

static struct observed_container *find_old_by_id(const struct observed_instance *observed, const char *id)
{
	for (size_t i = 0; i < observed->old_n; i++)
		if (strcmp(observed->old[i]->id, id) == 0)
			return observed->old[i];
	return NULL;
}

/* Forgets draining containers that have ended. */
static void remember_draining(struct job_target *target)
{
	struct draining now = {0};

	for (size_t i = 0; i < target->memory.draining.n; i++)
		if (find_old_by_id(&target->result.observed, target->memory.draining.v[i].id))
			draining_add(&now, target->memory.draining.v[i].id,
				     target->memory.draining.v[i].since_ms,
				     target->memory.draining.v[i].started_at);
	draining_clear(&target->memory.draining);
	target->memory.draining = now;
}

/* From inspecting: the steps, one request each. */

enum {
	INSPECT_CURRENT,
	INSPECT_NEXT,
	INSPECT_ADOPTED,
	INSPECT_IMAGE,
	INSPECT_DRAINING, /* from here on a step for each container that drained at the last look */
};

bool job_is_ours(const struct job_target *target, const struct observed_container *container)
{
	return observed_is_owned(container, target->order.wanted->owner);
}

static bool is_seen(const struct observed_instance *observed, const char *id)
{
	const struct observed_container *const all[] = {observed->helper, observed->next, observed->current};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] && strcmp(all[i]->id, id) == 0)
			return true;
	return find_old_by_id(observed, id) != NULL;
}

/* Checks whether a draining container was started again, which only inspecting tells. Takes it over. */
static void take_draining(struct job_target *target, struct observed_container *container)
{
	struct observed_container *old = find_old_by_id(&target->result.observed, container->id);
	bool returned = draining_returned(&target->memory.draining, container->id, container->started_at);

	if (old) {
		old->returned = returned;
		observed_container_free(container);
	} else {
		container->returned = returned;
		add_old(target, container);
	}
}

/* Places the container that `state` hands over. Takes it over. */
static void take_adopted(struct job *job, struct job_target *target, struct observed_container *container)
{
	struct observed_instance *observed = &target->result.observed;

	if (is_seen(observed, container->id)) {
		observed_container_free(container);
	} else if (!target->order.wanted && job_is_wanted(job, container)) {
		err_set(&target->result.err, ERR_TRANSIENT,
			"container %s (%.12s) stays until the balancer that takes it over has converged",
			container->name, container->id);
		observed_container_free(container);
	} else if (target->order.wanted && !observed->current && !is_old_of(target, container)) {
		observed->current = container; /* made under another name: the balancer's name has changed */
	} else {
		add_old(target, container);
	}
}

/* Replaces the container, as the list told it, by what inspecting tells. Takes it over. */
static void take_leaver(struct job_target *target, struct observed_container *container)
{
	struct observed_instance *observed = &target->result.observed;
	struct observed_container **const places[] = {
		&observed->current,
		&observed->next,
		observed->old_n > 0 ? &observed->old[0] : &observed->next,
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct observed_container *before = *places[i];

		if (before && strcmp(before->id, container->id) == 0 &&
		    strcmp(before->name, container->name) == 0) {
			container->undrained = before->undrained;
			container->overdue = before->overdue;
			*places[i] = container;
			observed_container_free(before);
			return;
		}
	}
	observed_container_free(container);
}

/* Takes the container over. */
static void take(struct job *job, struct job_target *target, struct observed_container *container)
{
	struct observed_instance *observed = &target->result.observed;

	if (job->step == INSPECT_CURRENT && !target->order.wanted) {
		take_leaver(target, container);
		return;
	}
	container->known = memory_knows(&target->memory, container->id);
	/* Compare the name: the engine also accepts the beginning of an ID as a name. */
	if (job->step == INSPECT_CURRENT && strcmp(container->name, target->order.name) == 0)
		observed->current = container;
	else if (job->step == INSPECT_NEXT)
		observed->next = container;
	else if (job->step == INSPECT_ADOPTED)
		take_adopted(job, target, container);
	else if (job->step >= INSPECT_DRAINING && is_old_of(target, container))
		take_draining(target, container);
	else
		observed_container_free(container);
}

static void on_inspect(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	struct observed_container *container;
	struct err bad;

	if (err) {
		job_request_failed(job, err);
		return;
	}
	if (reply->status != 404) {
		container = observed_from_inspect(reply->json, &bad);
		if (!container) {
			job_request_failed(job, &bad);
			return;
		}
		take(job, target, container);
	}
	job->step++;
	job_run(job);
}

static void leave_lookalike(struct job *job, struct observed_instance *observed)
{
	job_note_lookalike(job, observed->current);
	observed_container_free(observed->current);
	observed->current = NULL;
}

static void on_image(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct observed_instance *observed = &job_current(job)->result.observed;
	struct err bad;

	if (err) {
		job_request_failed(job, err);
		return;
	}
	if (reply->status != 404 && !json_text_at(reply->json, "/Id")) {
		err_set(&bad, ERR_TRANSIENT, "the engine's reply is not an image (no Id)");
		job_request_failed(job, &bad);
		return;
	}
	if (reply->status != 404 && job_current(job)->order.wanted)
		observed->image_drift = difference_from_image(observed->current, reply->json);
	else if (reply->status != 404 && observed_inherits_labels(observed->current, reply->json))
		leave_lookalike(job, observed);
	job->step++;
	job_run(job);
}

/* The ID of a container that `state` hands over, and that is not the current one: without our labels it is
 * not in the list. NULL: there is none. */
static const char *adopted_elsewhere(const struct job_target *target)
{
	const struct observed_container *current = target->result.observed.current;
	const char *id = target->order.wanted ? target->order.wanted->adopt_id : target->order.drop_id;

	return id && !target->order.removal_held && !(current && spec_state_means(id, current->id)) ? id
												    : NULL;
}

/* The ID of a draining container to inspect, if it runs, to see since when; or if it is in no list (`state`
 * has handed it over, and the spec may have lost its `state` since). NULL: it need not be inspected. */
static const char *still_draining(const struct job_target *target, size_t i)
{
	const char *id = target->memory.draining.v[i].id;
	const struct observed_container *old = find_old_by_id(&target->result.observed, id);
	bool ask = old ? old->status == CONTAINER_RUNNING : !is_seen(&target->result.observed, id);

	return ask ? id : NULL;
}

/* The image to compare the container with; NULL: it need not be. Labels can be copied: a container that we
 * have not seen before may be somebody's copy, and a container that is to be removed may have its labels from
 * its image. */
static const char *image_to_compare(const struct job_target *target)
{
	const struct observed_container *current = target->result.observed.current;

	if (!target->order.wanted)
		return current ? current->image_id : NULL;
	if (!job_is_ours(target, current) || !current->container_sha256 ||
	    strcmp(current->container_sha256, target->order.wanted->container_sha256) != 0 || current->known)
		return NULL;
	return current->image_id;
}

static const char *listed_next(const struct job *job, const struct job_target *target)
{
	char *name = container_next_name(target->order.name);
	const struct observed_container *listed = job_find_listed(job, name);

	free(name);
	return listed ? listed->id : NULL;
}

static const char *current_or_leaver(const struct job_target *target)
{
	const struct observed_container *leaver = job_to_be_asked(target);

	if (target->order.wanted)
		return target->order.name;
	return leaver ? leaver->id : NULL;
}

/* The ID, name or image that this step asks for; NULL: nothing. */
static const char *subject(const struct job *job, const struct job_target *target)
{
	switch (job->step) {
	case INSPECT_CURRENT:
		return current_or_leaver(target);
	case INSPECT_NEXT:
		return target->order.wanted ? listed_next(job, target) : NULL;
	case INSPECT_ADOPTED:
		return adopted_elsewhere(target);
	case INSPECT_IMAGE:
		return image_to_compare(target);
	default:
		return still_draining(target, job->step - INSPECT_DRAINING);
	}
}

enum step job_inspect(struct job *job, struct job_target *target)
{
	if (job->step == INSPECT_CURRENT) {
		observed_instance_clear(&target->result.observed);
		inspect_from_list(job, target);
	}
	for (; job->step < INSPECT_DRAINING + (int)target->memory.draining.n; job->step++) {
		const char *what = subject(job, target);

		if (!what)
			continue;
		if (job->step == INSPECT_IMAGE)
			docker_image_inspect(job->docker, what, on_image, job);
		else
			docker_inspect(job->docker, what, on_inspect, job);
		return STEP_WAIT;
	}
	remember_draining(target);
	return STEP_NEXT;
}
