/*
 * A place where runs are tried: a machine in memory with one balancer, "lb",
 * that is wanted, and what carries over from one run to the next, as an instance
 * does it. Its clock turns by itself.
 */
#ifndef APILB_TESTS_RUN_PLACE_H
#define APILB_TESTS_RUN_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/removal.h"
#include "daemon/run/job.h"
#include "tests/fake_engine.h"

#define OWNER "apilb"
#define OLD "haproxy:2.6"
#define NEW "haproxy:3.0"
#define SILENT_AFTER_MS 60000
#define BYSTANDER "lb-of-others"
#define CONFIG "/etc/haproxy-lb/haproxy.cfg"

struct place {
	struct event_base *base;
	struct fake_machine machine;
	struct fake_engine *engine;
	struct wanted *wanted; /* NULL: it is to be removed */
	struct job_target last;
	struct memory memory;
	struct wanted *former; /* before the change to `wanted`; NULL: there is none */
	struct wanted *next;   /* what its spec wants, while that waits; NULL: the same */
	bool unproven;         /* the daemon has just started */
	bool restarts;         /* the daemon does, after each run */
	/* Another balancer on the host, of which nothing carries over; NULL: there is none. */
	struct wanted *second;
	struct wanted *second_next; /* what its spec wants, while that waits; NULL: the same */
	struct err second_err;      /* what came of it */
	bool second_first;
	bool done, reached, observe_only;
	void (*each_turn)(
		struct place *place); /* of the event loop, while a run is under way; NULL: nothing */
	struct err err;               /* of the host as a whole */
	char *told;
	char *lookalikes;         /* see job_lookalikes */
	char *waiting;            /* see job_waiting */
	struct draining draining; /* see job_note_draining */
	size_t due,
		later; /* of what was found: so many go now, by the last plan, and so many at another time */
};

/* Of whom a run asks what may be removed: nobody is known. */
const struct removal *nobody_else(void *arg);

/* The caller unrefs. */
struct wanted *wanted_named(const char *name, const char *path, const char *image, const char *port,
			    const char *servers);
struct wanted *wanted_at(const char *path, const char *image, const char *port, const char *servers);
struct wanted *wanted_of(const char *image, const char *port, const char *servers);

/* With an engine that has both images, and wanting one; nothing is made yet. */
void place_open(struct place *place);
void place_close(struct place *place);
/* A place with a bystander, where all is as wanted. */
enum {
	SERVES = 1,  /* all the time, and so it must go on */
	LASTING = 2, /* connections last until the next run at least */
	PODMAN = 4,
};
void place_begin(struct place *place, unsigned flags);

/* image NULL: it is to be removed. */
void place_want(struct place *place, const char *image, const char *port, const char *servers);
/* All that was known from former runs, as when a daemon starts without its store. */
void place_forget(struct place *place);

/* What went wrong with the request that was to fail; and whether the run ends there, as when its host is
 * wanted no more, and whether all is forgotten then, as when the daemon is killed. */
struct mishap {
	const char *name;
	enum fake_fault how;
	bool cancelled, forgotten;
};
enum { MISHAPS = 8 };
extern const struct mishap mishaps[MISHAPS];

/* Of a run of this place. */
struct job_options place_options(struct place *place);
void place_run(struct place *place);
/* mishap: of the request that fails; NULL: none does. */
void place_run_until(struct place *place, const struct mishap *mishap);
/* Runs until all is as wanted; each run may take back what it could not end. */
void place_recover(struct place *place);
bool place_is_as_wanted(const struct place *place);

/* NULL: there is none. */
struct fake_container *place_balancer(const struct place *place);
/* But the bystander, who is somebody else's, and whose name begins like one of ours. */
size_t place_containers(const struct place *place);
void place_add_bystander(struct place *place);
/* Connections of those that were told to leave end at last. */
void place_end_connections(struct place *place);
/* How often this was told in the last run. */
size_t place_times_told(const struct place *place, const char *words);

void expect_bystander(const struct place *place, const char *when);
void expect_as_wanted(const struct place *place, const char *when);
/* What HAProxy would be given if it had to start now is no half of one. */
void expect_whole_file(const struct place *place, const char *when);

#endif
