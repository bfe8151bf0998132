/* The first run after a start of the daemon: what the host has, and what the store says. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/run_worlds.h"
#include "tests/suite.h"
#include "tests/turned_clock.h"

/* After a start: the host has been brought to `has`; recorded is what is in force, wanted what the spec says.
 */
enum { FORMER, CHANGED, THIRD };

static const struct start {
	const char *name;
	int has, recorded, wanted;
	void (*then)(struct place *place); /* what has become of it meanwhile; NULL: nothing */
	enum first_look look;
	bool touched;
} starts[] = {
	{"all is as recorded", FORMER, FORMER, FORMER, NULL, LOOK_KEEP, false},
	{"an edit waits", FORMER, FORMER, CHANGED, NULL, LOOK_KEEP, false},
	{"an older store", CHANGED, FORMER, CHANGED, NULL, LOOK_ADOPT, false},
	{"an older store, and it was stopped", CHANGED, FORMER, CHANGED, container_stopped, LOOK_ADOPT,
	 false},
	{"an older store, and another edit", CHANGED, FORMER, THIRD, NULL, LOOK_LEAVE, false},
	{"an older store, and an older spec", CHANGED, FORMER, FORMER, NULL, LOOK_LEAVE, false},
	{"a lost store, and an edit", FORMER, CHANGED, CHANGED, NULL, LOOK_LEAVE, false},
	{"an older store, and it is gone", CHANGED, FORMER, CHANGED, container_removed, LOOK_KEEP, true},
	{"drift, as ever", FORMER, FORMER, CHANGED, file_edited, LOOK_KEEP, true},
};

static struct wanted *version(int which)
{
	static const char *const servers[] = {
		[FORMER] = "'192.0.2.1:6443', '192.0.2.2:6443'",
		[CHANGED] = "'192.0.2.1:6443', '192.0.2.3:6443'",
		[THIRD] = "'192.0.2.1:6443', '192.0.2.4:6443'",
	};

	return wanted_of(OLD, "7443", servers[which]);
}

static void bring_to(struct place *place, int which)
{
	wanted_unref(place->wanted);
	place->wanted = version(which);
	while (!place_is_as_wanted(place))
		place_run(place);
}

START_TEST(after_a_start_the_host_decides)
{
	const struct start *start = &starts[_i];
	struct place place;

	place_open(&place);
	bring_to(&place, start->has);
	if (start->then)
		start->then(&place);
	place_forget(&place);
	wanted_unref(place.wanted);
	place.wanted = version(start->recorded);
	place.next = start->wanted == start->recorded ? NULL : version(start->wanted);
	place.unproven = true;
	place.reached = false;
	place_run(&place);
	ck_assert(place.reached);
	ck_assert_msg(place.last.result.look == start->look, "%s: %d", start->name, place.last.result.look);
	ck_assert_msg((place.machine.history != NULL) == start->touched, "%s: %s", start->name,
		      place.machine.history);
	ck_assert_msg(place.last.result.err.kind == ERR_NONE, "%s: %s", start->name,
		      place.last.result.err.message);
	if (start->look == LOOK_KEEP)
		expect_as_wanted(&place, start->name);
	place_close(&place);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run_start");
	TCase *tcase = tcase_create("run_start");

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_loop_test(tcase, after_a_start_the_host_decides, 0, N(starts));
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
