/*
 * State in the form of flexkube's container package, v0.10.0
 * (HostConfiguredContainer): what `state:` of a spec takes, and
 * `apilbctl state export` gives.
 */
#ifndef APILB_CORE_STATE_H
#define APILB_CORE_STATE_H

#include "daemon/core/wanted.h"

struct json_object;

/* One entry of the map. status: the engine's word. Passwords and keys are left out. The caller puts it. */
struct json_object *state_entry_json(const struct wanted *wanted, const char *container_id,
				     const char *status);

#endif
