#include "daemon/core/container_name.h"

#include <stddef.h>
#include <string.h>

#include "common/mem.h"

#define ID_DIGITS 8

/* What is appended to the balancer's name: a text, and a number of hexadecimal digits. */
static const struct {
	const char *text;
	size_t digits;
} suffixes[] = {
	[CONTAINER_NEXT] = {"-apilb-next", 0},
	[CONTAINER_HELPER] = {"-apilb-helper", 0},
	[CONTAINER_OLD] = {"-apilb-old-", ID_DIGITS},
};

char *container_next_name(const char *name)
{
	return xasprintf("%s%s", name, suffixes[CONTAINER_NEXT].text);
}

char *container_helper_name(const char *name)
{
	return xasprintf("%s%s", name, suffixes[CONTAINER_HELPER].text);
}

char *container_old_name(const char *name, const char *id)
{
	return xasprintf("%s%s%.*s", name, suffixes[CONTAINER_OLD].text, ID_DIGITS, id);
}

/* The length of the balancer's name in front of this suffix; 0: the name does not have the suffix. */
static size_t balancer_length(const char *name, enum container_role role)
{
	size_t len = strlen(name), suffix_len = strlen(suffixes[role].text), digits = suffixes[role].digits;

	if (len <= suffix_len + digits || strspn(name + len - digits, "0123456789abcdef") != digits)
		return 0;
	len -= suffix_len + digits;
	return strncmp(name + len, suffixes[role].text, suffix_len) == 0 ? len : 0;
}

enum container_role container_role_of(const char *container_name, char **name)
{
	enum container_role role = CONTAINER_BALANCER;
	size_t len = strlen(container_name);

	for (size_t i = CONTAINER_NEXT; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		size_t found = balancer_length(container_name, i);

		if (found > 0) {
			role = i;
			len = found;
		}
	}
	if (name)
		*name = xstrndup(container_name, len);
	return role;
}
