/* Matches the containers of `state` with balancers. */
#include "daemon/core/spec/spec_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"

/* An instance, found by host, engine and name. */
struct place {
	UT_hash_handle hh;
	char *key;
	struct spec_instance *instance;
};

static char *key_of(const struct spec_host *host, const char *name)
{
	return xasprintf("%s %s %s", host->label, host->engine, name);
}

static struct place *places_of(const struct spec *spec)
{
	struct place *places = NULL;

	for (size_t i = 0; i < spec->instances_n; i++) {
		struct place *place = xcalloc(1, sizeof(*place));

		place->instance = &spec->instances[i];
		place->key = key_of(&place->instance->host, place->instance->name);
		HASH_ADD_KEYPTR(hh, places, place->key, strlen(place->key), place);
	}
	return places;
}

static void places_free(struct place *places)
{
	struct place *place, *tmp;

	HASH_ITER (hh, places, place, tmp) {
		HASH_DEL(places, place);
		free(place->key);
		free(place);
	}
}

static struct spec_instance *in_place(struct place *places, const struct spec_state_entry *entry)
{
	char *key = key_of(&entry->host, entry->name);
	struct place *place;

	HASH_FIND_STR(places, key, place);
	free(key);
	return place ? place->instance : NULL;
}

/*
 * flexkube's rule: the key is an index of the list. That may be a coincidence, so host or name must
 * agree as well.
 */
static struct spec_instance *by_key(const struct spec *spec, const struct spec_state_entry *entry)
{
	struct spec_instance *instance;
	unsigned long index;
	char *end;

	errno = 0;
	index = strtoul(entry->key, &end, 10);
	if (entry->key[0] < '0' || entry->key[0] > '9' || *end || errno || index >= spec->instances_n)
		return NULL;
	instance = &spec->instances[index];
	return strcmp(instance->host.label, entry->host.label) == 0 ||
			       strcmp(instance->name, entry->name) == 0
		       ? instance
		       : NULL;
}

static bool has_file(const struct spec_state_entry *entry, const char *path)
{
	for (size_t i = 0; i < entry->files_n; i++)
		if (strcmp(entry->files[i], path) == 0)
			return true;
	return false;
}

static void hand_over(struct spec_state_entry *entry, struct spec_instance *instance)
{
	if (!instance)
		return;
	if (has_file(entry, instance->config_path))
		instance->takes_file_over = true;
	if (entry->container_id && instance->adopted)
		return;
	if (entry->container_id)
		instance->adopted = entry;
	entry->instance = instance;
}

void spec_state_match(struct spec *spec)
{
	struct place *places = spec->state_n ? places_of(spec) : NULL;

	for (size_t i = 0; i < spec->state_n; i++)
		hand_over(&spec->state[i], in_place(places, &spec->state[i]));
	for (size_t i = 0; i < spec->state_n; i++)
		if (!spec->state[i].instance)
			hand_over(&spec->state[i], by_key(spec, &spec->state[i]));
	places_free(places);
}

bool spec_state_means(const char *entry_id, const char *container_id)
{
	return strncmp(entry_id, container_id, strlen(entry_id)) == 0;
}

bool spec_state_is_left(const struct spec_state_entry *entry)
{
	if (!entry->container_id)
		return false;
	return !entry->instance || strcmp(entry->instance->host.label, entry->host.label) != 0;
}
