/*
 * A balancer whose HAProxy does not answer on its stats socket: since when, and
 * when a successor is due. Pure: the caller brings the clocks.
 *
 * What is silent is a run of a container: its ID, and since when it runs. So
 * another container, or the same one started again, begins anew, while looking
 * twice at the same one does not. For the first few seconds it may just have
 * started. A moment of silence is no reason for a successor: connections would
 * have to move. When the successor is silent as well (somebody holds the sockets, say),
 * or the next one soon is, the tries become ever more seldom.
 */
#ifndef APILB_CORE_SILENCE_H
#define APILB_CORE_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

/* So long it may just have started, if it has not been heard before. */
#define SILENCE_EARLY_MS 3000
/* Between successors: first, doubled each time, at most. */
#define SILENCE_RETRY_MS 120000
#define SILENCE_MAX_RETRY_MS 3600000

struct silence_clock {
	int64_t ms;      /* monotonic: for decisions */
	int64_t unix_ms; /* for people */
};

struct silence {
	char *heard; /* the run that was the last to answer; NULL: none */
	char *run;   /* the run that is silent; NULL: none is */
	struct silence_clock since, due;
	unsigned tries; /* successors that did not help, or not for long */
	struct silence_clock tried;
};

/* The run of a container; the caller frees. started_at may be NULL. */
char *silence_run(const char *container_id, const char *started_at);

/* It has answered. */
void silence_broken(struct silence *silence, const char *run, int64_t now_ms);
/* It has not, when asked at this time. after_ms: so long after the first time a successor is due. */
void silence_met(struct silence *silence, const char *run, struct silence_clock asked, int64_t after_ms);
/* A successor is being made for it: the first action of its plan begins. */
void silence_tried(struct silence *silence, struct silence_clock now);

/*
 * After a restart of ours: `since` and `tried` have what was written down of
 * them, their time for people. The time in which nobody looked counts as well,
 * if whoever was silent before it is so after it. A time that is still to come
 * is now: somebody has turned the clock back. Whether it was turned forward (a
 * machine without a clock of its own has just learned the time) nobody can see:
 * so no successor is due before a second look agrees.
 */
void silence_recall(struct silence *silence, struct silence_clock now);

/* That run is silent since an earlier look. */
bool silence_has(const struct silence *silence, const char *run);
/* While it is silent. */
bool silence_is_early(const struct silence *silence, int64_t now_ms);
bool silence_is_due(const struct silence *silence, int64_t now_ms);
int64_t silence_lasts_ms(const struct silence *silence, int64_t now_ms); /* 0: it is not */

/* All of it, and why nobody answers, for people. The same from look to look, so that it is told once. The
 * caller frees. */
char *silence_words(const struct silence *silence, const char *why);

void silence_copy(struct silence *to, const struct silence *from);
void silence_clear(struct silence *silence);

#endif
