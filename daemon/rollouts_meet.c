/* The specs are gone through: what is to be rolled out. */
#include <string.h>

#include "common/mem.h"
#include "daemon/clock.h"
#include "daemon/rollouts_internal.h"

void rollouts_begin(struct rollouts *rollouts)
{
	struct course *course, *tmp;

	HASH_ITER (hh, rollouts->courses, course, tmp) {
		course->met = course->edited = course->partial = false;
		course->rollout.n = course->rollout.hosts = 0;
	}
}

static bool has_part(const struct instance *instance)
{
	return instance->next ||
	       (instance->record.rollout != UNIT_OUT && instance->record.rollout != UNIT_REVERTING);
}

/* The host's unit, which another instance of it may have; NOT_A_UNIT: none yet. *is_new: none of the spec's
 * instances was met on this host before. */
static size_t unit_on(const struct course *course, const struct host *host, bool *is_new)
{
	size_t n, unit = NOT_A_UNIT;
	struct instance *const *instances = host_instances(host, &n);

	*is_new = true;
	for (size_t i = 0; i < n; i++) {
		if (instances[i]->course != course)
			continue;
		*is_new = false;
		if (instances[i]->unit != NOT_A_UNIT)
			unit = instances[i]->unit;
	}
	return unit;
}

static size_t add_unit(struct course *course, struct host *host)
{
	struct rollout *rollout = &course->rollout;

	if (rollout->n == course->room) {
		course->room = course->room ? 2 * course->room : 16;
		rollout->units = xreallocarray(rollout->units, course->room, sizeof(*rollout->units));
		course->hosts = xreallocarray(course->hosts, course->room, sizeof(struct host *));
	}
	rollout->units[rollout->n] = (struct rollout_unit){.state = UNIT_OUT};
	course->hosts[rollout->n] = host;
	return rollout->n++;
}

/* Something of it that still waits makes the whole unit wait: it is let in as a whole. */
static void join_unit(struct rollout_unit *unit, const struct instance *instance)
{
	enum unit_state state = instance->next ? UNIT_WAITING : (enum unit_state)instance->record.rollout;

	if (state == UNIT_SETTLING)
		state = UNIT_CHANGING;
	if (unit->state == UNIT_OUT || state == UNIT_WAITING ||
	    (unit->state != UNIT_WAITING && state == UNIT_CHANGING))
		unit->state = state;
}

void rollouts_meet(struct rollouts *rollouts, const struct spec *spec, struct host *host,
		   struct instance *instance)
{
	struct course *course = course_of(rollouts, spec->name);
	bool is_new;
	size_t unit = unit_on(course, host, &is_new);

	course->met = true;
	course->edited |= instance->edited;
	course->rollout.settings = spec->rollout;
	course->rollout.hosts += is_new;
	instance->edited = false;
	instance->course = course;
	instance->hold = &course->hold;
	if (!has_part(instance))
		return;
	instance->unit = unit != NOT_A_UNIT ? unit : add_unit(course, host);
	join_unit(&course->rollout.units[instance->unit], instance);
}

void rollouts_skip(struct rollouts *rollouts, struct instance *instance, const struct hold *hold)
{
	struct course *course = course_of(rollouts, instance->spec);

	course->met = course->partial = true;
	instance->hold = hold;
}

void rollouts_keep(struct rollouts *rollouts, struct instance *instance)
{
	instance->kept = true;
	instance->hold = &course_of(rollouts, instance->spec)->hold;
}

static void start_over_instance(struct course *course, struct instance *instance, void *arg)
{
	const struct rollout_unit *unit = arg;

	/* What is done, or is not changed by this edit, has proved itself, or is past: nothing to go back to.
	 */
	if (!instance->next || instance->record.rollout == UNIT_DONE)
		instance_end_rollout(instance);
	instance->record.rollout = UNIT_OUT;
	instance->unit = unit && instance->next ? (size_t)(unit - course->rollout.units) : NOT_A_UNIT;
	instance_store(instance, course->rollouts->options.store);
}

/* From the beginning, with the hosts that wait; who is on the way already is let go. */
static void start_over(struct course *course)
{
	struct rollout *rollout = &course->rollout;
	size_t n = 0;

	for (size_t i = 0; i < rollout->n; i++) {
		struct rollout_unit *unit =
			rollout->units[i].state == UNIT_WAITING ? &rollout->units[n] : NULL;

		course_each(course, i, start_over_instance, unit);
		if (!unit)
			continue;
		*unit = (struct rollout_unit){.state = UNIT_WAITING};
		course->hosts[n++] = course->hosts[i];
	}
	rollout->n = n;
	course_stop(course, ROLLOUT_RUNS, NULL);
	course->since_ms = n > 0 ? clock_now_ms() : 0;
}

static void tell_start(const struct course *course)
{
	const struct rollout *rollout = &course->rollout;

	events_add(course->rollouts->options.events, LOG_LEVEL_INFO, course->spec, NULL, "rollout-started",
		   "%zu of %zu hosts are to change%s", rollout->n, rollout->hosts,
		   rollout->paused ? ", once the spec is resumed (apilbctl resume)" : "");
}

static void end_meeting(struct course *course)
{
	bool was_under_way = course->since_ms != 0;
	bool starts = course->edited || !was_under_way;

	if (course->edited && course->rollout.n > 0)
		start_over(course);
	if (course->rollout.n > 0 && starts)
		tell_start(course);
	/* Hosts may turn out to have other versions than the store knows. */
	if (course->rollout.n > 0 && !course->since_ms)
		course->since_ms = clock_now_ms();
	if (course->rollout.n == 0 && was_under_way && !course->partial)
		course_end(course, "what is wanted is what all hosts have: nothing is left to change");
	course_store(course);
	for (size_t i = 0; i < course->rollout.n; i++)
		course_note(course, i);
	course_decide(course);
}

void rollouts_end(struct rollouts *rollouts)
{
	struct course *course, *tmp;

	HASH_ITER (hh, rollouts->courses, course, tmp)
		if (course->met || course->since_ms || course->rollout.paused)
			end_meeting(course);
}
