/*
 * Containers that were succeeded and told to leave with their last connections:
 * since when, and when the HAProxy that was told so had been started. HAProxy itself ends at its
 * hard-stop-after; this is for one that does not (it hangs, or somebody else wrote its config). It does not
 * outlive the daemon: whoever is not in it is told once more.
 */
#ifndef APILB_CORE_LEAVING_H
#define APILB_CORE_LEAVING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct leaving {
	struct {
		char *id;
		int64_t since_ms; /* monotonic clock */
		char *started_at; /* the engine's clock, verbatim; NULL: not known */
	} * v;
	size_t n;
};

/* Since when the container has been leaving, as far as is known; now_ms when it is new. */
int64_t leaving_since(const struct leaving *leaving, const char *id, int64_t now_ms);
/* Whether a container was told to leave at this time or later. */
bool leaving_told_since(const struct leaving *leaving, int64_t ms);
bool leaving_has(const struct leaving *leaving, const char *id);
void leaving_add(struct leaving *leaving, const char *id, int64_t since_ms, const char *started_at);
/* It was told to leave, and is not the one any more that was told so: the engine has started it again. */
bool leaving_returned(const struct leaving *leaving, const char *id, const char *started_at);
/* What is known of this container, to be handed on. */
void leaving_copy_of(struct leaving *to, const struct leaving *from, const char *id);
void leaving_copy(struct leaving *to, const struct leaving *from);
void leaving_clear(struct leaving *leaving);

#endif
