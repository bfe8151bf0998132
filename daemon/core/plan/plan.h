/*
 * (wanted, observed, memory) -> actions. Pure, and the heart of the daemon.
 *
 * What is printed by `apilbctl plan` is this list, and this list is executed,
 * all of it and nothing else: what is to follow from an action is planned with
 * it, not found by another look. An empty list means converged, unless there is
 * trouble: something that no action of ours can mend, or that needs a moment.
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
	ACTION_CHECK_CONFIG, /* by the image's own HAProxy, on the host, in a throw-away container */
	ACTION_REHEARSE,     /* its HAProxy, without listeners, finds a server up */
	ACTION_WRITE_CONFIG, /* and the directory of the stats socket, through a helper container */
	ACTION_CREATE,
	ACTION_START,
	ACTION_UNPAUSE,
	ACTION_RELOAD, /* HAProxy's master loads the file; connections stay */
	ACTION_AWAIT,  /* HAProxy has loaded exactly the wanted version and runs */
	ACTION_DRAIN,  /* no new connections; it ends with its last one, or at the drain timeout */
	ACTION_STOP,   /* gracefully, and for good after STOP_TIMEOUT_S */
	ACTION_REMOVE,
	ACTION_RENAME,
	ACTION_KINDS
};

#define STOP_TIMEOUT_S 10

/* "create", "write-config", ...: stable, for programs. */
const char *action_name(enum action_kind kind);

struct action {
	enum action_kind kind;
	char *container; /* name or ID for the engine; the image for ACTION_PULL, the helper
			    for ACTION_CHECK_CONFIG,
			    ACTION_REHEARSE and ACTION_WRITE_CONFIG */
	char *name;      /* what it is done to, as people call it: a container, an image, a file */
	char *argument;  /* ACTION_RENAME: the new name; else NULL */
	char *reason;    /* why, in a few words: "container is missing" */
	char *image_id;  /* ACTION_CHECK_CONFIG, ACTION_REHEARSE: of this very image; NULL: of the wanted one
			  */
};

/* For people: "rename api-lb-apilb-next to api-lb". The caller frees. */
char *action_text(const struct action *action);

struct plan {
	struct action *actions;
	size_t n;
	/*
	 * Removals that wait for something which ends by itself, at the latest at the
	 * drain timeout: what this plan drains, and what is leaving already. The run
	 * that finds it ended does it.
	 */
	struct action *later;
	size_t later_n;
	/*
	 * Set when the instance is not as wanted and no action helps: ERR_CONFLICT
	 * (not ours), ERR_TRANSIENT (give it a moment), ERR_PERMANENT.
	 */
	struct err trouble;
	bool for_silence; /* a successor, for no other reason than that HAProxy does not answer */
};

/* What makes one wanted instance true. memory: of what was tried for it, in vain so far. */
void plan_instance(const struct wanted *wanted, const struct observed_instance *observed,
		   const struct memory *memory, struct plan *plan);
/* Takes everything of an instance that is no longer wanted off its host; files stay. All containers given are
 * ours. */
/* leave: others serve in its place, and its connections may end by themselves. name: of the balancer. */
void plan_removal(const char *name, const struct observed_instance *observed, bool leave, struct plan *plan);
/*
 * What stands at the path of the config is somebody else's, and must not be
 * written over: err says so, and what can be done. False: it may be written, as
 * far as is known; what was not looked at is no conflict.
 */
bool plan_file_conflict(const struct wanted *wanted, const struct observed_instance *observed,
			struct err *err);
/* It writes the config. */
bool plan_writes_file(const struct plan *plan);
/* Of the wanted image, that is; else what runs, or has run, goes on. */
bool plan_makes_container(const struct plan *plan);
/* All of it is for later. */
void plan_put_off(struct plan *plan);
void plan_clear(struct plan *plan);

/*
 * A name that HAProxy cannot resolve is looked up by libc, which knows more (/etc/hosts, search domains), at
 * a start or reload only. HAProxy gives up after 24 days what DNS does not know (docs/haproxy.md), and may
 * have been started when DNS was down. True once it is up for a day: it may be a name that nobody knows.
 */
bool plan_must_look_up(const struct observed_instance *observed);

/* The balancer that runs has a server that is up, or may have, as it could not be asked, or is another one,
 * which leaves: what is to take its place has to see one, too, or it goes. */
bool plan_must_see_a_server(const struct wanted *wanted, const struct observed_instance *observed);

#endif
