/*
 * How long something waits for its next attempt. Pure: the caller brings clock and dice.
 */
#ifndef APILB_CORE_SCHEDULE_H
#define APILB_CORE_SCHEDULE_H

#include <stdint.h>

/* The wait after `failures` in a row (1 or more): first_ms, doubled with each further one, at most max_ms. */
int64_t schedule_doubled_ms(int64_t first_ms, unsigned failures, int64_t max_ms);

/* Beyond this a host that fails is not left alone for longer. */
#define SCHEDULE_MAX_BACKOFF_MS 60000

/*
 * The same for a host that fails, at most SCHEDULE_MAX_BACKOFF_MS; then
 * between half and all of that by `random`, so that hosts that failed together
 * do not come back together.
 */
int64_t schedule_backoff_ms(unsigned failures, int64_t first_ms, uint32_t random);

/* The regular look: resync_ms, less up to a tenth of it, so that the fleet spreads out by itself. */
int64_t schedule_resync_ms(int64_t resync_ms, uint32_t random);

#endif
