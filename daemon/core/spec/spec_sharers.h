/*
 * How often balancers check their servers. Each balancer checks each of its
 * servers once per interval, so the load on a server grows with the fleet.
 * Unless the spec gives an interval, a server gets at most
 * SPEC_MAX_CHECKS_PER_S checks a second.
 */
#ifndef APILB_CORE_SPEC_SHARERS_H
#define APILB_CORE_SPEC_SHARERS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/core/spec/spec.h"

#define SPEC_MAX_CHECKS_PER_S 50

/*
 * Sets `sharers` of all instances: how many instances, itself included, check
 * the most checked of its servers. Servers are told apart by the address as
 * written: a name and its IP address count as two servers.
 */
void spec_count_sharers(struct spec *const *specs, size_t n);

/*
 * 1, 2 or 5 times a power of ten seconds, 500,000 s at most: in steps, so that a growing fleet rarely
 * changes its configs. The number may come from a store, and be any.
 */
int64_t spec_interval_for_ms(size_t sharers);
/* The interval that the spec gives, else the one for the instance's sharers. */
int64_t spec_check_interval_ms(const struct spec_instance *instance);

#endif
