/* apilbctl pause, apilbctl resume */
#include <json-c/json.h>
#include <stdio.h>

#include "ctl/ctl.h"

static int ask(struct ctl *ctl, const char *path, const char *spec, const char *done, struct err *err)
{
	struct json_object *reply = request_json(ctl, "POST", path, spec, QUICK_REQUEST_MS, err);

	if (!reply)
		return -1;
	if (ctl->options.output != OUTPUT_TABLE)
		print_value(ctl, reply);
	else
		fputs(done, stderr);
	json_object_put(reply);
	return EXIT_DONE;
}

int run_pause(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	(void)n;
	return ask(ctl, "/v1/pause", arguments[0],
		   "Changes are held; what is under way on a host ends, and repairs go on.\n", err);
}

int run_resume(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	(void)n;
	return ask(ctl, "/v1/resume", arguments[0], "Changes go on (apilbctl status --watch shows them).\n",
		   err);
}
