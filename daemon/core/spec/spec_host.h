/* The host of an instance, or of an entry of `state`. */
#ifndef APILB_CORE_SPEC_HOST_H
#define APILB_CORE_SPEC_HOST_H

#include "daemon/core/spec/spec.h"
#include "daemon/core/spec/spec_fields.h"

/*
 * Fills host->ssh, url and label from the `host` in `owner` (an instance or an
 * entry of `state`), then from `known` (the ssh map of another instance on the
 * same host), then from the top level's `ssh`. known and top_ssh may be NULL.
 */
void spec_host_merge(struct spec_host *host, struct yaml_value *owner, struct yaml_value *known,
		     struct yaml_value *top_ssh, const struct spec_context *context,
		     struct spec_merge *merge);

/* The `ssh` map in the `host` of `owner`; NULL: it has none. */
struct yaml_value *spec_host_own_ssh(const struct yaml_value *owner);

/* Sets url and label from ssh; they stay NULL if ssh has no address or user. */
void spec_host_name(struct spec_host *host);

#endif
