/* What a spec makes of haproxy.cfg. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/spec/spec_sharers.h"
#include "tests/some_spec.h"
#include "tests/suite.h"

START_TEST(config_tells_its_own_generation)
{
	struct wanted *a = parse_wanted(COMMON "bindAddress: 127.0.0.1\n");
	struct wanted *b = parse_wanted(COMMON "bindAddress: 127.0.0.2\n");
	char *line =
		xasprintf("description \"apilb %s %s\"\n", a->description.generation, a->description.binds);
	struct haproxy_description loaded;

	ck_assert_uint_eq(strlen(a->description.generation), 64);
	ck_assert_str_ne(a->description.generation, b->description.generation);
	ck_assert_ptr_nonnull(strstr(a->config, line));
	/* As HAProxy repeats it in `show info`. */
	free(line);
	line = xasprintf("apilb %s %s", a->description.generation, a->description.binds);
	loaded = haproxy_description_parse(line);
	ck_assert_str_eq(loaded.generation, a->description.generation);
	ck_assert_str_eq(loaded.binds, a->description.binds);
	ck_assert_str_ne(a->description.binds, b->description.binds);
	ck_assert(!loaded.guarded);
	free(line);
	line = xasprintf("apilb %s %s guarded", a->description.generation, a->description.binds);
	ck_assert(haproxy_description_parse(line).guarded);
	loaded = haproxy_description_parse("somebody else's");
	ck_assert_str_eq(loaded.generation, "");
	ck_assert_str_eq(loaded.binds, "");
	free(line);
	wanted_unref(a);
	wanted_unref(b);
}
END_TEST

static const struct {
	const char *yaml;
	const char *line;
} config_lines[] = {

	{"bindAddress: 10.1.2.3\n", "    bind 10.1.2.3:6443\n"},
	{"bindAddress: 10.1.2.3:7443\n", "    bind 10.1.2.3:7443\n"},
	{"bindAddress: '[::1]:7443'\n", "    bind [::1]:7443\n"},
	{"bindAddress: '::1'\n", "    bind [::1]:6443\n"},
	{"bindAddress: ['127.0.0.1', '[::1]:8443']\n", "    bind 127.0.0.1:6443\n    bind [::1]:8443\n"},
	{"bindAddress: '*:7443'\n", "    bind *:7443\n"},
	{"bindAddress: '[::]:7443'\n", "    bind [::]:7443\n"},
	/* Both wildcards of one port: IPv6 must leave IPv4 its own. */
	{"bindAddress: ['0.0.0.0:7443', '[::]:7443']\n", "    bind [::]:7443 v6only\n"},
	{"bindAddress: 127.0.0.1\n", "    server 10.0.0.1:6443 10.0.0.1:6443 check\n"},
	{"bindAddress: 127.0.0.1\n", "    server 10.0.0.1:6443-untested 10.0.0.1:6443 backup\n"},
	/* From 3.3 on they may not have the same name. */
	{"bindAddress: 127.0.0.1\n", "\nfrontend clients\n"},
	{"bindAddress: 127.0.0.1\n", "\nbackend kube-apiserver\n"},
	{"bindAddress: 127.0.0.1\n", "    http-check expect error-status L7OKC status 200-299,401,403\n"},
	{"bindAddress: 127.0.0.1\n", "    lua-load \"/var/lib/apilb/api-loadbalancer-haproxy/guard-"},
	{"bindAddress: 127.0.0.1\n", "    timeout connect 800ms\n"},
	{"bindAddress: 127.0.0.1\n",
	 "    default-server check-ssl verify none inter 1s fastinter 50ms fall 2 rise 2 "},
	{"bindAddress: 127.0.0.1\n", "    mode tcp\n"},
	{"bindAddress: 127.0.0.1\n", "    clitcpka-idle 30s\n    clitcpka-intvl 5s\n    clitcpka-cnt 3\n"},
	{"bindAddress: 127.0.0.1\n", "    srvtcpka-idle 30s\n    srvtcpka-intvl 5s\n    srvtcpka-cnt 3\n"},
	{"bindAddress: 127.0.0.1\n", "    timeout tunnel 24h\n"},
	{"bindAddress: 127.0.0.1\n", "    hard-stop-after 5m\n"},
	{"bindAddress: 127.0.0.1\ntimeouts: {drain: 90s}\n", "    hard-stop-after 90s\n"},
	{"bindAddress: 127.0.0.1\ntimeouts: {drain: 120m}\n", "    hard-stop-after 2h\n"},
	{"bindAddress: 127.0.0.1\ntimeouts: {connect: 1.5s}\n", "    timeout connect 1500ms\n"},
	{"bindAddress: 127.0.0.1\ntimeouts: {client: 2m, server: 3m}\n", "    timeout client 2m\n"},
	{"bindAddress: 127.0.0.1\ntimeouts: {client: 2m, server: 3m}\n", "    timeout server 3m\n"},
	{"bindAddress: 127.0.0.1\ntimeouts: {tunnel: 8h}\n", "    timeout tunnel 8h\n"},
	{"bindAddress: 127.0.0.1\n", "    http-check expect error-status L7OKC status 200-299,401,403\n"},
	{"bindAddress: 127.0.0.1\n",
	 "    default-server check-ssl verify none inter 1s fastinter 50ms fall 2 rise 2 slowstart 10s\n"},
	{"bindAddress: 127.0.0.1\nhealthCheck: {interval: 400ms, fall: 9, rise: 8}\n",
	 " verify none inter 400ms fastinter 50ms fall 9 rise 8 slowstart 10s\n"},
	{"bindAddress: 127.0.0.1\nhealthCheck: {interval: 5s}\n", " inter 5s fastinter 50ms "},
	{"bindAddress: 127.0.0.1\nhealthCheck: {timeout: 700ms}\n", "    timeout check 700ms\n"},
	{"bindAddress: 127.0.0.1\nhealthCheck: {path: '/livez?x&y=%20$1'}\n",
	 "    http-check send meth GET uri /livez?x&y=%20$1 ver HTTP/1.1 hdr Host kube-apiserver\n"},
	{"bindAddress: 127.0.0.1\nhealthCheck: {expect: [200, 3xx, 401-404]}\n",
	 "    http-check expect error-status L7OKC status 200,300-399,401-404\n"},
	{"bindAddress: 127.0.0.1\nhealthCheck: {serverName: api.example.com}\n",
	 " ver HTTP/1.1 hdr Host api.example.com\n"},
	{"bindAddress: 127.0.0.1\nhealthCheck: {serverName: api.example.com}\n",
	 " verify none check-sni api.example.com inter "},
	{"bindAddress: 127.0.0.1\nmaxConnections: 77\n", "    maxconn 77\n"},
	{"bindAddress: 127.0.0.1\nbalance: source\n", "    balance source\n"},
	{"bindAddress: 127.0.0.1\nextraConfig: {global: 'tune.bufsize 1'}\n",
	 "    # extraConfig\n    tune.bufsize 1\n\ndefaults\n"},
	{"bindAddress: 127.0.0.1\nextraConfig: {defaults: [a, '  b']}\n",
	 "    # extraConfig\n    a\n    b\n\nfrontend"},
	{"bindAddress: 127.0.0.1\nextraConfig: {frontend: \"a\\n\\n b\\n\"}\n",
	 "    # extraConfig\n    a\n    b\n\nbackend"},
	{"bindAddress: 127.0.0.1\nextraConfig: {backend: a}\n",
	 "    server 10.0.0.1:6443-untested 10.0.0.1:6443 backup\n    # extraConfig\n    a\n"},
	{"bindAddress: 127.0.0.1\nname: lb\n",
	 "    stats socket \"/var/lib/apilb/lb/${APILB_TOKEN}.sock\" mode 666 level user\n"},
	/* Not stdout: then stderr would block when nobody reads it. */
	{"bindAddress: 127.0.0.1\n", "    log stderr format raw daemon\n"},
};

START_TEST(config_has_line)
{
	char *yaml = xasprintf(COMMON "%s", config_lines[_i].yaml);
	struct wanted *wanted = parse_wanted(yaml);

	ck_assert_msg(strstr(wanted->config, config_lines[_i].line) != NULL, "%s is not in\n%s",
		      config_lines[_i].line, wanted->config);
	free(yaml);
	wanted_unref(wanted);
}
END_TEST

/* A CA of nobody. */
#define CA(indent)                                                                         \
	indent "-----BEGIN CERTIFICATE-----\n" indent                                      \
	       "MIIBezCCASGgAwIBAgIULtnTmraeprxzoQleUULM7yb58CowCgYIKoZIzj0EAwIw\n" indent \
	       "EjEQMA4GA1UEAwwHdGVzdCBDQTAgFw0yNjExMjcxNjI5MThaGA8yMTI2MTEwMzE2\n" indent \
	       "MjkxOFowEjEQMA4GA1UEAwwHdGVzdCBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n" indent \
	       "A0IABFHBsippC3PWzeLAI1MrGMit5r7mWGizFj4qbqnCqpuznwFcc0Opu+6+AN9R\n" indent \
	       "C+rGOhJQVtXZQxFyWEbdvaAAR3+jUzBRMB0GA1UdDgQWBBQ5xw8U+ZETuwYjJdWX\n" indent \
	       "nIPGTqODwjAfBgNVHSMEGDAWgBQ5xw8U+ZETuwYjJdWXnIPGTqODwjAPBgNVHRMB\n" indent \
	       "Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQCeUCWaOvx2SuHnZWNZGaYCQGeB\n" indent \
	       "8nieRvWKQeCpQKUawQIgKVtpiBzchSkJROGNPnm51eao0Wk+oiUDJD4ehcrFyuo=\n" indent \
	       "-----END CERTIFICATE-----\n"

START_TEST(a_ca_lies_beside_the_config)
{
	static const char text[] = CA("");
	struct wanted *wanted = parse_wanted(COMMON "bindAddress: 127.0.0.1\nname: lb\n"
						    "healthCheck:\n  ca: |\n" CA("    "));
	struct wanted *without = parse_wanted(COMMON "bindAddress: 127.0.0.1\nname: lb\n");
	char hash[SHA256_HEX_SIZE], *line;

	sha256_hex(text, strlen(text), hash);
	ck_assert_uint_eq(wanted->files_n, 2);
	ck_assert_uint_eq(without->files_n, 1); /* guard.lua */
	ck_assert_msg(strncmp(without->files[0].name, "guard-", 6) == 0, "%s", without->files[0].name);
	ck_assert_str_eq(wanted->files[1].text, text);
	ck_assert_uint_eq(wanted->files[1].len, strlen(text));
	line = xasprintf(" verify required ca-file \"/var/lib/apilb/lb/ca-%.12s.pem\" check-sni kubernetes "
			 "verifyhost kubernetes inter ",
			 hash);
	ck_assert_msg(strstr(wanted->config, line), "%s is not in\n%s", line, wanted->config);
	ck_assert_ptr_nonnull(strstr(line, wanted->files[1].name));
	/* A reload, and no new container. */
	ck_assert_str_ne(wanted->description.generation, without->description.generation);
	ck_assert_str_eq(wanted->description.binds, without->description.binds);
	ck_assert_str_eq(wanted->container_sha256, without->container_sha256);
	free(line);
	wanted_unref(without);
	wanted_unref(wanted);
}
END_TEST

/* Where it listens in the operator's own lines is a matter for a handover as well. */
START_TEST(own_binds_count_as_binds)
{
	struct wanted *base = parse_wanted(COMMON "bindAddress: 127.0.0.1\n");
	struct wanted *other =
		parse_wanted(COMMON "bindAddress: 127.0.0.1\nextraConfig: {frontend: option x}\n");
	struct wanted *bind =
		parse_wanted(COMMON "bindAddress: 127.0.0.1\nextraConfig: {frontend: 'bind :7000'}\n");

	ck_assert_str_eq(base->description.binds, other->description.binds);
	ck_assert_str_ne(base->description.generation, other->description.generation);
	ck_assert_str_ne(base->description.binds, bind->description.binds);
	wanted_unref(base);
	wanted_unref(other);
	wanted_unref(bind);
}
END_TEST

static const struct {
	size_t sharers;
	int64_t interval_s;
} intervals[] = {

	{0, 1},      {1, 1},      {50, 1},      {51, 2},      {100, 2},      {101, 5},         {250, 5},
	{251, 10},   {500, 10},   {501, 20},    {1000, 20},   {1001, 50},    {2500, 50},       {2501, 100},
	{5000, 100}, {5001, 200}, {10000, 200}, {10001, 500}, {25001, 1000}, {1000000, 20000},
};

START_TEST(checks_become_rarer_with_the_fleet)
{
	ck_assert_int_eq(spec_interval_for_ms(intervals[_i].sharers), intervals[_i].interval_s * 1000);
	ck_assert_uint_le(intervals[_i].sharers, (size_t)intervals[_i].interval_s * SPEC_MAX_CHECKS_PER_S);
}
END_TEST

/* As many as a damaged store may tell of. */
START_TEST(the_rarest_check_has_an_interval_that_haproxy_takes)
{
	ck_assert_int_eq(spec_interval_for_ms(25000000), 500000000);
	ck_assert_int_eq(spec_interval_for_ms(25000001), 500000000);
	ck_assert_int_eq(spec_interval_for_ms(SIZE_MAX), 500000000);
}
END_TEST

/* A spec of n balancers in front of this server. */
static struct spec *spec_with(size_t n, const char *server)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct spec *spec;

	fprintf(out, "servers: ['%s']\nbindAddress: 127.0.0.1\nssh: {password: x}\napiLoadBalancers:\n",
		server);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "- host: {ssh: {address: h%zu}}\n", i);
	fclose(out);
	spec = parse_spec(text);
	free(text);
	return spec;
}

START_TEST(sharers_are_counted_across_specs)
{
	struct spec *specs[] = {spec_with(30, "10.0.0.1:6443"), spec_with(21, "10.0.0.1:6443"),
				spec_with(40, "10.0.0.2:6443")};
	const struct spec_instance *first = &specs[0]->instances[0], *other = &specs[2]->instances[0];
	struct wanted *wanted = wanted_new("apilb", "prod", first, NULL);

	ck_assert_uint_eq(first->sharers, 30);
	ck_assert_int_eq(spec_check_interval_ms(first), 1000);
	ck_assert(wanted_is_for(wanted, "prod", first, NULL));
	spec_count_sharers(specs, 3);
	ck_assert_uint_eq(first->sharers, 51);
	ck_assert_uint_eq(other->sharers, 40);
	ck_assert_int_eq(spec_check_interval_ms(first), 2000);
	/* The step is another one: so is the config. */
	ck_assert(!wanted_is_for(wanted, "prod", first, NULL));
	wanted_unref(wanted);
	wanted = wanted_new("apilb", "prod", first, NULL);
	ck_assert_ptr_nonnull(strstr(wanted->config, " inter 2s fastinter 50ms "));
	/* Within a step nothing changes. */
	specs[0]->instances[0].sharers = 99;
	ck_assert(wanted_is_for(wanted, "prod", first, NULL));
	wanted_unref(wanted);
	for (size_t i = 0; i < 3; i++)
		spec_free(specs[i]);
}
END_TEST

static struct wanted *named(const char *bind)
{
	char *yaml = xasprintf("servers: ['cp1.example:6443', '[fd00::1]:6443']\n"
			       "bindAddress: %s\napiLoadBalancers: [{}]\n",
			       bind);
	struct wanted *wanted = parse_wanted(yaml);

	free(yaml);
	return wanted;
}

static void assert_in(const char *config, const char *line)
{
	ck_assert_msg(strstr(config, line) != NULL, "%s is not in\n%s", line, config);
}

#define NAMED(suffix, role, family, more)                                \
	"\n    server cp1.example:6443" suffix " cp1.example:6443 " role \
	" resolvers system resolve-prefer " family " " more "\n"
#define SHARED "resolve-opts allow-dup-ip "
#define LOOKED_UP "init-addr libc,last,none"

START_TEST(names_as_servers_are_resolved_at_run_time)
{
	struct wanted *wanted = named("127.0.0.1");
	const char *config = wanted->config;

	assert_in(config, "\n    setenv RES_OPTIONS \"timeout:1 attempts:2\"\n");
	assert_in(config, "\nresolvers system\n    parse-resolv-conf\n    timeout resolve 10s\n");
	/* Nothing that DNS may say or not say takes an address away. */
	assert_in(config,
		  "\n    hold nx 24d\n    hold timeout 24d\n    hold refused 24d\n    hold other 24d\n");
	assert_in(config, NAMED("", "check", "ipv4", SHARED LOOKED_UP));
	assert_in(config, NAMED("-2", "check", "ipv4", "init-addr last,none"));
	assert_in(config, NAMED("-3", "check", "ipv4", "init-addr last,none"));
	assert_in(config, NAMED("-untested", "backup", "ipv4", SHARED LOOKED_UP));
	assert_in(config, NAMED("-untested-2", "backup", "ipv6", SHARED "init-addr last,none"));
	assert_in(config,
		  "\n    server cp1.example:6443-known cp1.example:6443 check init-addr last,192.0.2.1\n");
	assert_in(config, "\n    server fd00::1:6443 [fd00::1]:6443 check\n");
	assert_in(config, "\n    server-state-file \"/var/lib/apilb/api-loadbalancer-haproxy/addresses\"\n");
	assert_in(config, "\n    load-server-state-from-file global\n");
	ck_assert_uint_eq(wanted->files_n, 2);
	assert_in(config, wanted->files[1].name);
	ck_assert_ptr_null(strstr(config, "fd00::1:6443-2"));
	ck_assert_ptr_null(strstr(config, "fd00::1:6443-known"));
	wanted_unref(wanted);
}
END_TEST

START_TEST(more_names_may_take_longer_to_look_up)
{
	static const struct {
		const char *servers;
		int s;
	} cases[] = {
		{"'10.0.0.1:1', '[::1]:1'", 0},
		{"'10.0.0.1:1', 'a:1'", 30},
		{"'a:1', 'b:1', 'c:1'", 90},
		{"'a:1', 'b:1', 'c:1', 'd:1', 'e:1', 'f:1', 'g:1', 'h:1', 'i:1', 'j:1', 'k:1'", 300},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *yaml = xasprintf("servers: [%s]\nbindAddress: '::1'\napiLoadBalancers: [{}]\n",
				       cases[i].servers);
		struct wanted *wanted = parse_wanted(yaml);

		ck_assert_int_eq(haproxy_look_up_max_s(&wanted->instance), cases[i].s);
		wanted_unref(wanted);
		free(yaml);
	}
}
END_TEST

START_TEST(a_balancer_that_listens_on_ipv6_only_prefers_it)
{
	static const struct {
		const char *bind, *family;
	} cases[] = {{"'::1'", "ipv6"}, {"['[::]:6443', '::1']", "ipv6"}, {"['::1', 127.0.0.1]", "ipv4"}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wanted *wanted = named(cases[i].bind);
		char *line = xasprintf("cp1.example:6443 check resolvers system resolve-prefer %s ",
				       cases[i].family);

		assert_in(wanted->config, line);
		free(line);
		wanted_unref(wanted);
	}
}
END_TEST

START_TEST(without_names_nothing_is_said_of_resolving)
{
	struct wanted *wanted = parse_wanted(COMMON "bindAddress: 127.0.0.1\n");

	ck_assert_ptr_null(strstr(wanted->config, "resolv"));
	ck_assert_ptr_null(strstr(wanted->config, "RES_OPTIONS"));
	ck_assert_ptr_null(strstr(wanted->config, "addresses"));
	ck_assert_uint_eq(wanted->files_n, 1);
	wanted_unref(wanted);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("haproxy");
	TCase *all = tcase_create("haproxy");

	tcase_add_test(all, config_tells_its_own_generation);
	tcase_add_loop_test(all, config_has_line, 0, N(config_lines));
	tcase_add_test(all, a_ca_lies_beside_the_config);
	tcase_add_test(all, own_binds_count_as_binds);
	tcase_add_loop_test(all, checks_become_rarer_with_the_fleet, 0, N(intervals));
	tcase_add_test(all, the_rarest_check_has_an_interval_that_haproxy_takes);
	tcase_add_test(all, sharers_are_counted_across_specs);
	tcase_add_test(all, names_as_servers_are_resolved_at_run_time);
	tcase_add_test(all, more_names_may_take_longer_to_look_up);
	tcase_add_test(all, a_balancer_that_listens_on_ipv6_only_prefers_it);
	tcase_add_test(all, without_names_nothing_is_said_of_resolving);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
