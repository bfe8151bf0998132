/* Rules between instances. */
#ifndef APILB_CORE_SPEC_FLEET_H
#define APILB_CORE_SPEC_FLEET_H

#include "daemon/core/spec/spec.h"

/* What the instances of some specs have on their hosts, of which there is only one. */
struct spec_claims;

struct spec_claims *spec_claims_new(void);
void spec_claims_free(struct spec_claims *claims); /* NULL is fine */

/* `what` is worded to follow the instance: what it shares with whom, an instance of `other`. */
typedef void spec_clash_fn(void *arg, const struct spec *spec, const struct spec_instance *instance,
			   const struct spec *other, const char *what);

/*
 * Adds the spec, which stays the caller's and outlives its claims. Calls
 * `clash` (may be NULL) once for each host, name, path or bind of an instance
 * that goes against somebody who is in already. Returns how many; the spec is
 * in even then, until the caller takes it out again. SPEC_MAX_ERRORS are enough:
 * there it stops.
 */
size_t spec_claims_add(struct spec_claims *claims, const struct spec *spec, spec_clash_fn *clash, void *arg);
void spec_claims_remove(struct spec_claims *claims, const struct spec *spec); /* not in: fine */

/* A clash that is added to arg, a struct spec_errors. */
spec_clash_fn spec_clash_error;

#endif
