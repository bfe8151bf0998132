/*
 * Allocation that cannot fail: out of memory ends the process. The store is
 * durable and systemd restarts the daemon, so no code path handles ENOMEM.
 */
#ifndef APILB_MEM_H
#define APILB_MEM_H

#include <stddef.h>

void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
/* Room for n elements of `size` bytes; dies on overflow of the product. */
void *xreallocarray(void *p, size_t n, size_t size);
/* The array of n elements, with room for one more. The room doubles, so that appending many one by one is
 * cheap. An array that grows by xgrow gets its room from nothing else. */
void *xgrow(void *array, size_t n, size_t size);
/* For NULL it returns NULL, so that optional strings need no test. */
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Frees *p and sets it to NULL. */
#define FREE(p)             \
	do {                \
		free(p);    \
		(p) = NULL; \
	} while (0)

/* Overwrites a secret before it is freed; the compiler cannot drop it. NULL is fine. */
void secret_free(char *secret);

#endif
