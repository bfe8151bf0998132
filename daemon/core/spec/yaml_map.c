#include "daemon/core/spec/yaml_map.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"

/* A key of the map that is being finished. */
struct seen {
	UT_hash_handle hh;
	const struct yaml_pair *pair;
};

struct merge {
	struct seen *keys;
	struct seen *store;
	struct yaml_pair *pairs;
	size_t n;
};

static bool is_merge_key(const struct yaml_value *key)
{
	return key->plain && strcmp(key->text, "<<") == 0;
}

/* Adds the pair, unless the key was seen: then returns the first pair that has it, else NULL. */
static const struct yaml_pair *add(struct merge *m, const struct yaml_pair *pair)
{
	const char *text = pair->key->text;
	size_t len = strlen(text);
	struct seen *seen;

	HASH_FIND(hh, m->keys, text, len, seen);
	if (seen)
		return seen->pair;
	seen = &m->store[m->n];
	m->pairs[m->n] = *pair;
	seen->pair = &m->pairs[m->n++];
	HASH_ADD_KEYPTR(hh, m->keys, text, len, seen);
	return NULL;
}

/* How many pairs the value of a merge key has; -1: it is neither a map nor a list of maps. */
static long pairs_in(const struct yaml_value *value)
{
	long sum = 0;

	if (value->kind == YAML_MAP)
		return (long)value->n;
	if (value->kind != YAML_LIST)
		return -1;
	for (size_t i = 0; i < value->n; i++) {
		if (value->items[i]->kind != YAML_MAP)
			return -1;
		sum += (long)value->items[i]->n;
	}
	return sum;
}

static void add_all(struct merge *m, const struct yaml_value *map)
{
	for (size_t i = 0; i < map->n; i++)
		if (map->pairs[i].first_line == 0)
			add(m, &map->pairs[i]);
}

/*
 * The map's own keys were added before, so they win; of several merged maps the
 * first wins. A merged map is finished already, with its own merge keys.
 */
static void add_merged(struct merge *m, const struct yaml_value *value)
{
	if (value->kind == YAML_MAP)
		add_all(m, value);
	else
		for (size_t i = 0; i < value->n; i++)
			add_all(m, value->items[i]);
}

static void resolve(struct yaml_value *map, size_t room)
{
	struct merge m = {.store = xcalloc(room, sizeof(*m.store)), .pairs = xcalloc(room, sizeof(*m.pairs))};

	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_pair *first =
			is_merge_key(map->pairs[i].key) ? NULL : add(&m, &map->pairs[i]);

		/* Keep the duplicate: the reader of the map knows its path, and reports it. */
		if (first) {
			m.pairs[m.n] = map->pairs[i];
			m.pairs[m.n++].first_line = first->key->line;
		}
	}
	for (size_t i = 0; i < map->n; i++)
		if (is_merge_key(map->pairs[i].key))
			add_merged(&m, map->pairs[i].value);

	HASH_CLEAR(hh, m.keys);
	free(m.store);
	free(map->pairs);
	map->pairs = m.pairs;
	map->n = m.n;
}

const struct yaml_value *yaml_map_finish(struct yaml_value *map, struct err *err)
{
	const struct yaml_value *merge_key = NULL;
	size_t room = map->n;

	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_pair *pair = &map->pairs[i];
		long more;

		if (!is_merge_key(pair->key))
			continue;
		if (merge_key) {
			err_set(err, ERR_SPEC, "key \"<<\" is given twice, first in line %zu",
				merge_key->line);
			return pair->key;
		}
		merge_key = pair->key;
		more = pairs_in(pair->value);
		if (more < 0) {
			err_set(err, ERR_SPEC, "the value of \"<<\" must be a map or a list of maps");
			return pair->value;
		}
		room += (size_t)more;
	}
	/* Most maps of a large file have one key, which needs no resolving. */
	if (map->n > 1 || merge_key)
		resolve(map, room);
	return NULL;
}

struct yaml_value *yaml_map_get(const struct yaml_value *map, const char *key)
{
	if (!map || map->kind != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (map->pairs[i].first_line == 0 && strcmp(map->pairs[i].key->text, key) == 0)
			return map->pairs[i].value;
	return NULL;
}
