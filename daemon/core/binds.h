/*
 * Addresses at which HAProxy listens, as text: one word each, like
 * "10.0.0.1:6443 [::]:6443". Each container carries it as a label, so that they are
 * known of a container whose balancer nobody remembers.
 */
#ifndef APILB_CORE_BINDS_H
#define APILB_CORE_BINDS_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/spec/spec.h"

/* The caller frees. */
char *binds_text(const struct spec_bind *binds, size_t n);
/* From a label, so from anybody: words that are no addresses are left out. Free with binds_free. */
struct spec_bind *binds_parse(const char *text, size_t *n);
void binds_free(struct spec_bind *binds, size_t n);

/* Whether any of the binds listens at all of the address, as a wildcard does. */
bool binds_cover(const struct spec_bind *binds, size_t n, const struct spec_bind *address);
/* Whether any of the binds listens at some of the address. Wildcards count for both families. */
bool binds_meet(const struct spec_bind *binds, size_t n, const struct spec_bind *address);

#endif
