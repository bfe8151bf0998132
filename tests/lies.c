#include "tests/lies.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/text.h"

struct change {
	size_t left; /* values until the one that is meant */
	const char *lie;
	FILE *out;
	bool done;
};

static bool is_next(struct change *change)
{
	return !change->done && change->left == 0;
}

static void write_value(struct change *change, struct json_object *value);

static void write_as_it_is(FILE *out, struct json_object *value)
{
	fputs(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN), out);
}

static void write_member(void *arg, const char *key, struct json_object *value)
{
	struct change *change = arg;
	struct json_object *name = json_object_new_string(key);
	bool meant = is_next(change);

	if (meant && strcmp(change->lie, LIE_ABSENT) == 0) {
		change->done = true;
	} else if (meant && strcmp(change->lie, LIE_TWICE) == 0) {
		change->done = true;
		for (int i = 0; i < 2; i++) {
			write_as_it_is(change->out, name);
			fputc(':', change->out);
			write_as_it_is(change->out, value);
			fputc(',', change->out);
		}
	} else {
		write_as_it_is(change->out, name);
		fputc(':', change->out);
		write_value(change, value);
		fputc(',', change->out);
	}
	json_object_put(name);
}

static void write_value(struct change *change, struct json_object *value)
{
	bool meant = is_next(change);

	change->left -= !change->done && !meant;
	if (meant) {
		bool is_json = strcmp(change->lie, LIE_ABSENT) != 0 && strcmp(change->lie, LIE_TWICE) != 0;

		change->done = true;
		fputs(is_json ? change->lie : "[[]]",
		      change->out); /* an element cannot go without its comma */
	} else if (json_as_map(value)) {
		fputc('{', change->out);
		json_each(value, write_member, change);
		fputs("\"Extra\":1}", change->out);
	} else if (json_as_list(value)) {
		fputc('[', change->out);
		for (size_t i = 0; i < json_length(value); i++) {
			fputs(i ? "," : "", change->out);
			write_value(change, json_item(value, i));
		}
		fputc(']', change->out);
	} else {
		write_as_it_is(change->out, value);
	}
}

char *lie_about(const char *reply, size_t n, const char *lie)
{
	static const struct json_limits no_limits = {.bytes = 0};
	struct err err;
	struct json_object *json = json_parse(reply, strlen(reply), &no_limits, &err);
	struct change change = {.left = n, .lie = lie};
	char *text;
	size_t len;

	if (!json)
		return NULL;
	change.out = text_open(&text, &len);
	write_value(&change, json);
	text_close(change.out);
	json_object_put(json);
	if (change.done)
		return text;
	free(text);
	return NULL;
}
