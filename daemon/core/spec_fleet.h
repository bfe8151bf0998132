/* Rules between instances. */
#ifndef APILB_CORE_SPEC_FLEET_H
#define APILB_CORE_SPEC_FLEET_H

#include "daemon/core/spec.h"

/*
 * Calls `clash` once for each instance, bind or name that somebody earlier, in
 * the order of `specs`, already has. `what` is worded to follow the instance:
 * what it shares with whom.
 */
typedef void spec_clash_fn(void *arg, const struct spec *spec, const struct spec_instance *instance,
			   const char *what);
void spec_find_clashes(const struct spec *const *specs, size_t n, spec_clash_fn *clash, void *arg);

#endif
