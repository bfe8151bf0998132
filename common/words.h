/* A set of words, each with a number for whoever counts by it. NULL is the empty set. */
#ifndef APILB_WORDS_H
#define APILB_WORDS_H

#include <stdbool.h>
#include <stddef.h>

struct words;

/* Whether it was not in the set before. */
bool words_add(struct words **set, const char *word);
/* The number of a word. A word that is not in the set is added, with 0. Valid until words_clear. */
size_t *words_number(struct words **set, const char *word);
/* NULL is in no set. */
bool words_have(const struct words *set, const char *word);
/* Calls each for every word, in the order in which they were added. */
void words_each(const struct words *set, void (*each)(void *arg, const char *word), void *arg);
void words_clear(struct words **set);

#endif
