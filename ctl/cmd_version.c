/* apilbctl version */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "ctl/ctl.h"
#include "ctl/json.h"

static void print_table(const char *daemon)
{
	char *safe = daemon ? text_printable(daemon, TEXT_LINE) : NULL;

	printf("apilbctl  %s\n", PACKAGE_VERSION);
	if (safe)
		printf("apilbd    %s\n", safe);
	free(safe);
}

/* Print the client's version first: it is needed most when the daemon does not answer. */
int run_version(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	struct json_object *status = request_json(ctl, "GET", "/v1/status", NULL, QUICK_REQUEST_MS, err);
	const char *daemon = json_text(status, "version", NULL);

	(void)arguments;
	(void)n;
	if (ctl->options.output == OUTPUT_TABLE) {
		print_table(status ? daemon ? daemon : "unknown" : NULL);
	} else {
		struct json_object *versions = json_object_new_object();

		json_object_object_add(versions, "client", json_object_new_string(PACKAGE_VERSION));
		json_object_object_add(versions, "daemon", daemon ? json_object_new_string(daemon) : NULL);
		print_value(ctl, versions);
		json_object_put(versions);
	}
	if (!status)
		return -1;
	json_object_put(status);
	return EXIT_DONE;
}
