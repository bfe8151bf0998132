/* What the specs in force want of the hosts. */
#include <stdlib.h>
#include <string.h>

#include "daemon/core/spec_state.h"
#include "daemon/fleet_internal.h"

/* Most of what is wanted stays as it was when specs change: then it is the very same, also for a job that is
 * under way. */
static struct wanted *wanted_for(struct fleet *fleet, struct member *member, const struct spec *spec,
				 const struct spec_instance *instance)
{
	const struct instance *known = host_find(member->host, instance->name);
	const char *adopt_id = instance->adopted ? instance->adopted->container_id : NULL;

	if (known && known->next && wanted_is_for(known->next, spec->name, instance, adopt_id))
		return wanted_ref(known->next);
	if (known && known->wanted && wanted_is_for(known->wanted, spec->name, instance, adopt_id))
		return wanted_ref(known->wanted);
	return wanted_new(fleet->options.settings->owner, spec->name, instance, adopt_id);
}

/* A change on this host waits: what else the spec has there may need what it gives up, a port or a path. */
static bool host_waits(struct host *host, const char *spec)
{
	size_t n;
	struct instance *const *instances = host_instances(host, &n);

	for (size_t i = 0; i < n; i++)
		if (instances[i]->mentioned && instances[i]->next && !instance_is_new(instances[i]) &&
		    strcmp(instances[i]->spec, spec) == 0)
			return true;
	return false;
}

static void want(struct fleet *fleet, const struct spec *spec, const struct spec_instance *instance)
{
	struct member *member = fleet_member_for(fleet, &instance->host);
	const struct instance *known = host_find(member->host, instance->name);
	struct wanted *wanted = wanted_for(fleet, member, spec, instance);
	bool is_new = !known || instance_is_new(known);
	bool hold = rollouts_is_paused(fleet->rollouts, spec->name) ||
		    (is_new && host_waits(member->host, spec->name));
	bool todo;

	if (!member->seen)
		host_configure(member->host, &instance->host);
	member->seen = true;
	host_wish(member->host, instance->name, wanted, hold, &todo)->mentioned = true;
	if (todo)
		fleet_make_due(fleet, member);
	wanted_unref(wanted);
}

/* What is there already comes first: what is new on its host may have to wait with it. */
static void want_all(struct fleet *fleet, const struct spec *spec, bool is_new)
{
	for (size_t i = 0; i < spec->instances_n; i++) {
		const struct spec_instance *instance = &spec->instances[i];
		struct member *member = fleet_member_for(fleet, &instance->host);
		const struct instance *known = host_find(member->host, instance->name);

		if ((!known || !known->mentioned) && (!known || instance_is_new(known)) == is_new)
			want(fleet, spec, instance);
	}
}

/* Its newest version may be what such a host has; the last good one that the store knows may be older. */
static const struct hold waits_for_file = {
	.stopped = true,
	.why = (char *)"its host has another version than the store knows, and the newest one of the spec is "
		       "not valid",
};

static void meet_all(struct fleet *fleet, const struct spec_file *file)
{
	const struct spec *spec = file->spec;

	for (size_t i = 0; i < spec->instances_n; i++) {
		struct host *host = fleet_member_for(fleet, &spec->instances[i].host)->host;
		struct instance *instance = host_find(host, spec->instances[i].name);

		if (instance->as_found && file->errors.n > 0)
			rollouts_skip(fleet->rollouts, instance, &waits_for_file);
		else
			rollouts_meet(fleet->rollouts, spec, host, instance);
	}
}

/* What `state` names and the list does not: that is how flexkube is told to remove it. */
static void drop(struct fleet *fleet, const struct spec *spec, const struct spec_state_entry *entry)
{
	struct member *member = fleet_member_for(fleet, &entry->host);

	if (!member->seen)
		host_configure(member->host, &entry->host);
	member->seen = true;
	if (host_drop(member->host, spec->name, entry->name, entry->container_id)) {
		fleet_make_due(fleet, member);
	}
}

static void apply_state(struct fleet *fleet, const struct spec *spec)
{
	for (size_t i = 0; i < spec->state_n; i++)
		if (spec_state_is_left(&spec->state[i]))
			drop(fleet, spec, &spec->state[i]);
}

/* Whatever no spec in force names any more goes, unless its spec has had no say yet, or is paused. */
static void unwant_rest(struct fleet *fleet, struct member *member)
{
	size_t n;
	struct instance *const *instances = host_instances(member->host, &n);

	/* From the end: one that nothing was ever done for goes at once, and the last takes its place. */
	for (size_t i = n; i-- > 0;) {
		struct instance *instance = instances[i];

		if (instance->mentioned || !specs_may_remove(fleet->specs, instance->record.spec))
			continue;
		if (instance->wanted && rollouts_is_paused(fleet->rollouts, instance->record.spec)) {
			rollouts_keep(fleet->rollouts, instance);
			/* Known from before a restart: it is looked after like any other. */
			if (instance->held)
				fleet_make_due(fleet, member);
			instance->held = false;
		} else if (host_unwant(member->host, instance)) {
			fleet_make_due(fleet, member);
		}
	}
}

static void forget_mentions(struct member *member)
{
	size_t n;
	struct instance *const *instances = host_instances(member->host, &n);

	member->seen = false;
	for (size_t i = 0; i < n; i++) {
		instances[i]->mentioned = instances[i]->kept = false;
		instances[i]->course = NULL;
		instances[i]->unit = NOT_A_UNIT;
		instances[i]->hold = NULL;
	}
}

void fleet_apply_specs(struct fleet *fleet)
{
	size_t n;
	struct spec_file *const *files = specs_files(fleet->specs, &n);
	struct member *member, *tmp;

	fleet->holding++;
	specs_count_sharers(fleet->specs);
	rollouts_begin(fleet->rollouts);
	HASH_ITER (hh, fleet->members, member, tmp)
		forget_mentions(member);
	for (int is_new = 0; is_new <= 1; is_new++)
		for (size_t i = 0; i < n; i++)
			if (files[i]->spec)
				want_all(fleet, files[i]->spec, is_new);
	for (size_t i = 0; i < n; i++)
		if (files[i]->spec && !rollouts_is_paused(fleet->rollouts, files[i]->name))
			apply_state(fleet, files[i]->spec);
	for (size_t i = 0; i < n; i++)
		if (files[i]->spec)
			meet_all(fleet, files[i]);
	HASH_ITER (hh, fleet->members, member, tmp)
		unwant_rest(fleet, member);
	rollouts_end(fleet->rollouts);
	fleet->holding--;
	fleet_fill_places(fleet);
}
