#include "tests/spec_dump.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/core/spec/spec_sharers.h"
#include "daemon/core/spec/spec_state.h"

static void dump_text(FILE *out, int indent, const char *key, const char *text)
{
	if (text)
		fprintf(out, "%*s%s: %s\n", indent, "", key, text);
}

static void dump_secret(FILE *out, int indent, const char *key, const char *secret)
{
	if (secret)
		fprintf(out, "%*s%s: (%zu bytes)\n", indent, "", key, strlen(secret));
}

static void dump_ssh(FILE *out, int indent, const struct ssh_settings *ssh)
{
	static const char *const checking[] = {
		[HOST_KEY_ACCEPT_NEW] = "accept-new",
		[HOST_KEY_STRICT] = "strict",
		[HOST_KEY_OFF] = "off",
	};

	fprintf(out, "%*saddress: %s\n", indent, "", ssh->address);
	fprintf(out, "%*sport: %u\n", indent, "", ssh->port);
	fprintf(out, "%*suser: %s\n", indent, "", ssh->user);
	dump_secret(out, indent, "password", ssh->password);
	dump_text(out, indent, "passwordFile", ssh->password_file);
	dump_secret(out, indent, "privateKey", ssh->private_key);
	dump_text(out, indent, "privateKeyFile", ssh->private_key_file);
	fprintf(out, "%*sconnectionTimeout: %" PRId64 " ms\n", indent, "", ssh->connection_timeout_ms);
	fprintf(out, "%*sretryTimeout: %" PRId64 " ms\n", indent, "", ssh->retry_timeout_ms);
	fprintf(out, "%*sretryInterval: %" PRId64 " ms\n", indent, "", ssh->retry_interval_ms);
	dump_text(out, indent, "hostKey", ssh->host_key);
	fprintf(out, "%*shostKeyChecking: %s\n", indent, "", checking[ssh->host_key_checking]);
	if (ssh->jump) {
		fprintf(out, "%*sjump:\n", indent, "");
		dump_ssh(out, indent + 2, ssh->jump);
	}
}

static void dump_host(FILE *out, const struct spec_host *host)
{
	fprintf(out, "  host: %s\n", host->url);
	fprintf(out, "  engine: %s\n", host->engine);
	if (host->ssh) {
		fprintf(out, "  ssh:\n");
		dump_ssh(out, 4, host->ssh);
	}
}

static void dump_timeouts(FILE *out, const struct spec_timeouts *timeouts)
{
	const struct {
		const char *key;
		int64_t ms;
	} rows[] = {
		{"connect", timeouts->connect_ms}, {"client", timeouts->client_ms},
		{"server", timeouts->server_ms},   {"tunnel", timeouts->tunnel_ms},
		{"drain", timeouts->drain_ms},
	};

	fprintf(out, "  timeouts:");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fprintf(out, " %s %" PRId64 " ms%s", rows[i].key, rows[i].ms,
			i + 1 < sizeof(rows) / sizeof(rows[0]) ? "," : "\n");
}

static void dump_health_check(FILE *out, const struct spec_instance *i)
{
	const struct spec_health_check *health = &i->health_check;

	fprintf(out,
		"  healthCheck: %s, every %" PRId64 " ms (%zu sharers), timeout %" PRId64
		" ms, fall %u, rise %u, expect",
		health->path, spec_check_interval_ms(i), i->sharers, health->timeout_ms, health->fall,
		health->rise);
	for (size_t e = 0; e < health->expect_n; e++)
		fprintf(out, " %u-%u", health->expect[e].from, health->expect[e].to);
	fputs(health->insecure ? ", insecure\n" : "\n", out);
	dump_text(out, 4, "caFile", health->ca_file);
	dump_secret(out, 4, "ca", health->ca);
	dump_text(out, 4, "serverName", health->server_name);
}

static void dump_lines(FILE *out, const char *section, char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (const char *line = texts[i]; *line; line += strcspn(line, "\n"), line += *line == '\n')
			fprintf(out, "  extraConfig.%s: %.*s\n", section, (int)strcspn(line, "\n"), line);
}

static void dump_tuning(FILE *out, const struct spec_instance *i)
{
	const struct spec_extra_config *extra = &i->extra_config;

	fprintf(out, "  maxConnections: %u, balance: %s\n", i->max_connections, i->balance);
	dump_lines(out, "global", extra->global, extra->global_n);
	dump_lines(out, "defaults", extra->defaults, extra->defaults_n);
	dump_lines(out, "frontend", extra->frontend, extra->frontend_n);
	dump_lines(out, "backend", extra->backend, extra->backend_n);
}

static void dump_instance(FILE *out, const struct spec_instance *i)
{
	fprintf(out, "instance %zu, line %zu: %s\n", i->index, i->line, i->id);
	fprintf(out, "  name: %s\n", i->name);
	fprintf(out, "  image: %s\n", i->image);
	fprintf(out, "  hostConfigPath: %s\n", i->config_path);
	for (size_t b = 0; b < i->binds_n; b++)
		fprintf(out, i->binds[b].ipv6 ? "  bind: [%s]:%u\n" : "  bind: %s:%u\n", i->binds[b].ip,
			i->binds[b].port);
	for (size_t s = 0; s < i->servers_n; s++)
		fprintf(out, i->servers[s].ipv6 ? "  server: [%s]:%u\n" : "  server: %s:%u\n",
			i->servers[s].host, i->servers[s].port);
	if (i->takes_file_over)
		fprintf(out, "  takes over the file at hostConfigPath\n");
	dump_timeouts(out, &i->timeouts);
	dump_health_check(out, i);
	dump_tuning(out, i);
	dump_host(out, &i->host);
}

static void dump_state_entry(FILE *out, const struct spec_state_entry *entry)
{
	fprintf(out, "state %s: container %s\n", entry->key, entry->container_id ? entry->container_id : "-");
	fprintf(out, "  name: %s\n", entry->name);
	fprintf(out, "  image: %s\n", entry->image ? entry->image : "-");
	for (size_t i = 0; i < entry->files_n; i++)
		fprintf(out, "  file: %s\n", entry->files[i]);
	if (entry->instance)
		fprintf(out, "  taken over by: instance %zu\n", entry->instance->index);
	if (spec_state_is_left(entry))
		fprintf(out, "  leaves its host\n");
	dump_host(out, &entry->host);
}

/* Only what the spec says of it, since the default is the same for all. */
static void dump_rollout(FILE *out, const struct rollout_settings *rollout)
{
	if (rollout->canary == 1 && rollout->parallel.n == 25 && rollout->parallel.percent &&
	    rollout->settle_ms == 5000 && rollout->on_failure == ROLLOUT_HALT)
		return;
	fprintf(out, "rollout: canary %u, parallel %u%s, settle %" PRId64 " ms, on failure %s\n",
		rollout->canary, rollout->parallel.n, rollout->parallel.percent ? "%" : "",
		rollout->settle_ms, rollout->on_failure == ROLLOUT_REVERT ? "revert" : "halt");
}

void spec_dump(FILE *out, const struct spec *spec)
{
	fprintf(out, "spec %s\n", spec->name);
	dump_rollout(out, &spec->rollout);
	for (size_t i = 0; i < spec->instances_n; i++)
		dump_instance(out, &spec->instances[i]);
	for (size_t i = 0; i < spec->state_n; i++)
		dump_state_entry(out, &spec->state[i]);
}
