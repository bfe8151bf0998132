#include "common/words.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"

/* A word of a set, which goes by its first. */
struct words {
	UT_hash_handle hh;
	size_t number;
	char text[];
};

static struct words *find(const struct words *set, const char *word)
{
	struct words *found;

	HASH_FIND_STR(set, word, found);
	return found;
}

static struct words *add(struct words **set, const char *text)
{
	size_t len = strlen(text);
	struct words *word = xcalloc(1, sizeof(*word) + len + 1);

	memcpy(word->text, text, len);
	HASH_ADD_KEYPTR(hh, *set, word->text, len, word);
	return word;
}

bool words_add(struct words **set, const char *word)
{
	return !find(*set, word) && add(set, word);
}

size_t *words_number(struct words **set, const char *word)
{
	struct words *found = find(*set, word);

	return found ? &found->number : &add(set, word)->number;
}

bool words_have(const struct words *set, const char *word)
{
	return word && find(set, word);
}

void words_each(const struct words *set, void (*each)(void *arg, const char *word), void *arg)
{
	for (const struct words *word = set; word; word = word->hh.next)
		each(arg, word->text);
}

void words_clear(struct words **set)
{
	struct words *word, *next;

	HASH_ITER (hh, *set, word, next) {
		HASH_DEL(*set, word);
		free(word);
	}
}
