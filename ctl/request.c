#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "common/yaml_emit.h"
#include "ctl/client.h"
#include "ctl/ctl.h"

int64_t request_timeout_ms(const struct ctl *ctl, int64_t own_ms)
{
	return ctl->options.timeout_ms > 0 ? ctl->options.timeout_ms : own_ms;
}

struct json_object *request_json(struct ctl *ctl, const char *method, const char *path, const char *spec,
				 int64_t timeout_ms, struct err *err)
{
	const struct client_param params[] = {{"spec", spec}, {"plan", ctl->options.plan}, {NULL, NULL}};
	const struct client_request request = {
		.method = method,
		.path = path,
		.params = params,
		.timeout_ms = request_timeout_ms(ctl, timeout_ms),
	};

	return client_json(ctl->client, &request, err);
}

void print_text(const struct ctl *ctl, const char *text)
{
	char *safe = ctl->style.tty ? text_printable(text, TEXT_BLOCK) : NULL;

	fputs(safe ? safe : text, stdout);
	free(safe);
}

void print_value(const struct ctl *ctl, struct json_object *value)
{
	static const int flags =
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE;
	char *text;

	if (ctl->options.output == OUTPUT_YAML) {
		text = yaml_emit(value);
		print_text(ctl, text);
	} else {
		text = text_printable(json_object_to_json_string_ext(value, flags), TEXT_BLOCK);
		puts(text);
	}
	free(text);
}
