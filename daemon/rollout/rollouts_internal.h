/*
 * What the files of the rollouts share; nobody else includes this. rollouts.c
 * has a rollout's life: verdicts, decisions, what people say. rollouts_set.c has
 * its beginning: what the specs want has been told, and what is to change is found.
 */
#ifndef APILB_ROLLOUTS_INTERNAL_H
#define APILB_ROLLOUTS_INTERNAL_H

#include <uthash.h>

#include "daemon/core/rollout.h"
#include "daemon/rollout/rollouts.h"

/* The rollout of a spec; without units there is none, but there may be a pause. */
struct spec_rollout {
	struct rollouts *rollouts;
	char *spec;
	struct rollout rollout;
	struct host **hosts; /* of the units */
	struct rollout_outcome outcome;
	struct hold hold;
	char *why;        /* it stopped; NULL: it has not */
	char *progress;   /* in words */
	int64_t since_ms; /* Unix time: of its start, or of its end; 0: there is none */
	bool edited;      /* since it was decided last */
	bool partial;     /* something of its spec was left out */
	struct event *timer;
	int64_t due_ms; /* of the timer, monotonic; 0: it does not run */
	UT_hash_handle hh;
};

/* The place of a balancer in all this. */
struct seat {
	struct instance *instance;
	struct spec_rollout *spec_rollout; /* NULL: no spec in force wants it, or it was left out */
	size_t unit;                       /* NOT_A_UNIT: it does not change */
	const struct hold *hold;           /* of a change of it, if there is one */
	UT_hash_handle hh;                 /* by instance */
};
#define NOT_A_UNIT SIZE_MAX

struct rollouts {
	struct rollouts_options options;
	struct spec_rollout *by_spec;
	struct seat *seats;  /* by instance */
	struct seat *memory; /* of all seats */
};

/* rollouts.c */

/* Made, or recalled from the store, when it is first asked for. */
struct spec_rollout *spec_rollout_of(struct rollouts *rollouts, const char *spec);
void spec_rollout_store(const struct spec_rollout *spec_rollout);

/* NULL: it has none. */
struct seat *rollouts_seat(const struct rollouts *rollouts, const struct instance *instance);

/* Writes down what its balancer has become. */
void seat_store(const struct seat *seat);

/* Calls each with the seats of the unit. */
typedef void each_seat(struct seat *seat, void *arg);
void spec_rollout_each(struct spec_rollout *spec_rollout, size_t unit, each_seat *each, void *arg);

/* It is this now; why is taken over, and NULL when it runs. */
void spec_rollout_stop(struct spec_rollout *spec_rollout, enum rollout_stop how, char *why);
/* Takes in what is known of the unit's host. */
void spec_rollout_note(struct spec_rollout *spec_rollout, size_t unit);
/* Decides, and does what is decided. */
void spec_rollout_decide(struct spec_rollout *spec_rollout);
/* There is no rollout any more; how: in words. */
void spec_rollout_end(struct spec_rollout *spec_rollout, const char *how);

#endif
