/* The balancers of a host: what is wanted of them, and what its runs have found. */
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
		if (strcmp(host->instances[i]->record.name, name) == 0)
			return host->instances[i];
	return NULL;
}

struct instance *host_instance_of(struct host *host, const struct job_target *target)
{
	return job_target_is_found(target) ? NULL : host_find(host, target->order.name);
}

struct instance *host_add(struct host *host, struct store_instance *record)
{
	host->instances = xreallocarray(host->instances, host->instances_n + 1, sizeof(struct instance *));
	return host->instances[host->instances_n++] = instance_new(record);
}

static void host_drop_instance(struct host *host, struct instance *instance)
{
	size_t i = 0;

	while (host->instances[i] != instance)
		i++;
	host->instances[i] = host->instances[--host->instances_n];
	store_delete_instance(host->context->store, instance->record.host_url, instance->record.engine,
			      instance->record.name);
	instance_free(instance);
}

static struct store_instance record_of(const struct host *host, const char *spec, const char *name,
				       const char *image)
{
	return (struct store_instance){
		.host_url = xstrdup(host->settings.url),
		.engine = xstrdup(host->settings.engine),
		.name = xstrdup(name),
		.spec = xstrdup(spec),
		.host_json = spec_host_to_json(&host->settings),
		.image = xstrdup(image),
		.config_size = -1,
	};
}

struct instance *host_wish(struct host *host, const char *name, struct wanted *wanted, bool hold,
			   struct instance_change *change)
{
	struct store *store = host->context->store;
	struct instance *instance = host_find(host, name);
	bool is_new = !instance, moved;
	const struct wanted *before;
	struct store_instance record;

	if (is_new) {
		record = record_of(host, wanted->spec, name, wanted->instance.image);
		instance = host_add(host, &record);
	}
	before = instance->wanted;
	moved = strcmp(instance->record.spec, wanted->spec) != 0;
	if (moved) {
		free(instance->record.spec);
		instance->record.spec = xstrdup(wanted->spec);
		instance->edited_later = false;
	}
	*change = hold ? instance_hold(instance, wanted) : instance_want(instance, wanted);
	/* Written down before anything is made, so that nothing can be made and forgotten; and what is in
	 * force, so that it is known after a restart. */
	if (is_new || moved || change->edited || instance->wanted != before)
		instance_store(instance, store);
	return instance;
}

/* A mistyped address, say, or a mistyped path of the engine's socket. */
void host_forget(struct host *host, struct instance *instance)
{
	events_add(host->context->events, LOG_LEVEL_INFO, instance->spec, instance->id, "removed",
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
	struct store_instance record;

	/* Once what comes next for it is nothing, it is the container's name only. */
	if (instance && (instance->wanted || instance->next))
		instance_want(instance, NULL);
	if (!instance) {
		record = record_of(host, spec, name, NULL);
		instance = host_add(host, &record);
	}
	return instance_drop(instance, container_id);
}

void host_configure(struct host *host, const struct spec_host *settings)
{
	struct store *store = host->context->store;

	if (spec_host_equal(&host->settings, settings))
		return;
	spec_host_clear(&host->settings);
	spec_host_copy(&host->settings, settings);
	for (size_t i = 0; i < host->instances_n; i++) {
		struct store_instance *record = &host->instances[i]->record;

		/* The URL is part of what it is stored under, and the user is part of the URL. */
		store_delete_instance(store, record->host_url, record->engine, record->name);
		secret_free(record->host_json);
		free(record->host_url);
		record->host_url = xstrdup(settings->url);
		record->host_json = spec_host_to_json(settings);
		instance_store(host->instances[i], store);
	}
	/* The session was opened with what does not count any more. */
	host->reconnect = true;
	host_kick(host);
}

/* What the runs find. */

/* A HAProxy that has just started or reloaded has not checked all servers yet; its first checks take about
 * this long. */
#define FIRST_CHECKS_MS 3000

/* Nobody's any more: told as the host's. */
static void tell_orphan(const struct host *host, const struct job_target *target, enum job_news news,
			const char *type, const char *text)
{
	if (news != JOB_PROGRESS)
		events_add_host(host->context->events, LOG_LEVEL_WARNING, host->settings.label, type,
				"%s: %s, which no spec has: %s", host->settings.url, target->order.name,
				text);
}

static void tell_drift(const struct host *host, struct instance *instance, const char *type, const char *text)
{
	enum log_level level = instance->phase == PHASE_CONVERGED ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;

	/* What does not get mended is met again in each run. */
	if (!instance->told_drift || strcmp(instance->told_drift, text) != 0)
		events_add(host->context->events, level, instance->spec, instance->id, type, "%s", text);
	free(instance->told_drift);
	instance->told_drift = xstrdup(text);
	instance_progress(instance, text);
}

static void tell_other(const struct host *host, struct instance *instance, enum job_news news,
		       const char *type, const char *text)
{
	if (news != JOB_DONE)
		instance_progress(instance, text);
	if (news != JOB_PROGRESS)
		events_add(host->context->events, LOG_LEVEL_INFO, instance->spec, instance->id, type, "%s",
			   text);
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
		tell_drift(host, instance, type, text);
	else
		tell_other(host, instance, news, type, text);
}

static void drop_removed(struct host *host, struct instance *instance, const struct job_target *target)
{
	/* As long as the spec has its `state` it is looked for at each start: not worth a word each time. */
	if (target->result.changed || !instance->drop_id)
		events_add(host->context->events, LOG_LEVEL_INFO, instance->spec, instance->id, "removed",
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

/* Of those that had to stay: others that leave may take minutes, and are not worth a run after the other. */
static bool may_any_go(const struct host *host)
{
	const struct removal *removal = NULL;
	bool may = false;

	for (size_t i = 0; i < host->instances_n && !may; i++)
		may = host->instances[i]->stays &&
		      host_may_go(host, host->instances[i], &removal) == REMOVAL_ALLOWED;
	return may;
}

static void tell_found(struct host *host, const struct instance *instance, enum first_look look)
{
	static const char *const words[] = {
		[LOOK_NONE] = NULL,
		[LOOK_KEEP] = NULL,
		[LOOK_ADOPT] = "its host has what the spec wants already, which the store did not know",
		[LOOK_LEAVE] = "its host has another version than the store knows, and keeps it until it is "
			       "its turn to change",
	};

	if (words[look])
		events_add(host->context->events, LOG_LEVEL_WARNING, instance->spec, instance->id, "found",
			   "%s", words[look]);
}

/* Before the verdict: that is on what is in force then. */
static void note_found(struct host *host, struct instance *instance, const struct job_target *target)
{
	enum first_look look = target->result.look;

	if (instance->wanted != target->order.wanted)
		return;
	/* The look was for a version that its spec has given up, or replaced, during the run: the next run
	 * asks again. */
	if (look == LOOK_ADOPT && (!instance->next || instance->next != target->order.next)) {
		host->again = true;
		return;
	}
	if (!instance_found(instance, look, &target->result.observed))
		return;
	tell_found(host, instance, look);
	instance_store(instance, host->context->store);
	host->context->found(host->context->arg);
}

/* Not later than when one of those that are silent is to get its successor. */
static int64_t before_a_successor(const struct host *host, int64_t delay_ms)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < host->instances_n; i++) {
		const struct silence *silence = &host->instances[i]->memory.silence;
		int64_t left = silence->due.ms - now;

		if (silence->run && left > 0 && left < delay_ms)
			delay_ms = left;
	}
	return delay_ms;
}

int64_t host_settle(struct host *host, struct job_target *targets, size_t n)
{
	const struct host_context *context = host->context;
	unsigned attempts = 0;
	bool soon = false, failing = false;
	int64_t resync_ms;

	for (size_t i = 0; i < n; i++) {
		struct job_target *target = &targets[i];
		struct instance *instance = host_instance_of(host, target);

		if (!instance) {
			if (target->result.err.kind != ERR_NONE)
				events_add_host(context->events, LOG_LEVEL_WARNING, host->settings.label,
						"removing-failed", "%s: %s, which no spec has: %s",
						host->settings.url, target->order.name,
						target->result.err.message);
			continue;
		}
		if (target->result.removed && !instance->wanted && !instance->left_alone) {
			drop_removed(host, instance, target);
			continue;
		}
		note_found(host, instance, target);
		if (instance->wanted != target->order.wanted)
			host->again = true; /* the world has moved on meanwhile */
		else if (target->order.wanted && target->result.observed.stats == STATS_ANSWERED)
			server_news_look(context->server_news, instance, &target->result.observed);
		instance_settle(instance, target, &target->result.err, context->store, context->events);
		if (!instance->wanted && instance->observed.old_n > 0)
			instance_progress(instance,
					  "drains: goes with its last connection, or at the drain timeout");
		soon |= target->result.changed &&
			(observed_servers_in(&instance->observed, SERVER_UNKNOWN) > 0 ||
			 instance->observed.old_n > 0);
		if (target->result.err.kind == ERR_TRANSIENT && instance->record.attempts > attempts)
			attempts = (unsigned)instance->record.attempts;
		failing |= target->result.err.kind != ERR_NONE;
	}
	/* What had to stay may go now; or it does when the others, which are well, have been seen elsewhere.
	 */
	host->again |= host->deferred && may_any_go(host);
	soon |= host->deferred && !failing;
	if (attempts > 0)
		return before_a_successor(
			host, schedule_backoff_ms(attempts, RETRY_FIRST_MS * 2, host_random_u32()));
	resync_ms = schedule_resync_ms(context->resync_ms, host_random_u32());
	return soon && resync_ms > FIRST_CHECKS_MS ? FIRST_CHECKS_MS : resync_ms;
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
	/* From the end: the last one takes the place of one that is forgotten. */
	for (size_t i = host->instances_n; i-- > 0;) {
		struct instance *instance = host->instances[i];

		if (!instance->wanted && !instance->left_alone && !instance->drop_id &&
		    !instance->memory.config_path)
			host_forget(host, instance);
		else
			instance_settle(instance, NULL, err, host->context->store, host->context->events);
	}
}
