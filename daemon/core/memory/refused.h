/*
 * The version that HAProxy did not take: tried once more soon, since that is
 * another way (plan.c), and then ever more seldom. Pure: the caller brings the clock.
 */
#ifndef APILB_CORE_REFUSED_H
#define APILB_CORE_REFUSED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/core/hash.h"

/* Between the second try and the third, doubled each time, at most. */
#define REFUSED_FIRST_MS 30000
#define REFUSED_MAX_MS 600000

struct refused {
	char version[SHA256_HEX_SIZE]; /* of the struct wanted; "": none */
	unsigned times;
	int64_t until_ms; /* monotonic clock: not tried before */
	char *why;        /* it is not to be tried until then, for this reason; NULL: it is */
};

/* HAProxy has not taken this version. */
void refused_note(struct refused *refused, const char *version);
/* It has taken what it was given. */
void refused_taken(struct refused *refused);
bool refused_is(const struct refused *refused, const char *version);
/* Why this version is not to be tried; NULL: it is. */
const char *refused_why(const struct refused *refused, const char *version);

/* In the copy for a run that is to make `version` true (NULL: none): it has a reason only if that is not to
 * be tried in this run. */
void refused_lend(struct refused *lent, const char *version, int64_t now_ms);
/* Such a run has ended, with `err`: if it has tried `version` in vain, the next try has to wait. learned: the
 * run's copy, taken over. */
void refused_take(struct refused *refused, struct refused *learned, const char *version,
		  const struct err *err, int64_t now_ms);

void refused_copy(struct refused *to, const struct refused *from);
void refused_clear(struct refused *refused);

#endif
