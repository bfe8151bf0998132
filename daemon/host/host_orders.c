/* What a run of a host is told of its balancers. */
#include <string.h>

#include "daemon/core/binds.h"
#include "daemon/host/host_internal.h"

/* The version that the run, or the run that a plan stands for, makes true; NULL: it removes the instance. */
static const struct wanted *coming(const struct host *host, const struct instance *instance)
{
	const struct instance_revision *revision = instance_revision(instance);

	/* A paused spec has given it up. */
	if (revision->in_force && !instance_claim(instance, host->observing).wanted)
		return NULL;
	return host->observing && revision->next ? revision->next : revision->in_force;
}

/* The version has an address of the one that leaves. */
static bool takes_an_address(const struct wanted *wanted, const struct wanted *leaving)
{
	for (size_t i = 0; wanted && leaving && i < leaving->instance.binds_n; i++)
		if (binds_meet(wanted->instance.binds, wanted->instance.binds_n, &leaving->instance.binds[i]))
			return true;
	return false;
}

/* order.drain_ms of an instance that is removed: if another balancer on the host serves its clients (of the
 * same spec, or with a bind address of it, now or after its turn), its connections are not cut off. */
static int64_t drain_ms(const struct host *host, const struct instance *instance, const struct order *order)
{
	const char *spec = instance_identity(instance)->spec;
	const struct instance_revision *revision = instance_revision(instance);
	const struct wanted *leaving = revision->in_force ? revision->in_force : revision->former;

	if (order->wanted || order->drop_id)
		return 0;
	for (size_t i = 0; i < host->instances_n; i++) {
		const struct instance *other = host->instances[i];
		const struct wanted *wanted = coming(host, other);

		if (wanted &&
		    (strcmp(instance_identity(other)->spec, spec) == 0 || takes_an_address(wanted, leaving) ||
		     takes_an_address(instance_revision(other)->next, leaving)))
			return wanted->instance.timeouts.drain_ms;
	}
	return 0;
}

/* order.displaced, with a reference: the former version of a balancer that leaves and whose config file this
 * instance takes over. It is put back into the file if this instance does not come up. */
static struct wanted *displaced_by(const struct host *host, const struct instance *instance)
{
	const struct wanted *wanted = instance_revision(instance)->in_force;

	for (size_t i = 0; i < host->instances_n && wanted; i++) {
		const struct instance_revision *other = instance_revision(host->instances[i]);

		if (!other->in_force && other->former &&
		    strcmp(other->former->instance.config_path, wanted->instance.config_path) == 0)
			return wanted_ref(other->former);
	}
	return NULL;
}

/* The instance is not wanted any more, but may not be removed yet. removal: see host_may_go. */
static bool has_to_stay(struct host *host, struct instance *instance, const struct order *order,
			const struct removal **removal)
{
	const struct instance_revision *revision = instance_revision(instance);
	enum removal_verdict may = order->wanted || (revision->next && !revision->in_force)
					   ? REMOVAL_ALLOWED
					   : host_may_go(host, instance, removal);
	bool stays = may != REMOVAL_ALLOWED;

	/* What only a plan removes is not told that it stays: nobody has let it go yet. */
	if (stays && revision->in_force)
		return true;
	instance_stay(instance, stays ? removal_why(may) : NULL);
	host->removal_held |= stays;
	return stays;
}

/* Gives the run its order for an instance; false: the run leaves the instance alone. */
static bool give_order(struct host *host, struct instance *instance, const struct removal **removal,
		       struct job_target *target)
{
	struct order *order = &target->order;

	if (instance_is_left_alone(instance) && !(host->observing && instance_revision(instance)->next))
		return false;
	*target = instance_target(instance, host->observing);
	/* The run looks at it even if its removal is held: only the host tells whether it serves anybody whom
	 * a new balancer must wait for. */
	order->removal_held = has_to_stay(host, instance, order, removal);
	order->displaced = displaced_by(host, instance);
	order->drain_ms = drain_ms(host, instance, order);
	return true;
}

size_t host_give_orders(struct host *host, struct job_target *targets)
{
	const struct removal *removal = NULL;
	size_t n = 0;

	host->removal_held = false;
	for (size_t i = 0; i < host->instances_n; i++)
		n += give_order(host, host->instances[i], &removal, &targets[n]);
	return n;
}

size_t host_find_to_come(const struct host *host, struct wanted **to_come)
{
	size_t n = 0;

	for (size_t i = 0; i < host->instances_n && !host->observing; i++)
		if (instance_is_left_alone(host->instances[i]) && instance_revision(host->instances[i])->next)
			to_come[n++] = instance_revision(host->instances[i])->next;
	return n;
}
