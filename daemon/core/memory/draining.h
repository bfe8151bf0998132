/*
 * Draining containers: which were told to drain after a successor took over, when, and which start
 * of their HAProxy was told. HAProxy ends by itself at hard-stop-after; this is for one that does
 * not (it hangs, or somebody else wrote its config). It is not stored: after a restart of apilbd
 * each draining container is told once more.
 */
#ifndef APILB_CORE_DRAINING_H
#define APILB_CORE_DRAINING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct draining {
	struct {
		char *id;
		int64_t since_ms; /* monotonic clock */
		char *started_at; /* the engine's clock, verbatim; NULL: not known */
	} * v;
	size_t n;
};

/* When the container was told to drain; now_ms if it is not in the list. */
int64_t draining_since(const struct draining *draining, const char *id, int64_t now_ms);
/* Whether a container was told to drain at this time or later. */
bool draining_told_since(const struct draining *draining, int64_t ms);
bool draining_has(const struct draining *draining, const char *id);
void draining_add(struct draining *draining, const char *id, int64_t since_ms, const char *started_at);
/* Whether the engine has started the container again since it was told to drain. */
bool draining_returned(const struct draining *draining, const char *id, const char *started_at);
/* Adds to `to` what `from` knows of this container, if anything. */
void draining_copy_of(struct draining *to, const struct draining *from, const char *id);
void draining_copy(struct draining *to, const struct draining *from);
void draining_clear(struct draining *draining);

#endif
