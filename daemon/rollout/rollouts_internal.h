/*
 * Shared by the files of this folder; nobody else includes it. rollouts_set.c
 * finds out which hosts are to change, and starts rollouts. rollouts.c has the
 * rest of a rollout's life: verdicts of runs, decisions, pause and resume.
 */
#ifndef APILB_ROLLOUTS_INTERNAL_H
#define APILB_ROLLOUTS_INTERNAL_H

#include <uthash.h>

#include "daemon/core/rollout.h"
#include "daemon/rollout/rollouts.h"

/* The rollout of a spec, if rollout.n > 0, and whether the spec is paused. */
struct spec_rollout {
	struct rollouts *rollouts;
	char *spec;
	struct rollout rollout;
	struct host **hosts; /* hosts[i] is the host of rollout.units[i] */
	struct rollout_outcome outcome;
	struct hold hold; /* of all changes that it holds */
	char *why;        /* why it stopped; NULL: it has not */
	char *progress;   /* in words, for people */
	int64_t since_ms; /* Unix time of its start; 0: there is no rollout */
	size_t seats_n;   /* of its balancers, kept ones included */
	bool edited;      /* the spec has been edited since the last rollouts_set */
	bool partial;     /* a balancer was left out (PART_LEFT_OUT) */
	struct event *timer;
	int64_t due_ms; /* when the timer fires, monotonic; 0: it is not set */
	UT_hash_handle hh;
};

/* A balancer's place in the rollouts. */
struct seat {
	struct instance *instance;
	struct spec_rollout *spec_rollout; /* NULL: the part is not PART_WANTED */
	size_t unit;             /* index of its host's unit; NOT_A_UNIT: the balancer does not change */
	const struct hold *hold; /* why a change of the balancer is held, if it has one */
	UT_hash_handle hh;       /* by instance */
};
#define NOT_A_UNIT SIZE_MAX

struct rollouts {
	struct rollouts_options options;
	struct spec_rollout *by_spec;
	struct seat *seats;     /* by instance */
	struct seat *all_seats; /* the array that they are in */
};

/* rollouts.c */

/* The spec's rollout; the first call for a spec makes it from what the store knows. */
struct spec_rollout *spec_rollout_of(struct rollouts *rollouts, const char *spec);
void spec_rollout_free(struct spec_rollout *spec_rollout);
void spec_rollout_store(const struct spec_rollout *spec_rollout);

/* The instance's seat; NULL: it has none. */
struct seat *rollouts_seat(const struct rollouts *rollouts, const struct instance *instance);

/* Stores the seat's instance. */
void seat_store(const struct seat *seat);

/* Calls each for every seat of the unit. */
typedef void each_seat(struct seat *seat, void *arg);
void spec_rollout_each(struct spec_rollout *spec_rollout, size_t unit, each_seat *each, void *arg);

/* Sets whether the rollout is stopped, and why. why is taken over, and is NULL for ROLLOUT_RUNS. */
void spec_rollout_stop(struct spec_rollout *spec_rollout, enum rollout_stop how, char *why);
/* Takes in the verdicts of the unit's balancers. */
void spec_rollout_note(struct spec_rollout *spec_rollout, size_t unit);
/* Decides what happens next, and does it. */
void spec_rollout_decide(struct spec_rollout *spec_rollout);
/* Ends the rollout; how: the text of the event. */
void spec_rollout_end(struct spec_rollout *spec_rollout, const char *how);

#endif
