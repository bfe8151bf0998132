/* A reply in which one thing is not as it should be. */
#ifndef APILB_TESTS_LIES_H
#define APILB_TESTS_LIES_H

#include <stddef.h>

/* What stands for no JSON: the value goes, with its key; or it is there twice. */
#define LIE_ABSENT "-"
#define LIE_TWICE "+"

/*
 * The JSON text `reply` with its n-th value, counted through all of it (the 0th
 * is the reply itself), replaced by the JSON text `lie`; the caller frees. NULL:
 * it has no such value, or is no JSON.
 */
char *lie_about(const char *reply, size_t n, const char *lie);

#endif
