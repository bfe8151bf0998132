/*
 * A balancer on a host, wanted or on its way out, and all that is known of it.
 */
#ifndef APILB_INSTANCE_H
#define APILB_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/core/memory/memory.h"
#include "daemon/core/removal.h"
#include "daemon/core/servers.h"
#include "daemon/core/status.h"
#include "daemon/core/wanted.h"
#include "daemon/io/store/store.h"
#include "daemon/run/job.h"
#include "daemon/tell/events.h"

/* Why what is wanted next is not in force yet. */
struct hold {
	bool stopped; /* somebody has to do something about it; else its turn comes by itself */
	char *why;
};

/* What wanting something else has come to. */
struct instance_change {
	bool todo;   /* there is something to do on the host now */
	bool edited; /* the spec says something else than what waited */
};

struct instance {
	/*
	 * What is in force: what jobs make true, and repairs restore. NULL: to be
	 * removed, unless left alone.
	 */
	struct wanted *wanted;
	struct wanted *next;   /* what the spec wants instead, when its turn comes; NULL: the same */
	struct wanted *former; /* in force before the change that is being rolled out; NULL: there is none */
	/*
	 * What is in force is not mere record: its host was seen to have it, or to have
	 * nothing that serves, or its turn came, since the start. Until then
	 * the host is asked first (core/first_look.h).
	 */
	bool proven;
	bool as_found;     /* its host has another version, which stays until the turn of `next` */
	bool edited_later; /* its spec said something else while it was left out of the rollout, which starts
			      over when it has part */
	bool stays;        /* not wanted, and had to stay in the last run: see host_may_go */
	bool kept;         /* no spec wants it any more, but that one's changes are paused */
	bool left_alone; /* nothing is done for it yet: its spec has not said since the start whether it wants
			    it, or it is new and held */
	char *drop_id;   /* without `wanted`: this container, which `state` names, goes as well; NULL: none */
	char *id, *spec;
	size_t index; /* in its spec's list */
	/* What outlives the process; name and host stand here. What its columns say of the config stands in
	 * `memory`, and what is in force above. */
	struct store_instance record;

	enum phase phase;
	char *progress;                    /* what is going on; NULL: nothing */
	struct observed_instance observed; /* of the last run */
	struct servers servers;            /* how HAProxy has seen them, over many runs */
	struct err err;                    /* kind ERR_NONE: none */
	int64_t observed_at_ms;            /* of the last verdict, also that it cannot be seen; 0: never */
	struct memory memory;              /* what runs have learned */
	bool recalled_otherwise;           /* what the store has of that was corrected, or not believed */
	char *told_drift;                  /* the last that was told, so that each is told once */
};

/* The record is taken over. */
struct instance *instance_new(struct store_instance *record);
void instance_free(struct instance *instance);

/*
 * What is in force, and what comes next: instance_change.c.
 */

/* Puts in force what is wanted (counted; NULL: removal). There is something to do when that differs from
 * before in more than its place in a list. */
struct instance_change instance_want(struct instance *instance, struct wanted *wanted);
/* It comes next, when its turn comes. */
struct instance_change instance_hold(struct instance *instance, struct wanted *wanted);
/* No spec wants it any more, and that waits: until then it is looked after like any other. True when it was
 * not before. */
bool instance_defer_removal(struct instance *instance);
/* Nobody knows whether it is wanted. */
void instance_leave(struct instance *instance);
/* Its turn has come: what is wanted next is in force. */
void instance_admit(struct instance *instance);
/* What was in force before the change is so again, and the change waits. False: nothing was. */
bool instance_revert(struct instance *instance);
/* What a run has found at the first look (LOOK_NONE: nothing), and seen. LOOK_ADOPT: what it was made with
 * still comes next. True when something else is in force, or comes next, than before. */
bool instance_found(struct instance *instance, enum first_look look,
		    const struct observed_instance *observed);
/* Its next run asks the host first what it has, and may leave it as it is: nobody knows before what it will
 * do. */
bool instance_awaits_look(const struct instance *instance);
/* Its change is through, or is not wanted any more. */
void instance_end_rollout(struct instance *instance);
/* As the last daemon left it. A record of an older apilbd says nothing of it: then its host does, at the
 * first look. */
int instance_recall(struct instance *instance, const char *owner, const struct spec_host *host,
		    struct err *err);
void instance_store(const struct instance *instance, struct store *store);

/* What it is called by: the phase of what is in force, or that a change of it waits. hold: why it would
 * (rollouts_hold); NULL: nobody knows. */
enum phase instance_phase(const struct instance *instance, const struct hold *hold);
/* The record says that its host is just being brought to what is in force. */
bool instance_is_under_way(const struct instance *instance);
/* Why a change of it is not in force yet; NULL: there is none. */
const char *instance_held_because(const struct instance *instance, const struct hold *hold);

/* For one that is not wanted: removes this container, too. True when that is news. */
bool instance_drop(struct instance *instance, const char *container_id);
/* Where it listens, as struct description has it; NULL: nobody remembers any version of it. */
const char *instance_binds(const struct instance *instance);
/* What it stands for when a container is to go. ahead: as if the change that its pause holds back were made.
 * All strings stay the instance's. */
struct claim instance_claim(const struct instance *instance, bool ahead);

/* What a job is to do for it; ahead: with what is wanted next, if anything, as a plan shows it. */
struct job_target instance_target(const struct instance *instance, bool ahead);

/* What is going on, for people; NULL: nothing any more. */
void instance_progress(struct instance *instance, const char *text);

/* What a run that has come to no verdict has learned, and done, all the same. Taken over. */
void instance_keep(struct instance *instance, struct job_target *target, struct store *store);
/* Its engine has answered: from here on something of what is wanted there may be on the host. */
void instance_reached(struct instance *instance, const struct wanted *wanted, struct store *store);

/*
 * The verdict of a run: takes the observation over, writes down what changed,
 * and tells it when the state has changed. Also for a host that could not be
 * looked at (target NULL).
 */
void instance_settle(struct instance *instance, struct job_target *target, const struct err *err,
		     struct store *store, struct events *events);

/* All strings stay the instance's. */
struct status_instance instance_status(const struct instance *instance, const struct hold *hold,
				       int64_t next_run_ms);

#endif
