/* Points in time as the daemon writes them: RFC 3339, "2026-01-02T03:04:05.678Z". */
#ifndef APILB_CTL_TIMESTAMP_H
#define APILB_CTL_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#define TIMESTAMP_LOCAL_BYTES sizeof("2026-01-02 03:04:05")

/* Milliseconds since 1970. Any offset and any number of decimals are understood. */
bool timestamp_parse(const char *text, int64_t *ms);

/* "2026-01-02 03:04:05" where the reader is (TZ). buf has TIMESTAMP_LOCAL_BYTES and is returned. */
const char *timestamp_local(int64_t ms, char *buf);

int64_t timestamp_now_ms(void);

/* A clock that is never set back, with an arbitrary start: for deadlines. */
int64_t timestamp_steady_ms(void);

#endif
