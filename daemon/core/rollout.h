/*
 * How a change reaches the hosts of a spec: which hosts get it now. Pure: the caller brings the
 * time, and carries out what is decided.
 *
 * First `canary` hosts, in the spec's order; when they are done, `parallel` hosts at a time, a
 * window that slides over the rest. A host is done when it is as wanted and, after `settle`, a
 * fresh look still finds it so, with a server that is up if it had one before. A host that fails
 * stops the rollout. A host that cannot be reached takes no place, and is neither a canary nor a
 * failure: its turn comes when it is back, unless there is room for all hosts.
 */
#ifndef APILB_CORE_ROLLOUT_H
#define APILB_CORE_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/spec/spec.h"

/* The store keeps the numbers. */
enum unit_state {
	UNIT_OUT = 0,      /* has no part in a rollout */
	UNIT_WAITING = 1,  /* held until its turn */
	UNIT_CHANGING = 2, /* changing, not yet as wanted */
	UNIT_SETTLING = 3, /* as wanted, and watched */
	UNIT_DONE = 4,
	UNIT_FAILED = 5,
	UNIT_ACKNOWLEDGED = 6, /* has failed, and somebody told the rollout to continue */
	UNIT_REVERTING = 7,    /* of a balancer alone: is getting its former version back */
	UNIT_STATES
};

/* A host with balancers that must change. */
struct rollout_unit {
	enum unit_state state;
	bool seen;          /* it was looked at since the daemon started */
	bool unreachable;   /* at the last look */
	int64_t since_ms;   /* settling */
	int64_t look_at_ms; /* settling: when the next look is due; 0: one is under way */
	/* Set by rollout_decide: change now; look now. */
	bool admit, look;
};

/* What a run has found: one verdict for all balancers of the host that take part. */
enum rollout_verdict {
	VERDICT_NONE, /* still at work */
	VERDICT_UNREACHABLE,
	VERDICT_FAILED,
	VERDICT_LOST,   /* as wanted, but no server is up any more */
	VERDICT_UNSURE, /* as wanted, but HAProxy has not checked its servers yet */
	VERDICT_WELL,
};

/* Servers that are still unchecked this long after `settle` count as down. */
#define ROLLOUT_UNSURE_MAX_MS 15000

/* Takes in a verdict. Returns whether the unit has changed. */
bool rollout_note(struct rollout_unit *unit, enum rollout_verdict verdict, int64_t settle_ms, int64_t now_ms);

/* The store keeps the names. */
enum rollout_stop { ROLLOUT_RUNS, ROLLOUT_HALTED, ROLLOUT_REVERTED, ROLLOUT_STOPS };
const char *rollout_stop_name(enum rollout_stop stop);  /* "rolling", "halted", "reverted" */
enum rollout_stop rollout_stop_parse(const char *name); /* other names, and NULL: ROLLOUT_RUNS */

struct rollout {
	struct rollout_settings settings;
	struct rollout_unit *units; /* in the spec's order */
	size_t n;
	size_t hosts; /* of the spec; a percentage is a share of them */
	bool paused;
	enum rollout_stop stop;
};

struct rollout_outcome {
	size_t done, changing, unreachable, failed, admitted;
	bool canary;                        /* the canary hosts are not done yet */
	bool over;                          /* all units are done */
	bool idle;                          /* nothing more happens until a host comes back */
	const struct rollout_unit *failure; /* stops a running rollout; NULL: nothing has failed */
	int64_t look_at_ms;                 /* when to decide again at the latest; 0: never */
};

/* Sets `admit` and `look` of the units. */
void rollout_decide(struct rollout *rollout, int64_t now_ms, struct rollout_outcome *outcome);

/* "3 of 20 hosts are done, 2 cannot be reached". The caller frees. */
char *rollout_progress(const struct rollout *rollout, const struct rollout_outcome *outcome);

#endif
