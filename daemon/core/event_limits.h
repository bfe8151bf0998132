/*
 * How much may be told: for each host, and for each spec there, EVENT_BURST
 * events at once and EVENT_RATE_PER_MIN a minute. A host that is full of
 * something fills neither the log nor the memory of what happened elsewhere.
 * What is left out is counted. Pure: the caller brings the time.
 */
#ifndef APILB_CORE_EVENT_LIMITS_H
#define APILB_CORE_EVENT_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A host with a hundred balancers that are all made for the first time tells some 600. */
#define EVENT_BURST 1000
#define EVENT_RATE_PER_MIN 120

struct event_limits;

struct event_limits *event_limits_new(void);
void event_limits_free(struct event_limits *limits); /* NULL is fine */

/* spec, host: NULL where it concerns none. False: it is left out. */
bool event_limits_pass(struct event_limits *limits, const char *spec, const char *host, int64_t now_ms);

/* So many were left out since the last sweep. The strings live during the call. */
typedef void event_left_out_cb(void *arg, const char *spec, const char *host, uint64_t n);
/* Calls for each that has left something out, and forgets whoever was quiet for long enough. */
void event_limits_sweep(struct event_limits *limits, int64_t now_ms, event_left_out_cb *cb, void *arg);
/* How many are remembered: none when all are quiet. */
size_t event_limits_count(const struct event_limits *limits);

#endif
