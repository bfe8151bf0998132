#include "daemon/leaving.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

int64_t leaving_since(const struct leaving *leaving, const char *id, int64_t now_ms)
{
	for (size_t i = 0; i < leaving->n; i++)
		if (strcmp(leaving->v[i].id, id) == 0)
			return leaving->v[i].since_ms;
	return now_ms;
}

bool leaving_has(const struct leaving *leaving, const char *id)
{
	for (size_t i = 0; i < leaving->n; i++)
		if (strcmp(leaving->v[i].id, id) == 0)
			return true;
	return false;
}

void leaving_add(struct leaving *leaving, const char *id, int64_t since_ms)
{
	leaving->v = xreallocarray(leaving->v, leaving->n + 1, sizeof(*leaving->v));
	leaving->v[leaving->n].id = xstrdup(id);
	leaving->v[leaving->n++].since_ms = since_ms;
}

void leaving_copy(struct leaving *to, const struct leaving *from)
{
	*to = (struct leaving){0};
	for (size_t i = 0; i < from->n; i++)
		leaving_add(to, from->v[i].id, from->v[i].since_ms);
}

void leaving_clear(struct leaving *leaving)
{
	for (size_t i = 0; i < leaving->n; i++)
		free(leaving->v[i].id);
	free(leaving->v);
	*leaving = (struct leaving){0};
}
