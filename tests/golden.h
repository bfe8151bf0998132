/*
 * Golden cases: each directory of tests/cases/SUBJECT has what is given, and
 * expected.txt, what follows from it. The README there says what is given.
 *
 * After a deliberate change: APILB_UPDATE_CASES=1 make check, and read the diff.
 */
#ifndef APILB_TESTS_GOLDEN_H
#define APILB_TESTS_GOLDEN_H

#include <check.h>

struct yaml_tree;

/* What follows from the case in this directory, for its expected.txt; golden.c frees it. */
typedef char *golden_answer(const char *dir);

/* Adds a test for each case of the subject; a program has one subject. Ends the program if there are none. */
void golden_add(Suite *suite, const char *subject, golden_answer *answer);

/* A file of a case; NULL: there is none. The caller frees. */
char *golden_read(const char *dir, const char *name);
/* The YAML file that each case has. The caller frees. */
struct yaml_tree *golden_tree(const char *dir, const char *name);

#endif
