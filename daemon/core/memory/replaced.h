/*
 * Whether replacing a container has helped: the container that we made last,
 * and why.
 *
 * If that container has the same fault again, for the same version, another
 * container would be no better: the engine, or something in between, changes
 * our request. Each replacement costs connections. So no second replacement
 * follows for the same reason, until the spec or the container is another one,
 * or the container was right in between.
 */
#ifndef APILB_CORE_REPLACED_H
#define APILB_CORE_REPLACED_H

#include <stdbool.h>

#include "daemon/core/hash.h"

struct replaced {
	char *id;                      /* the container; NULL: we have made none */
	char *reason;                  /* why it was made; NULL: it has been right since */
	char version[SHA256_HEX_SIZE]; /* of the struct wanted for which it was made */
};

/* We have made this container, for this version and this reason. */
void replaced_note(struct replaced *replaced, const char *id, const char *reason, const char *version);
/* The container is right: a later difference is a new reason. */
void replaced_helped(struct replaced *replaced, const char *id);
/* Whether it is the container that we made last. */
bool replaced_is(const struct replaced *replaced, const char *id);
/* Why the container was made, if it was made for this version and has not been right since; else NULL. */
const char *replaced_reason(const struct replaced *replaced, const char *id, const char *version);
void replaced_copy(struct replaced *to, const struct replaced *from);
void replaced_clear(struct replaced *replaced);

#endif
