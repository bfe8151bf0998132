/* What the specs want has been told: what is to be rolled out. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/clock.h"
#include "daemon/rollouts_internal.h"

static void begin(struct rollouts *rollouts, size_t n)
{
	struct course *course, *tmp;

	HASH_ITER (hh, rollouts->courses, course, tmp) {
		course->partial = false;
		course->rollout.n = course->rollout.hosts = 0;
	}
	/* Whom they were for may be gone. */
	HASH_CLEAR(hh, rollouts->seats);
	free(rollouts->memory);
	rollouts->memory = xcalloc(n + 1, sizeof(*rollouts->memory));
}

static bool has_part(const struct instance *instance)
{
	return instance->next ||
	       (instance->record.rollout != UNIT_OUT && instance->record.rollout != UNIT_REVERTING);
}

/* The host's unit, which another instance of it may have; NOT_A_UNIT: none yet. *is_new: none of the spec's
 * instances has a seat on this host yet. */
static size_t unit_on(const struct course *course, const struct host *host, bool *is_new)
{
	size_t n, unit = NOT_A_UNIT;
	struct instance *const *instances = host_instances(host, &n);

	*is_new = true;
	for (size_t i = 0; i < n; i++) {
		const struct seat *seat = rollouts_seat(course->rollouts, instances[i]);

		if (!seat || seat->course != course)
			continue;
		*is_new = false;
		if (seat->unit != NOT_A_UNIT)
			unit = seat->unit;
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

static void take_part(struct course *course, struct seat *seat, const struct rollout_part *part)
{
	bool is_new;
	size_t unit = unit_on(course, part->host, &is_new);

	course->edited |= part->edited;
	course->rollout.settings = part->spec->rollout;
	course->rollout.hosts += is_new;
	seat->course = course;
	if (!has_part(part->instance))
		return;
	seat->unit = unit != NOT_A_UNIT ? unit : add_unit(course, part->host);
	join_unit(&course->rollout.units[seat->unit], part->instance);
}

/* Its newest version may be what such a host has; the last good one that the store knows may be older. */
static const struct hold waits_for_file = {
	.stopped = true,
	.why = (char *)"its host has another version than the store knows, and the newest one of the spec is "
		       "not valid",
};

static void leave_out(struct course *course, struct seat *seat, const struct rollout_part *part)
{
	course->partial = true;
	course->edited_later |= part->edited;
	seat->hold = &waits_for_file;
}

static void seat_part(struct rollouts *rollouts, struct seat *seat, const struct rollout_part *part)
{
	struct course *course = course_of(rollouts, part->instance->spec);

	*seat = (struct seat){.instance = part->instance, .unit = NOT_A_UNIT, .hold = &course->hold};
	if (part->kind == PART_WANTED)
		take_part(course, seat, part);
	else if (part->kind == PART_LEFT_OUT)
		leave_out(course, seat, part);
	HASH_ADD_PTR(rollouts->seats, instance, seat);
}

static void start_over_seat(struct seat *seat, void *arg)
{
	const struct rollout_unit *unit = arg;
	struct instance *instance = seat->instance;

	/* What is done, or is not changed by this edit, has proved itself, or is past: nothing to go back to.
	 */
	if (!instance->next || instance->record.rollout == UNIT_DONE)
		instance_end_rollout(instance);
	instance->record.rollout = UNIT_OUT;
	seat->unit = unit && instance->next ? (size_t)(unit - seat->course->rollout.units) : NOT_A_UNIT;
	seat_store(seat);
}

/* From the beginning, with the hosts that wait; who is on the way already is let go. */
static void start_over(struct course *course)
{
	struct rollout *rollout = &course->rollout;
	size_t n = 0;

	for (size_t i = 0; i < rollout->n; i++) {
		struct rollout_unit *unit =
			rollout->units[i].state == UNIT_WAITING ? &rollout->units[n] : NULL;

		course_each(course, i, start_over_seat, unit);
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

static void go_on(struct course *course)
{
	bool was_under_way = course->since_ms != 0;
	bool starts;

	if (!course->partial) {
		course->edited |= course->edited_later;
		course->edited_later = false;
	}
	starts = course->edited || !was_under_way;
	if (course->edited && course->rollout.n > 0)
		start_over(course);
	course->edited = false;
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

void rollouts_set(struct rollouts *rollouts, const struct rollout_part *parts, size_t n)
{
	struct course *course, *tmp;

	begin(rollouts, n);
	for (size_t i = 0; i < n; i++)
		seat_part(rollouts, &rollouts->memory[i], &parts[i]);
	HASH_ITER (hh, rollouts->courses, course, tmp)
		if (course->rollout.hosts > 0 || course->partial || course->since_ms ||
		    course->rollout.paused)
			go_on(course);
}
