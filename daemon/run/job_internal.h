/*
 * Shared by the files of a job; nobody else includes it.
 */
#ifndef APILB_JOB_INTERNAL_H
#define APILB_JOB_INTERNAL_H

#include <uthash.h>

#include "daemon/core/haproxy/haproxy.h"
#include "daemon/io/docker/docker.h"
#include "daemon/io/haproxy_socket.h"
#include "daemon/run/job.h"

enum step {
	STEP_NEXT, /* the phase is done (for this target) */
	STEP_WAIT, /* a request is under way; its callback calls job_run() */
	STEP_FAIL, /* the run cannot go on; job->err says why */
};

/* A round is: apply the plan, then observe again. What still differs gets two more rounds. */
#define JOB_MAX_ROUNDS 3

struct event;

struct job {
	struct job_options options;
	struct job_target *targets;
	size_t n;
	struct wanted **to_come; /* see struct job_options */

	/* At most one of these is under way at a time. */
	struct stream_opening *opening;
	struct haproxy_query *query;
	struct event *timer;
	struct docker *docker;

	struct job_list *list;         /* all containers with our owner label (job_list.c) */
	const struct removal *removal; /* until the job next waits; NULL: not asked for yet */
	size_t found;                  /* number of found targets, at the end of targets */
	bool pulls;                    /* an image is being pulled, and the news has been told */
	bool more_to_find;             /* there are more than JOB_MAX_FOUND */
	int worked;                    /* targets since the last turn of the loop */

	/* The point that the run has reached. */
	size_t phase;
	size_t target;
	int step;         /* within this phase of this target, counted by its callbacks */
	int failed_step;  /* apply: the step at which the action failed */
	bool in_conflict; /* apply: the file that would be overwritten is somebody else's */
	bool undoing;     /* apply: the action has failed, and the rows of undo_rows run */

	struct err failure; /* of the current target, until the log has been asked for its reason */
	int rounds;         /* rounds so far */
	bool acted;         /* this round has carried out an action */
	int looks;          /* observations since the last action */
	int64_t moment_ms;  /* monotonic: when the first of these observations began */
	int64_t look_ms;    /* monotonic: when the last of them began */

	/* stats */
	bool dir_in_doubt;             /* the engine could not say whether the socket's directory exists */
	struct silence_clock asked;    /* when HAProxy was asked */
	bool known_silent;             /* the HAProxy that is asked was silent at the last look */
	bool waited_for_silent;        /* this look has waited for a HAProxy that was known to be silent */
	int64_t waited_ms;             /* time of this look spent in vain on other HAProxies */
	int64_t waited_for_leavers_ms; /* time of this look spent in vain on containers that are to go */

	/* apply: reload */
	char *exec_id; /* the prepared command */

	/* apply: the container that is told to drain */
	char *drainer_id;                   /* NULL: there is none, or it has ended */
	char *drainer_started_at;           /* NULL: not known */
	char *drainer_made_as;              /* the name that it was made with; NULL: not known */
	char drainer_token[TOKEN_HEX_SIZE]; /* token of its stats socket; "": not known */
	bool drainer_listened;              /* its stats socket was open before it was told to drain */
	int64_t asking_since_ms; /* since when it is asked whether it has heard; 0: it is not asked */
	int64_t told_ms;         /* when it was last told to drain */
	int64_t asked_ms;        /* time that this run has spent on asking draining containers */

	/* apply: the HAProxy that is awaited */
	char token[TOKEN_HEX_SIZE];
	int awaiting;               /* the next step of job_await.c */
	int64_t awaited_since_ms;   /* 0: it is not awaited */
	int64_t unhealthy_since_ms; /* since when it sees no server up; 0: it does not say so */
	bool reloaded_again;        /* the signal to reload was repeated */

	int64_t lost_at_ms; /* monotonic: since when requests cost the connection to the engine; 0: they do
			       not */
	struct err lost;    /* the last error that cost a connection */
	struct err err;     /* why the run failed as a whole */
};

/* Goes on with the current phase. Every callback calls it last. */
void job_run(struct job *job);
struct silence_clock job_clock(void);
/* Calls job_run() after ms. */
void job_sleep(struct job *job, int64_t ms);
struct job_target *job_current(struct job *job);
void job_tell(struct job *job, enum job_news news, const char *type, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/*
 * A request for the current target has failed: nothing more is done for this
 * target. If the request has cost the connection, the other targets get a new
 * one. Calls job_run().
 */
void job_request_failed(struct job *job, const struct err *err);

/*
 * job_list.c: a phase of the host. Lists all containers with our owner label. A container that belongs to no
 * target, and that no spec can want, becomes a found target of its own.
 */
enum step job_list(struct job *job);
void job_list_free(struct job_list *list); /* NULL is fine */
/* The container has our labels, but not from us: it is left alone, and told of. */
void job_note_lookalike(struct job *job, const struct observed_container *container);
/* "container FIRST and 2 more"; NULL: n is 0. The caller frees. */
char *job_counted(const char *first, size_t n);
const struct observed_container *job_find_listed(const struct job *job, const char *name);
struct listed {
	struct observed_container *container;
	struct listed *next;     /* in the engine's order */
	struct listed *next_old; /* the next former container of the same balancer */
	size_t target;        /* 1 + index of the target whose HAProxy it is and is asked; 0: there is none */
	UT_hash_handle hh;    /* by the container's name */
	UT_hash_handle hh_id; /* by its ID */
};
struct listed *job_find_listed_id(const struct job *job, const char *id);
/* False: the container is certainly not on the host. The list may be incomplete. */
bool job_may_be_listed(const struct job *job, const char *id);
const struct listed *job_first_listed(const struct job *job); /* NULL: there is none */
/* The balancer's former containers, linked by next_old; NULL: there is none. */
const struct listed *job_first_old(const struct job *job, const char *balancer);
/* The most former containers of one balancer that a run handles. */
#define JOB_MAX_OLD 100

/* The name of a running container whose place the target takes: it is of the same spec or has the same bind
 * addresses, and is to go once another balancer serves in its place. NULL: there is none. The caller frees.
 */
char *job_relieved_by(struct job *job, const struct job_target *target);

/* job_inspect.c: a phase of one target. */
enum step job_inspect(struct job *job, struct job_target *target);
/* The container, of whatever version of the target, was made by us. container may be NULL. */
bool job_is_ours(const struct job_target *target, const struct observed_container *container);

/* A wanted balancer stands for the container, perhaps one that reaches this host by another address. Asked
 * before a container is removed. */
bool job_is_wanted(struct job *job, const struct observed_container *container);
/* A target that is not wanted may remove the container that has its name. For a found target this is judged
 * again for each container: a balancer that must stay may have the name by now. */
bool job_may_take(struct job *job, const struct job_target *target,
		  const struct observed_container *container);

/*
 * job_found.c: containers that are to go, but may be all that serves. Asks their HAProxies, and decides what
 * becomes of found targets.
 */
/* The target's container, from the list, whose HAProxy is to be asked; NULL: there is none. */
const struct observed_container *job_to_be_asked(const struct job_target *target);
enum step job_ask_leaver(struct job *job, struct job_target *target);
int64_t job_found_drain_ms(const struct job *job, const struct job_target *target);
void job_judge_found(const struct job *job, struct job_target *target);
/* The found target has a plan, but stays for now. */
bool job_found_stays(const struct job_target *target);
/* The target has no plan, no trouble, and a current container. */
bool job_is_as_wanted(const struct job_target *target);

/* job_heirs.c: notes for the plan which containers await an heir that has not had its turn (observed.h). */
void job_note_heirs(const struct job *job, struct job_target *target);
/*
 * The target's plan drains a container that listens where another balancer of the host is to
 * listen, but does not yet: it has failed, or waits for its turn. Until it has come, the container is all
 * that serves there.
 */
bool job_lacks_an_heir(const struct job *job, const struct job_target *target);

/* job_observe.c: phases of one target. */
enum step job_look_at_config(struct job *job, struct job_target *target);
enum step job_ask_haproxy(struct job *job, struct job_target *target);
enum step job_look_at_image(struct job *job, struct job_target *target);
/* The ID of the image for helpers: of the container that stays, if it has one. NULL: use the wanted image, by
 * name. */
const char *job_image_id(const struct job_target *target);
/* The mode of the directory that holds the stats socket. */
int64_t job_run_dir_mode(const struct job *job);
/*
 * Before a config that HAProxy has loaded is overwritten, its text is read: it is
 * put back if HAProxy does not take the new one.
 */
bool job_needs_former_config(const struct job_target *target);
enum step job_read_config(struct job *job, struct job_target *target);

/* job_apply.c: the actions of a plan. Each action is a recipe of steps, and each step sends one request. */
/* Carries out the rest of the target's plan. before_drain: only what comes before its first ACTION_DRAIN. */
enum step job_apply(struct job *job, struct job_target *target, bool before_drain);
enum step job_explain(struct job *job, struct job_target *target);
#define JOB_MAX_STEPS 8 /* the length of a recipe */
typedef void job_step_fn(struct job *job, struct job_target *target, const struct action *action);
const struct action *job_action(const struct job *job);
/* The callback of requests: goes on to the next step, or, on error, calls job_action_failed. */
void job_on_step(void *arg, const struct docker_reply *reply, const struct err *err);
void job_action_failed(struct job *job, const struct err *err);
/* Makes a random token, which no other container has. */
void job_make_token(char token[TOKEN_HEX_SIZE]);

/* job_await.c: the step of ACTION_AWAIT, and one of ACTION_REHEARSE. */
job_step_fn job_await;

/*
 * job_look.c: what is at the path where the config is to be written, and is it
 * ours? Steps of ACTION_WRITE_CONFIG, left out if the balancer's own container has
 * shown the path; and the same for `apilbctl plan`, within the phase `plan`.
 */
job_step_fn job_look_at_place, job_read_place;
bool job_has_seen_place(const struct job_target *target);
bool job_needs_look_for_plan(const struct job *job, const struct job_target *target);
enum step job_look_for_plan(struct job *job, struct job_target *target);
/* The file at the config's path is ours, whatever its text: memory, order or a container's label says so. */
bool job_knows_file(const struct job *job, const struct job_target *target);

/* job_drain.c: steps of ACTION_DRAIN. job_try_drainer_socket and job_hear_drainer are left out if the
 * draining container cannot be asked. */
job_step_fn job_look_at_drainer, job_try_drainer_socket, job_drain, job_hear_drainer;
/* Notes the container that is to be told to drain; NULL: there is none. */
void job_note_drainer(struct job *job, const struct observed_container *container);
bool job_drainer_can_be_asked(const struct job *job);

/* job_handover.c: removes a successor that has failed, or tells it to drain; then job_hear_drainer follows.
 */
job_step_fn job_undo_handover;

/* job_helper.c: steps of ACTION_CHECK_CONFIG and ACTION_WRITE_CONFIG. */
job_step_fn job_create_rehearsal, job_put_rehearsal;
job_step_fn job_put_companions; /* left out where the config needs no files */
job_step_fn job_create_checker, job_put_candidate, job_wait_for_verdict, job_note_image;
job_step_fn job_create_helper, job_put_run_dir, job_put_config, job_remove_helper;
/* Creates a container. image_id, unless NULL, replaces the image's name in the request: the name may mean
 * another image by now, or none. Takes the request over. */
void job_create_from(struct job *job, const char *name, const char *image_id, struct json_object *request,
		     docker_cb *cb);
/* The new version has failed, and the text of the former config is known: it can be put back. */
bool job_has_former(const struct job *job, const struct job_target *target, const struct action *action);
job_step_fn job_put_former;
/* The container that does not come up was made by the same request as the former version's, which is known:
 * it can run with the former config again. */
bool job_revives_former(const struct job *job, const struct job_target *target, const struct action *action);

#endif
