/*
 * What happens to a container of ours that was found on a host, and that
 * belongs to no known balancer. An orphan: nobody knows what it was made for. A
 * stray: it was made for a balancer that is wanted on the host, but has another
 * name now.
 *
 * It may be the only container that serves. So it stays until a balancer serves
 * in its place, and its connections get the time to end that those of any
 * former container get. If none of ours takes its place, it is stopped, as is a
 * balancer that has left its spec: draining would help nobody, because its
 * clients have nowhere else to go.
 */
#ifndef APILB_CORE_FOUND_H
#define APILB_CORE_FOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The container. Strings are the caller's. */
struct found {
	const char *stray_of; /* id of the balancer that it was made for; NULL: it is an orphan */
	const char *spec;     /* according to its label; "": unknown */
	const char *binds;    /* one word for all addresses where it listens; "": unknown */
	bool up;              /* it runs, or is about to, so it may have connections */
	bool succeeded;       /* it is named as a former container */
	bool drains;          /* it drains already */
	bool serves_nobody;   /* HAProxy has told that no server is there for new connections */
};

/* A balancer that is wanted on the host. */
struct found_peer {
	const char *id, *spec, *binds;
	bool as_wanted;
	bool unchecked; /* it has not checked its servers yet */
	size_t servers_up;
	int64_t drain_ms;
	bool takes_address; /* it has, or is to have, an address of the container, by the container's label */
};

enum found_fate {
	FOUND_STAYS,   /* until a balancer serves in its place */
	FOUND_LINGERS, /* for a moment: that balancer has just started */
	FOUND_DRAINS,  /* drain it */
	FOUND_STOPS,
};

/*
 * The place of a stray is taken by the balancer that it was made for. The place of an orphan is
 * taken by the balancers that listen where it does, or by those that take any of its addresses; if
 * there are none, or that is unknown, by all of its spec on the host.
 */
enum found_fate found_fate(const struct found *found, const struct found_peer *peers, size_t n);

bool found_stays(enum found_fate fate);

/* The default of `timeouts.drain` (spec_schema.c). */
#define FOUND_DRAIN_MS 300000
/*
 * How long the container may drain: as its balancer's settings say, or those of its spec on this
 * host; else as those of its spec elsewhere (elsewhere_ms; 0: unknown); else the default. Its
 * HAProxy ends at its own limit, if that is shorter.
 */
int64_t found_drain_ms(const struct found *found, const struct found_peer *peers, size_t n,
		       int64_t elsewhere_ms);

#endif
