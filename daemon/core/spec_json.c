/* A host as JSON, with the keys that a spec has. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec.h"
#include "daemon/core/spec_host.h"
#include "daemon/core/spec_schema.h"

struct json_object *fields_to_json(const struct spec_fields *fields, const void *base)
{
	struct json_object *json = json_object_new_object();

	for (const struct spec_field *f = fields->v; f < fields->v + fields->n; f++) {
		if (f->type->shape == SHAPE_TEXT) {
			char *text = f->type->storage->text(field_member(base, f));

			if (text)
				json_object_object_add(json, f->key, json_object_new_string(text));
			secret_free(text);
		} else if (field_pointer(base, f)) {
			json_object_object_add(json, f->key,
					       fields_to_json(f->fields, field_pointer(base, f)));
		}
	}
	return json;
}

static int text_from_json(const struct spec_field *f, void *base, struct json_object *json, struct err *err)
{
	const char *text = json_object_get_string(json);

	if (f->type->check(text, err) < 0)
		return err_prefix(err, "%s", f->key);
	f->type->storage->store(field_member(base, f), text);
	return 0;
}

static int field_from_json(const struct spec_field *f, void *base, struct json_object *json, struct err *err)
{
	enum json_type wanted = f->type->shape == SHAPE_TEXT ? json_type_string : json_type_object;
	void *sub;

	if (!json && f->missing)
		return err_set(err, ERR_PERMANENT, "%s", f->missing);
	if (!json) {
		if (f->fallback)
			f->type->storage->store(field_member(base, f), f->fallback);
		return 0;
	}
	if (!json_object_is_type(json, wanted))
		return err_set(err, ERR_PERMANENT, "%s must be %s", f->key, json_type_to_name(wanted));
	if (wanted == json_type_string)
		return text_from_json(f, base, json, err);
	sub = xcalloc(1, f->fields->size);
	field_set_pointer(base, f, sub);
	return fields_from_json(f->fields, sub, json, err);
}

int fields_from_json(const struct spec_fields *fields, void *base, struct json_object *json, struct err *err)
{
	for (const struct spec_field *f = fields->v; f < fields->v + fields->n; f++)
		if (field_from_json(f, base, json_object_object_get(json, f->key), err) < 0)
			return -1;
	return 0;
}

char *spec_host_to_json(const struct spec_host *host)
{
	struct json_object *json = fields_to_json(&spec_host_fields, host);
	char *text = xstrdup(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));

	json_object_put(json);
	return text;
}

int spec_host_from_json(struct spec_host *host, const char *text, struct err *err)
{
	/* As deep as a spec can nest one jump in another. */
	struct json_tokener *tokener = json_tokener_new_ex(SPEC_MAX_DEPTH);
	struct json_object *json = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
	int rc;

	*host = (struct spec_host){0};
	if (!json_object_is_type(json, json_type_object))
		rc = err_set(err, ERR_PERMANENT, "not a JSON object");
	else
		rc = fields_from_json(&spec_host_fields, host, json, err);
	json_object_put(json);
	json_tokener_free(tokener);
	if (rc < 0) {
		spec_host_clear(host);
		err->kind = ERR_PERMANENT;
		return err_prefix(err, "stored host");
	}
	spec_host_name(host);
	return 0;
}
