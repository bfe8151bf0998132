#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/text.h"
#include "daemon/clock.h"
#include "daemon/rollouts_internal.h"

/* Hosts end their runs in swarms: one decision for all of a swarm, since each goes over all units. */
#define GATHER_MS 10

/* What the store keeps of a course. */

static char *meta_name(const char *spec)
{
	return xasprintf("rollout %s", spec);
}

static void add_text(struct json_object *json, const char *key, const char *text)
{
	if (text)
		json_object_object_add(json, key, json_object_new_string(text));
}

void course_store(const struct course *course)
{
	struct json_object *json = json_object_new_object();
	char *name = meta_name(course->spec);

	json_object_object_add(json, "paused", json_object_new_boolean(course->rollout.paused));
	json_object_object_add(json, "since", json_object_new_int64(course->since_ms));
	add_text(json, "stop", rollout_stop_name(course->rollout.stop));
	add_text(json, "why", course->why);
	store_put_meta(course->rollouts->options.store, name,
		       course->rollout.paused || course->since_ms ? json_object_to_json_string(json) : NULL);
	json_object_put(json);
	free(name);
}

static void recall_course(struct course *course)
{
	char *name = meta_name(course->spec);
	char *text = store_get_meta(course->rollouts->options.store, name);
	static const struct json_limits limits = {.values = 100};
	struct err damaged; /* what cannot be read was never stopped */
	struct json_object *json = text ? json_parse(text, strlen(text), &limits, &damaged) : NULL;

	course->rollout.paused = json_flag(json, "paused");
	course->since_ms = json_number(json, "since");
	course->rollout.stop = rollout_stop_parse(json_text(json, "stop", NULL));
	course->why = xstrdup(json_text(json, "why", NULL));
	json_object_put(json);
	free(text);
	free(name);
}

/* Courses. */

static void on_timer(evutil_socket_t fd, short what, void *arg);

struct course *course_of(struct rollouts *rollouts, const char *spec)
{
	struct course *course;

	HASH_FIND_STR(rollouts->courses, spec, course);
	if (course)
		return course;
	course = xcalloc(1, sizeof(*course));
	course->rollouts = rollouts;
	course->spec = xstrdup(spec);
	course->timer = evtimer_new(rollouts->options.base, on_timer, course);
	recall_course(course);
	HASH_ADD_KEYPTR(hh, rollouts->courses, course->spec, strlen(course->spec), course);
	return course;
}

static void course_free(struct course *course)
{
	HASH_DEL(course->rollouts->courses, course);
	event_free(course->timer);
	free(course->rollout.units);
	free(course->hosts);
	free(course->hold.why);
	free(course->progress);
	free(course->why);
	free(course->spec);
	free(course);
}

static void schedule(struct course *course, int64_t delay_ms)
{
	struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
	int64_t due_ms = clock_monotonic_ms() + delay_ms;

	if (course->due_ms && course->due_ms <= due_ms)
		return;
	course->due_ms = due_ms;
	evtimer_add(course->timer, &delay);
}

void course_stop(struct course *course, enum rollout_stop how, char *why)
{
	course->rollout.stop = how;
	free(course->why);
	course->why = why;
}

/* Seats and units. */

struct seat *rollouts_seat(const struct rollouts *rollouts, const struct instance *instance)
{
	struct seat *seat;

	HASH_FIND_PTR(rollouts->seats, &instance, seat);
	return seat;
}

const struct hold *rollouts_hold(const struct rollouts *rollouts, const struct instance *instance)
{
	const struct seat *seat = rollouts_seat(rollouts, instance);

	return seat ? seat->hold : NULL;
}

void course_each(struct course *course, size_t unit, each_seat *each, void *arg)
{
	size_t n;
	struct instance *const *instances = host_instances(course->hosts[unit], &n);

	for (size_t i = 0; i < n; i++) {
		struct seat *seat = rollouts_seat(course->rollouts, instances[i]);

		if (seat && seat->course == course && seat->unit == unit)
			each(seat, arg);
	}
}

void seat_store(const struct seat *seat)
{
	instance_store(seat->instance, seat->course->rollouts->options.store);
}

static enum rollout_verdict servers_of(const struct instance *instance)
{
	const struct observed_instance *observed = &instance->observed;
	size_t unknown = 0;

	if (!instance->record.served)
		return VERDICT_WELL;
	if (observed->stats != STATS_ANSWERED)
		return VERDICT_UNSURE;
	for (size_t i = 0; i < observed->servers_n; i++) {
		if (observed->servers[i].state == SERVER_UP)
			return VERDICT_WELL;
		unknown += observed->servers[i].state == SERVER_UNKNOWN;
	}
	return unknown ? VERDICT_UNSURE : VERDICT_LOST;
}

static enum rollout_verdict verdict_of(const struct instance *instance)
{
	switch (instance->phase) {
	case PHASE_CONVERGED:
		return servers_of(instance);
	case PHASE_UNREACHABLE:
		return VERDICT_UNREACHABLE;
	case PHASE_FAILED:
	case PHASE_CONFLICT:
		return VERDICT_FAILED;
	default:
		return VERDICT_NONE;
	}
}

/* Of all instances the worst: the first in this order that is among them. */
static void add_verdict(struct seat *seat, void *arg)
{
	static const int order[] = {
		[VERDICT_UNREACHABLE] = 0, [VERDICT_FAILED] = 1, [VERDICT_NONE] = 2,
		[VERDICT_LOST] = 3,        [VERDICT_UNSURE] = 4, [VERDICT_WELL] = 5,
	};
	enum rollout_verdict *worst = arg, verdict = verdict_of(seat->instance);

	/* Nothing is in force of it that could be looked at. */
	if (!seat->instance->held && order[verdict] < order[*worst])
		*worst = verdict;
}

static void write_down(struct seat *seat, void *arg)
{
	const struct rollout_unit *unit = arg;

	seat->instance->record.rollout = (int)unit->state;
	seat_store(seat);
}

void course_note(struct course *course, size_t i)
{
	struct rollout_unit *unit = &course->rollout.units[i];
	enum unit_state before = unit->state;
	enum rollout_verdict verdict = VERDICT_WELL;

	course_each(course, i, add_verdict, &verdict);
	if (!rollout_note(unit, verdict, course->rollout.settings.settle_ms, clock_monotonic_ms()))
		return;
	/* A restart begins to settle anew. */
	if (unit->state != before && !(unit->state == UNIT_SETTLING && before == UNIT_CHANGING))
		course_each(course, i, write_down, unit);
	schedule(course, GATHER_MS);
}

/* What is decided. */

static void find_failure(struct seat *seat, void *arg)
{
	const struct instance *instance = seat->instance;
	char **text = arg;

	if (*text || verdict_of(instance) == VERDICT_WELL)
		return;
	if (verdict_of(instance) == VERDICT_FAILED)
		*text = xasprintf("%s: %s", instance->id, instance->err.message);
	else
		*text = xasprintf(
			"%s: with the change it sees none of its %zu API servers up, and did before",
			instance->id, instance->wanted ? instance->wanted->instance.servers_n : 0);
}

static void revert_seat(struct seat *seat, void *arg)
{
	bool *any = arg;

	*any |= instance_revert(seat->instance);
	seat_store(seat);
}

/* That many of those that keep the change are told by name. */
#define MAX_KEEPERS 10

/* How many have nothing to go back to, and keep the change. *names: the first of them; the caller frees. */
static size_t revert(struct course *course, char **names)
{
	const struct rollouts_options *options = &course->rollouts->options;
	size_t kept = 0, len;
	FILE *out = text_open(names, &len);

	for (size_t i = 0; i < course->rollout.n; i++) {
		struct rollout_unit *unit = &course->rollout.units[i];
		bool any = false;

		if (unit->state == UNIT_WAITING)
			continue;
		course_each(course, i, revert_seat, &any);
		if (any) {
			unit->state = UNIT_WAITING;
			options->changed(options->arg, course->hosts[i]);
		} else if (kept++ < MAX_KEEPERS) {
			fprintf(out, "%s%s", kept > 1 ? ", " : "", host_settings(course->hosts[i])->label);
		}
	}
	if (kept > MAX_KEEPERS)
		fprintf(out, " and %zu more", kept - MAX_KEEPERS);
	text_close(out);
	return kept;
}

/* What becomes of the hosts that were let in. The caller frees. */
static char *stop_all(struct course *course)
{
	size_t kept;
	char *names, *text;

	if (course->rollout.stop != ROLLOUT_REVERTED)
		return xstrdup("");
	kept = revert(course, &names);
	text = xasprintf("; all get back what they had%s%s",
			 kept ? ", but for hosts with nothing to go back to, which keep the change: " : "",
			 names);
	free(names);
	return text;
}

static void fail(struct course *course, const struct rollout_unit *unit)
{
	struct events *events = course->rollouts->options.events;
	bool reverts = course->rollout.settings.on_failure == ROLLOUT_REVERT;
	char *why = NULL, *then;

	course_each(course, (size_t)(unit - course->rollout.units), find_failure, &why);
	if (!why)
		why = xstrdup("a host has failed");
	course_stop(course, reverts ? ROLLOUT_REVERTED : ROLLOUT_HALTED, why);
	then = stop_all(course);
	events_add(events, LOG_LEVEL_ERROR, course->spec, NULL,
		   reverts ? "rollout-reverted" : "rollout-halted", "%zu of %zu hosts were done: %s%s",
		   course->outcome.done, course->rollout.n, why, then);
	free(then);
	course_store(course);
}

static void admit_seat(struct seat *seat, void *arg)
{
	(void)arg;
	if (seat->instance->next)
		instance_admit(seat->instance);
	seat_store(seat);
}

static void act(struct course *course)
{
	const struct rollouts_options *options = &course->rollouts->options;

	for (size_t i = 0; i < course->rollout.n; i++) {
		struct rollout_unit *unit = &course->rollout.units[i];

		if (unit->admit) {
			unit->state = UNIT_CHANGING;
			course_each(course, i, admit_seat, NULL);
			options->changed(options->arg, course->hosts[i]);
		}
		if (unit->look) {
			unit->look_at_ms = 0;
			host_kick(course->hosts[i]);
		}
	}
}

static void set_hold(struct course *course)
{
	const struct rollout *rollout = &course->rollout;
	bool halted = rollout->stop != ROLLOUT_RUNS;
	char *progress;

	free(course->progress);
	progress = rollout_progress(rollout, &course->outcome);
	course->progress = course->partial ? xasprintf("%s; others wait until the spec is valid", progress)
					   : xstrdup(progress);
	free(progress);
	free(course->hold.why);
	course->hold.stopped = rollout->paused || halted;
	if (halted)
		/* Why is said once, of the rollout: it may be long. */
		course->hold.why =
			xasprintf("the rollout was %s, see there", rollout_stop_name(rollout->stop));
	else
		course->hold.why =
			xasprintf("%s: %s", rollout->paused ? "changes are paused" : "waits for its turn",
				  course->progress);
}

static void end_seat(struct seat *seat, void *arg)
{
	(void)arg;
	instance_end_rollout(seat->instance);
	seat->unit = NOT_A_UNIT;
	seat_store(seat);
}

/* All hosts are done, or what is wanted is what they have. */
void course_end(struct course *course, const char *how)
{
	for (size_t i = 0; i < course->rollout.n; i++)
		course_each(course, i, end_seat, NULL);
	course->rollout.n = 0;
	course_stop(course, ROLLOUT_RUNS, NULL);
	course->since_ms = 0;
	course_store(course);
	events_add(course->rollouts->options.events, LOG_LEVEL_INFO, course->spec, NULL, "rollout-done", "%s",
		   how);
}

void course_decide(struct course *course)
{
	struct rollout_outcome *outcome = &course->outcome;
	int64_t now_ms = clock_monotonic_ms();

	rollout_decide(&course->rollout, now_ms, outcome);
	if (outcome->failure) {
		fail(course, outcome->failure);
		rollout_decide(&course->rollout, now_ms, outcome);
	}
	act(course);
	if (outcome->admitted)
		rollout_decide(&course->rollout, now_ms, outcome);
	if (course->rollout.n > 0 && outcome->over && !course->partial) {
		char *how = xasprintf("all of %zu hosts have the change", course->rollout.n);

		course_end(course, how);
		free(how);
		rollout_decide(&course->rollout, now_ms, outcome);
	}
	if (outcome->look_at_ms)
		schedule(course, outcome->look_at_ms - now_ms);
	set_hold(course);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct course *course = arg;

	(void)fd;
	(void)what;
	course->due_ms = 0;
	course_decide(course);
	course->rollouts->options.moved(course->rollouts->options.arg);
}

void rollouts_ran(struct rollouts *rollouts, struct host *host)
{
	size_t n;
	struct instance *const *instances = host_instances(host, &n);

	for (size_t i = 0; i < n; i++) {
		const struct seat *seat = rollouts_seat(rollouts, instances[i]);

		if (seat && seat->unit != NOT_A_UNIT)
			course_note(seat->course, seat->unit);
	}
}

/* What people say. */

bool rollouts_is_paused(struct rollouts *rollouts, const char *spec)
{
	return course_of(rollouts, spec)->rollout.paused;
}

bool rollouts_pause(struct rollouts *rollouts, const char *spec)
{
	struct course *course = course_of(rollouts, spec);

	if (course->rollout.paused)
		return false;
	course->rollout.paused = true;
	course_store(course);
	events_add(rollouts->options.events, LOG_LEVEL_WARNING, spec, NULL, "paused",
		   "changes are held until apilbctl resume %s; repairs go on", spec);
	course_decide(course);
	return true;
}

static void acknowledge(struct course *course)
{
	for (size_t i = 0; i < course->rollout.n; i++) {
		struct rollout_unit *unit = &course->rollout.units[i];

		if (unit->state != UNIT_FAILED)
			continue;
		unit->state = UNIT_ACKNOWLEDGED;
		course_each(course, i, write_down, unit);
	}
}

bool rollouts_resume(struct rollouts *rollouts, const char *spec)
{
	struct course *course = course_of(rollouts, spec);

	if (!course->rollout.paused && course->rollout.stop == ROLLOUT_RUNS)
		return false;
	events_add(rollouts->options.events, LOG_LEVEL_INFO, spec, NULL, "resumed", "%s",
		   course->rollout.stop == ROLLOUT_HALTED     ? "the rollout goes on past what has failed"
		   : course->rollout.stop == ROLLOUT_REVERTED ? "the rollout starts over"
							      : "changes go on");
	course->rollout.paused = false;
	acknowledge(course);
	course_stop(course, ROLLOUT_RUNS, NULL);
	course_store(course);
	schedule(course, 0);
	return true;
}

bool rollouts_are_idle(const struct rollouts *rollouts)
{
	for (const struct course *course = rollouts->courses; course; course = course->hh.next)
		if (course->due_ms || (course->rollout.n > 0 && !course->outcome.idle))
			return false;
	return true;
}

bool rollouts_status(struct rollouts *rollouts, const char *spec, struct status_rollout *status)
{
	struct course *course;
	const struct rollout *rollout;

	HASH_FIND_STR(rollouts->courses, spec, course);
	if (!course || (course->rollout.n == 0 && !course->rollout.paused))
		return false;
	rollout = &course->rollout;
	*status = (struct status_rollout){
		.phase = rollout->stop == ROLLOUT_RUNS && rollout->paused ? "paused"
									  : rollout_stop_name(rollout->stop),
		.done = course->outcome.done,
		.total = rollout->n,
		.changing = course->outcome.changing,
		.unreachable = course->outcome.unreachable,
		.failed = course->outcome.failed,
		.why = course->why       ? course->why
		       : rollout->paused ? course->hold.why
					 : course->progress,
		.stopped = rollout->paused || rollout->stop != ROLLOUT_RUNS,
		.paused = rollout->paused,
		.since_ms = course->since_ms,
	};
	return true;
}

/* Its life. */

struct rollouts *rollouts_new(const struct rollouts_options *options)
{
	struct rollouts *rollouts = xcalloc(1, sizeof(*rollouts));

	rollouts->options = *options;
	return rollouts;
}

void rollouts_free(struct rollouts *rollouts)
{
	struct course *course, *tmp;

	if (!rollouts)
		return;
	HASH_ITER (hh, rollouts->courses, course, tmp)
		course_free(course);
	HASH_CLEAR(hh, rollouts->seats);
	free(rollouts->memory);
	free(rollouts);
}
