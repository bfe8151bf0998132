#include "common/yaml_emit.h"

#include <json-c/json.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/mem.h"
#include "common/text.h"

/*
 * Plain scalars that are not strings: the types of YAML 1.1 (https://yaml.org/type/)
 * and of the core schema of 1.2 (chapter 10.3).
 */
static const char not_strings[] = "^("
				  "~|null|Null|NULL"
				  "|y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF"
				  "|true|True|TRUE|false|False|FALSE"
				  "|[-+]?[0-9][0-9_]*|[-+]?0b[01_]+|[-+]?0o[0-7_]+|[-+]?0x[0-9a-fA-F_]+"
				  "|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\\.[0-9_]*)?" /* base 60: 12:30 is 750 */
				  "|[-+]?([0-9][0-9_]*\\.?[0-9_]*|\\.[0-9_]+)([eE][-+]?[0-9]+)?"
				  "|[-+]?\\.(inf|Inf|INF)|\\.(nan|NaN|NAN)"
				  "|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?"
				  "|<<|="
				  ")?$"; /* an empty scalar is null, too */

struct writer {
	yaml_emitter_t emitter;
	regex_t not_strings;
};

/* An emitter that writes to memory fails only for lack of memory, or for a wrong order of events, which would
 * be a bug here. */
static void emit(struct writer *w, yaml_event_t *event, int initialized)
{
	if (!initialized || !yaml_emitter_emit(&w->emitter, event))
		abort();
}

static void emit_scalar(struct writer *w, const char *s, size_t len, yaml_scalar_style_t style)
{
	yaml_event_t event;

	emit(w, &event,
	     yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)s, (int)len, 1, 1, style));
}

/* Copies s, with U+FFFD for bytes that are not UTF-8, and tells whether a literal block can hold the text. */
static char *clean(const char *s, size_t len, size_t *clean_len, int *literal)
{
	char *text;
	FILE *out = text_open(&text, clean_len);

	*literal = 0;
	for (size_t i = 0; i < len;) {
		uint32_t c;
		size_t n = text_decode(s + i, len - i, &c);

		if (c == TEXT_INVALID)
			fputs("\xef\xbf\xbd", out);
		else
			fwrite(s + i, 1, n, out);
		if (c == '\n' && *literal == 0)
			*literal = 1;
		/* Readers turn every kind of line end in a block into a newline, so a block cannot hold the
		 * other kinds. */
		if (c == '\r' || c == 0x85 || c == 0x2028 || c == 0x2029)
			*literal = -1;
		i += n;
	}
	text_close(out);
	return text;
}

static void emit_string(struct writer *w, const char *s, size_t len)
{
	yaml_scalar_style_t style = YAML_ANY_SCALAR_STYLE;
	size_t clean_len;
	int literal;
	char *text = clean(s, len, &clean_len, &literal);

	if (literal > 0)
		style = YAML_LITERAL_SCALAR_STYLE; /* only a request: the emitter quotes a text that a block
						      cannot hold */
	else if (literal < 0 || regexec(&w->not_strings, text, 0, NULL, 0) == 0)
		style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
	emit_scalar(w, text, clean_len, style);
	free(text);
}

static void emit_value(struct writer *w, struct json_object *value);

static void emit_map(struct writer *w, struct json_object *map)
{
	yaml_event_t event;

	emit(w, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
	json_object_object_foreach (map, key, member) {
		emit_string(w, key, strlen(key));
		emit_value(w, member);
	}
	emit(w, &event, yaml_mapping_end_event_initialize(&event));
}

static void emit_list(struct writer *w, struct json_object *list)
{
	yaml_event_t event;

	emit(w, &event,
	     yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE));
	for (size_t i = 0; i < json_object_array_length(list); i++)
		emit_value(w, json_object_array_get_idx(list, i));
	emit(w, &event, yaml_sequence_end_event_initialize(&event));
}

static void emit_value(struct writer *w, struct json_object *value)
{
	const char *text;

	switch (json_object_get_type(value)) {
	case json_type_object:
		emit_map(w, value);
		return;
	case json_type_array:
		emit_list(w, value);
		return;
	case json_type_string:
		emit_string(w, json_object_get_string(value), (size_t)json_object_get_string_len(value));
		return;
	default: /* numbers, booleans and null are written as in JSON */
		text = json_object_to_json_string(value);
		emit_scalar(w, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
	}
}

static char *render(struct json_object *value, bool unicode)
{
	struct writer w;
	yaml_event_t event;
	size_t len;
	char *text;
	FILE *out = text_open(&text, &len);

	if (regcomp(&w.not_strings, not_strings, REG_EXTENDED | REG_NOSUB) != 0 ||
	    !yaml_emitter_initialize(&w.emitter))
		abort();
	yaml_emitter_set_output_file(&w.emitter, out);
	yaml_emitter_set_unicode(&w.emitter, unicode);
	yaml_emitter_set_width(&w.emitter, -1);

	emit(&w, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
	emit(&w, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
	emit_value(&w, value);
	emit(&w, &event, yaml_document_end_event_initialize(&event, 1));
	emit(&w, &event, yaml_stream_end_event_initialize(&event));

	yaml_emitter_delete(&w.emitter);
	regfree(&w.not_strings);
	text_close(out);
	return text;
}

/* To YAML, marks that change the direction of writing are printable. The emitter escapes them only if it
 * escapes everything that is not ASCII. */
char *yaml_emit(struct json_object *value)
{
	char *text = render(value, true);

	if (text_is_printable(text, TEXT_BLOCK))
		return text;
	free(text);
	return render(value, false);
}
