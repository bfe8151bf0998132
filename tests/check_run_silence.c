/* A run where HAProxy does not say what is to be known of it (stats sockets that are silent, or of no use),
 * or does not hear what it is told. */
#include <check.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/container_name.h"
#include "daemon/io/clock.h"
#include "tests/run_worlds.h"
#include "tests/suite.h"
#include "tests/turned_clock.h"

/* HAProxy serves, and its stats socket is of no use, or gone. */
static void gag(struct place *place, enum fake_mouth mouth, bool successors, bool is_there)
{
	char *path = haproxy_socket_path("lb", fake_token(place_balancer(place)));

	if (is_there)
		fake_file_write(&place->machine, path, "", 0, 0666);
	fake_engine_gag(place->engine, successors ? NULL : fake_token(place_balancer(place)), mouth);
	free(path);
}

/* However it does not answer: nobody waits for it for long, and it is said until when. */
static void run_in_silence(struct place *place)
{
	int64_t began = turned_clock_ms();

	place_run(place);
	ck_assert_int_le(turned_clock_ms() - began, 10000);
	ck_assert_int_eq(place->last.result.err.kind, ERR_TRANSIENT);
	ck_assert_msg(
		strstr(place->last.result.err.message, "has not answered on its stats socket since 20") &&
			strstr(place->last.result.err.message, "a successor follows at 20"),
		"%s", place->last.result.err.message);
}

START_TEST(who_does_not_answer_gets_a_successor)
{
	int64_t began, starts;
	struct place place;

	place_begin(&place, 0);
	place.restarts = _i >= MOUTHS - MOUTH_SILENT;
	gag(&place, MOUTH_SILENT + _i % (MOUTHS - MOUTH_SILENT), false, true);
	began = turned_clock_ms();
	starts = place.machine.starts;
	while (turned_clock_ms() - began < SILENT_AFTER_MS - 10000) {
		run_in_silence(&place);
		turned_clock_turn(2000);
	}
	ck_assert_int_eq(place.machine.starts, starts);
	turned_clock_turn(began + SILENT_AFTER_MS - turned_clock_ms());
	if (place.restarts) {
		/* Clocks may have been turned: the second look since the start decides. */
		place.restarts = false;
		place_run(&place);
		turned_clock_turn(SILENCE_EARLY_MS);
	}
	place_run(&place);
	expect_as_wanted(&place, "with a successor");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	place_close(&place);
}
END_TEST

START_TEST(what_is_paused_without_its_socket_is_succeeded)
{
	char id[sizeof(((struct fake_container *)0)->id)];
	struct place place;

	place_begin(&place, 0);
	strcpy(id, place_balancer(&place)->id);
	paused_without_socket(&place);
	place_run(&place);
	expect_as_wanted(&place, "after one run");
	ck_assert_str_ne(place_balancer(&place)->id, id);
	place_close(&place);
}
END_TEST

static const struct {
	enum fake_mouth mouth;
	bool is_there;
} useless[] = {{MOUTH_REFUSES, true}, {MOUTH_SILENT, true}, {MOUTH_REFUSES, false}};

/* True when it has tried a successor. What is said changes with each of these, not with each look; with a
 * start, it may be said that the successor comes a little later. */
static bool run_for_hours(struct place *place, bool starts)
{
	char *before = xstrdup(place->last.result.err.message);
	char *until = starts ? strstr(before, "a successor follows at ") : NULL;
	size_t len = until ? (size_t)(until - before) : strlen(before) + 1;
	int64_t began = turned_clock_ms();
	bool tries;

	place_run(place);
	/* Waiting for the successor included. */
	ck_assert_int_le(turned_clock_ms() - began, 25000);
	tries = strstr(place->told, "create: ") != NULL;
	if (!tries && strstr(before, "stats socket since"))
		ck_assert_msg(strncmp(place->last.result.err.message, before, len) == 0, "%s\n%s", before,
			      place->last.result.err.message);
	free(before);
	return tries;
}

START_TEST(successors_that_do_not_answer_become_rare)
{
	char id[sizeof(((struct fake_container *)0)->id)];
	struct place place;
	int64_t began;
	int tries = 0, looks = 0;

	place_begin(&place, 0);
	strcpy(id, place_balancer(&place)->id);
	gag(&place, useless[_i % N(useless)].mouth, true, useless[_i % N(useless)].is_there);
	for (began = turned_clock_ms(); turned_clock_ms() - began < 240 * 60000;) {
		/* After a start it takes two looks. */
		bool starts = place.restarts;

		place.restarts = _i >= N(useless) && ++looks % 2 == 0;
		tries += run_for_hours(&place, starts);
		place_end_connections(&place);
		turned_clock_turn(20000);
	}
	/* After 1, 3, 7, 15, 31, 63, 123 and 183 minutes. */
	ck_assert_int_eq(tries, 8);
	ck_assert_str_eq(place_balancer(&place)->id, id);
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	place_close(&place);
}
END_TEST

static void on_both_reached(void *arg, const struct job_target *targets, size_t n)
{
	(void)arg, (void)targets;
	ck_assert_uint_eq(n, 2);
}

/* lb is to get its successor, after something else on its host, or not in this run. The run is not ended. */
static struct job *begin_with_other(struct place *place, struct wanted *other, bool held)
{
	struct job_options options = place_options(place);
	struct job_target *targets = xcalloc(2, sizeof(*targets));
	struct wanted *wanted[2] = {other, place->wanted};

	options.reached = on_both_reached;
	for (size_t i = 0; i < 2; i++) {
		targets[i].order.wanted = wanted_ref(wanted[i]);
		targets[i].order.name = xstrdup(wanted[i]->instance.name);
		targets[i].order.removal_held = held;
		memory_init(&targets[i].memory);
	}
	memory_lend(&targets[1].memory, &place->memory, place->wanted->version, clock_ms());
	place->done = false;
	return job_start(&options, targets, 2);
}

/* True when it came to that request. */
static bool plan_and_end(struct place *place, size_t nth, bool held, bool *planned)
{
	struct wanted *other =
		wanted_named("lb2", "/etc/haproxy-lb2/haproxy.cfg", OLD, "7501", "'192.0.2.1:6443'");
	struct job *job;
	const struct job_target *targets;
	bool came_to_it;
	size_t n;

	fake_engine_fail(place->engine, nth, FAULT_SILENT);
	job = begin_with_other(place, other, held);
	while (!place->done && !fake_engine_has_failed(place->engine))
		event_base_loop(place->base, EVLOOP_ONCE);
	came_to_it = fake_engine_has_failed(place->engine);
	targets = job_targets(job, &n);
	*planned |= targets[1].result.plan.for_silence;
	if (held || !fake_find(&place->machine, "lb2"))
		ck_assert_uint_eq(targets[1].memory.silence.tries, 0);
	job_free(job);
	wanted_unref(other);
	return came_to_it;
}

/* The daemon may end between a plan and its first action: what was only planned is no try. */
START_TEST(a_successor_that_was_only_planned_is_no_try)
{
	struct place place;
	bool planned = false, came_to_it = true;

	for (size_t nth = 1; came_to_it; nth++) {
		place_begin(&place, 0);
		gag(&place, MOUTH_REFUSES, false, true);
		run_in_silence(&place);
		turned_clock_turn(SILENT_AFTER_MS);
		came_to_it = plan_and_end(&place, nth, _i == 1, &planned);
		place_close(&place);
	}
	ck_assert(planned);
}
END_TEST

/* A name is looked up anew by a reload: only after one that can be asked for. */
START_TEST(who_was_not_reloaded_need_not_have_looked_up_names)
{
	struct place place;
	int64_t began;

	place_begin(&place, 0);
	place_balancer(&place)->nameless = true;
	if (_i == 0)
		container_paused(&place);
	else
		place_rename(&place, "lb-apilb-next");
	began = turned_clock_ms();
	place_run(&place);
	expect_as_wanted(&place, "with a name that has no address");
	ck_assert_str_eq(place.memory.refused.version, "");
	ck_assert_int_lt(turned_clock_ms() - began, 5000);
	ck_assert_uint_eq(place_times_told(&place, "reload: "), 1);
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	place_close(&place);
}
END_TEST

/* The one before it is gone: a daemon was killed in between. */
START_TEST(a_successor_that_serves_alone_is_never_told_to_leave)
{
	struct place place;
	struct fake_container *next;

	place_begin(&place, 0);
	next = place_rename(&place, "lb-apilb-next");
	fake_engine_gag(place.engine, NULL, MOUTH_GARBAGE);
	for (int i = 0; i < 3; i++) {
		place_run(&place);
		ck_assert_int_ne(place.last.result.err.kind, ERR_NONE);
		ck_assert(place_containers(&place) == 1 && next->status == FAKE_RUNNING && !next->leaves);
	}
	fake_engine_gag(place.engine, NULL, MOUTH_SPEAKS);
	place_recover(&place);
	expect_as_wanted(&place, "when it speaks again");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	place_close(&place);
}
END_TEST

static void back_to_the_old_image(struct place *place)
{
	place_want(place, OLD, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
}

static void make_deaf(struct place *place)
{
	place->machine.deaf = place_balancer(place)->deaf = 1;
}

/* HAProxy's master loses what it is told until it is in its loop, and its worker answers before that. */
START_TEST(who_has_not_heard_is_told_again)
{
	static void (*const changes[])(struct place *) = {change_image, back_to_the_old_image};
	struct place place;

	place_begin(&place, 0);
	make_deaf(&place);
	for (int i = 0; i < N(changes); i++) {
		changes[i](&place);
		place_run(&place);
		expect_as_wanted(&place, "in the same run");
	}
	/* Its connections last: it listens no more, and nobody tells it a third time. */
	place.machine.lasting = true;
	change_image(&place);
	place_run(&place);
	ck_assert_uint_eq(place_containers(&place), 2);
	ck_assert_uint_eq(fake_serving(&place.machine), 1);
	place_run(&place);
	ck_assert_msg(place.machine.history == NULL, "%s", place.machine.history);
	place_close(&place);
}
END_TEST

START_TEST(a_reload_that_was_not_heard_is_repeated)
{
	struct place place;
	int64_t began;

	place_begin(&place, 0);
	make_deaf(&place);
	change_servers(&place);
	began = turned_clock_ms();
	place_run(&place);
	expect_as_wanted(&place, "in the same run");
	ck_assert_uint_eq(place_times_told(&place, "reload: "), 2);
	ck_assert_int_lt(turned_clock_ms() - began, 5000);
	place_close(&place);
}
END_TEST

/* It has just started, and is not to take over: it would take its part of the connections for as long as it
 * stays. It may not even have a socket yet on which it could be asked. */
START_TEST(a_successor_that_has_not_heard_is_told_again)
{
	static const int lates[] = {0, 3};
	struct place place;
	size_t nth = 0;
	bool came_to_it;

	do {
		place_begin(&place, 0);
		place.machine.deaf = 1;
		place.machine.late = lates[_i];
		place.machine.lasting = true;
		change_image(&place);
		fake_engine_fail(place.engine, ++nth, FAULT_REFUSED);
		place_run(&place);
		came_to_it = fake_engine_has_failed(place.engine);
		place_run(&place);
		ck_assert_msg(fake_serving(&place.machine) == 1, "request %zu: %zu take connections\n%s%s",
			      nth, fake_serving(&place.machine), place.told, place.machine.history);
		place_close(&place);
	} while (came_to_it);
	ck_assert_uint_gt(nth, 20);
}
END_TEST

/* Several on one host. */
#define HUNG 4
struct several {
	struct wanted *wanted[HUNG + 1];
	struct memory memory[HUNG + 1];
	struct err err[HUNG + 1];
};

static void want_several(struct several *several, const char *image)
{
	for (int i = 0; i <= HUNG; i++) {
		char *name = xasprintf("lb%d", i), *port = xasprintf("%d", 7500 + i);
		char *path = xasprintf("/etc/haproxy-%s/haproxy.cfg", name);

		if (several->wanted[i])
			wanted_unref(several->wanted[i]);
		else
			memory_init(&several->memory[i]);
		several->wanted[i] = wanted_named(name, path, image, port, "'192.0.2.1:6443'");
		free(name);
		free(port);
		free(path);
	}
}

static void several_clear(struct several *several)
{
	for (int i = 0; i <= HUNG; i++) {
		wanted_unref(several->wanted[i]);
		memory_clear(&several->memory[i]);
	}
}

static void on_several_reached(void *arg, const struct job_target *targets, size_t n)
{
	(void)arg, (void)targets;
	ck_assert_uint_eq(n, HUNG + 1);
}

static void run_several(struct place *place, struct several *several)
{
	struct job_options options = place_options(place);
	struct job_target *targets = xcalloc(HUNG + 1, sizeof(*targets));
	struct job *job;
	size_t n;

	options.reached = on_several_reached;
	place->done = false;
	for (size_t i = 0; i <= HUNG; i++) {
		targets[i].order.wanted = wanted_ref(several->wanted[i]);
		targets[i].order.name = xstrdup(several->wanted[i]->instance.name);
		memory_lend(&targets[i].memory, &several->memory[i], several->wanted[i]->version, clock_ms());
	}
	job = job_start(&options, targets, HUNG + 1);
	while (!place->done)
		event_base_loop(place->base, EVLOOP_ONCE);
	targets = job_targets(job, &n);
	for (size_t i = 0; i <= HUNG; i++) {
		several->err[i] = targets[i].result.err;
		memory_take(&several->memory[i], &targets[i].memory, several->wanted[i]->version,
			    &targets[i].result.err, clock_ms());
	}
	job_free(job);
}

/* The last of them is slow, as where there is little CPU, and all before it are hung: that costs it nothing.
 */
START_TEST(who_hangs_costs_nobody_elses_verdict)
{
	struct several several;
	struct place place;
	int runs = 0;

	place_open(&place);
	several = (struct several){0};
	want_several(&several, OLD);
	run_several(&place, &several);
	fake_engine_gag(place.engine, fake_token(fake_find(&place.machine, "lb4")), MOUTH_SLOW);
	fake_engine_gag_others(place.engine, MOUTH_SILENT);
	do {
		run_several(&place, &several);
		ck_assert_msg(!several.memory[HUNG].silence.run, "%s", several.err[HUNG].message);
		if (several.err[HUNG].kind != ERR_NONE)
			ck_assert_pstr_eq(several.err[HUNG].message,
					  "HAProxy does not answer yet: it was given a moment only, because "
					  "others on its host do not answer");
	} while (several.err[HUNG].kind != ERR_NONE && ++runs < HUNG);
	ck_assert_msg(several.err[HUNG].kind == ERR_NONE, "%s", several.err[HUNG].message);
	for (int i = 0; i < HUNG; i++)
		ck_assert(several.memory[i].silence.run);
	several_clear(&several);
	place_close(&place);
}
END_TEST

/* Each answer comes just in time, and says that it has not heard: the run holds a place that others wait for.
 */
START_TEST(who_never_hears_does_not_hold_up_the_run)
{
	struct several several = {0};
	struct place place;
	int64_t began, ms;

	place_open(&place);
	want_several(&several, OLD);
	run_several(&place, &several);
	for (struct fake_container *c = place.machine.containers; c; c = c->next)
		c->deaf = 1000;
	want_several(&several, NEW);
	place.machine.answer_ms = 1900;
	began = turned_clock_ms();
	run_several(&place, &several);
	ms = turned_clock_ms() - began;
	for (int i = 0; i <= HUNG; i++)
		ck_assert_msg(several.err[i].kind == ERR_NONE, "%s", several.err[i].message);
	ck_assert_uint_eq(place_containers(&place), 2 * (HUNG + 1)); /* until the drain timeout */
	ck_assert_int_gt(ms, 20000);
	ck_assert_int_lt(ms, 120000);
	several_clear(&several);
	place_close(&place);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run_silence");
	TCase *tcase = tcase_create("run_silence");

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_loop_test(tcase, who_does_not_answer_gets_a_successor, 0, 2 * (MOUTHS - MOUTH_SILENT));
	tcase_add_test(tcase, what_is_paused_without_its_socket_is_succeeded);
	tcase_add_loop_test(tcase, successors_that_do_not_answer_become_rare, 0, 2 * N(useless));
	tcase_add_loop_test(tcase, a_successor_that_was_only_planned_is_no_try, 0, 2);
	tcase_add_loop_test(tcase, who_was_not_reloaded_need_not_have_looked_up_names, 0, 2);
	tcase_add_test(tcase, a_successor_that_serves_alone_is_never_told_to_leave);
	tcase_add_test(tcase, who_has_not_heard_is_told_again);
	tcase_add_test(tcase, a_reload_that_was_not_heard_is_repeated);
	tcase_add_loop_test(tcase, a_successor_that_has_not_heard_is_told_again, 0, 2);
	tcase_add_test(tcase, who_hangs_costs_nobody_elses_verdict);
	tcase_add_test(tcase, who_never_hears_does_not_hold_up_the_run);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
