/* A run beside containers that have our labels, and are none of ours. */
#include <check.h>
#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/names.h"
#include "tests/run_worlds.h"
#include "tests/suite.h"

/* What somebody has, and has not from us, although it has our labels. */

enum { LABELLED = 1, /* with all of them */ LABELLED_OWNER = 2, COMMITTED = 4, MOUNTED = 8 };

static const struct lookalike {
	const char *name, *what;
	unsigned as;
} lookalikes[] = {
	{BYSTANDER, "run from a committed image", COMMITTED | LABELLED},
	{BYSTANDER, "the same with what the balancer mounts", COMMITTED | LABELLED | MOUNTED},
	{BYSTANDER, "labels copied into a compose file", LABELLED},
	{BYSTANDER, "the owner's label alone", LABELLED_OWNER},
	{BYSTANDER, "the owner's label alone, and mounts", LABELLED_OWNER | MOUNTED},
};

static struct json_object *labels_of(const struct fake_container *container, bool owner_only)
{
	struct json_object *all = NULL, *labels = NULL, *owner = NULL;

	json_object_object_get_ex(container->request, "Labels", &all);
	if (!owner_only)
		return json_object_get(all);
	labels = json_object_new_object();
	json_object_object_get_ex(all, LABEL_OWNER, &owner);
	json_object_object_add(labels, LABEL_OWNER, json_object_get(owner));
	return labels;
}

/* In the place of what has its name. */
static struct fake_container *add_lookalike(struct place *place, const struct lookalike *lookalike)
{
	struct json_object *request = json_object_new_object(), *host = json_object_new_object(), *binds;
	const char *image = lookalike->as & COMMITTED ? "debug:1" : OLD;
	struct fake_container *container;

	if (lookalike->as & COMMITTED)
		fake_commit(&place->machine, place_balancer(place), image);
	json_object_object_add(request, "Image", json_object_new_string(image));
	json_object_object_add(request, "Labels",
			       labels_of(place_balancer(place), lookalike->as & LABELLED_OWNER));
	if (lookalike->as & MOUNTED &&
	    json_pointer_get(place_balancer(place)->request, "/HostConfig/Binds", &binds) == 0)
		json_object_object_add(host, "Binds", json_object_get(binds));
	json_object_object_add(request, "HostConfig", host);
	fake_remove(&place->machine, fake_find(&place->machine, lookalike->name));
	container = fake_create(&place->machine, lookalike->name, request);
	container->status = FAKE_RUNNING;
	return container;
}

START_TEST(copied_labels_make_nothing_ours)
{
	const struct lookalike *lookalike = &lookalikes[_i];
	struct place place;
	char *subject;

	place_begin(&place, 0);
	subject = xasprintf("container %s (%.12s)", lookalike->name, add_lookalike(&place, lookalike)->id);
	for (int i = 0; i < 2; i++) {
		place_run(&place);
		expect_as_wanted(&place, lookalike->what);
		expect_bystander(&place, lookalike->what);
		ck_assert_msg(!place.machine.history, "%s: %s", lookalike->what, place.machine.history);
		ck_assert_pstr_eq(place.lookalikes, subject);
	}
	/* Nor when it is nobody's any more. */
	place_want(&place, NULL, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		place_run(&place);
		ck_assert(place.last.result.removed && place_containers(&place) == 0);
		expect_bystander(&place, lookalike->what);
	}
	free(subject);
	place_close(&place);
}
END_TEST

/* Its spec is gone, and somebody goes on with what he has made of it, under the same name. */
START_TEST(a_name_and_copied_labels_make_nothing_ours)
{
	static const struct lookalike successor = {"lb", "under the balancer's name", COMMITTED | LABELLED};
	struct place place;

	place_begin(&place, 0);
	add_lookalike(&place, &successor);
	place_want(&place, NULL, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		place_run(&place);
		ck_assert_msg(place_balancer(&place) && place_balancer(&place)->status == FAKE_RUNNING, "%s",
			      place.machine.history);
	}
	place_close(&place);
}
END_TEST

/* The image of a balancer may be committed from the one before it. */
START_TEST(what_is_ours_and_has_another_name_goes_whatever_its_image)
{
	struct place place;

	place_begin(&place, 0);
	fake_commit(&place.machine, place_balancer(&place), "debug:1");
	place_want(&place, "debug:1", "7443", "'192.0.2.1:6443'");
	place_run(&place);
	expect_as_wanted(&place, "from a committed image");
	place_rename(&place, "somehow");
	place_run(&place);
	expect_as_wanted(&place, "after it was renamed");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	ck_assert_pstr_eq(place.lookalikes, NULL);
	place_close(&place);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run_lookalikes");
	TCase *tcase = tcase_create("run_lookalikes");

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_loop_test(tcase, copied_labels_make_nothing_ours, 0, N(lookalikes));
	tcase_add_test(tcase, a_name_and_copied_labels_make_nothing_ours);
	tcase_add_test(tcase, what_is_ours_and_has_another_name_goes_whatever_its_image);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
