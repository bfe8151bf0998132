/* GET /v1/state: what flexkube would call the state, as YAML. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/yaml_emit.h"
#include "daemon/api.h"
#include "daemon/core/state.h"

static void add_entry(struct json_object *state, const struct instance *instance)
{
	const struct observed_container *container = instance->observed.current;
	char key[24];

	/* What was never seen has no container that could be handed over. */
	if (!instance->wanted || !instance->record.container_id)
		return;
	snprintf(key, sizeof(key), "%d", json_object_object_length(state));
	json_object_object_add(
		state, key,
		state_entry_json(instance->wanted, instance->record.container_id,
				 container_status_name(container ? container->status : CONTAINER_UNKNOWN)));
}

/* In the specs' own order, so that the keys are flexkube's as long as all of a spec are asked for. */
static void add_spec(struct json_object *state, const struct api *api, const struct spec *spec)
{
	size_t hosts, n;
	struct host *const *all = fleet_hosts(api->fleet, &hosts);

	for (size_t index = 0; index < spec->instances_n; index++) {
		for (size_t i = 0; i < hosts; i++) {
			struct instance *const *instances = host_instances(all[i], &n);

			for (size_t j = 0; j < n; j++)
				if (instances[j]->index == index &&
				    strcmp(instances[j]->spec, spec->name) == 0)
					add_entry(state, instances[j]);
		}
	}
}

void api_state(void *arg, struct control_request *request)
{
	const struct api *api = arg;
	struct json_object *document, *state;
	struct spec_file *const *files;
	char *text;
	size_t n;

	if (!api_knows_spec(api, request))
		return;
	document = json_object_new_object();
	state = json_object_new_object();
	files = specs_files(fleet_specs(api->fleet), &n);
	for (size_t i = 0; i < n; i++)
		if (files[i]->spec && api_asks_for(request, files[i]->name))
			add_spec(state, api, files[i]->spec);
	json_object_object_add(document, "state", state);
	text = yaml_emit(document);
	control_reply(request, 200, "application/yaml", text, strlen(text));
	free(text);
	json_object_put(document);
}
