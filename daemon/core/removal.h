/*
 * May this container be removed?
 *
 * Promise 6, "removal is deliberate", as a pure function. What is known of all balancers, and which
 * specs could be read, decide about one container. A container to be removed may have served, so in
 * case of doubt it stays, and the next run asks again.
 *
 * All balancers matter: one machine may be reached by several addresses, and a container that seems
 * to be nobody's from one address may serve for a balancer of another. The table lives long, since
 * making it anew takes far longer than finding what has changed. Before it asks, the caller tells
 * the table everything (removal_begin), so that nobody has to remember to report a change.
 */
#ifndef APILB_CORE_REMOVAL_H
#define APILB_CORE_REMOVAL_H

#include <stdbool.h>
#include <stddef.h>

/* One balancer, and the container that it needs. Strings are the caller's. */
struct claim {
	/* The machine, as its spec names it. */
	const char *host_url, *engine;
	const char *name; /* its container's */
	const char *id;   /* the balancer's, as in the labels of its containers */
	const char *spec;
	const char *binds;        /* one word for all addresses where it listens, or did; NULL: unknown */
	const char *container_id; /* its container at the last look; NULL: none */
	const char *takes_over; /* ID, maybe abbreviated, of a container that `state` hands to it and that it
				   still needs; NULL: none */
	bool wanted;            /* a version of it is in force */
	bool waits;             /* a version of it is held until its turn */
	bool unasked;           /* known from the store only: its spec has not been read yet */
	bool seen;              /* a run has ended for it since the daemon started */
	bool made;              /* its host was reached once, so containers of it may exist */
	bool converged;         /* it is as wanted */
	bool answers;           /* HAProxy has checked its servers, and told which are up */
	size_t servers_up;
	bool fallback; /* clients go to unchecked servers when none is up */
};

/* The container in question. Strings are the caller's; all but id and name may be NULL. */
struct removal_container {
	const char *id, *name;
	const char *instance; /* from its labels: the balancer's id, */
	const char *spec;     /* and the spec's name */
	/* What its HAProxy has just said, if it was asked: */
	const char *binds; /* where it listens; NULL: not known */
	bool idle;         /* it takes no connections any more, or has no server for them */
};

/* Why a container stays. Each has a row in removal_why. */
enum removal_verdict {
	REMOVAL_ALLOWED,
	REMOVAL_SPEC_SILENT, /* what its spec wants is unknown: not read yet, or never valid */
	REMOVAL_WANTED,      /* it is the container of a wanted balancer */
	REMOVAL_CLAIMED,     /* it was made for a balancer that is wanted, or may be */
	REMOVAL_TWIN, /* it may be the container of a wanted balancer of the same name at another address */
	REMOVAL_PEER, /* the balancer that may take its place does not serve yet */
	REMOVAL_VERDICTS
};

struct removal;

struct removal *removal_new(void);
/* NULL is fine. */
void removal_free(struct removal *removal);
/*
 * Between removal_begin and removal_end the caller tells everything that is known; the rest is
 * forgotten.
 */
void removal_begin(struct removal *removal);
/* Tells the claim of one balancer. who: identifies the balancer. Copies the claim if it has changed. */
void removal_put(struct removal *removal, const void *who, const struct claim *claim);
/* The spec directory was not read yet: what any spec wants is unknown. */
void removal_nothing_read(struct removal *removal);
/*
 * There is a file of which no version was ever in force. What it wants is unknown, and so is which
 * spec it is: it may have been renamed. From now on only specs that were heard have had their say.
 */
void removal_put_silent(struct removal *removal);
/* A version of this spec is in force. Need not be told if no spec is silent. */
void removal_put_heard(struct removal *removal, const char *spec);
void removal_end(struct removal *removal);

/*
 * Whether the container belongs to a wanted balancer. For callers that would remove it for another
 * reason.
 */
bool removal_is_wanted(const struct removal *removal, const struct removal_container *container);
/*
 * Whether a new balancer of `spec` that will listen on `binds` takes the place of this container,
 * which nobody wants and which may have a server up. What the container's HAProxy has just said
 * counts, else what is known of its balancer. If nobody knows where the container listens, it counts
 * as listening where its spec's balancers do.
 */
bool removal_is_relieved(const struct removal *removal, const struct removal_container *container,
			 const char *spec, const char *binds);
/*
 * The verdict on a container with our label whose name belongs to no balancer of the host on which
 * it was found.
 */
enum removal_verdict removal_of_container(const struct removal *removal,
					  const struct removal_container *container);
/*
 * The verdict on the containers of a balancer that is not wanted any more. The claim may be the
 * table's own.
 */
enum removal_verdict removal_of_balancer(const struct removal *removal, const struct claim *leaving);

/* For people, in the middle of a sentence ("it stays: ..."). */
const char *removal_why(enum removal_verdict verdict);

#endif
