/* Which host a part of the document means. */
#ifndef APILB_CORE_SPEC_HOST_H
#define APILB_CORE_SPEC_HOST_H

#include "daemon/core/spec/spec.h"
#include "daemon/core/spec/spec_fields.h"

/*
 * Fills host->ssh, url and label from the `host` of an instance, or of an
 * entry of `state`, under the top level's `ssh`, and with `known`, what is
 * known of the same host elsewhere, in between; both may be NULL. `owner` is
 * the map that has the `host`.
 */
void spec_host_merge(struct spec_host *host, struct yaml_value *owner, struct yaml_value *known,
		     struct yaml_value *top_ssh, const struct spec_context *context,
		     struct spec_merge *merge);

/* The `ssh` map in the `host` of an instance; NULL: it has none. */
struct yaml_value *spec_host_own_ssh(const struct yaml_value *owner);

/* Sets url and label from what ssh says; they stay NULL when it has no address or user. */
void spec_host_name(struct spec_host *host);

#endif
