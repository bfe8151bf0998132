#include "common/json.h"

#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <limits.h>
#include <string.h>

#include "common/text.h"

/* The scanner checks what json-c is lax about; whether values stand where they may is left to json-c. */
struct scan {
	const char *at, *end;
	bool in_string;
	size_t values;
};

/* Names what json-c accepts against RFC 8259 (what exactly differs between its versions). NULL: nothing is
 * wrong. */
static const char *scan_character(struct scan *s)
{
	uint32_t character;
	unsigned char c = (unsigned char)*s->at;

	if (c >= 0x80) {
		s->at += text_decode(s->at, (size_t)(s->end - s->at), &character);
		return character == TEXT_INVALID ? "it is not UTF-8" : NULL;
	}
	s->at++;
	if (c < 0x20 && (s->in_string || !strchr("\t\r\n", c) || c == '\0'))
		return "it has a control character";
	if (c == '"')
		s->in_string = !s->in_string;
	else if (c == '\\' && s->in_string && s->at < s->end && *s->at >= 0x20)
		s->at++;                             /* an escaped quote does not end the string */
	else if (!s->in_string && strchr("'/NI", c)) /* 'text', comments, NaN, Infinity */
		return "unexpected character";
	else if (!s->in_string && (c == '{' || c == '[' || c == ','))
		s->values++;
	return NULL;
}

static int check(const char *text, size_t len, const struct json_limits *limits, struct err *err)
{
	struct scan s = {.at = text, .end = text + len};

	if (len > INT_MAX || (limits->bytes && len > limits->bytes))
		return err_set(err, ERR_PERMANENT, "more than %zu bytes of JSON",
			       limits->bytes ? limits->bytes : INT_MAX);
	while (s.at < s.end) {
		const char *why = scan_character(&s);

		if (why)
			return err_set(err, ERR_TRANSIENT, "not JSON: %s", why);
		if (limits->values && s.values > limits->values)
			return err_set(err, ERR_PERMANENT, "more than %zu values of JSON", limits->values);
	}
	return 0;
}

struct json_object *json_parse(const char *text, size_t len, const struct json_limits *limits,
			       struct err *err)
{
	struct json_tokener *tokener;
	struct json_object *json;
	enum json_tokener_error why;

	if (check(text, len, limits, err) < 0)
		return NULL;
	tokener = json_tokener_new_ex(limits->depth ? limits->depth : JSON_DEPTH);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	json = json_tokener_parse_ex(tokener, text, (int)len);
	if (json_tokener_get_error(tokener) == json_tokener_continue)
		json = json_tokener_parse_ex(
			tokener, "", 1); /* json-c knows that a number is over when something follows it */
	why = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	if (why == json_tokener_success && json)
		return json;
	json_object_put(json);
	if (why == json_tokener_error_depth)
		err_set(err, ERR_PERMANENT, "JSON that is nested more than %d deep",
			limits->depth ? limits->depth : JSON_DEPTH);
	else
		err_set(err, ERR_TRANSIENT, "not JSON: %s",
			why == json_tokener_success ? "it is null" : json_tokener_error_desc(why));
	return NULL;
}

static struct json_object *as(struct json_object *value, enum json_type type)
{
	return json_object_is_type(value, type) ? value : NULL;
}

const char *json_as_text(struct json_object *value)
{
	const char *text = as(value, json_type_string) ? json_object_get_string(value) : NULL;

	return text && strlen(text) == (size_t)json_object_get_string_len(value) ? text : NULL;
}

struct json_object *json_as_map(struct json_object *value)
{
	return as(value, json_type_object);
}

struct json_object *json_as_list(struct json_object *value)
{
	return as(value, json_type_array);
}

int64_t json_as_number(struct json_object *value, int64_t min, int64_t max, int64_t otherwise)
{
	/* For a number that does not fit, json-c returns the nearest one that does. */
	int64_t number = as(value, json_type_int) ? json_object_get_int64(value) : 0;

	return as(value, json_type_int) && number >= min && number <= max ? number : otherwise;
}

struct json_object *json_any(struct json_object *map, const char *key)
{
	struct json_object *value;

	return as(map, json_type_object) && json_object_object_get_ex(map, key, &value) ? value : NULL;
}

const char *json_text(struct json_object *map, const char *key, const char *otherwise)
{
	const char *text = json_as_text(json_any(map, key));

	return text ? text : otherwise;
}

bool json_flag(struct json_object *map, const char *key)
{
	return json_has_flag(map, key) && json_object_get_boolean(json_any(map, key));
}

bool json_has_flag(struct json_object *map, const char *key)
{
	return json_object_is_type(json_any(map, key), json_type_boolean);
}

int64_t json_number(struct json_object *map, const char *key)
{
	return json_number_in(map, key, INT64_MIN, INT64_MAX, 0);
}

int64_t json_number_in(struct json_object *map, const char *key, int64_t min, int64_t max, int64_t otherwise)
{
	return json_as_number(json_any(map, key), min, max, otherwise);
}

struct json_object *json_map(struct json_object *map, const char *key)
{
	return json_as_map(json_any(map, key));
}

struct json_object *json_list(struct json_object *map, const char *key)
{
	return json_as_list(json_any(map, key));
}

size_t json_length(struct json_object *list)
{
	return as(list, json_type_array) ? json_object_array_length(list) : 0;
}

struct json_object *json_item(struct json_object *list, size_t i)
{
	return i < json_length(list) ? json_object_array_get_idx(list, i) : NULL;
}

const char *json_item_text(struct json_object *list, size_t i)
{
	return json_as_text(json_item(list, i));
}

struct json_object *json_at(struct json_object *object, const char *pointer)
{
	struct json_object *found = NULL;

	return object && json_pointer_get(object, pointer, &found) == 0 ? found : NULL;
}

const char *json_text_at(struct json_object *object, const char *pointer)
{
	const char *text = json_as_text(json_at(object, pointer));

	return text && *text ? text : NULL;
}

bool json_is_nothing(struct json_object *value)
{
	switch (json_object_get_type(value)) {
	case json_type_string:
		return json_object_get_string_len(value) == 0;
	case json_type_array:
		return json_object_array_length(value) == 0;
	case json_type_object:
		return json_object_object_length(value) == 0;
	default:
		return !json_object_get_boolean(value);
	}
}

void json_each(struct json_object *map, json_each_fn *each, void *arg)
{
	if (!as(map, json_type_object))
		return;
	json_object_object_foreach (map, key, value)
		each(arg, key, value);
}

void json_add_text(struct json_object *map, const char *key, const char *text)
{
	if (text)
		json_object_object_add(map, key, json_object_new_string(text));
}
