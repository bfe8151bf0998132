/*
 * The version that HAProxy has refused. It is retried once immediately, in another way (plan.c),
 * and then ever more rarely. Pure: the caller brings the clock.
 */
#ifndef APILB_CORE_REFUSED_H
#define APILB_CORE_REFUSED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/core/hash.h"

/* The wait before the third try; it doubles each time, up to the maximum. */
#define REFUSED_FIRST_MS 30000
#define REFUSED_MAX_MS 600000

struct refused {
	char version[SHA256_HEX_SIZE]; /* as in struct wanted; "": none was refused */
	unsigned times;
	int64_t until_ms; /* monotonic clock: not tried before that */
	char *why;        /* why the version must wait until then; NULL: it need not */
};

/* HAProxy has refused this version. */
void refused_note(struct refused *refused, const char *version);
/* HAProxy has accepted the version that it was given. */
void refused_taken(struct refused *refused);
bool refused_is(const struct refused *refused, const char *version);
/* Why this version must not be tried now; NULL: it may be. */
const char *refused_why(const struct refused *refused, const char *version);

/*
 * Adapts the copy for a run that brings about `version` (NULL: none): `why` stays set only if the
 * run must not try that.
 */
void refused_lend(struct refused *lent, const char *version, int64_t now_ms);
/*
 * Takes back the copy of a run that has ended with `err`. If the run has tried `version` in vain,
 * the next try must wait. learned: the run's copy, moved out.
 */
void refused_take(struct refused *refused, struct refused *learned, const char *version,
		  const struct err *err, int64_t now_ms);

void refused_copy(struct refused *to, const struct refused *from);
void refused_clear(struct refused *refused);

#endif
