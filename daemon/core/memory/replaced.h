/*
 * Whether replacing a container has helped.
 *
 * The container that we made last, and why. When the same is still the matter
 * with it, for what it was made for, another one will be no better: the engine,
 * or something between it and us, makes of our request something else. Each
 * replacement costs connections, so there is none for the same reason until
 * something is different: the spec, the container, or once all was well with it.
 */
#ifndef APILB_CORE_REPLACED_H
#define APILB_CORE_REPLACED_H

#include <stdbool.h>

#include "daemon/core/hash.h"

struct replaced {
	char *id;                      /* NULL: we have made none */
	char *reason;                  /* NULL: it was right meanwhile */
	char version[SHA256_HEX_SIZE]; /* of the struct wanted that it was made for */
};

/* This container was made for this version, for this reason. */
void replaced_note(struct replaced *replaced, const char *id, const char *reason, const char *version);
/* It is as wanted: what comes now is something new. */
void replaced_helped(struct replaced *replaced, const char *id);
/* Made by us. */
bool replaced_is(const struct replaced *replaced, const char *id);
/* Why that container was made for this version, which nobody has seen helping; NULL: it was not, or it did.
 */
const char *replaced_reason(const struct replaced *replaced, const char *id, const char *version);
void replaced_copy(struct replaced *to, const struct replaced *from);
void replaced_clear(struct replaced *replaced);

#endif
