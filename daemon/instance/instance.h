/*
 * A balancer on a host, wanted or on its way out, and all that is known of it.
 *
 * Only this folder knows what struct instance is made of. Others are shown its
 * parts, which are values: its identity, its revisions, the verdict of its last
 * run and what that has seen. And they tell the instance what has happened; it
 * knows by itself what follows for its parts, and what is to be written down.
 *
 * The parts stay the instance's; a pointer to one holds as long as the instance
 * does, the strings in it until the instance is told something.
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

/* The instance that this row of the store stands for. The row is taken over. */
struct instance *instance_new(struct store_instance *row);
/* An instance that nothing is known of yet. image: that of its container; NULL: not known either. */
struct instance *instance_new_at(const struct spec_host *host, const char *spec, const char *name,
				 const char *image);
void instance_free(struct instance *instance); /* NULL is fine */

/* Its parts. */

struct instance_identity {
	char *id, *spec;
	size_t index;                   /* in its spec's list */
	char *host_url, *engine, *name; /* of its container; the key of its row in the store */
};
const struct instance_identity *instance_identity(const struct instance *instance);

/* Revisions are compared with wanted_same_version, never by their pointers: the same may be rendered twice.
 */
struct instance_revision {
	struct wanted *in_force; /* made true by runs, and repaired; NULL: the balancer is to be removed,
				    unless it is left alone */
	struct wanted
		*next; /* the next revision, for when its turn comes; NULL: the spec wants what is in force */
	struct wanted *former; /* in force before the change that is being rolled out; NULL: there is none */
	bool as_found;         /* its host has another version, which stays until the turn of `next` */
};
const struct instance_revision *instance_revision(const struct instance *instance);

/* The verdict of the last run, and what is going on since. */
struct instance_verdict {
	enum phase phase; /* of what is in force; people are shown instance_phase */
	char *progress;   /* what is going on, in words; NULL: nothing */
	struct err err;   /* kind ERR_NONE: none */
	int64_t err_since_ms;
	int64_t attempts;       /* runs in a row that have ended with an error */
	int64_t observed_at_ms; /* time of the last verdict, also of one that its host cannot be reached; 0:
				   never */
};
const struct instance_verdict *instance_verdict(const struct instance *instance);

/* What the last run has seen on the host. */
const struct observed_instance *instance_observed(const struct instance *instance);

/* All that people are shown of an instance; nothing of it is a secret. */
struct hold;
struct status_instance instance_status(const struct instance *instance, const struct hold *hold,
				       int64_t next_run_ms);

/* Questions about an instance. */

/* Runs do nothing for the balancer yet: its spec has not said since the start whether it wants it, or it is
 * new and held. */
bool instance_is_left_alone(const struct instance *instance);
/* Its engine has answered once, so that something of the balancer may be on the host. */
bool instance_was_reached(const struct instance *instance);
/* The balancer is not wanted, and nothing was ever done for it: there is nothing to remove. */
bool instance_is_forgettable(const struct instance *instance);
/* Its next run asks the host first what it has, and may leave it as it is: nobody knows before what it will
 * do. */
bool instance_awaits_look(const struct instance *instance);
/* The balancer is wanted, and its HAProxy sees no server up. */
bool instance_sees_no_server(const struct instance *instance);
/* When its HAProxy, which does not answer, is to get a successor, on the monotonic clock; 0: it answers, or
 * that is not known. */
int64_t instance_silent_until_ms(const struct instance *instance);
/* Where the balancer listens, as struct haproxy_description has it; NULL: no version of it is remembered. */
const char *instance_binds(const struct instance *instance);
/* What the balancer stands for when a container is to go. ahead: as if the change that its pause holds back
 * were made. All strings stay the instance's. */
struct claim instance_claim(const struct instance *instance, bool ahead);

/* Why the next revision is not in force yet. */
struct hold {
	bool stopped; /* somebody has to do something about that; else its turn comes by itself */
	char *why;
};
/* The phase that people are shown: that of what is in force, or of a change that is held. hold: why a change
 * would be held (rollouts_hold); NULL: nobody knows. */
enum phase instance_phase(const struct instance *instance, const struct hold *hold);
/* Why a change of the balancer is held, or its spec not obeyed when that seems to be gone; NULL: nothing is
 * held. */
const char *instance_held_because(const struct instance *instance, const struct hold *hold);

/*
 * What is in force, and what comes next: instance_change.c.
 */

/* What follows from a wish. */
struct instance_change {
	bool todo;    /* there is something to do on the host now */
	bool edited;  /* the spec says something else than the next revision before */
	bool differs; /* the store has the instance otherwise: it is to be stored before anything is made, so
			 that nothing can be made and forgotten */
};

/* Puts in force what is wanted (counted; NULL: removal). There is something to do when that differs from
 * before in more than its place in a list. */
struct instance_change instance_want(struct instance *instance, struct wanted *wanted);
/* What is wanted becomes the next revision, and is held until its turn comes. */
struct instance_change instance_hold(struct instance *instance, struct wanted *wanted);
/* No spec wants the balancer any more, but its removal is held: until then it is looked after like any other.
 * True when it was left alone before. */
bool instance_defer_removal(struct instance *instance);
/* No spec says whether the balancer is wanted, for this reason: all stays as it is. */
void instance_leave(struct instance *instance, const char *why);
/* The balancer is not wanted, and this container, which `state` names, is removed, too. True when that is
 * news. */
bool instance_drop(struct instance *instance, const char *container_id);
/* What a run has found at the first look (LOOK_NONE: nothing), and seen. LOOK_ADOPT: what it was made with
 * still comes next. True when something else is in force, or comes next, than before. */
bool instance_found(struct instance *instance, enum first_look look,
		    const struct observed_instance *observed);

/* Its part in a rollout of its spec. */

/* How far the change of the balancer is; UNIT_WAITING as long as there is a next revision. */
enum unit_state instance_unit_state(const struct instance *instance);
/* What the last run means for the rollout. A balancer that is left alone is well. */
enum rollout_verdict instance_rollout_verdict(const struct instance *instance);
/* The change of all balancers on its host is so far now. */
void instance_note_unit(struct instance *instance, enum unit_state state);
/* The turn of the host has come: the next revision, if there is one, is in force. */
void instance_admit(struct instance *instance);
/* The former revision is in force again, and the change waits. False: there is none. */
bool instance_revert(struct instance *instance);
/* The rollout begins anew, with the next revision, if there is one. */
void instance_start_over(struct instance *instance);
/* The change is through, or is not wanted any more. */
void instance_end_rollout(struct instance *instance);
/* The balancer is left out of the rollout; edited: which starts over once the balancer has part. */
void instance_leave_out(struct instance *instance, bool edited);
/* The balancer has part. True when it was edited while it was left out. */
bool instance_let_in(struct instance *instance);

/*
 * What the store has of it: instance_record.c.
 */

/* As the last daemon left it. A record of an older apilbd says nothing of it: then its host does, at the
 * first look. */
int instance_recall(struct instance *instance, const char *owner, const struct spec_host *host,
		    struct err *err);
void instance_store(const struct instance *instance, struct store *store);
/* The store is to have nothing of it any more. */
void instance_erase(const struct instance *instance, struct store *store);
/* Its host, which is the same machine, is reached otherwise from now on. */
void instance_move(struct instance *instance, const struct spec_host *host, struct store *store);

/*
 * Its runs: instance.c.
 */

/* What a run is to do for the balancer. ahead: with the next revision, if there is one, as a plan shows it.
 */
struct job_target instance_target(const struct instance *instance, bool ahead);
/* The balancer is not wanted, and has to stay in this run, for this reason; NULL: it may go. */
void instance_stay(struct instance *instance, const char *why);
bool instance_had_to_stay(const struct instance *instance);
/* Its engine has answered: from here on something of this version may be on the host. */
void instance_reached(struct instance *instance, const struct wanted *wanted, struct store *store);
/* What is going on, for people; NULL: nothing any more. */
void instance_progress(struct instance *instance, const char *text);
/* Drift: what differs on the host is told once, as long as it is the same. */
void instance_tell_drift(struct instance *instance, struct events *events, const char *type,
			 const char *text);
/* A plan has read the files of the balancer. A file that has changed and kept its size and time is to be read
 * by the run, too. */
void instance_saw_files(struct instance *instance, const struct job_target *target);
/* A run has come to no verdict: takes over what it has learned all the same. */
void instance_keep(struct instance *instance, struct job_target *target, struct store *store);
/*
 * The verdict of a run: takes the observation over, writes down what changed,
 * and tells it when the state has changed. Also for a host that could not be
 * looked at (target NULL).
 */
void instance_settle(struct instance *instance, struct job_target *target, const struct err *err,
		     struct store *store, struct events *events);
/* A run has ended well that has left the balancer alone: what was said of its host meanwhile holds no more.
 */
void instance_let_be(struct instance *instance);
/* An event about the balancer. type: one word. */
void instance_tell(const struct instance *instance, struct events *events, enum log_level level,
		   const char *type, const char *text);

#endif
