/*
 * One host: its connection, its timer, its balancers, and at most one job.
 *
 * A host runs when it is due: at once when something is wanted of it, at each
 * resync otherwise, with backoff while it cannot be reached. The fleet decides
 * how many run at a time: a host that is due asks for a place, and gives it
 * back when its run ends.
 */
#ifndef APILB_HOST_H
#define APILB_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/instance/instance.h"
#include "daemon/io/ssh/ssh.h"
#include "daemon/io/store/store.h"
#include "daemon/run/job.h"
#include "daemon/tell/events.h"

struct host;
struct server_news;

/* What hosts share. The strings and objects outlive them. */
struct host_context {
	struct event_base *base;
	const struct ssh_context *ssh;
	struct store *store;
	struct events *events;
	struct server_news *server_news;
	const char *owner;
	int64_t resync_ms;
	int64_t silent_after_ms; /* see struct job_options */
	/* The host is due, and wants a place to run; host_run() gives it. */
	void (*due)(void *arg, struct host *host);
	/* It has run and needs its place no more. settled: its instances have reached a verdict (not a mere
	 * attempt to connect). */
	void (*idle)(void *arg, struct host *host, bool settled);
	/* A first look has found something else than what was recorded: the specs are to be gone through
	 * again. */
	void (*found)(void *arg);
	/*
	 * What is known of all balancers now, for what may go from a host. ahead:
	 * as it will be when the changes of that host's specs go on that are
	 * paused, as a plan shows it; NULL: as it is. It is so until somebody asks
	 * again.
	 */
	const struct removal *(*removal)(void *arg, const struct host *ahead);
	void *arg;
};

struct host *host_new(const struct host_context *context, const struct spec_host *settings);
void host_free(struct host *host); /* at any time; drops what is under way */

const char *host_url(const struct host *host);
const struct spec_host *host_settings(const struct host *host);
/* New credentials, timeouts: for the next connection. The same host: label and engine do not change. */
void host_configure(struct host *host, const struct spec_host *settings);

/* By container name; NULL if the host has none such. Valid until the host runs again or is freed. */
struct instance *host_find(struct host *host, const char *name);
/* One that is known from the store; its row is taken over. */
struct instance *host_add(struct host *host, struct store_instance *row);
struct instance *const *host_instances(const struct host *host, size_t *n);
/* wanted (counted by the host) is in force under this name, or comes next (hold): see instance_want and
 * instance_hold. */
struct instance *host_wish(struct host *host, const char *name, struct wanted *wanted, bool hold,
			   struct instance_change *change);
/* To be removed. True when that is a change. */
bool host_unwant(struct host *host, struct instance *instance);
/* One that nothing was ever done for goes at once. Not while the host's job runs. */
void host_forget(struct host *host, struct instance *instance);

/* This container, which `state` names and no balancer takes over, leaves the host. name: what to call it by,
 * which nothing that is wanted has. True when that is news. */
bool host_drop(struct host *host, const char *spec, const char *name, const char *container_id);

/* Makes it due now, or again after the run that is under way. */
void host_kick(struct host *host);
/* Has its place: go. */
void host_run(struct host *host);

/* What would be done now: after a look at the host, on the targets of a job that only observed. err: the host
 * could not be looked at. */
typedef void host_plan_cb(void *arg, struct host *host, const struct job_target *targets, size_t n,
			  const struct err *err);
struct host_plan;
/* cb comes exactly once, from the event loop, unless cancelled; when the host is freed with an error. */
struct host_plan *host_plan(struct host *host, host_plan_cb *cb, void *arg);
void host_plan_cancel(struct host_plan *plan);

bool host_is_running(const struct host *host); /* a job is under way */
bool host_is_connected(const struct host *host);
int64_t host_next_run_ms(const struct host *host); /* Unix time; 0: running or waiting for a place */
unsigned host_failures(const struct host *host);

#endif
