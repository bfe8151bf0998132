/* What is to be done: the decisions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/container_name.h"
#include "daemon/core/plan/difference.h"
#include "daemon/core/plan/plan_internal.h"
#include "daemon/core/spec/spec_state.h"

/* In a throw-away container of the image that the balancer is to run. image_id: the one that it runs, where
 * it stays; the name may mean another by now. */
static void add_trial(struct plan *plan, enum action_kind kind, const struct wanted *wanted,
		      const char *image_id, const char *reason)
{
	char *helper = container_helper_name(wanted->instance.name);

	plan_append(plan, (struct action){.kind = kind,
					  .name = wanted->instance.image,
					  .container = helper,
					  .image_id = (char *)image_id,
					  .reason = (char *)reason});
	free(helper);
}

/* Nothing is written that the HAProxy which is to load it has not accepted. stays: the container that will
 * load it; NULL: one that is made for it. */
static void add_write(struct plan *plan, const struct wanted *wanted,
		      const struct observed_instance *observed, const struct observed_container *stays,
		      const char *reason)
{
	const char *image_id = stays && !observed->image_lost ? stays->image_id : NULL;
	char *helper = container_helper_name(wanted->instance.name);
	char *rehearsal = plan_rehearsal_reason(wanted, observed);

	if (!image_id && observed->image_known && !observed->image_present)
		plan_add(plan, ACTION_PULL, wanted->instance.image, NULL, NULL, "image is not on the host");
	if (!observed->config_accepted)
		add_trial(plan, ACTION_CHECK_CONFIG, wanted, image_id,
			  "this host's HAProxy has not checked it yet");
	if (rehearsal)
		add_trial(plan, ACTION_REHEARSE, wanted, image_id, rehearsal);
	plan_add(plan, ACTION_WRITE_CONFIG, wanted->instance.config_path, helper, NULL, reason);
	free(rehearsal);
	free(helper);
}

static bool is_up(const struct observed_container *container)
{
	return container->status == CONTAINER_RUNNING || container->status == CONTAINER_PAUSED ||
	       container->status == CONTAINER_RESTARTING;
}

static bool is_ours(const struct wanted *wanted, const struct observed_container *container)
{
	return (wanted->adopt_id && spec_state_means(wanted->adopt_id, container->id)) ||
	       observed_is_owned(container, wanted->owner);
}

/* Why the file on the host is not the wanted one; NULL when it is. Not known counts as wrong: writing it
 * again harms nobody. */
static const char *text_drift(const struct wanted *wanted, const struct observed_instance *observed)
{
	if (!observed->config_known)
		return "config is not known";
	if (!observed->config_exists)
		return "config file is missing";
	if (strcmp(observed->config_sha256, wanted->config_sha256) != 0)
		return "config file differs";
	if (observed->config_mode)
		return "config file has other permissions";
	return NULL;
}

/* The same, with the files beside it. HAProxy has read those: they are for its next start. */
static const char *config_drift(const struct wanted *wanted, const struct observed_instance *observed)
{
	const char *text = text_drift(wanted, observed);

	return text ? text : observed->lost_file;
}

static const char socket_missing[] = "stats socket is missing";

/* Why the container cannot become what is wanted; NULL when it can, by starting or reloading. The caller
 * frees. */
static char *container_drift(const struct wanted *wanted, const struct observed_instance *observed,
			     const struct observed_container *container)
{
	if (!observed_is_owned(container, wanted->owner))
		return xstrdup("container is handed over by the spec's state");
	if (container->status == CONTAINER_DEAD)
		return xstrdup("container is dead");
	if (!container->container_sha256 ||
	    strcmp(container->container_sha256, wanted->container_sha256) != 0) {
		char *difference = difference_from_request(container, wanted->create);

		return difference ? difference : xstrdup("container was made from other settings");
	}
	/* A new directory, or a new socket in it, is not what the container has mounted: it needs a
	 * successor. */
	if ((observed->stats == STATS_DIR_MISSING ||
	     (observed->stats == STATS_NO_SOCKET && observed->successor_due)) &&
	    container == observed_answerer(observed))
		return xstrdup(socket_missing);
	if (observed->foreign && container == observed->current)
		return xstrdup(observed->foreign);
	return difference_from_request(container, wanted->create);
}

static void add_start(struct plan *plan, const char *name, const char *reason)
{
	plan_add(plan, ACTION_CREATE, name, NULL, NULL, reason);
	plan_add(plan, ACTION_START, name, NULL, NULL, reason);
}

static void plan_create(const struct wanted *wanted, const struct observed_instance *observed,
			struct plan *plan, const char *reason)
{
	/* Always: the directory of the stats socket must be there before the container. */
	add_write(plan, wanted, observed, NULL, reason);
	add_start(plan, wanted->instance.name, reason);
	plan_add(plan, ACTION_AWAIT, wanted->instance.name, NULL, NULL, reason);
}

static void add_removal(struct plan *plan, const struct observed_container *container, const char *reason)
{
	if (container->status == CONTAINER_PAUSED)
		plan_add_for(plan, ACTION_UNPAUSE, container, reason);
	if (is_up(container))
		plan_add_for(plan, ACTION_STOP, container, reason);
	plan_add_for(plan, ACTION_REMOVE, container, reason);
}

/*
 * Out of the way, and gone when its last connection is: the engine does not
 * restart what it was asked to signal, nor does a reboot bring it back. It is
 * renamed before it is signalled, so what has the balancer's name has not been
 * told to leave; whether what has such a name has been is not known after a
 * crash, and it is told so once more (plan_old). heir: takes the name over at
 * once; NULL: nobody does.
 */
static void add_leaving(struct plan *plan, const char *balancer, const struct observed_container *container,
			const char *heir, const char *reason)
{
	char *name = container_old_name(balancer, container->id);

	if (strcmp(container->name, name) != 0)
		plan_add(plan, ACTION_RENAME, container->name, container->id, name, reason);
	if (heir)
		plan_add(plan, ACTION_RENAME, heir, NULL, balancer, reason);
	plan_add(plan, ACTION_DRAIN, name, container->id, NULL, reason);
	plan_add_later(plan, name, container->id);
	free(name);
}

static void add_retirement(struct plan *plan, const struct wanted *wanted,
			   const struct observed_container *container, const char *heir, const char *reason)
{
	const char *name = wanted->instance.name;

	/* What is no HAProxy may take the signal for something else, and go on listening. */
	if (container->status == CONTAINER_RUNNING &&
	    (!observed_is_owned(container, wanted->owner) || observed_runs_haproxy(container))) {
		add_leaving(plan, name, container, heir, reason);
		return;
	}
	add_removal(plan, container, reason);
	if (heir)
		plan_add(plan, ACTION_RENAME, heir, NULL, name, reason);
}

/* From the moment when the successor runs. */
static void plan_takeover(const struct wanted *wanted, const struct observed_container *old, const char *next,
			  struct plan *plan, const char *reason)
{
	plan_add(plan, ACTION_AWAIT, next, NULL, NULL, reason);
	if (old)
		add_retirement(plan, wanted, old, next, reason);
	else
		plan_add(plan, ACTION_RENAME, next, NULL, wanted->instance.name, reason);
}

/* Those that were succeeded, when they have left, or should have. */
static void plan_old(const char *balancer, const struct observed_instance *observed, struct plan *plan)
{
	for (size_t i = 0; i < observed->old_n; i++) {
		const struct observed_container *old = observed->old[i];

		if (old->status == CONTAINER_RUNNING && old->undrained)
			add_leaving(plan, balancer, old, NULL,
				    "its successor has taken over; it may not have been told to drain");
		else if (old->status == CONTAINER_RUNNING && old->returned)
			add_removal(plan, old, "it had drained, and the engine has started it again");
		else if (old->status == CONTAINER_RUNNING && !old->overdue)
			plan_add_later(plan, old->name, old->id);
		else if (old->status != CONTAINER_REMOVING)
			add_removal(plan, old,
				    is_up(old) ? "its successor has taken over; it has not drained within "
						 "the drain timeout"
					       : "its successor has taken over; it has drained");
	}
}

/*
 * Two HAProxy of one user can hold the same port on the host's network, one of
 * another user or network cannot join (SO_REUSEPORT, socket(7)).
 */
static bool can_share_ports(const struct observed_container *old)
{
	return old->status == CONTAINER_RUNNING && text_equal(old->user, WANTED_USER) &&
	       text_equal(old->network_mode, "host");
}

/* old: the current one, as it is when it comes to this. */
static void plan_replace_running(const struct wanted *wanted, const struct observed_instance *observed,
				 const struct observed_container *old, struct plan *plan, const char *reason)
{
	char *next;

	/* First, and with it the pull, before anything is taken away. */
	add_write(plan, wanted, observed, NULL, reason);
	if (!can_share_ports(old)) {
		add_removal(plan, old, reason);
		add_start(plan, wanted->instance.name, reason);
		plan_add(plan, ACTION_AWAIT, wanted->instance.name, NULL, NULL, reason);
		return;
	}
	next = container_next_name(wanted->instance.name);
	add_start(plan, next, reason);
	plan_takeover(wanted, old, next, plan, reason);
	free(next);
}

/* It was done already, and the same is still the matter: it costs connections, and would be in vain again. */
static bool is_in_vain(const struct wanted *wanted, const struct observed_container *current,
		       const struct memory *memory, const struct plan *plan, const char *reason)
{
	const char *before = replaced_reason(&memory->replaced, current->id, wanted->version);

	/* Tries against silence become rare by themselves. */
	return !plan->for_silence && text_equal(before, reason) && current->status != CONTAINER_DEAD;
}

static void set_in_vain(const struct observed_instance *observed, struct plan *plan, const char *reason)
{
	/* It says more than what only waits; but what has just started may yet show that all is well. */
	if (plan->trouble.kind == ERR_NONE ||
	    (plan->trouble.kind == ERR_TRANSIENT && observed->stats != STATS_EARLY))
		err_set(&plan->trouble, ERR_PERMANENT,
			"replacing the container has not helped: %s; it serves on, and is not replaced for "
			"this again until its spec changes, or somebody removes it",
			reason);
}

static void plan_replace(const struct wanted *wanted, const struct observed_instance *observed,
			 const struct memory *memory, struct plan *plan, const char *reason)
{
	struct observed_container old = *observed->current;

	if (old.status == CONTAINER_RUNNING && is_in_vain(wanted, &old, memory, plan, reason)) {
		set_in_vain(observed, plan, reason);
		return;
	}
	/* Its connections may still be alive: they get the time to end that those of any other have. */
	if (old.status == CONTAINER_PAUSED) {
		plan_add_for(plan, ACTION_UNPAUSE, &old, reason);
		old.status = CONTAINER_RUNNING;
	}
	plan_replace_running(wanted, observed, &old, plan, reason);
}

/*
 * A reload is not enough where the container may be looking at another inode
 * than the host's path leads to: a mounted file that is replaced, a directory
 * that was removed with the file in it, or moved away. And it is too much for
 * new binds: when one of them cannot be had, HAProxy makes the old process give
 * up its own for two seconds while it tries again.
 */
static bool needs_successor(const struct wanted *wanted, const struct observed_instance *observed,
			    const struct memory *memory, bool reload)
{
	/* A moment of silence is no reason: its connections would have to leave. */
	if (observed->stats == STATS_FAILED)
		return observed->successor_due;
	if (observed->config_known && !observed->config_exists)
		return true;
	if (wanted->mounts_file)
		return text_drift(wanted, observed) || reload;
	return reload && (refused_is(&memory->refused, wanted->version) ||
			  strcmp(observed->loaded.binds, wanted->description.binds) != 0);
}

/* The engine has only errors to say of the mounted file, and there is no image for another container that
 * could tell: that is no reason for a successor. */
static bool is_out_of_sight(const struct wanted *wanted, const struct observed_instance *observed)
{
	return wanted->mounts_file && observed->config_in_doubt && !observed->config_known &&
	       observed->image_known && !observed->image_present;
}

#define LOOK_UP_AGAIN_S 86400

bool plan_must_look_up(const struct observed_instance *observed)
{
	if (observed->stats != STATS_ANSWERED || observed->uptime_s < LOOK_UP_AGAIN_S)
		return false;
	for (size_t i = 0; i < observed->servers_n; i++)
		if (observed->servers[i].unresolved)
			return true;
	return false;
}

static const char dir_mode[] = "directory of the stats socket has other permissions";

/* What the running HAProxy is asked to do so that it holds the wanted config and shows it. */
static void plan_running(const struct wanted *wanted, const struct observed_instance *observed,
			 const struct memory *memory, struct plan *plan)
{
	const struct observed_container *current = observed->current;
	const char *file = config_drift(wanted, observed);
	const char *reason = file;
	bool reload = false;

	/* What it has loaded decides what is to be done; it is about to say so. */
	if (observed->stats == STATS_EARLY) {
		err_set(&plan->trouble, ERR_TRANSIENT, "HAProxy does not answer yet: %s",
			observed->hurried
				? "it was given a moment only, because others on its host do not answer"
				: "it may have just started");
		return;
	}
	if (observed->stats == STATS_ANSWERED &&
	    strcmp(observed->loaded.generation, wanted->description.generation) != 0) {
		reload = true;
		reason = reason ? reason : "HAProxy runs another config than the file's";
	} else if (observed->run_dir_mode) {
		/* One that does not answer may not have been able to make its socket there. */
		reload = observed->stats != STATS_ANSWERED;
		reason = reason ? reason : dir_mode;
	} else if (plan_must_look_up(observed)) {
		reload = true;
		reason = reason ? reason
				: "a server's name has had no address for long: it is looked up again";
	}
	if (is_out_of_sight(wanted, observed)) {
		plan_add(plan, ACTION_PULL, wanted->instance.image, NULL, NULL,
			 "image is not on the host, and only through it the config can be seen");
		return;
	}
	if (needs_successor(wanted, observed, memory, reload)) {
		plan->for_silence = !file && observed->stats == STATS_FAILED;
		plan_replace(wanted, observed, memory, plan,
			     reason ? reason : "stats socket does not answer");
		return;
	}
	if (file || observed->run_dir_mode)
		add_write(plan, wanted, observed, current, reason);
	if (reload) {
		plan_add_for(plan, ACTION_RELOAD, current, reason);
		plan_add_for(plan, ACTION_AWAIT, current, reason);
	}
	if (!file && !reload && observed->stats != STATS_ANSWERED)
		err_set(&plan->trouble, ERR_TRANSIENT, "%s",
			observed->silence
				? observed->silence
				: "the running config cannot be verified: the stats socket was not asked");
}

static void plan_paused(const struct wanted *wanted, const struct observed_instance *observed,
			const struct memory *memory, struct plan *plan)
{
	static const char paused[] = "container is paused";
	const char *drift = config_drift(wanted, observed);

	/* It would go on with the inode that it has mounted. */
	if (text_drift(wanted, observed) &&
	    (wanted->mounts_file || (observed->config_known && !observed->config_exists))) {
		plan_replace(wanted, observed, memory, plan, drift);
		return;
	}
	if (!drift && observed->run_dir_mode)
		drift = dir_mode;
	if (drift)
		add_write(plan, wanted, observed, observed->current, drift);
	plan_add_for(plan, ACTION_UNPAUSE, observed->current, paused);
	if (drift)
		plan_add_for(plan, ACTION_RELOAD, observed->current, drift);
	plan_add_for(plan, ACTION_AWAIT, observed->current, paused);
}

/*
 * HAProxy ends as soon as it is started. With the right file it may lack the
 * directory of its socket, which the engine makes anew as root's; with all in
 * place, and after that was tried, nothing of ours helps.
 */
static void plan_restarting(const struct wanted *wanted, const struct observed_instance *observed,
			    const struct memory *memory, struct plan *plan)
{
	const struct observed_container *current = observed->current;
	const char *refusal = refused_why(&memory->refused, wanted->version);
	const char *reason = config_drift(wanted, observed);

	if (refusal) {
		err_set(&plan->trouble, ERR_PERMANENT, "%s", refusal);
		return;
	}
	if (!reason && refused_is(&memory->refused, wanted->version)) {
		err_set(&plan->trouble, ERR_PERMANENT,
			"HAProxy ends as soon as it is started (exit code %lld)",
			(long long)current->exit_code);
		return;
	}
	reason = reason ? reason : "HAProxy ends as soon as it is started";
	add_write(plan, wanted, observed, current, reason);
	/* Not left to the restart policy, which waits longer each time. */
	plan_add_for(plan, ACTION_STOP, current, reason);
	plan_add_for(plan, ACTION_START, current, reason);
	plan_add_for(plan, ACTION_AWAIT, current, reason);
}

static void plan_current(const struct wanted *wanted, const struct observed_instance *observed,
			 const struct memory *memory, struct plan *plan)
{
	const struct observed_container *current = observed->current;
	const char *file = config_drift(wanted, observed);
	const char *reason = file;

	switch (current->status) {
	case CONTAINER_CREATED:
	case CONTAINER_EXITED:
		reason = current->status == CONTAINER_CREATED ? "container was not started"
							      : "container is stopped";
		/* Always written: with the container down its directory cannot be asked for through HAProxy.
		 */
		add_write(plan, wanted, observed, current, file ? file : reason);
		plan_add_for(plan, ACTION_START, current, reason);
		plan_add_for(plan, ACTION_AWAIT, current, reason);
		break;
	case CONTAINER_PAUSED:
		plan_paused(wanted, observed, memory, plan);
		break;
	case CONTAINER_RUNNING:
		plan_running(wanted, observed, memory, plan);
		break;
	case CONTAINER_RESTARTING:
		plan_restarting(wanted, observed, memory, plan);
		break;
	default:
		err_set(&plan->trouble, ERR_TRANSIENT, "the engine says that the container is %s",
			container_status_name(current->status));
	}
}

/* The successor is the only one that takes connections: the one before it is gone, or down. */
static bool next_serves_alone(const struct observed_instance *observed)
{
	const struct observed_container *current = observed->current;

	return !current || (observed->next->status == CONTAINER_RUNNING && !is_up(current));
}

/* With no successor about, the container is there and may be changed. */
static void plan_present(const struct wanted *wanted, const struct observed_instance *observed,
			 const struct memory *memory, struct plan *plan)
{
	const char *refusal = refused_why(&memory->refused, wanted->version);
	char *drift;

	if (refusal && observed->current->status == CONTAINER_RUNNING) {
		/* The former version serves on, and is what the file holds again. */
		err_set(&plan->trouble, ERR_PERMANENT, "%s", refusal);
		return;
	}
	drift = container_drift(wanted, observed, observed->current);
	plan->for_silence = drift && observed->stats == STATS_NO_SOCKET && strcmp(drift, socket_missing) == 0;
	if (drift && !is_in_vain(wanted, observed->current, memory, plan, drift))
		plan_replace(wanted, observed, memory, plan, drift);
	else
		plan_current(wanted, observed, memory, plan);
	if (drift && is_in_vain(wanted, observed->current, memory, plan, drift))
		set_in_vain(observed, plan, drift);
	free(drift);
}

static const char interrupted[] = "a replacement was interrupted";

/* The successor is not what is wanted, but it serves alone: it serves on, under the balancer's name, until it
 * is replaced. */
static void plan_keep_next(const struct wanted *wanted, const struct observed_instance *observed,
			   const struct memory *memory, struct plan *plan)
{
	struct observed_instance rest = *observed;
	struct observed_container renamed = *observed->next;
	/* What was in vain was so for the one before it. */
	struct memory then = *memory;

	if (observed->current)
		add_retirement(plan, wanted, observed->current, NULL, interrupted);
	plan_add(plan, ACTION_RENAME, renamed.name, renamed.id, wanted->instance.name, interrupted);
	renamed.name = wanted->instance.name;
	rest.current = &renamed;
	rest.next = NULL;
	rest.foreign = NULL; /* of the one before it */
	then.replaced = (struct replaced){.id = NULL};
	plan_present(wanted, &rest, &then, plan);
}

/* A handover that was interrupted: finished when the successor is what is wanted, undone when it is not. */
static void plan_interrupted(const struct wanted *wanted, const struct observed_instance *observed,
			     const struct memory *memory, struct plan *plan)
{
	const struct observed_container *next = observed->next;
	struct observed_instance rest = *observed;
	char *drift = container_drift(wanted, observed, next);
	bool is_wanted = !drift && !text_drift(wanted, observed) && (!observed->current || is_up(next));

	free(drift);
	if (is_wanted) {
		if (!is_up(next))
			plan_add_for(plan, ACTION_START, next, interrupted);
		plan_takeover(wanted, observed->current, next->name, plan, interrupted);
	} else if (next_serves_alone(observed)) {
		plan_keep_next(wanted, observed, memory, plan);
	} else {
		add_retirement(plan, wanted, next, NULL, interrupted);
		rest.next = NULL;
		plan_present(wanted, &rest, memory, plan);
	}
}

void plan_instance(const struct wanted *wanted, const struct observed_instance *observed,
		   const struct memory *memory, struct plan *plan)
{
	const struct observed_container *current = observed->current;

	memset(plan, 0, sizeof(*plan));
	if (current && !is_ours(wanted, current)) {
		plan_container_conflict(wanted, current, &plan->trouble);
		return;
	}
	if (observed->helper)
		plan_add_for(plan, ACTION_REMOVE, observed->helper, "left over from an interrupted run");
	plan_old(wanted->instance.name, observed, plan);
	if (plan_file_conflict(wanted, observed, &plan->trouble))
		return;
	if (observed->next) {
		plan_interrupted(wanted, observed, memory, plan);
		return;
	}
	if (!current) {
		plan_create(wanted, observed, plan, "container is missing");
		return;
	}
	plan_present(wanted, observed, memory, plan);
}

/* As in add_retirement; a list does not tell what it runs. Of one that is paused connections may still be
 * alive. */
static bool can_leave(const struct observed_container *container)
{
	return (container->status == CONTAINER_RUNNING || container->status == CONTAINER_PAUSED) &&
	       (!container->inspect || observed_runs_haproxy(container));
}

void plan_removal(const char *name, const struct observed_instance *observed, bool leave, struct plan *plan)
{
	static const char reason[] = "no spec wants it any more";
	const struct observed_container *const all[] = {observed->helper, observed->next, observed->current};

	memset(plan, 0, sizeof(*plan));
	if (leave)
		plan_old(name, observed, plan);
	for (size_t i = 0; i < observed->old_n && !leave; i++)
		add_removal(plan, observed->old[i], reason);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!all[i])
			continue;
		if (!leave || all[i] == observed->helper || !can_leave(all[i])) {
			add_removal(plan, all[i], reason);
			continue;
		}
		if (all[i]->status == CONTAINER_PAUSED)
			plan_add_for(plan, ACTION_UNPAUSE, all[i], reason);
		add_leaving(plan, name, all[i], NULL, reason);
	}
}
