/*
 * Golden cases: each directory of tests/cases/SUBJECT has what is given, and
 * expected.txt, what follows from it. The README there says what is given.
 *
 * After a deliberate change: APILB_UPDATE_CASES=1 make check, and read the diff.
 */
#ifndef APILB_TESTS_GOLDEN_H
#define APILB_TESTS_GOLDEN_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

struct yaml_tree;
struct yaml_value;

/* What follows from the case in this directory, for its expected.txt; golden.c frees it. */
typedef char *golden_answer(const char *dir);

/* Adds a test for each case of the subject; a program has one subject. Ends the program if there are none.
 * files: "spec.yaml, memory.json", all that a case may have besides expected.txt; NULL: any. */
void golden_add(Suite *suite, const char *subject, const char *files, golden_answer *answer);

/* A file of a case; NULL: there is none. The caller frees. */
char *golden_read(const char *dir, const char *name);
/* The YAML file that each case has. The caller frees. */
struct yaml_tree *golden_tree(const char *dir, const char *name);

/* What a case says by mistake must not be passed over: else the case tests less than it seems to. */

/* keys: "name, host, is": all that may stand in a map. */
bool golden_is_one_of(const char *keys, const char *key);
/* Refuses another value than a map, and a map with other keys. */
void golden_only(const struct yaml_value *map, const char *keys);
/* "yes" or "no"; absent: no. */
bool golden_flag(const struct yaml_value *map, const char *key);

/* A word, and what is set to true when it is given. */
struct golden_word {
	const char *word;
	bool *is;
};
/* `is`: what holds, a word each; without it nothing does. */
void golden_words(const struct yaml_value *map, const struct golden_word *words, size_t n);

#endif
