/* Any JSON as YAML: a reader gets a document, and a terminal nothing that it obeys. */
#include <json-c/json.h>
#include <yaml.h>

#include "common/text.h"
#include "common/yaml_emit.h"
#include "tests/fuzz.h"

static bool is_read(const char *yaml)
{
	yaml_parser_t parser;
	yaml_document_t document;
	bool good;

	yaml_parser_initialize(&parser);
	yaml_parser_set_input_string(&parser, (const yaml_char_t *)yaml, strlen(yaml));
	good = yaml_parser_load(&parser, &document) && yaml_document_get_root_node(&document);
	if (good)
		yaml_document_delete(&document);
	yaml_parser_delete(&parser);
	return good;
}

/* Escaped, JSON text stays the same value. */
static void check_escaped(struct json_object *json)
{
	char *text = text_printable(json_object_to_json_string(json), TEXT_LINE);
	struct json_object *again = json_tokener_parse(text);

	require(text_is_printable(text, TEXT_LINE));
	require(!json == !again);
	json_object_put(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *shown = text_printable(text, TEXT_BLOCK), *yaml;
	struct json_object *json = json_tokener_parse(text);

	require(text_is_printable(shown, TEXT_BLOCK));
	free(shown);
	if (!json)
		json = text_json(text);
	yaml = yaml_emit(json);
	require(text_is_printable(yaml, TEXT_BLOCK) && is_read(yaml));
	check_escaped(json);
	free(yaml);
	json_object_put(json);
	free(text);
	return 0;
}
