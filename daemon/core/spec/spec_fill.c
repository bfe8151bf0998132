/* Merges maps of the document, and defaults, into a struct. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec/spec_fields.h"

bool value_given(const struct yaml_value *value)
{
	if (!value || value->null)
		return false;
	return value->kind == YAML_MAP || (value->kind == YAML_LIST ? value->n > 0 : *value->text != '\0');
}

struct yaml_value *given(const struct yaml_value *map, const char *key)
{
	struct yaml_value *value = yaml_map_get(map, key);

	return value_given(value) ? value : NULL;
}

struct spec_layers layers_under(const struct spec_layers *layers, const char *key)
{
	struct spec_layers under;

	for (size_t i = 0; i < SPEC_MAX_LAYERS; i++)
		under.map[i] = given(layers->map[i], key);
	return under;
}

const struct yaml_value *layers_first(const struct spec_layers *layers)
{
	for (size_t i = 0; i < SPEC_MAX_LAYERS; i++)
		if (layers->map[i])
			return layers->map[i];
	return NULL;
}

/* The first layer that gives the field, or its rival, decides. */
static const struct yaml_value *pick(const struct spec_field *f, const struct spec_layers *layers)
{
	for (size_t i = 0; i < SPEC_MAX_LAYERS; i++) {
		const struct yaml_value *value = given(layers->map[i], f->key);

		if (value)
			return value;
		if (f->rival && given(layers->map[i], f->rival))
			return NULL;
	}
	return NULL;
}

bool layers_broken(const struct spec_layers *layers)
{
	for (size_t i = 0; i < SPEC_MAX_LAYERS; i++)
		if (layers->map[i] && layers->map[i]->marked)
			return true;
	return false;
}

static void store_list(const struct spec_field *f, void *base, const struct yaml_value *value,
		       struct spec_merge *merge)
{
	const struct spec_storage *storage = f->type->storage;
	size_t n = value->kind == YAML_LIST ? value->n : 1;
	char *elements = xcalloc(n, storage->size);
	size_t kept = 0;

	merge->items += n;
	for (size_t i = 0; i < n; i++) {
		const struct yaml_value *item = value->kind == YAML_LIST ? value->items[i] : value;

		if (item->marked)
			continue;
		storage->store(elements + kept++ * storage->size, item->text);
		merge->bytes += strlen(item->text) + storage->size;
	}
	field_set_list(base, f, elements, kept);
}

static void store(const struct spec_field *f, void *base, const struct yaml_value *value,
		  struct spec_merge *merge)
{
	if (f->type->shape != SHAPE_TEXT) {
		store_list(f, base, value, merge);
		return;
	}
	f->type->storage->store(field_member(base, f), value->text);
	merge->bytes += strlen(value->text);
}

static void fill_value(const struct spec_field *f, void *base, const struct spec_layers *layers,
		       struct spec_merge *merge)
{
	const struct yaml_value *value = pick(f, layers);

	if (value && value->marked)
		return;
	if (value)
		store(f, base, value, merge);
	else if (f->fallback)
		field_store_fallback(f, base);
	else if (f->missing && !layers_broken(layers))
		report_at(merge->report, merge->at, "%s", f->missing);
}

static void fill_pointer(const struct spec_field *f, void *base, const struct spec_layers *layers,
			 struct spec_merge *merge)
{
	struct spec_layers under = layers_under(layers, f->key);
	const struct yaml_value *outer = merge->at;
	void *sub;

	if (!layers_first(&under))
		return;
	merge->at = layers_first(&under);
	sub = xcalloc(1, f->fields->size);
	field_set_pointer(base, f, sub);
	merge->bytes += f->fields->size;
	fields_fill(f->fields, sub, &under, merge);
	merge->at = outer;
}

static void fill_group(const struct spec_field *f, void *base, const struct spec_layers *layers,
		       struct spec_merge *merge)
{
	struct spec_layers under = layers_under(layers, f->key);

	fields_fill(f->fields, field_member(base, f), &under, merge);
}

void fields_fill(const struct spec_fields *fields, void *base, const struct spec_layers *layers,
		 struct spec_merge *merge)
{
	static void (*const fill[SHAPES])(const struct spec_field *, void *, const struct spec_layers *,
					  struct spec_merge *) = {
		[SHAPE_TEXT] = fill_value,  [SHAPE_LIST] = fill_value,      [SHAPE_TEXT_OR_LIST] = fill_value,
		[SHAPE_GROUP] = fill_group, [SHAPE_POINTER] = fill_pointer,
	};

	for (const struct spec_field *f = fields->v; f < fields->v + fields->n; f++) {
		size_t before;

		if (!field_is_kept(f))
			continue;
		before = report_key(merge->report, f->key);
		fill[f->type->shape](f, base, layers, merge);
		report_up(merge->report, before);
	}
}
