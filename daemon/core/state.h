/*
 * State in the format of flexkube's container package, v0.10.0
 * (HostConfiguredContainer): a spec's `state:` takes it, and `apilbctl state
 * export` prints it.
 */
#ifndef APILB_CORE_STATE_H
#define APILB_CORE_STATE_H

#include "daemon/core/wanted.h"

struct json_object;

/* One entry of the map, without passwords and keys. status: the engine's word. The caller puts it. */
struct json_object *state_entry_json(const struct wanted *wanted, const char *container_id,
				     const char *status);

#endif
