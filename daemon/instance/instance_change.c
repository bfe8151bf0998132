/* What is in force of a balancer, and what comes next; its part in rollouts. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/instance/instance_internal.h"

static void replace(struct wanted **to, struct wanted *wanted)
{
	struct wanted *before = *to;

	*to = wanted ? wanted_ref(wanted) : NULL;
	wanted_unref(before);
}

/* wanted: NULL for none. The same next revision as before, also before a restart, is no edit. */
static void set_next(struct instance *instance, struct wanted *wanted)
{
	const char *before = instance->record.next_version;

	replace(&instance->revision.next, wanted);
	if (wanted && text_equal(before, wanted->said))
		return;
	FREE(instance->record.next_version);
	if (wanted)
		instance->record.next_version = xstrdup(wanted->said);
}

void instance_take_name(struct instance *instance, const struct wanted *wanted)
{
	struct instance_identity *identity = &instance->identity;

	/* The edit was one of the spec that had the balancer before. */
	if (strcmp(identity->spec, wanted->spec) != 0)
		instance->edited_later = false;
	instance_set_text(&identity->id, wanted->instance.id);
	instance_set_text(&identity->spec, wanted->spec);
	identity->index = wanted->instance.index;
}

/* The store has both alike. */
static bool is_recorded(const struct wanted *in_force, const struct wanted *wanted)
{
	if (in_force == wanted || !in_force || !wanted)
		return in_force == wanted;
	return wanted_is_for(in_force, wanted->spec, &wanted->instance, wanted->adopt_id);
}

/* Whether the spec now says something else than what waited, not only another rendering of it. */
static bool is_edit(const struct instance *instance, const struct wanted *wanted)
{
	const char *waited = instance->record.next_version;
	const struct wanted *in_force = instance->revision.in_force;

	return waited ? !wanted || strcmp(waited, wanted->said) != 0
		      : in_force && wanted && strcmp(in_force->said, wanted->said) != 0;
}

static bool is_of_another_spec(const struct instance *instance, const struct wanted *wanted)
{
	return wanted && strcmp(instance->identity.spec, wanted->spec) != 0;
}

struct instance_change instance_want(struct instance *instance, struct wanted *wanted)
{
	struct instance_revision *revision = &instance->revision;
	bool edited = instance->record.next_version && wanted && is_edit(instance, wanted);
	const struct instance_change change = {
		.todo = instance->left_alone || !wanted_same_work(revision->in_force, wanted),
		.edited = edited,
		.differs = edited || is_of_another_spec(instance, wanted) ||
			   !is_recorded(revision->in_force, wanted),
	};

	set_next(instance, NULL);
	if (!wanted_same_version(revision->in_force, wanted))
		instance_end_rollout(instance);
	/* Should the balancer be wanted again, its host may not be as it was. */
	if (!wanted)
		instance->proven = revision->as_found = instance->edited_later = false;
	/* The balancer may have to stay for a while, as it is. */
	if (!wanted && revision->in_force)
		replace(&revision->former, revision->in_force);
	instance->left_alone = instance->kept = false;
	FREE(instance->silent_because);
	FREE(instance->drop_id);
	replace(&revision->in_force, wanted);
	if (wanted)
		instance_take_name(instance, wanted);
	if (change.todo && !wanted)
		instance->verdict.phase = PHASE_REMOVING;
	else if (change.todo && instance->verdict.phase != PHASE_PENDING)
		instance->verdict.phase = PHASE_RECONCILING;
	return change;
}

/* The balancer was not wanted before, or its engine has never answered. */
static bool has_nothing_in_force(const struct instance *instance)
{
	return !instance->revision.in_force || !instance_was_reached(instance);
}

struct instance_change instance_hold(struct instance *instance, struct wanted *wanted)
{
	const struct instance_revision *revision = &instance->revision;
	bool is_new = has_nothing_in_force(instance);
	bool edited = is_edit(instance, wanted) || (is_new && !instance->record.next_version);
	const struct instance_change change = {
		/* A balancer that is known from before a restart is looked after like any other. */
		.todo = (instance->left_alone && !is_new) ||
			(revision->as_found && !wanted_same_work(revision->next, wanted)),
		.edited = edited,
		.differs = edited || is_of_another_spec(instance, wanted),
	};

	set_next(instance, wanted);
	instance_take_name(instance, wanted);
	FREE(instance->silent_because);
	FREE(instance->drop_id);
	/* A balancer without anything in force yet is left alone. */
	instance->left_alone = is_new;
	instance->kept = false;
	return change;
}

bool instance_drop(struct instance *instance, const char *container_id)
{
	bool news;

	/* Without any revision the instance stands for the container's name only. */
	if (instance->revision.in_force || instance->revision.next)
		instance_want(instance, NULL);
	news = instance->left_alone || !text_equal(instance->drop_id, container_id);
	instance->left_alone = false;
	FREE(instance->silent_because);
	instance->verdict.phase = PHASE_REMOVING;
	instance_set_text(&instance->drop_id, container_id);
	return news;
}

bool instance_defer_removal(struct instance *instance)
{
	bool was_left_alone = instance->left_alone;

	instance->left_alone = false;
	FREE(instance->silent_because);
	instance->kept = true;
	return was_left_alone;
}

void instance_leave(struct instance *instance, const char *why)
{
	bool is_leaving = !instance->revision.in_force && !instance->left_alone;

	instance->kept = false;
	/* A removal that has begun goes on. */
	instance_set_text(&instance->silent_because, is_leaving ? NULL : why);
}

/* The balancer has part in a rollout as if it had had its turn: what harms it is not brought to others.
 * Nothing is known that it could go back to. */
static void adopt(struct instance *instance, const struct observed_instance *observed)
{
	assert(instance->revision.next);
	replace(&instance->revision.in_force, instance->revision.next);
	set_next(instance, NULL);
	instance_end_rollout(instance);
	instance->record.unit_state = UNIT_CHANGING;
	instance->record.served = observed_servers_in(observed, SERVER_UP) > 0;
}

bool instance_found(struct instance *instance, enum first_look look, const struct observed_instance *observed)
{
	bool news = look == LOOK_ADOPT || (look == LOOK_LEAVE) != instance->revision.as_found;

	if (look == LOOK_NONE)
		return false;
	instance->proven = look != LOOK_LEAVE;
	instance->revision.as_found = look == LOOK_LEAVE;
	if (look == LOOK_ADOPT)
		adopt(instance, observed);
	else if (look == LOOK_LEAVE && !instance->revision.next)
		set_next(instance, instance->revision.in_force);
	else if (look == LOOK_KEEP &&
		 wanted_same_version(instance->revision.next, instance->revision.in_force))
		set_next(instance, NULL);
	return news;
}

/* Its part in a rollout of its spec. */

bool instance_is_under_way(const struct instance *instance)
{
	enum unit_state state = instance->record.unit_state;

	return state != UNIT_OUT && state != UNIT_WAITING && state != UNIT_DONE;
}

enum unit_state instance_unit_state(const struct instance *instance)
{
	return instance->revision.next ? UNIT_WAITING : instance->record.unit_state;
}

static enum rollout_verdict servers_verdict(const struct instance *instance)
{
	const struct observed_instance *observed = &instance->observed;

	if (!instance->record.served)
		return VERDICT_WELL;
	if (observed->stats != STATS_ANSWERED)
		return VERDICT_UNSURE;
	if (observed_servers_in(observed, SERVER_UP) > 0)
		return VERDICT_WELL;
	return observed_servers_in(observed, SERVER_UNKNOWN) > 0 ? VERDICT_UNSURE : VERDICT_LOST;
}

enum rollout_verdict instance_rollout_verdict(const struct instance *instance)
{
	/* Nothing of the balancer is in force that a run could judge. */
	if (instance->left_alone)
		return VERDICT_WELL;
	switch (instance->verdict.phase) {
	case PHASE_CONVERGED:
		return servers_verdict(instance);
	case PHASE_UNREACHABLE:
		return VERDICT_UNREACHABLE;
	case PHASE_FAILED:
	case PHASE_CONFLICT:
		return VERDICT_FAILED;
	default:
		return VERDICT_NONE;
	}
}

void instance_note_unit(struct instance *instance, enum unit_state state)
{
	instance->record.unit_state = state;
}

void instance_admit(struct instance *instance)
{
	struct instance_revision *revision = &instance->revision;

	if (!revision->next)
		return;
	instance->record.served = observed_servers_in(&instance->observed, SERVER_UP) > 0;
	instance->record.unit_state = UNIT_CHANGING;
	/* A version that never proved itself is nothing to go back to. */
	if (!revision->former && !revision->as_found)
		replace(&revision->former, revision->in_force);
	replace(&revision->in_force, revision->next);
	set_next(instance, NULL);
	instance->left_alone = revision->as_found = false;
	instance->proven = true;
	if (instance->verdict.phase != PHASE_PENDING)
		instance->verdict.phase = PHASE_RECONCILING;
}

bool instance_revert(struct instance *instance)
{
	struct instance_revision *revision = &instance->revision;

	if (!revision->former)
		return false;
	if (!revision->next)
		set_next(instance, revision->in_force);
	replace(&revision->in_force, revision->former);
	instance_end_rollout(instance);
	instance->record.unit_state = UNIT_REVERTING;
	instance->proven = true;
	instance->verdict.phase = PHASE_RECONCILING;
	return true;
}

void instance_start_over(struct instance *instance)
{
	/* What is done, or is not changed by this edit, has proved itself, or is past: nothing to go back to.
	 */
	if (!instance->revision.next || instance->record.unit_state == UNIT_DONE)
		instance_end_rollout(instance);
	instance->record.unit_state = UNIT_OUT;
}

void instance_end_rollout(struct instance *instance)
{
	replace(&instance->revision.former, NULL);
	instance->record.unit_state = UNIT_OUT;
	instance->record.served = false;
}

void instance_leave_out(struct instance *instance, bool edited)
{
	instance->edited_later |= edited;
}

bool instance_let_in(struct instance *instance)
{
	bool edited = instance->edited_later;

	instance->edited_later = false;
	return edited;
}
