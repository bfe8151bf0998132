/*
 * The rollouts of all specs. A rollout brings a change of a spec to the spec's
 * hosts, one after the other. core/rollout.h decides whose turn it is; this
 * module carries the decisions out, tells of them, and stores them, so that a
 * rollout goes on after a restart.
 *
 * A rollout holds changes of versions in force, and new balancers on a host where
 * such a change is held. A pause holds all new balancers and all removals of its
 * spec as well. Repairs are never held.
 */
#ifndef APILB_ROLLOUTS_H
#define APILB_ROLLOUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "daemon/core/status.h"
#include "daemon/host/host.h"
#include "daemon/tell/events.h"

struct rollouts;

struct rollouts_options {
	struct event_base *base;
	struct store *store;
	struct events *events;
	/* Another version is in force on the host, so the host must run. From the event loop. */
	void (*changed)(void *arg, struct host *host);
	/* A rollout has decided anew: it may have gone on, stopped or ended. From the event loop. */
	void (*moved)(void *arg);
	void *arg;
};

struct rollouts *rollouts_new(const struct rollouts_options *options);
void rollouts_free(struct rollouts *rollouts); /* NULL is fine */

enum rollout_part_kind {
	PART_WANTED,   /* a spec in force wants the balancer */
	PART_LEFT_OUT, /* a spec in force wants it, but its change is held until the spec file has a valid
			  version; the rollout does not end before */
	PART_KEPT,     /* no spec wants it any more, but its removal is held, since its spec is paused */
};

/* A balancer whose wanted version has been put in force or held. */
struct rollout_part {
	enum rollout_part_kind kind;
	const struct spec *spec; /* NULL for PART_KEPT */
	struct host *host;       /* NULL for PART_KEPT */
	struct instance *instance;
	bool edited; /* its next revision is another one than before: the rollout starts over */
};

/*
 * Takes the balancers of all specs in force, in the specs' order: finds the
 * changes to roll out, and starts the rollouts or goes on with them. The
 * instances must live until the next call; they do, since only instances that are
 * neither wanted nor kept are freed.
 */
void rollouts_set(struct rollouts *rollouts, const struct rollout_part *parts, size_t n);
/* Why changes of the instance are held, or would be if it had one; NULL: it had no part in the last
 * rollouts_set. The strings live until the event loop goes on. */
const struct hold *rollouts_hold(const struct rollouts *rollouts, const struct instance *instance);

bool rollouts_is_paused(struct rollouts *rollouts, const char *spec);

/* A run of the host has ended with a verdict. */
void rollouts_ran(struct rollouts *rollouts, struct host *host);

/* Holds all changes of the spec until rollouts_resume. False: the spec is paused already. */
bool rollouts_pause(struct rollouts *rollouts, const char *spec);
/* Ends a pause; lets a halted rollout go on past the hosts that have failed, and a reverted one start over.
 * False: the spec is not paused, and its rollout has not stopped. The caller must then apply the specs again
 * (rollouts_set), since a pause also holds removals and new balancers. */
bool rollouts_resume(struct rollouts *rollouts, const char *spec);

/* True when no rollout can go on by itself. */
bool rollouts_are_idle(const struct rollouts *rollouts);

/* False: the spec has no rollout, and is not paused. The strings live until the event loop goes on. */
bool rollouts_status(struct rollouts *rollouts, const char *spec, struct status_rollout *status);

#endif
