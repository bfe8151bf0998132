/*
 * Waits until the next attempt. Pure: the caller brings clock and random numbers.
 */
#ifndef APILB_CORE_SCHEDULE_H
#define APILB_CORE_SCHEDULE_H

#include <stdint.h>

/*
 * The wait after `failures` in a row (1 or more): first_ms, doubled with each further failure, at
 * most max_ms.
 */
int64_t schedule_doubled_ms(int64_t first_ms, unsigned failures, int64_t max_ms);

/* The longest wait for a failing host. */
#define SCHEDULE_MAX_BACKOFF_MS 60000

/*
 * The wait for a failing host: a random time between half and all of
 * schedule_doubled_ms with SCHEDULE_MAX_BACKOFF_MS, so that hosts that failed
 * together do not come back together.
 */
int64_t schedule_backoff_ms(unsigned failures, int64_t first_ms, uint32_t random);

/* The wait for a resync: resync_ms, less up to a tenth of it, so that the hosts of a fleet spread out. */
int64_t schedule_resync_ms(int64_t resync_ms, uint32_t random);

#endif
