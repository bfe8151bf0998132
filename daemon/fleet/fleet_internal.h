/*
 * What the files of the fleet share; nobody else includes this. fleet.c has the
 * hosts: who runs when. fleet_directory.c reads the spec directory. fleet_specs.c has what the specs
 * in force want of them.
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
	bool settled;                  /* has had a verdict since the start, or since more was wanted */
	size_t place;                  /* in the array of hosts */
	TAILQ_ENTRY(fleet_host) entry; /* in the queue */
	UT_hash_handle hh;             /* by key */
	UT_hash_handle hh_host;        /* by host */
};

/* Places to run. */
struct run_queue {
	TAILQ_HEAD(, fleet_host) waiting;
	size_t running;
};

struct fleet {
	struct fleet_options options;
	struct host_context context;
	struct specs *specs;
	struct rollouts *rollouts;
	struct removal *removal; /* as it was told at the last question */
	struct watch *watch;
	struct event *found;  /* hosts have other versions than the store knew: the specs are gone through */
	struct event *rests;  /* hosts were settled without a run: nothing may be left to wait for */
	struct event *rescan; /* inotify can lose events; the directory may come back */
	struct fleet_host *by_key, *by_host;
	struct host **hosts; /* the same as an array, for who only reads */
	size_t hosts_n;
	size_t unsettled; /* hosts without a verdict */
	/* Hosts that cannot be reached take long to say so: they do not hold up the others. */
	struct run_queue reachable, failing;
	/* The one thread that asks the directory's file system something, or reads it, with what it was lent.
	 * NULL: there is none. */
	struct background *thread;
	struct watch_view *view;
	/* A look at the directory: read beside the loop, then taken in, in slices. NULL: not now. */
	struct spec_look *look;
	struct spec_update *update;
	struct event *take_in;    /* the next slice */
	struct event *tell;       /* the next slice of what there is to tell of it */
	bool asked;               /* for a look, at least once */
	bool due;                 /* a look is to come; one that is under way began too early */
	unsigned looks_dropped;   /* in a row */
	struct event *patience;   /* nobody waits for the thread any longer */
	int64_t awaited_since_ms; /* 0: nothing is */
	size_t read_n;            /* files that the look had read when that was last seen */
	bool hangs;               /* nobody waits for it, nor for the next ones until a look is through */
	/* Whoever asked before the thread began is served at its end; the others must know what was written
	 * until they asked. */
	TAILQ_HEAD(fleet_waiters, fleet_waiter) waiters, served;
	unsigned holding; /* nobody runs yet, such as on half of what the specs say */
	bool ready;
	char *directory_error;
};

/* fleet.c */

/* What hosts are told apart by. The caller frees. */
char *fleet_host_key(const struct spec_host *settings);
/* The host, which is new if no spec or store has named it before. */
struct fleet_host *fleet_host_for(struct fleet *fleet, const struct spec_host *settings);
/* Something is to be done on it: now, and its verdict is still to come. */
void fleet_make_due(struct fleet *fleet, struct fleet_host *fleet_host);
/* No verdict is to come on hosts where nothing is done for any balancer. */
void fleet_settle_left_alone(struct fleet *fleet);
/* Hosts that are due run as far as there are places. */
void fleet_fill_places(struct fleet *fleet);

/* fleet_directory.c */

void fleet_directory_init(struct fleet *fleet);
/* The specs that are in force are those of an earlier life: which directory had them. */
void fleet_directory_recall(struct fleet *fleet);
/* Nothing is read any more, and nobody waits. */
void fleet_directory_stop(struct fleet *fleet);
void fleet_directory_clear(struct fleet *fleet);

/* fleet_removal.c: what struct host_context asks for. */
const struct removal *fleet_removal(void *arg, const struct host *ahead);

/* fleet_specs.c */

/* Goes through the specs in force: what they want is put in force, or waits for its turn. */
void fleet_apply_specs(struct fleet *fleet);

#endif
