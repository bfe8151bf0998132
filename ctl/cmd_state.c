/* apilbctl state export */
#include <stdlib.h>

#include "ctl/client.h"
#include "ctl/ctl.h"

int run_state_export(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	const struct client_param params[] = {
		{"spec", n > 0 ? arguments[0] : NULL},
		{NULL, NULL},
	};
	const struct client_request request = {
		.method = "GET",
		.path = "/v1/state",
		.params = params,
		.timeout_ms = request_timeout_ms(ctl, QUICK_REQUEST_MS),
	};
	char *yaml = client_text(ctl->client, &request, err);

	if (!yaml)
		return -1;
	print_text(ctl, yaml);
	free(yaml);
	return EXIT_DONE;
}
