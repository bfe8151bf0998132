#include "common/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of an array that grows: a power of two. */
#define LEAST_ROOM 4

static void *checked(void *p)
{
	if (!p) {
		/* Nothing here may allocate. */
		fputs("out of memory\n", stderr);
		abort();
	}
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	return checked(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
	return checked(realloc(p, size ? size : 1));
}

void *xreallocarray(void *p, size_t n, size_t size)
{
	if (size && n > SIZE_MAX / size)
		return checked(NULL);
	return xrealloc(p, n * size);
}

void *xgrow(void *array, size_t n, size_t size)
{
	if (n == 0)
		return xreallocarray(array, LEAST_ROOM, size);
	/* It is full when n is LEAST_ROOM or a power of two beyond it. */
	return n >= LEAST_ROOM && (n & (n - 1)) == 0 ? xreallocarray(array, 2 * n, size) : array;
}

char *xstrdup(const char *s)
{
	return s ? checked(strdup(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	return checked(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	return checked(s);
}

void secret_free(char *secret)
{
	if (!secret)
		return;
	explicit_bzero(secret, strlen(secret));
	free(secret);
}
