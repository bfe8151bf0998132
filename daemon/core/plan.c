#include "daemon/core/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/names.h"
#include "daemon/core/container_name.h"
#include "daemon/core/spec_state.h"

static const struct {
	const char *name;
	const char *before, *after; /* around the name; an argument follows */
} kinds[ACTION_KINDS] = {
	[ACTION_PULL] = {"pull", "pull image ", ""},
	[ACTION_CHECK_CONFIG] = {"check-config", "check the config with HAProxy of ", ""},
	[ACTION_REHEARSE] = {"rehearse", "see that HAProxy of ", " finds a server up"},
	[ACTION_WRITE_CONFIG] = {"write-config", "write ", ""},
	[ACTION_CREATE] = {"create", "create container ", ""},
	[ACTION_START] = {"start", "start container ", ""},
	[ACTION_UNPAUSE] = {"unpause", "unpause container ", ""},
	[ACTION_RELOAD] = {"reload", "reload HAProxy in container ", ""},
	[ACTION_AWAIT] = {"await", "wait until HAProxy in container ", " has loaded the config"},
	[ACTION_DRAIN] = {"drain", "drain container ", ""},
	[ACTION_STOP] = {"stop", "stop container ", " gracefully"},
	[ACTION_REMOVE] = {"remove", "remove container ", ""},
	[ACTION_RENAME] = {"rename", "rename container ", " to "},
};

const char *action_name(enum action_kind kind)
{
	return kinds[kind].name;
}

char *action_text(const struct action *action)
{
	return xasprintf("%s%s%s%s", kinds[action->kind].before, action->name, kinds[action->kind].after,
			 action->argument ? action->argument : "");
}

/* The only way into the list. container may be NULL: then the name serves. */
static void add(struct plan *plan, enum action_kind kind, const char *name, const char *container,
		const char *argument, const char *reason)
{
	plan->actions = xreallocarray(plan->actions, plan->n + 1, sizeof(*plan->actions));
	plan->actions[plan->n++] = (struct action){
		.kind = kind,
		.name = xstrdup(name),
		.container = xstrdup(container ? container : name),
		.argument = xstrdup(argument),
		.reason = xstrdup(reason),
	};
}

static void add_for(struct plan *plan, enum action_kind kind, const struct observed_container *container,
		    const char *reason)
{
	add(plan, kind, container->name, container->id, NULL, reason);
}

/*
 * The running HAProxy has servers that are up, and none of them is wanted any
 * more: a slip of the pen in their addresses would take the balancer down.
 */
static bool leaves_all_good_servers(const struct wanted *wanted, const struct observed_instance *observed)
{
	bool any_up = false, common = false;

	for (size_t i = 0; i < observed->servers_n; i++) {
		if (observed->servers[i].state != SERVER_UP)
			continue;
		any_up = true;
		for (size_t j = 0; j < wanted->instance.servers_n; j++) {
			char *name = haproxy_server_name(&wanted->instance.servers[j]);

			common |= strcmp(name, observed->servers[i].name) == 0;
			free(name);
		}
	}
	return any_up && !common;
}

/*
 * Every write goes through a helper made from the wanted image, so that has to
 * be there first; and nothing is written that its HAProxy has not accepted.
 */
static void add_write(struct plan *plan, const struct wanted *wanted,
		      const struct observed_instance *observed, const char *reason)
{
	char *helper = container_helper_name(wanted->instance.name);

	if (observed->image_known && !observed->image_present)
		add(plan, ACTION_PULL, wanted->instance.image, NULL, NULL, "image is not on the host");
	if (!observed->config_accepted)
		add(plan, ACTION_CHECK_CONFIG, wanted->instance.image, helper, NULL,
		    "this host's HAProxy has not checked it yet");
	if (leaves_all_good_servers(wanted, observed))
		add(plan, ACTION_REHEARSE, wanted->instance.image, helper, NULL,
		    "no server that is up now is wanted any more");
	add(plan, ACTION_WRITE_CONFIG, wanted->instance.config_path, helper, NULL, reason);
	free(helper);
}

void plan_clear(struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		free(plan->actions[i].container);
		free(plan->actions[i].name);
		free(plan->actions[i].argument);
		free(plan->actions[i].reason);
	}
	free(plan->actions);
	memset(plan, 0, sizeof(*plan));
}

static bool is_up(const struct observed_container *container)
{
	return container->status == CONTAINER_RUNNING || container->status == CONTAINER_PAUSED ||
	       container->status == CONTAINER_RESTARTING;
}

static bool is_ours_by_label(const struct wanted *wanted, const struct observed_container *container)
{
	return container->owner && strcmp(container->owner, wanted->owner) == 0;
}

static bool is_ours(const struct wanted *wanted, const struct observed_container *container)
{
	return (wanted->adopt_id && spec_state_means(wanted->adopt_id, container->id)) ||
	       is_ours_by_label(wanted, container);
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

/* Why the container cannot become what is wanted; NULL when it can, by starting or reloading. The caller
 * frees. */
static char *container_drift(const struct wanted *wanted, const struct observed_instance *observed,
			     const struct observed_container *container)
{
	if (!is_ours_by_label(wanted, container))
		return xstrdup("container is handed over by the spec's state");
	if (container->status == CONTAINER_DEAD)
		return xstrdup("container is dead");
	if (!container->container_sha256 ||
	    strcmp(container->container_sha256, wanted->container_sha256) != 0) {
		char *difference = observed_difference(container, wanted->create);

		return difference ? difference : xstrdup("container was made from other settings");
	}
	/* A new directory, or a new socket in it, is not what the container has mounted: it needs a
	 * successor. */
	if ((observed->stats == STATS_DIR_MISSING || observed->stats == STATS_NO_SOCKET) && is_up(container))
		return xstrdup("stats socket is missing");
	if (observed->foreign && container == observed->current)
		return xstrdup(observed->foreign);
	return observed_difference(container, wanted->create);
}

static void plan_create(const struct wanted *wanted, const struct observed_instance *observed,
			struct plan *plan, const char *reason)
{
	/* Always: the directory of the stats socket must be there before the container. */
	add_write(plan, wanted, observed, reason);
	add(plan, ACTION_CREATE, wanted->instance.name, NULL, NULL, reason);
	add(plan, ACTION_START, wanted->instance.name, NULL, NULL, reason);
	add(plan, ACTION_AWAIT, wanted->instance.name, NULL, NULL, reason);
}

static void add_removal(struct plan *plan, const struct observed_container *container, const char *reason)
{
	if (container->status == CONTAINER_PAUSED)
		add_for(plan, ACTION_UNPAUSE, container, reason);
	if (is_up(container))
		add_for(plan, ACTION_STOP, container, reason);
	add_for(plan, ACTION_REMOVE, container, reason);
}

/*
 * Out of the way, and gone when its last connection is: the engine does not
 * restart what it was asked to signal, nor does a reboot bring it back. It is
 * signalled before it is renamed, so whatever has such a name is leaving.
 */
static void add_retirement(struct plan *plan, const struct wanted *wanted,
			   const struct observed_container *container, const char *reason)
{
	char *name;

	/* What is no HAProxy may take the signal for something else, and go on listening. */
	if (container->status != CONTAINER_RUNNING ||
	    (is_ours_by_label(wanted, container) && !observed_runs_haproxy(container))) {
		add_removal(plan, container, reason);
		return;
	}
	name = container_old_name(wanted->instance.name, container->id);
	add_for(plan, ACTION_DRAIN, container, reason);
	add(plan, ACTION_RENAME, container->name, container->id, name, reason);
	free(name);
}

/* From the moment when the successor runs. */
static void plan_takeover(const struct wanted *wanted, const struct observed_container *old, const char *next,
			  struct plan *plan, const char *reason)
{
	add(plan, ACTION_AWAIT, next, NULL, NULL, reason);
	if (old)
		add_retirement(plan, wanted, old, reason);
	add(plan, ACTION_RENAME, next, NULL, wanted->instance.name, reason);
}

/* Those that were succeeded, when they have left, or should have. */
static void plan_old(const struct observed_instance *observed, struct plan *plan)
{
	for (size_t i = 0; i < observed->old_n; i++) {
		const struct observed_container *old = observed->old[i];

		if (old->status == CONTAINER_REMOVING || (old->status == CONTAINER_RUNNING && !old->overdue))
			continue;
		add_removal(plan, old,
			    is_up(old) ? "was succeeded, and has not left within the drain timeout"
				       : "was succeeded, and has left");
	}
}

/*
 * Two HAProxy of one user can hold the same port on the host's network, one of
 * another user or network cannot join (SO_REUSEPORT, socket(7)).
 */
static bool can_share_ports(const struct observed_container *old)
{
	return old->status == CONTAINER_RUNNING && old->user && strcmp(old->user, WANTED_USER) == 0 &&
	       old->network_mode && strcmp(old->network_mode, "host") == 0;
}

static void plan_replace(const struct wanted *wanted, const struct observed_instance *observed,
			 struct plan *plan, const char *reason)
{
	const struct observed_container *old = observed->current;
	char *next;

	if (!can_share_ports(old)) {
		add_write(plan, wanted, observed,
			  reason); /* and with it the pull, before anything is taken away */
		add_removal(plan, old, reason);
		add(plan, ACTION_CREATE, wanted->instance.name, NULL, NULL, reason);
		add(plan, ACTION_START, wanted->instance.name, NULL, NULL, reason);
		add(plan, ACTION_AWAIT, wanted->instance.name, NULL, NULL, reason);
		return;
	}
	next = container_next_name(wanted->instance.name);
	add_write(plan, wanted, observed, reason);
	add(plan, ACTION_CREATE, next, NULL, NULL, reason);
	add(plan, ACTION_START, next, NULL, NULL, reason);
	plan_takeover(wanted, old, next, plan, reason);
	free(next);
}

/*
 * A reload is not enough where the container may be looking at another inode
 * than the host's path leads to: a mounted file that is replaced, a directory
 * that was removed with the file in it, or moved away. And it is too much for
 * new binds: when one of them cannot be had, HAProxy makes the old process give
 * up its own for two seconds while it tries again.
 */
static bool needs_successor(const struct wanted *wanted, const struct observed_instance *observed,
			    bool reload)
{
	if (observed->stats == STATS_FAILED)
		return !observed->refused;
	if (observed->config_known && !observed->config_exists)
		return true;
	if (wanted->mounts_file)
		return text_drift(wanted, observed) || reload;
	return reload &&
	       (observed->refused || strcmp(observed->loaded.binds, wanted->description.binds) != 0);
}

/* What the running HAProxy is asked to do so that it holds the wanted config and shows it. */
static void plan_running(const struct wanted *wanted, const struct observed_instance *observed,
			 struct plan *plan)
{
	const struct observed_container *current = observed->current;
	const char *file = config_drift(wanted, observed);
	const char *reason = file;
	bool reload = false;

	if (observed->stats == STATS_ANSWERED &&
	    strcmp(observed->loaded.generation, wanted->description.generation) != 0) {
		reload = true;
		reason = reason ? reason : "HAProxy runs another config than the file's";
	} else if (observed->stats == STATS_DIR_MODE) {
		reload = true;
		reason = reason ? reason : "directory of the stats socket has other permissions";
	}
	if (needs_successor(wanted, observed, reload)) {
		plan_replace(wanted, observed, plan, reason ? reason : "stats socket does not answer");
		return;
	}
	if (file || observed->stats == STATS_DIR_MODE)
		add_write(plan, wanted, observed, reason);
	if (reload) {
		add_for(plan, ACTION_RELOAD, current, reason);
		add_for(plan, ACTION_AWAIT, current, reason);
	}
	if (plan->n > 0)
		return;
	if (observed->stats == STATS_EARLY)
		err_set(&plan->trouble, ERR_TRANSIENT, "HAProxy has just started and does not answer yet");
	else if (observed->stats != STATS_ANSWERED)
		err_set(&plan->trouble, ERR_TRANSIENT, "the running config cannot be verified: %s",
			observed->stats_error ? observed->stats_error : "the stats socket was not asked");
}

static void plan_current(const struct wanted *wanted, const struct observed_instance *observed,
			 struct plan *plan)
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
		add_write(plan, wanted, observed, file ? file : reason);
		add_for(plan, ACTION_START, current, reason);
		add_for(plan, ACTION_AWAIT, current, reason);
		break;
	case CONTAINER_PAUSED:
		if (file)
			add_write(plan, wanted, observed, file);
		add_for(plan, ACTION_UNPAUSE, current, "container is paused");
		if (file)
			add_for(plan, ACTION_RELOAD, current, file);
		add_for(plan, ACTION_AWAIT, current, "container is paused");
		break;
	case CONTAINER_RUNNING:
		plan_running(wanted, observed, plan);
		break;
	case CONTAINER_RESTARTING:
		if (!file) {
			err_set(&plan->trouble, ERR_PERMANENT,
				"HAProxy ends as soon as it is started (exit code %lld)",
				(long long)current->exit_code);
			break;
		}
		/* Not left to the restart policy, which waits longer each time. */
		add_write(plan, wanted, observed, file);
		add_for(plan, ACTION_STOP, current, file);
		add_for(plan, ACTION_START, current, file);
		add_for(plan, ACTION_AWAIT, current, file);
		break;
	default:
		err_set(&plan->trouble, ERR_TRANSIENT, "the engine says that the container is %s",
			container_status_name(current->status));
	}
}

/* The successor is the only one that takes connections: the one before it is gone, or was told to leave. */
static bool next_serves_alone(const struct observed_instance *observed)
{
	return !observed->current || (observed->next->status == CONTAINER_RUNNING &&
				      is_up(observed->current) && observed->stats != STATS_ANSWERED);
}

/* A handover that was interrupted: finished when the successor is what is wanted, undone when it is not. */
static void plan_interrupted(const struct wanted *wanted, const struct observed_instance *observed,
			     struct plan *plan)
{
	static const char reason[] = "a replacement was interrupted";
	const struct observed_container *next = observed->next;
	char *drift = container_drift(wanted, observed, next);

	if (drift || text_drift(wanted, observed) || (observed->current && !is_up(next))) {
		if (next_serves_alone(observed)) {
			/* It serves on, under its name, until it is replaced. */
			if (observed->current)
				add_retirement(plan, wanted, observed->current, reason);
			add(plan, ACTION_RENAME, next->name, next->id, wanted->instance.name, reason);
		} else {
			add_retirement(plan, wanted, next, reason);
		}
	} else {
		if (!is_up(next))
			add_for(plan, ACTION_START, next, reason);
		plan_takeover(wanted, observed->current, next->name, plan, reason);
	}
	free(drift);
}

/* Words to copy: what has to stand in the spec so that the container is taken over. */
static char *state_line(const struct wanted *wanted, const struct observed_container *container)
{
	const struct spec_instance *instance = &wanted->instance;
	const struct ssh_settings *ssh = instance->host.ssh;
	char *host = ssh ? xasprintf("{ssh: {address: \"%s\", port: %u}}", ssh->address, ssh->port)
			 : xstrdup("{direct: {}}");
	char *line = xasprintf("\"%zu\": {container: {config: {name: \"%s\", image: \"%s\"}, status: {id: "
			       "\"%s\"}}, host: %s}",
			       instance->index, container->name, instance->image, container->id, host);

	free(host);
	return line;
}

static void plan_conflict(const struct wanted *wanted, const struct observed_container *container,
			  struct plan *plan)
{
	char *line;

	if (container->owner) {
		err_set(&plan->trouble, ERR_CONFLICT,
			"container %s (%.12s) on the host is another daemon's (" LABEL_OWNER
			"=%s): have it removed there, or give this instance another name",
			container->name, container->id, container->owner);
		return;
	}
	line = state_line(wanted, container);
	err_set(&plan->trouble, ERR_CONFLICT,
		"container %s (%.12s) on the host is not ours (it has no " LABEL_OWNER
		" label): remove or rename it, give this instance another name, or have it taken over by "
		"writing, under the spec's `state:`, %s",
		container->name, container->id, line);
	free(line);
}

void plan_instance(const struct wanted *wanted, const struct observed_instance *observed, struct plan *plan)
{
	const struct observed_container *current = observed->current;
	char *drift;

	memset(plan, 0, sizeof(*plan));
	if (current && !is_ours(wanted, current)) {
		plan_conflict(wanted, current, plan);
		return;
	}
	if (observed->helper)
		add_for(plan, ACTION_REMOVE, observed->helper, "left over from an interrupted run");
	plan_old(observed, plan);
	if (observed->next) {
		plan_interrupted(wanted, observed, plan);
		return;
	}
	if (!current) {
		plan_create(wanted, observed, plan, "container is missing");
		return;
	}
	if (observed->refusal && current->status == CONTAINER_RUNNING) {
		/* The former version serves on, and is what the file holds again. */
		err_set(&plan->trouble, ERR_PERMANENT, "%s", observed->refusal);
		return;
	}
	drift = container_drift(wanted, observed, current);
	if (drift)
		plan_replace(wanted, observed, plan, drift);
	else
		plan_current(wanted, observed, plan);
	free(drift);
}

void plan_removal(const struct observed_instance *observed, struct plan *plan)
{
	const struct observed_container *const all[] = {observed->helper, observed->next, observed->current};

	memset(plan, 0, sizeof(*plan));
	for (size_t i = 0; i < observed->old_n; i++)
		add_removal(plan, observed->old[i], "no spec wants it any more");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i])
			add_removal(plan, all[i], "no spec wants it any more");
}
