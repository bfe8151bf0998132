/* What becomes of a container that was found, as a table. */
#include <check.h>
#include <stdlib.h>

#include "daemon/core/found.h"
#include "daemon/core/spec/spec.h"
#include "tests/some_spec.h"
#include "tests/suite.h"

enum { PEERS = 3 };

/* Short: ID, spec, binds; as wanted, unchecked, servers up; drain. */
#define SERVES(id, spec, binds)                              \
	{                                                    \
		id, spec, binds, true, false, 2, 1000, false \
	}
#define CUT_OFF(id, spec, binds)                             \
	{                                                    \
		id, spec, binds, true, false, 0, 1000, false \
	}
#define STARTED(id, spec, binds)                            \
	{                                                   \
		id, spec, binds, true, true, 0, 1000, false \
	}
#define BROKEN(id, spec, binds)                               \
	{                                                     \
		id, spec, binds, false, false, 2, 1000, false \
	}

static const struct {
	struct found found;
	struct found_peer peers[PEERS];
	enum found_fate fate;
} rows[] = {
	/* Nobody has anything to do with it, and nothing takes its place. */
	{{NULL, "gone", "x", .up = true}, {{NULL}}, FOUND_STOPS},
	{{NULL, "", "", .up = true}, {{NULL}}, FOUND_STOPS},
	{{NULL, "gone", "x", .up = true}, {SERVES("p/a", "p", "y")}, FOUND_STOPS},
	{{NULL, "gone", "", .up = true}, {BROKEN("p/a", "p", "y")}, FOUND_STOPS},
	{{NULL, "", "", .up = true}, {BROKEN("p/a", "p", "")}, FOUND_STOPS},
	/* What has no connections does not wait, whatever it was. */
	{{NULL, "p", "x", .up = false}, {BROKEN("p/a", "p", "x")}, FOUND_STOPS},
	{{NULL, "p", "x", .succeeded = true, .drains = true}, {{NULL}}, FOUND_STOPS},
	/* Nor what takes no new ones. */
	{{NULL, "p", "x", .up = true, .drains = true}, {BROKEN("p/a", "p", "x")}, FOUND_DRAINS},
	{{NULL, "gone", "", .up = true, .succeeded = true, .drains = true}, {{NULL}}, FOUND_DRAINS},
	{{"p/a", "", "", .up = true, .drains = true}, {BROKEN("p/a", "p", "x")}, FOUND_DRAINS},
	/* A former container that has not heard is what any other is, but for its name. */
	{{NULL, "gone", "x", .up = true, .succeeded = true}, {{NULL}}, FOUND_DRAINS},
	{{NULL, "p", "x", .up = true, .succeeded = true}, {BROKEN("p/a", "p", "x")}, FOUND_STAYS},
	/* What listens where it does, of whatever spec. */
	{{NULL, "gone", "x", .up = true}, {SERVES("p/a", "p", "x")}, FOUND_DRAINS},
	{{NULL, "gone", "x", .up = true}, {BROKEN("p/a", "p", "x")}, FOUND_STAYS},
	{{NULL, "gone", "x", .up = true}, {CUT_OFF("p/a", "p", "x")}, FOUND_STAYS},
	{{NULL, "gone", "x", .up = true}, {STARTED("p/a", "p", "x")}, FOUND_LINGERS},
	/* That alone, where there is such a one: others of its spec may be half made for weeks. */
	{{NULL, "p", "x", .up = true}, {BROKEN("p/a", "p", "y"), SERVES("p/b", "p", "x")}, FOUND_DRAINS},
	{{NULL, "p", "x", .up = true}, {SERVES("p/a", "p", "y"), CUT_OFF("p/b", "p", "x")}, FOUND_STAYS},
	{{NULL, "p", "x", .up = true}, {SERVES("p/a", "p", "y"), SERVES("q/b", "q", "x")}, FOUND_DRAINS},
	{{NULL, "p", "x", .up = true}, {SERVES("p/a", "p", "y"), BROKEN("q/b", "q", "x")}, FOUND_STAYS},
	/* What takes an address of it beside others. */
	{{NULL, "gone", "x", .up = true}, {{"p/a", "p", "y", true, false, 2, 1000, true}}, FOUND_DRAINS},
	{{NULL, "gone", "x", .up = true}, {{"p/a", "p", "y", false, false, 2, 1000, true}}, FOUND_STAYS},
	{{NULL, "gone", "x", .up = true},
	 {{"p/a", "p", "y", false, false, 2, 1000, true}, SERVES("p/b", "p", "x")},
	 FOUND_DRAINS},
	{{"p/a", "", "x", .up = true},
	 {CUT_OFF("p/a", "p", "y"), {"p/b", "p", "z", true, false, 2, 1000, true}},
	 FOUND_STAYS},
	/* Else all of its spec: none half made, and one that serves. */
	{{NULL, "p", "", .up = true}, {SERVES("p/a", "p", "x"), SERVES("p/b", "p", "y")}, FOUND_DRAINS},
	{{NULL, "p", "", .up = true}, {SERVES("p/a", "p", "x"), CUT_OFF("p/b", "p", "y")}, FOUND_DRAINS},
	{{NULL, "p", "", .up = true}, {SERVES("p/a", "p", "x"), BROKEN("p/b", "p", "y")}, FOUND_STAYS},
	{{NULL, "p", "", .up = true}, {SERVES("p/a", "p", "x"), STARTED("p/b", "p", "y")}, FOUND_LINGERS},
	{{NULL, "p", "", .up = true}, {STARTED("p/a", "p", "x"), BROKEN("p/b", "p", "y")}, FOUND_STAYS},
	{{NULL, "p", "z", .up = true}, {CUT_OFF("p/a", "p", "x"), BROKEN("q/b", "q", "y")}, FOUND_STAYS},
	{{NULL, "p", "z", .up = true}, {SERVES("p/a", "p", "x"), BROKEN("q/b", "q", "y")}, FOUND_DRAINS},
	/* Who serves nobody waits for no servers, but for the other to be made. */
	{{NULL, "p", "x", .up = true, .serves_nobody = true}, {CUT_OFF("p/a", "p", "x")}, FOUND_DRAINS},
	{{NULL, "p", "x", .up = true, .serves_nobody = true}, {STARTED("p/a", "p", "x")}, FOUND_LINGERS},
	{{NULL, "p", "x", .up = true, .serves_nobody = true}, {BROKEN("p/a", "p", "x")}, FOUND_STAYS},
	/* A stray: its own balancer, and no other, wherever that listens now. */
	{{"p/a", "", "x", .up = true}, {SERVES("p/a", "p", "y"), BROKEN("p/b", "p", "x")}, FOUND_DRAINS},
	{{"p/a", "", "x", .up = true}, {CUT_OFF("p/a", "p", "y"), SERVES("p/b", "p", "x")}, FOUND_STAYS},
	{{"p/a", "", "", .up = true}, {STARTED("p/a", "p", "x")}, FOUND_LINGERS},
	{{"p/a", "", "", .up = true}, {BROKEN("p/a", "p", "x")}, FOUND_STAYS},
};

START_TEST(fates)
{
	size_t n = 0;

	while (n < PEERS && rows[_i].peers[n].id)
		n++;
	ck_assert_int_eq(found_fate(&rows[_i].found, rows[_i].peers, n), rows[_i].fate);
}
END_TEST

/* What its label leads to says how long it may drain; the longest, where that is not said once. */
START_TEST(drain_times)
{
	const struct found_peer peers[] = {
		{"p/a", "p", "x", .drain_ms = 1000},
		{"p/b", "p", "y", .drain_ms = 3000},
		{"q/a", "q", "z", .drain_ms = 9000},
	};
	const struct found stray = {.stray_of = "p/a", .spec = "", .binds = "z"};
	const struct found orphan = {.spec = "p", .binds = "z"}, nobodys = {.spec = "gone", .binds = "z"};

	ck_assert_int_eq(found_drain_ms(&stray, peers, 3, 5000), 1000);
	ck_assert_int_eq(found_drain_ms(&orphan, peers, 3, 5000), 3000);
	ck_assert_int_eq(found_drain_ms(&nobodys, peers, 3, 0), FOUND_DRAIN_MS);
	ck_assert_int_eq(found_drain_ms(&orphan, peers, 0, 5000), 5000);
	ck_assert_int_eq(found_drain_ms(&orphan, peers, 0, 0), FOUND_DRAIN_MS);
}
END_TEST

START_TEST(the_default_is_that_of_specs)
{
	struct spec *spec = parse_spec(COMMON "bindAddress: 192.0.2.9\n");

	ck_assert_int_eq(spec->instances[0].timeouts.drain_ms, FOUND_DRAIN_MS);
	spec_free(spec);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("found");
	TCase *tcase = tcase_create("found");

	tcase_add_loop_test(tcase, fates, 0, N(rows));
	tcase_add_test(tcase, drain_times);
	tcase_add_test(tcase, the_default_is_that_of_specs);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
