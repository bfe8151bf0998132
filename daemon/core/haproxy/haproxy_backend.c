/*
 * The backend: how API servers are checked, which of them get connections, and what happens to the
 * connections of one that fails.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/haproxy/haproxy_internal.h"
#include "daemon/core/spec/spec_sharers.h"

/* Between checks of a server that is going up or down. */
#define FAST_INTERVAL_MS 50

bool haproxy_is_address(const struct spec_server *server)
{
	return server->ipv6 || strspn(server->host, "0123456789.") == strlen(server->host);
}

/* HAProxy takes one number with one unit. */
void haproxy_put_time(FILE *out, const char *keyword, int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	size_t i = 0;

	while (ms % units[i].ms != 0)
		i++;
	fprintf(out, "%s %" PRId64 "%s", keyword, ms / units[i].ms, units[i].name);
}

void haproxy_put_time_line(FILE *out, const char *keyword, int64_t ms)
{
	fputs("    ", out);
	haproxy_put_time(out, keyword, ms);
	putc('\n', out);
}

static void render_extra_text(FILE *out, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		size_t blank = strspn(text, " \t");

		if (blank < len)
			fprintf(out, "    %.*s\n", (int)(len - blank), text + blank);
		text += len + (text[len] == '\n');
	}
}

void haproxy_put_extra(FILE *out, char *const *texts, size_t n)
{
	if (n > 0)
		fputs("    # extraConfig\n", out);
	for (size_t i = 0; i < n; i++)
		render_extra_text(out, texts[i]);
}

/*
 * The name changes with the content: so the config changes, too, and is loaded again. The caller
 * frees.
 */
static char *file_name(const char *stem, const char *suffix, const char *text)
{
	char hash[SHA256_HEX_SIZE];

	sha256_hex(text, strlen(text), hash);
	return xasprintf("%s-%.12s.%s", stem, hash, suffix);
}

static char *ca_name(const char *ca)
{
	return file_name("ca", "pem", ca);
}

static char *guard_name(void)
{
	return file_name("guard", "lua", haproxy_guard);
}

static char *addresses_name(void)
{
	return file_name("addresses", "lua", haproxy_addresses);
}

/* Set in the config's environment where HAProxy can load Lua; later lines test it. */
#define GUARDED "APILB_GUARDED"

static void put_lua(FILE *out, const struct spec_instance *instance, char *name)
{
	char *path = haproxy_file_path(instance->name, name);

	fprintf(out, "    lua-load \"%s\"\n", path);
	free(path);
	free(name);
}

static void put_addresses(FILE *out, const struct spec_instance *instance)
{
	char *path = haproxy_file_path(instance->name, "addresses");

	fprintf(out, "    setenv APILB_ADDRESSES \"%s\"\n    server-state-file \"%s\"\n", path, path);
	free(path);
	put_lua(out, instance, addresses_name());
}

void haproxy_put_guard(FILE *out, const struct spec_instance *instance)
{
	fputs("    .if " HAPROXY_CAN_GUARD "\n"
	      "    .if version_atleast(3.1)\n"
	      "    tune.lua.bool-sample-conversion normal\n"
	      "    .endif\n",
	      out);
	fprintf(out, "    setenv APILB_INTERVAL_MS %" PRId64 "\n", spec_check_interval_ms(instance));
	fprintf(out, "    setenv APILB_CONNECT_MS %" PRId64 "\n", instance->timeouts.connect_ms);
	put_lua(out, instance, guard_name());
	if (haproxy_names(instance) > 0)
		put_addresses(out, instance);
	fputs("    setenv " GUARDED " yes\n"
	      "    .endif\n",
	      out);
}

const char *haproxy_name_in_certificates(const struct spec_health_check *health)
{
	return health->server_name ? health->server_name : SPEC_DEFAULT_SERVER_NAME;
}

/* Words of default-server: the TLS of checks. */
static void put_verification(FILE *out, const struct spec_instance *instance)
{
	const struct spec_health_check *health = &instance->health_check;
	char *name, *path;

	if (!health->ca) {
		fputs(" verify none", out);
		if (health->server_name)
			fprintf(out, " check-sni %s", health->server_name);
		return;
	}
	name = ca_name(health->ca);
	path = haproxy_file_path(instance->name, name);
	fprintf(out, " verify required ca-file \"%s\" check-sni %s verifyhost %s", path,
		haproxy_name_in_certificates(health), haproxy_name_in_certificates(health));
	free(path);
	free(name);
}

static void render_expect(FILE *out, const struct spec_health_check *health)
{
	/*
	 * A wrong status is a conditional success: the server gets no new connections, and keeps
	 * those in use.
	 */
	fputs("    http-check expect error-status L7OKC status ", out);
	for (size_t i = 0; i < health->expect_n; i++) {
		const struct spec_statuses *statuses = &health->expect[i];

		fprintf(out, i ? ",%u" : "%u", statuses->from);
		if (statuses->to != statuses->from)
			fprintf(out, "-%u", statuses->to);
	}
	putc('\n', out);
}

static int64_t fast_interval_ms(const struct spec_instance *instance)
{
	int64_t ms = spec_check_interval_ms(instance);

	return ms < FAST_INTERVAL_MS ? ms : FAST_INTERVAL_MS;
}

static void render_check(FILE *out, const struct spec_instance *instance)
{
	const struct spec_health_check *health = &instance->health_check;

	fprintf(out,
		"    option httpchk\n"
		"    http-check send meth GET uri %s ver HTTP/1.1 hdr Host %s\n",
		health->path, health->server_name ? health->server_name : "kube-apiserver");
	render_expect(out, health);
	fputs("    default-server check-ssl", out);
	put_verification(out, instance);
	haproxy_put_time(out, " inter", spec_check_interval_ms(instance));
	haproxy_put_time(out, " fastinter", fast_interval_ms(instance));
	fprintf(out, " fall %u rise %u slowstart 10s\n", health->fall, health->rise);
	fputs("    .if version_atleast(2.8)\n"
	      "    default-server observe layer4 error-limit 1 on-error fastinter\n"
	      "    .endif\n"
	      "    .if defined(" GUARDED ")\n"
	      "    .else\n"
	      "    default-server on-marked-down shutdown-sessions\n"
	      "    .endif\n",
	      out);
}

/*
 * The preferred address family of a name that has both. IPv6 only if the instance listens on no
 * IPv4 address: then its host may have no IPv4.
 */
static const char *family(const struct spec_instance *instance, bool other)
{
	bool ipv4 = false;

	for (size_t i = 0; i < instance->binds_n; i++)
		ipv4 |= !instance->binds[i].ipv6;
	return ipv4 != other ? "ipv4" : "ipv6";
}

/* One of the config lines that each server gets. */
struct line {
	const char *suffix;
	const char *role;
	bool further; /* for a further address of a name; not for servers given by address */
	bool other;   /* prefers the other address family */
	bool shared;  /* may have the same address as another line */
};

static void render_lines(FILE *out, const struct spec_instance *instance, const struct line *line)
{
	for (size_t i = 0; i < instance->servers_n; i++) {
		const struct spec_server *server = &instance->servers[i];
		bool by_name = !haproxy_is_address(server);
		char *name, *address;

		if (line->further && !by_name)
			continue;
		name = haproxy_server_name(server);
		address = haproxy_server_address(server);
		fprintf(out, "    server %s%s %s %s", name, line->suffix, address, line->role);
		if (by_name)
			fprintf(out, " resolvers system resolve-prefer %s%s init-addr %s",
				family(instance, line->other),
				line->shared ? " resolve-opts allow-dup-ip" : "",
				line->further ? "last,none" : "libc,last,none");
		putc('\n', out);
		free(name);
		free(address);
	}
}

/*
 * The address that passed its check last, which DNS does not change: addresses.lua decides when it
 * is used. Until there is one, it is an address that nobody has (RFC 5737).
 */
static void render_known(FILE *out, const struct spec_instance *instance)
{
	fputs("    .if defined(" GUARDED ")\n", out);
	for (size_t i = 0; i < instance->servers_n; i++) {
		const struct spec_server *server = &instance->servers[i];
		char *name;

		if (haproxy_is_address(server))
			continue;
		name = haproxy_server_name(server);
		fprintf(out, "    server %s-known %s check init-addr last,192.0.2.1\n", name, name);
		free(name);
	}
	fputs("    .endif\n", out);
}

static void render_servers(FILE *out, const struct spec_instance *instance)
{
	static const struct line lines[HAPROXY_MOST_LINES - 1] = {
		{"", "check", .shared = true},
		{"-2", "check", .further = true},
		{"-3", "check", .further = true},
		/* Used while no server passes its check: trying is better than refusing. */
		{"-untested", "backup", .shared = true},
		{"-untested-2", "backup", .further = true, .other = true, .shared = true},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		render_lines(out, instance, &lines[i]);
	if (haproxy_names(instance) > 0)
		render_known(out, instance);
}

void haproxy_put_backend(FILE *out, const struct spec_instance *instance)
{
	fprintf(out,
		"\nbackend kube-apiserver\n"
		/* Not in the frontend: there it would log every connection. */
		"    log global\n"
		"    option log-health-checks\n"
		"    balance %s\n"
		"    option allbackups\n",
		instance->balance);
	render_check(out, instance);
	if (haproxy_names(instance) > 0)
		fputs("    .if defined(" GUARDED ")\n"
		      "    load-server-state-from-file global\n"
		      "    .endif\n",
		      out);
	render_servers(out, instance);
	haproxy_put_extra(out, instance->extra_config.backend, instance->extra_config.backend_n);
}

struct haproxy_file *haproxy_files(const struct spec_instance *instance, size_t *n)
{
	struct haproxy_file *files = xcalloc(3, sizeof(*files));
	const char *ca = instance->health_check.ca;

	*n = 0;
	files[(*n)++] = (struct haproxy_file){
		.name = guard_name(), .text = haproxy_guard, .len = strlen(haproxy_guard)};
	if (ca)
		files[(*n)++] = (struct haproxy_file){.name = ca_name(ca), .text = ca, .len = strlen(ca)};
	if (haproxy_names(instance) > 0)
		files[(*n)++] = (struct haproxy_file){.name = addresses_name(),
						      .text = haproxy_addresses,
						      .len = strlen(haproxy_addresses)};
	return files;
}

void haproxy_files_free(struct haproxy_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(files[i].name);
	free(files);
}
