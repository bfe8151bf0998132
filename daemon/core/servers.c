#include "daemon/core/servers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/mem.h"
#include "common/text.h"

/* HAProxy counts in whole seconds, and its answer takes a moment. */
#define JITTER_MS 2000

const char *server_change_name(enum server_change change)
{
	static const char *const names[SERVER_CHANGES] = {
		[SERVER_CHANGE_DOWN] = "server-down",   [SERVER_CHANGE_DRAINING] = "server-draining",
		[SERVER_CHANGE_UP] = "server-up",       [SERVER_CHANGE_NONE_UP] = "no-server-up",
		[SERVER_CHANGE_SOME_UP] = "servers-up",
	};

	return names[change];
}

const char *traffic_name(enum traffic traffic)
{
	static const char *const names[] = {
		[TRAFFIC_UNKNOWN] = "unknown",
		[TRAFFIC_CHECKED] = "checked",
		[TRAFFIC_UNTESTED] = "untested",
		[TRAFFIC_NONE] = "none",
	};

	return names[traffic];
}

const struct observed_server *observed_server_find(const struct observed_server *v, size_t n,
						   const struct spec_server *wanted)
{
	char *name = haproxy_server_name(wanted);
	size_t i = 0;

	while (i < n && strcmp(v[i].name, name) != 0)
		i++;
	free(name);
	return i < n ? &v[i] : NULL;
}

enum traffic servers_traffic(const struct spec_server *wanted, size_t n,
			     const struct observed_server *servers, size_t servers_n, bool fallback)
{
	size_t down = 0;

	for (size_t i = 0; i < n; i++) {
		const struct observed_server *server = observed_server_find(servers, servers_n, &wanted[i]);

		if (server && server->state == SERVER_UP)
			return TRAFFIC_CHECKED;
		down += server && server->state == SERVER_DOWN;
	}
	if (n == 0 || down < n)
		return TRAFFIC_UNKNOWN;
	return fallback ? TRAFFIC_UNTESTED : TRAFFIC_NONE;
}

static void forget(struct servers *servers, size_t i)
{
	free(servers->v[i].name);
	servers->v[i] = servers->v[--servers->n];
}

void servers_clear(struct servers *servers)
{
	while (servers->n > 0)
		forget(servers, servers->n - 1);
	FREE(servers->v);
	servers->none_up = false;
}

static struct server_memory *find(const struct servers *servers, const char *name)
{
	for (size_t i = 0; i < servers->n; i++)
		if (strcmp(servers->v[i].name, name) == 0)
			return &servers->v[i];
	return NULL;
}

const struct server_memory *servers_find(const struct servers *servers, const char *name)
{
	return find(servers, name);
}

static struct server_memory *add(struct servers *servers, const char *name)
{
	struct server_memory *memory;

	servers->v = xreallocarray(servers->v, servers->n + 1, sizeof(*servers->v));
	memory = &servers->v[servers->n++];
	*memory = (struct server_memory){.name = xstrdup(name)};
	return memory;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void forget_unwanted(struct servers *servers, const struct spec_server *wanted, size_t n)
{
	char **names = xcalloc(n + 1, sizeof(*names));

	for (size_t i = 0; i < n; i++)
		names[i] = haproxy_server_name(&wanted[i]);
	qsort(names, n, sizeof(*names), compare_names);
	for (size_t i = servers->n; i-- > 0;)
		if (!bsearch(&servers->v[i].name, names, n, sizeof(*names), compare_names))
			forget(servers, i);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

struct look {
	struct servers *servers;
	const struct observed_instance *observed;
	const struct spec_server *wanted;
	size_t wanted_n;
	server_change_cb *tell;
	void *arg;
};

static int64_t began_ms(const struct observed_instance *observed, const struct observed_server *seen)
{
	int64_t now_s = observed->asked_at_ms / 1000;

	return (seen->changed_s < 0 ? now_s : now_s - seen->changed_s) * 1000;
}

/* Whether HAProxy was reloaded or restarted after that look. */
static bool is_newer_process(const struct observed_instance *observed, int64_t looked_ms)
{
	return observed->uptime_s >= 0 && observed->asked_at_ms - observed->uptime_s * 1000 > looked_ms;
}

/*
 * The server is as it was before. If HAProxy now gives another time, that counts, but not from a
 * newer process, which knows nothing of before.
 */
static void keep_time(const struct look *look, struct server_memory *memory, int64_t began)
{
	if (llabs(began - memory->began_ms) <= JITTER_MS)
		return;
	if (!is_newer_process(look->observed, memory->looked_ms))
		memory->since_ms = began;
	memory->began_ms = began;
}

static void tell_change(const struct look *look, const struct spec_server *wanted,
			const struct observed_server *seen, int64_t lasted_ms)
{
	enum server_change change = seen->state == SERVER_UP ? SERVER_CHANGE_UP
				    : seen->draining         ? SERVER_CHANGE_DRAINING
							     : SERVER_CHANGE_DOWN;
	const char *why = seen->why ? seen->why : "no reason is given";
	char *address = haproxy_server_address(wanted), *text;
	char lasted[16];

	if (change == SERVER_CHANGE_UP)
		text = xasprintf("%s is up again, after %s", address,
				 duration_human(lasted_ms, lasted, sizeof(lasted)));
	else
		text = xasprintf(change == SERVER_CHANGE_DOWN ? "%s is down: %s"
							      : "%s gets no new connections: %s",
				 address, why);
	look->tell(look->arg, change, address, text);
	free(text);
	free(address);
}

static void note_server(const struct look *look, const struct spec_server *wanted,
			const struct observed_server *seen)
{
	struct server_memory *memory = find(look->servers, seen->name);
	int64_t began = began_ms(look->observed, seen);
	bool first = !memory;

	if (first)
		memory = add(look->servers, seen->name);
	if (!first && memory->state == seen->state && memory->draining == seen->draining) {
		keep_time(look, memory, began);
	} else {
		int64_t lasted = began - memory->since_ms;

		memory->state = seen->state;
		memory->draining = seen->draining;
		memory->since_ms = memory->began_ms = began;
		if (!first || seen->state == SERVER_DOWN)
			tell_change(look, wanted, seen, lasted > 0 ? lasted : 0);
	}
	memory->looked_ms = look->observed->asked_at_ms;
}

/* News of the balancer as a whole. */

static void tell_none_up(const struct look *look)
{
	size_t len;
	char *text;
	FILE *out = text_open(&text, &len);

	fputs(look->observed->fallback ? "no server passes its check; traffic goes to all of them untested"
				       : "no server is up: no connection gets through",
	      out);
	for (size_t i = 0; i < look->wanted_n; i++) {
		const struct observed_server *seen = observed_server_find(
			look->observed->servers, look->observed->servers_n, &look->wanted[i]);
		char *address = haproxy_server_address(&look->wanted[i]);

		fprintf(out, "; %s: %s", address, seen && seen->why ? seen->why : "down");
		free(address);
	}
	text_close(out);
	look->tell(look->arg, SERVER_CHANGE_NONE_UP, "", text);
	free(text);
}

static void tell_some_up(const struct look *look)
{
	size_t up = 0;
	char *text;

	for (size_t i = 0; i < look->servers->n; i++)
		up += look->servers->v[i].state == SERVER_UP;
	text = xasprintf("%zu of %zu servers are up again", up, look->wanted_n);
	look->tell(look->arg, SERVER_CHANGE_SOME_UP, "", text);
	free(text);
}

static void note_balancer(const struct look *look)
{
	enum traffic traffic = servers_traffic(look->wanted, look->wanted_n, look->observed->servers,
					       look->observed->servers_n, look->observed->fallback);
	bool none_up = traffic == TRAFFIC_UNTESTED || traffic == TRAFFIC_NONE;

	if (traffic == TRAFFIC_UNKNOWN || none_up == look->servers->none_up)
		return;
	look->servers->none_up = none_up;
	if (none_up)
		tell_none_up(look);
	else
		tell_some_up(look);
}

void servers_note(struct servers *servers, const struct spec_server *wanted, size_t n,
		  const struct observed_instance *observed, server_change_cb *tell, void *arg)
{
	const struct look look = {servers, observed, wanted, n, tell, arg};

	forget_unwanted(servers, wanted, n);
	for (size_t i = 0; i < n; i++) {
		const struct observed_server *seen =
			observed_server_find(observed->servers, observed->servers_n, &wanted[i]);

		if (seen && seen->state != SERVER_UNKNOWN)
			note_server(&look, &wanted[i], seen);
	}
	note_balancer(&look);
}
