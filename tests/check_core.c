/* Floor 1, what is not the spec or the plan: rendering, HAProxy's answers and logs, schedule, status, diff.
 */
#include <check.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/diff.h"
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/haproxy/haproxy_log.h"
#include "daemon/core/memory/accepted.h"
#include "daemon/core/plan/observed.h"
#include "daemon/core/schedule.h"
#include "daemon/core/spec/spec_sharers.h"
#include "daemon/core/state.h"
#include "daemon/core/status.h"
#include "daemon/core/wanted.h"
#include "tests/suite.h"

static struct spec *spec_of(const char *yaml)
{
	const struct spec_context context = {.have_agent = true};
	struct spec_errors errors = {0};
	struct spec *spec = spec_parse("prod.yaml", yaml, strlen(yaml), &context, &errors);

	ck_assert_msg(spec != NULL, "%s", errors.n ? spec_error_text(&errors.v[0]) : "?");
	return spec;
}

static struct wanted *wanted_of(const char *yaml)
{
	struct spec *spec = spec_of(yaml);
	struct wanted *wanted = wanted_new("apilb", spec->name, &spec->instances[0], NULL);

	spec_free(spec);
	return wanted;
}

#define COMMON "servers: ['10.0.0.1:6443']\napiLoadBalancers: [{}]\n"

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
	struct wanted *wanted = wanted_of(SAME);
	struct spec *other = spec_of(others[_i]);

	ck_assert(!wanted_is_for(wanted, "prod", &other->instances[0], NULL));
	spec_free(other);
	wanted_unref(wanted);
}
END_TEST

START_TEST(what_is_the_same_is_not_wanted_anew)
{
	struct wanted *wanted = wanted_of(SAME), *adopting;
	struct spec *same = spec_of("# some lines\n# before\n" SAME);
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

/* haproxy.cfg */

START_TEST(config_tells_its_own_generation)
{
	struct wanted *a = wanted_of(COMMON "bindAddress: 127.0.0.1\n");
	struct wanted *b = wanted_of(COMMON "bindAddress: 127.0.0.2\n");
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
	struct wanted *wanted = wanted_of(yaml);

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
	struct wanted *wanted = wanted_of(COMMON "bindAddress: 127.0.0.1\nname: lb\n"
						 "healthCheck:\n  ca: |\n" CA("    "));
	struct wanted *without = wanted_of(COMMON "bindAddress: 127.0.0.1\nname: lb\n");
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
	struct wanted *base = wanted_of(COMMON "bindAddress: 127.0.0.1\n");
	struct wanted *other =
		wanted_of(COMMON "bindAddress: 127.0.0.1\nextraConfig: {frontend: option x}\n");
	struct wanted *bind =
		wanted_of(COMMON "bindAddress: 127.0.0.1\nextraConfig: {frontend: 'bind :7000'}\n");

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
	spec = spec_of(text);
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
	struct wanted *wanted = wanted_of(yaml);

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
		struct wanted *wanted = wanted_of(yaml);

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
	struct wanted *wanted = wanted_of(COMMON "bindAddress: 127.0.0.1\n");

	ck_assert_ptr_null(strstr(wanted->config, "resolv"));
	ck_assert_ptr_null(strstr(wanted->config, "RES_OPTIONS"));
	ck_assert_ptr_null(strstr(wanted->config, "addresses"));
	ck_assert_uint_eq(wanted->files_n, 1);
	wanted_unref(wanted);
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
	struct wanted *wanted = wanted_of(yaml);

	ck_assert_int_eq(wanted->mounts_file, mounts[_i].file);
	ck_assert_str_eq(wanted->config_in_container, mounts[_i].in_container);
	free(yaml);
	wanted_unref(wanted);
}
END_TEST

START_TEST(container_hash_counts_what_needs_a_new_container)
{
	struct wanted *base = wanted_of(COMMON "bindAddress: 127.0.0.1\n");
	struct wanted *config = wanted_of(COMMON "bindAddress: 127.0.0.2\n");
	struct wanted *image = wanted_of(COMMON "bindAddress: 127.0.0.1\nimage: haproxy:2.4\n");
	struct wanted *path = wanted_of(COMMON "bindAddress: 127.0.0.1\nhostConfigPath: /etc/lb/x.cfg\n");

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

/* HAProxy's stats socket. */

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

START_TEST(stats_tell_version_generation_and_servers)
{
	struct observed_instance observed = {0};

	observed_stats_parse(&observed, stats_answer);
	ck_assert_int_eq(observed.stats, STATS_ANSWERED);
	ck_assert_str_eq(observed.haproxy_version, "2.6.12-1");
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
	struct observed_instance observed =
		filled("Version: 2.6\n", '\n', 2000, "Version: 3.0\n# pxname,svname,status,check_status\n\n");

	ck_assert_str_eq(observed.haproxy_version, "2.6");
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

/* HAProxy's log. */

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
	struct wanted *wanted = wanted_of("servers: ['10.0.0.1:6443']\nbindAddress: 127.0.0.1\n"
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

	tcase_add_loop_test(all, what_differs_is_wanted_anew, 0, sizeof(others) / sizeof(*others));
	tcase_add_test(all, what_is_the_same_is_not_wanted_anew);
	tcase_add_test(all, config_tells_its_own_generation);
	tcase_add_loop_test(all, config_has_line, 0, N(config_lines));
	tcase_add_test(all, a_ca_lies_beside_the_config);
	tcase_add_test(all, own_binds_count_as_binds);
	tcase_add_loop_test(all, checks_become_rarer_with_the_fleet, 0, N(intervals));
	tcase_add_test(all, sharers_are_counted_across_specs);
	tcase_add_test(all, names_as_servers_are_resolved_at_run_time);
	tcase_add_test(all, more_names_may_take_longer_to_look_up);
	tcase_add_test(all, a_balancer_that_listens_on_ipv6_only_prefers_it);
	tcase_add_test(all, without_names_nothing_is_said_of_resolving);
	tcase_add_loop_test(all, several_addresses_are_one_server, 0, sizeof(several) / sizeof(several[0]));
	tcase_add_test(all, other_servers_are_other_servers);
	tcase_add_loop_test(all, untested_servers_without_an_address_are_none, 0,
			    sizeof(backups) / sizeof(backups[0]));
	tcase_add_loop_test(all, who_has_a_server_up_serves_somebody, 0,
			    sizeof(serving) / sizeof(serving[0]));
	tcase_add_test(all, who_drains_says_so);
	tcase_add_loop_test(all, directory_is_mounted_unless_it_is_shared, 0, N(mounts));
	tcase_add_test(all, container_hash_counts_what_needs_a_new_container);
	tcase_add_test(all, stats_tell_version_generation_and_servers);
	tcase_add_loop_test(all, what_is_no_answer_is_a_failure, 0, N(not_stats));
	tcase_add_test(all, who_answers_too_much_is_not_listened_to_for_ever);
	tcase_add_loop_test(all, an_endless_line_is_not_haproxys, 0,
			    sizeof(endless_lines) / sizeof(endless_lines[0]));
	tcase_add_test(all, more_info_than_haproxy_has_is_not_read);
	tcase_add_loop_test(all, more_columns_than_haproxy_has_are_not_read, 0,
			    sizeof(wide) / sizeof(wide[0]));
	tcase_add_test(all, a_second_header_changes_no_column);
	tcase_add_test(all, log_reason_is_the_alerts);
	tcase_add_test(all, backoff_doubles_to_a_limit_with_jitter);
	tcase_add_test(all, accepted_keeps_the_last_pairs);
	tcase_add_test(all, status_has_the_contracts_shape);
	tcase_add_test(all, state_shows_no_secrets);
	tcase_add_test(all, diff_is_unified);
	suite_add_tcase(suite, all);
	return suite_run(suite);
}
