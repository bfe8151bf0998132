/*
 * One reconcile run on one host: observe, plan, apply, verify.
 *
 * A job reads top to bottom as a table of phases (job.c); each phase issues
 * the next request or says that it is through. It knows the engine and HAProxy,
 * not where streams come from, when it is due, nor what is stored. For each
 * balancer it is given an order and a memory; a result and the memory are there
 * when it ends.
 */
#ifndef APILB_JOB_H
#define APILB_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/first_look.h"
#include "daemon/core/found.h"
#include "daemon/core/memory/memory.h"
#include "daemon/core/plan/observed.h"
#include "daemon/core/plan/plan.h"
#include "daemon/core/removal.h"
#include "daemon/core/wanted.h"
#include "daemon/io/stream/stream.h"

struct event_base;
struct job;

enum job_news {
	JOB_PROGRESS, /* a few words on what is going on; replaces the former */
	JOB_BEGINS,   /* the same, at the beginning of what takes long */
	JOB_DRIFT,    /* something is not as wanted, and will be mended */
	JOB_DONE,     /* something was done */
};

/* What a run is to do for one balancer. It is decided before the run, which only reads it. */
struct order {
	char *name;
	struct wanted *wanted; /* to be made true; NULL: remove what has this name and is ours */
	struct wanted *former; /* in force before the change that `wanted` is; NULL: there is none */
	struct wanted *next; /* the next revision: what its spec wants instead of `wanted`; NULL: the same */
	struct wanted *displaced; /* of another balancer, which leaves, and whose config file this one's is;
				     NULL: there is none */
	bool unproven;  /* the host decides first whether `wanted` is to be made true (first_look.h) */
	bool under_way; /* see there */
	/* Without `wanted`: */
	bool held;        /* it is only looked at: what is planned for it is for later */
	int64_t drain_ms; /* others serve in its place, and its connections may go on for so long; 0: it is
			     stopped */
	char *drop_id;    /* `state` hands over this container, to be removed; NULL: none */
};

/* What a run has seen and done: the last observation, the last plan, and what went wrong. */
struct result {
	struct observed_instance observed;
	struct plan plan;     /* what was still to do when the run ended: empty when converged */
	enum first_look look; /* LOOK_ADOPT and LOOK_LEAVE: nothing was planned */
	struct err err;       /* kind ERR_NONE: as wanted (or gone) */
	bool changed;         /* something was done to it in this run */
	bool removed;         /* an order without `wanted`: nothing of it is left */
};

/* One balancer on the host: order and memory are given to a run, result and memory it gives back. */
struct job_target {
	struct order order;   /* each struct wanted is counted */
	struct memory memory; /* lent (memory_lend): what earlier runs have learned, and then this one */
	struct result result;
	/* Found by the run: the ID of the one container that it stands for (core/found.h); NULL: it was not
	 * found. The order has the name that the container had then. */
	char *found_id;
	char *stray_of;  /* the balancer that it was made for; NULL: it is an orphan */
	char *orphan_of; /* the spec by its label, "": none; NULL: it is a stray */
	enum found_fate fate;
};

struct job_options {
	struct event_base *base;
	const char *owner;  /* outlives the job */
	const char *engine; /* path of the engine's socket; outlives the job */
	bool observe_only;  /* `apilbctl plan`: nothing is changed; at most a helper is made to look through,
			       and removed */
	/* Comes to the host as root, who gets to the stats sockets when no other local user does. */
	bool as_root;
	/* What was found by former runs, and drains. It outlives the job. */
	const struct leaving *draining;
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
	/* What is known of all balancers, for what may go from this host. It is so until somebody else asks:
	 * the job asks again each time that the loop comes back to it, since a run may take minutes, and what
	 * is wanted meanwhile must not go. */
	const struct removal *(*removal)(void *arg);
	/* Something to tell while it runs. target: NULL when it concerns the host. type: one word, for
	 * events. */
	void (*tell)(void *arg, const struct job_target *target, enum job_news news, const char *type,
		     const char *text);
	/* The end, exactly once, never from within job_start; the job is still to be freed. err: why the host
	 * as a whole failed, or NULL. */
	void (*done)(void *arg, const struct err *err);
	void *arg;
};

/* Of the containers that are found, and that wait for the same, or drain, or neither, one run takes on so
 * many.
 */
#define JOB_MAX_FOUND 100

/* targets (n of them, taken over with all that they hold) may grow by containers that are found. */
struct job *job_start(const struct job_options *options, struct job_target *targets, size_t n);
/* Also before the end: drops what is under way, no callback comes. A request that was sent may still take
 * effect. NULL is fine. */
void job_free(struct job *job);

/* Valid until the job is freed. */
struct job_target *job_targets(struct job *job, size_t *n);
void job_target_clear(struct job_target *target);
/* Found by the run: nobody's, although a balancer of the host that the run has no order for may have its
 * name. */
bool job_target_is_found(const struct job_target *target);
/* Containers that have our labels, and that we have not made ("container x (0123...) and 2 more"). NULL:
 * there is none. The caller frees. */
char *job_lookalikes(const struct job *job);
/* The same of containers that were found and stay, since what takes their place on the host does not serve
 * yet.
 */
char *job_waiting(const struct job *job);
/* There are more to be found than one run takes on, and it has got on with some. */
bool job_left_found(const struct job *job);
/* What drains now of all that was found: for the options of the next job. draining: of this one's. */
void job_note_draining(const struct job *job, struct leaving *draining);

#endif
