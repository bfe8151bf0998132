/* The actions of a plan as a list, and their texts. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/plan/plan_internal.h"

static const struct {
	const char *name;
	const char *before, *after; /* texts around the name; the argument comes last */
} kinds[ACTION_KINDS] = {
	[ACTION_PULL] = {"pull", "pull image ", ""},
	[ACTION_CHECK_CONFIG] = {"check-config", "check the config with HAProxy of ", ""},
	[ACTION_REHEARSE] = {"rehearse", "see that HAProxy of ", " finds a server up"},
	[ACTION_WRITE_CONFIG] = {"write-config", "write ", ""},
	[ACTION_CREATE] = {"create", "create container ", ""},
	[ACTION_START] = {"start", "start container ", ""},
	[ACTION_UNPAUSE] = {"unpause", "unpause container ", ""},
	[ACTION_RELOAD] = {"reload", "reload HAProxy in container ", ""},
	[ACTION_AWAIT] = {"await", "wait until HAProxy in container ", " has loaded the config"},
	[ACTION_DRAIN] = {"drain", "drain container ", ""},
	[ACTION_STOP] = {"stop", "stop container ", " gracefully"},
	[ACTION_REMOVE] = {"remove", "remove container ", ""},
	[ACTION_RENAME] = {"rename", "rename container ", " to "},
};

const char *action_name(enum action_kind kind)
{
	return kinds[kind].name;
}

char *action_text(const struct action *action)
{
	return xasprintf("%s%s%s%s", kinds[action->kind].before, action->name, kinds[action->kind].after,
			 action->argument ? action->argument : "");
}

static void append(struct action **actions, size_t *n, struct action action)
{
	*actions = xreallocarray(*actions, *n + 1, sizeof(**actions));
	action.name = xstrdup(action.name);
	action.container = xstrdup(action.container ? action.container : action.name);
	action.argument = xstrdup(action.argument);
	action.reason = xstrdup(action.reason);
	action.image_id = xstrdup(action.image_id);
	(*actions)[(*n)++] = action;
}

void plan_append(struct plan *plan, struct action action)
{
	append(&plan->actions, &plan->n, action);
}

void plan_add(struct plan *plan, enum action_kind kind, const char *name, const char *container,
	      const char *argument, const char *reason)
{
	plan_append(plan, (struct action){.kind = kind,
					  .name = (char *)name,
					  .container = (char *)container,
					  .argument = (char *)argument,
					  .reason = (char *)reason});
}

void plan_add_later(struct plan *plan, const char *name, const char *container)
{
	append(&plan->later, &plan->later_n,
	       (struct action){.kind = ACTION_REMOVE,
			       .name = (char *)name,
			       .container = (char *)container,
			       .reason = "when its last connection has ended, or the drain timeout is over"});
}

void plan_add_for(struct plan *plan, enum action_kind kind, const struct observed_container *container,
		  const char *reason)
{
	plan_add(plan, kind, container->name, container->id, NULL, reason);
}

static void actions_free(struct action *actions, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(actions[i].container);
		free(actions[i].name);
		free(actions[i].argument);
		free(actions[i].reason);
		free(actions[i].image_id);
	}
	free(actions);
}

static bool has(const struct plan *plan, enum action_kind kind)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->actions[i].kind == kind)
			return true;
	return false;
}

bool plan_makes_container(const struct plan *plan)
{
	return has(plan, ACTION_CREATE);
}

bool plan_writes_file(const struct plan *plan)
{
	return has(plan, ACTION_WRITE_CONFIG);
}

void plan_hold(struct plan *plan)
{
	for (size_t i = 0; i < plan->later_n; i++)
		append(&plan->actions, &plan->n, plan->later[i]);
	actions_free(plan->later, plan->later_n);
	plan->later = plan->actions;
	plan->later_n = plan->n;
	plan->actions = NULL;
	plan->n = 0;
}

void plan_clear(struct plan *plan)
{
	actions_free(plan->actions, plan->n);
	actions_free(plan->later, plan->later_n);
	memset(plan, 0, sizeof(*plan));
}
