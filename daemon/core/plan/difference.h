/*
 * In what a container differs from the one that we would make: drift, as far as
 * it lies in how the container was made.
 *
 * What we ask for is compared with what the engine says, in whatever form it
 * says it; docs/drift.md has the list. What an engine adds by itself to what
 * every container has is no drift: Podman adds to the environment, and any
 * engine may be told to (containers.conf). So the rest, which nobody asked for,
 * is looked at only in a container that is new to us, and that we have not made
 * (observed_container.known): it cannot be added to one that is there.
 */
#ifndef APILB_CORE_DIFFERENCE_H
#define APILB_CORE_DIFFERENCE_H

#include <stdbool.h>

struct json_object;
struct observed_container;

/*
 * From the create request that we would send (its body): "user is 0, wanted
 * 65534"; NULL when in nothing that matters. The caller frees.
 */
char *difference_from_request(const struct observed_container *container, struct json_object *create);

/*
 * The same for what a create request can lay over the image, and ours does not:
 * environment and entry point. image: the reply of GET /images/{id}/json.
 */
char *difference_from_image(const struct observed_container *container, struct json_object *image);

/* Whether it sees the same of the host as one that we would make. */
bool difference_mounts_as(const struct observed_container *container, struct json_object *create);

#endif
