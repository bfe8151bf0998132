/*
 * One reconcile run on one host: observe, plan, apply, verify.
 *
 * A job reads top to bottom as a table of phases (job.c); each phase issues
 * the next request or says that it is through. It knows the engine and HAProxy,
 * not where streams come from, when it is due, nor what is stored: what it has
 * seen and done stands in its targets when it ends.
 */
#ifndef APILB_JOB_H
#define APILB_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/first_look.h"
#include "daemon/core/memory.h"
#include "daemon/core/observed.h"
#include "daemon/core/plan.h"
#include "daemon/core/removal.h"
#include "daemon/core/wanted.h"
#include "daemon/io/stream.h"

struct event_base;
struct job;

enum job_news {
	JOB_PROGRESS, /* a few words on what is going on; replaces the former */
	JOB_DRIFT,    /* something is not as wanted, and will be mended */
	JOB_DONE,     /* something was done */
};

/* One balancer on the host: to be made true, or, without `wanted`, to be taken off. */
struct job_target {
	/* In. */
	struct wanted *wanted; /* counted by the job; NULL: remove what has this name and is ours */
	char *name;
	struct wanted *former; /* in force before the change that `wanted` is, counted by the job; NULL: there
				  is none. In. */
	struct wanted *displaced; /* of another balancer, which leaves, and whose config file this one's is,
				     counted by the job; NULL: there is none. In. */
	struct wanted
		*next;  /* what its spec wants instead of `wanted`, counted by the job; NULL: the same. In. */
	bool unproven;  /* the host decides first whether `wanted` is to be made true (first_look.h). In. */
	bool under_way; /* see there. In. */
	bool stays;     /* without `wanted`: what is planned for it is for later. In. */
	int64_t leave_ms; /* without `wanted`: others serve in its place, and its connections may go on for so
			     long; 0: it is stopped. In. */
	char *stray_of;   /* found by the job: it was made for the balancer with this ID, has another name by
			     now,   and goes when that one is as wanted; NULL: it is none. */
	char *drop_id; /* without `wanted`: `state` hands over this container, to be removed; NULL: none. In.
			*/
	struct memory memory; /* lent (memory_lend): what earlier runs have learned, and by the end this one,
				 too. In and out. */

	/* Out: the last observation, the last plan, and what went wrong. */
	struct observed_instance observed;
	struct plan plan;     /* what was still to do when the job ended: empty when converged */
	enum first_look look; /* LOOK_ADOPT and LOOK_LEAVE: nothing was planned */
	struct err err;       /* kind ERR_NONE: as wanted (or gone) */
	bool changed;         /* something was done to it in this run */
	bool removed;         /* a target without `wanted`: nothing of it is left */
};

struct job_options {
	struct event_base *base;
	const char *owner;  /* outlives the job */
	const char *engine; /* path of the engine's socket; outlives the job */
	bool observe_only;  /* `apilbctl plan`: nothing is changed; at most a helper is made to look through,
			       and removed */
	/* Comes to the host as root, who gets to the stats sockets when no other local user does. */
	bool as_root;
	int64_t silent_after_ms; /* a HAProxy that has not answered for so long gets a successor */
	/*
	 * Opens a stream to a Unix socket of the host. Cancelled with
	 * stream_open_cancel.
	 */
	struct stream_opening *(*open)(void *arg, const char *path, int64_t timeout_ms, stream_open_cb *cb,
				       void *cb_arg);
	/* The engine has answered: from here on requests may change something there. The targets are those
	 * that the job was started with. */
	void (*reached)(void *arg, const struct job_target *targets, size_t n);
	/* What is known of all balancers, for what may go from this host; asked for once a look at most.
	 * Taken over. */
	struct removal *(*removal)(void *arg);
	/* Something to tell while it runs. target: NULL when it concerns the host. type: one word, for
	 * events. */
	void (*tell)(void *arg, const struct job_target *target, enum job_news news, const char *type,
		     const char *text);
	/* The end, exactly once, never from within job_start; the job is still to be freed. err: why the host
	 * as a whole failed, or NULL. */
	void (*done)(void *arg, const struct err *err);
	void *arg;
};

/* So many of the orphans that are found are removed by one run. */
#define JOB_MAX_ORPHANS 100

/* targets (n of them, taken over with all that they hold) may grow by orphans that are found. */
struct job *job_start(const struct job_options *options, struct job_target *targets, size_t n);
/* Also before the end: drops what is under way, no callback comes. A request that was sent may still take
 * effect. NULL is fine. */
void job_free(struct job *job);

/* Valid until the job is freed. */
struct job_target *job_targets(struct job *job, size_t *n);
void job_target_clear(struct job_target *target);
/* Of containers that have our labels, and that we have not made: the subject of a sentence about their labels
 * ("container x (0123...) has"). NULL: there is none. The caller frees. */
char *job_lookalikes(const struct job *job);
/* There are more orphans than one run removes, and it has removed some. */
bool job_left_orphans(const struct job *job);

#endif
