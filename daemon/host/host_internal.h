/*
 * What the files of a host share; nobody else includes this. host.c has its
 * runs: timer, connection, job. host_instances.c has its balancers: what is
 * wanted of them, and what the runs have found.
 */
#ifndef APILB_HOST_INTERNAL_H
#define APILB_HOST_INTERNAL_H

#include <sys/queue.h>

#include "daemon/host/host.h"

/* The local engine has no settings for this; the same as SSH's defaults. */
#define RETRY_FIRST_MS 1000

enum host_state {
	HOST_WAITING,    /* for its timer */
	HOST_DUE,        /* for a place to run */
	HOST_CONNECTING, /* the SSH session */
	HOST_RUNNING,    /* a job */
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
	int64_t due_ms;      /* monotonic: when it is to be reconciled, whatever plans are asked for before */
	bool again;          /* kicked while it ran */
	bool reconnect;      /* before the next run: the settings have changed */
	bool deferred;       /* a removal had to wait for others */

	struct ssh *ssh;
	struct job *job;
	bool observing; /* the job is, or the last one was, for the plans, nothing else */
	TAILQ_HEAD(, host_plan) plans;
	TAILQ_HEAD(, host_plan) plans_running;

	char *lookalikes; /* what was last told of containers that have copies of our labels; NULL: nothing */
	char *waiting;    /* the same of containers that were found and stay */
	struct leaving draining; /* of those that were found, what drains */

	unsigned failures; /* in a row, to reach it */
	int64_t failing_since_ms;
};

/* host.c */
uint32_t host_random_u32(void);
int64_t host_retry_first_ms(const struct host *host);

/* host_instances.c */

/* Whom the target was for; NULL: for nobody that the host still has, or it was found. */
struct instance *host_instance_of(struct host *host, const struct job_target *target);
/* What a job tells while it runs; see struct job_options. */
void host_news(void *arg, const struct job_target *target, enum job_news news, const char *type,
	       const char *text);
/* The verdicts of a run; returns when to look again. */
int64_t host_settle(struct host *host, struct job_target *targets, size_t n);
/* Whether one that is not wanted any more may go, or why not. *removal: asked for when it is NULL. */
enum removal_verdict host_may_go(const struct host *host, const struct instance *instance,
				 const struct removal **removal);
/* Of a run that ended without verdicts: what its targets have learned. */
void host_keep(struct host *host, struct job_target *targets, size_t n);
/* The same verdict for all: they could not be looked at. */
void host_settle_all(struct host *host, const struct err *err);

#endif
