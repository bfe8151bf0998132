/* GET /v1/plan: every host is looked at now; the answer comes when all have been. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/api.h"
#include "daemon/core/diff.h"
#include "daemon/core/status.h"

struct plan_request {
	struct control_request *request;
	char *spec; /* NULL: all */
	struct json_object *instances;
	struct waiting {
		struct plan_request *owner;
		struct host_plan *plan; /* NULL: has answered */
	} * waiting;
	size_t waiting_n, missing;
};

static void plan_request_free(struct plan_request *plan)
{
	for (size_t i = 0; i < plan->waiting_n; i++)
		if (plan->waiting[i].plan)
			host_plan_cancel(plan->waiting[i].plan);
	json_object_put(plan->instances);
	free(plan->waiting);
	free(plan->spec);
	free(plan);
}

static void on_gone(void *arg)
{
	plan_request_free(arg);
}

static void answer(struct plan_request *plan)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "ready", json_object_new_boolean(true));
	json_object_object_add(reply, "instances", json_object_get(plan->instances));
	api_reply_json(plan->request, 200, reply);
	plan_request_free(plan);
}

/* Without a container the config on the host cannot be seen: then all of it is new. */
static char *config_diff(const struct job_target *target)
{
	const struct observed_instance *observed = &target->observed;
	const char *path;

	if (!target->wanted || (!observed->config && observed->config_known && observed->config_exists))
		return NULL;
	path = target->wanted->instance.config_path;
	return diff_unified(observed->config ? observed->config : "", target->wanted->config,
			    observed->config ? path : "/dev/null", path);
}

static const struct err *error_of(const struct job_target *target, const struct err *host_error)
{
	if (host_error)
		return host_error;
	if (target->err.kind != ERR_NONE)
		return &target->err;
	return target->plan.trouble.kind != ERR_NONE ? &target->plan.trouble : NULL;
}

static void add_instance(struct plan_request *plan, const struct instance *instance,
			 const struct job_target *target, const struct err *host_error)
{
	struct json_object *row = json_object_new_object();
	char *diff = target && target->plan.n > 0 ? config_diff(target) : NULL;

	json_object_object_add(row, "id", text_json(instance->id));
	json_object_object_add(row, "spec", text_json(instance->spec));
	json_object_object_add(row, "host", text_json(instance->record.host_url));
	json_object_object_add(row, "name", text_json(instance->record.name));
	json_object_object_add(row, "error",
			       status_error_json(target ? error_of(target, host_error) : host_error, 0, 0));
	json_object_object_add(row, "actions",
			       target ? status_actions_json(&target->plan) : json_object_new_array());
	json_object_object_add(row, "configDiff", text_json(diff));
	json_object_object_add(row, "held", text_json(instance_held_because(instance)));
	json_object_array_add(plan->instances, row);
	free(diff);
}

static const struct job_target *find_target(const struct job_target *targets, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(targets[i].name, name) == 0)
			return &targets[i];
	return NULL;
}

/* Containers that a run would remove although no instance of ours stands for them. */
static void add_orphan(struct plan_request *plan, const struct host *host, const struct job_target *target)
{
	struct json_object *row;
	char *id;

	if (target->plan.n == 0)
		return;
	row = json_object_new_object();
	id = xasprintf("-/%s/%s", host_settings(host)->label, target->name);
	json_object_object_add(row, "id", text_json(id));
	json_object_object_add(row, "spec", NULL);
	json_object_object_add(row, "host", text_json(host_url(host)));
	json_object_object_add(row, "name", text_json(target->name));
	json_object_object_add(row, "error", NULL);
	json_object_object_add(row, "actions", status_actions_json(&target->plan));
	json_object_object_add(row, "configDiff", NULL);
	json_object_object_add(row, "held", NULL);
	json_object_array_add(plan->instances, row);
	free(id);
}

static void on_host_plan(void *arg, struct host *host, const struct job_target *targets, size_t n,
			 const struct err *err)
{
	struct waiting *waiting = arg;
	struct plan_request *plan = waiting->owner;
	size_t instances_n;
	struct instance *const *instances = host_instances(host, &instances_n);

	waiting->plan = NULL;
	for (size_t i = 0; i < instances_n; i++)
		if (!plan->spec || strcmp(plan->spec, instances[i]->spec) == 0)
			add_instance(plan, instances[i], find_target(targets, n, instances[i]->record.name),
				     err);
	for (size_t i = 0; i < n; i++)
		if (!plan->spec && !host_find(host, targets[i].name))
			add_orphan(plan, host, &targets[i]);
	if (--plan->missing == 0)
		answer(plan);
}

void api_plan(void *arg, struct control_request *request)
{
	const struct api *api = arg;
	struct plan_request *plan;
	size_t n;
	struct host *const *hosts = fleet_hosts(api->fleet, &n);

	if (!api_knows_spec(api, request))
		return;
	plan = xcalloc(1, sizeof(*plan));
	plan->request = request;
	plan->spec = xstrdup(control_param(request, "spec"));
	plan->instances = json_object_new_array();
	plan->waiting = xcalloc(n, sizeof(*plan->waiting));
	for (size_t i = 0; i < n; i++) {
		struct waiting *waiting = &plan->waiting[plan->waiting_n];

		if (!fleet_touches(hosts[i], plan->spec))
			continue;
		plan->waiting_n++;
		plan->missing++;
		waiting->owner = plan;
		waiting->plan = host_plan(hosts[i], on_host_plan, waiting);
	}
	if (plan->missing == 0)
		answer(plan);
	else
		control_on_gone(request, on_gone, plan);
}
