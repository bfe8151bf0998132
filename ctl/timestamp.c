#include "ctl/timestamp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Reads a fraction such as ".678" as 678 ms and moves *p behind it; without a fraction it returns 0. */
static int64_t take_fraction_ms(const char **p)
{
	int64_t ms = 0, unit = 100;

	if (**p != '.')
		return 0;
	for ((*p)++; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
		ms += (**p - '0') * unit;
	return ms;
}

bool timestamp_parse(const char *text, int64_t *ms)
{
	struct tm tm = {0};
	int64_t fraction, offset_s;
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!p)
		return false;
	fraction = take_fraction_ms(&p);
	/* %z reads "Z", "+01:00" and "+0100", but not "z". */
	p = strptime(p, "%z", &tm);
	if (!p || *p)
		return false;
	offset_s = tm.tm_gmtoff; /* timegm clears it */
	*ms = ((int64_t)timegm(&tm) - offset_s) * 1000 + fraction;
	return true;
}

const char *timestamp_local(int64_t ms, char *buf)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;

	if (!localtime_r(&s, &tm) || strftime(buf, TIMESTAMP_LOCAL_BYTES, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		strcpy(buf, "-");
	return buf;
}

static int64_t read_clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t timestamp_now_ms(void)
{
	return read_clock_ms(CLOCK_REALTIME);
}

int64_t timestamp_steady_ms(void)
{
	return read_clock_ms(CLOCK_MONOTONIC);
}
