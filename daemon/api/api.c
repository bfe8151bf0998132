#include "daemon/api/api.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/status.h"
#include "daemon/io/clock.h"
#include "daemon/rollout/rollouts.h"

void api_reply_json(struct control_request *request, int status, struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
									  JSON_C_TO_STRING_NOSLASHESCAPE);
	char *line = xasprintf("%s\n", text);

	control_reply(request, status, "application/json", line, strlen(line));
	free(line);
	json_object_put(object);
}

/* True when ?spec= names the spec, or is absent. */
static bool asks_for(const struct control_request *request, const char *spec)
{
	const char *asked = control_param(request, "spec");

	return !asked || strcmp(asked, spec) == 0;
}

static bool is_known(const struct fleet *fleet, const char *spec)
{
	size_t n;
	struct host *const *hosts = fleet_hosts(fleet, &n);

	if (specs_find(fleet_specs(fleet), spec))
		return true;
	for (size_t i = 0; i < n; i++)
		if (fleet_touches(hosts[i], spec))
			return true;
	return false;
}

bool api_knows_spec(const struct api *api, struct control_request *request)
{
	const char *asked = control_param(request, "spec");

	char *named;

	if (!asked || is_known(api->fleet, asked))
		return true;
	/* People often give the name of the file instead. */
	named = spec_name_from_file(strrchr(asked, '/') ? strrchr(asked, '/') + 1 : asked);
	if (named && is_known(api->fleet, named))
		control_error(request, 404, "no spec is named \"%s\"; the spec of this file is named \"%s\"",
			      asked, named);
	else
		control_error(request, 404, "no spec is named \"%s\"", asked);
	free(named);
	return false;
}

/* GET /v1/status */

int api_by_order(const void *a, const void *b)
{
	const struct api_order *x = a, *y = b;
	int order = strcmp(x->spec, y->spec);

	if (order == 0)
		order = (x->index > y->index) - (x->index < y->index);
	return order ? order : strcmp(x->id, y->id);
}

struct api_balancer *api_balancers(const struct api *api, const struct control_request *request, size_t *n)
{
	struct fleet_walk walk = {.fleet = api->fleet};
	struct api_balancer *all = NULL;

	*n = 0;
	while (fleet_next(&walk)) {
		const struct instance_identity *identity = instance_identity(walk.instance);

		if (!asks_for(request, identity->spec))
			continue;
		all = xgrow(all, *n, sizeof(*all));
		all[(*n)++] = (struct api_balancer){
			.order = {.spec = identity->spec, .index = identity->index, .id = identity->id},
			.host = walk.host,
			.instance = walk.instance,
		};
	}
	if (*n) /* qsort takes no NULL, not even for 0 elements */
		qsort(all, *n, sizeof(*all), api_by_order);
	return all;
}

static struct json_object *instances_json(const struct api *api, struct control_request *request)
{
	struct json_object *array = json_object_new_array();
	size_t n;
	struct api_balancer *all = api_balancers(api, request, &n);

	for (size_t i = 0; i < n; i++) {
		const struct status_instance status = instance_status(
			all[i].instance, rollouts_hold(fleet_rollouts(api->fleet), all[i].instance),
			host_next_run_ms(all[i].host));

		json_object_array_add(array, status_instance_json(&status));
	}
	free(all);
	return array;
}

/* Counts a spec's balancers, and how many of them are converged. */
struct tally {
	const char *spec; /* owned by an instance */
	size_t instances, converged;
	UT_hash_handle hh;
};

static void count_instance(struct tally **tallies, const struct instance *instance)
{
	const char *spec = instance_identity(instance)->spec;
	struct tally *tally;

	HASH_FIND_STR(*tallies, spec, tally);
	if (!tally) {
		tally = xcalloc(1, sizeof(*tally));
		tally->spec = spec;
		HASH_ADD_KEYPTR(hh, *tallies, tally->spec, strlen(tally->spec), tally);
	}
	tally->instances++;
	tally->converged += instance_phase(instance, NULL) == PHASE_CONVERGED;
}

static struct tally *tallies_new(const struct api *api)
{
	struct fleet_walk walk = {.fleet = api->fleet};
	struct tally *tallies = NULL;

	while (fleet_next(&walk))
		count_instance(&tallies, walk.instance);
	return tallies;
}

static void tallies_free(struct tally *tallies)
{
	struct tally *tally, *tmp;

	HASH_ITER (hh, tallies, tally, tmp) {
		HASH_DEL(tallies, tally);
		free(tally);
	}
}

static struct json_object *specs_json(const struct api *api, struct control_request *request)
{
	struct json_object *array = json_object_new_array();
	struct tally *tallies = tallies_new(api), *tally;
	size_t n;
	const struct spec_file *const *files = specs_files(fleet_specs(api->fleet), &n);

	for (size_t i = 0; i < n; i++) {
		struct status_spec spec = {
			.name = files[i]->name,
			.file = files[i]->path,
			.valid = files[i]->errors.n == 0,
			.errors = files[i]->errors.v,
			.errors_n = files[i]->errors.n,
		};

		struct status_rollout rollout;

		if (!asks_for(request, spec.name))
			continue;
		if (rollouts_status(fleet_rollouts(api->fleet), spec.name, &rollout))
			spec.rollout = &rollout;
		HASH_FIND_STR(tallies, spec.name, tally);
		if (tally) {
			spec.instances = tally->instances;
			spec.converged = tally->converged;
		}
		json_object_array_add(array, status_spec_json(&spec));
	}
	tallies_free(tallies);
	return array;
}

/* Troubles of the daemon itself, not of a balancer. */
static struct json_object *troubles_json(const struct api *api)
{
	struct json_object *array = json_object_new_array();
	const char *const troubles[] = {fleet_directory_error(api->fleet), fleet_watch_trouble(api->fleet),
					store_trouble(api->store)};

	for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++)
		if (troubles[i])
			json_object_array_add(array, text_json(troubles[i]));
	return array;
}

/* Files whose names may be a mistake, and files that keep others' balancers. */
static struct json_object *warnings_json(const struct api *api)
{
	struct json_object *array = json_object_new_array();
	size_t n;
	char *const *misnamed = specs_misnamed(fleet_specs(api->fleet), &n);
	char *kept = specs_kept_warning(fleet_specs(api->fleet));

	for (size_t i = 0; i < n; i++)
		json_object_array_add(array, text_json(misnamed[i]));
	if (kept)
		json_object_array_add(array, text_json(kept));
	free(kept);
	return array;
}

static void get_status(void *arg, struct control_request *request)
{
	const struct api *api = arg;
	struct json_object *reply;

	if (!api_knows_spec(api, request))
		return;
	reply = json_object_new_object();
	json_object_object_add(reply, "version", json_object_new_string(PACKAGE_VERSION));
	json_object_object_add(reply, "ready", json_object_new_boolean(fleet_is_ready(api->fleet)));
	json_object_object_add(reply, "startedAt", status_time_json(api->started_at_ms));
	json_object_object_add(reply, "troubles", troubles_json(api));
	json_object_object_add(reply, "warnings", warnings_json(api));
	json_object_object_add(reply, "specs", specs_json(api, request));
	json_object_object_add(reply, "instances", instances_json(api, request));
	api_reply_json(request, 200, reply);
}

/* POST /v1/reconcile */

void api_answer_reconcile(const struct api *api, struct control_request *request)
{
	struct json_object *reply;
	size_t hosts;

	if (!api_knows_spec(api, request))
		return;
	hosts = fleet_kick(api->fleet, control_param(request, "spec"));
	reply = json_object_new_object();
	json_object_object_add(reply, "requestedAt", status_time_json(clock_now_ms()));
	json_object_object_add(reply, "hosts", json_object_new_uint64(hosts));
	api_reply_json(request, 202, reply);
}

static void post_reconcile(void *arg, struct control_request *request)
{
	(control_param(request, "plan") ? api_apply_plan : api_answer_reconcile)(arg, request);
}

/* POST /v1/pause, POST /v1/resume */

static bool names_spec(const struct api *api, struct control_request *request)
{
	if (control_param(request, "spec"))
		return api_knows_spec(api, request);
	control_error(request, 400, "which spec? Add ?spec=NAME");
	return false;
}

static void answer_spec(const struct api *api, struct control_request *request)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "specs", specs_json(api, request));
	api_reply_json(request, 202, reply);
}

/* To pause a spec that is paused already is no error. */
static void post_pause(void *arg, struct control_request *request)
{
	const struct api *api = arg;

	if (!names_spec(api, request))
		return;
	fleet_pause(api->fleet, control_param(request, "spec"));
	answer_spec(api, request);
}

static void post_resume(void *arg, struct control_request *request)
{
	const struct api *api = arg;
	const char *spec = control_param(request, "spec");

	if (!names_spec(api, request))
		return;
	if (fleet_resume(api->fleet, spec))
		answer_spec(api, request);
	else
		control_error(
			request, 409,
			"there is nothing to resume: the changes of \"%s\" are not paused, and its rollout "
			"has not stopped",
			spec);
}

static void get_events(void *arg, struct control_request *request)
{
	const struct api *api = arg;

	events_answer(api->events, request);
}

static void get_healthz(void *arg, struct control_request *request)
{
	const struct api *api = arg;
	const char *trouble = !fleet_is_ready(api->fleet)         ? "the specs have not been read yet"
			      : fleet_directory_error(api->fleet) ? fleet_directory_error(api->fleet)
								  : store_trouble(api->store);

	if (trouble)
		control_error(request, 503, "%s", trouble);
	else
		control_reply(request, 200, "text/plain", "ok\n", 3);
}

/* The gate: every answer takes into account all spec files that were written before its request. */

struct question {
	struct api *api;
	struct control_request *request;
	void (*handle)(void *arg, struct control_request *request);
	struct fleet_waiter waiter;
};

static void on_loaded(void *arg, bool loaded)
{
	struct question question = *(struct question *)arg;

	free(arg);
	control_on_gone(question.request, NULL, NULL);
	if (loaded)
		question.handle(question.api, question.request);
	else
		control_error(question.request, 503, "apilbd is ending");
}

static void on_gone(void *arg)
{
	struct question *question = arg;

	fleet_wait_cancel(question->api->fleet, &question->waiter);
	free(question);
}

void api_gate(void *arg, struct control_request *request,
	      void (*handle)(void *arg, struct control_request *request))
{
	struct api *api = arg;
	struct question *question = xcalloc(1, sizeof(*question));

	*question = (struct question){
		.api = api,
		.request = request,
		.handle = handle,
		.waiter = {.loaded = on_loaded, .arg = question},
	};
	/* /healthz must answer at once. */
	if (handle != get_healthz && fleet_wait(api->fleet, &question->waiter)) {
		control_on_gone(request, on_gone, question);
		return;
	}
	free(question);
	handle(api, request);
}

const struct control_route api_routes[] = {
	{"GET", "/v1/status", get_status},         {"GET", "/v1/plan", api_plan},
	{"POST", "/v1/pause", post_pause},         {"POST", "/v1/resume", post_resume},
	{"POST", "/v1/reconcile", post_reconcile}, {"GET", "/v1/events", get_events},
	{"GET", "/v1/state", api_state},           {"GET", "/healthz", get_healthz},
	{"GET", "/metrics", api_metrics},          {NULL, NULL, NULL},
};
