/* What apilbctl shows of the replies of a daemon that is older, newer, or no apilbd at all. */
#include <json-c/json.h>
#include <stdio.h>

#include "common/text.h"
#include "ctl/report.h"
#include "ctl/status.h"
#include "ctl/status_view.h"
#include "ctl/watch.h"
#include "tests/fuzz.h"

static FILE *nowhere;

static void check_shown(char *text)
{
	require(text_is_printable(text, TEXT_BLOCK));
	free(text);
}

static void show_status(struct json_object *json)
{
	const struct style style = {.columns = 80};
	struct watch *watch = watch_new(false);
	struct status status, copy;
	struct err err = {0};
	size_t len;
	char *text;
	FILE *out;

	if (status_parse(&status, json, &err) < 0) {
		require(*err.message != '\0');
		watch_free(watch);
		return;
	}
	out = text_open(&text, &len);
	status_print_table(&status, false, 1777629600000, &style, out);
	status_print_errors(&status, &style, out);
	status_print_summary(&status, out);
	status_print_missing(&status, out);
	watch_show(watch, &status, &style, out);
	status_copy(&copy, &status);
	watch_show(watch, &copy, &style, out);
	text_close(out);
	check_shown(text);
	watch_free(watch);
	status_clear(&copy);
	status_clear(&status);
}

static void show_plan(struct json_object *json, const struct ctl *ctl)
{
	struct err err = {0};
	size_t left = 0;

	require(report_plan(ctl, json, &left, &err) == 0 || *err.message);
	json_object_put(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned choice = fuzz_choice(&data, &size);
	struct ctl ctl = {
		.options = {.output = choice >> 2 & 3 ? OUTPUT_TABLE : (enum output)(choice >> 4) % OUTPUTS}};
	struct event_printer printer = {.ctl = &ctl};
	char *text = fuzz_text(data, size);

	if (!nowhere)
		nowhere = freopen("/dev/null", "w", stdout);
	if (choice % 4 == 0)
		report_event(&printer, text);
	else if (choice % 4 == 1)
		show_plan(json_tokener_parse(text), &ctl);
	else
		show_status(json_tokener_parse(text));
	free(text);
	return 0;
}
