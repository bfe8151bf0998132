/*
 * Shared by the files of the plan; nobody else includes this. plan.c decides,
 * plan_list.c keeps the list of actions, plan_conflict.c describes conflicts,
 * plan_drain.c how containers leave, plan_rehearsal.c decides whether a config must be rehearsed.
 */
#ifndef APILB_CORE_PLAN_INTERNAL_H
#define APILB_CORE_PLAN_INTERNAL_H

#include "daemon/core/plan/plan.h"

/*
 * Appends an action, copying its texts. Without a container, the action is for the container of its
 * name.
 */
void plan_append(struct plan *plan, struct action action);
void plan_add(struct plan *plan, enum action_kind kind, const char *name, const char *container,
	      const char *argument, const char *reason);
void plan_add_for(struct plan *plan, enum action_kind kind, const struct observed_container *container,
		  const char *reason);
/* The removal of a container once it has drained. */
void plan_add_later(struct plan *plan, const char *name, const char *container);

/* plan_conflict.c: sets err for a container that has the wanted name, and is not ours. */
void plan_container_conflict(const struct wanted *wanted, const struct observed_container *container,
			     struct err *err);

/* plan_drain.c */
/*
 * Two HAProxys of one user can share a port on the host's network. One of
 * another user or network cannot join (SO_REUSEPORT, socket(7)).
 */
bool plan_can_share_ports(const struct observed_container *former);
void plan_add_removal(struct plan *plan, const struct observed_container *container, const char *reason);
/* successor: takes over the balancer's name at once; NULL: none. */
void plan_drain_or_remove(struct plan *plan, const struct wanted *wanted,
			  const struct observed_container *container, const char *successor,
			  const char *reason);
/*
 * Drains former containers that should, and removes those that have drained, or should have. standing_in:
 * those that take connections until the successor is known to run, and so come last in a plan; false: all
 * others.
 */
void plan_drain_former(const char *balancer, const struct observed_instance *observed, bool standing_in,
		       struct plan *plan);

/*
 * plan_rehearsal.c: why the config must be rehearsed (see a server up) before it is loaded; NULL:
 * it need not be. The caller frees.
 */
char *plan_rehearsal_reason(const struct wanted *wanted, const struct observed_instance *observed);

#endif
