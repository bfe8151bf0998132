/*
 * Shared by the files of this folder; nobody else includes it. fleet.c has the
 * hosts, and which of them run. fleet_directory.c has the spec directory read.
 * fleet_specs.c applies the specs in force. fleet_removal.c collects what is known
 * of all balancers.
 */
#ifndef APILB_FLEET_INTERNAL_H
#define APILB_FLEET_INTERNAL_H

#include <sys/queue.h>
#include <uthash.h>

#include "daemon/fleet/fleet.h"
#include "daemon/rollout/rollouts.h"

/* A host of the fleet. */
struct fleet_host {
	char *key;
	struct host *host;
	bool queued;                   /* due, waiting for a place */
	bool running;                  /* has a place */
	struct run_queue *run_queue;   /* where it queues or runs */
	bool settled;                  /* has had a verdict since it was last made due by a change */
	size_t place;                  /* index in fleet.hosts */
	TAILQ_ENTRY(fleet_host) entry; /* in the queue */
	UT_hash_handle hh;             /* by key */
	UT_hash_handle hh_host;        /* by host */
};

/* A queue for places to run; there are settings.concurrency places. */
struct run_queue {
	TAILQ_HEAD(, fleet_host) waiting;
	size_t running;
};

struct fleet {
	struct fleet_options options;
	struct host_context context;
	struct specs *specs;
	struct rollouts *rollouts;
	struct removal *removal; /* filled in by each fleet_removal() */
	struct watch *watch;
	struct event *found;  /* applies the specs again: hosts have other versions than the store knew */
	struct event *rests;  /* checks whether all is quiet: hosts were settled without a run */
	struct event *rescan; /* reads the directory at each resync: inotify can lose events */
	struct fleet_host *by_key, *by_host;
	struct host **hosts; /* the same hosts as an array, for readers */
	size_t hosts_n;
	size_t unsettled; /* number of hosts that are not settled */
	/* Hosts that cannot be reached take long to fail: they have places of their own, so that they do not
	 * hold up the others. */
	struct run_queue reachable, failing;

	/* The only thread that touches the directory's file system, and the view that is lent to it; NULL:
	 * there is no such thread now. */
	struct background *thread;
	struct watch_view *view;
	/* The look that is being read by the thread, or taken in, in slices; NULL: there is none. */
	struct spec_look *look;
	struct spec_update *update;
	struct event *take_in;    /* takes in the next slice of the update */
	struct event *tell;       /* tells the next slice of errors */
	bool load_begun;          /* fleet_load() has been called */
	bool due;                 /* a look is due; one that is under way has begun too early */
	unsigned looks_dropped;   /* looks in a row that were dropped */
	struct event *patience;   /* on_hangs(), unless the thread gets on */
	int64_t awaited_since_ms; /* since when the directory is awaited; 0: it is not */
	size_t answered_n;        /* files that had been answered for at the last on_hangs() */
	int64_t got_on_ms;        /* when the thread began, ended, or got on with a file */
	bool hangs;               /* the directory hangs: nobody waits for it until a look is complete */
	/* The thread's end serves `served`, who asked before it began; `waiters` have asked since, and must
	 * know of everything that was written until they asked. */
	TAILQ_HEAD(fleet_waiters, fleet_waiter) waiters, served;

	unsigned holding; /* not 0: no host gets a place now, since the specs are only half applied, say */
	bool ready;       /* the specs have been applied once */
	char *directory_error;
};

/* fleet.c */

/* The text that tells hosts apart. The caller frees. */
char *fleet_host_key(const struct spec_host *settings);
/* The host with these settings' key; added if there is none yet. */
struct fleet_host *fleet_host_for(struct fleet *fleet, const struct spec_host *settings);
/* There is something to do on the host: makes it due now, and unsettled. */
void fleet_make_due(struct fleet *fleet, struct fleet_host *fleet_host);
/* Settles hosts all of whose balancers are left alone: they get no verdict. */
void fleet_settle_left_alone(struct fleet *fleet);
/* Gives free places to hosts that are due. */
void fleet_fill_places(struct fleet *fleet);

/* fleet_directory.c */

void fleet_directory_init(struct fleet *fleet);
/* After specs were recalled from the store: recalls which directory they came from. */
void fleet_directory_recall(struct fleet *fleet);
/* Stops reading; all waiters get loaded(false). */
void fleet_directory_stop(struct fleet *fleet);
void fleet_directory_clear(struct fleet *fleet);

/* fleet_removal.c: host_context.removal and .drain_ms */
const struct removal *fleet_removal(void *arg, const struct host *ahead);
int64_t fleet_drain_ms(void *arg, const char *spec);

/* fleet_specs.c */

/* Applies the specs in force: puts their versions in force on hosts, or holds them. */
void fleet_apply_specs(struct fleet *fleet);

#endif
