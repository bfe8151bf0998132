#include "daemon/core/memory/draining.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

static size_t find(const struct draining *draining, const char *id)
{
	size_t i = 0;

	while (i < draining->n && strcmp(draining->v[i].id, id) != 0)
		i++;
	return i;
}

int64_t draining_since(const struct draining *draining, const char *id, int64_t now_ms)
{
	size_t i = find(draining, id);

	return i < draining->n ? draining->v[i].since_ms : now_ms;
}

bool draining_told_since(const struct draining *draining, int64_t ms)
{
	for (size_t i = 0; i < draining->n; i++)
		if (draining->v[i].since_ms >= ms)
			return true;
	return false;
}

bool draining_has(const struct draining *draining, const char *id)
{
	return find(draining, id) < draining->n;
}

void draining_add(struct draining *draining, const char *id, int64_t since_ms, const char *started_at)
{
	draining->v = xreallocarray(draining->v, draining->n + 1, sizeof(*draining->v));
	draining->v[draining->n].id = xstrdup(id);
	draining->v[draining->n].started_at = xstrdup(started_at);
	draining->v[draining->n++].since_ms = since_ms;
}

bool draining_returned(const struct draining *draining, const char *id, const char *started_at)
{
	size_t i = find(draining, id);

	return i < draining->n && draining->v[i].started_at && started_at &&
	       strcmp(draining->v[i].started_at, started_at) != 0;
}

void draining_copy_of(struct draining *to, const struct draining *from, const char *id)
{
	size_t i = find(from, id);

	if (i < from->n)
		draining_add(to, id, from->v[i].since_ms, from->v[i].started_at);
}

void draining_copy(struct draining *to, const struct draining *from)
{
	*to = (struct draining){0};
	for (size_t i = 0; i < from->n; i++)
		draining_add(to, from->v[i].id, from->v[i].since_ms, from->v[i].started_at);
}

void draining_clear(struct draining *draining)
{
	for (size_t i = 0; i < draining->n; i++) {
		free(draining->v[i].id);
		free(draining->v[i].started_at);
	}
	free(draining->v);
	*draining = (struct draining){0};
}
