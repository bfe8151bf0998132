/* A host or an instance as JSON, with the keys of a spec. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "daemon/core/spec/spec.h"
#include "daemon/core/spec/spec_host.h"
#include "daemon/core/spec/spec_schema.h"

/*
 * NULL: not given. A value that no spec can have, such as a duration of 0, counts as not given: to
 * read it back would fail.
 */
static struct json_object *text_to_json(const struct spec_type *type, const void *member)
{
	char *text = type->storage->text(member);
	struct json_object *json = NULL;
	struct err err;

	if (text && type_check_recalled(type, text, &err) == 0)
		json = json_object_new_string(text);
	secret_free(text);
	return json;
}

static struct json_object *list_to_json(const struct spec_field *f, const void *base)
{
	struct json_object *json = json_object_new_array();
	const char *elements = field_pointer(base, f);

	for (size_t i = 0; i < field_count(base, f); i++)
		json_object_array_add(json, text_to_json(f->type, elements + i * f->type->storage->size));
	return json;
}

static struct json_object *field_to_json(const struct spec_field *f, const void *base)
{
	switch (f->type->shape) {
	case SHAPE_TEXT:
		return text_to_json(f->type, field_member(base, f));
	case SHAPE_GROUP:
		return fields_to_json(f->fields, field_member(base, f));
	case SHAPE_POINTER:
		return field_pointer(base, f) ? fields_to_json(f->fields, field_pointer(base, f)) : NULL;
	default:
		return list_to_json(f, base);
	}
}

struct json_object *fields_to_json(const struct spec_fields *fields, const void *base)
{
	struct json_object *json = json_object_new_object();

	for (const struct spec_field *f = fields->v; f < fields->v + fields->n; f++) {
		struct json_object *value = field_is_kept(f) ? field_to_json(f, base) : NULL;

		if (value)
			json_object_object_add(json, f->key, value);
	}
	return json;
}

static int text_from_json(const struct spec_field *f, void *member, struct json_object *json, struct err *err)
{
	const char *text = json_as_text(json);

	if (!text)
		return err_set(err, ERR_PERMANENT, "%s must be %s", f->key,
			       json_type_to_name(json_type_string));
	if (type_check_recalled(f->type, text, err) < 0)
		return err_prefix(err, "%s", f->key);
	f->type->storage->store(member, text);
	return 0;
}

/* base owns the elements from the start, so that those before an error are cleared with it. */
static int list_from_json(const struct spec_field *f, void *base, struct json_object *json, struct err *err)
{
	size_t n = json_length(json), size = f->type->storage->size;
	char *elements = xcalloc(n, size);

	for (size_t i = 0; i < n; i++) {
		field_set_list(base, f, elements, i);
		if (text_from_json(f, elements + i * size, json_item(json, i), err) < 0)
			return -1;
	}
	field_set_list(base, f, elements, n);
	return 0;
}

static int nothing_from_json(const struct spec_field *f, void *base, struct err *err)
{
	if (f->missing)
		return err_set(err, ERR_PERMANENT, "%s", f->missing);
	if (f->fallback)
		field_store_fallback(f, base);
	/* A group that is newer than the stored text gets its defaults. */
	return f->type->shape == SHAPE_GROUP ? fields_from_json(f->fields, field_member(base, f), NULL, err)
					     : 0;
}

static const enum json_type json_types[SHAPES] = {
	[SHAPE_TEXT] = json_type_string,        [SHAPE_LIST] = json_type_array,
	[SHAPE_TEXT_OR_LIST] = json_type_array, [SHAPE_GROUP] = json_type_object,
	[SHAPE_POINTER] = json_type_object,
};

static int field_from_json(const struct spec_field *f, void *base, struct json_object *json, struct err *err)
{
	enum json_type wanted = json_types[f->type->shape];
	void *sub;

	if (!json)
		return nothing_from_json(f, base, err);
	if (!json_object_is_type(json, wanted))
		return err_set(err, ERR_PERMANENT, "%s must be %s", f->key, json_type_to_name(wanted));
	if (wanted == json_type_string)
		return text_from_json(f, field_member(base, f), json, err);
	if (wanted == json_type_array)
		return list_from_json(f, base, json, err);
	if (f->type->shape == SHAPE_GROUP)
		return fields_from_json(f->fields, field_member(base, f), json, err);
	sub = xcalloc(1, f->fields->size);
	field_set_pointer(base, f, sub);
	return fields_from_json(f->fields, sub, json, err);
}

int fields_from_json(const struct spec_fields *fields, void *base, struct json_object *json, struct err *err)
{
	for (const struct spec_field *f = fields->v; f < fields->v + fields->n; f++)
		if (field_is_kept(f) && field_from_json(f, base, json_any(json, f->key), err) < 0)
			return -1;
	return 0;
}

/* Prints the object, and frees it. */
static char *text_of(struct json_object *json)
{
	char *text = xstrdup(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));

	json_object_put(json);
	return text;
}

/* Parses an object; NULL after setting err. */
static struct json_object *object_of(const char *text, struct err *err)
{
	/* A spec can nest jumps this deep. */
	static const struct json_limits limits = {.depth = SPEC_MAX_DEPTH};
	struct json_object *json = json_parse(text, strlen(text), &limits, err);

	if (json_as_map(json))
		return json;
	json_object_put(json);
	err_set(err, ERR_PERMANENT, "not a JSON object");
	return NULL;
}

static int damaged(struct err *err, const char *what)
{
	err->kind = ERR_PERMANENT;
	return err_prefix(err, "stored %s", what);
}

char *spec_host_to_json(const struct spec_host *host)
{
	return text_of(fields_to_json(&spec_host_fields, host));
}

int spec_host_from_json(struct spec_host *host, const char *text, struct err *err)
{
	struct json_object *json = object_of(text, err);
	int rc = json ? 0 : -1;

	*host = (struct spec_host){0};
	if (json)
		rc = fields_from_json(&spec_host_fields, host, json, err);
	json_object_put(json);
	if (rc < 0) {
		spec_host_clear(host);
		return damaged(err, "host");
	}
	spec_host_name(host);
	return 0;
}

/* Members that are no fields of the spec. */
#define KEY_ID "id"

/* Numbers that do not come from the instance's map. All that its config depends on must be stored. */
static const struct {
	const char *key;
	size_t offset; /* of a size_t */
} counts[] = {
	{"index", offsetof(struct spec_instance, index)},
	{"sharers", offsetof(struct spec_instance, sharers)},
};
#define N_COUNTS (sizeof(counts) / sizeof(counts[0]))

static void counts_to_json(const struct spec_instance *instance, struct json_object *json)
{
	for (size_t i = 0; i < N_COUNTS; i++) {
		const size_t *n = (const void *)((const char *)instance + counts[i].offset);

		json_object_object_add(json, counts[i].key, json_object_new_uint64(*n));
	}
}

static void counts_from_json(struct spec_instance *instance, struct json_object *json)
{
	for (size_t i = 0; i < N_COUNTS; i++) {
		size_t *n = (void *)((char *)instance + counts[i].offset);

		*n = (size_t)json_number_in(json, counts[i].key, 0, INT64_MAX, 0);
	}
}

char *spec_instance_to_json(const struct spec_instance *instance)
{
	struct json_object *json = fields_to_json(&spec_instance_fields, instance);

	json_object_object_add(json, KEY_ID, json_object_new_string(instance->id));
	counts_to_json(instance, json);
	return text_of(json);
}

int spec_instance_from_json(struct spec_instance *instance, const struct spec_host *host, const char *text,
			    struct err *err)
{
	struct json_object *json = object_of(text, err);
	const char *id;
	int rc = -1;

	*instance = (struct spec_instance){0};
	if (!json)
		return damaged(err, "instance");
	id = json_text(json, KEY_ID, NULL);
	if (!id)
		err_set(err, ERR_PERMANENT, KEY_ID " must be set");
	else
		rc = fields_from_json(&spec_instance_fields, instance, json, err);
	if (rc == 0) {
		instance->id = xstrdup(id);
		counts_from_json(instance, json);
		/*
		 * host.engine is a field of the instance (`runtime`) and of the host:
		 * fields_from_json has set it.
		 */
		FREE(instance->host.engine);
		spec_host_copy(&instance->host, host);
	}
	json_object_put(json);
	if (rc == 0)
		return 0;
	spec_instance_clear(instance);
	return damaged(err, "instance");
}
