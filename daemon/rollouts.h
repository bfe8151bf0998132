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
#include "daemon/events.h"
#include "daemon/host.h"

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

/*
 * While the specs in force are gone through: begin, then each instance that a
 * spec wants, in the spec's order and after instance_wish, then end, which finds
 * out what is to be rolled out. An edit of what is wanted next starts over.
 */
void rollouts_begin(struct rollouts *rollouts);
void rollouts_meet(struct rollouts *rollouts, const struct spec *spec, struct host *host,
		   struct instance *instance);
/* Instead of meet: it waits for something else, and the rollout does not end without it. */
void rollouts_skip(struct rollouts *rollouts, struct instance *instance, const struct hold *hold);
/* One that no spec wants any more and that stays for now, since its spec is paused. */
void rollouts_keep(struct rollouts *rollouts, struct instance *instance);
void rollouts_end(struct rollouts *rollouts);

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
