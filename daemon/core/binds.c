#include "daemon/core/binds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec/spec_syntax.h"

char *binds_text(const struct spec_bind *binds, size_t n)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < n; i++) {
		char *longer = xasprintf(binds[i].ipv6 ? "%s%s[%s]:%u" : "%s%s%s:%u", text, i > 0 ? " " : "",
					 binds[i].ip, binds[i].port);

		free(text);
		text = longer;
	}
	return text;
}

struct spec_bind *binds_parse(const char *text, size_t *n)
{
	struct spec_bind *binds = NULL;
	char *copy = xstrdup(text), *rest = copy, *word;

	*n = 0;
	while ((word = strsep(&rest, " ")) != NULL) {
		struct spec_bind bind;
		struct err err;

		if (bind_parse(word, &bind, &err) < 0)
			continue;
		binds = xgrow(binds, *n, sizeof(*binds));
		binds[(*n)++] = bind;
	}
	free(copy);
	return binds;
}

void binds_free(struct spec_bind *binds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bind_clear(&binds[i]);
	free(binds);
}

static bool is_wildcard(const struct spec_bind *bind)
{
	return strcmp(bind->ip, "*") == 0 || strcmp(bind->ip, "0.0.0.0") == 0 || strcmp(bind->ip, "::") == 0;
}

static bool covers(const struct spec_bind *bind, const struct spec_bind *address)
{
	return bind->port == address->port && (is_wildcard(bind) || strcmp(bind->ip, address->ip) == 0);
}

bool binds_cover(const struct spec_bind *binds, size_t n, const struct spec_bind *address)
{
	for (size_t i = 0; i < n; i++)
		if (covers(&binds[i], address))
			return true;
	return false;
}

bool binds_meet(const struct spec_bind *binds, size_t n, const struct spec_bind *address)
{
	for (size_t i = 0; i < n; i++)
		if (covers(&binds[i], address) || covers(address, &binds[i]))
			return true;
	return false;
}
