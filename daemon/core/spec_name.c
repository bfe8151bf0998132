#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec.h"

/* What may stand in a name: it goes into labels, ids and file names unescaped. */
static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
static const char *const endings[] = {".yaml", ".yml"};

char *spec_name_from_file(const char *basename)
{
	size_t len = strlen(basename);

	if (basename[0] == '.' || basename[strspn(basename, allowed)])
		return NULL;
	for (size_t i = 0; i < sizeof(endings) / sizeof(*endings); i++) {
		size_t ending = strlen(endings[i]);

		if (len > ending && strcmp(basename + len - ending, endings[i]) == 0)
			return xstrndup(basename, len - ending);
	}
	return NULL;
}
