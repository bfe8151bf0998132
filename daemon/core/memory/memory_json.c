/* The JSON part of a balancer's memory, for the store. */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "daemon/core/memory/memory.h"

/* Far more than we write. */
static const struct json_limits limits = {.bytes = 65536, .values = 64};
/* The end of the year 9999. Later times are nonsense. */
#define MAX_UNIX_MS 253402300799999

static void put_number(struct json_object *map, const char *key, int64_t number)
{
	if (number > 0)
		json_object_object_add(map, key, json_object_new_int64(number));
}

/*
 * Also when nobody is silent now: after successors that did not help, the wait for the next one
 * stays long.
 */
static struct json_object *silence_to_json(const struct silence *silence)
{
	struct json_object *map;

	if (!silence->run && silence->tries == 0)
		return NULL;
	map = json_object_new_object();
	json_add_text(map, "heard", silence->heard);
	json_add_text(map, "run", silence->run);
	if (silence->run)
		put_number(map, "since", silence->since.unix_ms);
	put_number(map, "tries", silence->tries);
	if (silence->tries > 0)
		put_number(map, "tried", silence->tried.unix_ms);
	return map;
}

/* A replacement that has helped is not stored. */
static struct json_object *replaced_to_json(const struct replaced *replaced)
{
	struct json_object *map;

	if (!replaced->id || !replaced->reason)
		return NULL;
	map = json_object_new_object();
	json_add_text(map, "id", replaced->id);
	json_add_text(map, "reason", replaced->reason);
	json_add_text(map, "version", replaced->version);
	return map;
}

char *memory_to_json(const struct memory *memory)
{
	struct json_object *silence = silence_to_json(&memory->silence);
	struct json_object *replaced = replaced_to_json(&memory->replaced);
	struct json_object *map;
	char *json;

	if (!silence && !replaced)
		return NULL;
	map = json_object_new_object();
	if (silence)
		json_object_object_add(map, "silence", silence);
	if (replaced)
		json_object_object_add(map, "replaced", replaced);
	json = xstrdup(json_object_to_json_string_ext(map, JSON_C_TO_STRING_PLAIN));
	json_object_put(map);
	return json;
}

/* A silence without a time or a run is ignored. */
static void recall_silence(struct silence *silence, struct json_object *map, struct silence_clock now)
{
	const char *run = json_text(map, "run", NULL);

	silence->since.unix_ms = json_number_in(map, "since", 1, MAX_UNIX_MS, 0);
	silence->tried.unix_ms = json_number_in(map, "tried", 1, MAX_UNIX_MS, 0);
	if (run && silence->since.unix_ms > 0)
		silence->run = xstrdup(run);
	if (silence->tried.unix_ms > 0)
		silence->tries = (unsigned)json_number_in(map, "tries", 1, INT32_MAX, 0);
	silence->heard = xstrdup(json_text(map, "heard", NULL));
	silence_recall(silence, now);
}

static void recall_replaced(struct replaced *replaced, struct json_object *map)
{
	const char *id = json_text(map, "id", NULL), *reason = json_text(map, "reason", NULL);
	const char *version = json_text(map, "version", NULL);
	char of[SHA256_HEX_SIZE] = "";

	if (!id || !reason || !version || strlen(version) >= sizeof(of))
		return;
	strcpy(of, version);
	replaced_note(replaced, id, reason, of);
}

void memory_recall(struct memory *memory, const char *json, struct silence_clock now)
{
	struct err err;
	struct json_object *map = json ? json_parse(json, strlen(json), &limits, &err) : NULL;

	silence_clear(&memory->silence);
	replaced_clear(&memory->replaced);
	recall_silence(&memory->silence, json_map(map, "silence"), now);
	recall_replaced(&memory->replaced, json_map(map, "replaced"));
	json_object_put(map);
}
