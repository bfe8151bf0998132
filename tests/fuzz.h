/* What fuzz targets share. */
#ifndef APILB_TESTS_FUZZ_H
#define APILB_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for any input. */
#define require(truth) ((truth) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #truth))

static inline void fuzz_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

/* The input as a text, which ends at its first NUL; in a block of its own, so that a checker sees any read
 * behind its end. The caller frees. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	return xstrndup(size ? (const char *)data : "", size);
}

/* Takes the first byte off, for what the target has to choose; 0 when there is none. */
static inline unsigned fuzz_choice(const uint8_t **data, size_t *size)
{
	if (*size == 0)
		return 0;
	--*size;
	return *(*data)++;
}

#endif
