#include "daemon/core/memory/accepted.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/hash.h"

/*
 * The list has one word per pair, the beginning of the pair's hash, newest first, each followed by
 * a blank.
 */
#define WORD 16

static void word_of(const char *image_id, const char *config_sha256, char word[WORD + 2])
{
	char *both = xasprintf("%s %s", image_id, config_sha256);
	char hash[SHA256_HEX_SIZE];

	sha256_hex(both, strlen(both), hash);
	memcpy(word, hash, WORD);
	memcpy(word + WORD, " ", 2);
	free(both);
}

bool accepted_has(const char *list, const char *image_id, const char *config_sha256)
{
	char word[WORD + 2];

	word_of(image_id, config_sha256, word);
	return list && strstr(list, word);
}

void accepted_add(char **list, const char *image_id, const char *config_sha256)
{
	char word[WORD + 2];
	char *longer;

	if (accepted_has(*list, image_id, config_sha256))
		return;
	word_of(image_id, config_sha256, word);
	longer = xasprintf("%s%s", word, *list ? *list : "");
	if (strlen(longer) > (size_t)ACCEPTED_MAX * (WORD + 1))
		longer[(size_t)ACCEPTED_MAX * (WORD + 1)] = '\0';
	free(*list);
	*list = longer;
}
