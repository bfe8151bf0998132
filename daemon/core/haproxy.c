#include "daemon/core/haproxy.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec_sharers.h"

#define DESCRIPTION "    description \"apilb "
#define FAST_INTERVAL_MS 1000

char *haproxy_socket_path(const char *name, const char *token)
{
	return xasprintf(HAPROXY_RUN_DIR "/%s/%s.sock", name, token);
}

char *haproxy_file_path(const char *name, const char *file)
{
	return xasprintf(HAPROXY_RUN_DIR "/%s/%s", name, file);
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
static void put_time(FILE *out, const char *keyword, int64_t ms)
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

static void render_time(FILE *out, const char *keyword, int64_t ms)
{
	fputs("    ", out);
	put_time(out, keyword, ms);
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

/* The operator's own lines, which come last: of what can be said once, HAProxy takes the last. */
static void render_extra(FILE *out, char *const *texts, size_t n)
{
	if (n > 0)
		fputs("    # extraConfig\n", out);
	for (size_t i = 0; i < n; i++)
		render_extra_text(out, texts[i]);
}

static void render_global(FILE *out, const struct spec_instance *instance)
{
	char *socket = haproxy_socket_path(instance->name, "${" TOKEN_VARIABLE "}");

	fprintf(out, "    log stdout format raw daemon\n");
	fprintf(out, "    maxconn %u\n", instance->max_connections);
	render_time(out, "hard-stop-after", instance->timeouts.drain_ms);
	fprintf(out, "    spread-checks 10\n");
	fprintf(out, "    max-spread-checks 1s\n");
	fprintf(out, "    stats socket \"%s\" mode 666 level user\n", socket);
	fprintf(out, "    stats timeout 30s\n");
	render_extra(out, instance->extra_config.global, instance->extra_config.global_n);
	free(socket);
}

static void render_defaults(FILE *out, const struct spec_instance *instance)
{
	const struct spec_timeouts *timeouts = &instance->timeouts;

	fputs("\ndefaults\n"
	      "    mode tcp\n"
	      "    option clitcpka\n"
	      "    option srvtcpka\n"
	      "    option redispatch 1\n"
	      "    retries 3\n",
	      out);
	render_time(out, "timeout connect", timeouts->connect_ms);
	render_time(out, "timeout check", instance->health_check.timeout_ms);
	render_time(out, "timeout client", timeouts->client_ms);
	render_time(out, "timeout client-fin", 30000);
	render_time(out, "timeout server", timeouts->server_ms);
	render_time(out, "timeout server-fin", 30000);
	render_time(out, "timeout tunnel", timeouts->tunnel_ms);
	render_extra(out, instance->extra_config.defaults, instance->extra_config.defaults_n);
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

static bool any_own_bind(const struct spec_extra_config *extra)
{
	for (size_t i = 0; i < extra->frontend_n; i++)
		if (strstr(extra->frontend[i], "bind"))
			return true;
	return false;
}

/* All that says where it listens; rather too much than too little of it. */
static void render_listeners(FILE *out, const struct spec_instance *instance)
{
	render_binds(out, instance);
	if (any_own_bind(&instance->extra_config))
		render_extra(out, instance->extra_config.frontend, instance->extra_config.frontend_n);
}

static void render_frontend(FILE *out, const struct spec_instance *instance)
{
	fprintf(out, "\nfrontend kube-apiserver\n");
	render_binds(out, instance);
	fprintf(out, "    default_backend kube-apiserver\n");
	render_extra(out, instance->extra_config.frontend, instance->extra_config.frontend_n);
}

/* The file's name changes with its content, so that the config does, and is loaded again. */
static char *ca_name(const char *ca)
{
	char hash[SHA256_HEX_SIZE];

	sha256_hex(ca, strlen(ca), hash);
	return xasprintf("ca-%.12s.pem", hash);
}

const char *haproxy_name_in_certificates(const struct spec_health_check *health)
{
	return health->server_name ? health->server_name : SPEC_DEFAULT_SERVER_NAME;
}

/* Words of default-server: what a check's TLS looks like. */
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
	fputs("    http-check expect status ", out);
	for (size_t i = 0; i < health->expect_n; i++) {
		const struct spec_statuses *statuses = &health->expect[i];

		fprintf(out, i ? ",%u" : "%u", statuses->from);
		if (statuses->to != statuses->from)
			fprintf(out, "-%u", statuses->to);
	}
	putc('\n', out);
}

/* While a server is on its way up or down, it is asked at least once a second. */
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
	fputs("    default-server check check-ssl", out);
	put_verification(out, instance);
	put_time(out, " inter", spec_check_interval_ms(instance));
	put_time(out, " fastinter", fast_interval_ms(instance));
	fprintf(out, " fall %u rise %u\n", health->fall, health->rise);
}

static void render_servers(FILE *out, const struct spec_instance *instance)
{
	for (size_t i = 0; i < instance->servers_n; i++) {
		const struct spec_server *server = &instance->servers[i];
		char *name = haproxy_server_name(server);
		char *address = haproxy_server_address(server);

		fprintf(out, "    server %s %s%s\n", name, address,
			is_address(server) ? "" : " resolvers system init-addr last,libc,none");
		free(name);
		free(address);
	}
}

static void render_backend(FILE *out, const struct spec_instance *instance)
{
	fprintf(out,
		"\nbackend kube-apiserver\n"
		/* Here only: in the frontend it would log every connection. */
		"    log global\n"
		"    option log-health-checks\n"
		"    balance %s\n",
		instance->balance);
	render_check(out, instance);
	render_servers(out, instance);
	render_extra(out, instance->extra_config.backend, instance->extra_config.backend_n);
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

	free(text_of(render_listeners, instance, binds));
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

struct haproxy_file *haproxy_files(const struct spec_instance *instance, size_t *n)
{
	struct haproxy_file *files = xcalloc(1, sizeof(*files));
	const char *ca = instance->health_check.ca;

	*n = 0;
	if (ca)
		files[(*n)++] = (struct haproxy_file){.name = ca_name(ca), .text = ca, .len = strlen(ca)};
	return files;
}

void haproxy_files_free(struct haproxy_file *files, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(files[i].name);
	free(files);
}
