/*
 * Limits for events: each host, and each spec on a host, may report EVENT_BURST
 * events at once and EVENT_RATE_PER_MIN a minute. So a host in trouble fills
 * neither the log nor the memory of what happened elsewhere. Events that are
 * left out are counted. Pure: the caller brings the clock.
 */
#ifndef APILB_CORE_EVENT_LIMITS_H
#define APILB_CORE_EVENT_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A host on which a hundred balancers are made for the first time reports some 600. */
#define EVENT_BURST 1000
#define EVENT_RATE_PER_MIN 120

struct event_limits;

struct event_limits *event_limits_new(void);
void event_limits_free(struct event_limits *limits); /* NULL is fine */

/*
 * Whether the event may be reported; if not, it is counted as left out. spec, host: NULL if the
 * event concerns none.
 */
bool event_limits_pass(struct event_limits *limits, const char *spec, const char *host, int64_t now_ms);

/* n events were left out since the last sweep. The strings live during the call. */
typedef void event_left_out_cb(void *arg, const char *spec, const char *host, uint64_t n);
/*
 * Calls cb for each host and spec that has left out events; forgets those that have been quiet long
 * enough.
 */
void event_limits_sweep(struct event_limits *limits, int64_t now_ms, event_left_out_cb *cb, void *arg);
/* How many hosts and specs are remembered: 0 once all are quiet. */
size_t event_limits_count(const struct event_limits *limits);

#endif
