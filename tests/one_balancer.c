#include "tests/one_balancer.h"

#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "daemon/core/spec/spec.h"
#include "daemon/io/clock.h"
#include "tests/some_spec.h"
#include "tests/temp.h"

struct event_base *base;
struct store *store;
struct events *events;
struct instance *instance;
char some_version[SHA256_HEX_SIZE]; /* of what is wanted */

struct wanted *some_wanted(void)
{
	struct wanted *wanted = parse_wanted("image: haproxy:3.0\n"
					     "apiLoadBalancers: [{name: lb, host: {direct: {}}}]\n"
					     "bindAddress: 127.0.0.1:7443\n"
					     "servers: ['10.0.0.1:6443']\n");

	memcpy(some_version, wanted->version, sizeof(some_version));
	return wanted;
}

struct instance *instance_with(enum err_kind kind, const char *message)
{
	struct wanted *wanted = some_wanted();
	struct store_instance record = {
		.host_url = xstrdup("direct"),
		.engine = xstrdup("/run/docker.sock"),
		.name = xstrdup("lb"),
		.spec = xstrdup("prod"),
		.host_json = xstrdup("{}"),
		.container_id = xstrdup("id0"),
		.config_size = -1,
		.error_kind = kind,
		.error_message = xstrdup(message),
	};
	struct instance *made = instance_new(&record);

	instance_want(made, wanted);
	wanted_unref(wanted);
	return made;
}

void balancer_setup(void)
{
	char *warning = NULL, *dir;
	struct err err;

	temp_make();
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	base = event_base_new();
	dir = temp_path("state");
	store = store_open(base, dir, &warning, &err);
	ck_assert_ptr_nonnull(store);
	events = events_new(base, store);
	instance = instance_with(ERR_NONE, NULL);
	free(dir);
}

void balancer_teardown(void)
{
	instance_free(instance);
	events_free(events);
	store_close(store);
	event_base_free(base);
	temp_remove();
}

void balancer_met(struct job_target *target, const char *id)
{
	target->result.observed.current = xcalloc(1, sizeof(*target->result.observed.current));
	target->result.observed.current->id = xstrdup(id);
}

/* The daemon ends, and another one begins with what it has written down. */
void balancer_restart(void)
{
	struct store_instance *rows;
	struct err err;
	size_t n;

	instance_free(instance);
	ck_assert_int_eq(store_load_instances(store, &rows, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	instance = instance_new(&rows[0]);
	store_instances_free(rows, n);
}

struct silence_clock ago(int64_t ms)
{
	return (struct silence_clock){.ms = clock_ms() - ms, .unix_ms = clock_now_ms() - ms};
}
