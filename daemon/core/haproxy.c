#include "daemon/core/haproxy.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define DESCRIPTION "    description \"apilb "
#define GUARDED "APILB_GUARDED"

/* How an API server is asked whether it is ready. docs/haproxy.md reckons what follows from these. */
static const struct {
	int64_t interval_ms, fast_ms, timeout_ms;
	int fall, rise;
} checks = {.interval_ms = 1000, .fast_ms = 50, .timeout_ms = 2000, .fall = 2, .rise = 2};

char *haproxy_socket_path(const char *name, const char *token)
{
	return xasprintf(HAPROXY_RUN_DIR "/%s/%s.sock", name, token);
}

char *haproxy_server_name(const struct spec_server *server)
{
	return xasprintf("%s:%u", server->host, server->port);
}

char *haproxy_server_address(const struct spec_server *server)
{
	return xasprintf(server->ipv6 ? "[%s]:%u" : "%s:%u", server->host, server->port);
}

static bool is_address(const struct spec_server *server)
{
	return server->ipv6 || strspn(server->host, "0123456789.") == strlen(server->host);
}

static bool any_name(const struct spec_instance *instance)
{
	for (size_t i = 0; i < instance->servers_n; i++)
		if (!is_address(&instance->servers[i]))
			return true;
	return false;
}

/*
 * The IPv6 wildcard would take the IPv4 side of its port as well (bindv6only
 * is 0 on Linux), and then the IPv4 wildcard beside it could not be bound.
 */
static bool needs_v6only(const struct spec_instance *instance, const struct spec_bind *bind)
{
	if (!bind->ipv6 || strcmp(bind->ip, "::") != 0)
		return false;
	for (size_t i = 0; i < instance->binds_n; i++) {
		const struct spec_bind *other = &instance->binds[i];

		if (!other->ipv6 && other->port == bind->port)
			return true;
	}
	return false;
}

/* HAProxy takes one number and one unit. */
static void render_value(FILE *out, const char *keyword, int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = {{3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
	size_t i = 0;

	while (ms % units[i].ms != 0)
		i++;
	fprintf(out, " %s %" PRId64 "%s", keyword, ms / units[i].ms, units[i].name);
}

static void render_time(FILE *out, const char *keyword, int64_t ms)
{
	fputs("   ", out);
	render_value(out, keyword, ms);
	fputs("\n", out);
}

/* Loaded where there is one, by an HAProxy that has Lua; what follows from it asks for GUARDED. */
static void render_guard(FILE *out, const struct spec_instance *instance)
{
	fputs("    .if feature(LUA)\n"
	      "    .if defined(" GUARD_VARIABLE ")\n"
	      "    .if version_atleast(3.1)\n"
	      "    tune.lua.bool-sample-conversion normal\n"
	      "    .endif\n",
	      out);
	fprintf(out, "    setenv APILB_INTERVAL_MS %" PRId64 "\n", checks.interval_ms);
	fprintf(out, "    setenv APILB_CONNECT_MS %" PRId64 "\n", instance->timeouts.connect_ms);
	fputs("    lua-load \"${" GUARD_VARIABLE "}\"\n"
	      "    setenv " GUARDED " yes\n"
	      "    .endif\n"
	      "    .endif\n",
	      out);
}

static void render_global(FILE *out, const struct spec_instance *instance)
{
	char *socket = haproxy_socket_path(instance->name, "${" TOKEN_VARIABLE "}");

	fprintf(out, "    log stdout format raw daemon\n");
	fprintf(out, "    maxconn 8192\n");
	render_time(out, "hard-stop-after", instance->timeouts.drain_ms);
	fprintf(out, "    spread-checks 10\n");
	fprintf(out, "    stats socket \"%s\" mode 666 level user\n", socket);
	fprintf(out, "    stats timeout 30s\n");
	render_guard(out, instance);
	free(socket);
}

static void render_defaults(FILE *out, const struct spec_instance *instance)
{
	const struct spec_timeouts *timeouts = &instance->timeouts;

	fputs("\ndefaults\n"
	      "    mode tcp\n"
	      "    option clitcpka\n"
	      "    clitcpka-idle 30s\n"
	      "    clitcpka-intvl 5s\n"
	      "    clitcpka-cnt 3\n"
	      "    option srvtcpka\n"
	      "    srvtcpka-idle 30s\n"
	      "    srvtcpka-intvl 5s\n"
	      "    srvtcpka-cnt 3\n"
	      "    option redispatch 1\n"
	      "    retries 3\n",
	      out);
	render_time(out, "timeout connect", timeouts->connect_ms);
	render_time(out, "timeout check", checks.timeout_ms);
	render_time(out, "timeout client", timeouts->client_ms);
	render_time(out, "timeout client-fin", 30000);
	render_time(out, "timeout server", timeouts->server_ms);
	render_time(out, "timeout server-fin", 30000);
	render_time(out, "timeout tunnel", timeouts->tunnel_ms);
}

static void render_resolvers(FILE *out, const struct spec_instance *instance)
{
	if (any_name(instance))
		fputs("\nresolvers system\n"
		      "    parse-resolv-conf\n",
		      out);
}

static void render_binds(FILE *out, const struct spec_instance *instance)
{
	for (size_t i = 0; i < instance->binds_n; i++) {
		const struct spec_bind *bind = &instance->binds[i];

		fprintf(out, bind->ipv6 ? "    bind [%s]:%u%s\n" : "    bind %s:%u%s\n", bind->ip, bind->port,
			needs_v6only(instance, bind) ? " v6only" : "");
	}
}

static void render_frontend(FILE *out, const struct spec_instance *instance)
{
	/* A name of its own: from 3.3 on HAProxy refuses a frontend that is named as its backend. */
	fprintf(out, "\nfrontend clients\n");
	render_binds(out, instance);
	fprintf(out, "    default_backend kube-apiserver\n");
}

static void render_default_server(FILE *out)
{
	fputs("    default-server check-ssl verify none", out);
	render_value(out, "inter", checks.interval_ms);
	render_value(out, "fastinter", checks.fast_ms);
	fprintf(out, " fall %d rise %d slowstart 10s\n", checks.fall, checks.rise);
	fputs("    .if version_atleast(2.8)\n"
	      "    default-server observe layer4 error-limit 1 on-error fastinter\n"
	      "    .endif\n"
	      "    .if defined(" GUARDED ")\n"
	      "    .else\n"
	      "    default-server on-marked-down shutdown-sessions\n"
	      "    .endif\n",
	      out);
}

static void render_server(FILE *out, const struct spec_server *server, const char *name_more,
			  const char *role)
{
	char *name = haproxy_server_name(server);
	char *address = haproxy_server_address(server);

	fprintf(out, "    server %s%s %s %s%s\n", name, name_more, address, role,
		is_address(server) ? "" : " resolvers system init-addr last,libc,none");
	free(name);
	free(address);
}

static void render_backend(FILE *out, const struct spec_instance *instance)
{
	fputs("\nbackend kube-apiserver\n"
	      /* Here only: in the frontend it would log every connection. */
	      "    log global\n"
	      "    option log-health-checks\n"
	      "    balance leastconn\n"
	      "    option allbackups\n"
	      "    option httpchk\n"
	      "    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host kube-apiserver\n"
	      "    http-check expect error-status L7OKC rstatus ^(2[0-9][0-9]|401|403)$\n",
	      out);
	render_default_server(out);
	for (size_t i = 0; i < instance->servers_n; i++)
		render_server(out, &instance->servers[i], "", "check");
	for (size_t i = 0; i < instance->servers_n; i++)
		render_server(out, &instance->servers[i], "-untested", "backup");
}

typedef void render_fn(FILE *out, const struct spec_instance *instance);

static void render_body(FILE *out, const struct spec_instance *instance)
{
	render_global(out, instance);
	render_defaults(out, instance);
	render_resolvers(out, instance);
	render_frontend(out, instance);
	render_backend(out, instance);
}

/* The caller frees. */
static char *text_of(render_fn *render, const struct spec_instance *instance, char hash[SHA256_HEX_SIZE])
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		abort();
	render(out, instance);
	if (fclose(out) != 0)
		abort();
	sha256_hex(text, len, hash);
	return text;
}

static void render_rehearsal(FILE *out, const struct spec_instance *instance)
{
	fputs("global\n", out);
	render_global(out, instance);
	render_defaults(out, instance);
	render_resolvers(out, instance);
	render_backend(out, instance);
}

char *haproxy_render_rehearsal(const struct spec_instance *instance)
{
	char hash[SHA256_HEX_SIZE];

	return text_of(render_rehearsal, instance, hash);
}

char *haproxy_render(const struct spec_instance *instance)
{
	static const char head[] = "# Written by apilbd. Changes made here do not stay: change the spec.\n"
				   "global\n";
	char generation[SHA256_HEX_SIZE], binds[SHA256_HEX_SIZE];
	char *body = text_of(render_body, instance, generation);
	char *text;

	free(text_of(render_binds, instance, binds));
	text = xasprintf("%s" DESCRIPTION "%s %.*s\"\n%s", head, generation, BINDS_HEX_SIZE - 1, binds, body);
	free(body);
	return text;
}

/* Copies a word of hexadecimal digits; returns what follows it and the blank behind it. */
static const char *take_hex(const char *text, char *to, size_t size)
{
	size_t n = 0;

	while (n < size - 1 && isxdigit((unsigned char)text[n])) {
		to[n] = text[n];
		n++;
	}
	to[n] = '\0';
	return text + n + (text[n] == ' ');
}

static struct haproxy_description description(const char *words)
{
	struct haproxy_description is = {0};

	take_hex(take_hex(words, is.generation, sizeof(is.generation)), is.binds, sizeof(is.binds));
	return is;
}

struct haproxy_description haproxy_description_parse(const char *text)
{
	return description(strncmp(text, "apilb ", 6) == 0 ? text + 6 : "");
}

struct haproxy_description haproxy_description_of(const char *config)
{
	const char *found = strstr(config, DESCRIPTION);

	return description(found ? found + strlen(DESCRIPTION) : "");
}
