/*
 * Reads an engine's long list while it arrives: finds the end of each element,
 * and parses the element alone. So a list of any length takes the memory of its
 * longest element, and the time of one piece at once. Pure: bytes in, elements
 * out.
 */
#ifndef APILB_IO_DOCKER_LIST_H
#define APILB_IO_DOCKER_LIST_H

#include <stddef.h>

#include "common/err.h"
#include "common/json.h"

struct json_object;
struct list_reader;

struct list_limits {
	size_t elements;
	struct json_limits element; /* bytes must be set */
};

/* element: valid only within the callback, which must not free the reader. */
typedef void list_element_fn(void *arg, struct json_object *element);

/* limits outlives the reader. */
struct list_reader *list_reader_new(const struct list_limits *limits, list_element_fn *each, void *arg);
void list_reader_free(struct list_reader *reader); /* NULL is fine */

/*
 * Takes the next bytes. -1: they are not a JSON list of objects (ERR_TRANSIENT), or the list exceeds its
 * limits (ERR_PERMANENT); after that the reader may only be freed.
 */
int list_reader_feed(struct list_reader *reader, const char *data, size_t len, struct err *err);
/* No more bytes come. -1: the list is not complete. */
int list_reader_end(const struct list_reader *reader, struct err *err);

#endif
