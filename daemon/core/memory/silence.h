/*
 * A balancer whose HAProxy does not answer on its stats socket: since when, and when a successor is
 * due. Pure: the caller brings the clocks.
 *
 * Silence belongs to one run of a container: its ID, and when it was started. Another container, or
 * the same one started again, counts anew. For the first few seconds HAProxy may just have started.
 * A short silence is no reason for a successor: connections would have to move. If the successor is
 * silent as well, or soon after (somebody holds the sockets, say), further successors follow ever
 * more rarely.
 */
#ifndef APILB_CORE_SILENCE_H
#define APILB_CORE_SILENCE_H

#include <stdbool.h>
#include <stdint.h>

/* For this long a HAProxy that has not answered yet may just have started. */
#define SILENCE_EARLY_MS 3000
/* The first wait between two successors; it doubles each time, up to the maximum. */
#define SILENCE_RETRY_MS 120000
#define SILENCE_MAX_RETRY_MS 3600000

struct silence_clock {
	int64_t ms;      /* monotonic: for decisions */
	int64_t unix_ms; /* for people */
};

struct silence {
	char *heard; /* the run that answered last; NULL: none */
	char *run;   /* the silent run; NULL: none is silent */
	struct silence_clock since, due;
	unsigned tries; /* successors that did not help, or only for a short time */
	struct silence_clock tried;
};

/* The run of a container; the caller frees. started_at may be NULL. */
char *silence_run(const char *container_id, const char *started_at);

/* This run has answered. */
void silence_broken(struct silence *silence, const char *run, int64_t now_ms);
/*
 * This run has not answered when asked at `asked`. after_ms: a successor is due that long after the
 * first such time.
 */
void silence_met(struct silence *silence, const char *run, struct silence_clock asked, int64_t after_ms);
/* A successor is being made: the first action of its plan begins. */
void silence_tried(struct silence *silence, struct silence_clock now);

/*
 * After a restart of apilbd. `since` and `tried` hold the stored Unix times;
 * this sets their monotonic times. The time in which nobody looked counts as
 * silence if the same run is silent again. A time in the future becomes now:
 * the clock was turned back. Whether the clock was turned forward (a machine
 * without a battery has just learned the time) cannot be seen, so no successor
 * is due before a second look agrees.
 */
void silence_recall(struct silence *silence, struct silence_clock now);

/* Whether this run is silent, and was at an earlier look. */
bool silence_has(const struct silence *silence, const char *run);
/* Whether a silent run may just have started; whether a successor is due. */
bool silence_is_early(const struct silence *silence, int64_t now_ms);
bool silence_is_due(const struct silence *silence, int64_t now_ms);
int64_t silence_lasts_ms(const struct silence *silence, int64_t now_ms); /* 0: it is not silent */

/*
 * Describes the silence for people, with `why` nobody answers. The text is the same at each look,
 * so that it is reported once. The caller frees.
 */
char *silence_words(const struct silence *silence, const char *why);

void silence_copy(struct silence *to, const struct silence *from);
void silence_clear(struct silence *silence);

#endif
