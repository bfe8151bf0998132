/* Files, limits and hosts; single values are in check_spec_syntax.c, whole specs in tests/cases/spec/. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/host_file.h"
#include "daemon/core/spec/spec.h"
#include "daemon/core/spec/spec_schema.h"
#include "tests/suite.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

/* Most specs of these tests are this one, with something in it. */
#define ONE "apiLoadBalancers:\n- servers: [10.0.0.1:6443]\n  bindAddress: 127.0.0.1\n"

static const struct spec_context no_context;

static struct spec *parse(const char *text, size_t len, struct spec_errors *errors)
{
	return spec_parse("/etc/apilb.d/prod.yaml", text, len, &no_context, errors);
}

static char *repeat(const char *text, size_t times)
{
	size_t len = strlen(text);
	char *result = xcalloc(times * len + 1, 1);

	for (size_t i = 0; i < times; i++)
		memcpy(result + i * len, text, len);
	return result;
}

/* Refused with at least one error, and the first says this. */
static void refused(const char *text, size_t len, const char *why)
{
	struct spec_errors errors = {0};
	char *first;

	ck_assert_ptr_null(parse(text, len, &errors));
	ck_assert_uint_ge(errors.n, 1);
	first = spec_error_text(&errors.v[0]);
	ck_assert_msg(strstr(first, why), "\"%s\" is not in \"%s\"", why, first);
	free(first);
	spec_errors_clear(&errors);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Files. */

START_TEST(a_spec_is_named_after_its_file)
{
	static const struct {
		const char *file, *name;
	} cases[] = {
		{"prod.yaml", "prod"},
		{"prod.yml", "prod"},
		{"prod.eu-1_a.yaml", "prod.eu-1_a"},
		{"a.yaml.yaml", "a.yaml"},
		{".yaml", NULL},
		{".prod.yaml", NULL},
		{"prod.yaml~", NULL},
		{"prod.yaml.swp", NULL},
		{"prod.yaml.dpkg-new", NULL},
		{"prod", NULL},
		{"prod.YAML", NULL},
		{"prod.json", NULL},
		{"my prod.yaml", NULL},
		{"a/b.yaml", NULL},
		{"pr\xc3\xb6"
		 "d.yaml",
		 NULL},
		{"a\nb.yaml", NULL},
		{"", NULL},
		{"yaml", NULL},
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		char *name = spec_name_from_file(cases[i].file);

		if (cases[i].name)
			ck_assert_str_eq(name, cases[i].name);
		else
			ck_assert_msg(!name, "\"%s\"", cases[i].file);
		free(name);
	}
}
END_TEST

START_TEST(an_error_says_where)
{
	static const struct {
		struct spec_error error;
		const char *text;
	} cases[] = {
		{{"a.yaml", 3, 7, "ssh.port", "is wrong"}, "a.yaml:3:7: ssh.port: is wrong"},
		{{"a.yaml", 3, 7, "", "is wrong"}, "a.yaml:3:7: is wrong"},
		{{"a.yaml", 3, 0, "", "is wrong"}, "a.yaml:3: is wrong"},
		{{"a.yaml", 0, 0, "", "cannot be read"}, "a.yaml: cannot be read"},
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		char *text = spec_error_text(&cases[i].error);

		ck_assert_str_eq(text, cases[i].text);
		free(text);
	}
}
END_TEST

/* Text that is no spec at all. */

static const struct {
	const char *text, *why;
} broken[] = {
	{"", "prod.yaml: the file is empty"},
	{"\n\n# nothing\n", "prod.yaml: the file is empty"},
	{"---\n", "2:1: the document is empty"},
	{"null", "the document is empty"},
	{"[]", "1:1: the document must be a map"},
	{"text", "the document must be a map"},
	{ONE "---\n" ONE, "4:1: a second document begins here"},
	{ONE "...\n" ONE, "5:1: not valid YAML: did not find expected <document start>"},
	{"a: \"\xff\"\n", "1:5: not UTF-8 text"},
	{"a: b\n\xc3", "2:1: not UTF-8 text"},
	{"\xff\xfe"
	 "a",
	 "not UTF-8 text"},
	{"a: \x01\n", "1:4: not UTF-8 text: control characters are not allowed"},
	{"a: \"\\0\"\n", "1:4: a text must not contain a NUL character"},
	{"a: [1, 2\n", "not valid YAML"},
	{"a: b: c\n", "1:5: not valid YAML: a \":\" that may not stand here: is this line indented too far"},
	{"servers:[a]\nb:c\nx: y\n", "3:2: not valid YAML: a \":\" that may not stand here"},
	{"a: b\n  c: d\n", "2:4: not valid YAML: a \":\" that may not stand here"},
	{"\ta: b\n", "1:1: not valid YAML: a tab: YAML wants spaces"},
	{"a:\n  - b\n\t- c\n", "3:1: not valid YAML: a tab: YAML wants spaces"},
	{"a:\n-\tb: c\n\td: e\n", "2:2: not valid YAML: a tab: YAML wants spaces"},
	{"ssh:\n  user: a\n\tport: 22\n", "3:1: not valid YAML: a tab: YAML wants spaces"},
	{"a: @b\n", "1:4: not valid YAML: a text that begins with this character must be quoted"},
	{"apiLoadBalancers:\n- servers: [10.0.", "not valid YAML"},
	{"? [a]\n: b\n", "1:3: a key must be plain text"},
	{"a: *b\n", "1:4: an alias to an anchor that is not defined above"},
	{"a: *\n", "not valid YAML"},
	{"a: &b [*b]\n", "1:8: an alias inside the value that it stands for"},
	{"a: &b {c: *b}\n", "1:11: an alias inside the value"},
	{"a: !secret b\n", "1:4: this tag has no meaning here"},
	{"a: !!binary aGk=\n", "1:4: this tag has no meaning here"},
	{"<<: 1\na: 2\n", "1:5: the value of \"<<\" must be a map or a list of maps"},
	{"<<: [{}, 1]\n", "1:5: the value of \"<<\" must be a map or a list of maps"},
	{"<<: {}\n<<: {}\n", "2:1: key \"<<\" is given twice, first in line 1"},
	{"%YAML 1.1\n---\n[]", "the document must be a map"},
};

START_TEST(what_is_no_document_is_refused)
{
	refused(broken[_i].text, strlen(broken[_i].text), broken[_i].why);
}
END_TEST

START_TEST(a_nul_byte_does_not_end_the_text)
{
	static const char text[] = ONE "\0";

	refused(text, sizeof(text) - 1, "not UTF-8 text: control characters are not allowed");
}
END_TEST

/* Secrets that somebody forgot to quote, or that stand in the wrong place. */
START_TEST(no_message_tells_a_secret)
{
	static const char *const texts[] = {
		"ssh: {password: *Hunter2}\n",
		"ssh: {password: !Hunter2 x}\n",
		"ssh: {password: !Hunter2}\n",
		"ssh: {password: @Hunter2}\n",
		"ssh: {password: %Hunter2}\n",
		"ssh: {password: `Hunter2}\n",
		"ssh: {password: [Hunter2]}\n",
		"ssh: {password: {Hunter2: x}}\n",
		"ssh:\n  password: x: Hunter2\n",
		"ssh:\n  password: \"Hunter2\n",
		"ssh: Hunter2\n",
		"ssh: {privateKey: Hunter2}\n",
		"ssh: {privateKeyFile: Hunter2}\n",
		"ssh: {passwordFile: Hunter2}\n",
		"ssh: {hostKey: Hunter2}\n",
		"ssh: {hostKeyChecking: Hunter2}\n",
		"ssh: {port: Hunter2}\n",
		"ssh: {retryTimeout: Hunter2}\n",
		"ssh: {user: \"Hunter2 x\"}\n",
		"ssh: {address: \"root:Hunter2@x\"}\n",
		"servers: [\"https://root:Hunter2@x\"]\n",
		"runtime: {docker: {host: \"tcp://root:Hunter2@x\"}}\n",
		"ssh: {password: secret, passwordFile: /Hunter2}\n",
	};

	for (size_t i = 0; i < LENGTH(texts); i++) {
		struct spec_errors errors = {0};

		ck_assert_msg(!parse(texts[i], strlen(texts[i]), &errors), "%s", texts[i]);
		for (size_t e = 0; e < errors.n; e++) {
			ck_assert_ptr_null(strcasestr(errors.v[e].message, "hunter"));
			ck_assert_ptr_null(strcasestr(errors.v[e].path, "hunter"));
		}
		spec_errors_clear(&errors);
	}
}
END_TEST

START_TEST(errors_come_in_the_order_of_the_text_and_are_bounded)
{
	char *unknown = repeat("- {x: 1}\n", 150);
	char *text = xasprintf("apiLoadBalancers:\n%s", unknown);
	struct spec_errors errors = {0};

	ck_assert_ptr_null(parse(text, strlen(text), &errors));
	ck_assert_uint_eq(errors.n, SPEC_MAX_ERRORS);
	for (size_t i = 1; i < errors.n - 1; i++)
		ck_assert_uint_ge(errors.v[i].line, errors.v[i - 1].line);
	ck_assert_str_eq(errors.v[errors.n - 1].message, "there are more errors, which are not shown");
	spec_errors_clear(&errors);
	free(unknown);
	free(text);
}
END_TEST

/* Keys that would break a line or a terminal are not shown as they are. */
START_TEST(a_path_is_one_line)
{
	static const char text[] = "\"a\\nb\\e[31m\": 1\n" ONE;
	struct spec_errors errors = {0};

	ck_assert_ptr_null(parse(text, strlen(text), &errors));
	ck_assert_str_eq(errors.v[0].path, "[\"a?b?[31m\"]");
	spec_errors_clear(&errors);
}
END_TEST

/* Inputs that are made to hurt. */

static void refused_soon(const char *text, size_t len, const char *why)
{
	double start = seconds();

	refused(text, len, why);
	/* Much more than it takes, even in a checker; what it guards against takes minutes. */
	ck_assert_double_lt(seconds() - start, 120);
}

static void repeated_is_refused_soon(const char *text, size_t bytes, const char *why)
{
	char *all = repeat(text, bytes / strlen(text));

	refused_soon(all, strlen(all), why);
	free(all);
}

START_TEST(four_mebibytes_are_allowed_and_no_more)
{
	char *text = xcalloc(SPEC_MAX_BYTES + 1, 1);
	struct spec_errors errors = {0};
	struct spec *spec;

	memset(text, '#', SPEC_MAX_BYTES + 1);
	memcpy(text, ONE, strlen(ONE));
	spec = parse(text, SPEC_MAX_BYTES, &errors);
	ck_assert_ptr_nonnull(spec);
	spec_free(spec);
	refused_soon(text, SPEC_MAX_BYTES + 1, "the file is too large: at most 4 MiB are allowed");
	free(text);
}
END_TEST

static const struct {
	const char *unit, *why;
} hostile[] = {
	{"[", "nested too deeply: at most 64 levels"},
	{"{a: ", "nested too deeply"},
	{"- ", "nested too deeply"},
	{"? ", "nested too deeply"},
	{"[\n", "nested too deeply"},
	{"- a\n", "too many values: at most 250000"},
	{"-\n", "too many values"},
	{"%TAG !a! b\n", "too many lines begin with \"%\""},
	{"...\n", "not valid YAML"},
	{"\n", "the file is empty"},
	{"---\n", "a second document begins here"},
	{"a", "the document must be a map"},
	{"'", ""},
	{"\"\\", ""},
	{"&a ", "not valid YAML"},
	{"- &a0000 {b: c, d: e}\n", "too many values"},
	{"!a ", "this tag has no meaning here"},
	{"a: ", "not valid YAML"},
	{"a:\n", "too many values"},
	{": ", "not valid YAML"},
	{",", "not valid YAML"},
	{"}", "not valid YAML"},
	{"a\n", "the document must be a map"},
	{"\xef\xbb\xbf", ""},
};

START_TEST(a_hostile_file_ends_soon)
{
	repeated_is_refused_soon(hostile[_i].unit, SPEC_MAX_BYTES, hostile[_i].why);
}
END_TEST

static char *with_servers(int n)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs("apiLoadBalancers: [{bindAddress: 127.0.0.1}]\nservers:\n", out);
	for (int i = 1; i <= n; i++)
		fprintf(out, "- 10.0.0.1:%d\n", i);
	fclose(out);
	return text;
}

START_TEST(more_servers_than_can_be_watched_are_an_error)
{
	char *most = with_servers(1024), *more = with_servers(1025);
	struct spec_errors errors = {0};
	struct spec *spec = parse(most, strlen(most), &errors);

	ck_assert_ptr_nonnull(spec);
	spec_free(spec);
	ck_assert_ptr_null(parse(more, strlen(more), &errors));
	ck_assert_str_eq(errors.v[0].message, "has 1025 items; at most 1024 are allowed");
	spec_errors_clear(&errors);
	free(most);
	free(more);
}
END_TEST

/* As many servers as there may be, each with as long a name as there is, and some lines of extraConfig. */
static char *with_long_names(int lines)
{
	char *text = NULL, label[64] = "", *line = repeat("x", 1024);
	size_t len;
	FILE *out = open_memstream(&text, &len);

	memset(label, 'a', sizeof(label) - 1);
	fputs("apiLoadBalancers: [{bindAddress: 127.0.0.1}]\nextraConfig: {backend: [", out);
	for (int i = 0; i < lines; i++)
		fprintf(out, "'# %s', ", line);
	fputs("]}\nservers:\n", out);
	for (int i = 0; i < SPEC_MAX_ITEMS; i++)
		fprintf(out, "- %s.%s.%s.%.56s.a%03x:65535\n", label, label, label, label, i);
	fclose(out);
	free(line);
	return text;
}

/* A larger file is not read from a host, so a config of that size could not be compared with it. */
START_TEST(the_largest_config_is_one_that_a_host_may_have)
{
	char *most = with_long_names(0), *more = with_long_names(SPEC_MAX_ITEMS), *config;
	struct spec_errors errors = {0};
	struct spec *spec = parse(most, strlen(most), &errors);

	ck_assert_msg(spec != NULL, "%s", errors.n ? errors.v[0].message : "");
	config = haproxy_render(&spec->instances[0], "apilb");
	ck_assert_uint_gt(strlen(config), 3 << 20);
	ck_assert_uint_le(strlen(config), haproxy_most_bytes(&spec->instances[0]));
	ck_assert_uint_le(haproxy_most_bytes(&spec->instances[0]), HOST_FILE_MAX_BYTES);
	free(config);
	spec_free(spec);
	ck_assert_ptr_null(parse(more, strlen(more), &errors));
	ck_assert_uint_eq(errors.n, 1);
	ck_assert_str_eq(errors.v[0].path, "apiLoadBalancers[0]");
	ck_assert_str_eq(errors.v[0].message,
			 "its HAProxy config may take 5043 KiB, and at most 4096 are allowed: give it fewer "
			 "servers by name, or less extraConfig");
	spec_errors_clear(&errors);
	free(most);
	free(more);
}
END_TEST

START_TEST(a_file_of_aliases_ends_soon)
{
	char *aliases = repeat("*a,", SPEC_MAX_BYTES / 3 - 20);
	char *text = xasprintf("x: [&a {b: c},%s]", aliases);

	refused_soon(text, strlen(text), "too many values");
	free(text);
	free(aliases);
}
END_TEST

START_TEST(aliases_that_double_end_soon)
{
	char *text = xstrdup("a0: &a0 {k: v}\n");

	for (int i = 1; i < 60; i++) {
		char *more = xasprintf("%sa%d: &a%d {x: *a%d, y: *a%d}\n", text, i, i, i - 1, i - 1);

		free(text);
		text = more;
	}
	refused_soon(text, strlen(text), "too many values");
	free(text);
}
END_TEST

/* Each alias is shallow, what it stands for is not. */
START_TEST(aliases_do_not_nest_deeper_than_text)
{
	char *text = xstrdup("a0: &a0 [x]\n");

	for (int i = 1; i <= 64; i++) {
		char *more = xasprintf("%sa%d: &a%d [*a%d]\n", text, i, i, i - 1);

		free(text);
		text = more;
	}
	refused(text, strlen(text), "prod.yaml:64:12: nested too deeply");
	free(text);
}
END_TEST

/* A short file whose instances share something long. */
START_TEST(what_instances_share_is_bounded)
{
	char *instances = repeat("- {}\n", 200000);
	char *items = repeat("[", 0);
	char *text;

	for (int i = 0; i < 200; i++) {
		char *more = xasprintf("%s- 10.0.%d.%d:6443\n", items, i / 250, i % 250 + 1);

		free(items);
		items = more;
	}
	text = xasprintf("bindAddress: '*'\nservers:\n%sapiLoadBalancers:\n%s", items, instances);
	refused_soon(
		text, strlen(text),
		"too large: the values that instances share may take at most 64 MiB and 250000 list items");
	free(text);
	free(items);
	free(instances);
}
END_TEST

static char *fleet_text(int n)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs("ssh: {password: x, user: core}\nservers: [10.0.0.1:6443, 10.0.0.2:6443, 10.0.0.3:6443]\n"
	      "bindAddress: 127.0.0.1:6443\napiLoadBalancers:\n",
	      out);
	for (int i = 0; i < n; i++)
		fprintf(out, "- host: {ssh: {address: 10.%d.%d.%d}}\n", i >> 16, i >> 8 & 255, i & 255);
	fclose(out);
	return text;
}

START_TEST(ten_thousand_hosts_are_read_at_once)
{
	char *text = fleet_text(10000);
	struct spec_errors errors = {0};
	double start = seconds();
	struct spec *specs[2];

	specs[0] = spec_parse("a.yaml", text, strlen(text), &no_context, &errors);
	specs[1] = spec_parse("b.yaml", text, strlen(text), &no_context, &errors);
	ck_assert_uint_eq(errors.n, 0);
	ck_assert_uint_eq(specs[0]->instances_n, 10000);
	ck_assert_str_eq(specs[0]->instances[9999].id, "a/10.0.39.15/api-loadbalancer-haproxy");
	/* name, path and bind of each would be 30000: it stops with the balancer that has the hundredth */
	ck_assert_uint_eq(spec_check_fleet((const struct spec *const *)specs, 2, &errors), errors.n);
	ck_assert_uint_ge(errors.n, SPEC_MAX_ERRORS);
	ck_assert_uint_lt(errors.n, SPEC_MAX_ERRORS + 3);
	ck_assert_str_eq(errors.v[0].file, "b.yaml");
	ck_assert_double_lt(seconds() - start, 120);
	spec_errors_clear(&errors);
	spec_free(specs[0]);
	spec_free(specs[1]);
	free(text);
}
END_TEST

/* Hosts. */

static struct spec *parse_good(const char *text)
{
	struct spec_errors errors = {0};
	struct spec *spec = parse(text, strlen(text), &errors);

	if (!spec)
		ck_abort_msg("%s: %s", errors.v[0].path, errors.v[0].message);
	return spec;
}

static const char *const hosts[] = {
	"direct: {}",
	"ssh: {address: node1, password: x}",
	"ssh: {address: '[2001:db8::1]', port: 2222, user: core, passwordFile: /p, connectionTimeout: 1ns, "
	"retryTimeout: 90m, retryInterval: 250ms, hostKeyChecking: strict}",
	"ssh: {address: direct, password: \"\\x7f\\u2028 \\\" \\\\ \\u00e4\\U0001f600\"}",
	"ssh: {address: node1, privateKeyFile: /k, hostKey: "
	"SHA256:JGLOp3Zaa4cCkTl6D1wGBkUJNQfDwUwSOpXTLCk4vEA, "
	"jump: {address: j1, password: y, hostKeyChecking: off, jump: {address: j2, port: 1, password: z}}}",
};

START_TEST(a_host_survives_the_store_and_a_copy)
{
	char *text = xasprintf("%s  host: {%s}\n", ONE, hosts[_i]);
	struct spec *spec = parse_good(text);
	const struct spec_host *host = &spec->instances[0].host;
	char *json = spec_host_to_json(host);
	struct spec_host restored, copy;
	struct err err;

	ck_assert_int_eq(spec_host_from_json(&restored, json, &err), 0);
	spec_host_copy(&copy, host);
	spec_free(spec);
	ck_assert(spec_host_equal(&restored, &copy));
	ck_assert_str_eq(restored.url, copy.url);
	ck_assert_str_eq(restored.label, copy.label);
	spec_host_clear(&restored);
	spec_host_clear(&copy);
	free(json);
	free(text);
}
END_TEST

static const char *const instances[] = {
	"servers: ['a:1']\n  bindAddress: 127.0.0.1\n  name: lb",
	"servers: ['a:1']\n  image: haproxy:3.0\n  hostConfigPath: /etc/x/y.cfg\n  bindAddress: [127.0.0.1, "
	"'[::1]:7443']",
	"servers: [a.example.com:6443, '[2001:db8::1]:6444']\n  bindAddress: '*'\n  timeouts: {connect: 1s, "
	"drain: 7m}",
	"servers: ['a:1']\n  bindAddress: 127.0.0.1\n  runtime: {docker: {host: unix:///run/x.sock}}",
};

START_TEST(an_instance_survives_the_store)
{
	char *text = xasprintf("apiLoadBalancers:\n- host: {ssh: {address: a, password: x}}\n  %s\n",
			       instances[_i]);
	struct spec *spec = parse_good(text);
	const struct spec_instance *instance = &spec->instances[0];
	char *json = spec_instance_to_json(instance);
	struct spec_instance restored;
	struct err err;

	ck_assert_msg(spec_instance_from_json(&restored, &instance->host, json, &err) == 0, "%s",
		      err.message);
	ck_assert(spec_instance_equal(&restored, instance));
	ck_assert_str_eq(restored.id, instance->id);
	ck_assert_msg(!strstr(json, "password"), "its host is stored for itself: %s", json);
	spec_instance_clear(&restored);
	spec_free(spec);
	free(json);
	free(text);
}
END_TEST

static const struct {
	const char *json, *why;
} bad_instances[] = {
	{"x", "not a JSON object"},
	{"{}", "id must be set"},
	{"{\"id\":\"a\"}", "at least one server must be set"},
	{"{\"id\":\"a\",\"servers\":\"x\"}", "servers must be array"},
	{"{\"id\":\"a\",\"servers\":[\"a:1\",\"b\"]}", "servers: must be HOST:PORT"},
	{"{\"id\":\"a\",\"servers\":[\"a:1\",5]}", "servers must be string"},
	{"{\"id\":\"a\",\"servers\":[\"a:1\"],\"bindAddress\":[\"::1\"],\"timeouts\":[]}",
	 "timeouts must be object"},
};

START_TEST(a_damaged_instance_is_an_error)
{
	const struct spec_host host = {.engine = SPEC_DEFAULT_ENGINE, .url = "direct", .label = "direct"};
	struct spec_instance instance;
	struct err err;

	ck_assert_int_eq(spec_instance_from_json(&instance, &host, bad_instances[_i].json, &err), -1);
	ck_assert_int_eq(err.kind, ERR_PERMANENT);
	ck_assert_msg(strstr(err.message, bad_instances[_i].why), "%s: %s", bad_instances[_i].json,
		      err.message);
	ck_assert_ptr_eq(strstr(err.message, "stored instance: "), err.message);
}
END_TEST

/* What a newer apilbd knows and an older one did not write. */
START_TEST(a_field_that_was_not_stored_has_its_default)
{
	const struct spec_host host = {.engine = SPEC_DEFAULT_ENGINE, .url = "direct", .label = "direct"};
	struct spec_instance instance;
	struct err err;

	ck_assert_int_eq(
		spec_instance_from_json(
			&instance, &host,
			"{\"id\":\"p/direct/x\",\"servers\":[\"a:1\"],\"bindAddress\":[\"127.0.0.1\"]}",
			&err),
		0);
	ck_assert_str_eq(instance.image, SPEC_DEFAULT_IMAGE);
	ck_assert_int_eq(instance.timeouts.connect_ms, 800);
	spec_instance_clear(&instance);
}
END_TEST

START_TEST(a_rollout_has_defaults)
{
	struct spec *spec = parse_good(ONE "  host: {direct: {}}\n");

	ck_assert_int_eq(spec->rollout.canary, 1);
	ck_assert_int_eq(spec->rollout.parallel.n, 25);
	ck_assert(spec->rollout.parallel.percent);
	ck_assert_int_eq(spec->rollout.settle_ms, 5000);
	ck_assert_int_eq(spec->rollout.on_failure, ROLLOUT_HALT);
	spec_free(spec);
}
END_TEST

START_TEST(a_host_differs_when_anything_does)
{
	static const char *const others[] = {
		"direct: {}",
		"ssh: {address: b, password: x}",
		"ssh: {address: a, password: y}",
		"ssh: {address: a, password: x, port: 23}",
		"ssh: {address: a, password: x, user: core}",
		"ssh: {address: a, passwordFile: /x}",
		"ssh: {address: a, password: x, privateKeyFile: /x}",
		"ssh: {address: a, password: x, connectionTimeout: 1s}",
		"ssh: {address: a, password: x, retryTimeout: 1s}",
		"ssh: {address: a, password: x, retryInterval: 2s}",
		"ssh: {address: a, password: x, hostKey: SHA256:JGLOp3Zaa4cCkTl6D1wGBkUJNQfDwUwSOpXTLCk4vEA}",
		"ssh: {address: a, password: x, hostKeyChecking: off}",
		"ssh: {address: a, password: x, jump: {address: j, password: x}}",
		"ssh: {address: a, password: x}}\n  runtime: {docker: {host: unix:///x}",
	};
	struct spec *one = parse_good(ONE "  host: {ssh: {address: a, password: x}}\n");

	for (size_t i = 0; i < LENGTH(others); i++) {
		char *text = xasprintf("%s  host: {%s}\n", ONE, others[i]);
		struct spec *other = parse_good(text);

		ck_assert_msg(!spec_host_equal(&one->instances[0].host, &other->instances[0].host), "%s",
			      others[i]);
		spec_free(other);
		free(text);
	}
	spec_free(one);
}
END_TEST

static const struct {
	const char *json, *why;
} bad_json[] = {
	{"", "not a JSON object"},
	{"{", "not a JSON object"},
	{"[]", "not a JSON object"},
	{"{}", "engine must be set"},
	{"{\"engine\":5}", "engine must be string"},
	{"{\"engine\":\"tcp://x\"}", "engine: must be \"unix://\""},
	{"{\"engine\":\"unix:///x\",\"ssh\":\"x\"}", "ssh must be object"},
	{"{\"engine\":\"unix:///x\",\"ssh\":{}}", "address must be set"},
	{"{\"engine\":\"unix:///x\",\"ssh\":{\"address\":\"a\",\"port\":\"x\"}}",
	 "port: must be a whole number"},
};

START_TEST(a_damaged_store_is_an_error)
{
	struct spec_host host;
	struct err err;

	ck_assert_int_eq(spec_host_from_json(&host, bad_json[_i].json, &err), -1);
	ck_assert_int_eq(err.kind, ERR_PERMANENT);
	ck_assert_msg(strstr(err.message, bad_json[_i].why), "%s: %s", bad_json[_i].json, err.message);
	ck_assert_ptr_eq(strstr(err.message, "stored host: "), err.message);
}
END_TEST

START_TEST(an_instance_outlives_its_spec)
{
	struct spec *spec = parse_good(ONE "  host: {ssh: {address: a, password: x}}\n");
	struct spec_instance copy;

	spec_instance_copy(&copy, &spec->instances[0]);
	spec_free(spec);
	ck_assert_str_eq(copy.id, "prod/a/api-loadbalancer-haproxy");
	ck_assert_str_eq(copy.servers[0].host, "10.0.0.1");
	ck_assert_str_eq(copy.binds[0].ip, "127.0.0.1");
	ck_assert_str_eq(copy.host.ssh->password, "x");
	ck_assert_str_eq(copy.host.engine, SPEC_DEFAULT_ENGINE);
	spec_instance_clear(&copy);
	/* clearing twice, or nothing, is harmless */
	spec_instance_clear(&copy);
	spec_free(NULL);
}
END_TEST

/* The example that is installed is a spec. */
START_TEST(the_example_is_valid)
{
	struct spec_errors errors = {0};
	char *text = xcalloc(1, 65536);
	FILE *file = fopen(TOP_SRCDIR "/etc/example.yaml", "r");
	struct spec *spec;

	ck_assert(file && fread(text, 1, 65535, file) > 0);
	fclose(file);
	spec = spec_parse("example.yaml", text, strlen(text), &no_context, &errors);
	for (size_t i = 0; i < errors.n; i++)
		ck_abort_msg("%s: %s", errors.v[i].path, errors.v[i].message);
	ck_assert_uint_ge(spec->instances_n, 2);
	spec_free(spec);
	free(text);
}
END_TEST

/* "key:" in the example, ".It Cm key" in the manual. */
static void explains(const char *file, const char *before, const char *after,
		     const struct spec_fields *fields)
{
	char *path = xasprintf(TOP_SRCDIR "/%s", file);
	FILE *in = fopen(path, "r");
	char *text = xcalloc(1, 262144);

	ck_assert_msg(in && fread(text, 1, 262143, in) > 0, "%s", path);
	fclose(in);
	for (size_t i = 0; i < fields->n; i++) {
		char *words = xasprintf("%s%s%s", before, fields->v[i].key, after);

		ck_assert_msg(strstr(text, words), "%s does not explain %s", file, fields->v[i].key);
		free(words);
		if (fields->v[i].type->shape == SHAPE_GROUP)
			explains(file, before, after, fields->v[i].fields);
	}
	free(text);
	free(path);
}

START_TEST(every_field_is_documented)
{
	static const struct spec_fields *const tables[] = {&spec_document_fields, &spec_instance_fields,
							   &spec_ssh_fields, &spec_rollout_fields};

	for (size_t i = 0; i < LENGTH(tables); i++) {
		explains("man/apilb-spec.5", ".It Cm ", "", tables[i]);
		explains("etc/example.yaml", "", ":", tables[i]);
	}
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	suite_add_tcase(suite, tcase);
	return tcase;
}

static void add_files(Suite *suite)
{
	TCase *tcase = add_case(suite, "files");

	tcase_add_test(tcase, a_spec_is_named_after_its_file);
	tcase_add_test(tcase, an_error_says_where);
	tcase_add_loop_test(tcase, what_is_no_document_is_refused, 0, LENGTH(broken));
	tcase_add_test(tcase, a_nul_byte_does_not_end_the_text);
	tcase_add_test(tcase, no_message_tells_a_secret);
	tcase_add_test(tcase, errors_come_in_the_order_of_the_text_and_are_bounded);
	tcase_add_test(tcase, a_path_is_one_line);
	tcase_add_test(tcase, the_example_is_valid);
	tcase_add_test(tcase, every_field_is_documented);
}

static void add_limits(Suite *suite)
{
	TCase *tcase = add_case(suite, "limits");

	/* Under valgrind, that is, which leaves them out by this tag. */
	tcase_set_tags(tcase, "long");

	tcase_add_test(tcase, four_mebibytes_are_allowed_and_no_more);
	tcase_add_loop_test(tcase, a_hostile_file_ends_soon, 0, LENGTH(hostile));
	tcase_add_test(tcase, more_servers_than_can_be_watched_are_an_error);
	tcase_add_test(tcase, the_largest_config_is_one_that_a_host_may_have);
	tcase_add_test(tcase, a_file_of_aliases_ends_soon);
	tcase_add_test(tcase, aliases_that_double_end_soon);
	tcase_add_test(tcase, aliases_do_not_nest_deeper_than_text);
	tcase_add_test(tcase, what_instances_share_is_bounded);
	tcase_add_test(tcase, ten_thousand_hosts_are_read_at_once);
}

static void add_hosts(Suite *suite)
{
	TCase *tcase = add_case(suite, "hosts");

	tcase_add_loop_test(tcase, a_host_survives_the_store_and_a_copy, 0, LENGTH(hosts));
	tcase_add_test(tcase, a_host_differs_when_anything_does);
	tcase_add_loop_test(tcase, a_damaged_store_is_an_error, 0, LENGTH(bad_json));
	tcase_add_loop_test(tcase, an_instance_survives_the_store, 0, LENGTH(instances));
	tcase_add_loop_test(tcase, a_damaged_instance_is_an_error, 0, LENGTH(bad_instances));
	tcase_add_test(tcase, a_field_that_was_not_stored_has_its_default);
	tcase_add_test(tcase, a_rollout_has_defaults);
	tcase_add_test(tcase, an_instance_outlives_its_spec);
}

int main(void)
{
	Suite *suite = suite_create("spec");

	add_files(suite);
	add_limits(suite);
	add_hosts(suite);
	return suite_run(suite);
}
