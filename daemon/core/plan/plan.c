/* The decisions of a plan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/container_name.h"
#include "daemon/core/plan/difference.h"
#include "daemon/core/plan/plan_internal.h"
#include "daemon/core/spec/spec_state.h"

/*
 * Adds an action in a throw-away container. image_id: the image that the balancer runs, if its
 * container stays: the image's name may mean another by now. NULL: the wanted image.
 */
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

/*
 * Writes the config, after the HAProxy that will load it has accepted it. stays: the container
 * whose HAProxy that is; NULL: a new one.
 */
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

static bool is_ours(const struct wanted *wanted, const struct observed_container *container)
{
	return (wanted->adopt_id && spec_state_means(wanted->adopt_id, container->id)) ||
	       observed_is_owned(container, wanted->owner);
}

/*
 * Why the file on the host is not as wanted; NULL: it is. Unknown counts as wrong: writing the file
 * again harms nobody.
 */
static const char *text_drift(const struct wanted *wanted, const struct observed_instance *observed)
{
	if (!observed->config_known)
		return "config is not known";
	if (!observed->config_exists)
		return "config file is missing";
	if (strcmp(observed->config_sha256, wanted->config_sha256) != 0)
		return "config file differs";
	if (observed->config_mode_wrong)
		return "config file has other permissions";
	return NULL;
}

/*
 * The same, including the files beside the config. The running HAProxy has read those: they matter
 * at its next start.
 */
static const char *config_drift(const struct wanted *wanted, const struct observed_instance *observed)
{
	const char *text = text_drift(wanted, observed);

	return text ? text : observed->lost_file;
}

static const char socket_missing[] = "stats socket is missing";

/* Why the container must be replaced; NULL: a start or a reload makes it as wanted. The caller frees. */
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
	/* The container does not see a new directory, or a new socket in it: it needs a successor. */
	if ((observed->stats == STATS_DIR_MISSING ||
	     (observed->stats == STATS_NO_SOCKET && observed->successor_due)) &&
	    container == observed_answerer(observed))
		return xstrdup(socket_missing);
	if (observed->image_drift && container == observed->current)
		return xstrdup(observed->image_drift);
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
	/* Always write: the directory of the stats socket must exist before the container. */
	add_write(plan, wanted, observed, NULL, reason);
	add_start(plan, wanted->instance.name, reason);
	plan_add(plan, ACTION_AWAIT, wanted->instance.name, NULL, NULL, reason);
}

/* What follows once the successor runs. */
static void plan_takeover(const struct wanted *wanted, const struct observed_container *former,
			  const char *next, struct plan *plan, const char *reason)
{
	plan_add(plan, ACTION_AWAIT, next, NULL, NULL, reason);
	if (former)
		plan_drain_or_remove(plan, wanted, former, next, reason);
	else
		plan_add(plan, ACTION_RENAME, next, NULL, wanted->instance.name, reason);
}

/* former: the current container in the state that earlier actions leave it in. */
static void plan_replace_running(const struct wanted *wanted, const struct observed_instance *observed,
				 const struct observed_container *former, struct plan *plan,
				 const char *reason)
{
	char *next;

	/* The write, and the pull with it, comes before anything is taken away. */
	add_write(plan, wanted, observed, NULL, reason);
	if (!plan_can_share_ports(former)) {
		plan_add_removal(plan, former, reason);
		add_start(plan, wanted->instance.name, reason);
		plan_add(plan, ACTION_AWAIT, wanted->instance.name, NULL, NULL, reason);
		return;
	}
	next = container_next_name(wanted->instance.name);
	add_start(plan, next, reason);
	plan_takeover(wanted, former, next, plan, reason);
	free(next);
}

/*
 * Whether the container was already replaced for this reason without success: again it would cost
 * connections in vain.
 */
static bool is_in_vain(const struct wanted *wanted, const struct observed_container *current,
		       const struct memory *memory, const struct plan *plan, const char *reason)
{
	const char *before = replaced_reason(&memory->replaced, current->id, wanted->version);

	/* Successors for a silent HAProxy have waits of their own. */
	return !plan->for_silence && text_equal(before, reason) && current->status != CONTAINER_DEAD;
}

static void set_in_vain(const struct observed_instance *observed, struct plan *plan, const char *reason)
{
	/*
	 * This says more than a transient trouble does, but a HAProxy that has just started may yet
	 * turn out well.
	 */
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
	struct observed_container former = *observed->current;

	if (former.status == CONTAINER_RUNNING && is_in_vain(wanted, &former, memory, plan, reason)) {
		set_in_vain(observed, plan, reason);
		return;
	}
	/* Connections of a paused container may still be alive: they get the usual time to end. */
	if (former.status == CONTAINER_PAUSED) {
		plan_add_for(plan, ACTION_UNPAUSE, &former, reason);
		former.status = CONTAINER_RUNNING;
	}
	plan_replace_running(wanted, observed, &former, plan, reason);
}

/*
 * A reload is not enough if the container may see another inode than the host's
 * path leads to: a mounted file that is replaced; a directory that was removed
 * together with the file, or moved away. And a reload is too risky for new
 * binds: if one of them fails, HAProxy makes the old process give up its own
 * for two seconds while it retries.
 */
static bool needs_successor(const struct wanted *wanted, const struct observed_instance *observed,
			    const struct memory *memory, bool reload)
{
	/* A short silence is no reason: connections would have to move. */
	if (observed->stats == STATS_FAILED)
		return observed->successor_due;
	if (observed->config_known && !observed->config_exists)
		return true;
	if (wanted->mounts_file)
		return text_drift(wanted, observed) || reload;
	return reload && (refused_is(&memory->refused, wanted->version) ||
			  strcmp(observed->loaded.binds, wanted->description.binds) != 0);
}

/*
 * The engine only reports errors for the mounted file, and without the image no other container can
 * look at it: that is no reason for a successor.
 */
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

/* Plans how the running HAProxy gets to load and show the wanted config. */
static void plan_running(const struct wanted *wanted, const struct observed_instance *observed,
			 const struct memory *memory, struct plan *plan)
{
	const struct observed_container *current = observed->current;
	const char *file = config_drift(wanted, observed);
	const char *reason = file;
	bool reload = false;

	/* The next step depends on the config that HAProxy has loaded, which it is about to tell. */
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
	} else if (observed->run_dir_mode_wrong) {
		/* A HAProxy that does not answer may have been unable to make its socket there. */
		reload = observed->stats != STATS_ANSWERED;
		reason = reason ? reason : dir_mode;
	} else if (plan_must_look_up(observed)) {
		reload = true;
		reason = reason ? reason
				: "a server's name has had no address for long: it is looked up again";
	}
	if (is_out_of_sight(wanted, observed)) {
		plan_add(plan, ACTION_PULL, wanted->instance.image, NULL, NULL,
			 "image is not on the host, and the config can be seen only through it");
		return;
	}
	if (needs_successor(wanted, observed, memory, reload)) {
		plan->for_silence = !file && observed->stats == STATS_FAILED;
		plan_replace(wanted, observed, memory, plan,
			     reason ? reason : "stats socket does not answer");
		return;
	}
	if (file || observed->run_dir_mode_wrong)
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

	/* Unpaused, it would keep the inode that it has mounted. */
	if (text_drift(wanted, observed) &&
	    (wanted->mounts_file || (observed->config_known && !observed->config_exists))) {
		plan_replace(wanted, observed, memory, plan, drift);
		return;
	}
	if (!drift && observed->run_dir_mode_wrong)
		drift = dir_mode;
	if (drift)
		add_write(plan, wanted, observed, observed->current, drift);
	plan_add_for(plan, ACTION_UNPAUSE, observed->current, paused);
	if (drift)
		plan_add_for(plan, ACTION_RELOAD, observed->current, drift);
	plan_add_for(plan, ACTION_AWAIT, observed->current, paused);
}

/*
 * HAProxy ends as soon as it is started. If its file is right, the directory of
 * its socket may be missing, which the engine then makes with root as its
 * owner. If that was repaired and did not help, nothing of ours does.
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
	/* The restart policy would wait longer each time. */
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
		/*
		 * Always write: while the container is down, HAProxy cannot tell whether the
		 * socket's directory is right.
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

/* Whether only the successor takes connections: the former container is gone, or down. */
static bool successor_serves_alone(const struct observed_instance *observed)
{
	const struct observed_container *current = observed->current;

	return !current || (observed->next->status == CONTAINER_RUNNING && !observed_is_up(current));
}

/* The container exists, without a successor, and may be changed. */
static void plan_present(const struct wanted *wanted, const struct observed_instance *observed,
			 const struct memory *memory, struct plan *plan)
{
	const char *refusal = refused_why(&memory->refused, wanted->version);
	char *drift;

	if (refusal && observed->current->status == CONTAINER_RUNNING) {
		/* The former version still serves, and the file holds it again. */
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

/*
 * The successor is not as wanted, but it alone serves: it gets the balancer's name, and serves
 * until it is replaced.
 */
static void plan_keep_successor(const struct wanted *wanted, const struct observed_instance *observed,
				const struct memory *memory, struct plan *plan)
{
	struct observed_instance rest = *observed;
	struct observed_container renamed = *observed->next;
	/* A replacement in vain was one of the former container. */
	struct memory then = *memory;

	if (observed->current)
		plan_drain_or_remove(plan, wanted, observed->current, NULL, interrupted);
	plan_add(plan, ACTION_RENAME, renamed.name, renamed.id, wanted->instance.name, interrupted);
	renamed.name = wanted->instance.name;
	rest.current = &renamed;
	rest.next = NULL;
	rest.image_drift = NULL; /* it was the former container's */
	then.replaced = (struct replaced){.id = NULL};
	plan_present(wanted, &rest, &then, plan);
}

/* Finishes a handover that was interrupted if the successor is as wanted, else undoes it. */
static void plan_interrupted(const struct wanted *wanted, const struct observed_instance *observed,
			     const struct memory *memory, struct plan *plan)
{
	const struct observed_container *next = observed->next;
	struct observed_instance rest = *observed;
	char *drift = container_drift(wanted, observed, next);
	bool is_wanted =
		!drift && !text_drift(wanted, observed) && (!observed->current || observed_is_up(next));

	free(drift);
	if (is_wanted) {
		if (!observed_is_up(next))
			plan_add_for(plan, ACTION_START, next, interrupted);
		plan_takeover(wanted, observed->current, next->name, plan, interrupted);
	} else if (successor_serves_alone(observed)) {
		plan_keep_successor(wanted, observed, memory, plan);
	} else {
		plan_drain_or_remove(plan, wanted, next, NULL, interrupted);
		rest.next = NULL;
		plan_present(wanted, &rest, memory, plan);
	}
}

/* The balancer's own container, which is ours if it exists. */
static void plan_balancer(const struct wanted *wanted, const struct observed_instance *observed,
			  const struct memory *memory, struct plan *plan)
{
	if (plan_file_conflict(wanted, observed, &plan->trouble))
		return;
	if (observed->next)
		plan_interrupted(wanted, observed, memory, plan);
	else if (!observed->current)
		plan_create(wanted, observed, plan, "container is missing");
	else
		plan_present(wanted, observed, memory, plan);
}

void plan_instance(const struct wanted *wanted, const struct observed_instance *observed,
		   const struct memory *memory, struct plan *plan)
{
	const char *name = wanted->instance.name;

	memset(plan, 0, sizeof(*plan));
	if (observed->current && !is_ours(wanted, observed->current)) {
		plan_container_conflict(wanted, observed->current, &plan->trouble);
		return;
	}
	if (observed->helper)
		plan_add_for(plan, ACTION_REMOVE, observed->helper, "left over from an interrupted run");
	plan_drain_former(name, observed, false, plan);
	plan_balancer(wanted, observed, memory, plan);
	/* With trouble nobody may serve in their place. */
	if (plan->trouble.kind == ERR_NONE)
		plan_drain_former(name, observed, true, plan);
}
