#include "daemon/core/memory/refused.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

void refused_note(struct refused *refused, const char *version)
{
	memcpy(refused->version, version, sizeof(refused->version));
}

void refused_taken(struct refused *refused)
{
	refused->version[0] = '\0';
}

bool refused_is(const struct refused *refused, const char *version)
{
	return version && refused->version[0] && strcmp(refused->version, version) == 0;
}

const char *refused_why(const struct refused *refused, const char *version)
{
	return refused_is(refused, version) ? refused->why : NULL;
}

void refused_lend(struct refused *lent, const char *version, int64_t now_ms)
{
	if (!refused_is(lent, version) || now_ms >= lent->until_ms)
		FREE(lent->why);
}

static int64_t delay_ms(unsigned times)
{
	int64_t ms = REFUSED_FIRST_MS;

	if (times == 0)
		return 0;
	for (unsigned i = 1; i < times && ms < REFUSED_MAX_MS; i++)
		ms *= 2;
	return ms < REFUSED_MAX_MS ? ms : REFUSED_MAX_MS;
}

void refused_take(struct refused *refused, struct refused *learned, const char *version,
		  const struct err *err, int64_t now_ms)
{
	/* Only a run that has tried counts. */
	bool in_vain = refused_is(learned, version) && err->kind != ERR_NONE && !learned->why;

	if (strcmp(refused->version, learned->version) != 0) {
		refused_clear(refused);
		memcpy(refused->version, learned->version, sizeof(refused->version));
	}
	refused_clear(learned);
	if (!in_vain)
		return;
	refused->until_ms = now_ms + delay_ms(refused->times++);
	free(refused->why);
	refused->why = xstrdup(err->message);
}

void refused_copy(struct refused *to, const struct refused *from)
{
	*to = *from;
	to->why = xstrdup(from->why);
}

void refused_clear(struct refused *refused)
{
	free(refused->why);
	*refused = (struct refused){0};
}
