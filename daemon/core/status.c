#include "daemon/core/status.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/text.h"
#include "daemon/core/haproxy/haproxy.h"

const char *phase_name(enum phase phase)
{
	static const char *const names[PHASES] = {
		[PHASE_PENDING] = "pending",         [PHASE_RECONCILING] = "reconciling",
		[PHASE_CONVERGED] = "converged",     [PHASE_FAILED] = "failed",
		[PHASE_UNREACHABLE] = "unreachable", [PHASE_CONFLICT] = "conflict",
		[PHASE_PAUSED] = "paused",           [PHASE_REMOVING] = "removing",
	};

	return names[phase];
}

static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

struct json_object *status_time_json(int64_t time_ms)
{
	char stamp[sizeof("2026-01-02T03:04:05.678Z") + 8];
	time_t seconds = time_ms / 1000;
	struct tm tm;
	size_t len;

	if (time_ms <= 0)
		return NULL;
	gmtime_r(&seconds, &tm);
	len = strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp + len, sizeof(stamp) - len, ".%03uZ", (unsigned)(time_ms % 1000));
	return json_object_new_string(stamp);
}

struct json_object *status_error_json(const struct err *error, int64_t since_ms, unsigned attempts)
{
	struct json_object *object;

	if (!error || error->kind == ERR_NONE)
		return NULL;
	object = json_object_new_object();
	add(object, "kind", text_json(err_kind_name(error->kind)));
	add(object, "message", text_json(error->message));
	add(object, "since", status_time_json(since_ms));
	add(object, "attempts", json_object_new_int64(attempts));
	return object;
}

static struct json_object *container_json(const struct status_instance *instance)
{
	struct json_object *object;

	if (!instance->container_id)
		return NULL;
	object = json_object_new_object();
	add(object, "id", text_json(instance->container_id));
	add(object, "image", text_json(instance->image));
	add(object, "status", text_json(container_status_name(instance->container_status)));
	return object;
}

static struct json_object *server_json(const struct spec_server *wanted,
				       const struct status_instance *instance)
{
	struct json_object *object = json_object_new_object();
	const struct observed_server *seen =
		observed_server_find(instance->servers, instance->servers_n, wanted);
	const struct server_memory *known = NULL;
	char *address = haproxy_server_address(wanted);

	if (seen && seen->state != SERVER_UNKNOWN && instance->servers_known)
		known = servers_find(instance->servers_known, seen->name);
	add(object, "address", text_json(address));
	add(object, "state", text_json(server_state_name(seen ? seen->state : SERVER_UNKNOWN)));
	if (seen && seen->draining)
		add(object, "draining", json_object_new_boolean(true));
	add(object, "since", known ? status_time_json(known->since_ms) : NULL);
	if (seen && seen->why)
		add(object, "why", text_json(seen->why));
	if (seen && seen->check[0])
		add(object, "check", text_json(seen->check));
	free(address);
	return object;
}

static const char *traffic_of(const struct status_instance *instance)
{
	return traffic_name(servers_traffic(instance->wanted_servers, instance->wanted_servers_n,
					    instance->servers, instance->servers_n, instance->fallback));
}

/* null: no spec names the instance any more. */
static struct json_object *verifies_json(const struct spec_health_check *health_check)
{
	return health_check ? json_object_new_boolean(health_check->ca != NULL) : NULL;
}

struct json_object *status_instance_json(const struct status_instance *instance)
{
	static const char *const serves[] = {
		[SERVES_UNKNOWN] = NULL, [SERVES_WANTED] = "wanted", [SERVES_FORMER] = "former"};
	struct json_object *object = json_object_new_object();
	struct json_object *config = json_object_new_object();
	struct json_object *servers = json_object_new_array_ext((int)instance->wanted_servers_n + 1);

	add(object, "id", text_json(instance->id));
	add(object, "spec", text_json(instance->spec));
	add(object, "index", json_object_new_uint64(instance->index));
	add(object, "host", text_json(instance->host));
	add(object, "name", text_json(instance->name));
	add(object, "phase", text_json(phase_name(instance->phase)));
	add(object, "converged", json_object_new_boolean(instance->phase == PHASE_CONVERGED));
	add(object, "progress", text_json(instance->progress));
	add(object, "image", text_json(instance->image));
	add(object, "container", container_json(instance));
	add(object, "draining", json_object_new_uint64(instance->draining));
	add(config, "path", text_json(instance->config_path));
	add(config, "sha256", text_json(instance->config_sha256));
	add(object, "config", config);
	for (size_t i = 0; i < instance->wanted_servers_n; i++)
		json_object_array_add(servers, server_json(&instance->wanted_servers[i], instance));
	add(object, "servers", servers);
	add(object, "verifiesServers", verifies_json(instance->health_check));
	if (instance->health_check && instance->health_check->insecure)
		add(object, "insecure", json_object_new_boolean(true));
	add(object, "guarded", instance->loaded ? json_object_new_boolean(instance->loaded->guarded) : NULL);
	add(object, "traffic", text_json(traffic_of(instance)));
	add(object, "serves", text_json(serves[instance->serves]));
	add(object, "lastError",
	    status_error_json(instance->error, instance->error_since_ms, instance->attempts));
	add(object, "observedAt", status_time_json(instance->observed_at_ms));
	add(object, "changedAt", status_time_json(instance->changed_at_ms));
	add(object, "nextRunAt", status_time_json(instance->next_run_at_ms));
	return object;
}

static struct json_object *rollout_json(const struct status_rollout *rollout)
{
	struct json_object *object;

	if (!rollout)
		return NULL;
	object = json_object_new_object();
	add(object, "phase", text_json(rollout->phase));
	add(object, "paused", json_object_new_boolean(rollout->paused));
	add(object, "done", json_object_new_uint64(rollout->done));
	add(object, "total", json_object_new_uint64(rollout->total));
	add(object, "changing", json_object_new_uint64(rollout->changing));
	add(object, "unreachable", json_object_new_uint64(rollout->unreachable));
	add(object, "failed", json_object_new_uint64(rollout->failed));
	add(object, "why", text_json(rollout->why));
	add(object, "since", status_time_json(rollout->since_ms));
	return object;
}

struct json_object *status_spec_json(const struct status_spec *spec)
{
	struct json_object *object = json_object_new_object();
	struct json_object *errors = json_object_new_array();

	add(object, "name", text_json(spec->name));
	add(object, "file", text_json(spec->file));
	add(object, "valid", json_object_new_boolean(spec->valid));
	for (size_t i = 0; i < spec->errors_n; i++) {
		const struct spec_error *error = &spec->errors[i];
		struct json_object *row = json_object_new_object();

		add(row, "file", text_json(error->file));
		add(row, "line", json_object_new_uint64(error->line));
		add(row, "column", json_object_new_uint64(error->column));
		add(row, "path", text_json(error->path));
		add(row, "message", text_json(error->message));
		json_object_array_add(errors, row);
	}
	add(object, "errors", errors);
	add(object, "instances", json_object_new_uint64(spec->instances));
	add(object, "converged", json_object_new_uint64(spec->converged));
	add(object, "rollout", rollout_json(spec->rollout));
	return object;
}

struct json_object *status_actions_json(const struct action *list, size_t n)
{
	struct json_object *actions = json_object_new_array();

	for (size_t i = 0; i < n; i++) {
		const struct action *action = &list[i];
		struct json_object *row = json_object_new_object();
		char *words = action_text(action);

		add(row, "action", text_json(action_name(action->kind)));
		add(row, "target", text_json(action->name));
		add(row, "reason", text_json(action->reason));
		add(row, "text", text_json(words));
		json_object_array_add(actions, row);
		free(words);
	}
	return actions;
}
