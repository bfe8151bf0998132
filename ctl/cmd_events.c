/* apilbctl events */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "ctl/client.h"
#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ctl/report.h"
#include "ctl/timestamp.h"

/* With -f, a few earlier events, as with tail -f; without it, a few screens. */
#define LINES_FOLLOWED 10
#define LINES_SHOWN 100

static const struct {
	const char *level;
	enum colour colour;
} level_colours[] = {{"error", COLOUR_RED}, {"warning", COLOUR_YELLOW}};

static enum colour level_colour(const char *level)
{
	for (size_t i = 0; i < sizeof(level_colours) / sizeof(level_colours[0]); i++)
		if (strcmp(level, level_colours[i].level) == 0)
			return level_colours[i].colour;
	return COLOUR_NONE;
}

static void print_padded(const struct style *style, enum colour colour, const char *text, int *width)
{
	char *safe = text_printable(text, TEXT_LINE);
	int own = (int)text_width(safe);

	if (own > *width)
		*width = own;
	style_print(style, stdout, colour, safe);
	printf("%*s  ", *width - own, "");
	free(safe);
}

static void print_event(struct event_printer *p, struct json_object *event)
{
	const struct style *style = &p->ctl->style;
	const char *level = json_text(event, "level", "-");
	int64_t ms = json_time_ms(event, "time");
	char time[TIMESTAMP_LOCAL_BYTES];
	int time_width = sizeof(time) - 1, level_width = sizeof("warning") - 1;
	char *message = text_printable(json_text(event, "message", ""), TEXT_LINE);

	print_padded(style, COLOUR_NONE, ms < 0 ? "-" : timestamp_local(ms, time), &time_width);
	print_padded(style, level_colour(level), level, &level_width);
	/* An event about a whole spec, or about the daemon, has no instance. */
	print_padded(style, COLOUR_NONE, json_text(event, "instance", json_text(event, "spec", "-")),
		     &p->instance_width);
	print_padded(style, COLOUR_NONE, json_text(event, "type", "-"), &p->type_width);
	puts(message);
	free(message);
}

static void print_json_event(struct json_object *event)
{
	char *text = text_printable(json_object_to_json_string_ext(
					    event, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
				    TEXT_LINE);

	puts(text);
	free(text);
}

int report_event(void *arg, const char *line)
{
	struct event_printer *p = arg;
	static const struct json_limits limits = {.bytes = CLIENT_MAX_REPLY_BYTES};
	struct json_object *event;
	struct err err;

	if (!*line)
		return 0; /* an empty line only keeps the connection alive */
	event = json_parse(line, strlen(line), &limits, &err);
	p->bad_line = !json_as_map(event);
	if (p->bad_line) {
		json_object_put(event);
		return 1;
	}
	if (p->ctl->options.output == OUTPUT_JSON) {
		print_json_event(event);
	} else if (p->ctl->options.output == OUTPUT_YAML) {
		puts("---");
		print_value(p->ctl, event);
	} else {
		print_event(p, event);
	}
	json_object_put(event);
	p->printed++;
	/* With -f each line is flushed at once; when nobody reads the output any more, the request ends. */
	return p->ctl->options.follow && fflush(stdout) != 0;
}

int run_events(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	const struct options *o = &ctl->options;
	struct event_printer printer = {.ctl = ctl};
	char limit[32];
	const struct client_param params[] = {
		{"spec", n > 0 ? arguments[0] : NULL},
		{"limit", limit},
		{"follow", o->follow ? "1" : NULL},
		{NULL, NULL},
	};
	const struct client_request request = {
		.method = "GET",
		.path = "/v1/events",
		.params = params,
		.timeout_ms = request_timeout_ms(ctl, QUICK_REQUEST_MS),
	};

	snprintf(limit, sizeof(limit), "%ld",
		 o->lines > 0 ? o->lines
		 : o->follow  ? (long)LINES_FOLLOWED
			      : (long)LINES_SHOWN);
	if (client_lines(ctl->client, &request, report_event, &printer, err) < 0)
		return -1;
	if (printer.bad_line)
		return err_set(err, ERR_UNREACHABLE,
			       "what answers is not apilbd: an event is no JSON object");
	if (o->follow && !ferror(stdout))
		return err_set(err, ERR_UNREACHABLE, "apilbd has ended the stream of events");
	/* This is no error: a spec that is gone may still have events in the store. */
	if (n > 0 && printer.printed == 0)
		fprintf(stderr, "no events of a spec named \"%s\"\n", arguments[0]);
	return EXIT_DONE;
}
