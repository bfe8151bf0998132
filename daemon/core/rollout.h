/*
 * How a change goes over the hosts of a spec: which of them get it now. Pure: the
 * caller brings the time, and does what is decided.
 *
 * First `canary` hosts, in the spec's order; when they are done, `parallel` hosts
 * at a time, a window that slides over the rest. A host is done when it is as
 * wanted and, after `settle`, a fresh look still finds it so, with a server that
 * is up if it had one before. One that fails stops the rollout. One that cannot
 * be reached takes no place, is no canary and no failure: its turn comes when it
 * is back, unless there are places for all.
 */
#ifndef APILB_CORE_ROLLOUT_H
#define APILB_CORE_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/core/spec/spec.h"

/* The numbers are kept in the store. */
enum unit_state {
	UNIT_OUT = 0,      /* has no part in a rollout */
	UNIT_WAITING = 1,  /* for its turn */
	UNIT_CHANGING = 2, /* has been let in, and is not as wanted yet */
	UNIT_SETTLING = 3, /* is as wanted, and watched */
	UNIT_DONE = 4,
	UNIT_FAILED = 5,
	UNIT_ACKNOWLEDGED = 6, /* has failed, and the rollout was told to go on all the same */
	UNIT_REVERTING = 7,    /* of a balancer alone: gets back what it had, and is not as that yet */
	UNIT_STATES
};

/* A host with balancers that are to change. */
struct rollout_unit {
	enum unit_state state;
	bool seen;          /* it has been looked at since the daemon is up */
	bool unreachable;   /* at the last look */
	int64_t since_ms;   /* settling */
	int64_t look_at_ms; /* settling: when a fresh look is needed; 0: one is under way */
	/* Decided. */
	bool admit, look;
};

/* What a run has found, of all balancers of the host that have part in it. */
enum rollout_verdict {
	VERDICT_NONE, /* something is still being done */
	VERDICT_UNREACHABLE,
	VERDICT_FAILED,
	VERDICT_LOST,   /* as wanted, and no server is up any more */
	VERDICT_UNSURE, /* as wanted, and HAProxy has not checked its servers yet */
	VERDICT_WELL,
};

/* Servers that are still not checked so long after `settle` count as down. */
#define ROLLOUT_UNSURE_MAX_MS 15000

/* Takes a verdict in. True when the unit is in another state than before. */
bool rollout_note(struct rollout_unit *unit, enum rollout_verdict verdict, int64_t settle_ms, int64_t now_ms);

/* The numbers are kept in the store, as words. */
enum rollout_stop { ROLLOUT_RUNS, ROLLOUT_HALTED, ROLLOUT_REVERTED, ROLLOUT_STOPS };
const char *rollout_stop_name(enum rollout_stop stop);  /* "rolling", "halted", "reverted" */
enum rollout_stop rollout_stop_parse(const char *name); /* what is none of them: ROLLOUT_RUNS */

struct rollout {
	struct rollout_settings settings;
	struct rollout_unit *units; /* in the spec's order */
	size_t n;
	size_t hosts; /* of the spec: what a percentage is a share of */
	bool paused;
	enum rollout_stop stop;
};

struct rollout_outcome {
	size_t done, changing, unreachable, failed, admitted;
	bool canary; /* the first hosts are still being tried */
	bool over;   /* all units are done */
	bool idle;   /* nothing happens any more by itself, but that a host comes back */
	const struct rollout_unit
		*failure;   /* of a rollout that runs: it must stop; NULL: nothing has failed */
	int64_t look_at_ms; /* when to decide again, whatever happens; 0: never */
};

/* Sets `admit` and `look` of the units. */
void rollout_decide(struct rollout *rollout, int64_t now_ms, struct rollout_outcome *outcome);

/* "3 of 20 hosts are done, 2 cannot be reached". The caller frees. */
char *rollout_progress(const struct rollout *rollout, const struct rollout_outcome *outcome);

#endif
