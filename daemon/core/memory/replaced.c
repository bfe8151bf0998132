#include "daemon/core/memory/replaced.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"

void replaced_note(struct replaced *replaced, const char *id, const char *reason, const char *version)
{
	replaced_clear(replaced);
	replaced->id = xstrdup(id);
	replaced->reason = xstrdup(reason);
	memcpy(replaced->version, version, sizeof(replaced->version));
}

void replaced_helped(struct replaced *replaced, const char *id)
{
	if (replaced_is(replaced, id))
		FREE(replaced->reason);
}

bool replaced_is(const struct replaced *replaced, const char *id)
{
	return text_equal(replaced->id, id);
}

const char *replaced_reason(const struct replaced *replaced, const char *id, const char *version)
{
	return replaced_is(replaced, id) && strcmp(replaced->version, version) == 0 ? replaced->reason : NULL;
}

void replaced_copy(struct replaced *to, const struct replaced *from)
{
	*to = *from;
	to->id = xstrdup(from->id);
	to->reason = xstrdup(from->reason);
}

void replaced_clear(struct replaced *replaced)
{
	free(replaced->id);
	free(replaced->reason);
	*replaced = (struct replaced){0};
}
