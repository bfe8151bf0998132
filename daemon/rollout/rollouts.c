#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/text.h"
#include "daemon/io/clock.h"
#include "daemon/rollout/rollouts_internal.h"

/* Many hosts end their runs at about the same time: one decision is made for all of them, since each decision
 * goes over all units. */
#define GATHER_MS 10

/* A spec's rollout in the store. */

static char *meta_name(const char *spec)
{
	return xasprintf("rollout %s", spec);
}

void spec_rollout_store(const struct spec_rollout *spec_rollout)
{
	struct json_object *json = json_object_new_object();
	char *name = meta_name(spec_rollout->spec);

	json_object_object_add(json, "paused", json_object_new_boolean(spec_rollout->rollout.paused));
	json_object_object_add(json, "since", json_object_new_int64(spec_rollout->since_ms));
	json_add_text(json, "stop", rollout_stop_name(spec_rollout->rollout.stop));
	json_add_text(json, "why", spec_rollout->why);
	store_put_meta(spec_rollout->rollouts->options.store, name,
		       spec_rollout->rollout.paused || spec_rollout->since_ms
			       ? json_object_to_json_string(json)
			       : NULL);
	json_object_put(json);
	free(name);
}

static void recall(struct spec_rollout *spec_rollout)
{
	char *name = meta_name(spec_rollout->spec);
	char *text = store_get_meta(spec_rollout->rollouts->options.store, name);
	static const struct json_limits limits = {.values = 100};
	struct err damaged; /* ignored: a rollout that cannot be read counts as never stopped */
	struct json_object *json = text ? json_parse(text, strlen(text), &limits, &damaged) : NULL;

	spec_rollout->rollout.paused = json_flag(json, "paused");
	spec_rollout->since_ms = json_number(json, "since");
	spec_rollout->rollout.stop = rollout_stop_parse(json_text(json, "stop", NULL));
	spec_rollout->why = xstrdup(json_text(json, "why", NULL));
	json_object_put(json);
	free(text);
	free(name);
}

/* The rollouts of specs. */

static void on_timer(evutil_socket_t fd, short what, void *arg);

struct spec_rollout *spec_rollout_of(struct rollouts *rollouts, const char *spec)
{
	struct spec_rollout *spec_rollout;

	HASH_FIND_STR(rollouts->by_spec, spec, spec_rollout);
	if (spec_rollout)
		return spec_rollout;
	spec_rollout = xcalloc(1, sizeof(*spec_rollout));
	spec_rollout->rollouts = rollouts;
	spec_rollout->spec = xstrdup(spec);
	spec_rollout->timer = evtimer_new(rollouts->options.base, on_timer, spec_rollout);
	recall(spec_rollout);
	HASH_ADD_KEYPTR(hh, rollouts->by_spec, spec_rollout->spec, strlen(spec_rollout->spec), spec_rollout);
	return spec_rollout;
}

void spec_rollout_free(struct spec_rollout *spec_rollout)
{
	HASH_DEL(spec_rollout->rollouts->by_spec, spec_rollout);
	event_free(spec_rollout->timer);
	free(spec_rollout->rollout.units);
	free(spec_rollout->hosts);
	free(spec_rollout->hold.why);
	free(spec_rollout->progress);
	free(spec_rollout->why);
	free(spec_rollout->spec);
	free(spec_rollout);
}

static void schedule(struct spec_rollout *spec_rollout, int64_t delay_ms)
{
	struct timeval delay = clock_timeval(delay_ms);
	int64_t due_ms = clock_ms() + delay_ms;

	if (spec_rollout->due_ms && spec_rollout->due_ms <= due_ms)
		return;
	spec_rollout->due_ms = due_ms;
	evtimer_add(spec_rollout->timer, &delay);
}

void spec_rollout_stop(struct spec_rollout *spec_rollout, enum rollout_stop how, char *why)
{
	spec_rollout->rollout.stop = how;
	free(spec_rollout->why);
	spec_rollout->why = why;
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

void spec_rollout_each(struct spec_rollout *spec_rollout, size_t unit, each_seat *each, void *arg)
{
	size_t n;
	struct instance *const *instances = host_instances(spec_rollout->hosts[unit], &n);

	for (size_t i = 0; i < n; i++) {
		struct seat *seat = rollouts_seat(spec_rollout->rollouts, instances[i]);

		if (seat && seat->spec_rollout == spec_rollout && seat->unit == unit)
			each(seat, arg);
	}
}

void seat_store(const struct seat *seat)
{
	instance_store(seat->instance, seat->spec_rollout->rollouts->options.store);
}

/* Finds the worst verdict of all instances: the first in this order. */
static void add_verdict(struct seat *seat, void *arg)
{
	static const int order[] = {
		[VERDICT_UNREACHABLE] = 0, [VERDICT_FAILED] = 1, [VERDICT_NONE] = 2,
		[VERDICT_LOST] = 3,        [VERDICT_UNSURE] = 4, [VERDICT_WELL] = 5,
	};
	enum rollout_verdict *worst = arg, verdict = instance_rollout_verdict(seat->instance);

	if (order[verdict] < order[*worst])
		*worst = verdict;
}

static void store_unit_state(struct seat *seat, void *arg)
{
	const struct rollout_unit *unit = arg;

	instance_note_unit(seat->instance, unit->state);
	seat_store(seat);
}

void spec_rollout_note(struct spec_rollout *spec_rollout, size_t i)
{
	struct rollout_unit *unit = &spec_rollout->rollout.units[i];
	enum unit_state before = unit->state;
	enum rollout_verdict verdict = VERDICT_WELL;

	spec_rollout_each(spec_rollout, i, add_verdict, &verdict);
	if (!rollout_note(unit, verdict, spec_rollout->rollout.settings.settle_ms, clock_ms()))
		return;
	/* That a unit settles is not stored: after a restart it settles from the beginning. */
	if (unit->state != before && !(unit->state == UNIT_SETTLING && before == UNIT_CHANGING))
		spec_rollout_each(spec_rollout, i, store_unit_state, unit);
	schedule(spec_rollout, GATHER_MS);
}

/* Carrying decisions out. */

/* Of several balancers on a host one has failed, and others may be in the middle of something. */

static void find_error(struct seat *seat, void *arg)
{
	const struct err *err = &instance_verdict(seat->instance)->err;
	char **text = arg;

	if (!*text && err->kind != ERR_NONE)
		*text = xasprintf("%s: %s", instance_identity(seat->instance)->id, err->message);
}

static void find_lost(struct seat *seat, void *arg)
{
	enum rollout_verdict verdict = instance_rollout_verdict(seat->instance);
	const struct wanted *wanted = instance_revision(seat->instance)->in_force;
	char **text = arg;

	if (!*text && wanted && (verdict == VERDICT_LOST || verdict == VERDICT_UNSURE))
		*text = xasprintf(
			"%s: since the change it sees none of its %zu API servers up; before, it saw some",
			instance_identity(seat->instance)->id, wanted->instance.servers_n);
}

/* Why this unit has failed. The caller frees. */
static char *failure_of(struct spec_rollout *spec_rollout, size_t unit)
{
	char *why = NULL;

	spec_rollout_each(spec_rollout, unit, find_error, &why);
	if (!why)
		spec_rollout_each(spec_rollout, unit, find_lost, &why);
	return why ? why : xstrdup("a host has failed");
}

static void revert_seat(struct seat *seat, void *arg)
{
	bool *any = arg;

	*any |= instance_revert(seat->instance);
	seat_store(seat);
}

/* The most hosts that an event lists. */
#define MAX_KEEPERS 10

/* Gives back the former version to all hosts that have the change. Returns the number of hosts without a
 * former version, which keep the change; *names lists the first of them, and the caller frees it. */
static size_t revert(struct spec_rollout *spec_rollout, char **names)
{
	const struct rollouts_options *options = &spec_rollout->rollouts->options;
	size_t kept = 0, len;
	FILE *out = text_open(names, &len);

	for (size_t i = 0; i < spec_rollout->rollout.n; i++) {
		struct rollout_unit *unit = &spec_rollout->rollout.units[i];
		bool any = false;

		if (unit->state == UNIT_WAITING)
			continue;
		spec_rollout_each(spec_rollout, i, revert_seat, &any);
		if (any) {
			unit->state = UNIT_WAITING;
			options->changed(options->arg, spec_rollout->hosts[i]);
		} else if (kept++ < MAX_KEEPERS) {
			fprintf(out, "%s%s", kept > 1 ? ", " : "",
				host_settings(spec_rollout->hosts[i])->label);
		}
	}
	if (kept > MAX_KEEPERS)
		fprintf(out, " and %zu more", kept - MAX_KEEPERS);
	text_close(out);
	return kept;
}

/* Reverts a rollout that is to be reverted. Returns what to add to the event; the caller frees. */
static char *revert_if_asked(struct spec_rollout *spec_rollout)
{
	size_t kept;
	char *names, *text;

	if (spec_rollout->rollout.stop != ROLLOUT_REVERTED)
		return xstrdup("");
	kept = revert(spec_rollout, &names);
	text = xasprintf("; all get their former version back%s%s",
			 kept ? ", except hosts that have none, which keep the change: " : "", names);
	free(names);
	return text;
}

static void fail(struct spec_rollout *spec_rollout, const struct rollout_unit *unit)
{
	struct events *events = spec_rollout->rollouts->options.events;
	bool reverts = spec_rollout->rollout.settings.on_failure == ROLLOUT_REVERT;
	char *why = failure_of(spec_rollout, (size_t)(unit - spec_rollout->rollout.units)), *then;

	spec_rollout_stop(spec_rollout, reverts ? ROLLOUT_REVERTED : ROLLOUT_HALTED, why);
	then = revert_if_asked(spec_rollout);
	events_add(events, LOG_LEVEL_ERROR, spec_rollout->spec, NULL,
		   reverts ? "rollout-reverted" : "rollout-halted", "%zu of %zu hosts were done: %s%s",
		   spec_rollout->outcome.done, spec_rollout->rollout.n, why, then);
	free(then);
	spec_rollout_store(spec_rollout);
}

static void admit_seat(struct seat *seat, void *arg)
{
	(void)arg;
	instance_admit(seat->instance);
	seat_store(seat);
}

static void act(struct spec_rollout *spec_rollout)
{
	const struct rollouts_options *options = &spec_rollout->rollouts->options;

	for (size_t i = 0; i < spec_rollout->rollout.n; i++) {
		struct rollout_unit *unit = &spec_rollout->rollout.units[i];

		if (unit->admit) {
			unit->state = UNIT_CHANGING;
			spec_rollout_each(spec_rollout, i, admit_seat, NULL);
			options->changed(options->arg, spec_rollout->hosts[i]);
		}
		if (unit->look) {
			unit->look_at_ms = 0;
			host_kick(spec_rollout->hosts[i]);
		}
	}
}

static void set_hold(struct spec_rollout *spec_rollout)
{
	const struct rollout *rollout = &spec_rollout->rollout;
	bool halted = rollout->stop != ROLLOUT_RUNS;
	char *progress;

	free(spec_rollout->progress);
	progress = rollout_progress(rollout, &spec_rollout->outcome);
	spec_rollout->progress = spec_rollout->partial
					 ? xasprintf("%s; others wait until the spec is valid", progress)
					 : xstrdup(progress);
	free(progress);
	free(spec_rollout->hold.why);
	spec_rollout->hold.stopped = rollout->paused || halted;
	if (halted)
		/* The reason may be long: it is said once, for the rollout, not for each balancer. */
		spec_rollout->hold.why =
			xasprintf("the rollout was %s: see the spec", rollout_stop_name(rollout->stop));
	else
		spec_rollout->hold.why =
			xasprintf("%s: %s", rollout->paused ? "changes are paused" : "waits for its turn",
				  spec_rollout->progress);
}

static void end_seat(struct seat *seat, void *arg)
{
	(void)arg;
	instance_end_rollout(seat->instance);
	seat->unit = NOT_A_UNIT;
	seat_store(seat);
}

void spec_rollout_end(struct spec_rollout *spec_rollout, const char *how)
{
	for (size_t i = 0; i < spec_rollout->rollout.n; i++)
		spec_rollout_each(spec_rollout, i, end_seat, NULL);
	spec_rollout->rollout.n = 0;
	spec_rollout_stop(spec_rollout, ROLLOUT_RUNS, NULL);
	spec_rollout->since_ms = 0;
	spec_rollout_store(spec_rollout);
	events_add(spec_rollout->rollouts->options.events, LOG_LEVEL_INFO, spec_rollout->spec, NULL,
		   "rollout-done", "%s", how);
}

void spec_rollout_decide(struct spec_rollout *spec_rollout)
{
	struct rollout_outcome *outcome = &spec_rollout->outcome;
	int64_t now_ms = clock_ms();

	rollout_decide(&spec_rollout->rollout, now_ms, outcome);
	if (outcome->failure) {
		fail(spec_rollout, outcome->failure);
		rollout_decide(&spec_rollout->rollout, now_ms, outcome);
	}
	act(spec_rollout);
	if (outcome->admitted)
		rollout_decide(&spec_rollout->rollout, now_ms, outcome);
	if (spec_rollout->rollout.n > 0 && outcome->over && !spec_rollout->partial) {
		char *how = xasprintf("all of %zu hosts have the change", spec_rollout->rollout.n);

		spec_rollout_end(spec_rollout, how);
		free(how);
		rollout_decide(&spec_rollout->rollout, now_ms, outcome);
	}
	if (outcome->look_at_ms)
		schedule(spec_rollout, outcome->look_at_ms - now_ms);
	set_hold(spec_rollout);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct spec_rollout *spec_rollout = arg;

	(void)fd;
	(void)what;
	spec_rollout->due_ms = 0;
	spec_rollout_decide(spec_rollout);
	spec_rollout->rollouts->options.moved(spec_rollout->rollouts->options.arg);
}

void rollouts_ran(struct rollouts *rollouts, struct host *host)
{
	size_t n;
	struct instance *const *instances = host_instances(host, &n);

	for (size_t i = 0; i < n; i++) {
		const struct seat *seat = rollouts_seat(rollouts, instances[i]);

		if (seat && seat->unit != NOT_A_UNIT)
			spec_rollout_note(seat->spec_rollout, seat->unit);
	}
}

/* Pause and resume. */

bool rollouts_is_paused(struct rollouts *rollouts, const char *spec)
{
	return spec_rollout_of(rollouts, spec)->rollout.paused;
}

bool rollouts_pause(struct rollouts *rollouts, const char *spec)
{
	struct spec_rollout *spec_rollout = spec_rollout_of(rollouts, spec);

	if (spec_rollout->rollout.paused)
		return false;
	spec_rollout->rollout.paused = true;
	spec_rollout_store(spec_rollout);
	events_add(rollouts->options.events, LOG_LEVEL_WARNING, spec, NULL, "paused",
		   "changes are held until apilbctl resume %s; repairs go on", spec);
	spec_rollout_decide(spec_rollout);
	return true;
}

static void acknowledge(struct spec_rollout *spec_rollout)
{
	for (size_t i = 0; i < spec_rollout->rollout.n; i++) {
		struct rollout_unit *unit = &spec_rollout->rollout.units[i];

		if (unit->state != UNIT_FAILED)
			continue;
		unit->state = UNIT_ACKNOWLEDGED;
		spec_rollout_each(spec_rollout, i, store_unit_state, unit);
	}
}

bool rollouts_resume(struct rollouts *rollouts, const char *spec)
{
	struct spec_rollout *spec_rollout = spec_rollout_of(rollouts, spec);

	if (!spec_rollout->rollout.paused && spec_rollout->rollout.stop == ROLLOUT_RUNS)
		return false;
	events_add(rollouts->options.events, LOG_LEVEL_INFO, spec, NULL, "resumed", "%s",
		   spec_rollout->rollout.stop == ROLLOUT_HALTED
			   ? "the rollout goes on past the hosts that have failed"
		   : spec_rollout->rollout.stop == ROLLOUT_REVERTED ? "the rollout starts over"
								    : "changes go on");
	spec_rollout->rollout.paused = false;
	acknowledge(spec_rollout);
	spec_rollout_stop(spec_rollout, ROLLOUT_RUNS, NULL);
	spec_rollout_store(spec_rollout);
	schedule(spec_rollout, 0);
	return true;
}

bool rollouts_are_idle(const struct rollouts *rollouts)
{
	for (const struct spec_rollout *spec_rollout = rollouts->by_spec; spec_rollout;
	     spec_rollout = spec_rollout->hh.next)
		if (spec_rollout->due_ms || (spec_rollout->rollout.n > 0 && !spec_rollout->outcome.idle))
			return false;
	return true;
}

bool rollouts_status(struct rollouts *rollouts, const char *spec, struct status_rollout *status)
{
	struct spec_rollout *spec_rollout;
	const struct rollout *rollout;

	HASH_FIND_STR(rollouts->by_spec, spec, spec_rollout);
	if (!spec_rollout || (spec_rollout->rollout.n == 0 && !spec_rollout->rollout.paused))
		return false;
	rollout = &spec_rollout->rollout;
	*status = (struct status_rollout){
		.phase = rollout->stop == ROLLOUT_RUNS && rollout->paused ? "paused"
									  : rollout_stop_name(rollout->stop),
		.done = spec_rollout->outcome.done,
		.total = rollout->n,
		.changing = spec_rollout->outcome.changing,
		.unreachable = spec_rollout->outcome.unreachable,
		.failed = spec_rollout->outcome.failed,
		.why = spec_rollout->why ? spec_rollout->why
		       : rollout->paused ? spec_rollout->hold.why
					 : spec_rollout->progress,
		.stopped = rollout->paused || rollout->stop != ROLLOUT_RUNS,
		.paused = rollout->paused,
		.since_ms = spec_rollout->since_ms,
	};
	return true;
}

/* Making and freeing. */

struct rollouts *rollouts_new(const struct rollouts_options *options)
{
	struct rollouts *rollouts = xcalloc(1, sizeof(*rollouts));

	rollouts->options = *options;
	return rollouts;
}

void rollouts_free(struct rollouts *rollouts)
{
	struct spec_rollout *spec_rollout, *tmp;

	if (!rollouts)
		return;
	HASH_ITER (hh, rollouts->by_spec, spec_rollout, tmp)
		spec_rollout_free(spec_rollout);
	HASH_CLEAR(hh, rollouts->seats);
	free(rollouts->all_seats);
	free(rollouts);
}
