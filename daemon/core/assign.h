/*
 * Who gets what?
 *
 * What the specs in force want, beside what is known of all balancers: a list
 * of decisions, in the order in which they are to be carried out. It says all
 * that follows from an edit, and from no edit, of any file: what is in force at
 * once, what is held and why, what stays or goes. When something held has its
 * turn is decided in core/rollout.h, whether a container may really go in
 * core/removal.h.
 *
 * A pure function of its arguments. Strings are the caller's, and nothing is
 * kept: decisions name what they are about by its place in the caller's arrays.
 */
#ifndef APILB_CORE_ASSIGN_H
#define APILB_CORE_ASSIGN_H

#include <stdbool.h>
#include <stddef.h>

/* A balancer of a spec in force. The first to want a container's name on a host has it. */
struct assign_wish {
	const char *host; /* what the caller tells hosts apart by */
	const char *name; /* of the container */
	const char *spec;
	const char *version;
	bool paused; /* the spec's changes are held until somebody resumes it */
	bool faulty; /* the newest version of its file is not valid: what is in force is an older one */
};

/* A container that a spec in force leaves behind: `state` names it, and no balancer takes it over. Where
 * something of its name is wanted, or there is another leftover of that name, nothing is done about it. */
struct assign_leftover {
	const char *host, *name;
	bool paused;
};

/* A balancer that is known already. */
struct assign_known {
	const char *host, *name;
	const char *version; /* in force; NULL: none is */
	bool made;           /* its host was reached once, so that there may be something of it */
	bool as_found; /* its host has another version than the one in force, until its turn to change */
	bool unasked;  /* known from the store, and its spec has not said yet whether it wants it */
	bool busy;     /* a run on its host is under way, which may be about to reach it */
	/* Of its spec. */
	bool paused;
	bool silent; /* nobody knows what it wants: not read yet, or there was never a valid version */
};

struct assign_world {
	const struct assign_wish *wishes; /* in the order of the specs, and of each one's list */
	size_t wishes_n;
	const struct assign_leftover *leftovers;
	size_t leftovers_n;
	const struct assign_known *known;
	size_t known_n;
};

enum assign_kind {
	ASSIGN_REACH,            /* the host is reached as this wish or leftover says: the first to name it */
	ASSIGN_PUT_IN_FORCE,     /* the wish is in force, as it was before or from now on */
	ASSIGN_HOLD,             /* the wish waits, and what was in force stays so */
	ASSIGN_KEEP,             /* no spec wants it any more, and that change waits: its spec is paused */
	ASSIGN_LEAVE,            /* nothing is decided: its spec is silent */
	ASSIGN_REMOVE,           /* no spec wants it any more */
	ASSIGN_FORGET,           /* the same, and nothing was ever done for it: it goes at once */
	ASSIGN_REMOVE_CONTAINER, /* the leftover goes */
	ASSIGN_KINDS
};

/* Why a wish waits. */
enum assign_why {
	ASSIGN_NOT_HELD,
	ASSIGN_TURN,       /* what is in force changes host by host */
	ASSIGN_PAUSED,     /* the spec is paused */
	ASSIGN_HOST_WAITS, /* it is new, and another change of its spec on this host waits */
	ASSIGN_AS_FOUND,   /* its host has another version than the store knew */
	ASSIGN_FAULTY,     /* the same, and the newest version of its file, which it may have, is not valid */
	ASSIGN_WHYS
};

#define ASSIGN_NONE ((size_t)-1)

struct assign_decision {
	enum assign_kind kind;
	enum assign_why why; /* of a wish that is held */
	/* Whom it is about; ASSIGN_NONE: none such. */
	size_t wish, leftover, known;
};

/* The caller frees. Each of `known` is in exactly one decision, and each wish and leftover in at most one,
 * not counting ASSIGN_REACH. */
struct assign_decision *assign(const struct assign_world *world, size_t *n);

#endif
