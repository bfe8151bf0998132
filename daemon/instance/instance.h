/*
 * A balancer on a host, wanted or on its way out, and all that is known of it.
 *
 * What it is made of is nobody's but this folder's. Others are shown its parts,
 * which are values: who it is, which revisions of it there are, what the last
 * run has come to and seen. And they tell it what has happened; what follows
 * from that for its parts, and what is to be written down, it knows by itself.
 *
 * What is shown stays the instance's, and holds until it is told something.
 */
#ifndef APILB_INSTANCE_H
#define APILB_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/core/removal.h"
#include "daemon/core/rollout.h"
#include "daemon/core/status.h"
#include "daemon/core/wanted.h"
#include "daemon/io/store/store.h"
#include "daemon/run/job.h"
#include "daemon/tell/events.h"

struct instance;

/* One of whom the store has this row, which is taken over. */
struct instance *instance_new(struct store_instance *row);
/* One that nothing is known of yet. image: NULL, or what it is to have. */
struct instance *instance_new_at(const struct spec_host *host, const char *spec, const char *name,
				 const char *image);
void instance_free(struct instance *instance); /* NULL is fine */

/* Its parts. */

struct instance_identity {
	char *id, *spec;
	size_t index; /* in its spec's list */
	/* What the store knows it by. */
	char *host_url, *engine, *name; /* of the container */
};
const struct instance_identity *instance_identity(const struct instance *instance);

/* They are told apart by what they say (wanted_same_version), not by where they lie. */
struct instance_revision {
	/*
	 * What runs make true, and repairs restore. NULL: to be removed, unless left
	 * alone.
	 */
	struct wanted *in_force;
	struct wanted *next;   /* what the spec wants instead, when its turn comes; NULL: the same */
	struct wanted *former; /* in force before the change that is being rolled out; NULL: there is none */
	bool as_found;         /* its host has another version, which stays until the turn of `next` */
};
const struct instance_revision *instance_revision(const struct instance *instance);

/* What the last run has come to, or what is going on. */
struct instance_verdict {
	enum phase phase; /* see instance_phase for what it is called by */
	char *progress;   /* what is going on; NULL: nothing */
	struct err err;   /* kind ERR_NONE: none */
	int64_t err_since_ms;
	int64_t attempts;       /* in a row that have ended with an error */
	int64_t observed_at_ms; /* of the last verdict, also that it cannot be seen; 0: never */
};
const struct instance_verdict *instance_verdict(const struct instance *instance);

/* As the last run has seen it. */
const struct observed_instance *instance_observed(const struct instance *instance);

/* For people: all that is shown of it, of which none is a secret. */
struct hold;
struct status_instance instance_status(const struct instance *instance, const struct hold *hold,
				       int64_t next_run_ms);

/* What others ask. */

/* Nothing is done for it yet: its spec has not said since the start whether it wants it, or it is new and
 * held. */
bool instance_is_left_alone(const struct instance *instance);
/* Its engine has answered once, so that there may be something of it on the host. */
bool instance_was_reached(const struct instance *instance);
/* Not wanted, and nothing was ever done for it: there is nothing to remove. */
bool instance_is_forgettable(const struct instance *instance);
/* Its next run asks the host first what it has, and may leave it as it is: nobody knows before what it will
 * do. */
bool instance_awaits_look(const struct instance *instance);
/* Wanted, and its HAProxy sees no server up. */
bool instance_sees_no_server(const struct instance *instance);
/* When its HAProxy, which does not answer, is to get a successor, on the monotonic clock; 0: it answers, or
 * that is not known. */
int64_t instance_silent_until_ms(const struct instance *instance);
/* Where it listens, as struct description has it; NULL: nobody remembers any version of it. */
const char *instance_binds(const struct instance *instance);
/* What it stands for when a container is to go. ahead: as if the change that its pause holds back were made.
 * All strings stay the instance's. */
struct claim instance_claim(const struct instance *instance, bool ahead);

/* Why what is wanted next is not in force yet. */
struct hold {
	bool stopped; /* somebody has to do something about it; else its turn comes by itself */
	char *why;
};
/* What it is called by: the phase of what is in force, or that a change of it waits. hold: why it would
 * (rollouts_hold); NULL: nobody knows. */
enum phase instance_phase(const struct instance *instance, const struct hold *hold);
/* Why a change of it is not in force yet; NULL: there is none. */
const char *instance_held_because(const struct instance *instance, const struct hold *hold);

/*
 * What is in force, and what comes next: instance_change.c.
 */

/* What wanting something else has come to. */
struct instance_change {
	bool todo;    /* there is something to do on the host now */
	bool edited;  /* the spec says something else than what waited */
	bool differs; /* from what the store has: it is to be stored before anything is made, so that nothing
			 can be made and forgotten */
};

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
/* It is not wanted, and this container goes, too. True when that is news. */
bool instance_drop(struct instance *instance, const char *container_id);
/* What a run has found at the first look (LOOK_NONE: nothing), and seen. LOOK_ADOPT: what it was made with
 * still comes next. True when something else is in force, or comes next, than before. */
bool instance_found(struct instance *instance, enum first_look look,
		    const struct observed_instance *observed);

/* Its part in a rollout of its spec. */

/* Where it is; UNIT_WAITING as long as something comes next. */
enum unit_state instance_unit_state(const struct instance *instance);
/* What its last run means for the rollout. One that is left alone is well. */
enum rollout_verdict instance_rollout_verdict(const struct instance *instance);
/* Its host is at this now. */
void instance_note_unit(struct instance *instance, enum unit_state state);
/* Its turn has come: what is wanted next, if anything, is in force. */
void instance_admit(struct instance *instance);
/* What was in force before the change is so again, and the change waits. False: nothing was. */
bool instance_revert(struct instance *instance);
/* The rollout begins anew, with what comes next, if anything. */
void instance_start_over(struct instance *instance);
/* Its change is through, or is not wanted any more. */
void instance_end_rollout(struct instance *instance);
/* It is left out of the rollout, which starts over when it has part if it was edited meanwhile. */
void instance_leave_out(struct instance *instance, bool edited);
/* It has part. True when it was edited while it was left out. */
bool instance_let_in(struct instance *instance);

/*
 * What the store has of it: instance_record.c.
 */

/* As the last daemon left it. A record of an older apilbd says nothing of it: then its host does, at the
 * first look. */
int instance_recall(struct instance *instance, const char *owner, const struct spec_host *host,
		    struct err *err);
void instance_store(const struct instance *instance, struct store *store);
/* The store has nothing of it any more. */
void instance_erase(const struct instance *instance, struct store *store);
/* The same host is reached otherwise. */
void instance_move(struct instance *instance, const struct spec_host *host, struct store *store);

/*
 * Its runs: instance.c.
 */

/* What a job is to do for it; ahead: with what is wanted next, if anything, as a plan shows it. */
struct job_target instance_target(const struct instance *instance, bool ahead);
/* It is not wanted, and has to stay in this run, for this reason; NULL: it may go. */
void instance_stay(struct instance *instance, const char *why);
bool instance_had_to_stay(const struct instance *instance);
/* Its engine has answered: from here on something of what is wanted there may be on the host. */
void instance_reached(struct instance *instance, const struct wanted *wanted, struct store *store);
/* What is going on, for people; NULL: nothing any more. */
void instance_progress(struct instance *instance, const char *text);
/* Something differs on its host: told once, as long as it is the same. */
void instance_tell_drift(struct instance *instance, struct events *events, const char *type,
			 const char *text);
/* A plan has read its files. What has changed and kept size and time of its last change is to be read by the
 * run, too. */
void instance_saw_files(struct instance *instance, const struct job_target *target);
/* What a run that has come to no verdict has learned, and done, all the same. Taken over. */
void instance_keep(struct instance *instance, struct job_target *target, struct store *store);
/*
 * The verdict of a run: takes the observation over, writes down what changed,
 * and tells it when the state has changed. Also for a host that could not be
 * looked at (target NULL).
 */
void instance_settle(struct instance *instance, struct job_target *target, const struct err *err,
		     struct store *store, struct events *events);
/* Tells something of it. type: one word. */
void instance_tell(const struct instance *instance, struct events *events, enum log_level level,
		   const char *type, const char *text);

#endif
