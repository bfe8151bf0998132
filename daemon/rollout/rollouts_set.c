/* Finds out which hosts are to change, from what the specs want, and starts rollouts. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/rollout/rollouts_internal.h"

static void begin(struct rollouts *rollouts, size_t n)
{
	struct spec_rollout *spec_rollout, *tmp;

	HASH_ITER (hh, rollouts->by_spec, spec_rollout, tmp) {
		spec_rollout->partial = false;
		spec_rollout->seats_n = 0;
		spec_rollout->rollout.n = spec_rollout->rollout.hosts = 0;
	}
	/* The instances of the last seats may have been freed. */
	HASH_CLEAR(hh, rollouts->seats);
	free(rollouts->all_seats);
	rollouts->all_seats = xcalloc(n + 1, sizeof(*rollouts->all_seats));
}

static bool has_part(const struct instance *instance)
{
	enum unit_state state = instance_unit_state(instance);

	return state != UNIT_OUT && state != UNIT_REVERTING;
}

/* The host's unit, if an instance on the host has joined the rollout; else NOT_A_UNIT. *is_new: no instance
 * of the spec on this host has a seat yet. */
static size_t unit_on(const struct spec_rollout *spec_rollout, const struct host *host, bool *is_new)
{
	size_t n, unit = NOT_A_UNIT;
	struct instance *const *instances = host_instances(host, &n);

	*is_new = true;
	for (size_t i = 0; i < n; i++) {
		const struct seat *seat = rollouts_seat(spec_rollout->rollouts, instances[i]);

		if (!seat || seat->spec_rollout != spec_rollout)
			continue;
		*is_new = false;
		if (seat->unit != NOT_A_UNIT)
			unit = seat->unit;
	}
	return unit;
}

static size_t add_unit(struct spec_rollout *spec_rollout, struct host *host)
{
	struct rollout *rollout = &spec_rollout->rollout;

	rollout->units = xgrow(rollout->units, rollout->n, sizeof(*rollout->units));
	spec_rollout->hosts = xgrow(spec_rollout->hosts, rollout->n, sizeof(struct host *));
	rollout->units[rollout->n] = (struct rollout_unit){.state = UNIT_OUT};
	spec_rollout->hosts[rollout->n] = host;
	return rollout->n++;
}

/* A unit changes as a whole: if one of its instances waits for its turn, the unit waits. */
static void join_unit(struct rollout_unit *unit, const struct instance *instance)
{
	enum unit_state state = instance_unit_state(instance);

	if (state == UNIT_SETTLING)
		state = UNIT_CHANGING;
	if (unit->state == UNIT_OUT || state == UNIT_WAITING ||
	    (unit->state != UNIT_WAITING && state == UNIT_CHANGING))
		unit->state = state;
}

static void take_part(struct spec_rollout *spec_rollout, struct seat *seat, const struct rollout_part *part)
{
	bool is_new;
	size_t unit = unit_on(spec_rollout, part->host, &is_new);

	spec_rollout->edited |= instance_let_in(part->instance) || part->edited;
	spec_rollout->rollout.settings = part->spec->rollout;
	spec_rollout->rollout.hosts += is_new;
	seat->spec_rollout = spec_rollout;
	if (!has_part(part->instance))
		return;
	seat->unit = unit != NOT_A_UNIT ? unit : add_unit(spec_rollout, part->host);
	join_unit(&spec_rollout->rollout.units[seat->unit], part->instance);
}

/* Such a host may have the newest version already, from before the store was lost; the last good version that
 * the store knows may be older. */
static const struct hold waits_for_file = {
	.stopped = true,
	.why = (char *)"its host has another version than the store knows, and the newest one of the spec is "
		       "not valid",
};

static void leave_out(struct spec_rollout *spec_rollout, struct seat *seat, const struct rollout_part *part)
{
	spec_rollout->partial = true;
	instance_leave_out(part->instance, part->edited);
	seat->hold = &waits_for_file;
}

static void seat_part(struct rollouts *rollouts, struct seat *seat, const struct rollout_part *part)
{
	struct spec_rollout *spec_rollout =
		spec_rollout_of(rollouts, instance_identity(part->instance)->spec);

	*seat = (struct seat){.instance = part->instance, .unit = NOT_A_UNIT, .hold = &spec_rollout->hold};
	if (part->kind == PART_WANTED)
		take_part(spec_rollout, seat, part);
	else if (part->kind == PART_LEFT_OUT)
		leave_out(spec_rollout, seat, part);
	spec_rollout->seats_n++;
	HASH_ADD_PTR(rollouts->seats, instance, seat);
}

static void start_over_seat(struct seat *seat, void *arg)
{
	const struct rollout_unit *unit = arg;
	bool waits = instance_revision(seat->instance)->next != NULL;

	instance_start_over(seat->instance);
	seat->unit = unit && waits ? (size_t)(unit - seat->spec_rollout->rollout.units) : NOT_A_UNIT;
	seat_store(seat);
}

/* Starts over with the hosts that wait for their turn; a host that has been let in leaves the rollout. */
static void start_over(struct spec_rollout *spec_rollout)
{
	struct rollout *rollout = &spec_rollout->rollout;
	size_t n = 0;

	for (size_t i = 0; i < rollout->n; i++) {
		struct rollout_unit *unit =
			rollout->units[i].state == UNIT_WAITING ? &rollout->units[n] : NULL;

		spec_rollout_each(spec_rollout, i, start_over_seat, unit);
		if (!unit)
			continue;
		*unit = (struct rollout_unit){.state = UNIT_WAITING};
		spec_rollout->hosts[n++] = spec_rollout->hosts[i];
	}
	rollout->n = n;
	spec_rollout_stop(spec_rollout, ROLLOUT_RUNS, NULL);
	spec_rollout->since_ms = n > 0 ? clock_now_ms() : 0;
}

static void tell_start(const struct spec_rollout *spec_rollout)
{
	const struct rollout *rollout = &spec_rollout->rollout;

	events_add(spec_rollout->rollouts->options.events, LOG_LEVEL_INFO, spec_rollout->spec, NULL,
		   "rollout-started", "%zu of %zu hosts are to change%s", rollout->n, rollout->hosts,
		   rollout->paused ? ", once the spec is resumed (apilbctl resume)" : "");
}

static void go_on(struct spec_rollout *spec_rollout)
{
	bool was_under_way = spec_rollout->since_ms != 0;
	bool starts = spec_rollout->edited || !was_under_way;

	if (spec_rollout->edited && spec_rollout->rollout.n > 0)
		start_over(spec_rollout);
	spec_rollout->edited = false;
	if (spec_rollout->rollout.n > 0 && starts)
		tell_start(spec_rollout);
	/* A rollout may also begin without an edit: hosts were found to have other versions than the store
	 * knows. */
	if (spec_rollout->rollout.n > 0 && !spec_rollout->since_ms)
		spec_rollout->since_ms = clock_now_ms();
	if (spec_rollout->rollout.n == 0 && was_under_way && !spec_rollout->partial)
		spec_rollout_end(spec_rollout, "all hosts have what is wanted: nothing is left to change");
	spec_rollout_store(spec_rollout);
	for (size_t i = 0; i < spec_rollout->rollout.n; i++)
		spec_rollout_note(spec_rollout, i);
	spec_rollout_decide(spec_rollout);
}

/* Nothing is known of the spec that the next call for it would not find out. */
static bool is_of_no_use(const struct spec_rollout *spec_rollout)
{
	return spec_rollout->seats_n == 0 && !spec_rollout->rollout.paused && !spec_rollout->since_ms &&
	       !spec_rollout->due_ms;
}

/* Specs come and go under ever new names. */
static void drop_useless(struct rollouts *rollouts)
{
	struct spec_rollout *spec_rollout, *tmp;

	HASH_ITER (hh, rollouts->by_spec, spec_rollout, tmp)
		if (is_of_no_use(spec_rollout))
			spec_rollout_free(spec_rollout);
}

void rollouts_set(struct rollouts *rollouts, const struct rollout_part *parts, size_t n)
{
	struct spec_rollout *spec_rollout, *tmp;

	begin(rollouts, n);
	for (size_t i = 0; i < n; i++)
		seat_part(rollouts, &rollouts->all_seats[i], &parts[i]);
	HASH_ITER (hh, rollouts->by_spec, spec_rollout, tmp)
		if (spec_rollout->rollout.hosts > 0 || spec_rollout->partial || spec_rollout->since_ms ||
		    spec_rollout->rollout.paused)
			go_on(spec_rollout);
	drop_useless(rollouts);
}
