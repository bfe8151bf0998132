/* Decides whether a config must be rehearsed: must prove that it sees a server up before it listens. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/plan/plan_internal.h"

/* The running HAProxy has another config, and does not tell which servers it sees up. */
static bool may_have_servers_up(const struct wanted *wanted, const struct observed_instance *observed)
{
	return observed->current && observed->current->status == CONTAINER_RUNNING &&
	       observed->stats != STATS_ANSWERED &&
	       !(observed->config_known && strcmp(observed->config_sha256, wanted->config_sha256) == 0);
}

bool plan_must_see_a_server(const struct wanted *wanted, const struct observed_instance *observed)
{
	return observed_servers_in(observed, SERVER_UP) > 0 || observed->relieves ||
	       may_have_servers_up(wanted, observed);
}

/*
 * The running HAProxy has servers that are up, but none of them is wanted any
 * more: a typing error in their addresses would take the balancer down.
 */
static bool leaves_all_good_servers(const struct wanted *wanted, const struct observed_instance *observed)
{
	bool any_up = false, common = false;

	for (size_t i = 0; i < observed->servers_n; i++) {
		if (observed->servers[i].state != SERVER_UP)
			continue;
		any_up = true;
		for (size_t j = 0; j < wanted->instance.servers_n; j++) {
			char *name = haproxy_server_name(&wanted->instance.servers[j]);

			common |= strcmp(name, observed->servers[i].name) == 0;
			free(name);
		}
	}
	return any_up && !common;
}

char *plan_rehearsal_reason(const struct wanted *wanted, const struct observed_instance *observed)
{
	/*
	 * Both would listen on the same port, and share its connections, before this one has proved
	 * itself.
	 */
	if (observed->relieves)
		return xasprintf("%s serves until this balancer does in its place", observed->relieves);
	if (may_have_servers_up(wanted, observed))
		return xstrdup("nobody knows which servers are up for the balancer that runs");
	if (leaves_all_good_servers(wanted, observed))
		return xstrdup("no server that is up now is wanted any more");
	return NULL;
}
