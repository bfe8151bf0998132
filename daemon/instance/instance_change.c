/* What is in force of a balancer, and what comes next. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/rollout.h"
#include "daemon/instance/instance.h"

static bool same_version(const struct wanted *a, const struct wanted *b)
{
	return a && b ? strcmp(a->version, b->version) == 0 : a == b;
}

static bool is_same(const struct wanted *a, const struct wanted *b)
{
	if (!a || !b)
		return a == b;
	return same_version(a, b) && text_equal(a->adopt_id, b->adopt_id) &&
	       a->takes_file_over == b->takes_file_over;
}

static void replace(struct wanted **to, struct wanted *wanted)
{
	struct wanted *before = *to;

	*to = wanted ? wanted_ref(wanted) : NULL;
	wanted_unref(before);
}

/* wanted: NULL for nothing. The same as it waited for before, also before a restart, is no edit. */
static void set_next(struct instance *instance, struct wanted *wanted)
{
	const char *before = instance->record.next_version;

	replace(&instance->next, wanted);
	if (wanted && text_equal(before, wanted->said))
		return;
	FREE(instance->record.next_version);
	if (wanted)
		instance->record.next_version = xstrdup(wanted->said);
}

static void take_name(struct instance *instance, const struct wanted *wanted)
{
	free(instance->id);
	free(instance->spec);
	instance->id = xstrdup(wanted->instance.id);
	instance->spec = xstrdup(wanted->spec);
	instance->index = wanted->instance.index;
}

/* Whether the spec now says something else than what waited, not only another rendering of it. */
static bool is_edit(const struct instance *instance, const struct wanted *wanted)
{
	const char *waited = instance->record.next_version;

	return waited ? !wanted || strcmp(waited, wanted->said) != 0
		      : instance->wanted && wanted && strcmp(instance->wanted->said, wanted->said) != 0;
}

struct instance_change instance_want(struct instance *instance, struct wanted *wanted)
{
	const struct instance_change change = {
		.todo = instance->left_alone || !is_same(instance->wanted, wanted),
		.edited = instance->record.next_version && wanted && is_edit(instance, wanted),
	};

	set_next(instance, NULL);
	if (!same_version(instance->wanted, wanted))
		instance_end_rollout(instance);
	/* Should it be wanted again, its host may not be as it was. */
	if (!wanted)
		instance->proven = instance->as_found = instance->edited_later = false;
	/* It may have to stay for a while, with what it has. */
	if (!wanted && instance->wanted)
		replace(&instance->former, instance->wanted);
	instance->left_alone = instance->kept = false;
	FREE(instance->drop_id);
	replace(&instance->wanted, wanted);
	if (wanted)
		take_name(instance, wanted);
	if (change.todo && !wanted)
		instance->phase = PHASE_REMOVING;
	else if (change.todo && instance->phase != PHASE_PENDING)
		instance->phase = PHASE_RECONCILING;
	return change;
}

/* It was not wanted before, or its host has never been asked for anything. */
static bool has_nothing_in_force(const struct instance *instance)
{
	return !instance->wanted || !instance->memory.config_path;
}

struct instance_change instance_hold(struct instance *instance, struct wanted *wanted)
{
	bool is_new = has_nothing_in_force(instance);
	const struct instance_change change = {
		/* Known from before a restart: it is looked after like any other. */
		.todo = (instance->left_alone && !is_new) ||
			(instance->as_found && !is_same(instance->next, wanted)),
		.edited = is_edit(instance, wanted) || (is_new && !instance->record.next_version),
	};

	set_next(instance, wanted);
	take_name(instance, wanted);
	FREE(instance->drop_id);
	/* One that nothing is in force for yet is left alone. */
	instance->left_alone = is_new;
	instance->kept = false;
	return change;
}

bool instance_defer_removal(struct instance *instance)
{
	bool was_left_alone = instance->left_alone;

	instance->left_alone = false;
	instance->kept = true;
	return was_left_alone;
}

void instance_leave(struct instance *instance)
{
	instance->kept = false;
}

void instance_admit(struct instance *instance)
{
	instance->record.served = observed_servers_in(&instance->observed, SERVER_UP) > 0;
	instance->record.rollout = UNIT_CHANGING;
	/* A version that never proved itself is nothing to go back to. */
	if (!instance->former && !instance->as_found)
		replace(&instance->former, instance->wanted);
	replace(&instance->wanted, instance->next);
	set_next(instance, NULL);
	instance->left_alone = instance->as_found = false;
	instance->proven = true;
	if (instance->phase != PHASE_PENDING)
		instance->phase = PHASE_RECONCILING;
}

bool instance_revert(struct instance *instance)
{
	struct wanted *former = instance->former;

	if (!former)
		return false;
	if (!instance->next)
		set_next(instance, instance->wanted);
	replace(&instance->wanted, former);
	instance_end_rollout(instance);
	instance->record.rollout = UNIT_REVERTING;
	instance->proven = true;
	instance->phase = PHASE_RECONCILING;
	return true;
}

/* It has part in a rollout as one that has had its turn: what harms it is not brought to others. Nothing is
 * known that it could go back to. */
static void adopt(struct instance *instance, const struct observed_instance *observed)
{
	assert(instance->next);
	replace(&instance->wanted, instance->next);
	set_next(instance, NULL);
	instance_end_rollout(instance);
	instance->record.rollout = UNIT_CHANGING;
	instance->record.served = observed_servers_in(observed, SERVER_UP) > 0;
}

bool instance_found(struct instance *instance, enum first_look look, const struct observed_instance *observed)
{
	bool news = look == LOOK_ADOPT || (look == LOOK_LEAVE) != instance->as_found;

	if (look == LOOK_NONE)
		return false;
	instance->proven = look != LOOK_LEAVE;
	instance->as_found = look == LOOK_LEAVE;
	if (look == LOOK_ADOPT)
		adopt(instance, observed);
	else if (look == LOOK_LEAVE && !instance->next)
		set_next(instance, instance->wanted);
	else if (look == LOOK_KEEP && same_version(instance->next, instance->wanted))
		set_next(instance, NULL);
	return news;
}

bool instance_awaits_look(const struct instance *instance)
{
	return instance->wanted && !instance->left_alone && !instance->proven && !instance->as_found;
}

void instance_end_rollout(struct instance *instance)
{
	replace(&instance->former, NULL);
	instance->record.rollout = UNIT_OUT;
	instance->record.served = 0;
}

/* The store. */

static int wanted_of(struct wanted **to, const struct instance *instance, const char *owner,
		     const struct spec_host *host, const char *json, struct err *err)
{
	struct spec_instance stored;

	if (!json)
		return 0;
	if (spec_instance_from_json(&stored, host, json, err) < 0)
		return -1;
	/* The name is what it is stored under. */
	free(stored.name);
	stored.name = xstrdup(instance->record.name);
	*to = wanted_new(owner, instance->record.spec, &stored, NULL);
	spec_instance_clear(&stored);
	return 0;
}

int instance_recall(struct instance *instance, const char *owner, const struct spec_host *host,
		    struct err *err)
{
	struct store_instance *record = &instance->record;
	int rc = 0;

	if (wanted_of(&instance->wanted, instance, owner, host, record->in_force, err) < 0 ||
	    wanted_of(&instance->former, instance, owner, host, record->former, err) < 0)
		rc = -1;
	if (instance->wanted) {
		take_name(instance, instance->wanted);
		/* What waited was what is in force on paper: its host had something else. */
		instance->as_found = text_equal(record->next_version, instance->wanted->said);
		if (instance->as_found)
			instance->next = wanted_ref(instance->wanted);
	} else {
		/* One that leaves goes by the name that its container's label has. */
		if (instance->former)
			take_name(instance, instance->former);
		FREE(record->next_version);
		record->rollout = UNIT_OUT;
	}
	/* From here on they are written from what they stand for. */
	FREE(record->in_force);
	FREE(record->former);
	return rc;
}

void instance_store(const struct instance *instance, struct store *store)
{
	struct store_instance row = instance->record;
	const struct memory *memory = &instance->memory;

	row.config_path = memory->config_path;
	row.config_size = memory->config_size;
	row.config_mtime = memory->config_mtime;
	row.config_sha256 = memory->config_sha256[0] ? (char *)memory->config_sha256 : NULL;
	row.accepted = memory->accepted;
	row.memory = memory_to_json(memory);
	row.in_force = instance->wanted ? spec_instance_to_json(&instance->wanted->instance) : NULL;
	row.former = instance->former ? spec_instance_to_json(&instance->former->instance) : NULL;
	store_put_instance(store, &row);
	free(row.memory);
	secret_free(row.in_force);
	secret_free(row.former);
}

bool instance_is_under_way(const struct instance *instance)
{
	int state = instance->record.rollout;

	return state != UNIT_OUT && state != UNIT_WAITING && state != UNIT_DONE;
}

enum phase instance_phase(const struct instance *instance, const struct hold *hold)
{
	bool waits = instance->next || instance->kept;

	if (!waits || (instance->phase != PHASE_CONVERGED &&
		       !(instance->left_alone && instance->phase == PHASE_PENDING)))
		return instance->phase;
	return hold && hold->stopped ? PHASE_PAUSED : PHASE_PENDING;
}

const char *instance_held_because(const struct instance *instance, const struct hold *hold)
{
	if (!instance->next && !instance->kept)
		return NULL;
	return hold ? hold->why : "it waits for its turn";
}
