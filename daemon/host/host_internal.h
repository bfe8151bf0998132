/*
 * Shared by the files of this folder; nobody else includes it. host.c has a
 * host's runs: timer, connection, job. host_orders.c has what a run is told of
 * the balancers. host_instances.c has the balancers: what is wanted of them, and
 * what runs have found.
 */
#ifndef APILB_HOST_INTERNAL_H
#define APILB_HOST_INTERNAL_H

#include <sys/queue.h>

#include "daemon/host/host.h"

/* For the local engine, which has no ssh.retryInterval: SSH's default. */
#define RETRY_FIRST_MS 1000

enum host_state {
	HOST_WAITING,    /* waits for its timer */
	HOST_DUE,        /* waits for a place to run */
	HOST_CONNECTING, /* opens its SSH session */
	HOST_RUNNING,    /* a job is under way */
};

struct host_plan {
	TAILQ_ENTRY(host_plan) entry;
	struct host *host;
	host_plan_cb *cb;
	void *arg;
};

struct host {
	const struct host_context *context;
	struct spec_host settings;
	struct instance **instances;
	size_t instances_n;

	enum host_state state;
	struct event *timer;
	int64_t next_run_ms; /* Unix time, for people */
	int64_t due_ms;      /* monotonic: when the next run is due; runs for plans may come before */
	bool again;          /* another run is due at once after this one */
	bool reconnect;      /* the settings have changed: the next run opens a new SSH session */
	bool removal_held;   /* the removal of an instance was held in the last run */
	unsigned held_runs;  /* so many runs in a row have only found that it still is */

	struct ssh *ssh;
	struct job *job;
	bool observing; /* the job only observes, for plans; without a job: the last one did */
	TAILQ_HEAD(, host_plan) plans;
	TAILQ_HEAD(, host_plan) plans_running;

	char *lookalikes; /* the containers with copies of our labels that were last told of; NULL: none */
	char *waiting;    /* the found containers that must stay for now and were last told of; NULL: none */
	struct draining draining; /* the found containers that drain */

	unsigned failures; /* failed attempts in a row to reach the host */
	int64_t failing_since_ms;
	unsigned losses; /* connections in a row that were lost between two runs */
};

/* host.c */
uint32_t host_random_u32(void);
int64_t host_retry_first_ms(const struct host *host);

/* host_orders.c */

/* Fills in an order for each balancer that the next run does not leave alone. Returns their number. */
size_t host_give_orders(struct host *host, struct job_target *targets);
/* Fills in the versions of new balancers that are held, and that the next run leaves alone. They stay the
 * instances'. Returns their number. */
size_t host_find_to_come(const struct host *host, struct wanted **to_come);

/* host_instances.c */

/* The instance that the target is for; NULL: the host no longer has it, or the run has found the target. */
struct instance *host_instance_of(struct host *host, const struct job_target *target);
/* Takes news from a running job: job_options.tell. */
void host_news(void *arg, const struct job_target *target, enum job_news news, const char *type,
	       const char *text);
/* Takes in the verdicts of a run. Returns the time, in ms, until the next run. */
int64_t host_settle(struct host *host, struct job_target *targets, size_t n);
/* Whether an instance that is not wanted any more may be removed. Fills in *removal if it is NULL. */
enum removal_verdict host_may_go(const struct host *host, const struct instance *instance,
				 const struct removal **removal);
/* The run has ended without verdicts: keeps what its targets have learned. */
void host_keep(struct host *host, struct job_target *targets, size_t n);
/* All instances get this verdict: they could not be looked at. */
void host_settle_all(struct host *host, const struct err *err);

#endif
