/*
 * The answer of a stats socket, by HAProxy or by whoever else has put himself there: looked at twice, as
 * the daemon does, with some of its servers wanted.
 */
#include <limits.h>

#include "daemon/core/plan/observed.h"
#include "daemon/core/servers.h"
#include "tests/fuzz.h"

static char host_a[] = "10.0.0.1", host_b[] = "api.example";
static const struct spec_server wanted[] = {{.host = host_a, .port = 6443}, {.host = host_b, .port = 6443}};

static void on_change(void *arg, enum server_change change, const char *address, const char *text)
{
	(void)arg;
	require(change < SERVER_CHANGES && address && *text);
}

static void look(struct servers *servers, const char *text, int64_t now_ms)
{
	struct observed_instance observed = {0};

	observed_stats_parse(&observed, text);
	require(observed.stats == STATS_ANSWERED || (observed.stats == STATS_FAILED && observed.stats_error));
	for (size_t i = 0; i < observed.servers_n; i++) {
		const struct observed_server *server = &observed.servers[i];

		require(server->name && server->check &&
			(server->state == SERVER_DOWN) == (server->why != NULL));
		require(server->changed_s >= -1 && server->changed_s <= INT32_MAX);
	}
	require(observed.uptime_s >= -1 && observed.uptime_s <= INT32_MAX);
	observed.asked_at_ms = now_ms;
	observed_stats_suspect_certificates(&observed, "kubernetes");
	if (observed.stats == STATS_ANSWERED)
		servers_note(servers, wanted, 2, &observed, on_change, NULL);
	observed_instance_clear(&observed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct servers servers = {0};
	char *text = fuzz_text(data, size), *half = fuzz_text(data, size / 2);

	look(&servers, text, 1777629600000);
	look(&servers, half, 1777629660000);
	look(&servers, text, 1777629720000);
	require(servers.n <= 2);
	servers_clear(&servers);
	free(half);
	free(text);
	return 0;
}
