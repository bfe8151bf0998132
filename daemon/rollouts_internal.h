/*
 * What the files of the rollouts share; nobody else includes this. rollouts.c
 * has a rollout's life: verdicts, decisions, what people say. rollouts_meet.c
 * has its beginning: the specs are gone through, and what is to change is found.
 */
#ifndef APILB_ROLLOUTS_INTERNAL_H
#define APILB_ROLLOUTS_INTERNAL_H

#include <uthash.h>

#include "daemon/core/rollout.h"
#include "daemon/rollouts.h"

/* The rollout of a spec; without units there is none, but there may be a pause. */
struct course {
	struct rollouts *rollouts;
	char *spec;
	struct rollout rollout;
	struct host **hosts; /* of the units */
	size_t room;         /* in both arrays */
	struct rollout_outcome outcome;
	struct hold hold;
	char *why;        /* it stopped; NULL: it has not */
	char *progress;   /* in words */
	int64_t since_ms; /* Unix time: of its start, or of its end; 0: there is none */
	bool met;         /* a spec in force has this name */
	bool edited;
	bool partial; /* something of its spec was left out when the specs were gone through */
	struct event *timer;
	int64_t due_ms; /* of the timer, monotonic; 0: it does not run */
	UT_hash_handle hh;
};

struct rollouts {
	struct rollouts_options options;
	struct course *courses;
};

/* rollouts.c */

/* The course of a spec, which is made, or recalled from the store, when it is first asked for. */
struct course *course_of(struct rollouts *rollouts, const char *spec);
void course_store(const struct course *course);

/* Calls each with the instances of the unit. */
typedef void each_instance(struct course *course, struct instance *instance, void *arg);
void course_each(struct course *course, size_t unit, each_instance *each, void *arg);

/* It is this now; why is taken over, and NULL when it runs. */
void course_stop(struct course *course, enum rollout_stop how, char *why);
/* Takes in what is known of the unit's host. */
void course_note(struct course *course, size_t unit);
/* Decides, and does what is decided. */
void course_decide(struct course *course);
/* There is no rollout any more; how: in words. */
void course_end(struct course *course, const char *how);

#endif
