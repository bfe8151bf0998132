/* Applies the specs in force: core/assign decides what follows from them, and this file carries it out. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/assign.h"
#include "daemon/core/spec/spec_state.h"
#include "daemon/fleet/fleet_internal.h"

/* The items that assign is told of. */

struct wish {
	struct fleet_host *fleet_host;
	const struct spec *spec;
	const struct spec_instance *said;
	struct wanted *wanted;
	/* Set when the decision is carried out. */
	struct instance *instance; /* NULL: another wish has the host and name */
	bool edited, left_out;
};

struct leftover {
	char *host; /* the key of its host, which is added to the fleet only if there is something to do */
	const struct spec *spec;
	const struct spec_state_entry *entry;
};

struct known {
	struct fleet_host *fleet_host;
	struct instance *instance;
	bool kept;
};

/* One application of the specs. wishes[i] is told to assign as told_wishes[i], and so are the others. */
struct application {
	struct fleet *fleet;
	struct wish *wishes;
	struct assign_wish *told_wishes;
	struct leftover *leftovers;
	struct assign_leftover *told_leftovers;
	struct known *known;
	struct assign_known *told_known;
	struct assign_world world;
};

/* Telling assign. */

/* Most of what is wanted stays as it was when specs change: then it need not be rendered anew. */
static struct wanted *wanted_for(struct fleet *fleet, struct fleet_host *fleet_host, const struct spec *spec,
				 const struct spec_instance *instance)
{
	const struct instance *known = host_find(fleet_host->host, instance->name);
	const struct instance_revision *revision = known ? instance_revision(known) : NULL;
	const char *adopt_id = instance->adopted ? instance->adopted->container_id : NULL;

	if (revision && revision->next && wanted_is_for(revision->next, spec->name, instance, adopt_id))
		return wanted_ref(revision->next);
	if (revision && revision->in_force &&
	    wanted_is_for(revision->in_force, spec->name, instance, adopt_id))
		return wanted_ref(revision->in_force);
	return wanted_new(fleet->options.settings->owner, spec->name, instance, adopt_id);
}

static void tell_wish(struct application *all, const struct spec_file *file, size_t i)
{
	const struct spec_instance *said = &file->spec->instances[i];
	struct fleet_host *fleet_host = fleet_host_for(all->fleet, &said->host);
	struct wanted *wanted = wanted_for(all->fleet, fleet_host, file->spec, said);
	size_t at = all->world.wishes_n++;

	all->wishes[at] = (struct wish){
		.fleet_host = fleet_host,
		.spec = file->spec,
		.said = said,
		.wanted = wanted,
	};
	all->told_wishes[at] = (struct assign_wish){
		.host = fleet_host->key,
		.name = said->name,
		.spec = file->spec->name,
		.version = wanted->version,
		.paused = rollouts_is_paused(all->fleet->rollouts, file->spec->name),
		.faulty = file->errors.n > 0,
	};
}

static void tell_leftover(struct application *all, const struct spec *spec,
			  const struct spec_state_entry *entry)
{
	char *host;
	size_t at;

	if (!spec_state_is_left(entry))
		return;
	host = fleet_host_key(&entry->host);
	at = all->world.leftovers_n++;
	all->leftovers[at] = (struct leftover){.host = host, .spec = spec, .entry = entry};
	all->told_leftovers[at] = (struct assign_leftover){
		.host = host,
		.name = entry->name,
		.paused = rollouts_is_paused(all->fleet->rollouts, spec->name),
	};
}

static void tell_specs(struct application *all)
{
	size_t n, wishes = 0, leftovers = 0;
	const struct spec_file *const *files = specs_files(all->fleet->specs, &n);

	for (size_t i = 0; i < n; i++) {
		wishes += files[i]->spec ? files[i]->spec->instances_n : 0;
		leftovers += files[i]->spec ? files[i]->spec->state_n : 0;
	}
	all->wishes = xcalloc(wishes + 1, sizeof(*all->wishes));
	all->told_wishes = xcalloc(wishes + 1, sizeof(*all->told_wishes));
	all->leftovers = xcalloc(leftovers + 1, sizeof(*all->leftovers));
	all->told_leftovers = xcalloc(leftovers + 1, sizeof(*all->told_leftovers));
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; files[i]->spec && j < files[i]->spec->instances_n; j++)
			tell_wish(all, files[i], j);
		for (size_t j = 0; files[i]->spec && j < files[i]->spec->state_n; j++)
			tell_leftover(all, files[i]->spec, &files[i]->spec->state[j]);
	}
}

static void tell_known_of(struct application *all, struct fleet_host *fleet_host)
{
	const struct fleet *fleet = all->fleet;
	size_t n;
	struct instance *const *instances = host_instances(fleet_host->host, &n);

	for (size_t i = 0; i < n; i++) {
		struct instance *instance = instances[i];
		const struct instance_identity *identity = instance_identity(instance);
		const struct instance_revision *revision = instance_revision(instance);
		size_t at = all->world.known_n++;

		all->known[at] = (struct known){.fleet_host = fleet_host, .instance = instance};
		all->told_known[at] = (struct assign_known){
			.host = fleet_host->key,
			.name = identity->name,
			.version = revision->in_force ? revision->in_force->version : NULL,
			.made = instance_was_reached(instance),
			.as_found = revision->as_found,
			.unasked = instance_is_left_alone(instance),
			.busy = host_is_running(fleet_host->host),
			.paused = rollouts_is_paused(fleet->rollouts, identity->spec),
			.silent = !specs_may_remove(fleet->specs, identity->spec),
		};
	}
}

static void tell_known(struct application *all)
{
	struct fleet_host *fleet_host, *tmp;
	size_t n, known = 0;

	HASH_ITER (hh, all->fleet->by_key, fleet_host, tmp) {
		host_instances(fleet_host->host, &n);
		known += n;
	}
	all->known = xcalloc(known + 1, sizeof(*all->known));
	all->told_known = xcalloc(known + 1, sizeof(*all->told_known));
	HASH_ITER (hh, all->fleet->by_key, fleet_host, tmp)
		tell_known_of(all, fleet_host);
}

static void application_new(struct application *all, struct fleet *fleet)
{
	*all = (struct application){.fleet = fleet};
	tell_specs(all);
	tell_known(all);
	all->world.wishes = all->told_wishes;
	all->world.leftovers = all->told_leftovers;
	all->world.known = all->told_known;
}

static void application_clear(struct application *all)
{
	for (size_t i = 0; i < all->world.wishes_n; i++)
		wanted_unref(all->wishes[i].wanted);
	for (size_t i = 0; i < all->world.leftovers_n; i++)
		free(all->leftovers[i].host);
	free(all->wishes);
	free(all->told_wishes);
	free(all->leftovers);
	free(all->told_leftovers);
	free(all->known);
	free(all->told_known);
}

/* Carrying the decisions out. Each function returns the host if there is something to do on it, else NULL. */

typedef struct fleet_host *carry_out(struct application *all, const struct assign_decision *decision);

static struct fleet_host *reach(struct application *all, const struct assign_decision *decision)
{
	const struct spec_host *settings = decision->wish != ASSIGN_NONE
						   ? &all->wishes[decision->wish].said->host
						   : &all->leftovers[decision->leftover].entry->host;

	host_configure(fleet_host_for(all->fleet, settings)->host, settings);
	return NULL;
}

static struct fleet_host *wish(struct application *all, const struct assign_decision *decision)
{
	struct wish *wish = &all->wishes[decision->wish];
	struct instance_change change;

	wish->instance = host_wish(wish->fleet_host->host, wish->said->name, wish->wanted,
				   decision->kind == ASSIGN_HOLD, &change);
	wish->edited = change.edited;
	wish->left_out = decision->why == ASSIGN_FAULTY;
	return change.todo ? wish->fleet_host : NULL;
}

static struct fleet_host *keep(struct application *all, const struct assign_decision *decision)
{
	struct known *known = &all->known[decision->known];

	known->kept = true;
	return instance_defer_removal(known->instance) ? known->fleet_host : NULL;
}

static struct fleet_host *leave(struct application *all, const struct assign_decision *decision)
{
	struct instance *instance = all->known[decision->known].instance;
	char *why = specs_why_kept(all->fleet->specs, instance_identity(instance)->spec);

	instance_leave(instance, why);
	free(why);
	return NULL;
}

static struct fleet_host *remove_balancer(struct application *all, const struct assign_decision *decision)
{
	struct known *known = &all->known[decision->known];

	return host_unwant(known->fleet_host->host, known->instance) ? known->fleet_host : NULL;
}

static struct fleet_host *forget(struct application *all, const struct assign_decision *decision)
{
	struct known *known = &all->known[decision->known];

	host_forget(known->fleet_host->host, known->instance);
	return known->fleet_host;
}

static struct fleet_host *remove_container(struct application *all, const struct assign_decision *decision)
{
	struct leftover *leftover = &all->leftovers[decision->leftover];
	const struct spec_state_entry *entry = leftover->entry;
	struct fleet_host *fleet_host = fleet_host_for(all->fleet, &entry->host);

	return host_drop(fleet_host->host, leftover->spec->name, entry->name, entry->container_id)
		       ? fleet_host
		       : NULL;
}

static void carry_all_out(struct application *all)
{
	static carry_out *const ways[ASSIGN_KINDS] = {
		[ASSIGN_REACH] = reach,   [ASSIGN_PUT_IN_FORCE] = wish,
		[ASSIGN_HOLD] = wish,     [ASSIGN_KEEP] = keep,
		[ASSIGN_LEAVE] = leave,   [ASSIGN_REMOVE] = remove_balancer,
		[ASSIGN_FORGET] = forget, [ASSIGN_REMOVE_CONTAINER] = remove_container,
	};
	size_t n;
	struct assign_decision *decisions = assign(&all->world, &n);

	for (size_t i = 0; i < n; i++) {
		struct fleet_host *due = ways[decisions[i].kind](all, &decisions[i]);

		if (due)
			fleet_make_due(all->fleet, due);
	}
	free(decisions);
}

/* Tells the rollouts of all balancers, in the specs' order, which is the order of turns. */
static void roll_out(const struct application *all)
{
	struct rollout_part *parts = xcalloc(all->world.wishes_n + all->world.known_n + 1, sizeof(*parts));
	size_t n = 0;

	for (size_t i = 0; i < all->world.wishes_n; i++) {
		const struct wish *wish = &all->wishes[i];

		if (wish->instance)
			parts[n++] = (struct rollout_part){
				.kind = wish->left_out ? PART_LEFT_OUT : PART_WANTED,
				.spec = wish->spec,
				.host = wish->fleet_host->host,
				.instance = wish->instance,
				.edited = wish->edited,
			};
	}
	for (size_t i = 0; i < all->world.known_n; i++)
		if (all->known[i].kept)
			parts[n++] =
				(struct rollout_part){.kind = PART_KEPT, .instance = all->known[i].instance};
	rollouts_set(all->fleet->rollouts, parts, n);
	free(parts);
}

void fleet_apply_specs(struct fleet *fleet)
{
	struct application all;

	fleet->holding++;
	specs_count_sharers(fleet->specs);
	application_new(&all, fleet);
	carry_all_out(&all);
	roll_out(&all);
	application_clear(&all);
	fleet_settle_left_alone(fleet);
	fleet->holding--;
	fleet_fill_places(fleet);
}
