/*
 * GET /metrics: the Prometheus text format, version 0.0.4.
 * Source: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"
#include "daemon/api/api.h"
#include "daemon/core/servers.h"
#include "daemon/io/docker/docker.h"
#include "daemon/rollout/rollouts.h"

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(FILE *out, const char *name, const char *help, uint64_t value)
{
	family(out, name, "gauge", help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void counter(FILE *out, const char *name, const char *help, uint64_t value)
{
	family(out, name, "counter", help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

/* Prints NAME="VALUE", escaped as the format demands. */
static void label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n') {
			fputs("\\n", out);
			continue;
		}
		if (*value == '"' || *value == '\\')
			fputc('\\', out);
		fputc(*value, out);
	}
	fputc('"', out);
}

static void instance_labels(FILE *out, const char *metric, const struct instance *instance)
{
	const struct instance_identity *identity = instance_identity(instance);

	fprintf(out, "%s{", metric);
	label(out, "spec", identity->spec);
	fputc(',', out);
	label(out, "host", identity->host_url);
	fputc(',', out);
	label(out, "name", identity->name);
}

typedef void each_instance(FILE *out, const struct instance *instance, void *arg);

static void for_each(const struct api *api, FILE *out, each_instance *each, void *arg)
{
	struct fleet_walk walk = {.fleet = api->fleet};

	while (fleet_next(&walk))
		each(out, walk.instance, arg);
}

struct phase_counts {
	const struct rollouts *rollouts;
	size_t of[PHASES];
};

static void count_phase(FILE *out, const struct instance *instance, void *arg)
{
	struct phase_counts *counts = arg;

	(void)out;
	counts->of[instance_phase(instance, rollouts_hold(counts->rollouts, instance))]++;
}

static void converged(FILE *out, const struct instance *instance, void *arg)
{
	(void)arg;
	instance_labels(out, "apilb_instance_converged", instance);
	fprintf(out, "} %d\n", instance_phase(instance, NULL) == PHASE_CONVERGED);
}

static enum server_state state_of(const struct instance *instance, const struct spec_server *server)
{
	const struct observed_instance *observed = instance_observed(instance);
	const struct observed_server *seen =
		observed_server_find(observed->servers, observed->servers_n, server);

	return seen ? seen->state : SERVER_UNKNOWN;
}

static void servers(FILE *out, const struct instance *instance, void *arg)
{
	const struct wanted *wanted = instance_revision(instance)->in_force;
	size_t states[SERVER_DOWN + 1] = {0};

	(void)arg;
	for (size_t i = 0; wanted && i < wanted->instance.servers_n; i++)
		states[state_of(instance, &wanted->instance.servers[i])]++;
	for (size_t i = 0; i <= SERVER_DOWN; i++) {
		instance_labels(out, "apilb_instance_servers", instance);
		fprintf(out, ",state=\"%s\"} %zu\n", server_state_name(i), states[i]);
	}
}

/* A server of a spec, and how many of the spec's balancers see it in each state: a series for each pair of
 * server and balancer would make thousands. */
struct server_row {
	char *key;
	const char *spec; /* owned by an instance */
	char *address;
	size_t states[SERVER_DOWN + 1];
	UT_hash_handle hh;
};

static void count_servers(FILE *out, const struct instance *instance, void *arg)
{
	const struct wanted *wanted = instance_revision(instance)->in_force;
	const char *spec = instance_identity(instance)->spec;
	struct server_row **rows = arg, *row;

	(void)out;
	for (size_t i = 0; wanted && i < wanted->instance.servers_n; i++) {
		const struct spec_server *server = &wanted->instance.servers[i];
		char *address = haproxy_server_address(server);
		char *key = xasprintf("%s %s", spec, address);

		HASH_FIND_STR(*rows, key, row);
		if (row) {
			free(key);
			free(address);
		} else {
			row = xcalloc(1, sizeof(*row));
			*row = (struct server_row){.key = key, .spec = spec, .address = address};
			HASH_ADD_KEYPTR(hh, *rows, row->key, strlen(row->key), row);
		}
		row->states[state_of(instance, server)]++;
	}
}

static void print_servers(FILE *out, struct server_row *rows)
{
	struct server_row *row, *tmp;

	family(out, "apilb_server_balancers", "gauge", "Load balancers by how they see this API server.");
	HASH_ITER (hh, rows, row, tmp) {
		for (size_t i = 0; i <= SERVER_DOWN; i++) {
			fputs("apilb_server_balancers{", out);
			label(out, "spec", row->spec);
			fputc(',', out);
			label(out, "server", row->address);
			fprintf(out, ",state=\"%s\"} %zu\n", server_state_name(i), row->states[i]);
		}
		HASH_DEL(rows, row);
		free(row->key);
		free(row->address);
		free(row);
	}
}

static void count_none_up(FILE *out, const struct instance *instance, void *arg)
{
	size_t *n = arg;

	(void)out;
	*n += instance_sees_no_server(instance);
}

static void attempts(FILE *out, const struct instance *instance, void *arg)
{
	(void)arg;
	instance_labels(out, "apilb_instance_failed_attempts", instance);
	fprintf(out, "} %" PRId64 "\n", instance_verdict(instance)->attempts);
}

static void instances(const struct api *api, FILE *out)
{
	struct phase_counts counts = {.rollouts = fleet_rollouts(api->fleet)};
	size_t none_up = 0;
	struct server_row *rows = NULL;

	for_each(api, out, count_phase, &counts);
	for_each(api, out, count_none_up, &none_up);
	for_each(api, out, count_servers, &rows);
	family(out, "apilb_instances", "gauge", "Load balancers by phase.");
	for (size_t i = 0; i < PHASES; i++)
		fprintf(out, "apilb_instances{phase=\"%s\"} %zu\n", phase_name(i), counts.of[i]);
	family(out, "apilb_instance_converged", "gauge", "1 when the load balancer is as wanted.");
	for_each(api, out, converged, NULL);
	family(out, "apilb_instance_servers", "gauge", "API servers as the load balancer last saw them.");
	for_each(api, out, servers, NULL);
	print_servers(out, rows);
	gauge(out, "apilb_instances_without_server", "Load balancers that see no API server up.", none_up);
	family(out, "apilb_instance_failed_attempts", "gauge",
	       "Runs in a row that did not end with the load balancer as wanted.");
	for_each(api, out, attempts, NULL);
}

static void hosts(const struct api *api, FILE *out)
{
	size_t n, connected = 0;
	struct host *const *all = fleet_hosts(api->fleet, &n);

	for (size_t i = 0; i < n; i++)
		connected += host_is_connected(all[i]);
	gauge(out, "apilb_hosts", "Hosts that are looked after.", n);
	gauge(out, "apilb_hosts_connected", "Hosts with a connection that works.", connected);
	gauge(out, "apilb_hosts_running", "Hosts with a run under way.", fleet_running(api->fleet));
}

static void rollout_hosts(FILE *out, const char *spec, const char *state, size_t n)
{
	fputs("apilb_rollout_hosts{", out);
	label(out, "spec", spec);
	fprintf(out, ",state=\"%s\"} %zu\n", state, n);
}

/* For each spec that has a rollout or is paused. */
static void rollouts(const struct api *api, FILE *out)
{
	size_t n;
	const struct spec_file *const *files = specs_files(fleet_specs(api->fleet), &n);
	struct status_rollout status;

	family(out, "apilb_rollout_hosts", "gauge", "Hosts of a rollout under way by their state in it.");
	for (size_t i = 0; i < n; i++) {
		if (!rollouts_status(fleet_rollouts(api->fleet), files[i]->name, &status))
			continue;
		rollout_hosts(out, files[i]->name, "done", status.done);
		rollout_hosts(out, files[i]->name, "changing", status.changing);
		rollout_hosts(out, files[i]->name, "failed", status.failed);
		rollout_hosts(out, files[i]->name, "all", status.total);
	}
	family(out, "apilb_rollout_stopped", "gauge",
	       "1 when a rollout was halted or reverted, or the spec is paused; 0 while it rolls.");
	for (size_t i = 0; i < n; i++) {
		if (!rollouts_status(fleet_rollouts(api->fleet), files[i]->name, &status))
			continue;
		fputs("apilb_rollout_stopped{", out);
		label(out, "spec", files[i]->name);
		fprintf(out, ",phase=\"%s\"} %d\n", status.phase, status.stopped);
	}
}

static void specs(const struct api *api, FILE *out)
{
	size_t n;
	const struct spec_file *const *files = specs_files(fleet_specs(api->fleet), &n);

	family(out, "apilb_spec_valid", "gauge", "1 when the newest version of the spec is in force.");
	for (size_t i = 0; i < n; i++) {
		fputs("apilb_spec_valid{", out);
		label(out, "spec", files[i]->name);
		fprintf(out, "} %d\n", files[i]->errors.n == 0);
	}
	rollouts(api, out);
	gauge(out, "apilb_spec_dir_readable", "1 when the spec directory could be read at the last attempt.",
	      fleet_directory_error(api->fleet) == NULL);
}

void api_metrics(void *arg, struct control_request *request)
{
	const struct api *api = arg;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		abort();
	family(out, "apilb_build_info", "gauge", "The daemon's version.");
	fprintf(out, "apilb_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	instances(api, out);
	hosts(api, out);
	specs(api, out);
	counter(out, "apilb_engine_requests_total", "Requests to engines.", docker_counters.requests);
	counter(out, "apilb_engine_mutating_requests_total", "Requests to engines that can change a host.",
		docker_counters.mutating);
	gauge(out, "apilb_store_ok", "1 when the last commit to the store worked.",
	      store_trouble(api->store) == NULL);
	fclose(out);
	control_reply(request, 200, "text/plain; version=0.0.4", text, len);
	free(text);
}
