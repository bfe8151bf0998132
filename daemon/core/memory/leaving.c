#include "daemon/core/memory/leaving.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

static size_t find(const struct leaving *leaving, const char *id)
{
	size_t i = 0;

	while (i < leaving->n && strcmp(leaving->v[i].id, id) != 0)
		i++;
	return i;
}

int64_t leaving_since(const struct leaving *leaving, const char *id, int64_t now_ms)
{
	size_t i = find(leaving, id);

	return i < leaving->n ? leaving->v[i].since_ms : now_ms;
}

bool leaving_told_since(const struct leaving *leaving, int64_t ms)
{
	for (size_t i = 0; i < leaving->n; i++)
		if (leaving->v[i].since_ms >= ms)
			return true;
	return false;
}

bool leaving_has(const struct leaving *leaving, const char *id)
{
	return find(leaving, id) < leaving->n;
}

void leaving_add(struct leaving *leaving, const char *id, int64_t since_ms, const char *started_at)
{
	leaving->v = xreallocarray(leaving->v, leaving->n + 1, sizeof(*leaving->v));
	leaving->v[leaving->n].id = xstrdup(id);
	leaving->v[leaving->n].started_at = xstrdup(started_at);
	leaving->v[leaving->n++].since_ms = since_ms;
}

bool leaving_returned(const struct leaving *leaving, const char *id, const char *started_at)
{
	size_t i = find(leaving, id);

	return i < leaving->n && leaving->v[i].started_at && started_at &&
	       strcmp(leaving->v[i].started_at, started_at) != 0;
}

void leaving_copy_of(struct leaving *to, const struct leaving *from, const char *id)
{
	size_t i = find(from, id);

	if (i < from->n)
		leaving_add(to, id, from->v[i].since_ms, from->v[i].started_at);
}

void leaving_copy(struct leaving *to, const struct leaving *from)
{
	*to = (struct leaving){0};
	for (size_t i = 0; i < from->n; i++)
		leaving_add(to, from->v[i].id, from->v[i].since_ms, from->v[i].started_at);
}

void leaving_clear(struct leaving *leaving)
{
	for (size_t i = 0; i < leaving->n; i++) {
		free(leaving->v[i].id);
		free(leaving->v[i].started_at);
	}
	free(leaving->v);
	*leaving = (struct leaving){0};
}
