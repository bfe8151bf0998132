/* apilbctl state export */
#include <json-c/json.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/yaml_emit.h"
#include "ctl/client.h"
#include "ctl/ctl.h"
#include "ctl/state_secrets.h"

static int print_with_secrets(struct ctl *ctl, struct json_object *reply, struct err *err)
{
	char *yaml;

	if (state_secrets_add(ctl, reply, err) < 0)
		return -1;
	json_object_object_del(reply, "instances"); /* a field of ours, which flexkube does not know */
	yaml = yaml_emit(reply);
	if (isatty(STDOUT_FILENO))
		fputs("apilbctl: passwords and private keys follow; they stay in the terminal's memory\n",
		      stderr);
	print_text(ctl, yaml);
	state_secrets_forget(yaml);
	return EXIT_DONE;
}

int run_state_export(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	bool with_secrets = ctl->options.with_secrets;
	const struct client_param params[] = {
		{"spec", n > 0 ? arguments[0] : NULL},
		{"format", with_secrets ? "json" : NULL},
		{NULL, NULL},
	};
	const struct client_request request = {
		.method = "GET",
		.path = "/v1/state",
		.params = params,
		.timeout_ms = request_timeout_ms(ctl, QUICK_REQUEST_MS),
	};
	struct json_object *reply;
	char *yaml;
	int rc;

	if (with_secrets) {
		reply = client_json(ctl->client, &request, err);
		rc = reply ? print_with_secrets(ctl, reply, err) : -1;
		json_object_put(reply);
		return rc;
	}
	yaml = client_text(ctl->client, &request, err);
	if (!yaml)
		return -1;
	print_text(ctl, yaml);
	free(yaml);
	return EXIT_DONE;
}
