/*
 * What becomes of a container of ours that was found on a host, and that no
 * balancer which is known stands for. An orphan: nobody knows any more what it
 * was made for. A stray: it was made for a balancer that is wanted there, and is
 * called something else by now.
 *
 * It may be all that serves. So it stays until what takes its place does, and
 * its connections get the time to end that those of any former container have.
 * Where nothing of ours takes its place it is removed as a balancer is that left
 * its spec, with nothing in its place: stopped. To drain it would spare nobody,
 * because its clients have nowhere to go but away.
 */
#ifndef APILB_CORE_FOUND_H
#define APILB_CORE_FOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strings are the caller's. */
struct found {
	const char *stray_of; /* the ID of the balancer that it was made for; NULL: it is an orphan */
	const char *spec;     /* by its label; "": that names none */
	const char *binds;    /* where it listens, a word for all of it; "": not known */
	bool up;              /* it runs, or is about to: only then it may have connections */
	bool succeeded;       /* it has the name of a former container */
	bool drains;          /* it takes no new connections any more */
	bool serves_nobody;   /* its HAProxy says that it has no server for whoever connects */
};

/* A balancer that is wanted on the host. */
struct found_peer {
	const char *id, *spec, *binds;
	bool as_wanted;
	bool unchecked; /* it has just started, and knows of no server yet whether that is up */
	size_t servers_up;
	int64_t drain_ms;
};

enum found_fate {
	FOUND_STAYS,   /* until what takes its place serves */
	FOUND_LINGERS, /* the same: that has just started, and a moment tells */
	FOUND_DRAINS,  /* it is gone when its last connection has ended */
	FOUND_STOPS,
};

/* What takes its place is the balancer that a stray was made for; of an orphan, what listens where it does,
 * or, when nothing does or that is not known, what its spec wants on the host. */
enum found_fate found_fate(const struct found *found, const struct found_peer *peers, size_t n);

bool found_stays(enum found_fate fate);

/* The default of `timeouts.drain` (spec_schema.c). */
#define FOUND_DRAIN_MS 300000
/* So long it may drain: what the balancer says that it was made for, or its spec on this host; else the
 * default. Its own HAProxy ends at its own limit, if that is shorter. */
int64_t found_drain_ms(const struct found *found, const struct found_peer *peers, size_t n);

#endif
