/*
 * A balancer on a host, wanted or on its way out, and all that is known of it.
 */
#ifndef APILB_INSTANCE_H
#define APILB_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/core/servers.h"
#include "daemon/core/status.h"
#include "daemon/core/wanted.h"
#include "daemon/events.h"
#include "daemon/io/store.h"
#include "daemon/job.h"

struct instance {
	struct wanted *wanted; /* NULL: to be removed, unless held */
	bool held; /* known from the store, and its spec has not said yet whether it wants it: left alone */
	bool mentioned; /* by a spec in force, at the last time that they were gone through */
	char *drop_id;  /* without `wanted`: this container, which `state` names, goes as well; NULL: none */
	char *id, *spec;
	size_t index;                 /* in its spec's list */
	struct store_instance record; /* what outlives the process; name and host stand here */

	enum phase phase;
	char *progress;                    /* what is going on; NULL: nothing */
	struct observed_instance observed; /* of the last run */
	struct servers servers;            /* how HAProxy has seen them, over many runs */
	struct err err;                    /* kind ERR_NONE: none */
	int64_t observed_at_ms;            /* of the last verdict, also that it cannot be seen; 0: never */
	/*
	 * The version that HAProxy did not take, how often, and until when (monotonic
	 * clock) that is left at; see struct job_target.
	 */
	char refused[SHA256_HEX_SIZE];
	unsigned refusals;
	int64_t refused_until_ms;
	struct leaving leaving;  /* former containers that still have connections */
	int64_t silent_since_ms; /* see struct job_target */
	char *told_drift;        /* the last that was told, so that each is told once */
};

/* The record is taken over. */
struct instance *instance_new(struct store_instance *record);
void instance_free(struct instance *instance);

/* Takes what is wanted (counted; NULL: removal). True when that differs from before in more than its place in
 * a list. */
bool instance_want(struct instance *instance, struct wanted *wanted);

/* For one that is not wanted: removes this container, too. True when that is news. */
bool instance_drop(struct instance *instance, const char *container_id);
/* Whether `state` hands it this container, and it may still need it. */
bool instance_takes_over(const struct instance *instance, const char *container_id);

/* What a job is to do for it. */
struct job_target instance_target(const struct instance *instance);

/* What is going on, for people; NULL: nothing any more. */
void instance_progress(struct instance *instance, const char *text);

/*
 * The verdict of a run: takes the observation over, writes down what changed,
 * and tells it when the state has changed. Also for a host that could not be
 * looked at (target NULL).
 */
void instance_settle(struct instance *instance, struct job_target *target, const struct err *err,
		     struct store *store, struct events *events);

/* All strings stay the instance's. */
struct status_instance instance_status(const struct instance *instance, int64_t next_run_ms);

#endif
