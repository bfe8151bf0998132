/* The specs in force: which versions get in beside which others. */
#include <check.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/specs/specs.h"
#include "daemon/tell/events.h"
#include "tests/some_ca.h"
#include "tests/suite.h"
#include "tests/temp.h"

#define MAX_FILES 8

static struct specs *specs;

static void setup(void)
{
	specs = specs_new(NULL, NULL, false);
}

static void teardown(void)
{
	specs_free(specs);
}

/* Has a look take in a file; path and text become its own. */
static void put(struct spec_look *look, const char *name, char *path, char *text, size_t len)
{
	struct watch_listing *listing = &look->listing;

	listing->files = xreallocarray(listing->files, listing->n + 1, sizeof(*listing->files));
	listing->files[listing->n++] =
		(struct watch_file){.name = xstrdup(name), .path = path, .text = text, .len = len};
	spec_look_judge(look, &listing->files[listing->n - 1]);
}

/* The look is taken in, in as many slices as it takes; that is how many. */
static size_t slices;

static bool take_in(struct specs *into, struct spec_look *look)
{
	struct spec_update *update = specs_update_begin(into, look);

	slices = 1;
	while (specs_update_files(update))
		slices++;
	return specs_update_end(update);
}

/* "1 2" is a balancer on each of host 1 and host 2; "!" is not valid, "" is an empty list. */
static char *text_of(const char *hosts)
{
	char *copy = xstrdup(hosts), *text, *save = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs("servers: [10.0.0.1:6443]\nbindAddress: 127.0.0.1\n", out);
	fputs(*hosts == '!' ? "nonsense: x\n" : "", out);
	fputs(*hosts ? "apiLoadBalancers:\n" : "apiLoadBalancers: []\n", out);
	for (char *host = strtok_r(copy, " ", &save); host; host = strtok_r(NULL, " ", &save))
		fprintf(out, "- host: {ssh: {address: h%s, password: x}}\n", host);
	fclose(out);
	free(copy);
	return text;
}

/* files[i] is the text of the i-th file, "a.yaml", "b.yaml" ...; NULL: it is not there. */
static bool update_texts(const char *const files[static MAX_FILES], bool recorded)
{
	struct spec_look *look = specs_look(specs, "/x");

	for (size_t i = 0; i < MAX_FILES; i++) {
		char name[] = {(char)('a' + i), '\0'};

		if (recorded)
			spec_look_record(look, name);
		if (files[i])
			put(look, name, xasprintf("/x/%s.yaml", name), xstrdup(files[i]), strlen(files[i]));
	}
	return take_in(specs, look);
}

static bool update(const char *const hosts[static MAX_FILES])
{
	char *texts[MAX_FILES] = {0};
	bool changed;

	for (size_t i = 0; i < MAX_FILES; i++)
		texts[i] = hosts[i] ? text_of(hosts[i]) : NULL;
	changed = update_texts((const char *const *)texts, false);
	for (size_t i = 0; i < MAX_FILES; i++)
		free(texts[i]);
	return changed;
}

/* The hosts that a file has in force; NULL: none is in force. */
static char *in_force(const char *name)
{
	const struct spec_file *file = specs_find(specs, name);
	char *text;
	size_t len;
	FILE *out;

	if (!file || !file->spec)
		return NULL;
	out = open_memstream(&text, &len);
	for (size_t i = 0; i < file->spec->instances_n; i++)
		fprintf(out, "%s%s", i ? " " : "", file->spec->instances[i].host.label + 1);
	fclose(out);
	return text;
}

static const struct row {
	const char *what;
	const char *before[MAX_FILES], *after[MAX_FILES], *expected[MAX_FILES];
} rows[] = {
	{"a new file", {"1"}, {"1", "2"}, {"1", "2"}},
	{"the later of two new ones is to blame", {NULL}, {"1", "1 2"}, {"1", NULL}},
	{"what is in force is not displaced by an earlier file", {NULL, "1"}, {"1", "1"}, {NULL, "1"}},
	{"nor by a new version", {"1", "2"}, {"1 2", "2"}, {"1", "2"}},
	{"a move to a later file", {"1 2", "3"}, {"1", "2 3"}, {"1", "2 3"}},
	{"a move to an earlier file", {"1", "2 3"}, {"1 2", "3"}, {"1 2", "3"}},
	{"a swap", {"1", "2"}, {"2", "1"}, {"2", "1"}},
	{"a ring", {"1", "2", "3"}, {"2", "3", "1"}, {"2", "3", "1"}},
	{"a move through a chain, up", {"1", "2", "3"}, {"2", "3", "4"}, {"2", "3", "4"}},
	{"a move through a chain, down", {"2", "3", "4"}, {"1", "2", "3"}, {"1", "2", "3"}},
	{"a move from a file whose new version is bad", {"1", "2"}, {"!", "1 2"}, {"1", "2"}},
	{"a chain that a bad file holds up", {"1", "2", "3"}, {"2", "3", "!"}, {"1", "2", "3"}},
	{"a ring that a bad file breaks", {"1", "2", "3"}, {"2", "!", "1"}, {"1", "2", "3"}},
	{"one in the place of one who is refused", {"9", NULL, "1"}, {"9", "9 2", "2"}, {"9", NULL, "2"}},
	{"refused together, then one of them fits", {"1", "2", NULL}, {"2 3", "!", "3"}, {"1", "2", "3"}},
	{"each second one of a chain of clashes", {NULL}, {"1 2", "2 3", "3 4", "4 5"}, {"1 2", NULL, "3 4"}},
	{"two give way to one who is evicted in turn",
	 {"1", "2", "3", "4"},
	 {"!", "1 2", "3 2", "4"},
	 {"1", "2", "3", "4"}},
	{"a file that goes makes room", {"1", "2"}, {NULL, "1 2"}, {NULL, "1 2"}},
};

static void assert_in_force(const char *const *expected, const char *what)
{
	for (size_t i = 0; i < MAX_FILES; i++) {
		char name[] = {(char)('a' + i), '\0'};
		char *got = in_force(name);

		ck_assert_msg((!got && !expected[i]) || (got && expected[i] && strcmp(got, expected[i]) == 0),
			      "%s: %s has %s, not %s", what, name, got ? got : "nothing",
			      expected[i] ? expected[i] : "nothing");
		free(got);
	}
}

START_TEST(who_fits_gets_in)
{
	const struct row *row = &rows[_i];

	update(row->before);
	assert_in_force(row->before, "before");
	update(row->after);
	assert_in_force(row->expected, row->what);
	for (size_t i = 0; i < MAX_FILES; i++) {
		char name[] = {(char)('a' + i), '\0'};
		const struct spec_file *file = specs_find(specs, name);

		/* Whoever is not in says why, and nobody else has anything to say. */
		if (row->after[i])
			ck_assert_msg((file->errors.n == 0) == (row->expected[i] &&
								strcmp(row->expected[i], row->after[i]) == 0),
				      "%s: %s", row->what, name);
	}
	/* Another look at the same changes nothing. */
	ck_assert_msg(!update(row->after), "%s", row->what);
	assert_in_force(row->expected, row->what);
}
END_TEST

START_TEST(the_error_stands_at_the_one_who_came_later)
{
	const struct spec_file *file;

	update((const char *const[MAX_FILES]){NULL, "1"});
	update((const char *const[MAX_FILES]){"2 1", "1"});
	file = specs_find(specs, "a");
	ck_assert_uint_eq(file->errors.n, 3);
	ck_assert_str_eq(file->errors.v[0].file, "/x/a.yaml");
	ck_assert_uint_eq(file->errors.v[0].line, 5);
	ck_assert_str_eq(file->errors.v[0].path, "apiLoadBalancers[1]");
	ck_assert_ptr_nonnull(strstr(file->errors.v[0].message,
				     "is already taken by apiLoadBalancers[0] "
				     "(b/h1/api-loadbalancer-haproxy) of /x/b.yaml"));
	ck_assert_uint_eq(specs_find(specs, "b")->errors.n, 0);
	ck_assert(!specs_all_valid(specs));
}
END_TEST

static char *login(const char *name, const char *user)
{
	return xasprintf("servers: [10.0.0.1:6443]\nname: lb-%s\nhostConfigPath: /etc/%s/x.cfg\n"
			 "bindAddress: 127.0.0.1:%d\n"
			 "apiLoadBalancers: [host: {ssh: {address: h1, user: %s, password: x}}]\n",
			 name, name, 1000 + *name, user);
}

/* One connection for both: a new login must come for all files of a host, and then it does, one by one or at
 * once. */
START_TEST(a_new_login_counts_when_all_files_of_the_host_have_it)
{
	char *old_a = login("a", "root"), *old_b = login("b", "root");
	char *new_a = login("a", "core"), *new_b = login("b", "core");

	update_texts((const char *const[MAX_FILES]){old_a, old_b}, false);
	ck_assert(specs_all_valid(specs));
	ck_assert(!update_texts((const char *const[MAX_FILES]){new_a, old_b}, false));
	ck_assert_ptr_nonnull(strstr(specs_find(specs, "a")->errors.v[0].message, "other ssh settings"));
	ck_assert_str_eq(specs_find(specs, "a")->spec->instances[0].host.ssh->user, "root");
	ck_assert(update_texts((const char *const[MAX_FILES]){new_a, new_b}, false));
	ck_assert(specs_all_valid(specs));
	ck_assert_str_eq(specs_find(specs, "a")->spec->instances[0].host.ssh->user, "core");
	ck_assert_str_eq(specs_find(specs, "b")->spec->instances[0].host.ssh->user, "core");
	free(old_a);
	free(old_b);
	free(new_a);
	free(new_b);
}
END_TEST

START_TEST(an_empty_list_needs_something_recorded)
{
	char *empty = text_of("");

	update_texts((const char *const[MAX_FILES]){empty}, false);
	ck_assert_ptr_nonnull(
		strstr(specs_find(specs, "a")->errors.v[0].message, "at least one load balancer"));
	ck_assert(update_texts((const char *const[MAX_FILES]){empty}, true));
	ck_assert(specs_all_valid(specs));
	free(empty);
}
END_TEST

/* What was refused keeps the mark that is set here, unless its text is judged again. */
#define MARK 4711

static bool is_marked(const char *name)
{
	const struct spec_file *file = specs_find(specs, name);

	return file->errors.n > 0 && file->errors.v[0].line == MARK;
}

static void mark(const char *name)
{
	const struct spec_file *file = specs_find(specs, name);

	ck_assert_uint_gt(file->errors.n, 0);
	file->errors.v[0].line = MARK;
}

START_TEST(what_is_refused_is_not_judged_again_while_nothing_changes)
{
	/* a is wrong by itself, c wants what b has. */
	update((const char *[MAX_FILES]){"! 1", "2", "3 2"});
	mark("a");
	mark("c");
	ck_assert(!update((const char *[MAX_FILES]){"! 1", "2", "3 2"}));
	ck_assert(is_marked("a") && is_marked("c"));
	/* Another file changes: a's text does not care, c may have its place now. */
	ck_assert(update((const char *[MAX_FILES]){"! 1", "4", "3 2"}));
	ck_assert(is_marked("a"));
	ck_assert_uint_eq(specs_find(specs, "c")->errors.n, 0);
	ck_assert_uint_eq(specs_find(specs, "c")->spec->instances_n, 2);
	/* A new text is new, also when it is wrong in the same way; and one that was right once is right. */
	update((const char *[MAX_FILES]){"! 5", "4", "3 2"});
	ck_assert(!is_marked("a") && !specs_all_valid(specs));
	ck_assert(update((const char *[MAX_FILES]){"5", "4", "3 2"}));
	ck_assert(specs_all_valid(specs));
}
END_TEST

START_TEST(what_was_refused_beside_another_gets_in_when_that_is_gone)
{
	update((const char *[MAX_FILES]){"1", "1"});
	mark("b");
	update((const char *[MAX_FILES]){"1", "1"});
	ck_assert(is_marked("b"));
	ck_assert(update((const char *[MAX_FILES]){NULL, "1"}));
	ck_assert(specs_all_valid(specs));
	ck_assert_uint_eq(specs_find(specs, "b")->spec->instances_n, 1);
}
END_TEST

/* Reading, and taking in, by slices. */

/* A look at a (not valid), b, and c, which wants what b has. */
static struct spec_look *look_at_three(void)
{
	static const char *const hosts[] = {"! 1", "2", "3 2"};
	struct spec_look *look = specs_look(specs, "/x");

	for (size_t i = 0; i < 3; i++) {
		char name[] = {(char)('a' + i), '\0'}, *text = text_of(hosts[i]);

		put(look, name, xasprintf("/x/%s.yaml", name), text, strlen(text));
	}
	return look;
}

/* Of what is refused nothing but the errors stays, and of what is in force nothing twice, however many files
 * there are. */
START_TEST(only_texts_that_may_be_stored_are_kept)
{
	struct spec_look *look = look_at_three();

	ck_assert_ptr_null(look->listing.files[0].text);
	ck_assert_ptr_nonnull(look->listing.files[1].text);
	ck_assert_ptr_nonnull(look->listing.files[2].text);
	take_in(specs, look);
	look = look_at_three();
	for (size_t i = 0; i < 3; i++)
		ck_assert(look->findings[i].stands);
	ck_assert_ptr_null(look->listing.files[0].text);
	ck_assert_ptr_null(look->listing.files[1].text);
	/* It comes in force once b has gone. */
	ck_assert_ptr_nonnull(look->listing.files[2].text);
	take_in(specs, look);
}
END_TEST

/* The first error of the file; NULL: it has none. */
static const char *error_at(const char *path)
{
	size_t n;
	const struct spec_file *const *files = specs_files(specs, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(files[i]->path, path) == 0)
			return files[i]->errors.n ? files[i]->errors.v[0].message : NULL;
	ck_abort_msg("%s is not there", path);
	return NULL;
}

START_TEST(of_two_files_of_one_name_the_second_is_not_parsed)
{
	struct spec_look *look = specs_look(specs, "/x");
	char *first = text_of("1"), *second = text_of("2");

	put(look, "a", xstrdup("/x/a.yaml"), first, strlen(first));
	put(look, "a", xstrdup("/x/a.yml"), second, strlen(second));
	ck_assert_ptr_nonnull(look->findings[0].spec);
	ck_assert_ptr_null(look->findings[1].spec);
	ck_assert_ptr_null(look->listing.files[1].text);
	take_in(specs, look);
	ck_assert_ptr_nonnull(strstr(error_at("/x/a.yml"), "same spec name"));
	ck_assert_ptr_nonnull(specs_find(specs, "a")->spec);
}
END_TEST

/* "a.yml.yaml" gives the name "a.yml". hosts: of these three; NULL: the file is not there. */
static void update_twins(const char *a_yaml, const char *a_yml, const char *a_yml_yaml)
{
	struct spec_look *look = specs_look(specs, "/x");
	const char *const given[][3] = {
		{"a", "/x/a.yaml", a_yaml}, {"a", "/x/a.yml", a_yml}, {"a.yml", "/x/a.yml.yaml", a_yml_yaml}};

	for (size_t i = 0; i < N(given); i++) {
		char *text = given[i][2] ? text_of(given[i][2]) : NULL;

		if (text)
			put(look, given[i][0], xstrdup(given[i][1]), text, strlen(text));
	}
	take_in(specs, look);
}

static void expect_in_force(const char *name, const char *hosts)
{
	char *are = in_force(name);

	ck_assert_str_eq(are, hosts);
	free(are);
}

START_TEST(a_second_file_of_a_name_is_in_no_other_files_way)
{
	update_twins("1", NULL, "3");
	ck_assert(specs_all_valid(specs));
	update_twins("1", "2", "4");
	expect_in_force("a", "1");
	expect_in_force("a.yml", "4");
	ck_assert_ptr_nonnull(strstr(error_at("/x/a.yml"), "same spec name"));
	ck_assert_ptr_null(error_at("/x/a.yml.yaml"));
	update_twins("1", "2", "5");
	expect_in_force("a.yml", "5");
	/* The first of them goes: the second counts. */
	update_twins(NULL, "2", "5");
	expect_in_force("a", "2");
	expect_in_force("a.yml", "5");
	ck_assert(specs_all_valid(specs));
}
END_TEST

/* Every file has the host of its number and shift: a shift moves every balancer to another file. */
static struct spec_look *look_at_many(int n, int shift)
{
	struct spec_look *look = specs_look(specs, "/x");

	for (int i = 0; i < n; i++) {
		char *host = xasprintf("%d", i + shift), *name = xasprintf("n%05d", i), *text = text_of(host);

		put(look, name, xasprintf("/x/%s.yaml", name), text, strlen(text));
		free(name);
		free(host);
	}
	return look;
}

/* words: what is told of the spec whose balancers stay; NULL: nothing, since they may go. */
static void expect_kept(const char *name, const char *words)
{
	char *why = specs_why_kept(specs, name);

	ck_assert_int_eq(why == NULL, words == NULL);
	ck_assert_int_eq(specs_may_remove(specs, name), words == NULL);
	ck_assert_msg(!words || strstr(why, words), "%s", why);
	free(why);
}

START_TEST(who_is_kept_is_told_for_which_file)
{
	static const char *const never[MAX_FILES] = {"1", "! 2", "! 3", "! 4"};
	static const char *const mended[MAX_FILES] = {"1", "2", "3", "! 4"};
	static const char *const well[MAX_FILES] = {"1", "2", "! 3"};
	char *warning;

	update(never);
	expect_kept("a", NULL);
	expect_kept("b", "no version of /x/b.yaml was ever valid, so nobody knows");
	expect_kept("gone", "gone, but no version of /x/b.yaml and 2 more files was ever valid");
	update(mended);
	expect_kept("b", NULL);
	expect_kept("gone", "gone, but no version of /x/d.yaml was ever valid");
	warning = specs_kept_warning(specs);
	ck_assert_ptr_nonnull(strstr(warning, "no version of /x/d.yaml was ever valid"));
	free(warning);
	/* The last good version of one that was valid says what it wants. */
	update(well);
	expect_kept("c", NULL);
	expect_kept("gone", NULL);
	ck_assert_ptr_null(specs_kept_warning(specs));
}
END_TEST

/* Jobs go on between the slices: what may be removed must not be read off half an update. */
START_TEST(nothing_is_in_force_before_the_last_slice)
{
	struct spec_update *update = specs_update_begin(specs, look_at_many(2 * SPECS_TAKEN_AT_ONCE, 0));

	ck_assert(specs_update_files(update));
	ck_assert_ptr_null(specs_find(specs, "n00000")->spec);
	ck_assert(!specs_may_remove(specs, "n00000") && !specs_may_remove(specs, "n00099"));
	expect_kept("n00000", "has not been read yet");
	ck_assert(!specs_update_files(update));
	ck_assert_ptr_null(specs_find(specs, "n00000")->spec);
	ck_assert(!specs_have_looked(specs));
	ck_assert(specs_update_end(update));
	ck_assert_ptr_nonnull(specs_find(specs, "n00000")->spec);
	ck_assert(specs_may_remove(specs, "n00000"));
}
END_TEST

/* The daemon ends: nothing leaks, and nothing has happened. */
START_TEST(an_update_can_be_given_up)
{
	struct spec_update *update;

	take_in(specs, look_at_many(2 * SPECS_TAKEN_AT_ONCE, 0));
	update = specs_update_begin(specs, look_at_many(2 * SPECS_TAKEN_AT_ONCE, 1));
	ck_assert(specs_update_files(update));
	specs_update_cancel(update);
	ck_assert_str_eq(specs_find(specs, "n00007")->spec->instances[0].host.label, "h7");
}
END_TEST

static size_t events_told(struct store *store)
{
	struct store_event *told;
	struct err err;
	size_t n;

	ck_assert_int_eq(store_load_events(store, 0, NULL, 10000, &told, &n, &err), 0);
	store_events_free(told, n);
	return n;
}

/* SPEC_MAX_ERRORS of a file. */
static char *all_wrong(void)
{
	char *text;
	size_t len;
	FILE *out = text_open(&text, &len);

	for (int i = 0; i <= SPEC_MAX_ERRORS; i++)
		fprintf(out, "unknown%d: x\n", i);
	text_close(out);
	return text;
}

static void look_at_wrong(int n)
{
	struct spec_look *look = specs_look(specs, "/x");

	for (int i = 0; i < n; i++) {
		char *name = xasprintf("n%05d", i), *text = all_wrong();

		put(look, name, xasprintf("/x/%s.yaml", name), text, strlen(text));
		free(name);
	}
	take_in(specs, look);
}

START_TEST(errors_are_told_by_slices_and_each_once)
{
	char *dir = temp_path("state"), *warning;
	struct event_base *base = event_base_new();
	struct err err;
	struct store *store = store_open(NULL, dir, &warning, &err);
	struct events *events = events_new(base, store);

	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr)); /* events are logged */
	specs = specs_new(store, events, false);
	look_at_wrong(5);
	ck_assert_uint_eq(events_told(store), 0);
	ck_assert(specs_tell(specs));
	ck_assert_uint_eq(events_told(store), SPECS_TOLD_AT_ONCE);
	/* A look in between finds the same. */
	look_at_wrong(5);
	while (specs_tell(specs))
		continue;
	ck_assert_uint_eq(events_told(store), 5 * SPEC_MAX_ERRORS);
	look_at_wrong(5);
	ck_assert(!specs_tell(specs));
	look_at_wrong(6);
	ck_assert(!specs_tell(specs));
	ck_assert_uint_eq(events_told(store), 6 * SPEC_MAX_ERRORS);
	specs_free(specs);
	events_free(events);
	store_close(store);
	event_base_free(base);
	free(dir);
}
END_TEST

#define MANY 10000

/* What grows with the square takes minutes: the time limit of a test ends it. */
START_TEST(ten_thousand_files_are_taken_in_by_slices)
{
	take_in(specs, look_at_many(MANY, 0));
	ck_assert(specs_all_valid(specs));
	ck_assert_uint_eq(slices, MANY / SPECS_TAKEN_AT_ONCE);
	take_in(specs, look_at_many(MANY, 1));
	ck_assert(specs_all_valid(specs));
	take_in(specs, look_at_many(MANY, 0));
	ck_assert(specs_all_valid(specs));
}
END_TEST

/* Certificates by nobody. */
/* One spec that names a file, and a second look at it. */
static bool update_with_ca(void)
{
	char *path = temp_path("ca.crt");
	char *text = xasprintf("servers: [10.0.0.1:6443]\nbindAddress: 127.0.0.1\n"
			       "healthCheck: {caFile: %s}\napiLoadBalancers: [{}]\n",
			       path);
	const char *const files[MAX_FILES] = {text};
	bool changed = update_texts(files, false);

	free(text);
	free(path);
	return changed;
}

static const char *ca_in_force(void)
{
	return specs_find(specs, "a")->spec->instances[0].health_check.ca;
}

START_TEST(a_file_that_a_spec_names_is_followed)
{
	char *path, *twice = xasprintf("%s%s", some_ca, some_ca);

	temp_make();
	path = temp_path("ca.crt");
	update_with_ca();
	ck_assert(!specs_all_valid(specs));
	ck_assert_ptr_null(specs_find(specs, "a")->spec);
	mark("a");
	update_with_ca();
	ck_assert(is_marked("a"));
	write_text(path, "nonsense");
	update_with_ca();
	ck_assert(!is_marked("a") && !specs_all_valid(specs));
	write_text(path, some_ca);
	ck_assert(update_with_ca());
	ck_assert(specs_all_valid(specs));
	ck_assert_str_eq(ca_in_force(), some_ca);
	ck_assert(!update_with_ca());
	write_text(path, twice);
	ck_assert(update_with_ca());
	ck_assert_str_eq(ca_in_force(), twice);
	/* What it was stays in force while it is no good. */
	write_text(path, "nonsense");
	ck_assert(!update_with_ca());
	ck_assert(!specs_all_valid(specs));
	ck_assert_str_eq(ca_in_force(), twice);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert(!update_with_ca());
	ck_assert_str_eq(ca_in_force(), twice);
	unlink(path);
	write_text(path, twice);
	update_with_ca();
	ck_assert(specs_all_valid(specs));
	free(path);
	free(twice);
	temp_remove();
}
END_TEST

/* A balancer on the host, whose servers' certificates are by the CA in this file. */
static char *text_with(const char *host, const char *path)
{
	return xasprintf("servers: [10.0.0.1:6443]\nbindAddress: 127.0.0.1\nhealthCheck: {caFile: %s}\n"
			 "apiLoadBalancers: [{host: {ssh: {address: %s, password: x}}}]\n",
			 path, host);
}

/* NULL: the file is not there. "": it is not valid. */
static void update_two(const char *ca_of_a, const char *ca_of_b)
{
	char *a = ca_of_a && *ca_of_a ? text_with("h1", ca_of_a) : ca_of_a ? xstrdup("x") : NULL;
	char *b = ca_of_b && *ca_of_b ? text_with("h2", ca_of_b) : ca_of_b ? xstrdup("x") : NULL;
	const char *const files[MAX_FILES] = {a, b};

	update_texts(files, false);
	free(a);
	free(b);
}

static bool is_stored(struct store *store, const char *path)
{
	char *key = xasprintf("file %s", path), *text = store_get_meta(store, key);
	bool is = text != NULL;

	free(key);
	free(text);
	return is;
}

/* A CA is rotated, and each has a name of its own. */
START_TEST(the_store_keeps_only_files_that_a_version_in_force_names)
{
	char *dir = temp_path("state"), *one = temp_path("1.crt"), *two = temp_path("2.crt"), *warning;
	struct event_base *base = event_base_new();
	struct err err;
	struct store *store = store_open(NULL, dir, &warning, &err);
	struct events *events = events_new(base, store);

	write_text(one, some_ca);
	write_text(two, some_ca);
	specs = specs_new(store, events, false);
	update_two(one, one);
	ck_assert(is_stored(store, one) && !is_stored(store, two));
	update_two(two, one);
	ck_assert(is_stored(store, one) && is_stored(store, two));
	/* What is no good displaces nothing. */
	update_two(two, "");
	ck_assert(is_stored(store, one) && is_stored(store, two));
	update_two(two, two);
	ck_assert(!is_stored(store, one) && is_stored(store, two));
	update_two(NULL, two);
	ck_assert(is_stored(store, two));
	update_two(NULL, NULL);
	ck_assert(!is_stored(store, two));
	specs_free(specs);
	events_free(events);
	store_close(store);
	event_base_free(base);
	free(dir);
	free(one);
	free(two);
}
END_TEST

/* Texts that older rules let in: what they say is clear, and is not allowed any more. */

static char *path_not_allowed(void)
{
	return xstrdup("servers: [10.0.0.1:6443]\nhostConfigPath: /usr/local/haproxy/haproxy.cfg\n"
		       "bindAddress: 127.0.0.1\napiLoadBalancers: [host: {direct: {}}]\n");
}

static char *too_many_items(void)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs("bindAddress: 127.0.0.1\napiLoadBalancers: [host: {direct: {}}]\nservers:\n", out);
	for (int i = 0; i < SPEC_MAX_ITEMS + 76; i++)
		fprintf(out, "- 10.0.%d.%d:6443\n", i / 256, i % 256);
	fclose(out);
	return text;
}

static char *too_many_bytes(void)
{
	char *spec = text_of("1"), *text;

	text = xasprintf("%s#%*s\n", spec, (int)SPEC_MAX_BYTES, "");
	free(spec);
	return text;
}

static char *too_large_a_config(void)
{
	char *text, *line = xcalloc(1, 1025);
	size_t len;
	FILE *out = open_memstream(&text, &len);

	memset(line, 'x', 1024);
	fputs("servers: [10.0.0.1:6443]\nbindAddress: 127.0.0.1\napiLoadBalancers: [host: {direct: {}}]\n"
	      "extraConfig:\n  global: &many\n",
	      out);
	for (int i = 0; i < SPEC_MAX_ITEMS; i++)
		fprintf(out, "  - '# %s'\n", line);
	fputs("  defaults: *many\n  frontend: *many\n  backend: *many\n", out);
	fclose(out);
	free(line);
	return text;
}

static char *not_even_clear(void)
{
	return text_of("!");
}

static const struct {
	const char *what;
	char *(*text)(void);
	bool kept;
} once_good[] = {
	{"a path that is not allowed any more", path_not_allowed, true},
	{"a list that is too long by now", too_many_items, true},
	{"a text that is too long by now", too_many_bytes, true},
	{"a config that is too large by now", too_large_a_config, true},
	{"what means nothing any more", not_even_clear, false},
};

START_TEST(what_was_in_force_stays_so_under_newer_rules)
{
	char *dir = temp_path("state"), *warning, *text = once_good[_i].text();
	struct event_base *base = event_base_new();
	struct err err;
	struct store *store = store_open(NULL, dir, &warning, &err);
	struct events *events = events_new(base, store);
	struct specs *recalled = specs_new(store, events, false);
	const struct spec_file *got;
	struct spec_look *look;

	store_put_spec(store, &(struct store_spec){(char *)"a", (char *)"/x/a.yaml", text, strlen(text)});
	ck_assert_int_eq(specs_recall(recalled, &err), 0);
	got = specs_find(recalled, "a");
	ck_assert_msg(!got->spec == !once_good[_i].kept, "%s", once_good[_i].what);
	/* The file is what it was: it is said what is wrong with it, and nothing else comes of it. */
	look = specs_look(recalled, "/x");
	spec_look_record(look, "a");
	put(look, "a", xstrdup("/x/a.yaml"), xstrdup(text), strlen(text));
	take_in(recalled, look);
	ck_assert_msg(!got->spec == !once_good[_i].kept, "%s", once_good[_i].what);
	ck_assert_uint_gt(got->errors.n, 0);
	specs_free(recalled);
	events_free(events);
	store_close(store);
	event_base_free(base);
	free(text);
	free(dir);
}
END_TEST

/* Its file system may hang: what the store does not know waits for the first look. */
START_TEST(a_file_that_a_spec_names_is_not_read_at_a_start)
{
	char *dir, *path, *text, *warning;
	struct err err;
	struct store *store;
	struct specs *recalled;

	dir = temp_path("state");
	path = temp_path("ca.crt");
	write_text(path, some_ca);
	text = xasprintf("servers: [10.0.0.1:6443]\nbindAddress: 127.0.0.1\n"
			 "healthCheck: {caFile: %s}\napiLoadBalancers: [{host: {direct: {}}}]\n",
			 path);
	store = store_open(NULL, dir, &warning, &err);
	store_put_spec(store, &(struct store_spec){(char *)"a", (char *)"/x/a.yaml", text, strlen(text)});
	if (_i == 1) {
		char *key = xasprintf("file %s", path), *older = xasprintf("%s%s", some_ca, some_ca);

		store_put_meta(store, key, older);
		free(key);
		free(older);
	}
	recalled = specs_new(store, NULL, false);
	ck_assert_int_eq(specs_recall(recalled, &err), 0);
	if (_i == 1)
		ck_assert_uint_eq(strlen(specs_find(recalled, "a")->spec->instances[0].health_check.ca),
				  2 * strlen(some_ca));
	else
		ck_assert_ptr_null(specs_find(recalled, "a")->spec);
	specs_free(recalled);
	store_close(store);
	free(text);
	free(path);
	free(dir);
}
END_TEST

/* The same of one balancer, which is stored for itself. */
START_TEST(what_is_in_force_of_a_balancer_is_read_back_under_newer_rules)
{
	const struct spec_context context = {.recalled = true};
	char *text = path_not_allowed(), *json;
	struct spec_errors errors = {0};
	struct spec *spec = spec_parse("/x/a.yaml", text, strlen(text), &context, &errors);
	struct spec_instance read;
	struct err err;

	ck_assert_ptr_nonnull(spec);
	json = spec_instance_to_json(&spec->instances[0]);
	ck_assert_int_eq(spec_instance_from_json(&read, &spec->instances[0].host, json, &err), 0);
	ck_assert_str_eq(read.config_path, "/usr/local/haproxy/haproxy.cfg");
	spec_instance_clear(&read);
	free(json);
	spec_free(spec);
	spec_errors_clear(&errors);
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("specs");
	TCase *tcase = tcase_create("specs");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, who_fits_gets_in, 0, N(rows));
	tcase_add_test(tcase, the_error_stands_at_the_one_who_came_later);
	tcase_add_test(tcase, a_new_login_counts_when_all_files_of_the_host_have_it);
	tcase_add_test(tcase, an_empty_list_needs_something_recorded);
	tcase_add_test(tcase, a_file_that_a_spec_names_is_followed);
	tcase_add_test(tcase, what_is_refused_is_not_judged_again_while_nothing_changes);
	tcase_add_test(tcase, what_was_refused_beside_another_gets_in_when_that_is_gone);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("recalled");
	tcase_add_checked_fixture(tcase, temp_make, temp_remove);
	tcase_add_loop_test(tcase, what_was_in_force_stays_so_under_newer_rules, 0, N(once_good));
	tcase_add_loop_test(tcase, a_file_that_a_spec_names_is_not_read_at_a_start, 0, 2);
	tcase_add_test(tcase, what_is_in_force_of_a_balancer_is_read_back_under_newer_rules);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("slices");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, only_texts_that_may_be_stored_are_kept);
	tcase_add_test(tcase, of_two_files_of_one_name_the_second_is_not_parsed);
	tcase_add_test(tcase, a_second_file_of_a_name_is_in_no_other_files_way);
	tcase_add_test(tcase, nothing_is_in_force_before_the_last_slice);
	tcase_add_test(tcase, who_is_kept_is_told_for_which_file);
	tcase_add_test(tcase, an_update_can_be_given_up);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("told");
	tcase_add_checked_fixture(tcase, temp_make, temp_remove);
	tcase_add_test(tcase, errors_are_told_by_slices_and_each_once);
	tcase_add_test(tcase, the_store_keeps_only_files_that_a_version_in_force_names);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("many");
	tcase_set_tags(tcase, "long"); /* under valgrind, that is */
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, ten_thousand_files_are_taken_in_by_slices);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
