#include "daemon/core/memory/refused.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/schedule.h"

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

void refused_take(struct refused *refused, struct refused *learned, const char *version,
		  const struct err *err, int64_t now_ms)
{
	/* Only a run that has tried the version counts. */
	bool in_vain = refused_is(learned, version) && err->kind != ERR_NONE && !learned->why;

	if (strcmp(refused->version, learned->version) != 0) {
		refused_clear(refused);
		memcpy(refused->version, learned->version, sizeof(refused->version));
	}
	refused_clear(learned);
	if (!in_vain)
		return;
	/* The first retry is immediate: it goes another way (plan.c). */
	refused->until_ms = now_ms;
	if (refused->times > 0)
		refused->until_ms += schedule_doubled_ms(REFUSED_FIRST_MS, refused->times, REFUSED_MAX_MS);
	refused->times++;
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
