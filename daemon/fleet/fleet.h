/*
 * All hosts and all specs: who is wanted where, and how many run at a time.
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
	const struct settings *settings; /* outlives the fleet; see fleet_settings_changed */
	const struct ssh_context *ssh;
	struct store *store;
	struct events *events;
	/* Nothing is due any more that has not had its verdict since the start, and no rollout gets
	 * any further by itself: for --once. From the event
	 * loop; may come again. */
	void (*quiet)(void *arg);
	void *arg;
};

/* Recalls what the store knows; no host is touched before fleet_load. */
struct fleet *fleet_new(const struct fleet_options *options, struct err *err);
void fleet_free(struct fleet *fleet); /* NULL is fine */

/*
 * Has the spec directory read, beside the loop, and makes due what has changed; fleet_wait tells when. When
 * it cannot be read everything stays as it is. While something in it is just changing, a file may be half
 * written and be a shorter spec so far: then everything stays as well, and it is
 * read when it has settled, within WATCH_SETTLE_MAX_MS.
 */
void fleet_load(struct fleet *fleet);

/* Of whoever has to know that all that was in the directory has been read. */
struct fleet_waiter {
	void (*loaded)(void *arg, bool loaded); /* false: the fleet ends before */
	void *arg;
	struct fleet_waiters *queue; /* the fleet's, like the entry */
	TAILQ_ENTRY(fleet_waiter) entry;
};
/* False: all that was written so far has been read, also in files that specs name; true: loaded comes, once,
 * from the event loop, when that has settled and been read, or could not be (fleet_directory_error): also
 * when the look hangs, and then false until it goes on. */
bool fleet_wait(struct fleet *fleet, struct fleet_waiter *waiter);
void fleet_wait_cancel(struct fleet *fleet, struct fleet_waiter *waiter); /* loaded does not come */
/* resync_ms, silent_after_ms and concurrency have changed. */
void fleet_settings_changed(struct fleet *fleet);
/* Makes due every host that has to do with the spec (NULL: all). Returns how many hosts. */
size_t fleet_kick(struct fleet *fleet, const char *spec);

/* Holds all changes of a spec, but no repairs; goes on with what was held or has stopped. False: there was
 * nothing to do. See rollouts.h. */
bool fleet_pause(struct fleet *fleet, const char *spec);
bool fleet_resume(struct fleet *fleet, const char *spec);
struct rollouts *fleet_rollouts(const struct fleet *fleet);

/* Tells all that the last look has found, for who ends now. */
void fleet_tell_all(struct fleet *fleet);

/* True once the directory, or without it the store, has said what is wanted. */
bool fleet_is_ready(const struct fleet *fleet);
/* Why the spec directory could not be read at the last attempt; NULL when it could. */
const char *fleet_directory_error(const struct fleet *fleet);
/* Why changes in it are seen at the next resync only, or NULL. */
const char *fleet_watch_trouble(const struct fleet *fleet);
const struct specs *fleet_specs(const struct fleet *fleet);
struct host *const *fleet_hosts(const struct fleet *fleet, size_t *n);

/* Goes over all balancers: begin with {.fleet = fleet}, go on while fleet_next() is true. Meanwhile none is
 * added or dropped. */
struct fleet_walk {
	const struct fleet *fleet;
	struct host *host; /* of this balancer: */
	struct instance *instance;
	size_t hosts, instances; /* where to go on */
};
bool fleet_next(struct fleet_walk *walk);

size_t fleet_running(const struct fleet *fleet); /* hosts that have a place */

/* Every instance is as wanted, none is on its way out, and every spec is valid. */
bool fleet_is_converged(const struct fleet *fleet);

/* Whether an instance of the spec (NULL: any) is, or was, on the host. */
bool fleet_touches(const struct host *host, const char *spec);

#endif
