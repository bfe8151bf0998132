/*
 * Changes that go over the hosts of a spec one after the other, for all specs:
 * what waits for its turn, what has been let in and is watched, and why it
 * stopped. What is decided is in core/rollout.h; here it is done, told and
 * written down, so that it goes on after a restart.
 *
 * Only changes of what is in force are held, and with them what is new on a host
 * where one waits. Repairs never are. All that is new or removed is held only
 * while the spec is paused.
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
	/* Something else is in force on the host: it is to run. From the event loop. */
	void (*changed)(void *arg, struct host *host);
	/* A rollout has gone on, or stopped. From the event loop. */
	void (*moved)(void *arg);
	void *arg;
};

struct rollouts *rollouts_new(const struct rollouts_options *options);
void rollouts_free(struct rollouts *rollouts); /* NULL is fine */

enum rollout_part_kind {
	PART_WANTED,   /* by a spec in force */
	PART_LEFT_OUT, /* the same, but it waits for a valid version of its file: no rollout ends without it
			*/
	PART_KEPT,     /* no spec wants it any more, and it stays for now, since its spec is paused */
};

/* A balancer, once what its spec says of it is in force, or held. */
struct rollout_part {
	enum rollout_part_kind kind;
	const struct spec *spec; /* of what is wanted */
	struct host *host;       /* likewise */
	struct instance *instance;
	bool edited; /* its spec says something else than what waited: its rollout starts over */
};

/*
 * What the specs in force want, in their order: finds out what is to be rolled
 * out, and goes on with it. Whoever has part in it is wanted, or held, and so
 * is not freed before this is called again.
 */
void rollouts_set(struct rollouts *rollouts, const struct rollout_part *parts, size_t n);
/* Why a change of it waits; NULL: it does not, or nobody knows. The strings live until the event loop goes
 * on.
 */
const struct hold *rollouts_hold(const struct rollouts *rollouts, const struct instance *instance);

bool rollouts_is_paused(struct rollouts *rollouts, const char *spec);

/* The host has run to a verdict. */
void rollouts_ran(struct rollouts *rollouts, struct host *host);

/* Holds all changes of the spec until resumed. False: they are held already. */
bool rollouts_pause(struct rollouts *rollouts, const char *spec);
/* Goes on: after a pause, after a halt past what has failed so far, after a revert from the beginning. False:
 * nothing was stopped. After it the specs are to be gone through: what was removed or added waits, too. */
bool rollouts_resume(struct rollouts *rollouts, const char *spec);

/* No rollout gets any further by itself. */
bool rollouts_are_idle(const struct rollouts *rollouts);

/* False: there is no rollout, and no pause. The strings live until the event loop goes on. */
bool rollouts_status(struct rollouts *rollouts, const char *spec, struct status_rollout *status);

#endif
