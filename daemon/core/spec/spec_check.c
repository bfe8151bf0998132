/* Checks that need no other part of the document: kinds, keys, and the syntax of values. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/spec/spec_fields.h"

static const char *const kind_names[YAML_KINDS] = {
	[YAML_TEXT] = "a text",
	[YAML_LIST] = "a list",
	[YAML_MAP] = "a map",
};

/*
 * If one key is part of the other, they are nearer than the edit distance says: "keyfile" means
 * "privateKeyFile", and "loadBalancer" means "apiLoadBalancers" rather than "balance".
 */
static unsigned likeness(const char *key, const char *known)
{
	unsigned d = text_distance(key, known);

	if (d > 2 && strcasestr(known, key))
		return 2;
	if (d > 3 && strcasestr(key, known))
		return 3;
	return d;
}

/* NULL: the key is like none of them. A guess that is none ("metadata": "state"?) only leads astray. */
static const char *nearest_key(const struct spec_fields *fields, const char *key)
{
	size_t len = strlen(key), most = len > 4 ? len / 2 : 2;
	const char *nearest = NULL;
	size_t best = most + 1;

	for (size_t i = 0; i < fields->n; i++) {
		unsigned d = likeness(key, fields->v[i].key);

		if (d < best) {
			best = d;
			nearest = fields->v[i].key;
		}
	}
	return nearest;
}

static const struct spec_field *find_field(const struct spec_fields *fields, const char *key)
{
	for (size_t i = 0; i < fields->n; i++)
		if (strcmp(fields->v[i].key, key) == 0)
			return &fields->v[i];
	return NULL;
}

/* The row of a map that has this key: NULL if there is none. */
static const struct spec_field *find_below(const struct spec_fields *fields, const char *key)
{
	for (size_t i = 0; i < fields->n; i++)
		if (fields->v[i].fields && find_field(fields->v[i].fields, key))
			return &fields->v[i];
	return NULL;
}

/* Where the key would be known. An empty text: neither above nor below. */
static void find_place(const struct spec_fields *fields, const char *key, char *place, size_t size)
{
	bool above = fields->above && find_field(fields->above, key);
	const struct spec_field *below = find_below(fields, key);

	snprintf(place, size, "%s%s%s%s", below ? "under " : "", below ? below->key : "",
		 below && above ? ", or " : "", above ? "to the top level of the spec" : "");
}

static void list_keys(const struct spec_fields *fields, char *keys, size_t size)
{
	size_t len = 0;

	keys[0] = '\0';
	for (size_t i = 0; i < fields->n && len < size; i++)
		len += (size_t)snprintf(keys + len, size - len, "%s%s", i ? ", " : "", fields->v[i].key);
}

static void report_unknown_key(const struct spec_fields *fields, struct yaml_value *key,
			       struct report *report)
{
	char known[512], place[128];
	const char *nearest;

	if (fields->n == 0) {
		report_value(report, key, "unknown key: no key is allowed here, write {}");
		return;
	}
	if (strcmp(key->text, "apiLoadBalancerPools") == 0) {
		report_value(report, key,
			     "unknown key: it is of flexkube's own config. A spec is what stands under "
			     "\"apiLoadBalancerPools: NAME:\", in a file of its own");
		return;
	}
	list_keys(fields, known, sizeof(known));
	nearest = nearest_key(fields, key->text);
	find_place(fields, key->text, place, sizeof(place));
	if (*place && !(nearest && text_distance(key->text, nearest) == 1))
		report_value(report, key, "unknown key here: it belongs %s. Known here: %s", place, known);
	else if (nearest)
		report_value(report, key, "unknown key; did you mean \"%s\"? Known here: %s", nearest, known);
	else
		report_value(report, key, "unknown key. Known here: %s", known);
}

/* Whether the value is given and of this kind; reports a wrong kind. */
static bool expect(enum yaml_kind kind, struct yaml_value *value, struct report *report)
{
	if (value->null)
		return false;
	if (value->kind != kind)
		report_value(report, value, "must be %s, not %s", kind_names[kind], kind_names[value->kind]);
	return value->kind == kind;
}

/* The same of a map with rows, which the report lists: "host: node1" does not say what stands in a host. */
static bool expect_map(const struct spec_fields *fields, struct yaml_value *value, struct report *report)
{
	char known[512];

	if (value->null)
		return false;
	list_keys(fields, known, sizeof(known));
	if (value->kind != YAML_MAP)
		report_value(report, value, "must be a map, not %s%s%s", kind_names[value->kind],
			     *known ? ". Known in it: " : ": write {}", known);
	return value->kind == YAML_MAP;
}

static void check_syntax(const struct spec_type *type, struct yaml_value *value, struct report *report)
{
	struct err err;

	if ((report->recalled ? type_check_recalled(type, value->text, &err)
			      : type->check(value->text, &err)) < 0)
		report_value(report, value, "%s%s", err.message,
			     value->folded ? " (it goes on in the next line: is that indented too far?)"
					   : "");
	else if (type->unquoted && !value->plain)
		report_value(report, value, "must be written without quotes");
}

static void check_text(const struct spec_field *f, struct yaml_value *value, struct report *report)
{
	if (expect(YAML_TEXT, value, report) && (value_given(value) || f->type->unquoted))
		check_syntax(f->type, value, report);
}

/*
 * An element of a list, stored by its canonical text, so that two spellings of one address are seen
 * as equal.
 */
struct element {
	UT_hash_handle hh;
	const struct yaml_value *value;
	char *meaning;
};

static char *meaning(const struct spec_storage *storage, const char *text)
{
	void *element = xcalloc(1, storage->size);
	char *result;

	storage->store(element, text);
	result = storage->text(element);
	storage->clear(element);
	free(element);
	return result;
}

static void check_twice(const struct spec_type *type, struct yaml_value *value, struct element **elements,
			struct report *report)
{
	char *text = meaning(type->storage, value->text);
	struct element *element;

	HASH_FIND_STR(*elements, text, element);
	if (element) {
		report_value(report, value, "is given twice, first in line %zu", element->value->line);
		free(text);
		return;
	}
	element = xcalloc(1, sizeof(*element));
	element->value = value;
	element->meaning = text;
	HASH_ADD_KEYPTR(hh, *elements, element->meaning, strlen(element->meaning), element);
}

static void check_items(const struct spec_field *f, struct yaml_value *list, struct report *report)
{
	const struct spec_type *type = f->type;
	struct element *elements = NULL, *element, *tmp;

	if (list->n > SPEC_MAX_ITEMS && !report->recalled)
		report_value(report, list, "has %zu items; at most %d are allowed", list->n, SPEC_MAX_ITEMS);
	for (size_t i = 0; i < list->n && !report_is_full(report); i++) {
		struct yaml_value *item = list->items[i];
		size_t before = report_index(report, i);

		if (item->kind != YAML_TEXT)
			expect(YAML_TEXT, item, report);
		else
			check_syntax(type, item, report);
		if (type->storage && !f->repeats && !item->marked)
			check_twice(type, item, &elements, report);
		report_up(report, before);
	}
	HASH_ITER (hh, elements, element, tmp) {
		HASH_DEL(elements, element);
		free(element->meaning);
		free(element);
	}
}

static void check_list(const struct spec_field *f, struct yaml_value *value, struct report *report)
{
	if (expect(YAML_LIST, value, report))
		check_items(f, value, report);
}

static void check_text_or_list(const struct spec_field *f, struct yaml_value *value, struct report *report)
{
	if (value->kind == YAML_LIST)
		check_items(f, value, report);
	else if (value->kind == YAML_MAP)
		report_value(report, value, "must be a text or a list, not a map");
	else
		check_text(f, value, report);
}

static void check_map(const struct spec_field *f, struct yaml_value *value, struct report *report)
{
	if (expect_map(f->fields, value, report))
		fields_check(f->fields, value, report);
}

static void check_maps(const struct spec_field *f, struct yaml_value *value, struct report *report)
{
	if (!expect(YAML_LIST, value, report))
		return;
	for (size_t i = 0; i < value->n && !report_is_full(report); i++) {
		size_t before = report_index(report, i);

		/* A "- " with nothing after it is more likely a truncated file than an empty map. */
		if (value->items[i]->null)
			report_value(report, value->items[i], "must be a map; an empty map is written {}");
		else if (expect_map(f->fields, value->items[i], report))
			fields_check(f->fields, value->items[i], report);
		report_up(report, before);
	}
}

static void report_twice(const struct yaml_pair *pair, struct report *report)
{
	if (pair->first_line)
		report_value(report, pair->key, "this key is given twice, first in line %zu",
			     pair->first_line);
}

/* Checks a map that may have any keys. */
static void check_values(const struct spec_field *f, struct yaml_value *map, struct report *report,
			 void (*check)(const struct spec_field *, struct yaml_value *, struct report *))
{
	if (!expect(YAML_MAP, map, report))
		return;
	for (size_t i = 0; i < map->n && !report_is_full(report); i++) {
		size_t before = report_key(report, map->pairs[i].key->text);

		report_twice(&map->pairs[i], report);
		check(f, map->pairs[i].value, report);
		report_up(report, before);
	}
}

static void check_text_map(const struct spec_field *f, struct yaml_value *value, struct report *report)
{
	check_values(f, value, report, check_text);
}

static void check_map_map(const struct spec_field *f, struct yaml_value *value, struct report *report)
{
	check_values(f, value, report, check_map);
}

static void check_pair(const struct spec_field *f, struct yaml_value *map, const struct yaml_pair *pair,
		       struct report *report)
{
	static void (*const check[SHAPES])(const struct spec_field *, struct yaml_value *,
					   struct report *) = {
		[SHAPE_TEXT] = check_text,
		[SHAPE_LIST] = check_list,
		[SHAPE_TEXT_OR_LIST] = check_text_or_list,
		[SHAPE_GROUP] = check_map,
		[SHAPE_POINTER] = check_map,
		[SHAPE_MAP] = check_map,
		[SHAPE_MAPS] = check_maps,
		[SHAPE_TEXT_MAP] = check_text_map,
		[SHAPE_MAP_MAP] = check_map_map,
	};

	report_twice(pair, report);
	/* Both rivals get here; the one that is later in the alphabet is reported. */
	if (f->rival && strcmp(f->key, f->rival) > 0 && given(map, f->key) && given(map, f->rival))
		report_value(report, pair->key, "%s and %s are both given: only one of them may be given",
			     f->rival, f->key);
	check[f->type->shape](f, pair->value, report);
}

/*
 * Removes unknown keys from the map once they are reported: later look-ups, of
 * which the top level of a large fleet has many, need not pass over them again.
 */
void fields_check(const struct spec_fields *fields, struct yaml_value *map, struct report *report)
{
	size_t known = 0;

	for (size_t i = 0; i < map->n && !report_is_full(report); i++) {
		const struct yaml_pair pair = map->pairs[i];
		const struct spec_field *f = find_field(fields, pair.key->text);
		size_t before = report_key(report, pair.key->text);

		if (f)
			check_pair(f, map, &pair, report);
		else
			report_unknown_key(fields, pair.key, report);
		if (f && !pair.first_line)
			map->pairs[known++] = pair;
		report_up(report, before);
	}
	map->n = known;
}
