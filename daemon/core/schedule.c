#include "daemon/core/schedule.h"

/* A value from 0 to range, inclusive. */
static int64_t pick(int64_t range, uint32_t random)
{
	return (int64_t)((uint64_t)range * random / UINT32_MAX);
}

int64_t schedule_doubled_ms(int64_t first_ms, unsigned failures, int64_t max_ms)
{
	int64_t ms = first_ms;

	for (unsigned i = 1; i < failures && ms < max_ms; i++)
		ms *= 2;
	return ms < max_ms ? ms : max_ms;
}

int64_t schedule_backoff_ms(unsigned failures, int64_t first_ms, uint32_t random)
{
	int64_t delay = schedule_doubled_ms(first_ms, failures, SCHEDULE_MAX_BACKOFF_MS);

	return delay / 2 + pick(delay - delay / 2, random);
}

int64_t schedule_resync_ms(int64_t resync_ms, uint32_t random)
{
	return resync_ms - pick(resync_ms / 10, random);
}
