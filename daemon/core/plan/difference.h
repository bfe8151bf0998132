/*
 * How a container differs from the one that we would make: the part of drift
 * that lies in how the container was made.
 *
 * What we ask for is compared with what the engine reports, in whatever form;
 * docs/drift.md has the list. What an engine adds to every container by itself
 * is no drift: Podman adds to the environment, and any engine can be configured
 * to (containers.conf). So values that nobody asked for count only in a
 * container that we see for the first time, and have not made
 * (observed_container.known): they cannot be added to a container that exists.
 */
#ifndef APILB_CORE_DIFFERENCE_H
#define APILB_CORE_DIFFERENCE_H

#include <stdbool.h>

struct json_object;
struct observed_container;

/*
 * The difference from `create`, the body of our create request: "user is 0,
 * wanted 65534". NULL: none that matters. The caller frees.
 */
char *difference_from_request(const struct observed_container *container, struct json_object *create);

/*
 * The difference in what a create request can override and ours does not:
 * environment and entry point. image: the reply of GET /images/{id}/json. NULL:
 * none. The caller frees.
 */
char *difference_from_image(const struct observed_container *container, struct json_object *image);

/* Whether the container mounts the same of the host as the one that we would make. */
bool difference_mounts_as(const struct observed_container *container, struct json_object *create);

#endif
