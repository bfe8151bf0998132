/*
 * Observing: lists the containers of the host with our owner label. There may be
 * far too many (a script that went wrong, or malice), so nothing here takes
 * quadratic time, or handles all of them in one turn of the loop.
 */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/names.h"
#include "common/words.h"
#include "daemon/core/container_name.h"
#include "daemon/io/clock.h"
#include "daemon/run/job_internal.h"

#define LOOKED_UP_A_TURN 128

/* The former containers of one balancer. */
struct family {
	char *balancer;
	struct listed *first_old, *last_old;
	UT_hash_handle hh;
};

struct job_list {
	struct listed **all; /* in the engine's order */
	size_t n;
	struct listed *by_name, *by_id;
	bool complete; /* the engine has sent all of the list */
	struct family *families;
	size_t looked_at;     /* how many of `all` were asked whether they become found targets */
	struct words *names;  /* the names of the targets of job_start */
	char *lookalike;      /* the first container that has copies of our labels; NULL: there is none */
	size_t lookalikes;    /* how many there are */
	struct words *wishes; /* the IDs of the instances that are wanted here */
	struct words *specs;  /* the specs of these instances */
	/* Kept from look to look: */
	struct words *found;  /* the IDs of containers that are found targets */
	struct words *groups; /* how many found targets are in each group, see group_of() */
};

void job_list_free(struct job_list *list)
{
	struct family *family, *tmp;

	if (!list)
		return;
	HASH_CLEAR(hh, list->by_name);
	HASH_CLEAR(hh_id, list->by_id);
	HASH_ITER (hh, list->families, family, tmp) {
		HASH_DEL(list->families, family);
		free(family->balancer);
		free(family);
	}
	for (size_t i = 0; i < list->n; i++) {
		observed_container_free(list->all[i]->container);
		free(list->all[i]);
	}
	words_clear(&list->names);
	words_clear(&list->wishes);
	words_clear(&list->specs);
	words_clear(&list->found);
	words_clear(&list->groups);
	free(list->lookalike);
	free(list->all);
	free(list);
}

const struct observed_container *job_find_listed(const struct job *job, const char *name)
{
	struct listed *listed;

	HASH_FIND_STR(job->list->by_name, name, listed);
	return listed ? listed->container : NULL;
}

struct listed *job_find_listed_id(const struct job *job, const char *id)
{
	struct listed *listed;

	HASH_FIND(hh_id, job->list->by_id, id, strlen(id), listed);
	return listed;
}

bool job_may_be_listed(const struct job *job, const char *id)
{
	return !job->list || !job->list->complete || job_find_listed_id(job, id);
}

const struct listed *job_first_listed(const struct job *job)
{
	return job->list->n > 0 ? job->list->all[0] : NULL;
}

const struct listed *job_first_old(const struct job *job, const char *balancer)
{
	struct family *family;

	HASH_FIND_STR(job->list->families, balancer, family);
	return family ? family->first_old : NULL;
}

/* Takes balancer over. */
static void add_to_family(struct job_list *list, struct listed *listed, char *balancer)
{
	struct family *family;

	HASH_FIND_STR(list->families, balancer, family);
	if (family) {
		free(balancer);
	} else {
		family = xcalloc(1, sizeof(*family));
		family->balancer = balancer;
		HASH_ADD_KEYPTR(hh, list->families, family->balancer, strlen(family->balancer), family);
	}
	if (family->last_old)
		family->last_old->next_old = listed;
	else
		family->first_old = listed;
	family->last_old = listed;
}

void job_note_lookalike(struct job *job, const struct observed_container *container)
{
	struct job_list *list = job->list;

	if (list->lookalikes++ == 0)
		list->lookalike = xasprintf("%s (%.12s)", container->name, container->id);
}

char *job_counted(const char *first, size_t n)
{
	if (n > 1)
		return xasprintf("container %s and %zu more", first, n - 1);
	return n ? xasprintf("container %s", first) : NULL;
}

char *job_lookalikes(const struct job *job)
{
	return job->list ? job_counted(job->list->lookalike, job->list->lookalikes) : NULL;
}

static void on_entry(void *arg, struct json_object *entry)
{
	struct job *job = arg;
	struct job_list *list = job->list;
	struct observed_container *container = observed_from_list(entry);
	struct listed *listed;
	char *balancer;

	if (container && observed_is_lookalike(container)) {
		job_note_lookalike(job, container);
		observed_container_free(container);
		return;
	}
	/* Two containers cannot have the same name or ID: the second is ignored. */
	if (!container || job_find_listed(job, container->name) || job_find_listed_id(job, container->id)) {
		observed_container_free(container);
		return;
	}
	listed = xcalloc(1, sizeof(*listed));
	listed->container = container;
	list->all = xgrow(list->all, list->n, sizeof(*list->all));
	if (list->n > 0)
		list->all[list->n - 1]->next = listed;
	list->all[list->n++] = listed;
	HASH_ADD_KEYPTR(hh, list->by_name, container->name, strlen(container->name), listed);
	HASH_ADD_KEYPTR(hh_id, list->by_id, container->id, strlen(container->id), listed);
	if (container_role_of(container->name, &balancer) == CONTAINER_OLD)
		add_to_family(list, listed, balancer);
	else
		free(balancer);
}

/* The counter of the container's group. Found containers that wait for the same balancer or spec are a group,
 * and so are those that drain: JOB_MAX_FOUND is for each group, so that one group does not use up the places
 * of the others. */
static size_t *group_of(struct job *job, const struct observed_container *container, bool stray)
{
	struct job_list *list = job->list;
	const struct draining *draining = job->options.draining;
	bool drains =
		draining && container->status == CONTAINER_RUNNING && draining_has(draining, container->id);
	const char *spec = container->spec && words_have(list->specs, container->spec) ? container->spec : "";

	/* "/" is the group of draining containers: no balancer has this ID, and no spec this name. */
	return words_number(&list->groups, drains ? "/" : stray ? container->instance : spec);
}

/* Found containers: orphans and strays (core/found.h). */

static const struct removal *removal(struct job *job)
{
	if (!job->removal)
		job->removal = job->options.removal(job->options.arg);
	return job->removal;
}

static struct removal_container question(const struct observed_container *container)
{
	return (struct removal_container){
		.id = container->id,
		.name = container->name,
		.instance = container->instance,
		.spec = container->spec,
	};
}

bool job_is_wanted(struct job *job, const struct observed_container *container)
{
	const struct removal_container asked = question(container);

	return removal_is_wanted(removal(job), &asked);
}

/* Makes the container a found target: a stray, or else an orphan. */
static void add_found(struct job *job, const struct observed_container *container, bool stray)
{
	size_t *alike = group_of(job, container, stray);
	struct job_target *found;

	if (*alike == JOB_MAX_FOUND) {
		job->more_to_find = true;
		return;
	}
	words_add(&job->list->found, container->id);
	job->targets = xreallocarray(job->targets, job->n + 1, sizeof(*job->targets));
	found = &job->targets[job->n++];
	*found = (struct job_target){
		.order = {.name = xstrdup(container->name)},
		.found_id = xstrdup(container->id),
		.stray_of = stray ? xstrdup(container->instance) : NULL,
		.orphan_of = stray ? NULL : xstrdup(container->spec ? container->spec : ""),
	};
	found->order.drain_ms = job_found_drain_ms(job, found);
	memory_init(&found->memory);
	if (job->options.draining)
		draining_copy_of(&found->memory.draining, job->options.draining, container->id);
	job->found++;
	++*alike;
}

/* The container was made for one of our targets, but has another name. */
static bool is_stray(const struct job *job, const struct observed_container *container)
{
	return words_have(job->list->wishes, container->instance);
}

static bool is_orphan(struct job *job, const struct observed_container *container)
{
	const struct removal_container asked = question(container);

	return removal_of_container(removal(job), &asked) == REMOVAL_ALLOWED;
}

bool job_may_take(struct job *job, const struct job_target *target,
		  const struct observed_container *container)
{
	if (target->orphan_of)
		return strcmp(container->spec ? container->spec : "", target->orphan_of) == 0 &&
		       is_orphan(job, container);
	return !(target->stray_of &&
		 (!container->instance || strcmp(container->instance, target->stray_of) != 0)) &&
	       !job_is_wanted(job, container);
}

/* Looks for orphans and strays among the next containers of the list. */
static void find_some(struct job *job)
{
	struct job_list *list = job->list;

	for (int i = 0; i < LOOKED_UP_A_TURN && list->looked_at < list->n; i++) {
		const struct observed_container *container = list->all[list->looked_at++]->container;
		bool stray = is_stray(job, container);
		char *balancer;

		/* A container whose name belongs to a target is handled with that target. */
		container_role_of(container->name, &balancer);
		if (!words_have(list->names, balancer) && !words_have(list->found, container->id) &&
		    (stray || is_orphan(job, container)))
			add_found(job, container, stray);
		free(balancer);
	}
}

/* The container is to go: it is of a balancer that leaves, a stray, or an orphan. */
static bool is_to_leave(struct job *job, const struct observed_container *container, const char *balancer)
{
	for (size_t i = 0; i < job->n; i++)
		if (job->targets[i].order.wanted && strcmp(job->targets[i].order.name, balancer) == 0)
			return false;
	return !job_is_wanted(job, container);
}

/* Adds to the question what the container's HAProxy has answered in this look, if it was asked. */
static void add_answer(const struct job *job, const struct listed *listed, struct removal_container *asked)
{
	const struct observed_instance *observed;

	if (listed->target == 0)
		return;
	observed = &job->targets[listed->target - 1].result.observed;
	if (observed->stats != STATS_ANSWERED)
		return;
	asked->idle = observed->stopping || observed_serves_nobody(observed);
	asked->binds = observed->loaded.binds[0] ? observed->loaded.binds : NULL;
}

static bool has_its_place(struct job *job, const struct listed *listed, const struct wanted *wanted)
{
	struct removal_container asked = question(listed->container);

	add_answer(job, listed, &asked);
	return removal_is_relieved(removal(job), &asked, wanted->spec, wanted->description.binds);
}

char *job_relieved_by(struct job *job, const struct job_target *target)
{
	for (const struct listed *listed = job_first_listed(job); listed; listed = listed->next) {
		const struct observed_container *container = listed->container;
		enum container_role role;
		char *balancer;
		bool leaves;

		if (container->status != CONTAINER_RUNNING ||
		    !has_its_place(job, listed, target->order.wanted))
			continue;
		role = container_role_of(container->name, &balancer);
		leaves = (role == CONTAINER_BALANCER || role == CONTAINER_NEXT) &&
			 is_to_leave(job, container, balancer);
		free(balancer);
		if (leaves)
			return xstrdup(container->name);
	}
	return NULL;
}

static void learn_targets(struct job *job)
{
	for (size_t i = 0; i < job->n - job->found; i++) {
		/* If a balancer's removal is held, a container that has its name but is not its own need not
		 * stay with it, and so may become a found target. */
		if (!job->targets[i].order.removal_held)
			words_add(&job->list->names, job->targets[i].order.name);
		if (!job->targets[i].order.wanted)
			continue;
		words_add(&job->list->wishes, job->targets[i].order.wanted->instance.id);
		words_add(&job->list->specs, job->targets[i].order.wanted->spec);
	}
	job->more_to_find = false;
	job->list->complete = true;
}

static void on_list(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	(void)reply;
	if (err)
		job->err = *err;
	else
		learn_targets(job);
	job->step = 1;
	job_run(job);
}

/* A new list, with what is kept from look to look; frees the list before. */
static struct job_list *list_after(struct job_list *before)
{
	struct job_list *list = xcalloc(1, sizeof(*list));

	if (before) {
		list->found = before->found;
		list->groups = before->groups;
		before->found = before->groups = NULL;
	}
	job_list_free(before);
	return list;
}

enum step job_list(struct job *job)
{
	char *label;

	if (job->step == 0) {
		job->list = list_after(job->list);
		job->look_ms = clock_ms();
		job->waited_ms = job->waited_for_leavers_ms = 0;
		job->waited_for_silent = false;
		if (job->looks++ == 0)
			job->moment_ms = job->look_ms;
		label = xasprintf(LABEL_OWNER "=%s", job->options.owner);
		docker_list(job->docker, label, on_entry, on_list, job);
		free(label);
		return STEP_WAIT;
	}
	find_some(job);
	if (job->list->looked_at == job->list->n)
		return STEP_NEXT;
	job_sleep(job, 0);
	return STEP_WAIT;
}
