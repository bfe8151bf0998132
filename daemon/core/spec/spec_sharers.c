#include "daemon/core/spec/spec_sharers.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"

struct shared {
	UT_hash_handle hh;
	size_t sharers;
	char address[];
};

static struct shared *shared_for(struct shared **all, const struct spec_server *server)
{
	char *address = xasprintf("%s %u", server->host, server->port);
	struct shared *shared;

	HASH_FIND_STR(*all, address, shared);
	if (!shared) {
		shared = xcalloc(1, sizeof(*shared) + strlen(address) + 1);
		strcpy(shared->address, address);
		HASH_ADD_STR(*all, address, shared);
	}
	free(address);
	return shared;
}

static void count(struct shared **all, const struct spec_instance *instance)
{
	for (size_t i = 0; i < instance->servers_n; i++)
		shared_for(all, &instance->servers[i])->sharers++;
}

static void tell(struct shared **all, struct spec_instance *instance)
{
	instance->sharers = 0;
	for (size_t i = 0; i < instance->servers_n; i++) {
		size_t sharers = shared_for(all, &instance->servers[i])->sharers;

		if (sharers > instance->sharers)
			instance->sharers = sharers;
	}
}

void spec_count_sharers(struct spec *const *specs, size_t n)
{
	struct shared *all = NULL, *shared, *tmp;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < specs[i]->instances_n; j++)
			count(&all, &specs[i]->instances[j]);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < specs[i]->instances_n; j++)
			tell(&all, &specs[i]->instances[j]);
	HASH_ITER (hh, all, shared, tmp) {
		HASH_DEL(all, shared);
		free(shared);
	}
}

int64_t spec_interval_for_ms(size_t sharers)
{
	static const unsigned steps[] = {1, 2, 5};
	int64_t unit_s = 1;

	for (;; unit_s *= 10)
		for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			if (sharers <= (size_t)(unit_s * steps[i] * SPEC_MAX_CHECKS_PER_S))
				return unit_s * steps[i] * 1000;
}

int64_t spec_check_interval_ms(const struct spec_instance *instance)
{
	int64_t own = instance->health_check.interval_ms;

	return own > 0 ? own : spec_interval_for_ms(instance->sharers);
}
