/*
 * Looking into the daemon's JSON. A member that is missing, null or of another
 * type reads as "nothing": an older or newer daemon is still worth showing.
 */
#ifndef APILB_CTL_JSON_H
#define APILB_CTL_JSON_H

#include <stdbool.h>
#include <stdint.h>

struct json_object;

/* All accept NULL for object. What is returned lives as long as object. */
const char *json_text(struct json_object *object, const char *key, const char *otherwise);
bool json_flag(struct json_object *object, const char *key);
int64_t json_number(struct json_object *object, const char *key);
struct json_object *json_map(struct json_object *object, const char *key);  /* NULL if it is none */
struct json_object *json_list(struct json_object *object, const char *key); /* NULL if it is none */
/* RFC 3339; -1 for nothing. */
int64_t json_time_ms(struct json_object *object, const char *key);

#endif
