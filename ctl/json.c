#include "ctl/json.h"

#include "ctl/timestamp.h"

int64_t json_time_ms(struct json_object *object, const char *key)
{
	int64_t ms;

	return timestamp_parse(json_text(object, key, ""), &ms) ? ms : -1;
}
