/*
 * Any bytes as a spec: no crash, no hang, either a spec or errors; and what is
 * accepted survives a copy and the store.
 */
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/spec/spec.h"
#include "tests/fuzz.h"

static void check_host(const struct spec_host *host)
{
	char *json = spec_host_to_json(host);
	struct spec_host copy, restored;
	struct err err;

	spec_host_copy(&copy, host);
	require(spec_host_equal(host, &copy));
	require(spec_host_from_json(&restored, json, &err) == 0);
	require(spec_host_equal(host, &restored));
	require(strcmp(host->url, restored.url) == 0 && strcmp(host->label, restored.label) == 0);
	spec_host_clear(&copy);
	spec_host_clear(&restored);
	free(json);
}

static void check_stored(const struct spec_instance *instance)
{
	char *json = spec_instance_to_json(instance);
	struct spec_instance restored;
	struct err err;

	require(spec_instance_from_json(&restored, &instance->host, json, &err) == 0);
	require(spec_instance_equal(instance, &restored));
	spec_instance_clear(&restored);
	free(json);
}

/* What goes into haproxy.cfg can end neither a word nor a line there. */
static void check_words(const struct spec_instance *instance)
{
	static const char unsafe[] = " \t\r\n\"'\\#$";

	for (size_t i = 0; i < instance->servers_n; i++)
		require(*instance->servers[i].host && !strpbrk(instance->servers[i].host, unsafe) &&
			instance->servers[i].port);
	for (size_t i = 0; i < instance->binds_n; i++)
		require(*instance->binds[i].ip && !strpbrk(instance->binds[i].ip, unsafe) &&
			instance->binds[i].port);
	require(!strpbrk(instance->health_check.path, " \t\r\n\"'\\#"));
	require(!instance->health_check.server_name || !strpbrk(instance->health_check.server_name, unsafe));
	require(!strpbrk(instance->balance, unsafe));
	require(!strpbrk(instance->name, unsafe) && !strpbrk(instance->image, unsafe));
}

/* Sections are ours; the operator's own lines are in one of them. */
static void check_line(const char *line, size_t len)
{
	static const char head[] = "# Written by apilbd. Changes made here do not stay: change the spec.";
	static const char *const ours[] = {
		head, "global", "defaults", "resolvers system", "frontend clients", "backend kube-apiserver",
	};
	static const char *const sections[] = {"global",   "defaults", "listen",
					       "frontend", "backend",  "peers"};

	if (len == 0)
		return;
	if (line[0] != ' ') {
		bool is_ours = false;

		for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
			is_ours |= strlen(ours[i]) == len && memcmp(line, ours[i], len) == 0;
		require(is_ours);
		return;
	}
	require(len > 4 && memcmp(line, "    ", 4) == 0);
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		size_t word = strlen(sections[i]);

		require(len < 4 + word || memcmp(line + 4, sections[i], word) != 0 ||
			(len > 4 + word &&
			 strchr("-_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
				line[4 + word])));
	}
}

static void check_config(const struct spec_instance *instance)
{
	char *config = haproxy_render(instance, "apilb");

	require(strlen(config) <= haproxy_most_bytes(instance));
	for (const char *line = config; *line; line += strcspn(line, "\n"), line += *line == '\n')
		check_line(line, strcspn(line, "\n"));
	free(config);
}

static void check_spec(const struct spec *spec)
{
	struct spec_errors errors = {0};

	for (size_t i = 0; i < spec->instances_n; i++) {
		struct spec_instance copy;

		check_words(&spec->instances[i]);
		check_config(&spec->instances[i]);
		check_host(&spec->instances[i].host);
		check_stored(&spec->instances[i]);
		spec_instance_copy(&copy, &spec->instances[i]);
		require(strcmp(copy.id, spec->instances[i].id) == 0);
		require(spec_instance_equal(&copy, &spec->instances[i]));
		spec_instance_clear(&copy);
	}
	for (size_t i = 0; i < spec->state_n; i++)
		check_host(&spec->state[i].host);
	require(spec_check_fleet(&spec, 1, &errors) == 0);
	spec_errors_clear(&errors);
}

static bool something_recorded(void *arg)
{
	(void)arg;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The last byte chooses what the spec is judged against. */
	struct spec_context context = {
		.have_agent = size && data[size - 1] & 1,
		.has_recorded = size && data[size - 1] & 2 ? something_recorded : NULL,
	};
	struct spec_errors errors = {0};
	struct spec *spec = spec_parse("fuzz.yaml", (const char *)data, size, &context, &errors);

	require((spec != NULL) == (errors.n == 0));
	require(errors.n <= SPEC_MAX_ERRORS);
	for (size_t i = 0; i < errors.n; i++) {
		char *text = spec_error_text(&errors.v[i]);

		require(*errors.v[i].message && !strpbrk(text, "\r\n"));
		free(text);
	}
	if (spec)
		check_spec(spec);
	spec_free(spec);
	spec_errors_clear(&errors);
	return 0;
}
