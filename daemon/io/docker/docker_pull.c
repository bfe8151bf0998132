#include "daemon/io/docker/docker_pull.h"

#include <event2/buffer.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/text.h"

/* Limits that no sane engine reaches: an image has at most 127 layers. */
#define MAX_LAYERS 1024
#define MAX_LINE_BYTES ((size_t)64 << 10)
#define MAX_LINE_VALUES 1000

int64_t pull_limit_ms = PULL_LIMIT_MS;

struct layer {
	char *id;
	int64_t current, total; /* bytes downloaded, and bytes in all; 0: not known yet */
	bool done;
};

struct pull {
	char *ref;
	struct evbuffer *lines; /* the stream's bytes that make no whole line yet */
	struct layer *layers;
	size_t n_layers;
	char *text; /* the progress that was last returned */
	struct err err;
};

/* What a status says about the layer in "id". A status that has no row is about the whole image. */
static const struct layer_status {
	const char *status;
	bool downloading; /* progressDetail counts downloaded bytes; otherwise it may count extracted ones */
	bool downloaded;
	bool done;
} layer_statuses[] = {
	{"Pulling fs layer", false, false, false}, {"Waiting", false, false, false},
	{"Downloading", true, false, false},       {"Verifying Checksum", false, true, false},
	{"Download complete", false, true, false}, {"Extracting", false, true, false},
	{"Pull complete", false, true, true},      {"Already exists", false, true, true},
};

void image_ref_split(const char *ref, char **name, char **tag)
{
	const char *digest = strchr(ref, '@');
	const char *slash = memrchr(ref, '/', digest ? (size_t)(digest - ref) : strlen(ref));
	/* A colon before the last slash belongs to the registry's port. */
	const char *colon = strchr(slash ? slash : ref, ':');
	size_t name_len = strcspn(slash ? slash : ref, ":@") + (slash ? (size_t)(slash - ref) : 0);

	*name = xstrndup(ref, name_len);
	*tag = xstrdup(digest && digest[1]            ? digest + 1
		       : !digest && colon && colon[1] ? colon + 1
						      : "latest");
}

struct pull *pull_new(const char *ref)
{
	struct pull *pull = xcalloc(1, sizeof(*pull));

	pull->ref = xstrdup(ref);
	pull->lines = evbuffer_new();
	return pull;
}

void pull_free(struct pull *pull)
{
	if (!pull)
		return;
	for (size_t i = 0; i < pull->n_layers; i++)
		free(pull->layers[i].id);
	free(pull->layers);
	evbuffer_free(pull->lines);
	free(pull->text);
	free(pull->ref);
	free(pull);
}

/* Numbers are limited so that their sum cannot overflow, whatever the engine says. */
static int64_t get_bytes(struct json_object *object, const char *key)
{
	return json_number_in(object, key, 0, INT64_MAX / (4 * MAX_LAYERS), 0);
}

static struct layer *find_layer(struct pull *pull, const char *id)
{
	struct layer *layer;

	for (size_t i = 0; i < pull->n_layers; i++)
		if (strcmp(pull->layers[i].id, id) == 0)
			return &pull->layers[i];
	if (pull->n_layers == MAX_LAYERS)
		return NULL;
	pull->layers = xreallocarray(pull->layers, pull->n_layers + 1, sizeof(*pull->layers));
	layer = &pull->layers[pull->n_layers++];
	*layer = (struct layer){.id = xstrdup(id)};
	return layer;
}

static void take_layer(struct pull *pull, const struct layer_status *status, const char *id,
		       struct json_object *object)
{
	struct layer *layer = find_layer(pull, id);
	struct json_object *detail = json_map(object, "progressDetail");

	if (!layer)
		return;
	if (status->downloading && detail) {
		layer->current = get_bytes(detail, "current");
		layer->total = get_bytes(detail, "total");
	}
	if (status->downloaded)
		layer->current = layer->total;
	layer->done = status->done;
}

static void take_object(struct pull *pull, struct json_object *object)
{
	const char *error = json_text(object, "error", NULL);
	const char *status = json_text(object, "status", NULL);
	const char *id = json_text(object, "id", NULL);

	if (error && pull->err.kind == ERR_NONE)
		err_set(&pull->err, ERR_TRANSIENT, "%s", error);
	for (size_t i = 0; status && id && i < sizeof(layer_statuses) / sizeof(*layer_statuses); i++)
		if (strcmp(layer_statuses[i].status, status) == 0)
			take_layer(pull, &layer_statuses[i], id, object);
}

static char *describe(const struct pull *pull)
{
	int64_t current = 0, total = 0;
	size_t done = 0;

	for (size_t i = 0; i < pull->n_layers; i++) {
		current += pull->layers[i].current;
		total += pull->layers[i].total;
		done += pull->layers[i].done;
	}
	if (pull->n_layers == 0)
		return xasprintf("pulling %s", pull->ref);
	if (total == 0)
		return xasprintf("pulling %s: %zu/%zu layers", pull->ref, done, pull->n_layers);
	return xasprintf("pulling %s: %zu/%zu layers, %.1f MB of %.1f MB", pull->ref, done, pull->n_layers,
			 (double)current / 1e6, (double)total / 1e6);
}

static void take_line(struct pull *pull, const char *line)
{
	static const struct json_limits limits = {.bytes = MAX_LINE_BYTES, .values = MAX_LINE_VALUES};
	struct err why;
	struct json_object *object = *line ? json_parse(line, strlen(line), &limits, &why) : NULL;

	if (json_as_map(object))
		take_object(pull, object);
	else if (*line && pull->err.kind == ERR_NONE)
		err_set(&pull->err, ERR_TRANSIENT, "the engine's progress report is not JSON: %.60s", line);
	json_object_put(object);
}

const char *pull_feed(struct pull *pull, const char *data, size_t len)
{
	char *line, *text;

	evbuffer_add(pull->lines, data, len);
	while ((line = evbuffer_readln(pull->lines, NULL, EVBUFFER_EOL_CRLF))) {
		take_line(pull, line);
		free(line);
	}
	if (evbuffer_get_length(pull->lines) > MAX_LINE_BYTES) {
		evbuffer_drain(pull->lines, evbuffer_get_length(pull->lines));
		if (pull->err.kind == ERR_NONE)
			err_set(&pull->err, ERR_TRANSIENT, "the engine's progress report is not in lines");
	}
	text = describe(pull);
	if (text_equal(pull->text, text)) {
		free(text);
		return NULL;
	}
	free(pull->text);
	return pull->text = text;
}

int pull_result(struct pull *pull, struct err *err)
{
	pull_feed(pull, "\n", 1); /* the last line may lack its end */
	if (pull->err.kind == ERR_NONE)
		return 0;
	*err = pull->err;
	return -1;
}

void pull_explain(const struct pull *pull, struct err *err)
{
	struct err why = *err;

	err_set(err, why.kind,
		"%s; so far: %s. Is the registry there, and fast enough for the host? See what "
		"\"docker pull %s\" says on it",
		why.message, pull->text ? pull->text : "nothing", pull->ref);
}
