#include "ctl/json.h"

#include <json-c/json.h>

#include "ctl/timestamp.h"

static struct json_object *member(struct json_object *object, const char *key, enum json_type type)
{
	struct json_object *value;

	if (json_object_get_type(object) != json_type_object ||
	    !json_object_object_get_ex(object, key, &value) || json_object_get_type(value) != type)
		return NULL;
	return value;
}

const char *json_text(struct json_object *object, const char *key, const char *otherwise)
{
	struct json_object *value = member(object, key, json_type_string);

	return value ? json_object_get_string(value) : otherwise;
}

bool json_flag(struct json_object *object, const char *key)
{
	return json_object_get_boolean(member(object, key, json_type_boolean));
}

int64_t json_number(struct json_object *object, const char *key)
{
	return json_object_get_int64(member(object, key, json_type_int));
}

struct json_object *json_map(struct json_object *object, const char *key)
{
	return member(object, key, json_type_object);
}

struct json_object *json_list(struct json_object *object, const char *key)
{
	return member(object, key, json_type_array);
}

int64_t json_time_ms(struct json_object *object, const char *key)
{
	int64_t ms;

	return timestamp_parse(json_text(object, key, ""), &ms) ? ms : -1;
}
