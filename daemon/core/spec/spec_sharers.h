/*
 * How often a server may be checked. Each balancer asks each of its servers
 * once an interval, so what arrives at a server grows with the fleet: at most
 * SPEC_MAX_CHECKS_PER_S a second shall, unless the spec says otherwise.
 */
#ifndef APILB_CORE_SPEC_SHARERS_H
#define APILB_CORE_SPEC_SHARERS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/spec/spec.h"

#define SPEC_MAX_CHECKS_PER_S 50

/*
 * Tells each instance of all these specs how many of them, itself included,
 * check the busiest of its servers. A server is known by its address as it is
 * written: a name and its IP address are two.
 */
void spec_count_sharers(struct spec *const *specs, size_t n);

/* 1, 2 or 5 times a power of ten seconds: steps, so that few changes of the fleet change a config. */
int64_t spec_interval_for_ms(size_t sharers);
/* The spec's own, or else the one for its sharers. */
int64_t spec_check_interval_ms(const struct spec_instance *instance);

#endif
