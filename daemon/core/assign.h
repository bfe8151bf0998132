/*
 * What follows from an edit of the specs?
 *
 * From what the specs in force want, and what is known of all balancers,
 * assign() makes a list of decisions, in the order in which the caller carries
 * them out: what is put in force at once, what is held and why, what stays,
 * what goes. When a held change has its turn, core/rollout.h decides; whether a
 * container may really be removed, core/removal.h.
 *
 * A pure function. Strings stay the caller's, and nothing is kept: decisions
 * refer to the caller's arrays by index.
 */
#ifndef APILB_CORE_ASSIGN_H
#define APILB_CORE_ASSIGN_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A balancer that a spec in force wants. Of several wishes for a container's name on a host, the
 * first counts.
 */
struct assign_wish {
	const char *host; /* any text that tells hosts apart */
	const char *name; /* the container's */
	const char *spec;
	const char *version;
	bool paused; /* the spec's changes are held until somebody resumes it */
	bool faulty; /* the newest version of its file is invalid: an older one is in force */
};

/*
 * A container that a spec's `state` names and no balancer takes over: it is to be removed. Ignored
 * if a wish or an earlier leftover has the same name on the host.
 */
struct assign_leftover {
	const char *host, *name;
	bool paused;
};

/* A balancer that is known already. */
struct assign_known {
	const char *host, *name;
	const char *version; /* in force; NULL: none is */
	bool made;           /* its host was reached once, so containers of it may exist */
	bool as_found; /* its host has another version than the one in force; that stays until its turn */
	bool unasked;  /* known from the store only: its spec has not been read yet */
	bool busy;     /* a run is under way on its host, and may be making its container */
	/* What holds for its spec. */
	bool paused;
	bool silent; /* nobody knows what the spec wants: it was not read yet, or has never been valid */
};

struct assign_world {
	const struct assign_wish *wishes; /* in the order of the specs and their lists */
	size_t wishes_n;
	const struct assign_leftover *leftovers;
	size_t leftovers_n;
	const struct assign_known *known;
	size_t known_n;
};

enum assign_kind {
	ASSIGN_REACH, /* connect to the host as this wish or leftover says, the first that names the host */
	ASSIGN_PUT_IN_FORCE, /* the wish is in force, as before or from now on */
	ASSIGN_HOLD,         /* the wish is held; the version in force stays */
	ASSIGN_KEEP,         /* no spec wants it any more, but its spec is paused: the removal is held */
	ASSIGN_LEAVE,        /* nothing changes: its spec is silent */
	ASSIGN_REMOVE,       /* no spec wants it any more: remove it */
	ASSIGN_FORGET, /* no spec wants it any more, and nothing was ever made for it: forget it at once */
	ASSIGN_REMOVE_CONTAINER, /* remove the leftover */
	ASSIGN_KINDS
};

/* Why a wish is held. */
enum assign_why {
	ASSIGN_NOT_HELD,
	ASSIGN_TURN,       /* the change waits for its turn: it goes host by host */
	ASSIGN_PAUSED,     /* the spec is paused */
	ASSIGN_HOST_WAITS, /* it is new, and another change of its spec is held on this host */
	ASSIGN_AS_FOUND,   /* its host has another version than the store says */
	ASSIGN_FAULTY, /* as ASSIGN_AS_FOUND; and the newest version of its file, which the host may have, is
			  invalid */
	ASSIGN_WHYS
};

#define ASSIGN_NONE ((size_t)-1)

struct assign_decision {
	enum assign_kind kind;
	enum assign_why why; /* for ASSIGN_HOLD */
	/* Indexes of the world's arrays; ASSIGN_NONE: none. */
	size_t wish, leftover, known;
};

/*
 * The caller frees. Each known balancer is in exactly one decision, each wish and leftover in at
 * most one, ASSIGN_REACH not counted.
 */
struct assign_decision *assign(const struct assign_world *world, size_t *n);

#endif
