#include "daemon/core/spec/spec_sharers.h"

#include <stdlib.h>

#include "common/mem.h"
#include "common/words.h"

/* The longest interval is 5 of these: HAProxy takes less than 2^31 ms. */
#define MAX_UNIT_S 100000

static size_t *sharers_of(struct words **servers, const struct spec_server *server)
{
	char *address = xasprintf("%s %u", server->host, server->port);
	size_t *sharers = words_number(servers, address);

	free(address);
	return sharers;
}

static void count_servers(struct words **servers, const struct spec_instance *instance)
{
	for (size_t i = 0; i < instance->servers_n; i++)
		++*sharers_of(servers, &instance->servers[i]);
}

static void set_sharers(struct words **servers, struct spec_instance *instance)
{
	instance->sharers = 0;
	for (size_t i = 0; i < instance->servers_n; i++) {
		size_t sharers = *sharers_of(servers, &instance->servers[i]);

		if (sharers > instance->sharers)
			instance->sharers = sharers;
	}
}

void spec_count_sharers(struct spec *const *specs, size_t n)
{
	struct words *servers = NULL;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < specs[i]->instances_n; j++)
			count_servers(&servers, &specs[i]->instances[j]);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < specs[i]->instances_n; j++)
			set_sharers(&servers, &specs[i]->instances[j]);
	words_clear(&servers);
}

int64_t spec_interval_for_ms(size_t sharers)
{
	static const size_t steps[] = {1, 2, 5};
	size_t seconds = 0;

	for (size_t unit = 1; unit <= MAX_UNIT_S; unit *= 10)
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			seconds = unit * steps[i];
			if (sharers <= seconds * SPEC_MAX_CHECKS_PER_S)
				return (int64_t)seconds * 1000;
		}
	return (int64_t)seconds * 1000;
}

int64_t spec_check_interval_ms(const struct spec_instance *instance)
{
	int64_t own = instance->health_check.interval_ms;

	return own > 0 ? own : spec_interval_for_ms(instance->sharers);
}
