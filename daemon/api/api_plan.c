/*
 * GET /v1/plan, and POST /v1/reconcile?plan=ID: both look at every host now, and
 * answer when all hosts have been looked at.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/text.h"
#include "daemon/api/api.h"
#include "daemon/core/diff.h"
#include "daemon/core/hash.h"
#include "daemon/core/status.h"
#include "daemon/rollout/rollouts.h"

/* A plan's id: the first characters of a SHA-256 of its actions and of the state that they follow from. */
#define PLAN_ID_CHARS 16

struct row {
	struct api_order order; /* spec: owned by json, "" for an orphan; id: the basis */
	struct json_object *json;
	size_t actions;
	char *held;  /* why they are held; NULL: they are not */
	char *basis; /* a text of the actions and of the state that they follow from, see basis_of() */
};

struct plan_request {
	const struct api *api;
	struct control_request *request;
	char *spec;     /* NULL: all specs */
	char *expected; /* the id that the plan must have to be applied; NULL: the plan is only shown */
	struct row *rows;
	size_t rows_n;
	struct waiting {
		struct plan_request *owner;
		struct host_plan *plan; /* NULL: the host has answered */
	} * waiting;
	size_t waiting_n, missing;
};

static void plan_request_free(struct plan_request *plan)
{
	for (size_t i = 0; i < plan->waiting_n; i++)
		if (plan->waiting[i].plan)
			host_plan_cancel(plan->waiting[i].plan);
	for (size_t i = 0; i < plan->rows_n; i++) {
		json_object_put(plan->rows[i].json);
		free(plan->rows[i].held);
		free(plan->rows[i].basis);
	}
	free(plan->rows);
	free(plan->waiting);
	free(plan->spec);
	free(plan->expected);
	free(plan);
}

static void on_gone(void *arg)
{
	plan_request_free(arg);
}

/* Plans with the same actions on the same containers have the same id. */
static void plan_id(const struct plan_request *plan, char id[PLAN_ID_CHARS + 1])
{
	char *text, sha256[SHA256_HEX_SIZE];
	size_t len;
	FILE *out = text_open(&text, &len);

	for (size_t i = 0; i < plan->rows_n; i++)
		fprintf(out, "%s\n", plan->rows[i].basis);
	text_close(out);
	sha256_hex(text, len, sha256);
	memcpy(id, sha256, PLAN_ID_CHARS);
	id[PLAN_ID_CHARS] = '\0';
	free(text);
}

static void answer_plan(const struct plan_request *plan, const char *id)
{
	struct json_object *reply = json_object_new_object(), *instances = json_object_new_array();

	for (size_t i = 0; i < plan->rows_n; i++)
		json_object_array_add(instances, json_object_get(plan->rows[i].json));
	json_object_object_add(reply, "ready", json_object_new_boolean(true));
	json_object_object_add(reply, "id", json_object_new_string(id));
	json_object_object_add(reply, "instances", instances);
	api_reply_json(plan->request, 200, reply);
}

/* A row whose actions are held; NULL: there is none. */
static const struct row *held_row(const struct plan_request *plan)
{
	for (size_t i = 0; i < plan->rows_n; i++)
		if (plan->rows[i].held && plan->rows[i].actions > 0)
			return &plan->rows[i];
	return NULL;
}

static void answer_apply(const struct plan_request *plan, const char *id)
{
	const struct row *held = held_row(plan);
	size_t actions = 0;

	if (strcmp(id, plan->expected) == 0 && held) {
		control_error(plan->request, 409,
			      "plan %s has changes that are held: a run does not make them. Nothing was "
			      "done. %s: %s",
			      id, json_text(held->json, "id", ""), held->held);
		return;
	}
	if (strcmp(id, plan->expected) == 0) {
		api_answer_reconcile(plan->api, plan->request);
		return;
	}
	for (size_t i = 0; i < plan->rows_n; i++)
		actions += plan->rows[i].actions;
	control_error(
		plan->request, 409,
		"plan %s is out of date: something has changed since it was made. Nothing was done. The plan "
		"is now %s, with %zu action%s; look at it first",
		plan->expected, id, actions, actions == 1 ? "" : "s");
}

static void answer(struct plan_request *plan)
{
	char id[PLAN_ID_CHARS + 1];

	if (plan->rows_n) /* qsort takes no NULL, not even for 0 elements */
		qsort(plan->rows, plan->rows_n, sizeof(*plan->rows), api_by_order);
	plan_id(plan, id);
	(plan->expected ? answer_apply : answer_plan)(plan, id);
	plan_request_free(plan);
}

/* The difference between the config on the host and the wanted config; NULL: it cannot be shown. If nothing
 * is known of the config on the host it counts as missing: then all of the wanted config is new. */
static char *config_diff(const struct job_target *target)
{
	const struct observed_instance *observed = &target->result.observed;
	const char *is = observed->config ? observed->config : observed->file.text, *path;

	if (!target->order.wanted || (!is && observed->config_known && observed->config_exists))
		return NULL;
	/* Somebody else's file that not everybody may read: it may hold a secret. */
	if (is && is == observed->file.text && !(observed->file.mode & 0004))
		return NULL;
	path = target->order.wanted->instance.config_path;
	return diff_unified(is ? is : "", target->order.wanted->config, is ? path : "/dev/null", path);
}

/* The plan has actions, or is in conflict with somebody else's file, whose difference is of interest. */
static bool has_diff(const struct job_target *target)
{
	return target->result.plan.n > 0 ||
	       (target->result.plan.trouble.kind == ERR_CONFLICT && target->result.observed.file.text);
}

static const struct err *error_of(const struct job_target *target, const struct err *host_error)
{
	if (host_error)
		return host_error;
	if (target->result.err.kind != ERR_NONE)
		return &target->result.err;
	return target->result.plan.trouble.kind != ERR_NONE ? &target->result.plan.trouble : NULL;
}

static void print_container(FILE *out, const struct observed_container *container)
{
	if (!container)
		return;
	/* A container that ends as soon as it is started is running and restarting in turn: both count as
	 * running, so that its plan keeps its id. */
	fprintf(out, " %s %s", container->id,
		container_status_name(container->status == CONTAINER_RESTARTING ? CONTAINER_RUNNING
										: container->status));
}

/* The actions and the state that they follow from, as text; without the number of attempts, which grows. The
 * caller frees. */
static char *basis_of(const char *id, const struct job_target *target, const struct err *error,
		      struct json_object *row)
{
	static const char *const said[] = {"actions", "later", "configDiff"};
	char *text;
	size_t len;
	FILE *out = text_open(&text, &len);

	fprintf(out, "%s %s", id, error ? err_kind_name(error->kind) : "-");
	if (target) {
		const struct observed_instance *observed = &target->result.observed;

		print_container(out, observed->current);
		print_container(out, observed->next);
		print_container(out, observed->helper);
		for (size_t i = 0; i < observed->old_n; i++)
			print_container(out, observed->old[i]);
		fprintf(out, " %s %s %s", target->order.wanted ? target->order.wanted->version : "",
			observed->config_known ? observed->config_sha256 : "", observed->loaded.generation);
	}
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		fprintf(out, " %s", json_object_to_json_string(json_any(row, said[i])));
	text_close(out);
	return text;
}

/* target NULL: the instance was not looked at. */
static struct json_object *row_json(const char *id, const char *host, const char *name,
				    const struct job_target *target, const struct err *error)
{
	const struct plan none = {.n = 0}, *plan = target ? &target->result.plan : &none;
	struct json_object *row = json_object_new_object();
	char *diff = target && has_diff(target) ? config_diff(target) : NULL;

	json_object_object_add(row, "id", text_json(id));
	json_object_object_add(row, "spec", NULL);
	json_object_object_add(row, "index", NULL);
	json_object_object_add(row, "host", text_json(host));
	json_object_object_add(row, "name", text_json(name));
	json_object_object_add(row, "error", status_error_json(error, 0, 0));
	json_object_object_add(row, "actions", status_actions_json(plan->actions, plan->n));
	json_object_object_add(row, "later", status_actions_json(plan->later, plan->later_n));
	json_object_object_add(row, "configDiff", text_json(diff));
	free(diff);
	return row;
}

static void add_row(struct plan_request *plan, struct row row)
{
	plan->rows = xreallocarray(plan->rows, plan->rows_n + 1, sizeof(*plan->rows));
	row.order.id = row.basis;
	plan->rows[plan->rows_n++] = row;
}

static void add_instance(struct plan_request *plan, const struct instance *instance,
			 const struct job_target *target, const struct err *host_error)
{
	const struct instance_identity *identity = instance_identity(instance);
	const struct err *error = target ? error_of(target, host_error) : host_error;
	const char *held =
		instance_held_because(instance, rollouts_hold(fleet_rollouts(plan->api->fleet), instance));
	struct json_object *row = row_json(identity->id, identity->host_url, identity->name, target, error);

	json_object_object_add(row, "spec", text_json(identity->spec));
	json_object_object_add(row, "index", json_object_new_uint64(identity->index));
	json_object_object_add(row, "held", text_json(held));
	add_row(plan, (struct row){.order = {.spec = json_text(row, "spec", NULL), .index = identity->index},
				   .json = row,
				   .actions = target ? target->result.plan.n : 0,
				   .held = xstrdup(held),
				   .basis = basis_of(identity->id, target, error, row)});
}

static const struct job_target *find_target(const struct job_target *targets, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!job_target_is_found(&targets[i]) && strcmp(targets[i].order.name, name) == 0)
			return &targets[i];
	return NULL;
}

/* True when the label of one of the target's containers names the spec. */
static bool is_of_spec(const struct job_target *target, const char *spec)
{
	const struct observed_instance *observed = &target->result.observed;
	const struct observed_container *const all[] = {observed->current, observed->next, observed->helper,
							observed->old_n ? observed->old[0] : NULL};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i] && text_equal(all[i]->spec, spec))
			return true;
	return false;
}

/* Adds a row for containers that a run would remove, and that belong to no instance we know. */
static void add_orphan(struct plan_request *plan, const struct host *host, const struct job_target *target)
{
	struct json_object *row;
	char *id;

	if (target->result.plan.n + target->result.plan.later_n == 0 ||
	    (plan->spec && !is_of_spec(target, plan->spec)))
		return;
	id = xasprintf("-/%s/%s", host_settings(host)->label, target->order.name);
	row = row_json(id, host_url(host), target->order.name, target, error_of(target, NULL));
	add_row(plan, (struct row){.order = {.spec = ""},
				   .json = row,
				   .actions = target->result.plan.n,
				   .basis = basis_of(id, target, NULL, row)});
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
	for (size_t i = 0; i < instances_n; i++) {
		const struct instance_identity *identity = instance_identity(instances[i]);

		if (!plan->spec || strcmp(plan->spec, identity->spec) == 0)
			add_instance(plan, instances[i], find_target(targets, n, identity->name), err);
	}
	for (size_t i = 0; i < n; i++)
		if (job_target_is_found(&targets[i]) || !host_find(host, targets[i].order.name))
			add_orphan(plan, host, &targets[i]);
	if (--plan->missing == 0)
		answer(plan);
}

/* expected: see struct plan_request. */
static void ask_hosts(const struct api *api, struct control_request *request, const char *expected)
{
	struct plan_request *plan = xcalloc(1, sizeof(*plan));
	size_t n;
	struct host *const *hosts = fleet_hosts(api->fleet, &n);

	plan->api = api;
	plan->request = request;
	plan->spec = xstrdup(control_param(request, "spec"));
	plan->expected = xstrdup(expected);
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

void api_plan(void *arg, struct control_request *request)
{
	const struct api *api = arg;

	if (api_knows_spec(api, request))
		ask_hosts(api, request, NULL);
}

void api_apply_plan(const struct api *api, struct control_request *request)
{
	if (api_knows_spec(api, request))
		ask_hosts(api, request, control_param(request, "plan"));
}
