/* What is known of all balancers, for core/removal to decide what may go. */
#include "daemon/core/removal.h"
#include "daemon/fleet_internal.h"
#include "daemon/specs.h"

static void put_silent_specs(const struct fleet *fleet)
{
	struct removal *removal = fleet->removal;

	size_t n;
	struct spec_file *const *files = specs_files(fleet->specs, &n);

	if (!specs_have_looked(fleet->specs))
		removal_nothing_read(removal);
	for (size_t i = 0; i < n; i++)
		if (!specs_may_remove(fleet->specs, files[i]->name))
			removal_put_silent(removal, files[i]->name);
}

const struct removal *fleet_removal(void *arg, const struct host *ahead)
{
	const struct fleet *fleet = arg;

	removal_begin(fleet->removal);
	put_silent_specs(fleet);
	for (size_t i = 0; i < fleet->hosts_n; i++) {
		size_t n;
		struct instance *const *instances = host_instances(fleet->hosts[i], &n);

		for (size_t j = 0; j < n; j++) {
			const struct claim claim = instance_claim(instances[j], fleet->hosts[i] == ahead);

			removal_put(fleet->removal, instances[j], &claim);
		}
	}
	removal_end(fleet->removal);
	return fleet->removal;
}
