/*
 * Durations as Go's time.ParseDuration reads them: "300ms", "-1.5h", "2h45m",
 * "0"; units ns, us (also with the two micro signs), ms, s, m, h.
 * Source: https://pkg.go.dev/time#ParseDuration
 */
#ifndef APILB_DURATION_H
#define APILB_DURATION_H

#include <stdint.h>

#include "common/err.h"

/* Parses to nanoseconds, as Go does, so that nothing is lost; err says what is wrong and shows the form. */
int duration_parse(const char *text, int64_t *ns, struct err *err);

/* Parses to milliseconds, rounded away from zero, so that 1ns does not become "no time at all". */
int duration_parse_ms(const char *text, int64_t *ms, struct err *err);

/* A duration for people, with at most two units: "250ms", "45s", "3m12s", "5h", "12d". Returns buf (16 bytes
 * are enough). */
const char *duration_human(int64_t ms, char *buf, unsigned long size);

#endif
