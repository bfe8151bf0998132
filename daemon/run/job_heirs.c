/* Applying: which former containers serve on, since a balancer that is to have an address of theirs has not
 * come yet. */
#include <string.h>

#include "daemon/core/binds.h"
#include "daemon/run/job_internal.h"

/* Addresses of a former container. */
struct addresses {
	const struct spec_bind *v;
	size_t n;
};

static bool meets(const struct wanted *wanted, const struct spec_bind *address)
{
	return wanted && binds_meet(wanted->instance.binds, wanted->instance.binds_n, address);
}

/* What the run is to make of the balancer is not there: it has failed, or its host keeps another version. */
static bool is_not_as_ordered(const struct job_target *target)
{
	return target->result.err.kind != ERR_NONE || target->result.plan.trouble.kind != ERR_NONE ||
	       target->result.look == LOOK_LEAVE;
}

/* The balancer is to listen at the address, now or when its next revision has its turn, and does not yet. */
static bool is_to_come(const struct job_target *heir, const struct spec_bind *address)
{
	if (meets(heir->order.wanted, address))
		return is_not_as_ordered(heir);
	return meets(heir->order.next, address);
}

static bool is_awaited(const struct job *job, const struct job_target *target,
		       const struct spec_bind *address)
{
	const struct wanted *wanted = target->order.wanted;

	if (wanted && binds_cover(wanted->instance.binds, wanted->instance.binds_n, address))
		return false;
	for (size_t i = 0; i < job->n; i++)
		if (&job->targets[i] != target && is_to_come(&job->targets[i], address))
			return true;
	return false;
}

static bool is_any_awaited(const struct job *job, const struct job_target *target,
			   const struct addresses *addresses)
{
	for (size_t i = 0; i < addresses->n; i++)
		if (is_awaited(job, target, &addresses->v[i]))
			return true;
	return false;
}

static const struct observed_container *find(const struct observed_instance *observed, const char *id)
{
	const struct observed_container *const two[] = {observed->current, observed->next};

	for (size_t i = 0; i < sizeof(two) / sizeof(two[0]); i++)
		if (two[i] && strcmp(two[i]->id, id) == 0)
			return two[i];
	for (size_t i = 0; i < observed->old_n; i++)
		if (strcmp(observed->old[i]->id, id) == 0)
			return observed->old[i];
	return NULL;
}

/* The container's label says where it listens. A container from before there was such a label listens where
 * the former version does, if that is known. */
static bool lacks_an_heir(const struct job *job, const struct job_target *target, const char *id)
{
	const struct observed_container *container = find(&target->result.observed, id);
	const struct wanted *former = target->order.former;
	struct addresses addresses = {0};
	struct spec_bind *binds;
	bool lacks;

	if (former)
		addresses = (struct addresses){former->instance.binds, former->instance.binds_n};
	if (!container || !container->binds)
		return is_any_awaited(job, target, &addresses);
	binds = binds_parse(container->binds, &addresses.n);
	addresses.v = binds;
	lacks = is_any_awaited(job, target, &addresses);
	binds_free(binds, addresses.n);
	return lacks;
}

bool job_lacks_an_heir(const struct job *job, const struct job_target *target)
{
	const struct plan *plan = &target->result.plan;

	for (size_t i = target->result.applied; i < plan->n; i++)
		if (plan->actions[i].kind == ACTION_DRAIN &&
		    lacks_an_heir(job, target, plan->actions[i].container))
			return true;
	return false;
}
