/*
 * All hosts and all specs: which balancers are wanted on which host, and which hosts run now.
 */
#ifndef APILB_FLEET_H
#define APILB_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "daemon/host/host.h"
#include "daemon/settings/settings.h"
#include "daemon/specs/specs.h"

struct fleet;
struct rollouts;

struct fleet_options {
	struct event_base *base;
	const struct settings *settings; /* outlives the fleet; after a change call fleet_settings_changed */
	const struct ssh_context *ssh;
	struct store *store;
	struct events *events;
	/* Every host has had its verdict since the start, and no rollout can go on by itself: for --once.
	 * From the event loop; may come more than once. */
	void (*quiet)(void *arg);
	void *arg;
};

/* Reads the store. No host is contacted before fleet_load. */
struct fleet *fleet_new(const struct fleet_options *options, struct err *err);
void fleet_free(struct fleet *fleet); /* NULL is fine */

/*
 * Begins to read the spec directory, beside the loop. When it has been read, what has changed is applied, and
 * the hosts concerned are due; fleet_wait tells when. If it cannot be read, everything stays as it is. While
 * its files are changing, a half written file may look like a shorter spec: so the directory is read when it
 * is quiet, within WATCH_SETTLE_MAX_MS.
 */
void fleet_load(struct fleet *fleet);

/* Waits until the spec directory has been read. The caller owns it, and sets loaded and arg; the other
 * members are the fleet's. */
struct fleet_waiter {
	void (*loaded)(void *arg, bool loaded); /* false: the fleet is freed first */
	void *arg;
	struct fleet_waiters *queue;
	TAILQ_ENTRY(fleet_waiter) entry;
};
/*
 * True: loaded comes, once, from the event loop, when all that was written so far has been read, also in
 * files that specs name; or when it could not be read, or hangs (fleet_directory_error says so). False:
 * nobody waits, since the directory hangs, or fleet_load has never been called.
 */
bool fleet_wait(struct fleet *fleet, struct fleet_waiter *waiter);
void fleet_wait_cancel(struct fleet *fleet, struct fleet_waiter *waiter); /* loaded does not come */
/* Takes over new values of resync_ms, silent_after_ms and concurrency. */
void fleet_settings_changed(struct fleet *fleet);
/* Makes due every host that the spec touches (NULL: every host). Returns the number of hosts. */
size_t fleet_kick(struct fleet *fleet, const char *spec);

/* fleet_pause holds all changes of a spec, but no repairs; fleet_resume ends the pause, or a stop of its
 * rollout. False: the spec is paused already, or there is nothing to resume. See rollouts.h. */
bool fleet_pause(struct fleet *fleet, const char *spec);
bool fleet_resume(struct fleet *fleet, const char *spec);
struct rollouts *fleet_rollouts(const struct fleet *fleet);

/* Tells at once all errors of specs that are still to be told: before the daemon ends. */
void fleet_tell_all(struct fleet *fleet);

/* True once the specs have been applied: those of the directory, or, if it cannot be read, of the store. */
bool fleet_is_ready(const struct fleet *fleet);
/* Why the spec directory could not be read at the last attempt; NULL when it could. */
const char *fleet_directory_error(const struct fleet *fleet);
/* Why changes in the spec directory are seen at the next resync only; NULL: they are seen at once. */
const char *fleet_watch_trouble(const struct fleet *fleet);
const struct specs *fleet_specs(const struct fleet *fleet);
struct host *const *fleet_hosts(const struct fleet *fleet, size_t *n);

/* Walks over all balancers: begin with {.fleet = fleet}, go on while fleet_next() is true. No balancer may be
 * added or dropped meanwhile. */
struct fleet_walk {
	const struct fleet *fleet;
	struct host *host; /* the host of `instance` */
	struct instance *instance;
	size_t hosts, instances; /* where the walk goes on; private */
};
bool fleet_next(struct fleet_walk *walk);

size_t fleet_running(const struct fleet *fleet); /* number of hosts that have a place to run */

/* True when every instance is converged, none is still to be removed, and every spec is valid. */
bool fleet_is_converged(const struct fleet *fleet);

/* True when the host has an instance of the spec (NULL: of any spec), wanted or still to be removed. */
bool fleet_touches(const struct host *host, const char *spec);

#endif
