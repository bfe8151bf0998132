/*
 * GET /v1/state: flexkube's "state" as YAML; with ?format=json as JSON, together
 * with the id of each entry's balancer.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "common/yaml_emit.h"
#include "daemon/api/api.h"
#include "daemon/core/state.h"

static void add_entry(struct json_object *state, struct json_object *ids, const struct instance *instance)
{
	const struct status_instance shown = instance_status(instance, NULL, 0);
	const struct wanted *wanted = instance_revision(instance)->in_force;
	char key[24];

	/* An instance that was never seen on its host has no container to hand over. */
	if (!wanted || !shown.container_id)
		return;
	snprintf(key, sizeof(key), "%d", json_object_object_length(state));
	json_object_object_add(
		state, key,
		state_entry_json(wanted, shown.container_id, container_status_name(shown.container_status)));
	json_object_object_add(ids, key, text_json(shown.id));
}

/* In the spec's order, so that the keys are flexkube's if the request asks for one spec. */
static void add_instances(struct json_object *state, struct json_object *ids, const struct api *api,
			  const struct control_request *request)
{
	size_t n;
	struct api_balancer *all = api_balancers(api, request, &n);

	for (size_t i = 0; i < n; i++)
		add_entry(state, ids, all[i].instance);
	free(all);
}

void api_state(void *arg, struct control_request *request)
{
	const struct api *api = arg;
	const char *format = control_param(request, "format");
	struct json_object *document, *state, *ids;
	char *text;

	if (!api_knows_spec(api, request))
		return;
	document = json_object_new_object();
	state = json_object_new_object();
	ids = json_object_new_object();
	add_instances(state, ids, api, request);
	json_object_object_add(document, "state", state);
	if (format && strcmp(format, "json") == 0) {
		json_object_object_add(document, "instances", ids);
		api_reply_json(request, 200, document);
		return;
	}
	json_object_put(ids);
	text = yaml_emit(document);
	control_reply(request, 200, "application/yaml", text, strlen(text));
	free(text);
	json_object_put(document);
}
