/*
 * What the files of the plan share; nobody else includes this. plan.c decides
 * what is to be done, plan_list.c keeps the list, plan_conflict.c says what is
 * somebody else's, plan_rehearsal.c what has to prove itself first.
 */
#ifndef APILB_CORE_PLAN_INTERNAL_H
#define APILB_CORE_PLAN_INTERNAL_H

#include "daemon/core/plan/plan.h"

/* Everything is copied. An action without a container is done to what has its name. */
void plan_append(struct plan *plan, struct action action);
void plan_add(struct plan *plan, enum action_kind kind, const char *name, const char *container,
	      const char *argument, const char *reason);
void plan_add_for(struct plan *plan, enum action_kind kind, const struct observed_container *container,
		  const char *reason);
/* Its removal, when its last connection has ended. */
void plan_add_later(struct plan *plan, const char *name, const char *container);

/* plan_conflict.c: the container has the wanted name, and is not ours. */
void plan_container_conflict(const struct wanted *wanted, const struct observed_container *container,
			     struct err *err);

/* plan_rehearsal.c: why the config is not to be loaded before it was seen to have a server up; NULL: it may
 * be. The caller frees. */
char *plan_rehearsal_reason(const struct wanted *wanted, const struct observed_instance *observed);

#endif
