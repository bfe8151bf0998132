/*
 * (wanted, observed, memory) -> actions. Pure, and the heart of the daemon.
 *
 * `apilbctl plan` prints this list, and a run executes it, all of it and
 * nothing else: the consequences of an action are planned together with it, not
 * found by another look. An empty list means converged, unless `trouble` is
 * set: something that no action of ours can mend, or that needs a moment.
 */
#ifndef APILB_CORE_PLAN_H
#define APILB_CORE_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "daemon/core/memory/memory.h"
#include "daemon/core/plan/observed.h"
#include "daemon/core/wanted.h"

enum action_kind {
	ACTION_PULL,         /* the image */
	ACTION_CHECK_CONFIG, /* by the image's HAProxy, on the host, in a throw-away container */
	ACTION_REHEARSE,     /* HAProxy with the config, but without listeners, finds a server up */
	ACTION_WRITE_CONFIG, /* also makes the directory of the stats socket; through a helper */
	ACTION_CREATE,
	ACTION_START,
	ACTION_UNPAUSE,
	ACTION_RELOAD, /* HAProxy's master loads the file; connections stay */
	ACTION_AWAIT,  /* until HAProxy runs, and has loaded the wanted version */
	ACTION_DRAIN,  /* no new connections; it ends with the last one, or at the drain timeout */
	ACTION_STOP,   /* gracefully, but killed after STOP_TIMEOUT_S */
	ACTION_REMOVE,
	ACTION_RENAME,
	ACTION_KINDS
};

#define STOP_TIMEOUT_S 10

/* "create", "write-config", ...: stable, for programs. */
const char *action_name(enum action_kind kind);

struct action {
	enum action_kind kind;
	char *container; /* name or ID for the engine. ACTION_PULL: the image. ACTION_CHECK_CONFIG,
			    ACTION_REHEARSE, ACTION_WRITE_CONFIG: the helper */
	char *name;      /* the object, for people: a container, an image, a file */
	char *argument;  /* ACTION_RENAME: the new name; else NULL */
	char *reason;    /* why, in a few words: "container is missing" */
	char *image_id;  /* ACTION_CHECK_CONFIG, ACTION_REHEARSE: the image to use; NULL: the wanted one */
};

/* For people: "rename api-lb-apilb-next to api-lb". The caller frees. */
char *action_text(const struct action *action);

struct plan {
	struct action *actions;
	size_t n;
	/*
	 * Removals of containers that drain already, or that this plan drains. A later run, which
	 * finds that they have ended, does them; they end at the drain timeout at the latest.
	 */
	struct action *later;
	size_t later_n;
	/*
	 * Set if the instance is not as wanted and no action helps: ERR_CONFLICT (somebody else's
	 * container or file), ERR_TRANSIENT (needs a moment), ERR_PERMANENT.
	 */
	struct err trouble;
	bool for_silence; /* it has a successor, only because HAProxy is silent */
};

/* Plans what makes one instance as wanted. memory: says what was tried in vain. */
void plan_instance(const struct wanted *wanted, const struct observed_instance *observed,
		   const struct memory *memory, struct plan *plan);
/*
 * Plans the removal of all containers of an instance that is not wanted any more, which are all
 * ours. Files stay. drain: others serve in its place, so its connections may end in their own time.
 * name: the balancer's.
 */
void plan_removal(const char *name, const struct observed_instance *observed, bool drain, struct plan *plan);
/*
 * Whether the file at the config's path is somebody else's, and must not be
 * overwritten: err says so, and what can be done. A file that was not looked at
 * is no conflict.
 */
bool plan_file_conflict(const struct wanted *wanted, const struct observed_instance *observed,
			struct err *err);
/* Whether the plan writes the config. */
bool plan_writes_file(const struct plan *plan);
/* Whether the plan makes a container, from the wanted image; else one that exists continues. */
bool plan_makes_container(const struct plan *plan);
/* Moves all actions to `later`. */
void plan_hold(struct plan *plan);
void plan_clear(struct plan *plan);

/*
 * Whether a reload is worth trying because a server's name has no address. Only at a start or
 * reload HAProxy asks libc, which knows more than DNS (/etc/hosts, search domains). HAProxy may
 * have been started while DNS was down, and it forgets an address 24 days after DNS did
 * (docs/haproxy.md). True only if HAProxy has been up for a day: the name may be one that nobody
 * knows.
 */
bool plan_must_look_up(const struct observed_instance *observed);

/*
 * Whether a new config must prove that it sees a server up: the running balancer has one, or may
 * have (it does not answer), or another balancer serves that this one replaces. Whatever takes over
 * must see one, too, or it goes.
 */
bool plan_must_see_a_server(const struct wanted *wanted, const struct observed_instance *observed);

#endif
