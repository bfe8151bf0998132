/*
 * JSON that comes from outside: engines, the daemon's replies, the store.
 *
 * Two halves. json_parse() takes a text in only if it is strictly JSON (RFC
 * 8259: no comments, no single quotes, UTF-8, nothing behind it) and within
 * limits. The readers take a value out: any member may be absent, null, of
 * another type, or out of range, and then reads as "nothing", which is NULL,
 * false or what the caller gives. So none of them can be misused, and nothing
 * else reads JSON in the daemon and the client (tests/check_json.c sees to it).
 * Building it is json-c's, but for the member that is there only sometimes.
 *
 * A member that occurs twice has its last value, as in Go.
 */
#ifndef APILB_JSON_H
#define APILB_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct json_object;

/*
 * A parsed value takes up to 800 bytes of memory for 3 bytes of text ("{},"), so
 * memory is bounded by the number of values. 0: no limit.
 */
struct json_limits {
	size_t bytes;
	size_t values; /* values of all types, at any depth; keys do not count */
	int depth;     /* of nested maps and lists; 0: JSON_DEPTH */
};
#define JSON_DEPTH 32

/* NULL with an error that says what is wrong: "not JSON: ..." (ERR_TRANSIENT; also for a null), "more than
 * ... values" (ERR_PERMANENT). */
struct json_object *json_parse(const char *text, size_t len, const struct json_limits *limits,
			       struct err *err);

/* All readers accept NULL. What they return lives as long as the object that it is taken from. */

/* The value itself, if it is of that type. A text that holds a NUL does not count as a text: it would end
 * there. */
const char *json_as_text(struct json_object *value);
struct json_object *json_as_map(struct json_object *value);
struct json_object *json_as_list(struct json_object *value);
/* A whole number from min to max. */
int64_t json_as_number(struct json_object *value, int64_t min, int64_t max, int64_t otherwise);

/* A member of any type; NULL for null, too. */
struct json_object *json_any(struct json_object *map, const char *key);
const char *json_text(struct json_object *map, const char *key, const char *otherwise);
bool json_flag(struct json_object *map, const char *key);
bool json_has_flag(struct json_object *map, const char *key);  /* true or false, not missing */
int64_t json_number(struct json_object *map, const char *key); /* 0 for nothing */
int64_t json_number_in(struct json_object *map, const char *key, int64_t min, int64_t max, int64_t otherwise);
struct json_object *json_map(struct json_object *map, const char *key);
struct json_object *json_list(struct json_object *map, const char *key);

/* Elements of a list; anything else has none. */
size_t json_length(struct json_object *list);
struct json_object *json_item(struct json_object *list, size_t i);
const char *json_item_text(struct json_object *list, size_t i);

/* The value at a JSON pointer (RFC 6901), such as "/State/Status". */
struct json_object *json_at(struct json_object *object, const char *pointer);
const char *json_text_at(struct json_object *object, const char *pointer); /* NULL for an empty one, too */

/* null, false, zero, or empty. */
bool json_is_nothing(struct json_object *value);

/* Loops over the members of a map; any other value has none. Add and remove nothing inside the loop. */
typedef void json_each_fn(void *arg, const char *key, struct json_object *value);
void json_each(struct json_object *map, json_each_fn *each, void *arg);

/* Adds a member; none for NULL. */
void json_add_text(struct json_object *map, const char *key, const char *text);

#endif
