/*
 * What is remembered of a balancer's servers from one look to the next: since
 * when each is as it is, and what there is to tell.
 *
 * HAProxy says when it last changed its mind, but a reload makes a new process
 * that knows nothing of what was before. So a look by itself is not enough: what
 * is as it was keeps its time, and is not told again.
 */
#ifndef APILB_CORE_SERVERS_H
#define APILB_CORE_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/plan/observed.h"
#include "daemon/core/spec/spec.h"

/* The last that was known of a server: never SERVER_UNKNOWN. */
struct server_memory {
	char *name; /* as haproxy_server_name() */
	enum server_state state;
	bool draining;
	int64_t since_ms;  /* Unix time: as far as we know */
	int64_t began_ms;  /* the same as HAProxy said at the last look */
	int64_t looked_ms; /* of the last look */
};

struct servers {
	struct server_memory *v;
	size_t n;
	bool none_up; /* every one was known to be down at the last look that saw all or one that was up */
};

void servers_clear(struct servers *servers);
/* NULL: nothing is known of it. */
const struct server_memory *servers_find(const struct servers *servers, const char *name);

enum server_change {
	SERVER_CHANGE_DOWN,
	SERVER_CHANGE_DRAINING,
	SERVER_CHANGE_UP,
	SERVER_CHANGE_NONE_UP,
	SERVER_CHANGE_SOME_UP,
	SERVER_CHANGES
};
/* "server-down", "server-draining", "server-up", "no-server-up", "servers-up" */
const char *server_change_name(enum server_change change);

/* address: which server, for people; "" for the balancer as a whole. */
typedef void server_change_cb(void *arg, enum server_change change, const char *address, const char *text);

/*
 * Takes in what a look has seen (asked_at_ms says when), drops what is not among the wanted, and tells each
 * change once. A server of which nothing was known before and that is up is no news.
 */
void servers_note(struct servers *servers, const struct spec_server *wanted, size_t n,
		  const struct observed_instance *observed, server_change_cb *tell, void *arg);

/* By haproxy_server_name(); NULL: HAProxy did not tell of it. */
const struct observed_server *observed_server_find(const struct observed_server *v, size_t n,
						   const struct spec_server *wanted);

/* Where the clients' connections go. */
enum traffic {
	TRAFFIC_UNKNOWN,  /* not every server has been seen, and none that is up */
	TRAFFIC_CHECKED,  /* to servers that are up */
	TRAFFIC_UNTESTED, /* no server is up: to all of them, whatever their checks say */
	TRAFFIC_NONE,     /* no server is up: nowhere */
};
const char *traffic_name(enum traffic traffic); /* "unknown", "checked", "untested", "none" */
enum traffic servers_traffic(const struct spec_server *wanted, size_t n,
			     const struct observed_server *servers, size_t servers_n, bool fallback);

#endif
