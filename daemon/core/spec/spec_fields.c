/* Copies, clears and compares structs by their table of fields. */
#include "daemon/core/spec/spec_fields.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

bool field_is_kept(const struct spec_field *f)
{
	switch (f->type->shape) {
	case SHAPE_TEXT:
	case SHAPE_LIST:
	case SHAPE_TEXT_OR_LIST:
		return f->type->storage != NULL;
	case SHAPE_GROUP:
	case SHAPE_POINTER:
		return true;
	default:
		return false;
	}
}

void *field_member(const void *base, const struct spec_field *f)
{
	return (char *)base + f->offset;
}

/* A member may be a pointer of any type: memcpy keeps to C's aliasing rules. */
void *field_pointer(const void *base, const struct spec_field *f)
{
	void *p;

	memcpy(&p, field_member(base, f), sizeof(p));
	return p;
}

void field_set_pointer(void *base, const struct spec_field *f, void *p)
{
	memcpy(field_member(base, f), &p, sizeof(p));
}

size_t field_count(const void *base, const struct spec_field *f)
{
	size_t n;

	memcpy(&n, (const char *)base + f->count_offset, sizeof(n));
	return n;
}

void field_set_list(void *base, const struct spec_field *f, void *elements, size_t n)
{
	field_set_pointer(base, f, elements);
	memcpy((char *)base + f->count_offset, &n, sizeof(n));
}

static void copy_text(const struct spec_field *f, void *to, const void *from)
{
	f->type->storage->copy(field_member(to, f), field_member(from, f));
}

static void copy_list(const struct spec_field *f, void *to, const void *from)
{
	const struct spec_storage *storage = f->type->storage;
	size_t n = field_count(from, f);
	char *elements = n ? xcalloc(n, storage->size) : NULL;
	const char *source = field_pointer(from, f);

	for (size_t i = 0; i < n; i++)
		storage->copy(elements + i * storage->size, source + i * storage->size);
	field_set_list(to, f, elements, n);
}

static void copy_group(const struct spec_field *f, void *to, const void *from)
{
	fields_copy(f->fields, field_member(to, f), field_member(from, f));
}

static void copy_pointer(const struct spec_field *f, void *to, const void *from)
{
	const void *source = field_pointer(from, f);
	void *copy = source ? xcalloc(1, f->fields->size) : NULL;

	if (source)
		fields_copy(f->fields, copy, source);
	field_set_pointer(to, f, copy);
}

static void clear_text(const struct spec_field *f, void *base)
{
	f->type->storage->clear(field_member(base, f));
}

static void clear_list(const struct spec_field *f, void *base)
{
	const struct spec_storage *storage = f->type->storage;
	char *elements = field_pointer(base, f);

	for (size_t i = 0; i < field_count(base, f); i++)
		storage->clear(elements + i * storage->size);
	free(elements);
	field_set_list(base, f, NULL, 0);
}

static void clear_group(const struct spec_field *f, void *base)
{
	fields_clear(f->fields, field_member(base, f));
}

static void clear_pointer(const struct spec_field *f, void *base)
{
	void *sub = field_pointer(base, f);

	if (sub)
		fields_clear(f->fields, sub);
	free(sub);
	field_set_pointer(base, f, NULL);
}

static bool equal_text(const struct spec_field *f, const void *a, const void *b)
{
	return f->type->storage->equal(field_member(a, f), field_member(b, f));
}

static bool equal_list(const struct spec_field *f, const void *a, const void *b)
{
	const struct spec_storage *storage = f->type->storage;
	const char *x = field_pointer(a, f), *y = field_pointer(b, f);
	size_t n = field_count(a, f);

	if (n != field_count(b, f))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!storage->equal(x + i * storage->size, y + i * storage->size))
			return false;
	return true;
}

static bool equal_group(const struct spec_field *f, const void *a, const void *b)
{
	return fields_equal(f->fields, field_member(a, f), field_member(b, f));
}

static bool equal_pointer(const struct spec_field *f, const void *a, const void *b)
{
	const void *x = field_pointer(a, f), *y = field_pointer(b, f);

	return x && y ? fields_equal(f->fields, x, y) : x == y;
}

static const struct {
	void (*copy)(const struct spec_field *f, void *to, const void *from);
	void (*clear)(const struct spec_field *f, void *base);
	bool (*equal)(const struct spec_field *f, const void *a, const void *b);
} shapes[] = {
	[SHAPE_TEXT] = {copy_text, clear_text, equal_text},
	[SHAPE_LIST] = {copy_list, clear_list, equal_list},
	[SHAPE_TEXT_OR_LIST] = {copy_list, clear_list, equal_list},
	[SHAPE_GROUP] = {copy_group, clear_group, equal_group},
	[SHAPE_POINTER] = {copy_pointer, clear_pointer, equal_pointer},
};

void fields_copy(const struct spec_fields *fields, void *to, const void *from)
{
	for (const struct spec_field *f = fields->v; f < fields->v + fields->n; f++)
		if (field_is_kept(f))
			shapes[f->type->shape].copy(f, to, from);
}

void fields_clear(const struct spec_fields *fields, void *base)
{
	for (const struct spec_field *f = fields->v; f < fields->v + fields->n; f++)
		if (field_is_kept(f))
			shapes[f->type->shape].clear(f, base);
}

bool fields_equal(const struct spec_fields *fields, const void *a, const void *b)
{
	for (const struct spec_field *f = fields->v; f < fields->v + fields->n; f++)
		if (field_is_kept(f) && !shapes[f->type->shape].equal(f, a, b))
			return false;
	return true;
}

void field_store_fallback(const struct spec_field *f, void *base)
{
	const struct spec_storage *storage = f->type->storage;
	char *words, *word, *rest, *elements = NULL;
	size_t n = 0;

	if (f->type->shape == SHAPE_TEXT) {
		storage->store(field_member(base, f), f->fallback);
		return;
	}
	words = xstrdup(f->fallback);
	for (word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		elements = xreallocarray(elements, n + 1, storage->size);
		storage->store(elements + n++ * storage->size, word);
	}
	field_set_list(base, f, elements, n);
	free(words);
}
