/* Which containers of a plan drain, which are stopped and removed, and which stay for now. */
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "daemon/core/container_name.h"
#include "daemon/core/plan/plan_internal.h"

void plan_add_removal(struct plan *plan, const struct observed_container *container, const char *reason)
{
	if (container->status == CONTAINER_PAUSED)
		plan_add_for(plan, ACTION_UNPAUSE, container, reason);
	if (observed_is_up(container))
		plan_add_for(plan, ACTION_STOP, container, reason);
	plan_add_for(plan, ACTION_REMOVE, container, reason);
}

/*
 * Drains the container: renames it first, then signals it. So a container with
 * the balancer's name was never told to drain. A container with a former
 * container's name may or may not have been told when apilbd crashes: it is
 * told once more (plan_drain_former). After the signal neither the engine nor a
 * reboot starts it again. A container that awaits its heir is told later.
 * successor: takes over the balancer's name at once; NULL: none.
 */
static void add_drain(struct plan *plan, const char *balancer, const struct observed_container *container,
		      const char *successor, const char *reason)
{
	char *name = container_old_name(balancer, container->id);

	if (strcmp(container->name, name) != 0)
		plan_add(plan, ACTION_RENAME, container->name, container->id, name, reason);
	if (successor)
		plan_add(plan, ACTION_RENAME, successor, NULL, balancer, reason);
	if (!container->awaits_heir)
		plan_add(plan, ACTION_DRAIN, name, container->id, NULL, reason);
	plan_add_later(plan, name, container->id);
	free(name);
}

void plan_drain_or_remove(struct plan *plan, const struct wanted *wanted,
			  const struct observed_container *container, const char *successor,
			  const char *reason)
{
	const char *name = wanted->instance.name;

	/* A program other than HAProxy may understand the signal differently, and keep listening. */
	if (container->status == CONTAINER_RUNNING &&
	    (!observed_is_owned(container, wanted->owner) || observed_runs_haproxy(container))) {
		add_drain(plan, name, container, successor, reason);
		return;
	}
	plan_add_removal(plan, container, reason);
	if (successor)
		plan_add(plan, ACTION_RENAME, successor, NULL, name, reason);
}

bool plan_can_share_ports(const struct observed_container *former)
{
	return former->status == CONTAINER_RUNNING && text_equal(former->user, WANTED_USER) &&
	       text_equal(former->network_mode, "host");
}

/*
 * Whether the container takes connections for the balancer until its successor is known to run: apilbd was
 * stopped in the middle of a handover, or the engine has started the container again. One that cannot share
 * its ports is in the successor's way; the list of containers does not tell, but says who was in a handover.
 */
static bool stands_in(const struct observed_instance *observed, const struct observed_container *former)
{
	bool successor_runs = observed->current && observed->current->status == CONTAINER_RUNNING;

	return !successor_runs && former->status == CONTAINER_RUNNING &&
	       (former->undrained || former->returned) && (!former->inspect || plan_can_share_ports(former));
}

static void drain_former(const char *balancer, const struct observed_container *former, struct plan *plan)
{
	if (former->status == CONTAINER_RUNNING && former->undrained)
		add_drain(plan, balancer, former, NULL,
			  "its successor has taken over; it may not have been told to drain");
	else if (former->status == CONTAINER_RUNNING && former->returned)
		plan_add_removal(plan, former, "it had drained, and the engine has started it again");
	else if (former->status == CONTAINER_RUNNING && !former->overdue)
		plan_add_later(plan, former->name, former->id);
	else if (former->status != CONTAINER_REMOVING)
		plan_add_removal(plan, former,
				 observed_is_up(former)
					 ? "its successor has taken over; it has not drained within "
					   "the drain timeout"
					 : "its successor has taken over; it has drained");
}

void plan_drain_former(const char *balancer, const struct observed_instance *observed, bool standing_in,
		       struct plan *plan)
{
	for (size_t i = 0; i < observed->old_n; i++)
		if (stands_in(observed, observed->old[i]) == standing_in)
			drain_former(balancer, observed->old[i], plan);
}

/*
 * The rule of plan_drain_or_remove, except that entries of a list do not tell which program runs. A
 * paused container may still have connections.
 */
static bool can_drain(const struct observed_container *container)
{
	return (container->status == CONTAINER_RUNNING || container->status == CONTAINER_PAUSED) &&
	       (!container->inspect || observed_runs_haproxy(container));
}

void plan_removal(const char *name, const struct observed_instance *observed, bool drain, struct plan *plan)
{
	static const char reason[] = "no spec wants it any more";
	const struct observed_container *const all[] = {observed->helper, observed->next, observed->current};

	memset(plan, 0, sizeof(*plan));
	for (size_t i = 0; i < observed->old_n; i++) {
		if (drain)
			drain_former(name, observed->old[i], plan);
		else
			plan_add_removal(plan, observed->old[i], reason);
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!all[i])
			continue;
		if (!drain || all[i] == observed->helper || !can_drain(all[i])) {
			plan_add_removal(plan, all[i], reason);
			continue;
		}
		if (all[i]->status == CONTAINER_PAUSED)
			plan_add_for(plan, ACTION_UNPAUSE, all[i], reason);
		add_drain(plan, name, all[i], NULL, reason);
	}
}
