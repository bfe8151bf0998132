/*
 * Which balancer each container of `state` is handed over to: the one on its
 * host that has its name; else, as with flexkube, the one whose place in the list
 * is the entry's key, if host or name agree (it got another name, or its host is
 * called something else now).
 */
#ifndef APILB_CORE_SPEC_STATE_H
#define APILB_CORE_SPEC_STATE_H

#include <stdbool.h>

#include "daemon/core/spec/spec.h"

/* Sets `adopted` and `takes_file_over` of instances and `instance` of entries. The spec must be free of
 * errors. */
void spec_state_match(struct spec *spec);

/*
 * Whether the container is to leave the host that the entry names: no balancer
 * takes it over, or one does that is elsewhere (or reaches this very host by
 * another address: who removes it has to make sure that it does not).
 */
bool spec_state_is_left(const struct spec_state_entry *entry);

/* Whether an entry's ID, which may be cut short, is this container's. Neither may be NULL. */
bool spec_state_means(const char *entry_id, const char *container_id);

#endif
