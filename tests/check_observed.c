/* What an engine answers, as values: whatever any field of a reply is, nothing breaks. */
#include <check.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "daemon/core/plan/difference.h"
#include "daemon/core/plan/observed.h"
#include "tests/lies.h"
#include "tests/suite.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char create_text[] =
	"{\"Image\": \"haproxy:3\", \"User\": \"65534\", \"Cmd\": [\"haproxy\", \"-f\", \"/a\"], "
	"\"StopSignal\": \"SIGUSR1\","
	" \"HostConfig\": {\"NetworkMode\": \"host\", \"RestartPolicy\": {\"Name\": \"unless-stopped\"},"
	" \"Binds\": [\"/etc/haproxy:/etc/haproxy:ro\", \"/var/lib/apilb/lb:/run/lb\"]}}";

static const char inspect_text[] =
	"{\"Id\": \"" ID "\", \"Name\": \"/lb\", \"Image\": \"sha256:" ID "\","
	" \"State\": {\"Status\": \"running\", \"ExitCode\": 7, \"StartedAt\": \"2026-01-01T00:00:00Z\"},"
	" \"Config\": {\"Image\": \"haproxy:3\", \"User\": \"65534\", \"StopSignal\": \"SIGUSR1\","
	"  \"Cmd\": [\"haproxy\", \"-f\", \"/a\"], \"Entrypoint\": [\"/entry\"],"
	"  \"Env\": [\"PATH=/bin\", \"APILB_TOKEN=0a1b2c3d\"],"
	"  \"Labels\": {\"io.apilb.owner\": \"apilb\", \"io.apilb.spec\": \"prod\", \"io.apilb.instance\": "
	"\"prod/h/lb\"}},"
	" \"HostConfig\": {\"NetworkMode\": \"host\", \"RestartPolicy\": {\"Name\": \"unless-stopped\"},"
	"  \"Memory\": 0, \"NanoCpus\": 0, \"Privileged\": false, \"CpusetCpus\": \"\"},"
	" \"Mounts\": [{\"Type\": \"bind\", \"Source\": \"/etc/haproxy\", \"Destination\": \"/etc/haproxy\", "
	"\"RW\": false},"
	"  {\"Type\": \"bind\", \"Source\": \"/var/lib/apilb/lb\", \"Destination\": \"/run/lb\", \"RW\": "
	"true}]}";

static const char image_text[] =
	"{\"Id\": \"sha256:" ID "\", \"Config\": {\"Env\": [\"PATH=/bin\"], \"Entrypoint\": [\"/entry\"]}}";

static const char entry_text[] =
	"{\"Id\": \"" ID "\", \"Names\": [\"/lb\"], \"Image\": \"haproxy:3\", \"State\": \"exited\","
	" \"ImageID\": \"sha256:" ID "\", \"Mounts\": [{\"Destination\": \"/config\"}],"
	" \"Labels\": {\"io.apilb.owner\": \"apilb\", \"io.apilb.spec\": \"prod\", \"io.apilb.role\": "
	"\"helper\", \"io.apilb.instance\": \"prod/h/lb\"}}";

static struct json_object *parse(const char *text)
{
	static const struct json_limits no_limits = {.bytes = 0};
	struct err err = {.kind = ERR_NONE};
	struct json_object *json = json_parse(text, strlen(text), &no_limits, &err);

	ck_assert_msg(json != NULL, "%s: %s", text, err.message);
	return json;
}

/* The same with ' for ". */
static struct json_object *parse_plain(char *text)
{
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	return parse(text);
}

static struct json_object *changed(const char *reply, size_t n, const char *lie)
{
	char *text = lie_about(reply, n, lie);
	struct json_object *json = text ? parse(text) : NULL;

	free(text);
	return json;
}

/* All that is done with what an engine answers. */
static void use(struct json_object *inspect, struct json_object *image, struct json_object *entry)
{
	struct json_object *create = parse(create_text);
	struct err err = {.kind = ERR_NONE};
	struct observed_container *seen = observed_from_inspect(inspect, &err);
	struct observed_container *listed = observed_from_list(entry);

	ck_assert_int_eq(seen == NULL, err.kind != ERR_NONE);
	if (seen) {
		ck_assert_uint_ge(strlen(seen->id), 12);
		ck_assert_ptr_null(strchr(seen->name, '/'));
		ck_assert_ptr_null(strchr(seen->token, '/'));
		free(difference_from_request(seen, create));
		free(difference_from_image(seen, image));
		difference_mounts_as(seen, create);
		observed_runs_haproxy(seen);
	}
	if (listed)
		ck_assert(*listed->id && *listed->name);
	observed_container_free(seen);
	observed_container_free(listed);
	json_object_put(create);
}

static const char *const lies[] = {
	LIE_ABSENT,
	LIE_TWICE,
	"null",
	"true",
	"0",
	"-1",
	"99999999999999999999999999",
	"1e999",
	"\"\"",
	"\"a\\u0000b\"",
	"\"../../../run/docker.sock?\\n\"",
	"[]",
	"{}",
	"[null]",
	"[[[{}]], 1, null, \"APILB_TOKEN=../../x\"]",
	"{\"0\": null, \"Name\": []}",
};

START_TEST(any_field_is_anything)
{
	size_t lied = 0;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		for (size_t n = 1; n < 60; n++) {
			struct json_object *inspect = changed(inspect_text, n, lies[i]);
			struct json_object *image = changed(image_text, n, lies[i]);
			struct json_object *entry = changed(entry_text, n, lies[i]);
			struct json_object *good = parse(inspect_text);

			use(inspect ? inspect : good, image, entry);
			lied += inspect != NULL;
			use(good, image, entry);
			json_object_put(good);
			json_object_put(inspect);
			json_object_put(image);
			json_object_put(entry);
		}
	}
	ck_assert_uint_gt(lied, 30 * sizeof(lies) / sizeof(lies[0]));
}
END_TEST

/* What a lie is read as. */
START_TEST(lies_are_not_believed)
{
	static const struct {
		const char *text, *token, *error;
	} rows[] = {
		{"{\"Id\": \"" ID "\", \"Name\": \"/lb\", \"State\": {\"Status\": \"running\"},"
		 " \"Config\": {\"Env\": [null, 1, \"APILB_TOKEN=0a1b\", \"PATH=/bin\", \"APILB_TOKEN=x\"]}}",
		 "0a1b", NULL},
		{"{\"Id\": \"" ID "\", \"Name\": \"/lb\", \"State\": {\"Status\": \"running\"},"
		 " \"Config\": {\"Env\": [\"APILB_TOKEN=../../x\"]}}",
		 "", NULL},
		{"{\"Id\": \"" ID "\", \"Name\": \"/lb\", \"State\": {\"Status\": \"running\"},"
		 " \"Config\": {\"Env\": [\"APILB_TOKEN=0123456789abcdef\"]}}",
		 "", NULL},
		{"{\"Id\": \"a/b/../c/d/e/f\", \"Name\": \"/lb\", \"State\": {\"Status\": \"running\"}}",
		 NULL, "not a container"},
		{"{\"Id\": \"" ID "\", \"Name\": \"/a/b\", \"State\": {\"Status\": \"running\"}}", NULL,
		 "not a container"},
		{"{\"Id\": \"" ID "\", \"Name\": [\"/lb\"], \"State\": {\"Status\": \"running\"}}", NULL,
		 "not a container"},
		{"{\"Id\": \"" ID "\", \"Name\": \"/lb\", \"State\": \"running\"}", NULL, "not a container"},
		{"[]", NULL, "not a container"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json_object *json = parse(rows[i].text);
		struct err err = {.kind = ERR_NONE};
		struct observed_container *container = observed_from_inspect(json, &err);

		ck_assert_msg((container == NULL) == (rows[i].error != NULL), "%zu: %s", i, err.message);
		if (container)
			ck_assert_str_eq(container->token, rows[i].token);
		else
			ck_assert_msg(strstr(err.message, rows[i].error), "%zu: %s", i, err.message);
		observed_container_free(container);
		json_object_put(json);
	}
}
END_TEST

START_TEST(an_image_of_nulls)
{
	struct json_object *inspect = parse(inspect_text);
	struct json_object *image = parse("{\"Id\": \"sha256:" ID
					  "\", \"Config\": {\"Env\": [null], \"Entrypoint\": [\"/entry\"]}}");
	struct err err;
	struct observed_container *container = observed_from_inspect(inspect, &err);
	char *difference = difference_from_image(container, image);

	ck_assert_str_eq(difference, "environment variable PATH was added");
	free(difference);
	observed_container_free(container);
	json_object_put(image);
	json_object_put(inspect);
}
END_TEST

/* What is kept of a host, and shown to people, is as long as it may be, not as the host likes. */
START_TEST(long_texts)
{
	char *long_text = xcalloc(1, 100001), *text;
	struct json_object *json, *create = parse(create_text);
	struct observed_container *container;
	struct err err;

	memset(long_text, 'x', 100000);
	text = xasprintf("{\"Id\": \"" ID
			 "\", \"Name\": \"/lb\", \"State\": {\"Status\": \"running\", \"StartedAt\": "
			 "\"%s\"}, \"Config\": {\"Image\": \"haproxy:3\", \"User\": \"%s\", \"Labels\": "
			 "{\"io.apilb.owner\": \"%s\"}}}",
			 long_text, long_text, long_text);
	json = parse(text);
	container = observed_from_inspect(json, &err);
	ck_assert_ptr_nonnull(container);
	ck_assert_ptr_null(container->owner);
	ck_assert_ptr_null(container->started_at);
	free(text);
	text = difference_from_request(container, create);
	ck_assert_msg(strncmp(text, "user is \"xxx", 12) == 0 && strlen(text) < 500, "%.100s", text);
	free(text);
	free(long_text);
	observed_container_free(container);
	json_object_put(create);
	json_object_put(json);
}
END_TEST

/* Labels are handed on by images, and copied; what is mounted is not. */
START_TEST(what_is_ours_mounts_what_is_ours)
{
	static const struct {
		const char *labels, *mounts;
		bool ours;
	} rows[] = {
#define OF_LB "'io.apilb.instance': 'prod/h/lb'"
#define AT(path) "[{'Destination': '/etc/x'}, {'Destination': '" path "'}]"
		{OF_LB, AT("/var/lib/apilb/lb"), true},
		{OF_LB, AT("/var/lib/apilb/lb2"), false},
		{OF_LB, AT("/var/lib/apilb"), false},
		{OF_LB, "[]", false},
		/* Not told. */
		{OF_LB, "null", true},
		{"'io.apilb.instance': 'prod/h/'", "null", false},
		{"'x': 'y'", "null", false},
		{OF_LB, "[null, {'Destination': null}, 7]", false},
		{OF_LB, AT("/config"), false},
		{OF_LB ", 'io.apilb.role': 'helper'", AT("/config"), true},
		{OF_LB ", 'io.apilb.role': 'helper'", AT("/var/lib/apilb/lb"), true},
		{OF_LB ", 'io.apilb.role': 'helper'", AT("/data"), false},
		{"'io.apilb.role': 'helper'", AT("/config"), false},
		{"'io.apilb.instance': 'lb'", AT("/var/lib/apilb/lb"), false},
		{"'io.apilb.instance': 'prod/h/'", AT("/var/lib/apilb/"), false},
		{"'x': 'y'", AT("/var/lib/apilb/lb"), false},
#undef AT
#undef OF_LB
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text =
			xasprintf("{'Id': '" ID "', 'Names': ['/x'], 'Labels': {'io.apilb.owner': 'apilb', "
				  "%s}, 'Mounts': %s}",
				  rows[i].labels, rows[i].mounts);
		struct json_object *entry;
		struct observed_container *container;

		entry = parse_plain(text);
		container = observed_from_list(entry);
		ck_assert_ptr_nonnull(container);
		ck_assert_msg(container->mounts_ours == rows[i].ours, "%s", text);
		observed_container_free(container);
		json_object_put(entry);
		free(text);
	}
}
END_TEST

START_TEST(a_copy_has_neither_mount_nor_name_of_ours)
{
	static const struct {
		const char *name, *instance;
		bool mounts_ours, lookalike;
	} rows[] = {
		{"lb", "prod/h/lb", false, false},
		{"lb-apilb-next", "prod/h/lb", false, false},
		{"lb-apilb-helper", "prod/h/lb", false, false},
		{"debug", "prod/h/lb", false, true},
		{"debug", "prod/h/lb", true, false},
		{"debug", NULL, false, true},
		{"lb", "lb", false, true},
		/* Whatever its label says: it would be in the way of a successor of that balancer. */
		{"lb-apilb-next", "prod/h/other", false, false},
		{"lb-apilb-helper", "prod/h/other", false, false},
		/* The digits are its ID's: whatever its label says. */
		{"lb-apilb-old-01234567", "prod/h/lb", false, false},
		{"lb2-apilb-old-01234567", "prod/h/lb", false, false},
		{"lb-apilb-old-01234567", NULL, false, false},
		{"lb-apilb-old-01234568", "prod/h/lb", false, true},
		{"lb-apilb-old-01234568", "prod/h/lb", true, false},
		{"lb-apilb-old-0123456", "prod/h/lb", false, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct observed_container container = {.id = ID,
							     .name = (char *)rows[i].name,
							     .instance = (char *)rows[i].instance,
							     .mounts_ours = rows[i].mounts_ours};

		ck_assert_msg(observed_is_lookalike(&container) == rows[i].lookalike, "%zu: %s", i,
			      rows[i].name);
	}
}
END_TEST

START_TEST(labels_are_inherited_when_the_image_has_them)
{
	static const struct {
		const char *instance, *sha256, *labels;
		bool inherited;
	} rows[] = {
		{"p/h/lb", "01", "{'io.apilb.instance': 'p/h/lb', 'io.apilb.container-sha256': '01'}", true},
		{"p/h/lb", "02", "{'io.apilb.instance': 'p/h/lb', 'io.apilb.container-sha256': '01'}", false},
		{"p/h/lb2", "01", "{'io.apilb.instance': 'p/h/lb', 'io.apilb.container-sha256': '01'}",
		 false},
		{"p/h/lb", NULL, "{'io.apilb.instance': 'p/h/lb', 'io.apilb.role': 'helper'}", true},
		{"p/h/lb", "01", "{'io.apilb.instance': 'p/h/lb'}", false},
		{"p/h/lb", "01", "{'maintainer': 'x'}", false},
		{"p/h/lb", "01", "null", false},
		{"p/h/lb", "01", "[1]", false},
		{NULL, NULL, "{}", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct observed_container container = {.instance = (char *)rows[i].instance,
							     .container_sha256 = (char *)rows[i].sha256};
		char *text = xasprintf("{'Config': {'Labels': %s}}", rows[i].labels);
		struct json_object *image;

		image = parse_plain(text);
		ck_assert_msg(observed_inherits_labels(&container, image) == rows[i].inherited, "%zu: %s", i,
			      text);
		json_object_put(image);
		free(text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("observed");
	TCase *tests = tcase_create("observed");

	tcase_add_test(tests, any_field_is_anything);
	tcase_add_test(tests, lies_are_not_believed);
	tcase_add_test(tests, an_image_of_nulls);
	tcase_add_test(tests, long_texts);
	tcase_add_test(tests, what_is_ours_mounts_what_is_ours);
	tcase_add_test(tests, a_copy_has_neither_mount_nor_name_of_ours);
	tcase_add_test(tests, labels_are_inherited_when_the_image_has_them);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
