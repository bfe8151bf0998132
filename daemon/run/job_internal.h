/*
 * What the files of the job share; nobody else includes this.
 */
#ifndef APILB_JOB_INTERNAL_H
#define APILB_JOB_INTERNAL_H

#include <uthash.h>

#include "daemon/core/haproxy/haproxy.h"
#include "daemon/io/docker/docker.h"
#include "daemon/io/haproxy_socket.h"
#include "daemon/run/job.h"

enum step {
	STEP_NEXT, /* this phase (of this target) is through */
	STEP_WAIT, /* something is under way; its callback goes on with job_run() */
	STEP_FAIL, /* job->err says why the whole run cannot go on */
};

/* Actions, then a look; what still differs then gets two more chances. */
#define JOB_MAX_ROUNDS 3

struct event;

struct job {
	struct job_options options;
	struct job_target *targets;
	size_t n;

	/* At most one of these is under way at a time. */
	struct stream_opening *opening;
	struct haproxy_query *query;
	struct event *timer;
	struct docker *docker;

	struct job_list *list;         /* all that carry our owner label (job_list.c) */
	const struct removal *removal; /* in this turn of the loop; NULL: nothing has asked for it yet */
	size_t found;                  /* targets that were found there */
	bool pulls;                    /* an image is being pulled, and that was told */
	bool more_to_find;
	int worked; /* targets since the loop was last given to others */

	/* Where it stands. */
	size_t phase;
	size_t target;
	int step;                      /* within this phase of this target, counted by its callbacks */
	bool dir_in_doubt;             /* stats: the engine could not say whether the directory is there */
	size_t action;                 /* apply: which one of the target's plan */
	int failed_step;               /* apply: of the action, when it failed */
	bool foreign;                  /* apply: what is to be written over is somebody else's */
	bool undoing;                  /* apply: the action has failed, and is being explained and undone */
	struct err failure;            /* of the target in hand, while its explanation is being looked for */
	int rounds;                    /* how often actions were applied */
	int looks;                     /* observations since the last action */
	int64_t moment_ms;             /* when the first of them began, by the monotonic clock, ... */
	int64_t look_ms;               /* ... and the last of them */
	struct silence_clock asked;    /* stats: when the socket was */
	bool known_silent;             /* stats: the one that is asked was so at the last look */
	bool waited_for_silent;        /* stats: in this look, for one that was known to be silent */
	int64_t waited_ms;             /* stats: in this look, in vain, for all others */
	int64_t waited_for_leavers_ms; /* stats: in this look, in vain, for those that are to go */
	char *exec_id;                 /* apply: the command that was prepared */
	char *leaver_id;         /* apply: the container that is told to leave; NULL: none, or it has gone */
	char *leaver_started_at; /* apply: since when it runs; NULL: not known */
	char *leaver_made_as;    /* apply: what it was called then; NULL: not known */
	char leaver_token[TOKEN_HEX_SIZE]; /* apply: of its stats socket; "": not known */
	bool leaver_listened;              /* apply: on that socket, before it was told */
	int64_t asking_since_ms;           /* apply: whether it has heard; 0: it is not being asked */
	int64_t told_ms;                   /* apply: when it was last told to */
	int64_t asked_ms;                  /* apply: so long leavers were asked in this run */
	char token[TOKEN_HEX_SIZE];        /* apply: of the container whose HAProxy is awaited */
	int awaiting;                      /* apply: where the awaiting stands (job_await.c) */
	int64_t awaited_since_ms;          /* apply: when that began; 0: it has not */
	int64_t unhealthy_since_ms; /* apply: the awaited HAProxy says since then that no server is up; 0: not
				     */
	bool reloaded_again;        /* apply: the awaited HAProxy did not seem to have heard the first time */
	bool acted;                 /* this round applied something */
	int64_t lost_at_ms; /* since when the engine costs connections (monotonic clock); 0: it has not */
	struct err lost;    /* how it did last */
	struct err err;
};

/* Goes on with the current phase; every callback ends with it. */
void job_run(struct job *job);
struct silence_clock job_clock(void);
/* Comes back through job_run() after a while. */
void job_sleep(struct job *job, int64_t ms);
struct job_target *job_current(struct job *job);
void job_tell(struct job *job, enum job_news news, const char *type, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/*
 * A request for the current target has failed: that target is through. When it
 * has cost the connection, the others get another one. Goes on with job_run().
 */
void job_request_failed(struct job *job, const struct err *err);

/*
 * job_list.c: a phase of the host. Finds all containers that carry our owner label; those that nobody asked
 * us about, and that no spec can want, become targets, each by itself.
 */
enum step job_list(struct job *job);
void job_list_free(struct job_list *list); /* NULL is fine */
/* It has our labels, and has not got them from us: it is left alone. */
void job_note_lookalike(struct job *job, const struct observed_container *container);
/* "container FIRST and 2 more"; NULL: n is 0. The caller frees. */
char *job_counted(const char *first, size_t n);
const struct observed_container *job_find_listed(const struct job *job, const char *name);
struct listed {
	struct observed_container *container;
	struct listed *next;     /* as the engine lists them */
	struct listed *next_old; /* of the same balancer */
	size_t target; /* 1 and up: of the one that is to remove it, and has looked at it; 0: there is none */
	UT_hash_handle hh;    /* by the container's name */
	UT_hash_handle hh_id; /* by its ID */
};
struct listed *job_find_listed_id(const struct job *job, const char *id);
/* As far as is known: the list may not be whole. */
bool job_may_be_listed(const struct job *job, const char *id);
const struct listed *job_first_listed(const struct job *job); /* NULL: there is none */
/* Those that were succeeded, and leave. NULL: there is none, or no other. */
const struct listed *job_first_old(const struct job *job, const char *balancer);
/* A host that has more of them than that for one balancer gets rid of some in each run. */
#define JOB_MAX_OLD 100

/* What runs, is of the target's spec or listens where the target is to, and leaves when something else serves
 * in its place. NULL: there is none. The caller frees. */
char *job_relieved_by(struct job *job, const struct job_target *target);

/* job_inspect.c: a phase of one target. */
enum step job_inspect(struct job *job, struct job_target *target);
/* Made by us (container may be NULL), whatever version of the target it is. */
bool job_is_ours(const struct job_target *target, const struct observed_container *container);

/* One that somebody wants to be gone: a balancer that is wanted stands for it, by another address, say. */
bool job_is_wanted(struct job *job, const struct observed_container *container);
/* It goes with a target that is not wanted, and whose name it has. A target that was found is a name, which a
 * balancer may have that has to stay: it takes only what it was found for, of each container anew. */
bool job_may_take(struct job *job, const struct job_target *target,
		  const struct observed_container *container);

/*
 * job_found.c: those that are to go and may be all that serves. What they are, their HAProxy is asked, and
 * for those that were found it is decided what becomes of them.
 */
/* A container of the target that is to be inspected for that, as the list told it; NULL: there is none. */
const struct observed_container *job_to_be_asked(const struct job_target *target);
enum step job_ask_leaver(struct job *job, struct job_target *target);
int64_t job_found_drain_ms(const struct job *job, const struct job_target *target);
void job_judge_found(const struct job *job, struct job_target *target);
/* It has a plan, which is not carried out now. */
bool job_found_stays(const struct job_target *target);
/* Nothing differs, and its HAProxy runs. */
bool job_is_as_wanted(const struct job_target *target);

/* job_observe.c: phases of one target. */
enum step job_look_at_config(struct job *job, struct job_target *target);
enum step job_ask_haproxy(struct job *job, struct job_target *target);
enum step job_look_at_image(struct job *job, struct job_target *target);
/* Of the image that a helper is made from: the one of the container that stays, where it is still there.
 * NULL: the wanted one, by its name. */
const char *job_image_id(const struct job_target *target);
/* Of the directory that holds the stats socket. */
int64_t job_run_dir_mode(const struct job *job);
/*
 * The text of a file that HAProxy has loaded, before another takes its place: so
 * that it can be put back when HAProxy does not take the other.
 */
bool job_needs_former_config(const struct job_target *target);
enum step job_read_config(struct job *job, struct job_target *target);

/* job_apply.c: the actions of a plan. Each is a recipe of steps; a step sends one request. */
enum step job_apply(struct job *job, struct job_target *target);
enum step job_explain(struct job *job, struct job_target *target);
#define JOB_MAX_STEPS 8 /* of a recipe */
typedef void job_step_fn(struct job *job, struct job_target *target, const struct action *action);
const struct action *job_action(const struct job *job);
/* For requests: on to the next step, or, with an error, to what is done about a failed action. */
void job_on_step(void *arg, const struct docker_reply *reply, const struct err *err);
void job_action_failed(struct job *job, const struct err *err);
/* A token that no other container has. */
void job_make_token(char token[TOKEN_HEX_SIZE]);

/* job_await.c: the step of ACTION_AWAIT, and one of ACTION_REHEARSE. */
job_step_fn job_await;

/*
 * job_look.c: what stands where the config is to be written, and is it ours. Steps
 * of ACTION_WRITE_CONFIG, left out where the balancer's own container has shown
 * it; and the same for a plan (a phase of one target).
 */
job_step_fn job_look_at_place, job_read_place;
bool job_has_seen_place(const struct job_target *target);
bool job_needs_look_for_plan(const struct job *job, const struct job_target *target);
enum step job_look_for_plan(struct job *job, struct job_target *target);
/* Something else than what stands in it says that the file at the config's path is ours. */
bool job_knows_file(const struct job *job, const struct job_target *target);

/* job_drain.c: steps of ACTION_DRAIN. Two are left out where the leaver cannot be asked. */
job_step_fn job_look_at_leaver, job_meet_leaver, job_drain, job_hear_leaver;
/* It is to be told to leave; NULL: there is none. */
void job_note_leaver(struct job *job, const struct observed_container *container);
bool job_leaver_can_be_asked(const struct job *job);

/* job_retire.c: undoes a handover. Then job_hear_leaver. */
job_step_fn job_retire_successor;

/* job_helper.c: steps of ACTION_CHECK_CONFIG and ACTION_WRITE_CONFIG. */
job_step_fn job_create_rehearsal, job_put_rehearsal;
job_step_fn job_put_beside; /* left out where the config needs no files */
job_step_fn job_create_checker, job_put_candidate, job_wait_for_verdict, job_note_image;
job_step_fn job_create_helper, job_put_run_dir, job_put_config, job_remove_helper;
/* From this very image, where its name may mean another by now, or nothing; NULL: from the request's. Takes
 * the request over. */
void job_create_from(struct job *job, const char *name, const char *image_id, struct json_object *request,
		     docker_cb *cb);
/* HAProxy has not taken the new version, or should not have, and the former one's text is known: it can be
 * put back. */
bool job_has_former(const struct job *job, const struct job_target *target, const struct action *action);
job_step_fn job_put_former;
/* The container that does not come up with the new version was made for the former, which is known. */
bool job_revives_former(const struct job *job, const struct job_target *target, const struct action *action);

#endif
