/* Collects what is known of all balancers, for core/removal to decide which containers may be removed. */
#include "daemon/core/removal.h"
#include "daemon/fleet/fleet_internal.h"
#include "daemon/specs/specs.h"

static void put_specs(struct removal *removal, const struct specs *specs)
{
	size_t n;
	const struct spec_file *const *files = specs_files(specs, &n);
	bool silent = false;

	if (!specs_have_looked(specs))
		removal_nothing_read(removal);
	for (size_t i = 0; i < n; i++)
		silent |= !files[i]->spec;
	if (!silent)
		return;
	removal_put_silent(removal);
	for (size_t i = 0; i < n; i++)
		if (files[i]->spec)
			removal_put_heard(removal, files[i]->name);
}

const struct removal *fleet_removal(void *arg, const struct host *ahead)
{
	const struct fleet *fleet = arg;
	struct fleet_walk walk = {.fleet = fleet};

	removal_begin(fleet->removal);
	put_specs(fleet->removal, fleet->specs);
	while (fleet_next(&walk)) {
		const struct claim claim = instance_claim(walk.instance, walk.host == ahead);

		removal_put(fleet->removal, walk.instance, &claim);
	}
	removal_end(fleet->removal);
	return fleet->removal;
}

int64_t fleet_drain_ms(void *arg, const char *spec)
{
	const struct fleet *fleet = arg;
	const struct spec_file *file = specs_find(fleet->specs, spec);
	int64_t longest_ms = 0;

	for (size_t i = 0; file && file->spec && i < file->spec->instances_n; i++)
		if (file->spec->instances[i].timeouts.drain_ms > longest_ms)
			longest_ms = file->spec->instances[i].timeouts.drain_ms;
	return longest_ms;
}
