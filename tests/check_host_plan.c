/* A plan for a host: what the next run would do, and nothing more. */
#include <check.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>

#include "daemon/host/host.h"
#include "tests/run_place.h"
#include "tests/suite.h"
#include "tests/temp.h"

/* When the daemon has just started with a store that was lost. */
struct planned {
	bool done;
	size_t actions;
	enum first_look look;
};

static void on_planned(void *arg, struct host *host, const struct job_target *targets, size_t n,
		       const struct err *err)
{
	struct planned *planned = arg;

	(void)host;
	ck_assert_msg(!err, "%s", err ? err->message : "");
	ck_assert_uint_eq(n, 1);
	*planned = (struct planned){true, targets[0].result.plan.n, targets[0].result.look};
}

static void on_host_due(void *arg, struct host *host)
{
	(void)arg;
	host_run(host);
}

static void on_host_idle(void *arg, struct host *host, bool settled)
{
	(void)arg, (void)host, (void)settled;
}

static const struct removal *nobody_is_there(void *arg, const struct host *ahead)
{
	(void)ahead;
	return nobody_else(arg);
}

static struct planned plan_after_a_start(struct place *place)
{
	char *dir = temp_path("state"), *warning = NULL;
	struct err err;
	struct store *store = store_open(place->base, dir, &warning, &err);
	struct events *events = events_new(place->base, store);
	const struct host_context context = {
		.base = place->base,
		.store = store,
		.events = events,
		.owner = OWNER,
		.due = on_host_due,
		.idle = on_host_idle,
		.removal = nobody_is_there,
	};
	struct spec_host settings = {.url = (char *)"direct",
				     .label = (char *)"direct",
				     .engine = fake_engine_socket(place->engine)};
	struct host *host = host_new(&context, &settings);
	struct planned planned = {false};
	struct instance_change change;

	host_wish(host, "lb", place->wanted, false, &change);
	host_plan(host, on_planned, &planned);
	while (!planned.done)
		event_base_loop(place->base, EVLOOP_ONCE);
	host_free(host);
	events_free(events);
	store_close(store);
	free(settings.engine);
	free(dir);
	return planned;
}

START_TEST(a_plan_promises_no_more_than_the_first_look_allows)
{
	struct planned planned;
	struct place place;

	temp_make();
	place_open(&place);
	if (_i > 0)
		place_run(&place);
	place_want(&place, NEW, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
	planned = plan_after_a_start(&place);
	ck_assert_int_eq(planned.look, _i > 0 ? LOOK_LEAVE : LOOK_KEEP);
	ck_assert_int_eq(planned.actions > 0, _i == 0);
	place_close(&place);
	temp_remove();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("host_plan");
	TCase *tcase = tcase_create("host_plan");

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_loop_test(tcase, a_plan_promises_no_more_than_the_first_look_allows, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
