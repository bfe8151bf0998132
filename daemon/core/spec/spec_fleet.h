/* Rules between instances, of one spec or of several. */
#ifndef APILB_CORE_SPEC_FLEET_H
#define APILB_CORE_SPEC_FLEET_H

#include "daemon/core/spec/spec.h"

/* What the instances of a set of specs claim on their hosts: names, paths, ports, ways to connect. */
struct spec_claims;

struct spec_claims *spec_claims_new(void);
void spec_claims_free(struct spec_claims *claims); /* NULL is fine */

/*
 * `instance` of `spec` clashes with an instance of `other`; `what` says in what, worded to follow
 * the instance's path.
 */
typedef void spec_clash_fn(void *arg, const struct spec *spec, const struct spec_instance *instance,
			   const struct spec *other, const char *what);

/*
 * Adds the claims of a spec, which stays the caller's and must live until they
 * are removed. Calls `clash` (may be NULL) once for each host, name, path or
 * bind of an instance that an earlier claim excludes. Returns the number of
 * clashes; after SPEC_MAX_ERRORS of them it stops. The claims stay in, also
 * after clashes, until the caller removes them.
 */
size_t spec_claims_add(struct spec_claims *claims, const struct spec *spec, spec_clash_fn *clash, void *arg);
void spec_claims_remove(struct spec_claims *claims, const struct spec *spec); /* never added: fine */

/* Adds the clash to arg, a struct spec_errors. */
spec_clash_fn spec_clash_error;

#endif
