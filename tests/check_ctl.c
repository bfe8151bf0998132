/* The client's pure parts: time, tables, and a status as a person sees it. */
#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/text.h"
#include "ctl/ctl.h"
#include "ctl/status.h"
#include "ctl/status_view.h"
#include "ctl/table.h"
#include "ctl/timestamp.h"
#include "tests/lies.h"
#include "tests/suite.h"

static const struct {
	const char *text;
	bool valid;
	int64_t ms;
} times[] = {
	{"1970-01-01T00:00:00Z", true, 0},
	{"2026-05-01T10:00:00Z", true, 1777629600000},
	{"2026-05-01T10:00:00.5Z", true, 1777629600500},
	{"2026-05-01T10:00:00.250Z", true, 1777629600250},
	{"2026-05-01T10:00:00.250999999Z", true, 1777629600250},
	{"2026-05-01T12:00:00+02:00", true, 1777629600000},
	{"2026-05-01T04:30:00.001-05:30", true, 1777629600001},
	{"", false, 0},
	{"soon", false, 0},
	{"2026-05-01", false, 0},
	{"2026-05-01T10:00:00", false, 0},
	{"2026-05-01T10:00:00Zulu", false, 0},
	{"2026-13-01T10:00:00Z", false, 0},
};

START_TEST(points_in_time_are_rfc_3339)
{
	int64_t ms = 0;

	ck_assert_int_eq(timestamp_parse(times[_i].text, &ms), times[_i].valid);
	ck_assert_int_eq(ms, times[_i].ms);
}
END_TEST

START_TEST(local_time_follows_tz)
{
	char buf[TIMESTAMP_LOCAL_BYTES];

	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	ck_assert_str_eq(timestamp_local(1777629600999, buf), "2026-05-01 12:00:00");
	setenv("TZ", "UTC", 1);
	tzset();
	ck_assert_str_eq(timestamp_local(1777629600999, buf), "2026-05-01 10:00:00");
}
END_TEST

static const struct {
	const char *url, *text;
} hosts[] = {
	{"direct", "direct"},
	{"ssh://root@10.0.0.5:22", "10.0.0.5"},
	{"ssh://root@10.0.0.5:2222", "10.0.0.5:2222"},
	{"ssh://a@b@node1:22", "node1"},
	{"ssh://root@[fd00::1]:22", "fd00::1"},
	{"ssh://root@[fd00::22]:2222", "[fd00::22]:2222"},
	{"ssh://", ""},
	{"", ""},
};

START_TEST(a_host_is_shown_short)
{
	char *text = host_short(hosts[_i].url);

	ck_assert_str_eq(text, hosts[_i].text);
	free(text);
}
END_TEST

/* What print writes, as text. */
#define PRINTED(text, call)                                   \
	do {                                                  \
		size_t printed_len;                           \
		FILE *out = text_open(&(text), &printed_len); \
		call;                                         \
		text_close(out);                              \
	} while (0)

static struct table *small_table(void)
{
	static const char *const headers[] = {"NAME", "PHASE", "WHY"};
	static const struct cell rows[][3] = {
		{{"a", COLOUR_NONE}, {"failed", COLOUR_RED}, {"no such image: haproxy:9.9", COLOUR_NONE}},
		{{"Z\xc3\xbcrich", COLOUR_NONE}, {"converged", COLOUR_NONE}, {"", COLOUR_NONE}},
		{{"", COLOUR_NONE}, {"", COLOUR_NONE}, {"", COLOUR_NONE}},
	};
	struct table *table = table_new(headers, 3);

	for (int i = 0; i < N(rows); i++)
		table_add(table, rows[i]);
	return table;
}

static const struct {
	struct style style;
	const char *text;
} layouts[] = {
	{{.tty = false},
	 "NAME    PHASE      WHY\n"
	 "a       failed     no such image: haproxy:9.9\n"
	 "Z\xc3\xbcrich  converged\n"
	 "\n"},
	/* 8 + 11 characters come before the last column */
	{{.tty = true, .columns = 19 + 24},
	 "NAME    PHASE      WHY\n"
	 "a       failed     no such image: haprox...\n"
	 "Z\xc3\xbcrich  converged\n"
	 "\n"},
	{{.tty = true, .columns = 19 + 19}, /* too narrow to cut */
	 "NAME    PHASE      WHY\n"
	 "a       failed     no such image: haproxy:9.9\n"
	 "Z\xc3\xbcrich  converged\n"
	 "\n"},
	{{.tty = true, .colour = true},
	 "NAME    PHASE      WHY\n"
	 "a       \033[31mfailed\033[0m     no such image: haproxy:9.9\n"
	 "Z\xc3\xbcrich  converged\n"
	 "\n"},
};

START_TEST(columns_stand_under_each_other)
{
	struct table *table = small_table();
	char *text;

	PRINTED(text, table_print(table, TABLE_WITH_HEADER, &layouts[_i].style, out));
	ck_assert_str_eq(text, layouts[_i].text);
	free(text);
	table_free(table);
}
END_TEST

START_TEST(later_rows_go_on_below_the_earlier_ones)
{
	static const struct style plain;
	static const struct cell row[3] = {{"b", COLOUR_NONE}, {"x\n", COLOUR_NONE}, {"y", COLOUR_NONE}};
	struct table *table = small_table();
	char *text;

	table_clear(table);
	table_add(table, row);
	PRINTED(text, table_print(table, TABLE_ROWS_ONLY, &plain, out));
	ck_assert_str_eq(text, "b       x\\n        y\n");
	free(text);
	table_free(table);
}
END_TEST

#define DOWN(why) "{\"address\":\"10.0.0.1:6443\",\"state\":\"down\",\"why\":\"" why "\"}"
#define DRAINING                                                               \
	"{\"address\":\"10.0.0.2:6443\",\"state\":\"down\",\"draining\":true," \
	"\"why\":\"not ready\"}"
#define SERVING(phase, version, state)                   \
	",\"phase\":\"" phase "\",\"serves\":\"" version \
	"\",\"servers\":[" SERVER(state) "],\"lastError\":{\"message\":\"refused\"}"
#define FROM_HOST ",\"host\":\"ssh://r@10.0.0.5:22\",\"lastError\":{\"message\":\""
#define SERVER(state) "{\"address\":\"10.0.0.1:6443\",\"state\":\"" state "\"}"

static void parse(struct status *status, const char *instances, const char *specs)
{
	struct json_object *json = json_object_new_object();
	struct err err = {.kind = ERR_NONE};

	json_object_object_add(json, "ready", json_object_new_boolean(true));
	json_object_object_add(json, "instances", json_tokener_parse(instances));
	json_object_object_add(json, "specs", json_tokener_parse(specs));
	ck_assert_int_eq(status_parse(status, json, &err), 0);
}

START_TEST(what_needs_a_person_comes_first)
{
	static const char unordered[] =
		"[{\"id\": \"b\", \"phase\": \"converged\", \"converged\": true},"
		" {\"id\": \"a\", \"phase\": \"converged\", \"converged\": true},"
		" {\"id\": \"pe\", \"phase\": \"pending\"},"
		" {\"id\": \"re\", \"phase\": \"reconciling\"},"
		" {\"id\": \"rm\", \"phase\": \"removing\"},"
		" {\"id\": \"degraded\", \"phase\": \"converged\", \"converged\": true,"
		"  \"servers\": [" SERVER("down") "," SERVER(
			"up") "]},"
			      " {\"id\": \"none-up\", \"phase\": \"converged\", \"converged\": true,"
			      "  \"servers\": [" SERVER(
				      "down") "]},"
					      " {\"id\": \"un\", \"phase\": \"unreachable\"},"
					      " {\"id\": \"newer\", \"phase\": \"hibernating\"},"
					      " {\"id\": \"fa\", \"phase\": \"failed\"},"
					      " {\"id\": \"co\", \"phase\": \"conflict\"},"
					      " {\"id\": \"pa\", \"phase\": \"paused\"}]";
	static const char *const order[] = {"none-up", "newer", "fa", "co",       "un", "pa",
					    "rm",      "re",    "pe", "degraded", "a",  "b"};
	struct status status;

	parse(&status, unordered, "[]");
	ck_assert_uint_eq(status.balancers_n, N(order));
	for (int i = 0; i < N(order); i++)
		ck_assert_str_eq(status.balancers[i].id, order[i]);
	status_clear(&status);
}
END_TEST

static const struct {
	const char *servers, *shown;
	bool well;
} server_lists[] = {
	{"[]", "?/0", true},
	{"[" SERVER("up") "," SERVER("up") "]", "2/2", true},
	{"[" SERVER("up") "," SERVER("down") "]", "1/2", false},
	{"[" SERVER("down") "," SERVER("down") "]", "0/2", false},
	{"[" SERVER("unknown") "," SERVER("unknown") "]", "?/2", true},
	{"[" SERVER("unknown") "," SERVER("up") "]", "1/2", true},
	{"null", "-", true},
	{"[7, null, {\"state\": 1}]", "?/3", true},
};

START_TEST(servers_are_counted)
{
	char *instances, *signature;
	struct status status;

	ck_assert_int_gt(asprintf(&instances, "[{\"id\":\"a\",\"converged\":true,\"servers\":%s}]",
				  server_lists[_i].servers),
			 0);
	parse(&status, instances, "[]");
	signature = balancer_signature(&status.balancers[0]);
	ck_assert_ptr_nonnull(strstr(signature, server_lists[_i].shown));
	ck_assert_int_eq(balancer_is_well(&status.balancers[0]), server_lists[_i].well);
	free(signature);
	free(instances);
	status_clear(&status);
}
END_TEST

static const struct {
	const char *more, *why;
} reasons[] = {
	{"", ""},
	{",\"lastError\":{\"message\":\"refused\"}", "refused"},
	{",\"progress\":\"pulling\"", "pulling"},
	{",\"lastError\":{\"message\":\"refused\"},\"progress\":\"connecting\"", "refused; now: connecting"},
	{",\"servers\":[" SERVER("down") "," SERVER("up") "]", "down: 10.0.0.1:6443"},
	{",\"servers\":[" DOWN("connection refused") "," SERVER("up") "," DRAINING "]",
	 "down: 10.0.0.1:6443 (connection refused); draining: 10.0.0.2:6443 (not ready)"},
	{",\"servers\":[" DRAINING "," SERVER("up") "]", "draining: 10.0.0.2:6443 (not ready)"},
	{",\"servers\":[" DOWN("connection refused") "," DRAINING "]",
	 "NO SERVER UP: 10.0.0.1:6443 (connection refused), 10.0.0.2:6443 (not ready)"},
	{",\"traffic\":\"untested\",\"servers\":[" DRAINING "]",
	 "NO SERVER UP, traffic goes to all of them untested: 10.0.0.2:6443 (not ready)"},
	{",\"servers\":[" SERVER("down") "],\"lastError\":{\"message\":\"refused\"}",
	 "NO SERVER UP: 10.0.0.1:6443; refused"},
	{",\"servers\":[" SERVER("down") "],\"progress\":\"pulling\"",
	 "NO SERVER UP: 10.0.0.1:6443; pulling"},
	{",\"servers\":[" SERVER("down") "," SERVER("up") "],\"lastError\":{\"message\":\"refused\"}",
	 "refused"},
	/* Do the clients notice? */
	{SERVING("failed", "former", "up"), "refused; the former version goes on serving (1/1 servers up)"},
	{SERVING("failed", "wanted", "up"), "refused; it goes on serving (1/1 servers up)"},
	{SERVING("failed", "former", "unknown"), "refused; the former version goes on running"},
	{SERVING("unreachable", "wanted", "up"), "refused"},
	/* The cause first. */
	{FROM_HOST "ssh://r@10.0.0.5:22: 10.0.0.5 port 22: connection refused\"}", "connection refused"},
	{FROM_HOST "ssh://r@10.0.0.5:22: timed out after 2 s\"}", "timed out after 2 s"},
	{FROM_HOST "ssh://r@10.0.0.5:22: jump host 10.0.0.9 port 22: refused\"}",
	 "jump host 10.0.0.9 port 22: refused"},
	{FROM_HOST "ssh://r@10.0.0.5:22: 10.0.0.9 port 22: refused\"}", "10.0.0.9 port 22: refused"},
	{FROM_HOST "pull image x: port 5 of 10.0.0.5: no\"}", "pull image x: port 5 of 10.0.0.5: no"},
};

START_TEST(the_reason_is_the_most_useful_one)
{
	char *instances, *signature;
	struct status status;

	ck_assert_int_gt(asprintf(&instances, "[{\"id\":\"a\"%s}]", reasons[_i].more), 0);
	parse(&status, instances, "[]");
	signature = balancer_signature(&status.balancers[0]);
	ck_assert_str_eq(strrchr(signature, '\n') + 1, reasons[_i].why);
	free(signature);
	free(instances);
	status_clear(&status);
}
END_TEST

static const struct {
	const char *changed_at, *age;
} ages[] = {
	{"\"2026-05-01T10:00:00Z\"", "0s"},
	{"\"2026-05-01T09:59:15Z\"", "45s"},
	{"\"2026-04-19T10:00:00Z\"", "12d"},
	{"\"2026-05-01T10:00:05Z\"", "0s"}, /* a clock that is ahead */
	{"null", "-"},
	{"\"then\"", "-"},
};

START_TEST(age_counts_from_the_last_change)
{
	static const struct style plain;
	char *instances, *text, *age;
	struct table *table = status_table_new();
	struct status status;

	ck_assert_int_gt(asprintf(&instances, "[{\"changedAt\":%s}]", ages[_i].changed_at), 0);
	parse(&status, instances, "[]");
	status_table_add(table, &status.balancers[0], 1777629600000);
	PRINTED(text, table_print(table, TABLE_ROWS_ONLY, &plain, out));
	text[strlen(text) - 1] = '\0';
	age = strrchr(text, ' ') + 1;
	ck_assert_str_eq(age, ages[_i].age);
	free(text);
	free(instances);
	table_free(table);
	status_clear(&status);
}
END_TEST

START_TEST(a_spec_is_known_by_its_file_or_by_what_is_left_of_it)
{
	struct status status;

	parse(&status, "[{\"spec\":\"leaving\"}]",
	      "[{\"name\":\"empty\",\"valid\":true},{\"name\":\"bad\"}]");
	ck_assert(status_has_spec(&status, "empty"));
	ck_assert(status_has_spec(&status, "leaving"));
	ck_assert(!status_has_spec(&status, "other"));
	ck_assert_uint_eq(status_count_invalid(&status), 1);
	status_clear(&status);
}
END_TEST

START_TEST(long_digests_are_cut)
{
	static const struct style plain;
	struct table *table = status_table_new();
	struct status status;
	char *text;

	parse(&status,
	      "[{\"container\":{\"image\":"
	      "\"haproxy@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}}]",
	      "[]");
	status_table_add(table, &status.balancers[0], 0);
	PRINTED(text, table_print(table, TABLE_ROWS_ONLY, &plain, out));
	ck_assert_ptr_nonnull(strstr(text, " haproxy@sha256:0123456789ab  "));
	free(text);
	table_free(table);
	status_clear(&status);
}
END_TEST

START_TEST(no_server_up_cannot_be_overlooked)
{
	static const struct style colours = {.tty = true, .colour = true};
	struct status status;
	char *text;

	parse(&status,
	      "[{\"id\":\"a\",\"phase\":\"converged\",\"converged\":true,\"servers\":[" SERVER(
		      "down") "]},"
			      " {\"id\":\"b\",\"phase\":\"converged\",\"converged\":true,\"servers\":"
			      "[" SERVER("up") "]}]",
	      "[]");
	PRINTED(text, status_print_errors(&status, &colours, out));
	ck_assert_str_eq(text, "\033[1;31mNO SERVER UP: 1 of 2 balancers sees no API server that passes its "
			       "check\033[0m\n");
	free(text);
	PRINTED(text, status_print_summary(&status, out));
	ck_assert_str_eq(text, "2 of 2 balancers converged, 1 with NO SERVER UP\n");
	free(text);
	PRINTED(text, status_print_table(&status, false, 0, &colours, out));
	ck_assert_ptr_nonnull(strstr(text, "\033[1;31m0/1\033[0m"));
	ck_assert_ptr_nonnull(strstr(text, "\033[1;31mNO SERVER UP: 10.0.0.1:6443\033[0m"));
	free(text);
	status_clear(&status);
}
END_TEST

static const char whole_status[] =
	"{\"version\":\"1\",\"ready\":true,\"troubles\":[\"t\"],\"warnings\":[\"w\"],\"specs\":[{\"name\":"
	"\"s\",\"file\":\"f\","
	"\"valid\":false,\"errors\":[{\"file\":\"f\",\"line\":1,\"column\":2,\"path\":\"p\",\"message\":"
	"\"m\"}],"
	"\"rollout\":{\"phase\":\"halted\",\"done\":1,\"total\":2,\"why\":\"y\"}}],\"instances\":[{\"id\":"
	"\"i\",\"spec\":\"s\","
	"\"host\":\"ssh://r@h:22\",\"name\":\"n\",\"phase\":\"failed\",\"converged\":false,\"guarded\":true,"
	"\"container\":{\"image\":\"x:1\"},\"progress\":\"p\",\"observedAt\":\"2026-05-01T10:00:00Z\","
	"\"servers\":[{\"address\":\"10.0.0.1:6443\",\"state\":\"down\",\"why\":\"refused\",\"draining\":"
	"true}],"
	"\"lastError\":{\"kind\":\"k\",\"message\":\"m\"}}]}";

/* Another daemon, of another version: something is shown, or an error is. */
START_TEST(any_field_of_a_status_is_anything)
{
	static const char *const lies[] = {LIE_ABSENT,     LIE_TWICE, "null",   "true",
					   "-1",           "1e999",   "\"\"",   "\"\\u0000\\u001b[m\"",
					   "[]",           "{}",      "[null]", "[[{}],17]",
					   "{\"id\":null}"};
	static const struct json_limits no_limits = {.bytes = 0};
	static const struct style plain;

	for (size_t i = 0; i < (size_t)N(lies); i++) {
		for (size_t n = 1; n < 60; n++) {
			char *text = lie_about(whole_status, n, lies[i]), *shown;
			struct json_object *json;
			struct status status;
			struct err err = {.kind = ERR_NONE};

			if (!text)
				continue;
			json = json_parse(text, strlen(text), &no_limits, &err);
			ck_assert_msg(json != NULL, "%s: %s", text, err.message);
			free(text);
			if (status_parse(&status, json, &err) < 0) {
				ck_assert_ptr_nonnull(strstr(err.message, "not apilbd"));
				continue;
			}
			PRINTED(shown, (status_print_errors(&status, &plain, out),
					status_print_summary(&status, out),
					status_print_table(&status, false, 0, &plain, out),
					status_print_missing(&status, out)));
			ck_assert_ptr_null(strchr(shown, '\033'));
			free(shown);
			status_clear(&status);
		}
	}
}
END_TEST

START_TEST(every_command_can_be_run_and_explained)
{
	for (const struct command *c = commands; c->name; c++) {
		char *words[] = {xstrdup(c->name), NULL, NULL};
		struct err err;
		size_t used;

		words[1] = strchr(words[0], ' ');
		if (words[1])
			*words[1]++ = '\0';
		ck_assert_ptr_eq(command_find(words, words[1] ? 2 : 1, &used, &err), c);
		ck_assert_uint_eq(used, words[1] ? 2 : 1);
		ck_assert_ptr_nonnull(c->run);
		ck_assert(c->summary && c->help && c->arguments && c->options && c->outputs);
		ck_assert_uint_le(c->min_arguments, c->max_arguments);
		free(words[0]);
	}
}
END_TEST

START_TEST(an_error_decides_the_exit_code)
{
	ck_assert_int_eq(exit_code(ERR_SPEC), 2);
	ck_assert_int_eq(exit_code(ERR_UNREACHABLE), 3);
	ck_assert_int_eq(exit_code(ERR_PERMANENT), 1);
	for (int kind = ERR_NONE + 1; kind < ERR_KINDS; kind++)
		ck_assert_int_ne(exit_code(kind), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ctl");
	TCase *tcase = tcase_create("ctl");

	tcase_add_loop_test(tcase, points_in_time_are_rfc_3339, 0, N(times));
	tcase_add_test(tcase, local_time_follows_tz);
	tcase_add_loop_test(tcase, a_host_is_shown_short, 0, N(hosts));
	tcase_add_loop_test(tcase, columns_stand_under_each_other, 0, N(layouts));
	tcase_add_test(tcase, later_rows_go_on_below_the_earlier_ones);
	tcase_add_test(tcase, what_needs_a_person_comes_first);
	tcase_add_loop_test(tcase, servers_are_counted, 0, N(server_lists));
	tcase_add_loop_test(tcase, the_reason_is_the_most_useful_one, 0, N(reasons));
	tcase_add_loop_test(tcase, age_counts_from_the_last_change, 0, N(ages));
	tcase_add_test(tcase, a_spec_is_known_by_its_file_or_by_what_is_left_of_it);
	tcase_add_test(tcase, long_digests_are_cut);
	tcase_add_test(tcase, no_server_up_cannot_be_overlooked);
	tcase_add_test(tcase, every_command_can_be_run_and_explained);
	tcase_add_test(tcase, any_field_of_a_status_is_anything);
	tcase_add_test(tcase, an_error_decides_the_exit_code);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
