#include "ctl/status.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "ctl/json.h"

static const struct phase phases[] = {
	{"", COLOUR_RED, false}, /* a phase that this client does not know: the daemon is newer */
	{"failed", COLOUR_RED, true},
	{"conflict", COLOUR_RED, true},
	{"unreachable", COLOUR_RED, true},
	{"paused", COLOUR_YELLOW, true},
	{"removing", COLOUR_YELLOW, false},
	{"reconciling", COLOUR_YELLOW, false},
	{"pending", COLOUR_YELLOW, false},
	{"converged", COLOUR_GREEN, true},
};

static const struct phase *find_phase(const char *name)
{
	for (size_t i = 1; i < sizeof(phases) / sizeof(phases[0]); i++)
		if (strcmp(phases[i].name, name) == 0)
			return &phases[i];
	return &phases[0];
}

static void count_servers(struct balancer *b)
{
	size_t down = 0;

	b->servers = json_length(b->servers_list);
	for (size_t i = 0; i < b->servers; i++) {
		struct json_object *server = json_item(b->servers_list, i);
		const char *state = json_text(server, "state", "unknown");

		b->servers_known += strcmp(state, "unknown") != 0;
		b->servers_up += strcmp(state, "up") == 0;
		down += strcmp(state, "down") == 0;
	}
	b->none_up = b->servers > 0 && down == b->servers;
}

static void read_balancer(struct balancer *b, struct json_object *json)
{
	b->id = json_text(json, "id", "-");
	b->spec = json_text(json, "spec", "-");
	b->host = json_text(json, "host", "-");
	b->name = json_text(json, "name", "-");
	b->phase_name = json_text(json, "phase", "-");
	b->phase = find_phase(b->phase_name);
	b->converged = json_flag(json, "converged");
	b->image = json_text(json_map(json, "container"), "image", json_text(json, "image", "-"));
	b->progress = json_text(json, "progress", NULL);
	b->error = json_text(json_map(json, "lastError"), "message", NULL);
	b->untested = strcmp(json_text(json, "traffic", ""), "untested") == 0;
	b->unguarded = !json_flag(json, "guarded") && json_has_flag(json, "guarded");
	b->verifies = json_flag(json, "verifiesServers");
	b->trusting = !b->verifies && !json_flag(json, "insecure") && json_has_flag(json, "verifiesServers");
	b->serves = json_text(json, "serves", "");
	b->observed_ms = json_time_ms(json, "observedAt");
	b->changed_ms = json_time_ms(json, "changedAt");
	b->servers_list = json_list(json, "servers");
	count_servers(b);
}

static size_t count(struct json_object *json, const char *key)
{
	int64_t n = json_number(json, key);

	return n > 0 ? (size_t)n : 0;
}

static void read_rollout(struct rollout_status *rollout, struct json_object *json)
{
	rollout->phase = json ? json_text(json, "phase", "-") : NULL;
	rollout->stopped = json && strcmp(rollout->phase, "rolling") != 0;
	rollout->done = count(json, "done");
	rollout->total = count(json, "total");
	rollout->why = json_text(json, "why", "no reason is given");
}

static void read_spec(struct spec_status *spec, struct json_object *json)
{
	spec->name = json_text(json, "name", "-");
	spec->file = json_text(json, "file", spec->name);
	spec->valid = json_flag(json, "valid");
	spec->errors = json_list(json, "errors");
	read_rollout(&spec->rollout, json_map(json, "rollout"));
}

static int by_urgency(const void *left, const void *right)
{
	const struct balancer *a = left, *b = right;

	/* No server is up: an outage, whatever the phase is. */
	if (a->none_up != b->none_up)
		return a->none_up ? -1 : 1;
	if (a->phase != b->phase)
		return a->phase < b->phase ? -1 : 1;
	if (balancer_is_well(a) != balancer_is_well(b))
		return balancer_is_well(a) ? 1 : -1;
	return strcmp(a->id, b->id);
}

int status_parse(struct status *status, struct json_object *json, struct err *err)
{
	struct json_object *instances = json_list(json, "instances"), *specs = json_list(json, "specs");

	memset(status, 0, sizeof(*status));
	status->json = json;
	if (!instances || !specs) {
		status_clear(status);
		return err_set(err, ERR_UNREACHABLE,
			       "what answers is not apilbd: its status has no list of instances and specs");
	}
	status->version = json_text(json, "version", "-");
	status->ready = json_flag(json, "ready");
	status->troubles = json_list(json, "troubles");
	status->warnings = json_list(json, "warnings");
	status->balancers_n = json_length(instances);
	status->balancers = xcalloc(status->balancers_n, sizeof(*status->balancers));
	for (size_t i = 0; i < status->balancers_n; i++)
		read_balancer(&status->balancers[i], json_item(instances, i));
	qsort(status->balancers, status->balancers_n, sizeof(*status->balancers), by_urgency);

	status->specs_n = json_length(specs);
	status->specs = xcalloc(status->specs_n, sizeof(*status->specs));
	for (size_t i = 0; i < status->specs_n; i++)
		read_spec(&status->specs[i], json_item(specs, i));
	return 0;
}

void status_copy(struct status *to, const struct status *from)
{
	struct err never; /* the text has been parsed before */

	status_parse(to, json_object_get(from->json), &never);
}

void status_clear(struct status *status)
{
	json_object_put(status->json);
	free(status->balancers);
	free(status->specs);
	memset(status, 0, sizeof(*status));
}

bool balancer_is_well(const struct balancer *b)
{
	return b->converged && b->servers_up == b->servers_known;
}

/* A spec whose file is gone still has balancers until they are removed. */
bool status_has_spec(const struct status *status, const char *name)
{
	for (size_t i = 0; i < status->specs_n; i++)
		if (strcmp(status->specs[i].name, name) == 0)
			return true;
	for (size_t i = 0; i < status->balancers_n; i++)
		if (strcmp(status->balancers[i].spec, name) == 0)
			return true;
	return false;
}

size_t status_count_invalid(const struct status *status)
{
	size_t n = 0;

	for (size_t i = 0; i < status->specs_n; i++)
		n += !status->specs[i].valid;
	return n;
}

size_t status_count_none_up(const struct status *status)
{
	size_t n = 0;

	for (size_t i = 0; i < status->balancers_n; i++)
		n += status->balancers[i].none_up;
	return n;
}

size_t status_count_converged(const struct status *status)
{
	size_t n = 0;

	for (size_t i = 0; i < status->balancers_n; i++)
		n += status->balancers[i].converged;
	return n;
}

size_t status_count_stopped(const struct status *status)
{
	size_t n = 0;

	for (size_t i = 0; i < status->specs_n; i++)
		n += status->specs[i].rollout.stopped &&
		     status->specs[i].rollout.done < status->specs[i].rollout.total;
	return n;
}

size_t status_count_rolling(const struct status *status)
{
	size_t n = 0;

	for (size_t i = 0; i < status->specs_n; i++)
		n += status->specs[i].rollout.phase && !status->specs[i].rollout.stopped;
	return n;
}
