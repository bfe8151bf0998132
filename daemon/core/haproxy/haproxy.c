#include "daemon/core/haproxy/haproxy.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/haproxy/haproxy_internal.h"
#include "daemon/core/host_file.h"

/* The description's last word where HAProxy runs guard.lua: see haproxy_put_guard. */
#define GUARDED_WORD "guarded"
/*
 * The longest look-up of one name, with three silent name servers and some search domains; and of
 * all names.
 */
#define LOOK_UP_S 30
#define LOOK_UP_MAX_S 300
#define DESCRIPTION "    description \"apilb "

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

size_t haproxy_names(const struct spec_instance *instance)
{
	size_t n = 0;

	for (size_t i = 0; i < instance->servers_n; i++)
		n += !haproxy_is_address(&instance->servers[i]);
	return n;
}

int haproxy_look_up_max_s(const struct spec_instance *instance)
{
	size_t names = haproxy_names(instance);

	return names < LOOK_UP_MAX_S / LOOK_UP_S ? LOOK_UP_S * (int)names : LOOK_UP_MAX_S;
}

/*
 * An IPv6 wildcard would listen on the IPv4 side of its port as well
 * (bindv6only is 0 on Linux), and the IPv4 wildcard beside it could not be
 * bound.
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

static void render_global(FILE *out, const struct spec_instance *instance)
{
	char *socket = haproxy_socket_path(instance->name, "${" TOKEN_VARIABLE "}");

	fprintf(out, "    log stderr format raw daemon\n");
	fprintf(out, "    maxconn %u\n", instance->max_connections);
	haproxy_put_time_line(out, "hard-stop-after", instance->timeouts.drain_ms);
	fprintf(out, "    spread-checks 10\n");
	fprintf(out, "    max-spread-checks 1s\n");
	fprintf(out, "    stats socket \"%s\" mode 666 level user\n", socket);
	fprintf(out, "    stats timeout 30s\n");
	/* Any local user may connect: a few who keep their connections open must not lock apilbd out. */
	fprintf(out, "    stats maxconn 100\n");
	/*
	 * Draining workers end by themselves; without this line, HAProxy 3.3 and later would kill a
	 * worker after 50 reloads.
	 */
	fprintf(out, "    mworker-max-reloads 1000\n");
	if (haproxy_names(instance) > 0)
		/*
		 * At its start HAProxy looks up one name after the other, and does nothing else
		 * meanwhile.
		 */
		fprintf(out, "    setenv RES_OPTIONS \"timeout:1 attempts:2\"\n");
	haproxy_put_guard(out, instance);
	haproxy_put_extra(out, instance->extra_config.global, instance->extra_config.global_n);
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
	haproxy_put_time_line(out, "timeout connect", timeouts->connect_ms);
	haproxy_put_time_line(out, "timeout check", instance->health_check.timeout_ms);
	haproxy_put_time_line(out, "timeout client", timeouts->client_ms);
	haproxy_put_time_line(out, "timeout client-fin", 30000);
	haproxy_put_time_line(out, "timeout server", timeouts->server_ms);
	haproxy_put_time_line(out, "timeout server-fin", 30000);
	haproxy_put_time_line(out, "timeout tunnel", timeouts->tunnel_ms);
	haproxy_put_extra(out, instance->extra_config.defaults, instance->extra_config.defaults_n);
}

static void render_resolvers(FILE *out, const struct spec_instance *instance)
{
	if (haproxy_names(instance) > 0)
		/*
		 * A missing answer of DNS is no reason to give up an address. 24 days is the
		 * longest that HAProxy can count.
		 */
		fputs("\nresolvers system\n"
		      "    parse-resolv-conf\n"
		      "    timeout resolve 10s\n"
		      "    hold nx 24d\n"
		      "    hold timeout 24d\n"
		      "    hold refused 24d\n"
		      "    hold other 24d\n"
		      "    hold obsolete 30s\n",
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

/* All lines that may say where HAProxy listens; rather too many than too few. */
static void render_listeners(FILE *out, const struct spec_instance *instance)
{
	render_binds(out, instance);
	if (any_own_bind(&instance->extra_config))
		haproxy_put_extra(out, instance->extra_config.frontend, instance->extra_config.frontend_n);
}

static void render_frontend(FILE *out, const struct spec_instance *instance)
{
	/* Not the name of the backend: HAProxy 3.3 and later refuses that. */
	fprintf(out, "\nfrontend clients\n");
	render_binds(out, instance);
	fprintf(out, "    default_backend kube-apiserver\n");
	haproxy_put_extra(out, instance->extra_config.frontend, instance->extra_config.frontend_n);
}

typedef void render_fn(FILE *out, const struct spec_instance *instance);

static void render_body(FILE *out, const struct spec_instance *instance)
{
	render_global(out, instance);
	render_defaults(out, instance);
	render_resolvers(out, instance);
	render_frontend(out, instance);
	haproxy_put_backend(out, instance);
}

/* Renders into a text, which the caller frees; hash: its SHA-256. */
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
	haproxy_put_backend(out, instance);
}

char *haproxy_render_rehearsal(const struct spec_instance *instance)
{
	char hash[SHA256_HEX_SIZE];

	return text_of(render_rehearsal, instance, hash);
}

char *haproxy_render(const struct spec_instance *instance, const char *owner)
{
	char generation[SHA256_HEX_SIZE], binds[SHA256_HEX_SIZE];
	char *body = text_of(render_body, instance, generation);
	char *head = host_file_head(owner), *text;

	free(text_of(render_listeners, instance, binds));
	binds[BINDS_HEX_SIZE - 1] = '\0';
	text = xasprintf("%sglobal\n"
			 "    .if " HAPROXY_CAN_GUARD "\n" DESCRIPTION "%s %s " GUARDED_WORD "\"\n"
			 "    .else\n" DESCRIPTION "%s %s\"\n"
			 "    .endif\n%s",
			 head, generation, binds, generation, binds, body);
	free(body);
	free(head);
	return text;
}

/* What the lines take once each is indented. */
static size_t most_extra_bytes(char *const *texts, size_t n)
{
	size_t most = 0;

	for (size_t i = 0; i < n; i++) {
		size_t lines = 1;

		for (const char *c = texts[i]; (c = strchr(c, '\n')) != NULL; c++)
			lines++;
		most += strlen(texts[i]) + lines * strlen("    \n");
	}
	return most;
}

/*
 * What a bind, a status and a server line take at most, without names; and everything that is there
 * once.
 */
#define MOST_BIND_BYTES 80
#define MOST_STATUS_BYTES 8
#define MOST_LINE_BYTES 160
#define MOST_OTHER_BYTES (16u << 10)

size_t haproxy_most_bytes(const struct spec_instance *instance)
{
	const struct spec_extra_config *extra = &instance->extra_config;
	size_t most = MOST_OTHER_BYTES + instance->binds_n * MOST_BIND_BYTES +
		      instance->health_check.expect_n * MOST_STATUS_BYTES;

	for (size_t i = 0; i < instance->servers_n; i++)
		most += HAPROXY_MOST_LINES * (2 * strlen(instance->servers[i].host) + MOST_LINE_BYTES);
	return most + most_extra_bytes(extra->global, extra->global_n) +
	       most_extra_bytes(extra->defaults, extra->defaults_n) +
	       most_extra_bytes(extra->frontend, extra->frontend_n) +
	       most_extra_bytes(extra->backend, extra->backend_n);
}

/* Copies a word of hexadecimal digits. Returns the text after it and one blank. */
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

	words = take_hex(words, is.generation, sizeof(is.generation));
	words = take_hex(words, is.binds, sizeof(is.binds));
	is.guarded = strncmp(words, GUARDED_WORD, strlen(GUARDED_WORD)) == 0;
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
