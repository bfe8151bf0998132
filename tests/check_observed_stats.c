/* HAProxy's stats socket: what its answers say, and what is no answer. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/plan/observed.h"
#include "tests/suite.h"

static const char stats_answer[] =
	"Name: HAProxy\nVersion: 2.6.12-1\nUptime_sec: 4\ndescription: apilb abc123\nNode: n\n\n"
	"# pxname,svname,qcur,status,weight,check_status,x\n"
	"kube-apiserver,FRONTEND,,OPEN,,,\n"
	"kube-apiserver,10.0.0.1:6443,0,UP,1,L7OK,\n"
	"kube-apiserver,10.0.0.2:6443,0,DOWN 1/2,1,* L4TOUT,\n"
	"kube-apiserver,10.0.0.3:6443,0,UP 1/3,1,INI,\n"
	"kube-apiserver,10.0.0.4:6443,0,no check,1,,\n"
	"other,10.0.0.5:6443,0,UP,1,L7OK,\n"
	"kube-apiserver,BACKEND,0,UP,1,,\n\n";

START_TEST(stats_tell_generation_and_servers)
{
	struct observed_instance observed = {0};

	observed_stats_parse(&observed, stats_answer);
	ck_assert_int_eq(observed.stats, STATS_ANSWERED);
	ck_assert_str_eq(observed.loaded.generation, "abc123");
	ck_assert_uint_eq(observed.servers_n, 4);
	ck_assert_str_eq(observed.servers[0].name, "10.0.0.1:6443");
	ck_assert_int_eq(observed.servers[0].state, SERVER_UP);
	ck_assert_int_eq(observed.servers[1].state, SERVER_DOWN);
	ck_assert_str_eq(observed.servers[1].check, "L4TOUT");
	/* HAProxy says UP before it has checked: we do not. */
	ck_assert_int_eq(observed.servers[2].state, SERVER_UNKNOWN);
	ck_assert_int_eq(observed.servers[3].state, SERVER_UNKNOWN);
	observed_instance_clear(&observed);
}
END_TEST

/* The rows of one server, and what they make of it. */
static const struct {
	const char *rows;
	enum server_state state;
	bool draining;
	const char *why;
} several[] = {

	{"cp1:6443,UP,L7OK,0|cp1:6443-2,DOWN,L4CON,0", SERVER_UP, false, NULL},
	{"cp1:6443,DOWN,L4CON,0|cp1:6443-2,UP,L7OK,0", SERVER_UP, false, NULL},
	{"cp1:6443,MAINT (resolution),,0|cp1:6443-2,UP,L7OK,0", SERVER_UP, false, NULL},
	{"cp1:6443,DOWN,L4TOUT,0|cp1:6443-2,NOLB,L7OKC,0", SERVER_DOWN, true,
	 "not ready; connections in use go on"},
	{"cp1:6443,DOWN,L4TOUT,0|cp1:6443-2,MAINT (resolution),,0", SERVER_DOWN, false, "no connection"},
	{"cp1:6443,DOWN,L4TOUT,0|cp1:6443-2,no check,,0", SERVER_UNKNOWN, false, NULL},
	{"cp1:6443,DOWN,L4TOUT,0|cp1:6443-known,no check,,0", SERVER_DOWN, false, "no connection"},
	{"cp1:6443,DOWN,L4TOUT,0|cp1:6443-known,UP,L7OK,0", SERVER_UP, false, NULL},
	{"cp1:6443,MAINT (resolution),,0|cp1:6443-2,MAINT (resolution),,0", SERVER_DOWN, false,
	 "its name cannot be resolved"},
	{"cp1:6443-2,UP,L7OK,0|cp1:6443,DOWN,L4CON,0", SERVER_UP, false, NULL},
};

static struct observed_instance stats_of(const char *rows)
{
	struct observed_instance observed = {0};
	char *text = xasprintf("Version: 3\n# pxname,svname,status,check_status,bck\n"),
	     *copy = xstrdup(rows);
	char *rest = copy, *row;

	while ((row = strsep(&rest, "|")) != NULL) {
		char *more = xasprintf("%skube-apiserver,%s\n", text, row);

		free(text);
		text = more;
	}
	row = xasprintf("%s\n", text);
	free(text);
	text = row;
	observed_stats_parse(&observed, text);
	free(text);
	free(copy);
	return observed;
}

START_TEST(several_addresses_are_one_server)
{
	struct observed_instance observed = stats_of(several[_i].rows);

	ck_assert_uint_eq(observed.servers_n, 1);
	ck_assert_str_eq(observed.servers[0].name, "cp1:6443");
	ck_assert_int_eq(observed.servers[0].state, several[_i].state);
	ck_assert_int_eq(observed.servers[0].draining, several[_i].draining);
	ck_assert_pstr_eq(observed.servers[0].why, several[_i].why);
	observed_instance_clear(&observed);
}
END_TEST

START_TEST(other_servers_are_other_servers)
{
	struct observed_instance observed = stats_of(
		"cp1:6443,UP,L7OK,0|cp1:64432,UP,L7OK,0|cp1-2:6443,UP,L7OK,0|fd00::2:6443,UP,L7OK,0");

	ck_assert_uint_eq(observed.servers_n, 4);
	observed_instance_clear(&observed);
}
END_TEST

/* Traffic does not go where there is no address. */
static const struct {
	const char *rows;
	bool fallback;
} backups[] = {

	{"a:1,DOWN,L4CON,0|a:1-untested,no check,,1", true},
	{"a:1,DOWN,L4CON,0|a:1-untested,MAINT (resolution),,1|a:1-untested-2,MAINT (resolution),,1", false},
	{"a:1,DOWN,L4CON,0|a:1-untested,MAINT (resolution),,1|a:1-untested-2,no check,,1", true},
	{"a:1,DOWN,L4CON,0|a:1-untested,MAINT,,1", false},
	{"a:1,DOWN,L4CON,0", false},
};

START_TEST(untested_servers_without_an_address_are_none)
{
	struct observed_instance observed = stats_of(backups[_i].rows);

	ck_assert_int_eq(observed.fallback, backups[_i].fallback);
	observed_instance_clear(&observed);
}
END_TEST

/* Whether there is somebody for whoever connects. */
static const struct {
	const char *rows;
	bool unchecked, serves_nobody;
} serving[] = {

	{"a:1,UP,L7OK,0", false, false},
	{"a:1,DOWN,L4CON,0", false, true},
	{"a:1,DOWN,L4CON,0|b:1,UP,L7OK,0", false, false},
	{"a:1,DOWN,L4CON,0|a:1-untested,no check,,1", false, false},
	{"a:1,UP,INI,0", true, false},
	{"a:1,DOWN,L4CON,0|b:1,UP,INI,0", true, false},
	{"a:1,UP,L7OK,0|b:1,UP,INI,0", false, false},
	/* of a config that somebody has written */
	{"", false, false},
};

START_TEST(who_has_a_server_up_serves_somebody)
{
	struct observed_instance observed = stats_of(serving[_i].rows);

	ck_assert_int_eq(observed_is_unchecked(&observed), serving[_i].unchecked);
	ck_assert_int_eq(observed_serves_nobody(&observed), serving[_i].serves_nobody);
	observed.stats = STATS_FAILED;
	ck_assert(!observed_serves_nobody(&observed));
	observed_instance_clear(&observed);
}
END_TEST

/* That of HAProxy's is a number; and what was once read is no answer to the next question. */
START_TEST(who_drains_says_so)
{
	static const struct {
		const char *line;
		bool stopping;
	} lines[] = {{"Stopping: 1\n", true}, {"Stopping: 0\n", false}, {"Stopping:\n", false}, {"", false}};
	struct observed_instance observed = {0};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char *text = xasprintf("Version: 2.6\n%s\n# pxname,svname,status,check_status\n"
				       "kube-apiserver,a:1,UP,L7OK\n\n",
				       lines[i].line);

		observed_forget_servers(&observed);
		observed_stats_parse(&observed, text);
		ck_assert_int_eq(observed.stats, STATS_ANSWERED);
		ck_assert_int_eq(observed.stopping, lines[i].stopping);
		free(text);
	}
	observed_instance_clear(&observed);
}
END_TEST

static const char *const not_stats[] = {"", "\n", "garbage", "# pxname,svname\n,\n",
					"# pxname,svname,status\nkube-apiserver", "Permission denied\n",
					/* Half of one. */
					"Version: 2.6\n", "Version: 2.6\n\n",
					"Version: 2.6\n\n# pxname,svname,status,check_status\n",
					"Version: 2.6\ndescription: apilb abc\n\n"
					"# pxname,svname,status,check_status\nkube-apiserver,a:1,UP,L7OK\n",
					"Version: 2.6\n\n# pxname,svname,status,check_status\n"
					"kube-apiserver,a:1,UP,L7OK\nkube-apiserver,b:1,U"};

START_TEST(what_is_no_answer_is_a_failure)
{
	struct observed_instance observed = {0};

	observed_stats_parse(&observed, not_stats[_i]);
	ck_assert_int_eq(observed.stats, STATS_FAILED);
	ck_assert_ptr_nonnull(observed.stats_error);
	ck_assert_uint_eq(observed.servers_n, 0);
	ck_assert_str_eq(observed.loaded.generation, "");
	observed_instance_clear(&observed);
}
END_TEST

START_TEST(who_answers_too_much_is_not_listened_to_for_ever)
{
	struct observed_instance observed = {0};
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs("Version: 2.6\n\n# pxname,svname,status,check_status\n", out);
	for (int i = 0; i < 5000; i++)
		fprintf(out, "kube-apiserver,10.0.0.1:%d,UP,L7OK\n", i);
	fputs("\n", out);
	fclose(out);
	observed_stats_parse(&observed, text);
	ck_assert_int_eq(observed.stats, STATS_ANSWERED);
	ck_assert_uint_eq(observed.servers_n, 1024);
	observed_instance_clear(&observed);
	free(text);
}
END_TEST

/* Who has put himself in HAProxy's place fills an answer with one of these; none of it is kept, nor costs
 * time. */
static struct observed_instance filled(const char *before, char fill, size_t n, const char *after)
{
	struct observed_instance observed = {0};
	char *filling = xcalloc(1, n + 1), *text;

	memset(filling, fill, n);
	text = xasprintf("%s%s%s", before, filling, after);
	observed_stats_parse(&observed, text);
	free(text);
	free(filling);
	return observed;
}

#define TABLE "Version: 2.6\n\n# pxname,svname,status,check_status"
static const struct {
	const char *before;
	char fill;
	const char *after;
} endless_lines[] = {

	{"Version: ", '2', "\n\n# pxname,svname,status,check_status\n\n"},
	{TABLE, ',', "\nkube-apiserver,a:1,UP,L7OK\n\n"},
	{TABLE "\nkube-apiserver,", 'a', ":1,UP,L7OK\n\n"},
	{TABLE ",last_chk\nkube-apiserver,a:1,DOWN,L7STS,\"", 'x', "\"\n\n"},
	{TABLE "\nkube-apiserver,a:1,UP,L7OK\n\n", 'x', ""},
};

START_TEST(an_endless_line_is_not_haproxys)
{
	struct observed_instance observed =
		filled(endless_lines[_i].before, endless_lines[_i].fill, 100000, endless_lines[_i].after);

	ck_assert_int_eq(observed.stats, STATS_FAILED);
	ck_assert_str_eq(observed.stats_error, "the answer is not HAProxy's");
	ck_assert_uint_eq(observed.servers_n, 0);
	observed_instance_clear(&observed);
}
END_TEST

/* HAProxy has some 100 lines of info. */
START_TEST(more_info_than_haproxy_has_is_not_read)
{
	struct observed_instance observed = filled("Version: 2.6\nUptime_sec: 7\n", '\n', 2000,
						   "Uptime_sec: 8\n# pxname,svname,status,check_status\n\n");

	ck_assert_int_eq(observed.uptime_s, 7);
	observed_instance_clear(&observed);
}
END_TEST

/* HAProxy has some 110 columns: these are so many more, and where the state stands there is no server. */
static const struct {
	int columns;
	size_t servers;
} wide[] = {{0, 1}, {150, 1}, {300, 0}};

START_TEST(more_columns_than_haproxy_has_are_not_read)
{
	struct observed_instance observed = {0};
	char commas[301] = "";
	char *text;

	memset(commas, ',', wide[_i].columns);
	text = xasprintf("Version: 2.6\n\n# pxname,svname,status,%scheck_status\n"
			 "kube-apiserver,a:1,UP,%sL7OK\n\n",
			 commas, commas);
	observed_stats_parse(&observed, text);
	ck_assert_int_eq(observed.stats, STATS_ANSWERED);
	ck_assert_uint_eq(observed.servers_n, wide[_i].servers);
	observed_instance_clear(&observed);
	free(text);
}
END_TEST

START_TEST(a_second_header_changes_no_column)
{
	struct observed_instance observed =
		stats_of("a:1,UP,L7OK,0\n# pxname,status,svname,check_status,bck|b:1,UP,L7OK,0");

	ck_assert_uint_eq(observed.servers_n, 2);
	ck_assert_str_eq(observed.servers[1].name, "b:1");
	observed_instance_clear(&observed);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("observed_stats");
	TCase *all = tcase_create("observed_stats");

	tcase_add_loop_test(all, several_addresses_are_one_server, 0, N(several));
	tcase_add_test(all, other_servers_are_other_servers);
	tcase_add_loop_test(all, untested_servers_without_an_address_are_none, 0, N(backups));
	tcase_add_loop_test(all, who_has_a_server_up_serves_somebody, 0, N(serving));
	tcase_add_test(all, who_drains_says_so);
	tcase_add_test(all, stats_tell_generation_and_servers);
	tcase_add_loop_test(all, what_is_no_answer_is_a_failure, 0, N(not_stats));
	tcase_add_test(all, who_answers_too_much_is_not_listened_to_for_ever);
	tcase_add_loop_test(all, an_endless_line_is_not_haproxys, 0, N(endless_lines));
	tcase_add_test(all, more_info_than_haproxy_has_is_not_read);
	tcase_add_loop_test(all, more_columns_than_haproxy_has_are_not_read, 0, N(wide));
	tcase_add_test(all, a_second_header_changes_no_column);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
