/*
 * What the first look at a host decides: a row a case. Versions are letters: a,
 * b and c differ in their servers, d and e besides in the container.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/first_look.h"
#include "tests/some_spec.h"
#include "tests/suite.h"

static struct wanted *version(char letter)
{
	char *text = xasprintf("servers: [\"10.0.0.%d:6443\"]\n"
			       "image: haproxy:%d\n"
			       "bindAddress: 127.0.0.1:7443\n"
			       "apiLoadBalancers: [{host: {direct: {}}}]\n",
			       letter - 'a' + 1, letter < 'd' ? 1 : letter);
	struct wanted *wanted = parse_wanted(text);

	free(text);
	return wanted;
}

/*
 * container, loaded, file: of which version; '-': there is none, or nobody
 * knows; '?': made by hand.
 */
static const struct {
	const char *name;
	char in_force, next; /* next '-': the same */
	bool under_way;
	char container, loaded, file;
	enum first_look expected;
	enum container_status status; /* UNKNOWN: running */
	const char *owner;            /* NULL: ours; "": none */
	bool silent;
	enum stats_status stats; /* of one that is silent; UNKNOWN: failed */
} looks[] = {
	{.name = "all is as recorded", 'a', '-', false, 'a', 'a', 'a', LOOK_KEEP},
	{.name = "an edit waits, as recorded", 'a', 'b', false, 'a', 'a', 'a', LOOK_KEEP},
	{.name = "an older store: the host has the edit", 'a', 'b', false, 'b', 'b', 'b', LOOK_ADOPT},
	{.name = "also in the container", 'a', 'd', false, 'd', 'd', 'd', LOOK_ADOPT},
	{.name = "also when it is stopped", 'a', 'd', false, 'd', '-', '-', LOOK_ADOPT, CONTAINER_EXITED},
	{.name = "stopped, and its file tells", 'a', 'b', false, 'b', '-', 'b', LOOK_ADOPT, CONTAINER_EXITED},
	{.name = "stopped, with the file in force",
	 'a',
	 'b',
	 false,
	 'a',
	 '-',
	 'a',
	 LOOK_KEEP,
	 CONTAINER_EXITED},
	{.name = "what runs counts, not the file", 'a', 'b', false, 'a', 'b', '?', LOOK_ADOPT},
	{.name = "what runs counts, also for the one in force", 'a', 'b', false, 'a', 'a', 'b', LOOK_KEEP},
	{.name = "neither the one nor the other", 'a', 'b', false, 'a', 'c', 'c', LOOK_LEAVE},
	{.name = "nor in the container", 'a', 'd', false, 'e', 'e', 'e', LOOK_LEAVE},
	{.name = "an older store, and the file is older, too", 'a', '-', false, 'a', 'b', 'b', LOOK_LEAVE},
	{.name = "a lost store, and an edit", 'd', '-', false, 'a', 'a', 'a', LOOK_LEAVE},
	{.name = "a lost store", 'a', '-', false, 'a', 'a', 'a', LOOK_KEEP},
	{.name = "nothing is there", 'a', 'b', false, '-', '-', '-', LOOK_KEEP},
	{.name = "a change that has had its turn goes on", 'b', '-', true, 'a', 'a', 'a', LOOK_KEEP},
	{.name = "also in the container", 'd', '-', true, 'a', 'a', 'a', LOOK_KEEP},
	{.name = "but what comes next may be there", 'b', 'c', true, 'c', 'c', 'c', LOOK_ADOPT},
	{.name = "what does not serve is repaired",
	 'a',
	 'b',
	 false,
	 'e',
	 '-',
	 '-',
	 LOOK_KEEP,
	 CONTAINER_EXITED},
	{.name = "nor does what restarts for ever",
	 'a',
	 'b',
	 false,
	 'e',
	 '-',
	 '-',
	 LOOK_KEEP,
	 CONTAINER_RESTARTING},
	{.name = "nor what is paused", 'a', 'b', false, 'e', '-', '-', LOOK_KEEP, CONTAINER_PAUSED},
	{.name = "nor what is silent for long",
	 'a',
	 'b',
	 false,
	 'e',
	 '-',
	 '-',
	 LOOK_KEEP,
	 CONTAINER_RUNNING,
	 NULL,
	 true},
	{.name = "nor what has lost its socket",
	 'a',
	 'b',
	 false,
	 'e',
	 '-',
	 '-',
	 LOOK_KEEP,
	 CONTAINER_RUNNING,
	 NULL,
	 true,
	 STATS_NO_SOCKET},
	{.name = "a moment of silence is no reason", 'a', 'b', false, 'e', '-', '-', LOOK_LEAVE},
	{.name = "a file edited by hand is drift", 'a', 'b', false, 'a', 'a', '?', LOOK_KEEP},
	{.name = "also when it is loaded", 'a', 'b', false, 'a', '?', '?', LOOK_KEEP},
	{.name = "a container made by hand is drift", 'a', 'b', false, '?', '-', '-', LOOK_KEEP},
	{.name = "what is not ours is not a version",
	 'a',
	 'b',
	 false,
	 'b',
	 'b',
	 'b',
	 LOOK_KEEP,
	 CONTAINER_RUNNING,
	 ""},
	{.name = "nor what is somebody else's",
	 'a',
	 'b',
	 false,
	 'b',
	 'b',
	 'b',
	 LOOK_KEEP,
	 CONTAINER_RUNNING,
	 "them"},
};

static struct observed_container *container_of(int i)
{
	struct observed_container *container;
	struct wanted *made;

	if (looks[i].container == '-')
		return NULL;
	container = xcalloc(1, sizeof(*container));
	container->status = looks[i].status ? looks[i].status : CONTAINER_RUNNING;
	container->owner =
		looks[i].owner ? (*looks[i].owner ? xstrdup(looks[i].owner) : NULL) : xstrdup("apilb");
	if (looks[i].container != '?') {
		made = version(looks[i].container);
		container->container_sha256 = xstrdup(made->container_sha256);
		wanted_unref(made);
	}
	return container;
}

static void observe(struct observed_instance *observed, int i)
{
	struct wanted *is;

	observed->current = container_of(i);
	observed->successor_due = looks[i].silent;
	if (looks[i].silent)
		observed->stats = looks[i].stats ? looks[i].stats : STATS_FAILED;
	if (looks[i].loaded != '-') {
		observed->stats = STATS_ANSWERED;
		is = version(looks[i].loaded == '?' ? 'z' : looks[i].loaded);
		if (looks[i].loaded != '?')
			observed->loaded = is->description;
		wanted_unref(is);
	}
	if (looks[i].file != '-') {
		is = version(looks[i].file == '?' ? 'z' : looks[i].file);
		observed->config_known = observed->config_exists = true;
		memcpy(observed->config_sha256, is->config_sha256, SHA256_HEX_SIZE);
		wanted_unref(is);
	}
}

START_TEST(the_look_decides)
{
	struct wanted *in_force = version(looks[_i].in_force);
	struct wanted *next = looks[_i].next == '-' ? NULL : version(looks[_i].next);
	struct observed_instance observed = {0};
	enum first_look got;

	observe(&observed, _i);
	got = first_look(in_force, next, looks[_i].under_way, &observed);
	ck_assert_msg(got == looks[_i].expected, "%s: %d, not %d", looks[_i].name, got, looks[_i].expected);
	observed_instance_clear(&observed);
	wanted_unref(in_force);
	wanted_unref(next);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("first_look");
	TCase *cases = tcase_create("looks");

	tcase_add_loop_test(cases, the_look_decides, 0, N(looks));
	suite_add_tcase(suite, cases);
	return suite_run(suite);
}
