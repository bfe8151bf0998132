/* A run and the files of its host: whose they are, and how they get there. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/run_worlds.h"
#include "tests/suite.h"
#include "tests/turned_clock.h"

/* An engine that cannot mount a file which is gone says so with errors; but it may have others, too. */
START_TEST(a_mounted_file_is_gone_only_when_it_is)
{
	char first[65];
	struct place place;
	const struct fake_file *file;

	place_open(&place);
	wanted_unref(place.wanted);
	place.wanted = wanted_at("/etc/lb.cfg", OLD, "7443", "'192.0.2.1:6443'");
	place_run(&place);
	ck_assert_msg(place.last.result.err.kind == ERR_NONE, "%s", place.last.result.err.message);
	strcpy(first, place_balancer(&place)->id);
	place.machine.blind = true;
	for (int i = 0; i < 2; i++) {
		place_run(&place);
		ck_assert_msg(place.last.result.err.kind == ERR_NONE, "%s", place.last.result.err.message);
		ck_assert_str_eq(place_balancer(&place)->id, first);
		ck_assert_uint_eq(place_containers(&place), 1);
	}
	/* Nor when there is no image for a container that could tell. */
	fake_remove_image(&place.machine, OLD);
	place_run(&place);
	ck_assert_msg(place.last.result.err.kind == ERR_NONE, "%s", place.last.result.err.message);
	ck_assert_str_eq(place_balancer(&place)->id, first);
	ck_assert_uint_eq(place_times_told(&place, "pull: "), 1);
	ck_assert_uint_eq(place_times_told(&place, "write-config: "), 0);
	fake_file_remove(&place.machine, "/etc/lb.cfg");
	place_run(&place);
	ck_assert_str_ne(place_balancer(&place)->id, first);
	file = fake_file_find(&place.machine, "/etc/lb.cfg");
	ck_assert(file && strcmp(file->text, place.wanted->config) == 0);
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	place_close(&place);
}
END_TEST

#define MINE "global # mine\n"

static void somebody_elses(struct place *place)
{
	never_made(place);
	fake_file_write(&place->machine, CONFIG, MINE, strlen(MINE), 0600);
}

static void expect_untouched(const struct place *place, const char *when)
{
	const struct fake_file *file = fake_file_find(&place->machine, CONFIG);

	ck_assert_msg(file && strcmp(file->text, MINE) == 0 && file->mode == 0600, "%s: it was touched\n%s",
		      when, place->machine.history);
}

static void expect_conflict(const struct place *place, const char *when)
{
	const struct err *err =
		place->observe_only ? &place->last.result.plan.trouble : &place->last.result.err;

	ck_assert_msg(err->kind == ERR_CONFLICT, "%s: %s", when, err->message);
	ck_assert_msg(strncmp(err->message, CONFIG " on the host is not ours", strlen(CONFIG) + 24) == 0,
		      "%s: %s", when, err->message);
	ck_assert_msg(place_containers(place) == 0, "%s: something is left\n%s", when,
		      place->machine.history);
}

/* Whatever fails on the way; also for a plan, which leaves nothing behind. */
START_TEST(what_is_somebody_elses_is_left_alone)
{
	static const struct world world = {"a file of somebody else", somebody_elses, 0};
	const struct mishap *mishap = &mishaps[_i % MISHAPS];
	struct place place;
	size_t before, n;

	world_enter(&place, &world);
	place_run(&place);
	expect_conflict(&place, "at first");
	place.observe_only = _i >= MISHAPS;
	before = fake_engine_requests(place.engine);
	place_run(&place);
	n = fake_engine_requests(place.engine) - before;
	expect_conflict(&place, "once more");
	for (size_t nth = 1; nth <= n; nth++) {
		fake_engine_fail(place.engine, nth, mishap->how);
		place_run_until(&place, mishap);
		fake_engine_fail(place.engine, 0, mishap->how);
		expect_untouched(&place, mishap->name);
		place.observe_only = false;
		place_run(&place);
		expect_conflict(&place, mishap->name);
		expect_untouched(&place, mishap->name);
		place.observe_only = _i >= MISHAPS;
	}
	/* And when it is gone: */
	place.observe_only = false;
	fake_file_remove(&place.machine, CONFIG);
	place_run(&place);
	expect_as_wanted(&place, "without it");
	place_close(&place);
}
END_TEST

#define BESIDE "/etc/haproxy-lb/of-others.cfg"

/* The container shows the other file of its directory as well, and says nothing of whose that is. */
START_TEST(what_is_somebody_elses_in_our_directory_is_left_alone)
{
	struct place place;

	place_begin(&place, 0);
	fake_file_write(&place.machine, BESIDE, MINE, strlen(MINE), 0644);
	wanted_unref(place.wanted);
	place.wanted = wanted_at(BESIDE, OLD, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
	for (int i = 0; i < 4; i++) {
		place.observe_only = i % 2 == 0;
		place_run(&place);
		ck_assert_int_eq(place.observe_only ? place.last.result.plan.trouble.kind
						    : place.last.result.err.kind,
				 ERR_CONFLICT);
		ck_assert_str_eq(fake_file_find(&place.machine, BESIDE)->text, MINE);
		ck_assert_msg(strcmp(place.memory.config_path, BESIDE) != 0 || !place.memory.config_sha256[0],
			      "it counts as read");
		ck_assert(place_balancer(&place)->loaded && place_containers(&place) == 1);
	}
	/* And when it is gone, or what is there is ours: */
	place.observe_only = false;
	if (_i == 0)
		fake_file_remove(&place.machine, BESIDE);
	else
		fake_file_write(&place.machine, BESIDE, place.wanted->config, place.wanted->config_len, 0644);
	place_run(&place);
	ck_assert_msg(place.last.result.err.kind == ERR_NONE, "%s", place.last.result.err.message);
	ck_assert_str_eq(fake_file_find(&place.machine, BESIDE)->text, place.wanted->config);
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	place_run(&place);
	ck_assert_msg(!place.machine.history, "not quiet: %s", place.machine.history);
	place_close(&place);
}
END_TEST

START_TEST(files_may_have_one_name_only)
{
	struct place place;

	place_open(&place);
	place.machine.no_links = true;
	place_add_bystander(&place);
	/* What the config names is in a place of ours, as before. */
	place_run(&place);
	expect_as_wanted(&place, "made");
	change_servers(&place);
	place_run(&place);
	expect_as_wanted(&place, "changed");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	place_close(&place);
}
END_TEST

START_TEST(what_the_store_knows_is_ours)
{
	struct place place;

	place_begin(&place, 0);
	container_removed(&place);
	file_edited(&place);
	place_run(&place);
	expect_as_wanted(&place, "with a store");
	container_removed(&place);
	file_edited(&place);
	place_forget(&place);
	place_run(&place);
	ck_assert_int_eq(place.last.result.err.kind, ERR_CONFLICT);
	place_close(&place);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run_files");
	TCase *tcase = tcase_create("run_files");

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_loop_test(tcase, what_is_somebody_elses_is_left_alone, 0, 2 * MISHAPS);
	tcase_add_loop_test(tcase, what_is_somebody_elses_in_our_directory_is_left_alone, 0, 2);
	tcase_add_test(tcase, a_mounted_file_is_gone_only_when_it_is);
	tcase_add_test(tcase, files_may_have_one_name_only);
	tcase_add_test(tcase, what_the_store_knows_is_ours);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
