/*
 * Looking into the daemon's JSON: an older or newer daemon is still worth
 * showing, so what is missing or of another type reads as "nothing".
 */
#ifndef APILB_CTL_JSON_H
#define APILB_CTL_JSON_H

#include "common/json.h"

/* RFC 3339; -1 for nothing. */
int64_t json_time_ms(struct json_object *object, const char *key);

#endif
