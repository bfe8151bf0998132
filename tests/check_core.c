/* Small modules of floor 1: what is wanted, HAProxy's log, schedule, status, state, diff. */
#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/binds.h"
#include "daemon/core/diff.h"
#include "daemon/core/haproxy/haproxy_log.h"
#include "daemon/core/memory/accepted.h"
#include "daemon/core/plan/observed.h"
#include "daemon/core/schedule.h"
#include "daemon/core/state.h"
#include "daemon/core/status.h"
#include "tests/some_spec.h"
#include "tests/suite.h"

/* Wanted. */

#define BALANCER(head, fields)                                                                          \
	head "servers: ['10.0.0.1:6443', '10.0.0.2:6443']\n"                                            \
	     "apiLoadBalancers: [{bindAddress: 127.0.0.1, host: {ssh: {address: h1, password: x" fields \
	     "}]\n"
#define SAME BALANCER("", "}}")

/* Whatever is different makes it another one. */
static const char *const others[] = {
	BALANCER("image: x\n", "}}"),
	BALANCER("", "y}}"),
	BALANCER("", ", port: 23}}"),
	BALANCER("", ", user: core}}"),
	BALANCER("", ", retryTimeout: 5s}}"),
	BALANCER("", ", jump: {address: h2, password: x}}}"),
	BALANCER("", "}}, name: other"),
	BALANCER("", "}}, hostConfigPath: /etc/other/x.cfg"),
	BALANCER("", "}}, servers: ['10.0.0.2:6443', '10.0.0.1:6443']"),
	BALANCER("", "}}, servers: ['10.0.0.1:6443']"),
	BALANCER("timeouts: {connect: 9s}\n", "}}"),
	BALANCER("", "}}, timeouts: {client: 9s}"),
	BALANCER("", "}}, timeouts: {server: 9s}"),
	BALANCER("", "}}, timeouts: {tunnel: 9s}"),
	BALANCER("", "}}, timeouts: {drain: 9s}"),
	BALANCER("healthCheck: {path: /livez}\n", "}}"),
	BALANCER("", "}}, healthCheck: {interval: 9s}"),
	BALANCER("", "}}, healthCheck: {expect: 200}"),
	BALANCER("", "}}, healthCheck: {fall: 1}"),
	BALANCER("", "}}, healthCheck: {rise: 1}"),
	BALANCER("", "}}, healthCheck: {insecure: true}"),
	BALANCER("", "}}, healthCheck: {serverName: x}"),
	BALANCER("", "}}, maxConnections: 1"),
	BALANCER("", "}}, balance: first"),
	BALANCER("", "}}, extraConfig: {global: x}"),
	BALANCER("", "}}, extraConfig: {frontend: x}"),
	BALANCER("", "}}, runtime: {docker: {host: 'unix:///x.sock'}}"),
	"servers: ['10.0.0.1:6443', '10.0.0.2:6443']\n"
	"apiLoadBalancers: [{bindAddress: 127.0.0.2, host: {ssh: {address: h1, password: x}}}]\n",
	"servers: ['10.0.0.1:6443', '10.0.0.2:6443']\n"
	"apiLoadBalancers: [{bindAddress: 127.0.0.1, host: {direct: {}}}]\n",
};

START_TEST(what_differs_is_wanted_anew)
{
	struct wanted *wanted = parse_wanted(SAME);
	struct spec *other = parse_spec(others[_i]);

	ck_assert(!wanted_is_for(wanted, "prod", &other->instances[0], NULL));
	spec_free(other);
	wanted_unref(wanted);
}
END_TEST

START_TEST(what_is_the_same_is_not_wanted_anew)
{
	struct wanted *wanted = parse_wanted(SAME), *adopting;
	struct spec *same = parse_spec("# some lines\n# before\n" SAME);
	struct spec_instance *instance = &same->instances[0];

	ck_assert(wanted_is_for(wanted, "prod", instance, NULL));
	ck_assert(!wanted_is_for(wanted, "prod", instance, "0123"));
	ck_assert(!wanted_is_for(wanted, "test", instance, NULL));
	adopting = wanted_new("apilb", "prod", instance, "0123");
	ck_assert(wanted_is_for(adopting, "prod", instance, "0123"));
	ck_assert(!wanted_is_for(adopting, "prod", instance, "4567"));
	ck_assert(!wanted_is_for(adopting, "prod", instance, NULL));
	/* Its place in the list is shown, so it has to be taken over. */
	instance->index = 1;
	ck_assert(!wanted_is_for(wanted, "prod", instance, NULL));
	wanted_unref(adopting);
	wanted_unref(wanted);
	spec_free(same);
}
END_TEST

/* The create request. */

static const struct {
	const char *path;
	bool file;
	const char *in_container;
} mounts[] = {

	{"/etc/haproxy/haproxy.cfg", false, "/usr/local/etc/haproxy/haproxy.cfg"},
	{"/etc/haproxy/a.cfg", false, "/usr/local/etc/haproxy/a.cfg"},
	{"/opt/lb/one/x.cfg", false, "/usr/local/etc/haproxy/x.cfg"},
	{"/etc/x.cfg", true, "/usr/local/etc/haproxy/haproxy.cfg"},
	{"/x.cfg", true, "/usr/local/etc/haproxy/haproxy.cfg"},
	{"/var/lib/x.cfg", true, "/usr/local/etc/haproxy/haproxy.cfg"},
};

START_TEST(directory_is_mounted_unless_it_is_shared)
{
	char *yaml = xasprintf(COMMON "bindAddress: 127.0.0.1\nhostConfigPath: %s\n", mounts[_i].path);
	struct wanted *wanted = parse_wanted(yaml);

	ck_assert_int_eq(wanted->mounts_file, mounts[_i].file);
	ck_assert_str_eq(wanted->config_in_container, mounts[_i].in_container);
	free(yaml);
	wanted_unref(wanted);
}
END_TEST

START_TEST(container_hash_counts_what_needs_a_new_container)
{
	struct wanted *base = parse_wanted(COMMON "bindAddress: 127.0.0.1\n");
	struct wanted *config = parse_wanted(COMMON "bindAddress: 127.0.0.2\n");
	struct wanted *image = parse_wanted(COMMON "bindAddress: 127.0.0.1\nimage: haproxy:2.4\n");
	struct wanted *path = parse_wanted(COMMON "bindAddress: 127.0.0.1\nhostConfigPath: /etc/lb/x.cfg\n");

	ck_assert_str_eq(base->container_sha256, config->container_sha256);
	ck_assert_str_ne(base->config_sha256, config->config_sha256);
	ck_assert_str_ne(base->container_sha256, image->container_sha256);
	ck_assert_str_ne(base->container_sha256, path->container_sha256);
	wanted_unref(base);
	wanted_unref(config);
	wanted_unref(image);
	wanted_unref(path);
}
END_TEST

/* HAProxy's log. */

static const struct {
	const char *label, *address;
	bool covers, meets;
} at[] = {
	{"10.0.0.1:6443", "10.0.0.1:6443", true, true},
	{"10.0.0.1:6443", "10.0.0.1:6444", false, false},
	{"10.0.0.1:6443", "10.0.0.2:6443", false, false},
	{"10.0.0.1:6444 [2001:db8::1]:6443", "[2001:db8::1]:6443", true, true},
	{"*:6443", "10.0.0.1:6443", true, true},
	{"10.0.0.1:6443", "0.0.0.0:6443", false, true},
	{"10.0.0.1:6443", "[::]:6443", false, true},
	{"[::]:6443", "10.0.0.1:6443", true, true},
	/* of somebody else */
	{"", "10.0.0.1:6443", false, false},
	{" , \n*:0 *:70000 x:6443 [::", "10.0.0.1:6443", false, false},
	{"  junk  10.0.0.1:6443  ", "10.0.0.1:6443", true, true},
};

START_TEST(a_label_says_where_a_container_listens)
{
	size_t n, one;
	struct spec_bind *binds = binds_parse(at[_i].label, &n), *address = binds_parse(at[_i].address, &one);

	ck_assert_uint_eq(one, 1);
	ck_assert_int_eq(binds_cover(binds, n, address), at[_i].covers);
	ck_assert_int_eq(binds_meet(binds, n, address), at[_i].meets);
	binds_free(address, one);
	binds_free(binds, n);
}
END_TEST

START_TEST(the_label_is_what_the_spec_says)
{
	static const char text[] = "10.0.0.1:6443 *:7443 [2001:db8::1]:6443";
	size_t n;
	struct spec_bind *binds = binds_parse(text, &n);
	char *again = binds_text(binds, n);

	ck_assert_uint_eq(n, 3);
	ck_assert_str_eq(again, text);
	free(again);
	binds_free(binds, n);
}
END_TEST

START_TEST(log_reason_is_the_alerts)
{
	char reason[200];

	haproxy_log_reason("[NOTICE]   (1) : New worker forked\n"
			   "[ALERT]    (8) : config : parsing [/x:3] : unknown keyword 'foo'\n"
			   "[WARNING]  (8) : something\n"
			   "[ALERT]    (8) : config : Fatal errors found\n",
			   reason, sizeof(reason));
	ck_assert_str_eq(reason,
			 "config : parsing [/x:3] : unknown keyword 'foo'; config : Fatal errors found");
	haproxy_log_reason("[ALERT]    (8) : cannot bind\n[ALERT]    (8) : Exiting.\n"
			   "[ALERT]    (9) : cannot bind\n[ALERT]    (9) : Exiting.\n",
			   reason, sizeof(reason));
	ck_assert_str_eq(reason, "cannot bind; Exiting.");
	haproxy_log_reason("exec failed\nno such file\n", reason, sizeof(reason));
	ck_assert_str_eq(reason, "exec failed; no such file");
	haproxy_log_reason("", reason, sizeof(reason));
	ck_assert_str_eq(reason, "");
	haproxy_log_reason("0123456789\nabc\n", reason, 8);
	ck_assert_str_eq(reason, "0123456");
}
END_TEST

/* Schedule. */

START_TEST(backoff_doubles_to_a_limit_with_jitter)
{
	ck_assert_int_eq(schedule_backoff_ms(1, 1000, 0), 500);
	ck_assert_int_eq(schedule_backoff_ms(1, 1000, UINT32_MAX), 1000);
	ck_assert_int_eq(schedule_backoff_ms(3, 1000, UINT32_MAX), 4000);
	ck_assert_int_eq(schedule_backoff_ms(100, 1000, UINT32_MAX), SCHEDULE_MAX_BACKOFF_MS);
	ck_assert_int_eq(schedule_backoff_ms(4000000000u, 1000, 0), SCHEDULE_MAX_BACKOFF_MS / 2);
	ck_assert_int_eq(schedule_resync_ms(30000, 0), 30000);
	ck_assert_int_eq(schedule_resync_ms(30000, UINT32_MAX), 27000);
}
END_TEST

/* Status. */

START_TEST(accepted_keeps_the_last_pairs)
{
	char *list = NULL;
	char config[16];

	ck_assert(!accepted_has(NULL, "sha256:a", "c"));
	for (int i = 0; i <= ACCEPTED_MAX; i++) {
		snprintf(config, sizeof(config), "c%d", i);
		accepted_add(&list, "sha256:a", config);
		accepted_add(&list, "sha256:a", config);
	}
	ck_assert(!accepted_has(list, "sha256:a", "c0"));
	ck_assert(accepted_has(list, "sha256:a", "c1"));
	ck_assert(accepted_has(list, "sha256:a", config));
	ck_assert(!accepted_has(list, "sha256:b", config));
	free(list);
}
END_TEST

START_TEST(status_has_the_contracts_shape)
{
	const struct spec_server wanted[] = {{.host = "10.0.0.1", .port = 6443},
					     {.host = "10.0.0.2", .port = 6443},
					     {.host = "fd00::1", .ipv6 = true, .port = 6443}};
	const struct observed_server seen[] = {{.name = "10.0.0.1:6443", .state = SERVER_UP, .check = "L7OK"},
					       {.name = "10.0.0.2:6443",
						.state = SERVER_DOWN,
						.draining = true,
						.check = "L7OKC",
						.why = "not ready"}};
	struct server_memory memory = {.name = "10.0.0.1:6443", .since_ms = 1767322800000};
	const struct servers known = {.v = &memory, .n = 1};
	const struct err err = {.kind = ERR_TRANSIENT, .message = "no such luck"};
	const struct status_instance status = {
		.id = "prod/10.0.0.5/lb",
		.spec = "prod",
		.host = "ssh://root@10.0.0.5:22",
		.name = "lb",
		.index = 3,
		.phase = PHASE_FAILED,
		.container_id = "abc",
		.image = "haproxy:3",
		.container_status = CONTAINER_RUNNING,
		.config_path = "/etc/x",
		.config_sha256 = "00",
		.wanted_servers = wanted,
		.wanted_servers_n = 3,
		.draining = 1,
		.servers = seen,
		.servers_n = 2,
		.servers_known = &known,
		.health_check = &(const struct spec_health_check){.insecure = true},
		.serves = SERVES_FORMER,
		.error = &err,
		.error_since_ms = 1767323045678,
		.attempts = 2,
		.observed_at_ms = 1767323045000,
		.changed_at_ms = 0,
		.next_run_at_ms = 0,
	};
	struct json_object *json = status_instance_json(&status);

	ck_assert_str_eq(
		json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
		"{\"id\":\"prod/10.0.0.5/lb\",\"spec\":\"prod\",\"index\":3,\"host\":\"ssh://"
		"root@10.0.0.5:22\","
		"\"name\":\"lb\",\"phase\":\"failed\",\"converged\":false,\"progress\":null,\"image\":"
		"\"haproxy:3\","
		"\"container\":{\"id\":\"abc\",\"image\":\"haproxy:3\",\"status\":\"running\"},\"draining\":"
		"1,"
		"\"config\":{\"path\":\"/etc/x\",\"sha256\":\"00\"},"
		"\"servers\":[{\"address\":\"10.0.0.1:6443\",\"state\":\"up\",\"since\":\"2026-01-02T03:00:"
		"00.000Z\","
		"\"check\":\"L7OK\"},"
		"{\"address\":\"10.0.0.2:6443\",\"state\":\"down\",\"draining\":true,\"since\":null,"
		"\"why\":\"not ready\",\"check\":\"L7OKC\"},"
		"{\"address\":\"[fd00::1]:6443\",\"state\":\"unknown\",\"since\":null}],"
		"\"verifiesServers\":false,\"insecure\":true,\"guarded\":null,\"traffic\":\"checked\","
		"\"serves\":\"former\","
		"\"lastError\":{\"kind\":\"transient\",\"message\":\"no such luck\","
		"\"since\":\"2026-01-02T03:04:05.678Z\",\"attempts\":2},"
		"\"observedAt\":\"2026-01-02T03:04:05.000Z\",\"changedAt\":null,\"nextRunAt\":null}");
	json_object_put(json);
}
END_TEST

/* State. */

START_TEST(state_shows_no_secrets)
{
	struct wanted *wanted = parse_wanted("servers: ['10.0.0.1:6443']\nbindAddress: 127.0.0.1\n"
					     "ssh: {address: node1, password: hunter2}\n"
					     "apiLoadBalancers: [{}]\n");
	struct json_object *state = state_entry_json(wanted, "abc", "running");
	const char *text = json_object_to_json_string(state);

	ck_assert_ptr_null(strstr(text, "hunter2"));
	ck_assert_ptr_nonnull(strstr(text, "\"address\": \"node1\""));
	ck_assert_ptr_nonnull(strstr(text, "\"id\": \"abc\""));
	json_object_put(state);
	wanted_unref(wanted);
}
END_TEST

/* Diff. */

START_TEST(diff_is_unified)
{
	char *diff;

	ck_assert_ptr_null(diff_unified("a\nb\n", "a\nb\n", "x", "y"));
	diff = diff_unified("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n", "x", "y");
	ck_assert_str_eq(diff, "--- x\n+++ y\n@@ -2,8 +2,9 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n 9\n+10\n");
	free(diff);
	diff = diff_unified("", "new\n", "/dev/null", "y");
	ck_assert_str_eq(diff, "--- /dev/null\n+++ y\n@@ -0,0 +1,1 @@\n+new\n");
	free(diff);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core");
	TCase *all = tcase_create("core");

	tcase_add_loop_test(all, what_differs_is_wanted_anew, 0, N(others));
	tcase_add_test(all, what_is_the_same_is_not_wanted_anew);
	tcase_add_loop_test(all, directory_is_mounted_unless_it_is_shared, 0, N(mounts));
	tcase_add_test(all, container_hash_counts_what_needs_a_new_container);
	tcase_add_loop_test(all, a_label_says_where_a_container_listens, 0, N(at));
	tcase_add_test(all, the_label_is_what_the_spec_says);
	tcase_add_test(all, log_reason_is_the_alerts);
	tcase_add_test(all, backoff_doubles_to_a_limit_with_jitter);
	tcase_add_test(all, accepted_keeps_the_last_pairs);
	tcase_add_test(all, status_has_the_contracts_shape);
	tcase_add_test(all, state_shows_no_secrets);
	tcase_add_test(all, diff_is_unified);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
