/*
 * One run on one host: observe, plan, apply, verify.
 *
 * A job is a table of phases (job.c); each phase sends the next request or says
 * that it is done. A job knows the engine and HAProxy; it does not know where
 * streams come from, when a host is due, or what is stored. For each balancer it
 * is given an order and a memory; when it ends, its caller takes the result and
 * the memory back.
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
	JOB_PROGRESS, /* what is going on, in a few words, which replace the last ones */
	JOB_BEGINS,   /* the same, at the beginning of something that takes long */
	JOB_DRIFT,    /* something is not as wanted, and will be repaired */
	JOB_DONE,     /* an action was carried out */
};

/* What a run is to do for one balancer. It is made before the run, and does not change. */
struct order {
	char *name;
	/* The version to make true; NULL: remove those containers of this name that are ours. */
	struct wanted *wanted;
	struct wanted *former; /* the version in force before the change to `wanted`; NULL: there is none */
	struct wanted *next;   /* the next revision; NULL: it is `wanted` */
	/* The former version of another balancer that leaves, and has the same config file; NULL: none. */
	struct wanted *displaced;
	bool unproven;  /* the first look at the host decides whether to make `wanted` true (first_look.h) */
	bool under_way; /* see first_look.h */
	/* Without `wanted`: */
	bool removal_held; /* the balancer is looked at, and its plan is for later */
	char *drop_id;     /* also remove this container, which `state` names; NULL: none */
	/* Others serve in its place, so its connections may last for so long; 0: it is stopped. */
	int64_t drain_ms;
};

/* What a run has seen and done for one balancer. */
struct result {
	struct observed_instance observed; /* the last observation */
	struct plan plan; /* the last plan: what was still to do when the run ended; empty when converged */
	enum first_look look; /* LOOK_ADOPT and LOOK_LEAVE: nothing was planned */
	struct err err;       /* kind ERR_NONE: the balancer is as wanted, or gone */
	bool changed;         /* an action was carried out */
	size_t applied;       /* so many actions of the plan are behind it; all, once one has failed */
	bool removed;         /* no container is left, of an order without `wanted` */
};

/* One balancer on the host, or one container that the run has found. The caller sets order and memory; the
 * run sets result and changes memory. */
struct job_target {
	struct order order;   /* has a reference to each struct wanted */
	struct memory memory; /* lent (memory_lend): what this run and earlier ones have learned */
	struct result result;
	/* Only for a container that the run has found (core/found.h); order.name is the name that it had
	 * then. */
	char *found_id;  /* its ID; NULL: the target was not found */
	char *stray_of;  /* the ID of the balancer that it was made for; NULL: it is an orphan */
	char *orphan_of; /* the spec that its label names, "": none; NULL: it is a stray */
	enum found_fate fate;
};

struct job_options {
	struct event_base *base;
	const char *owner;  /* outlives the job */
	const char *engine; /* path of the engine's socket; outlives the job */
	bool observe_only; /* for `apilbctl plan`: nothing is changed, but a helper may be made and removed */
	/* The login on the host is root, so that stats sockets can be closed to all other users. */
	bool as_root;
	/* Containers that earlier runs have found, and that drain. Outlives the job. */
	const struct draining *draining;
	/* Versions of new balancers that the run leaves alone, since they are held: found containers may
	 * serve in their place until they come. The job takes references. */
	struct wanted *const *to_come;
	size_t to_come_n;
	int64_t silent_after_ms; /* a HAProxy that has not answered for so long gets a successor */
	/* Opens a stream to a Unix socket of the host; stream_open_cancel cancels it. */
	struct stream_opening *(*open)(void *arg, const char *path, int64_t timeout_ms, stream_open_cb *cb,
				       void *cb_arg);
	/* The engine has answered: from here on requests may change the host. targets: of job_start. */
	void (*reached)(void *arg, const struct job_target *targets, size_t n);
	/* What is known of all balancers, to decide which containers may be removed. The result is valid
	 * until somebody else asks. The job asks again each time that it waits: a run may take minutes, and a
	 * container that has become wanted meanwhile must not be removed. */
	const struct removal *(*removal)(void *arg);
	/* The longest drain time that a version in force of this spec sets, on whatever host; 0: there is no
	 * such version. NULL: nobody knows of specs. */
	int64_t (*drain_ms)(void *arg, const char *spec);
	/* News while the job runs. target NULL: about the host as a whole. type: one word, for events. */
	void (*tell)(void *arg, const struct job_target *target, enum job_news news, const char *type,
		     const char *text);
	/* The end: comes exactly once, never from within job_start. The caller must still free the job. err:
	 * why the run failed for the host as a whole; NULL: it did not. */
	void (*done)(void *arg, const struct err *err);
	void *arg;
};

/* The most found containers that one run takes on, of each group: those that wait for the same balancer or
 * spec, those that drain, and the others. */
#define JOB_MAX_FOUND 100

/* Takes over the n targets and all that they hold; adds targets for containers that it finds. */
struct job *job_start(const struct job_options *options, struct job_target *targets, size_t n);
/* If the job has not ended, drops it without a callback; a request that was sent may still take effect. NULL
 * is fine. */
void job_free(struct job *job);

/* All targets, found ones included; valid until the job is freed. */
struct job_target *job_targets(struct job *job, size_t *n);
void job_target_clear(struct job_target *target);
/* The run has found the target: it belongs to no balancer, even if one without an order has the same name. */
bool job_target_is_found(const struct job_target *target);
/* Containers that have our labels, but that we have not made, as text: "container x (0123...) and 2 more".
 * NULL: there are none. The caller frees. */
char *job_lookalikes(const struct job *job);
/* The same for found containers that stay, since what takes their place on the host does not serve yet. */
char *job_waiting(const struct job *job);
/* There are more found containers than one run takes on, and this run has changed some: another run helps. */
bool job_left_found(const struct job *job);
/* Updates `draining`, which this job's options pointed to, for the options of the next job. */
void job_note_draining(const struct job *job, struct draining *draining);

#endif
