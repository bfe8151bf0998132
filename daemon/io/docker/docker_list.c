#include "daemon/io/docker/docker_list.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* Where in the list the reader is, and which character may come next. */
enum place {
	BEFORE,    /* [ */
	FIRST,     /* { or ] */
	NEXT,      /* { */
	IN,        /* any: within an element */
	SEPARATOR, /* , or ] */
	AFTER,     /* none */
};

struct list_reader {
	const struct list_limits *limits;
	list_element_fn *each;
	void *arg;
	enum place place;
	size_t depth;    /* IN: number of open brackets */
	bool in_string;  /* IN */
	bool is_escaped; /* IN, in_string: the next character ends nothing */
	char *element;   /* the bytes of the element so far */
	size_t len;
	size_t n; /* elements so far */
};

struct list_reader *list_reader_new(const struct list_limits *limits, list_element_fn *each, void *arg)
{
	struct list_reader *reader = xcalloc(1, sizeof(*reader));

	reader->limits = limits;
	reader->each = each;
	reader->arg = arg;
	return reader;
}

void list_reader_free(struct list_reader *reader)
{
	if (!reader)
		return;
	free(reader->element);
	free(reader);
}

/* The place that a character leads to; a character that has no row at its place is an error. */
static const struct way {
	enum place from;
	char c;
	enum place to;
} ways[] = {
	{BEFORE, '[', FIRST}, {FIRST, '{', IN},       {FIRST, ']', AFTER},
	{NEXT, '{', IN},      {SEPARATOR, ',', NEXT}, {SEPARATOR, ']', AFTER},
};

static int step(struct list_reader *reader, char c, struct err *err)
{
	if (strchr(" \t\r\n", c) && c)
		return 0;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (ways[i].from != reader->place || ways[i].c != c)
			continue;
		reader->place = ways[i].to;
		return 0;
	}
	return err_set(err, ERR_TRANSIENT, "not a list of JSON objects: unexpected character");
}

/* Counts brackets of both kinds together: json-c checks in the end whether they match. */
static bool ends_element(struct list_reader *reader, char c)
{
	if (reader->in_string) {
		if (!reader->is_escaped && c == '"')
			reader->in_string = false;
		reader->is_escaped = !reader->is_escaped && c == '\\';
		return false;
	}
	if (c == '"')
		reader->in_string = true;
	else if (c == '{' || c == '[')
		reader->depth++;
	else if (c == '}' || c == ']')
		return --reader->depth == 0;
	return false;
}

static int keep(struct list_reader *reader, const char *data, size_t len, struct err *err)
{
	size_t limit = reader->limits->element.bytes;

	if (len > limit - reader->len)
		return err_set(err, ERR_PERMANENT, "element %zu of the list is larger than %zu bytes",
			       reader->n + 1, limit);
	if (!reader->element)
		reader->element = xcalloc(1, limit);
	memcpy(reader->element + reader->len, data, len);
	reader->len += len;
	return 0;
}

static int deliver(struct list_reader *reader, struct err *err)
{
	struct json_object *element;

	if (++reader->n > reader->limits->elements)
		return err_set(err, ERR_PERMANENT, "the list has more than %zu elements",
			       reader->limits->elements);
	element = json_parse(reader->element, reader->len, &reader->limits->element, err);
	if (!element)
		return err_prefix(err, "element %zu of the list", reader->n);
	reader->len = 0;
	reader->place = SEPARATOR;
	reader->each(reader->arg, element);
	json_object_put(element);
	return 0;
}

/* Takes the bytes of an element, up to its end at most. Returns their number; 0 on error. */
static size_t feed_element(struct list_reader *reader, const char *data, size_t len, struct err *err)
{
	bool ends = false;
	size_t n = 0;

	while (n < len && !ends)
		ends = ends_element(reader, data[n++]);
	if (keep(reader, data, n, err) < 0 || (ends && deliver(reader, err) < 0))
		return 0;
	return n;
}

int list_reader_feed(struct list_reader *reader, const char *data, size_t len, struct err *err)
{
	while (len > 0) {
		size_t n = 1;

		if (reader->place != IN && step(reader, *data, err) < 0)
			return -1;
		if (reader->place == IN && (n = feed_element(reader, data, len, err)) == 0)
			return -1;
		data += n;
		len -= n;
	}
	return 0;
}

int list_reader_end(const struct list_reader *reader, struct err *err)
{
	if (reader->place == AFTER)
		return 0;
	return err_set(err, ERR_TRANSIENT, "not a list of JSON objects: unexpected end of data");
}
