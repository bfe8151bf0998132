/* Collects what is known of all balancers, for core/removal to decide which containers may be removed. */
#include "daemon/core/removal.h"
#include "daemon/fleet/fleet_internal.h"
#include "daemon/specs/specs.h"

static void put_silent_specs(const struct fleet *fleet)
{
	struct removal *removal = fleet->removal;

	size_t n;
	const struct spec_file *const *files = specs_files(fleet->specs, &n);

	if (!specs_have_looked(fleet->specs))
		removal_nothing_read(removal);
	for (size_t i = 0; i < n; i++)
		if (!specs_may_remove(fleet->specs, files[i]->name))
			removal_put_silent(removal, files[i]->name);
}

const struct removal *fleet_removal(void *arg, const struct host *ahead)
{
	const struct fleet *fleet = arg;
	struct fleet_walk walk = {.fleet = fleet};

	removal_begin(fleet->removal);
	put_silent_specs(fleet);
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
