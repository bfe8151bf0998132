/*
 * Which balancer takes over each container of `state`: the balancer on its host with its name.
 * Else, as in flexkube, the balancer at the index that is the entry's key, if its host or its name
 * agrees: then it was renamed, or its host is written in another way now.
 */
#ifndef APILB_CORE_SPEC_STATE_H
#define APILB_CORE_SPEC_STATE_H

#include <stdbool.h>

#include "daemon/core/spec/spec.h"

/*
 * Sets `adopted` and `takes_file_over` of instances, and `instance` of entries. The spec has no
 * errors.
 */
void spec_state_match(struct spec *spec);

/*
 * Whether the entry's container is to be removed from its host: no balancer
 * takes it over, or the one that does is on another host. That host may be the
 * same machine by another address, so whoever removes the container must make
 * sure that nobody wants it.
 */
bool spec_state_is_left(const struct spec_state_entry *entry);

/* Whether an entry's ID, which may be abbreviated, is this container's. Neither may be NULL. */
bool spec_state_means(const char *entry_id, const char *container_id);

#endif
