/*
 * May this container go?
 *
 * Promise 6, "removal is deliberate", as a pure function: what is known of all
 * balancers, and which specs have had their say, decide about one container. A
 * container that goes is one that served; so whatever leaves doubt lets it
 * stay, and the next run asks again.
 *
 * All balancers are asked about at once: one machine may be reached by several
 * addresses, and a container that looks like nobody's from one of them may be
 * what serves for another. The table is long-lived, since to make it anew takes
 * far longer than to find out what has changed; whoever has a question tells it
 * all first (removal_begin), so that nothing has to remember to tell of a change.
 */
#ifndef APILB_CORE_REMOVAL_H
#define APILB_CORE_REMOVAL_H

#include <stdbool.h>
#include <stddef.h>

/* What one balancer stands for. Strings are the caller's. */
struct claim {
	/* The machine, as its spec names it. */
	const char *host_url, *engine;
	const char *name; /* of its container */
	const char *id;   /* of the balancer, as the label of its containers has it */
	const char *spec;
	const char *binds;        /* where it listens, or did: a word for all of it; NULL: not known */
	const char *container_id; /* seen last; NULL: none yet */
	const char *takes_over;   /* a container that `state` hands to it, or the beginning of its ID, as
				     long as it needs that; NULL: none */
	bool wanted;              /* a version of it is in force */
	bool waits;               /* a version of it waits for its turn */
	bool unasked;   /* known from the store, and its spec has not said yet whether it wants it */
	bool seen;      /* there has been a verdict on it since the daemon started */
	bool made;      /* its host was reached once, so that there may be something of it */
	bool converged; /* it is as wanted */
	bool answers;   /* its HAProxy said which servers are up */
	size_t servers_up;
	bool fallback; /* unchecked servers carry its clients when none is up */
};

/* What is asked about. Strings are the caller's; all but id and name may be NULL. */
struct removal_container {
	const char *id, *name;
	const char *instance; /* from its labels: the balancer's id, */
	const char *spec;     /* and the spec's name */
};

/* Why it stays; a row each in the table of words in removal.c. */
enum removal_verdict {
	REMOVAL_ALLOWED,
	REMOVAL_SPEC_SILENT, /* nobody knows what its spec wants: not read yet, or never valid */
	REMOVAL_WANTED,      /* it is what a balancer stands for */
	REMOVAL_CLAIMED,     /* the balancer that it was made for is wanted, or may be */
	REMOVAL_TWIN,        /* it may be what a balancer of that name stands for by another address */
	REMOVAL_PEER,        /* what may take its place does not serve yet */
	REMOVAL_VERDICTS
};

struct removal;

struct removal *removal_new(void);
/* NULL is fine. */
void removal_free(struct removal *removal);
/* What is told from here to removal_end is all that there is. */
void removal_begin(struct removal *removal);
/* What this one stands for now. who: to know it again by, for who tells. Copies what is new. */
void removal_put(struct removal *removal, const void *who, const struct claim *claim);
/* The directory has not been read yet: no spec has had its say. */
void removal_nothing_read(struct removal *removal);
/* There is a file of this spec, but no version of it that could be in force. */
void removal_put_silent(struct removal *removal, const char *spec);
void removal_end(struct removal *removal);

/* Is it what a balancer stands for that is wanted? Whoever asks wants to remove it for another reason. */
bool removal_is_wanted(const struct removal *removal, const struct removal_container *container);
/* Does one of this spec, which is to listen there, take the place of this container, which nobody wants and
 * which may have a server up? As far as is known: what nobody knows listens where its spec does. */
bool removal_is_relieved(const struct removal *removal, const struct removal_container *container,
			 const char *spec, const char *binds);
/* One that carries our label and that no balancer of the host, where it was found, has by its name. */
enum removal_verdict removal_of_container(const struct removal *removal,
					  const struct removal_container *container);
/* What a balancer that is not wanted any more has on its host. The claim may be the table's own or not. */
enum removal_verdict removal_of_balancer(const struct removal *removal, const struct claim *leaving);

/* In words, for the middle of a sentence ("it stays: ..."). */
const char *removal_why(enum removal_verdict verdict);

#endif
