/*
 * What is remembered of a balancer's servers from look to look: since when each
 * is in its state, and which changes are news.
 *
 * HAProxy tells when a server's state last changed, but after a reload the new
 * process knows nothing of before. So one look is not enough: a server that is
 * in the same state as before keeps its time, and is no news.
 */
#ifndef APILB_CORE_SERVERS_H
#define APILB_CORE_SERVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/plan/observed.h"
#include "daemon/core/spec/spec.h"

/* The last known state of a server: never SERVER_UNKNOWN. */
struct server_memory {
	char *name; /* as haproxy_server_name() */
	enum server_state state;
	bool draining;
	int64_t since_ms;  /* Unix time, as far as we know */
	int64_t began_ms;  /* the same, as HAProxy said at the last look */
	int64_t looked_ms; /* when the last look was */
};

struct servers {
	struct server_memory *v;
	size_t n;
	bool none_up; /* at the last look that was conclusive, all servers were down */
};

void servers_clear(struct servers *servers);
/* NULL: nothing is known of the server. */
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

/* address: the server, for people; "" for the balancer as a whole. */
typedef void server_change_cb(void *arg, enum server_change change, const char *address, const char *text);

/*
 * Takes in what a look has found at asked_at_ms, forgets servers that are not wanted, and calls
 * `tell` once for each change. A new server that is up is no news.
 */
void servers_note(struct servers *servers, const struct spec_server *wanted, size_t n,
		  const struct observed_instance *observed, server_change_cb *tell, void *arg);

/* Finds a server by haproxy_server_name(); NULL: HAProxy did not list it. */
const struct observed_server *observed_server_find(const struct observed_server *v, size_t n,
						   const struct spec_server *wanted);

/* Where the clients' connections go. */
enum traffic {
	TRAFFIC_UNKNOWN,  /* no server is up, as far as we know, and some are unknown */
	TRAFFIC_CHECKED,  /* to servers that pass their checks */
	TRAFFIC_UNTESTED, /* no server is up: to all of them, untested */
	TRAFFIC_NONE,     /* no server is up: nowhere */
};
const char *traffic_name(enum traffic traffic); /* "unknown", "checked", "untested", "none" */
enum traffic servers_traffic(const struct spec_server *wanted, size_t n,
			     const struct observed_server *servers, size_t servers_n, bool fallback);

#endif
