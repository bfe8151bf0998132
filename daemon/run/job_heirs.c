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

/* The next revision of the balancer, which waits for its turn, is to listen at the address. */
static bool waits_for_turn(const struct job_target *heir, const struct spec_bind *address)
{
	return !meets(heir->order.wanted, address) && meets(heir->order.next, address);
}

/* The balancer is to listen at the address, and does not yet. */
static bool is_to_come(const struct job_target *heir, const struct spec_bind *address)
{
	return waits_for_turn(heir, address) ||
	       (meets(heir->order.wanted, address) && is_not_as_ordered(heir));
}

typedef bool is_missing(const struct job_target *heir, const struct spec_bind *address);

static bool is_awaited(const struct job *job, const struct job_target *target,
		       const struct spec_bind *address, is_missing *missing)
{
	const struct wanted *wanted = target->order.wanted;

	if (wanted && binds_cover(wanted->instance.binds, wanted->instance.binds_n, address))
		return false;
	/* Found targets, of which there may be many, want no address. */
	for (size_t i = 0; i < job->n - job->found; i++)
		if (&job->targets[i] != target && missing(&job->targets[i], address))
			return true;
	return false;
}

static bool is_any_awaited(const struct job *job, const struct job_target *target,
			   const struct addresses *addresses, is_missing *missing)
{
	for (size_t i = 0; i < addresses->n; i++)
		if (is_awaited(job, target, &addresses->v[i], missing))
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
static bool lacks_an_heir(const struct job *job, const struct job_target *target,
			  const struct observed_container *container, is_missing *missing)
{
	const struct wanted *former = target->order.former;
	struct addresses addresses = {0};
	struct spec_bind *binds;
	bool lacks;

	if (former)
		addresses = (struct addresses){former->instance.binds, former->instance.binds_n};
	if (!container || !container->binds)
		return is_any_awaited(job, target, &addresses, missing);
	binds = binds_parse(container->binds, &addresses.n);
	addresses.v = binds;
	lacks = is_any_awaited(job, target, &addresses, missing);
	binds_free(binds, addresses.n);
	return lacks;
}

static bool anybody_waits(const struct job *job)
{
	for (size_t i = 0; i < job->n - job->found; i++)
		if (job->targets[i].order.next)
			return true;
	return false;
}

void job_note_heirs(const struct job *job, struct job_target *target)
{
	struct observed_instance *observed = &target->result.observed;
	struct observed_container *const two[] = {observed->current, observed->next};

	/* A host may have many former containers, and long labels: they are read only if need be. */
	if (!anybody_waits(job))
		return;
	for (size_t i = 0; i < sizeof(two) / sizeof(two[0]); i++)
		if (two[i])
			two[i]->awaits_heir = lacks_an_heir(job, target, two[i], waits_for_turn);
	for (size_t i = 0; i < observed->old_n; i++)
		observed->old[i]->awaits_heir = lacks_an_heir(job, target, observed->old[i], waits_for_turn);
}

bool job_lacks_an_heir(const struct job *job, const struct job_target *target)
{
	const struct plan *plan = &target->result.plan;

	for (size_t i = target->result.applied; i < plan->n; i++)
		if (plan->actions[i].kind == ACTION_DRAIN &&
		    lacks_an_heir(job, target, find(&target->result.observed, plan->actions[i].container),
				  is_to_come))
			return true;
	return false;
}
