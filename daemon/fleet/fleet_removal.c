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
