/* The balancers of a host: what is wanted of them, and what runs have found. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/schedule.h"
#include "daemon/host/host_internal.h"
#include "daemon/instance/server_news.h"
#include "daemon/io/clock.h"

struct instance *host_find(struct host *host, const char *name)
{
	for (size_t i = 0; i < host->instances_n; i++)
		if (strcmp(instance_identity(host->instances[i])->name, name) == 0)
			return host->instances[i];
	return NULL;
}

struct instance *host_instance_of(struct host *host, const struct job_target *target)
{
	return job_target_is_found(target) ? NULL : host_find(host, target->order.name);
}

static struct instance *add(struct host *host, struct instance *instance)
{
	host->instances = xreallocarray(host->instances, host->instances_n + 1, sizeof(struct instance *));
	return host->instances[host->instances_n++] = instance;
}

struct instance *host_add(struct host *host, struct store_instance *row)
{
	return add(host, instance_new(row));
}

static void host_drop_instance(struct host *host, struct instance *instance)
{
	size_t i = 0;

	while (host->instances[i] != instance)
		i++;
	host->instances[i] = host->instances[--host->instances_n];
	instance_erase(instance, host->context->store);
	instance_free(instance);
}

struct instance *host_wish(struct host *host, const char *name, struct wanted *wanted, bool hold,
			   struct instance_change *change)
{
	struct instance *instance = host_find(host, name);

	if (!instance)
		instance = add(host,
			       instance_new_at(&host->settings, wanted->spec, name, wanted->instance.image));
	*change = hold ? instance_hold(instance, wanted) : instance_want(instance, wanted);
	/* Stored before any container is made, so that none can be made and forgotten; and so that the
	 * version in force is known after a restart. */
	if (change->differs)
		instance_store(instance, host->context->store);
	return instance;
}

/* The spec had a mistyped address, say, or a mistyped path of the engine's socket. */
void host_forget(struct host *host, struct instance *instance)
{
	instance_tell(instance, host->context->events, LOG_LEVEL_INFO, "removed",
		      "its engine was never reached: there is nothing to remove");
	host_drop_instance(host, instance);
}

bool host_unwant(struct host *host, struct instance *instance)
{
	if (!instance_want(instance, NULL).todo)
		return false;
	instance_store(instance, host->context->store);
	return true;
}

bool host_drop(struct host *host, const char *spec, const char *name, const char *container_id)
{
	struct instance *instance = host_find(host, name);

	if (!instance)
		instance = add(host, instance_new_at(&host->settings, spec, name, NULL));
	return instance_drop(instance, container_id);
}

void host_configure(struct host *host, const struct spec_host *settings)
{
	if (spec_host_equal(&host->settings, settings))
		return;
	spec_host_clear(&host->settings);
	spec_host_copy(&host->settings, settings);
	for (size_t i = 0; i < host->instances_n; i++)
		instance_move(host->instances[i], settings, host->context->store);
	/* The session was opened with the former settings. */
	host->reconnect = true;
	host_kick(host);
}

/* What runs find. */

/* How long a HAProxy that has just started or reloaded takes to check all servers for the first time. */
#define FIRST_CHECKS_MS 3000

/* Of a container that no instance stands for: told as news of the host. */
static void tell_orphan(const struct host *host, const struct job_target *target, enum job_news news,
			const char *type, const char *text)
{
	if (news != JOB_PROGRESS)
		events_add_host(host->context->events, LOG_LEVEL_WARNING, host->settings.label, type,
				"%s: %s, which no spec has: %s", host->settings.url, target->order.name,
				text);
}

static void tell_other(const struct host *host, struct instance *instance, enum job_news news,
		       const char *type, const char *text)
{
	if (news != JOB_DONE)
		instance_progress(instance, text);
	if (news != JOB_PROGRESS)
		instance_tell(instance, host->context->events, LOG_LEVEL_INFO, type, text);
}

void host_news(void *arg, const struct job_target *target, enum job_news news, const char *type,
	       const char *text)
{
	struct host *host = arg;
	struct instance *instance = target ? host_instance_of(host, target) : NULL;

	if (host->observing || !target)
		return;
	if (!instance)
		tell_orphan(host, target, news, type, text);
	else if (news == JOB_DRIFT)
		instance_tell_drift(instance, host->context->events, type, text);
	else
		tell_other(host, instance, news, type, text);
}

static void drop_removed(struct host *host, struct instance *instance, const struct job_target *target)
{
	/* A container that `state` names is looked for at each start: if it is gone, nothing is told. */
	if (target->result.changed || !target->order.drop_id)
		instance_tell(instance, host->context->events, LOG_LEVEL_INFO, "removed",
			      target->result.changed ? "nothing of it is left on the host but its files"
						     : "there is nothing of ours on the host");
	host_drop_instance(host, instance);
}

enum removal_verdict host_may_go(const struct host *host, const struct instance *instance,
				 const struct removal **removal)
{
	const struct claim leaving = instance_claim(instance, false);

	if (!*removal)
		*removal = host->context->removal(host->context->arg, NULL);
	return removal_of_balancer(*removal, &leaving);
}

/* True when an instance whose removal was held may go now. Without such an instance another run at once would
 * be of no use: the others may take minutes to drain. */
static bool may_any_go(const struct host *host)
{
	const struct removal *removal = NULL;
	bool may = false;

	for (size_t i = 0; i < host->instances_n && !may; i++)
		may = instance_had_to_stay(host->instances[i]) &&
		      host_may_go(host, host->instances[i], &removal) == REMOVAL_ALLOWED;
	return may;
}

static void tell_found(struct host *host, const struct instance *instance, enum first_look look)
{
	static const char *const words[] = {
		[LOOK_NONE] = NULL,
		[LOOK_KEEP] = NULL,
		[LOOK_ADOPT] = "its host has what the spec wants already, which the store did not know",
		[LOOK_LEAVE] = "its host has another version than the store knows, and keeps it until its "
			       "turn to change",
	};

	if (words[look])
		instance_tell(instance, host->context->events, LOG_LEVEL_WARNING, "found", words[look]);
}

/* Takes in the first look. Before the verdict, which is about the version in force after it. */
static void note_found(struct host *host, struct instance *instance, const struct job_target *target)
{
	const struct instance_revision *revision = instance_revision(instance);
	enum first_look look = target->result.look;

	if (!wanted_same_work(revision->in_force, target->order.wanted))
		return;
	/* The look was for a version that its spec has given up, or replaced, during the run: the next run
	 * asks again. */
	if (look == LOOK_ADOPT &&
	    (!revision->next || !wanted_same_version(revision->next, target->order.next))) {
		host->again = true;
		return;
	}
	if (!instance_found(instance, look, &target->result.observed))
		return;
	tell_found(host, instance, look);
	instance_store(instance, host->context->store);
	host->context->found(host->context->arg);
}

/* The delay, but not beyond the time when a silent HAProxy is to get its successor. */
static int64_t before_a_successor(const struct host *host, int64_t delay_ms)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < host->instances_n; i++) {
		int64_t left = instance_silent_until_ms(host->instances[i]) - now;

		if (left > 0 && left < delay_ms)
			delay_ms = left;
	}
	return delay_ms;
}

static void tell_not_removed(const struct host *host, const struct job_target *target)
{
	const struct result *result = &target->result;
	bool tried = result->changed || (result->plan.n > 0 && !found_stays(target->fate));

	if (result->err.kind != ERR_NONE)
		events_add_host(host->context->events, LOG_LEVEL_WARNING, host->settings.label,
				tried ? "removing-failed" : "stays", "%s: %s, which no spec has%s: %s",
				host->settings.url, target->order.name,
				tried ? "" : ", could not be looked at", result->err.message);
}

/*
 * All has gone well, or somebody has to do something. While a removal is held and
 * all is well here, the host is looked at again soon, since the balancers that the
 * removal waits for may be on other hosts; and more seldom each time, since they
 * may be away for weeks.
 */
static int64_t until_next_run_ms(struct host *host, bool soon, bool changed, bool failing)
{
	int64_t resync_ms = schedule_resync_ms(host->context->resync_ms, host_random_u32());

	if (changed || failing || !host->removal_held)
		host->held_runs = 0;
	if (host->removal_held && !failing)
		host->held_runs++;
	if (soon || host->held_runs > 0)
		return schedule_doubled_ms(FIRST_CHECKS_MS, soon ? 1 : host->held_runs, resync_ms);
	return resync_ms;
}

int64_t host_settle(struct host *host, struct job_target *targets, size_t n)
{
	const struct host_context *context = host->context;
	unsigned attempts = 0;
	bool soon = false, changed = false, failing = false;

	for (size_t i = 0; i < n; i++) {
		struct job_target *target = &targets[i];
		struct instance *instance = host_instance_of(host, target);
		const struct instance_revision *revision;
		const struct observed_instance *observed;

		changed |= target->result.changed;
		if (!instance) {
			tell_not_removed(host, target);
			soon |= target->result.changed && target->result.observed.old_n > 0;
			continue;
		}
		revision = instance_revision(instance);
		if (target->result.removed && !revision->in_force && !instance_is_left_alone(instance)) {
			drop_removed(host, instance, target);
			continue;
		}
		note_found(host, instance, target);
		if (!wanted_same_work(revision->in_force, target->order.wanted))
			host->again = true; /* another version was put in force during the run */
		else if (target->order.wanted && target->result.observed.stats == STATS_ANSWERED)
			server_news_look(context->server_news, instance, &target->result.observed);
		instance_settle(instance, target, &target->result.err, context->store, context->events);
		observed = instance_observed(instance);
		if (!revision->in_force && observed->old_n > 0 && !instance_had_to_stay(instance))
			instance_progress(instance,
					  "drains: ends with its last connection, or at the drain timeout");
		soon |= target->result.changed &&
			(observed_servers_in(observed, SERVER_UNKNOWN) > 0 || observed->old_n > 0);
		if (target->order.removal_held)
			continue; /* no removal was tried, so there is nothing to try again */
		if (target->result.err.kind == ERR_TRANSIENT &&
		    instance_verdict(instance)->attempts > attempts)
			attempts = (unsigned)instance_verdict(instance)->attempts;
		failing |= target->result.err.kind != ERR_NONE;
	}
	/* Held removals: run again at once if one may go now. */
	host->again |= host->removal_held && may_any_go(host);
	if (attempts > 0)
		return before_a_successor(
			host, schedule_backoff_ms(attempts, RETRY_FIRST_MS * 2, host_random_u32()));
	return until_next_run_ms(host, soon, changed, failing);
}

void host_keep(struct host *host, struct job_target *targets, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct instance *instance = host_instance_of(host, &targets[i]);

		if (instance)
			instance_keep(instance, &targets[i], host->context->store);
	}
}

void host_settle_all(struct host *host, const struct err *err)
{
	/* From the end: host_forget() moves the last instance into the place that becomes free. */
	for (size_t i = host->instances_n; i-- > 0;) {
		struct instance *instance = host->instances[i];

		if (instance_is_forgettable(instance))
			host_forget(host, instance);
		else
			instance_settle(instance, NULL, err, host->context->store, host->context->events);
	}
}
