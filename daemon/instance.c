#include "daemon/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/clock.h"
#include "daemon/core/rollout.h"
#include "daemon/core/spec_state.h"

#define REFUSAL_FIRST_MS 30000
#define REFUSAL_MAX_MS 600000

struct instance *instance_new(struct store_instance *record)
{
	struct instance *instance = xcalloc(1, sizeof(*instance));

	instance->record = *record;
	memset(record, 0, sizeof(*record));
	instance->id = xasprintf("%s/%s/%s", instance->record.spec, instance->record.host_url,
				 instance->record.name);
	instance->spec = xstrdup(instance->record.spec);
	instance->phase = PHASE_PENDING;
	instance->held = true;
	instance->unit = NOT_A_UNIT;
	if (!instance->record.error_message || instance->record.error_kind == ERR_UNREACHABLE)
		instance->known_id = xstrdup(instance->record.container_id);
	if (instance->record.error_message)
		err_set(&instance->err, instance->record.error_kind, "%s", instance->record.error_message);
	return instance;
}

void instance_free(struct instance *instance)
{
	if (!instance)
		return;
	wanted_unref(instance->wanted);
	wanted_unref(instance->next);
	wanted_unref(instance->former);
	free(instance->drop_id);
	free(instance->known_id);
	free(instance->id);
	free(instance->spec);
	free(instance->progress);
	free(instance->told_drift);
	free(instance->beside_seen);
	free(instance->refusal);
	replaced_clear(&instance->replaced);
	silence_clear(&instance->silence);
	leaving_clear(&instance->leaving);
	observed_instance_clear(&instance->observed);
	servers_clear(&instance->servers);
	store_instance_clear(&instance->record);
	free(instance);
}

static void set_text(char **to, const char *text)
{
	if (*to == text)
		return;
	free(*to);
	*to = xstrdup(text);
}

bool instance_drop(struct instance *instance, const char *container_id)
{
	bool news = instance->held || !instance->drop_id || strcmp(instance->drop_id, container_id) != 0;

	instance->held = false;
	instance->phase = PHASE_REMOVING;
	set_text(&instance->drop_id, container_id);
	return news;
}

/*
 * The container that `state` hands it, as long as it may need that. Once it is as
 * wanted it needs no other container, but for the connections of the one that it
 * succeeded.
 */
static const char *taken_over(const struct instance *instance)
{
	const char *adopt_id = instance->wanted ? instance->wanted->adopt_id : NULL;

	if (!adopt_id || instance->phase != PHASE_CONVERGED)
		return adopt_id;
	for (size_t i = 0; i < instance->leaving.n; i++)
		if (spec_state_means(adopt_id, instance->leaving.v[i].id))
			return instance->leaving.v[i].id;
	return NULL;
}

struct claim instance_claim(const struct instance *instance, bool ahead)
{
	const struct store_instance *record = &instance->record;

	return (struct claim){
		.host_url = record->host_url,
		.engine = record->engine,
		.name = record->name,
		.id = instance->id,
		.spec = record->spec,
		.container_id = record->container_id,
		.takes_over = taken_over(instance),
		.wanted = instance->wanted && !(ahead && instance->kept),
		.waits = instance->next != NULL,
		.unasked = instance->held,
		.seen = instance->observed_at_ms != 0,
		.made = record->config_path != NULL,
		.converged = instance->phase == PHASE_CONVERGED,
		.answers = instance->observed.stats == STATS_ANSWERED,
		.servers_up = observed_servers_up(&instance->observed),
	};
}

/* What the store has of a file is of the one at this path. */
static bool knows_file(const struct store_instance *record, const char *path)
{
	return record->config_sha256 && record->config_path && strcmp(record->config_path, path) == 0;
}

struct job_target instance_target(const struct instance *instance, bool ahead)
{
	struct wanted *in_force = ahead && instance->next ? instance->next : instance->wanted;
	struct wanted *wanted = ahead && instance->kept ? NULL : in_force;
	struct job_target target = {
		.wanted = wanted ? wanted_ref(wanted) : NULL,
		.former = instance->former ? wanted_ref(instance->former) : NULL,
		.name = xstrdup(instance->record.name),
		.drop_id = xstrdup(instance->drop_id),
		.config_size = -1,
		.beside_seen = xstrdup(instance->beside_seen),
		.known_id = xstrdup(instance->known_id),
	};

	/* One that is to be had back from it is not what the host is to keep. */
	target.next = instance->next && instance->record.rollout != UNIT_REVERTING
			      ? wanted_ref(instance->next)
			      : NULL;
	target.unproven = target.wanted && !ahead && !instance->proven;
	target.under_way = instance_is_under_way(instance);
	target.accepted = xstrdup(instance->record.accepted);
	silence_copy(&target.silence, &instance->silence);
	leaving_copy(&target.leaving, &instance->leaving);
	replaced_copy(&target.replaced, &instance->replaced);
	if (!wanted || knows_file(&instance->record, wanted->instance.config_path)) {
		snprintf(target.config_sha256, SHA256_HEX_SIZE, "%s",
			 instance->record.config_sha256 ? instance->record.config_sha256 : "");
		target.config_size = instance->record.config_size;
		target.config_mtime = xstrdup(instance->record.config_mtime);
	}
	memcpy(target.refused, instance->refused, SHA256_HEX_SIZE);
	if (instance->refused[0] && clock_monotonic_ms() < instance->refused_until_ms)
		target.refusal = xstrdup(instance->refusal);
	return target;
}

void instance_progress(struct instance *instance, const char *text)
{
	FREE(instance->progress);
	instance->progress = xstrdup(text);
	if (text && instance->phase != PHASE_REMOVING)
		instance->phase = PHASE_RECONCILING;
}

static enum phase phase_after(const struct instance *instance, const struct err *err)
{
	if (!instance->wanted)
		return PHASE_REMOVING;
	switch (err->kind) {
	case ERR_NONE:
		return PHASE_CONVERGED;
	case ERR_UNREACHABLE:
		return PHASE_UNREACHABLE;
	case ERR_CONFLICT:
		return PHASE_CONFLICT;
	default:
		return PHASE_FAILED;
	}
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* An error is told when it is new, not each time that it is met again. */
static bool note_error(struct instance *instance, const struct err *err)
{
	struct store_instance *record = &instance->record;
	bool had = record->error_message != NULL;
	bool same = err->kind != ERR_NONE ? same_text(record->error_message, err->message) : !had;

	if (err->kind == ERR_NONE) {
		FREE(record->error_message);
		record->error_kind = ERR_NONE;
		record->error_since_ms = record->attempts = 0;
	} else {
		/* Since when it is not as wanted, whatever the words are. */
		if (!had)
			record->error_since_ms = clock_now_ms();
		set_text(&record->error_message, err->message);
		record->error_kind = err->kind;
		record->attempts++;
	}
	instance->err = *err;
	return !same;
}

/* True when something of what the store holds has become different. */
static bool note_observation(struct instance *instance, struct job_target *target)
{
	struct store_instance *record = &instance->record;
	const struct observed_container *current = target->observed.current;
	const char *id = current ? current->id : NULL;
	const char *sha256 = target->config_sha256[0] ? target->config_sha256 : NULL;
	bool differs = !same_text(record->accepted, target->accepted) ||
		       !same_text(record->container_id, id) || !same_text(record->config_sha256, sha256) ||
		       !same_text(record->config_mtime, target->config_mtime) ||
		       record->config_size != target->config_size || target->changed;

	set_text(&record->container_id, id);
	set_text(&record->image, current ? current->image : NULL);
	set_text(&record->config_sha256, sha256);
	set_text(&record->config_mtime, target->config_mtime);
	if (target->wanted)
		set_text(&record->config_path, target->wanted->instance.config_path);
	record->config_size = target->config_size;
	free(instance->beside_seen);
	instance->beside_seen = target->beside_seen;
	target->beside_seen = NULL;
	if (target->changed)
		record->changed_at_ms = clock_now_ms();

	observed_instance_clear(&instance->observed);
	observed_instance_slim(&target->observed);
	instance->observed = target->observed;
	memset(&target->observed, 0, sizeof(target->observed));
	return differs;
}

static void tell_transition(const struct instance *instance, enum phase before, bool new_error,
			    struct events *events)
{
	const struct err *err = &instance->err;

	if (err->kind != ERR_NONE && new_error)
		events_add(events, LOG_LEVEL_WARNING, instance->spec, instance->id,
			   instance->phase == PHASE_REMOVING ? "removing-failed"
							     : phase_name(instance->phase),
			   "%s", err->message);
	else if (instance->phase == PHASE_CONVERGED && before != PHASE_CONVERGED && !instance->as_found)
		events_add(events, LOG_LEVEL_INFO, instance->spec, instance->id, "converged",
			   "as wanted: container %.12s, %zu servers, config %.12s",
			   instance->record.container_id ? instance->record.container_id : "-",
			   instance->observed.servers_n, instance->record.config_sha256);
}

/* A second attempt soon, since it is another way then (see plan.c); after that ever more seldom. */
static void note_refusal(struct instance *instance, const struct job_target *target, const struct err *err)
{
	int64_t delay_ms = REFUSAL_FIRST_MS;

	if (strcmp(instance->refused, target->refused) != 0)
		instance->refusals = 0;
	memcpy(instance->refused, target->refused, SHA256_HEX_SIZE);
	/* Only a run that has tried counts. */
	if (!instance->refused[0] || err->kind == ERR_NONE || target->refusal)
		return;
	for (unsigned i = 1; i < instance->refusals && delay_ms < REFUSAL_MAX_MS; i++)
		delay_ms *= 2;
	instance->refused_until_ms = clock_monotonic_ms() + (instance->refusals++ == 0 ? 0 : delay_ms);
	set_text(&instance->refusal, err->message);
}

void instance_keep(struct instance *instance, struct job_target *target, const struct err *err)
{
	note_refusal(instance, target, err);
	replaced_clear(&instance->replaced);
	instance->replaced = target->replaced;
	target->replaced = (struct replaced){0};
	silence_clear(&instance->silence);
	instance->silence = target->silence;
	target->silence = (struct silence){0};
	leaving_clear(&instance->leaving);
	instance->leaving = target->leaving;
	target->leaving = (struct leaving){0};
	set_text(&instance->record.accepted, target->accepted);
}

/* Judged, and right. That its host cannot be reached, or anything else goes wrong, says nothing against it.
 */
static void note_known(struct instance *instance, const struct job_target *target, const struct err *err)
{
	const struct observed_container *current = target->observed.current;

	if (err->kind == ERR_NONE && target->wanted && target->look != LOOK_LEAVE && current)
		set_text(&instance->known_id, current->id);
}

void instance_settle(struct instance *instance, struct job_target *target, const struct err *err,
		     struct store *store, struct events *events)
{
	enum phase before = instance->phase;
	/* What the run was for is not what is wanted by now: its verdict is of yesterday. */
	bool outdated = target && target->wanted != instance->wanted;
	bool differs, new_error;

	if (target)
		note_known(instance, target, err);
	differs = target && note_observation(instance, target);
	if (target)
		instance_keep(instance, target, err);
	new_error = note_error(instance, err);

	FREE(instance->progress);
	instance->observed_at_ms = clock_now_ms();
	instance->phase = outdated && instance->wanted ? PHASE_RECONCILING : phase_after(instance, err);
	if (instance->phase == PHASE_CONVERGED)
		FREE(instance->told_drift);
	if (instance->phase == PHASE_CONVERGED && instance->record.rollout == UNIT_REVERTING) {
		instance->record.rollout = UNIT_OUT;
		differs = true;
	}
	/* What only counts attempts is not worth a commit at each of them. */
	if (differs || new_error)
		instance_store(instance, store);
	tell_transition(instance, before, new_error, events);
}

/* "failed" leaves open whether clients notice. */
static enum serves what_serves(const struct instance *instance)
{
	const struct observed_instance *observed = &instance->observed;

	if (observed->stats != STATS_ANSWERED || !instance->wanted)
		return SERVES_UNKNOWN;
	return strcmp(observed->loaded.generation, instance->wanted->description.generation) == 0
		       ? SERVES_WANTED
		       : SERVES_FORMER;
}

struct status_instance instance_status(const struct instance *instance, int64_t next_run_ms)
{
	const struct observed_container *container = instance->observed.current;
	const struct wanted *wanted = instance->wanted;

	return (struct status_instance){
		.id = instance->id,
		.spec = instance->spec,
		.host = instance->record.host_url,
		.name = instance->record.name,
		.index = instance->index,
		.phase = instance_phase(instance),
		.progress = instance->progress ? instance->progress : instance_held_because(instance),
		.container_id = container ? container->id : instance->record.container_id,
		.image = container ? container->image
			 : wanted  ? wanted->instance.image
				   : instance->record.image,
		.container_status = container ? container->status : CONTAINER_UNKNOWN,
		.draining = instance->observed.old_n,
		.config_path = wanted ? wanted->instance.config_path : instance->record.config_path,
		.config_sha256 = instance->record.config_sha256,
		.wanted_servers = wanted ? wanted->instance.servers : NULL,
		.loaded = instance->observed.loaded.generation[0] ? &instance->observed.loaded : NULL,
		.health_check = wanted ? &wanted->instance.health_check : NULL,
		.wanted_servers_n = wanted ? wanted->instance.servers_n : 0,
		.servers = instance->observed.servers,
		.servers_n = instance->observed.servers_n,
		.servers_known = &instance->servers,
		.fallback = instance->observed.fallback,
		.serves = what_serves(instance),
		.error = &instance->err,
		.error_since_ms = instance->record.error_since_ms,
		.attempts = instance->record.attempts,
		.observed_at_ms = instance->observed_at_ms,
		.changed_at_ms = instance->record.changed_at_ms,
		.next_run_at_ms = next_run_ms,
	};
}
