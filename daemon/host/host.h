/*
 * One host: its connection, its timer, its balancers, and at most one job.
 *
 * A host runs when it is due: at once when something is wanted of it, else at
 * each resync, and with backoff while it cannot be reached. The fleet decides
 * how many hosts run at a time: a host that is due asks for a place to run, and
 * gives it back when its run ends.
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

/* Shared by all hosts. The strings and objects outlive every host. */
struct host_context {
	struct event_base *base;
	const struct ssh_context *ssh;
	struct store *store;
	struct events *events;
	struct server_news *server_news;
	const char *owner;
	int64_t resync_ms;
	int64_t silent_after_ms; /* see struct job_options */
	/* The host is due, and asks for a place to run; the fleet answers with host_run(). */
	void (*due)(void *arg, struct host *host);
	/* The run has ended, and the host gives its place back. settled: its instances have reached a
	 * verdict; false after a plan, and while connecting is still retried. */
	void (*idle)(void *arg, struct host *host, bool settled);
	/* A first look has found another version than the store knew: the specs must be applied again. */
	void (*found)(void *arg);
	/*
	 * What is known of all balancers, to decide which containers may be
	 * removed (core/removal.h). ahead NULL: as things are; else as they will be
	 * when the changes of this host's balancers that a pause holds are made, for a plan.
	 * The result is valid until the next call.
	 */
	const struct removal *(*removal)(void *arg, const struct host *ahead);
	/* See struct job_options. */
	int64_t (*drain_ms)(void *arg, const char *spec);
	void *arg;
};

struct host *host_new(const struct host_context *context, const struct spec_host *settings);
void host_free(struct host *host); /* at any time, also during a run; answers its plans with an error */

const char *host_url(const struct host *host);
const struct spec_host *host_settings(const struct host *host);
/* New credentials, user or timeouts, used from the next connection on. Label and engine do not change: they
 * say which host this is. */
void host_configure(struct host *host, const struct spec_host *settings);

/* The instance with this container name, valid until the host runs again or is freed; NULL: there is none. */
struct instance *host_find(struct host *host, const char *name);
/* Adds an instance that the store knows; takes its row over. */
struct instance *host_add(struct host *host, struct store_instance *row);
struct instance *const *host_instances(const struct host *host, size_t *n);
/* Puts wanted in force for the instance of this name, or, with hold, makes it the next revision: see
 * instance_want and instance_hold. Adds the instance if there is none; takes a reference to wanted. */
struct instance *host_wish(struct host *host, const char *name, struct wanted *wanted, bool hold,
			   struct instance_change *change);
/* The instance is to be removed. True when it was not before. */
bool host_unwant(struct host *host, struct instance *instance);
/* Drops an instance for which nothing was ever done on the host. Not while the host's job runs. */
void host_forget(struct host *host, struct instance *instance);

/* A container that `state` names, and that no balancer takes over, is to be removed. name: an instance name
 * to do this under, which no wanted instance has. True when this was not known before. */
bool host_drop(struct host *host, const char *spec, const char *name, const char *container_id);

/* Makes the host due now, or once more after the run that is under way. */
void host_kick(struct host *host);
/* The host has got its place: starts the run. */
void host_run(struct host *host);

/* The answer to host_plan: the targets of a job that only observed. err: why the host could not be looked at,
 * or NULL. Everything is valid only within the callback. */
typedef void host_plan_cb(void *arg, struct host *host, const struct job_target *targets, size_t n,
			  const struct err *err);
struct host_plan;
/* Looks at the host to find out what a run would do now. cb comes exactly once, from the event loop, unless
 * the plan is cancelled; if the host is freed first, with an error. */
struct host_plan *host_plan(struct host *host, host_plan_cb *cb, void *arg);
void host_plan_cancel(struct host_plan *plan);

bool host_is_running(const struct host *host); /* a job is under way */
bool host_is_connected(const struct host *host);
int64_t host_next_run_ms(const struct host *host); /* Unix time; 0: running or waiting for a place */
unsigned host_failures(const struct host *host);

#endif
