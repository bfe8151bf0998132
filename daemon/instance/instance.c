#include "daemon/instance/instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/rollout.h"
#include "daemon/core/spec/spec_state.h"
#include "daemon/io/clock.h"

/* True when not all of it could be believed: then the store has it otherwise. */
static bool recall_json(struct memory *memory, const char *json)
{
	const struct silence_clock now = {.ms = clock_ms(), .unix_ms = clock_now_ms()};
	char *believed;
	bool differs;

	memory_recall(memory, json, now);
	believed = memory_to_json(memory);
	differs = !text_equal(believed, json);
	free(believed);
	return differs;
}

/* What its record says of that: from here on it stands in the memory alone. */
static void recall_memory(struct instance *instance)
{
	struct memory *memory = &instance->memory;
	struct store_instance *record = &instance->record;

	memory_init(memory);
	instance->recalled_otherwise = recall_json(memory, record->memory);
	FREE(record->memory);
	memory->config_path = record->config_path;
	memory->config_size = record->config_size;
	memory->config_mtime = record->config_mtime;
	memory->accepted = record->accepted;
	record->config_path = record->config_mtime = record->accepted = NULL;
	snprintf(memory->config_sha256, SHA256_HEX_SIZE, "%s",
		 record->config_sha256 ? record->config_sha256 : "");
	FREE(record->config_sha256);
	if (!record->error_message || record->error_kind == ERR_UNREACHABLE)
		memory_know(memory, record->container_id);
}

/* A kind that there is none of, a newer one or nonsense, is one that is tried again at each resync. */
static void recall_error(struct instance *instance)
{
	struct store_instance *record = &instance->record;

	if (record->error_kind < 0 || record->error_kind >= ERR_KINDS)
		record->error_kind = ERR_PERMANENT;
	if (record->error_message)
		err_set(&instance->err, record->error_kind, "%s", record->error_message);
}

struct instance *instance_new(struct store_instance *record)
{
	struct instance *instance = xcalloc(1, sizeof(*instance));

	instance->record = *record;
	memset(record, 0, sizeof(*record));
	instance->id = xasprintf("%s/%s/%s", instance->record.spec, instance->record.host_url,
				 instance->record.name);
	instance->spec = xstrdup(instance->record.spec);
	instance->phase = PHASE_PENDING;
	instance->left_alone = true;
	recall_memory(instance);
	recall_error(instance);
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
	free(instance->id);
	free(instance->spec);
	free(instance->progress);
	free(instance->told_drift);
	memory_clear(&instance->memory);
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
	bool news =
		instance->left_alone || !instance->drop_id || strcmp(instance->drop_id, container_id) != 0;

	instance->left_alone = false;
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
	const struct leaving *leaving = &instance->memory.leaving;

	if (!adopt_id || instance->phase != PHASE_CONVERGED)
		return adopt_id;
	for (size_t i = 0; i < leaving->n; i++)
		if (spec_state_means(adopt_id, leaving->v[i].id))
			return leaving->v[i].id;
	return NULL;
}

/* Of what is wanted of it, or was. */
const char *instance_binds(const struct instance *instance)
{
	const struct wanted *coming = instance->wanted ? instance->wanted : instance->next;
	const struct wanted *any = coming ? coming : instance->former;

	return any ? any->description.binds : NULL;
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
		.binds = instance_binds(instance),
		.container_id = record->container_id,
		.takes_over = taken_over(instance),
		.wanted = instance->wanted && !(ahead && instance->kept),
		.waits = instance->next != NULL,
		.unasked = instance->left_alone,
		.seen = instance->observed_at_ms != 0,
		.made = instance->memory.config_path != NULL,
		.converged = instance->phase == PHASE_CONVERGED,
		.answers = instance->observed.stats == STATS_ANSWERED,
		.servers_up = observed_servers_in(&instance->observed, SERVER_UP),
		.fallback = instance->observed.fallback,
	};
}

static struct wanted *counted(struct wanted *wanted)
{
	return wanted ? wanted_ref(wanted) : NULL;
}

struct job_target instance_target(const struct instance *instance, bool ahead)
{
	struct wanted *in_force = ahead && instance->next ? instance->next : instance->wanted;
	struct wanted *wanted = ahead && instance->kept ? NULL : in_force;
	/* A change that is just being taken back is not what the host is to keep. */
	bool is_reverting = instance->record.rollout == UNIT_REVERTING;
	struct job_target target = {.order = {
					    .name = xstrdup(instance->record.name),
					    .wanted = counted(wanted),
					    .former = counted(instance->former),
					    .next = is_reverting ? NULL : counted(instance->next),
					    .unproven = wanted && !ahead && !instance->proven,
					    .under_way = instance_is_under_way(instance),
					    .drop_id = xstrdup(instance->drop_id),
				    }};

	memory_lend(&target.memory, &instance->memory, wanted ? wanted->version : NULL, clock_ms());
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

/* An error is told when it is new, not each time that it is met again. */
static bool note_error(struct instance *instance, const struct err *err)
{
	struct store_instance *record = &instance->record;
	bool had = record->error_message != NULL;
	bool same = err->kind != ERR_NONE ? text_equal(record->error_message, err->message) : !had;

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
	const struct observed_container *current = target->result.observed.current;
	const char *id = current ? current->id : NULL;
	bool differs = !text_equal(record->container_id, id) || target->result.changed;

	set_text(&record->container_id, id);
	set_text(&record->image, current ? current->image : NULL);
	if (target->result.changed)
		record->changed_at_ms = clock_now_ms();

	observed_instance_clear(&instance->observed);
	observed_instance_slim(&target->result.observed);
	instance->observed = target->result.observed;
	memset(&target->result.observed, 0, sizeof(target->result.observed));
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
			   instance->observed.servers_n, instance->memory.config_sha256);
}

/* True when something of what the store holds has become different. */
static bool take_memory(struct instance *instance, struct job_target *target)
{
	bool differs =
		instance->recalled_otherwise || !memory_is_recorded(&target->memory, &instance->memory);

	instance->recalled_otherwise = false;
	memory_take(&instance->memory, &target->memory,
		    target->order.wanted ? target->order.wanted->version : NULL, &target->result.err,
		    clock_ms());
	return differs;
}

void instance_keep(struct instance *instance, struct job_target *target, struct store *store)
{
	if (take_memory(instance, target))
		instance_store(instance, store);
}

void instance_reached(struct instance *instance, const struct wanted *wanted, struct store *store)
{
	/* What is known of the file at another path is known until the run has learned of this one. */
	if (instance->memory.config_path)
		return;
	memory_turn_to_config(&instance->memory, wanted->instance.config_path);
	instance_store(instance, store);
}

/* Judged, and right. That its host cannot be reached, or anything else goes wrong, says nothing against it.
 */
static void note_known(struct job_target *target)
{
	const struct observed_container *current = target->result.observed.current;

	bool judged = target->result.look != LOOK_LEAVE && target->result.look != LOOK_ADOPT;

	if (target->result.err.kind == ERR_NONE && target->order.wanted && judged && current)
		memory_know(&target->memory, current->id);
}

void instance_settle(struct instance *instance, struct job_target *target, const struct err *err,
		     struct store *store, struct events *events)
{
	enum phase before = instance->phase;
	/* What the run was for is not what is wanted by now: its verdict is of yesterday. Nor is it on what
	 * was in force when it has found that the host has what comes next. */
	bool outdated =
		target && (target->order.wanted != instance->wanted || target->result.look == LOOK_ADOPT);
	bool differs, new_error;

	if (target)
		note_known(target);
	differs = target && note_observation(instance, target);
	if (target)
		differs |= take_memory(instance, target);
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

struct status_instance instance_status(const struct instance *instance, const struct hold *hold,
				       int64_t next_run_ms)
{
	const struct observed_container *container = instance->observed.current;
	const struct wanted *wanted = instance->wanted;

	return (struct status_instance){
		.id = instance->id,
		.spec = instance->spec,
		.host = instance->record.host_url,
		.name = instance->record.name,
		.index = instance->index,
		.phase = instance_phase(instance, hold),
		.progress = instance->progress ? instance->progress : instance_held_because(instance, hold),
		.container_id = container ? container->id : instance->record.container_id,
		.image = container ? container->image
			 : wanted  ? wanted->instance.image
				   : instance->record.image,
		.container_status = container ? container->status : CONTAINER_UNKNOWN,
		.draining = instance->observed.old_n,
		.config_path = wanted ? wanted->instance.config_path : instance->memory.config_path,
		.config_sha256 = instance->memory.config_sha256[0] ? instance->memory.config_sha256 : NULL,
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
