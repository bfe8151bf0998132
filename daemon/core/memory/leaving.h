/*
 * Draining containers: which were told to drain after a successor took over, when, and which start
 * of their HAProxy was told. HAProxy ends by itself at hard-stop-after; this is for one that does
 * not (it hangs, or somebody else wrote its config). It is not stored: after a restart of apilbd
 * each draining container is told once more.
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

/* When the container was told to drain; now_ms if it is not in the list. */
int64_t leaving_since(const struct leaving *leaving, const char *id, int64_t now_ms);
/* Whether a container was told to drain at this time or later. */
bool leaving_told_since(const struct leaving *leaving, int64_t ms);
bool leaving_has(const struct leaving *leaving, const char *id);
void leaving_add(struct leaving *leaving, const char *id, int64_t since_ms, const char *started_at);
/* Whether the engine has started the container again since it was told to drain. */
bool leaving_returned(const struct leaving *leaving, const char *id, const char *started_at);
/* Adds to `to` what `from` knows of this container, if anything. */
void leaving_copy_of(struct leaving *to, const struct leaving *from, const char *id);
void leaving_copy(struct leaving *to, const struct leaving *from);
void leaving_clear(struct leaving *leaving);

#endif
