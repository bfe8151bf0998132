/* The runs of a balancer: what they are to do, what they have learned and come to. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/instance/instance_internal.h"
#include "daemon/io/clock.h"

void instance_set_text(char **to, const char *text)
{
	if (*to == text)
		return;
	free(*to);
	*to = xstrdup(text);
}

void instance_tell(const struct instance *instance, struct events *events, enum log_level level,
		   const char *type, const char *text)
{
	events_add(events, level, instance->identity.spec, instance->identity.id, type, "%s", text);
}

/* Before a run. */

static struct wanted *counted(struct wanted *wanted)
{
	return wanted ? wanted_ref(wanted) : NULL;
}

/* The host decides first whether this version is to be made true. A plan promises no more than the run that
 * it stands for, which asks the host first. */
static bool is_unproven(const struct instance *instance, const struct wanted *wanted, bool ahead)
{
	if (!wanted)
		return false;
	return ahead ? wanted_same_version(wanted, instance->revision.in_force) &&
			       instance_awaits_look(instance)
		     : !instance->proven;
}

struct job_target instance_target(const struct instance *instance, bool ahead)
{
	const struct instance_revision *revision = &instance->revision;
	struct wanted *in_force = ahead && revision->next ? revision->next : revision->in_force;
	struct wanted *wanted = ahead && instance->kept ? NULL : in_force;
	/* A change that is just being taken back is not what the host is to keep. */
	bool is_reverting = instance->record.unit_state == UNIT_REVERTING;
	struct job_target target = {.order = {
					    .name = xstrdup(instance->identity.name),
					    .wanted = counted(wanted),
					    .former = counted(revision->former),
					    .next = is_reverting ? NULL : counted(revision->next),
					    .unproven = is_unproven(instance, wanted, ahead),
					    .under_way = instance_is_under_way(instance),
					    .drop_id = xstrdup(instance->drop_id),
				    }};

	memory_lend(&target.memory, &instance->memory, wanted ? wanted->version : NULL, clock_ms());
	return target;
}

void instance_stay(struct instance *instance, const char *why)
{
	char *text = why ? xasprintf("stays: %s", why) : NULL;

	instance->had_to_stay = why != NULL;
	if (text)
		instance_progress(instance, text);
	free(text);
}

/* During a run. */

void instance_reached(struct instance *instance, const struct wanted *wanted, struct store *store)
{
	/* The file at another path stays known until the run has learned of this one. */
	if (instance->left_alone || instance_was_reached(instance))
		return;
	memory_turn_to_config(&instance->memory, wanted->instance.config_path);
	instance_store(instance, store);
}

void instance_progress(struct instance *instance, const char *text)
{
	struct instance_verdict *verdict = &instance->verdict;

	FREE(verdict->progress);
	verdict->progress = xstrdup(text);
	if (text && verdict->phase != PHASE_REMOVING)
		verdict->phase = PHASE_RECONCILING;
}

void instance_tell_drift(struct instance *instance, struct events *events, const char *type, const char *text)
{
	bool was_well = instance->verdict.phase == PHASE_CONVERGED;

	/* A drift that cannot be repaired is met again in each run. */
	if (!text_equal(instance->told_drift, text))
		instance_tell(instance, events, was_well ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, type, text);
	instance_set_text(&instance->told_drift, text);
	instance_progress(instance, text);
}

/* After a run. */

static enum phase phase_after(const struct instance *instance, const struct err *err)
{
	if (!instance->revision.in_force && !instance->left_alone)
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
static bool note_error(struct instance_verdict *verdict, const struct err *err)
{
	bool had = verdict->err.kind != ERR_NONE, has = err->kind != ERR_NONE;
	bool same = had == has && (!has || strcmp(verdict->err.message, err->message) == 0);

	/* The time since when the balancer is not as wanted, whatever the words are. */
	if (!had || !has)
		verdict->err_since_ms = has ? clock_now_ms() : 0;
	verdict->attempts = has ? verdict->attempts + 1 : 0;
	verdict->err = *err;
	return !same;
}

/* True when something of what the store holds has become different. */
static bool note_observation(struct instance *instance, struct job_target *target)
{
	struct instance_record *record = &instance->record;
	const struct observed_container *current = target->result.observed.current;
	const char *id = current ? current->id : NULL;
	/* A balancer that has to stay is known by its container, whatever that is called by now. */
	bool unseen = !current && target->order.removal_held;
	bool differs = (!unseen && !text_equal(record->container_id, id)) || target->result.changed;

	if (!unseen) {
		instance_set_text(&record->container_id, id);
		instance_set_text(&record->image, current ? current->image : NULL);
	}
	if (target->result.changed)
		record->changed_at_ms = clock_now_ms();

	observed_instance_clear(&instance->observed);
	observed_instance_slim(&target->result.observed);
	instance->observed = target->result.observed;
	memset(&target->result.observed, 0, sizeof(target->result.observed));
	return differs;
}

static void tell_converged(const struct instance *instance, struct events *events)
{
	const char *container_id = instance->record.container_id;

	events_add(events, LOG_LEVEL_INFO, instance->identity.spec, instance->identity.id, "converged",
		   "as wanted: container %.12s, %zu servers, config %.12s", container_id ? container_id : "-",
		   instance->observed.servers_n, instance->memory.config_sha256);
}

static const char *error_type(const struct instance *instance)
{
	if (instance->verdict.phase != PHASE_REMOVING)
		return phase_name(instance->verdict.phase);
	return instance->had_to_stay ? "stays" : "removing-failed";
}

static void tell_transition(const struct instance *instance, enum phase before, bool new_error,
			    struct events *events)
{
	const struct instance_verdict *verdict = &instance->verdict;

	if (verdict->err.kind != ERR_NONE && new_error)
		instance_tell(instance, events, LOG_LEVEL_WARNING, error_type(instance),
			      verdict->err.message);
	else if (verdict->phase == PHASE_CONVERGED && before != PHASE_CONVERGED &&
		 !instance->revision.as_found)
		tell_converged(instance, events);
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

void instance_saw_files(struct instance *instance, const struct job_target *target)
{
	struct memory *memory = &instance->memory;

	if (target->result.observed.lost_file)
		FREE(memory->companions_seen);
	if (target->result.observed.config &&
	    strcmp(memory->config_sha256, target->memory.config_sha256) != 0)
		memory_doubt_config(memory);
}

/* The container was judged, and is right. An error says nothing against a container that was right before. */
static void note_known(struct job_target *target)
{
	const struct observed_container *current = target->result.observed.current;

	bool judged = target->result.look != LOOK_LEAVE && target->result.look != LOOK_ADOPT;

	if (target->result.err.kind == ERR_NONE && target->order.wanted && judged && current)
		memory_know(&target->memory, current->id);
}

/* By now something else is wanted than the run was for: its verdict is outdated. Nor is the verdict on what
 * was in force when it has found that the host has what comes next. */
static bool is_outdated(const struct instance *instance, const struct job_target *target)
{
	return !wanted_same_work(target->order.wanted, instance->revision.in_force) ||
	       target->result.look == LOOK_ADOPT;
}

/* Its host has got back what it had. True when that is news. */
static bool note_reverted(struct instance *instance)
{
	if (instance->record.unit_state != UNIT_REVERTING)
		return false;
	instance->record.unit_state = UNIT_OUT;
	return true;
}

/* An error of a balancer that has to stay is no failed removal: nobody has tried to remove it. */
static struct err error_to_tell(const struct instance *instance, const struct err *err)
{
	struct err told = *err;

	if (told.kind != ERR_NONE && !instance->revision.in_force && instance->had_to_stay)
		err_prefix(&told, "its removal is held, and it could not be looked at");
	return told;
}

void instance_settle(struct instance *instance, struct job_target *target, const struct err *err,
		     struct store *store, struct events *events)
{
	struct instance_verdict *verdict = &instance->verdict;
	const struct err told = error_to_tell(instance, err);
	enum phase before = verdict->phase;
	bool outdated = target && is_outdated(instance, target);
	bool differs = false, new_error;

	if (target) {
		note_known(target);
		differs = note_observation(instance, target);
		differs |= take_memory(instance, target);
	}
	new_error = note_error(verdict, &told);

	/* The reason why the balancer has to stay is said before the run, and holds after it. */
	if (!target || !target->order.removal_held)
		FREE(verdict->progress);
	verdict->observed_at_ms = clock_now_ms();
	verdict->phase =
		outdated && instance->revision.in_force ? PHASE_RECONCILING : phase_after(instance, err);
	if (verdict->phase == PHASE_CONVERGED) {
		FREE(instance->told_drift);
		differs |= note_reverted(instance);
	}
	/* A further attempt alone is not worth a commit. */
	if (differs || new_error)
		instance_store(instance, store);
	tell_transition(instance, before, new_error, events);
}

void instance_let_be(struct instance *instance)
{
	struct instance_verdict *verdict = &instance->verdict;
	const struct err none = {.kind = ERR_NONE};

	if (!instance->left_alone || verdict->phase == PHASE_PENDING)
		return;
	note_error(verdict, &none);
	FREE(verdict->progress);
	verdict->phase = PHASE_PENDING;
}
