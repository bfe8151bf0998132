/*
 * A long list of an engine, taken in as it arrives: finds where each element
 * ends, and parses that one alone. So a list of any length needs no more memory
 * than its longest element may take, and no more time at once than a piece of
 * it. Pure: bytes in, elements out.
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
 * The next bytes. -1: this is not a JSON list of objects (ERR_TRANSIENT), or more
 * than it may be (ERR_PERMANENT); then the reader is of no more use.
 */
int list_reader_feed(struct list_reader *reader, const char *data, size_t len, struct err *err);
/* No more bytes come. -1: the list is not at its end. */
int list_reader_end(const struct list_reader *reader, struct err *err);

#endif
