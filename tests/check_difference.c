#include "daemon/core/plan/difference.h"

#include <check.h>
#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/names.h"
#include "daemon/core/memory/replaced.h"
#include "daemon/core/plan/observed.h"
#include "tests/suite.h"

/* Single quotes for double ones. */
static struct json_object *json(const char *text)
{
	char *copy = xstrdup(text);
	struct json_object *object;

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	object = json_tokener_parse(copy);
	ck_assert_msg(object != NULL, "not JSON: %s", text);
	free(copy);
	return object;
}

static struct observed_container *container_of(struct json_object *inspect)
{
	struct observed_container *container;
	struct err err;

	container = observed_from_inspect(inspect, &err);
	ck_assert_msg(container != NULL, "%s", err.message);
	json_object_put(inspect);
	return container;
}

static void assert_is(char *is, const char *expected, const char *what)
{
	ck_assert_msg((is && expected) ? strcmp(is, expected) == 0 : is == expected, "%s: \"%s\", not \"%s\"",
		      what, is ? is : "(nothing)", expected ? expected : "(nothing)");
	free(is);
}

/* What we ask for, and what engines say of it. */

static const char *create =
	"{'Image': 'haproxy:3.0', 'User': '65534', 'Cmd': ['haproxy', '-W'], 'StopSignal': 'SIGUSR1',"
	" 'HostConfig': {'NetworkMode': 'host', 'RestartPolicy': {'Name': 'unless-stopped'}, 'CapDrop': "
	"['ALL'],"
	" 'Binds': ['/etc/haproxy:/usr/local/etc/haproxy:ro', '/var/lib/apilb/lb:/var/lib/apilb/lb']}}";

#define PARTS                                                                                              \
	"'Id': '0123456789ab', 'Name': '/lb', 'State': {'Status': 'running'}, 'Image': 'sha256:01', "      \
	"'Mounts': ["                                                                                      \
	"{'Type': 'bind', 'Source': '/var/lib/apilb/lb', 'Destination': '/var/lib/apilb/lb', 'RW': true}," \
	"{'Type': 'bind', 'Source': '/etc/haproxy', 'Destination': '/usr/local/etc/haproxy', 'RW': false}]"
#define LABELS "'Labels': {'" LABEL_OWNER "': 'a', '" LABEL_SPEC "': 's', '" LABEL_INSTANCE "': 'i'}"

/* Docker 20.10 to 28. */
static const char *docker =
	"{" PARTS ", 'Config': {'Image': 'haproxy:3.0', 'User': '65534', 'Cmd': ['haproxy', '-W'],"
	" 'Env': ['APILB_TOKEN=01234567', 'PATH=/bin'], 'StopSignal': 'SIGUSR1', " LABELS "},"
	" 'HostConfig': {'NetworkMode': 'host', 'RestartPolicy': {'Name': 'unless-stopped', "
	"'MaximumRetryCount': 0},"
	" 'CapAdd': null, 'CapDrop': ['ALL'], 'ExtraHosts': null, 'Privileged': false, 'Memory': 0, "
	"'NanoCpus': 0,"
	" 'CpuQuota': 0, 'CpusetCpus': ''}}";

/* Podman 4.3, all that it says otherwise. */
static const char *podman =
	"{" PARTS ", 'Config': {'Image': 'docker.io/library/haproxy:3.0', 'User': '65534',"
	" 'Cmd': ['haproxy', '-W'], 'StopSignal': '10', 'StopTimeout': 0, 'Hostname': 'h1', 'WorkingDir': "
	"'/',"
	" 'Env': ['PATH=/bin', 'TERM=xterm', 'container=podman', 'APILB_TOKEN=01234567', 'HOME=/', "
	"'HOSTNAME=h1'],"
	" " LABELS "},"
	" 'HostConfig': {'NetworkMode': 'host', 'RestartPolicy': {'Name': 'unless-stopped', "
	"'MaximumRetryCount': 0},"
	" 'Binds': ['/etc/haproxy:/usr/local/etc/haproxy:ro,rprivate,rbind'], 'CapAdd': [], 'CapDrop': "
	"['CHOWN'],"
	" 'ExtraHosts': [], 'Privileged': false, 'Memory': 0, 'NanoCpus': 0, 'CpuQuota': 0, 'CpusetCpus': '',"
	" 'IpcMode': 'shareable', 'PidMode': 'private', 'Ulimits': [{'Name': 'RLIMIT_NPROC', 'Hard': 1}]}}";

/* Laid over what an engine says: a value at a pointer. NULL: nothing. */
static char *difference(const char *engine, bool known, const char *pointer, const char *value)
{
	struct json_object *inspect = json(engine), *request = json(create);
	struct observed_container *container;
	char *is;

	if (pointer)
		ck_assert_int_eq(json_pointer_set(&inspect, pointer, value ? json(value) : NULL), 0);
	container = container_of(inspect);
	container->known = known;
	is = difference_from_request(container, request);
	observed_container_free(container);
	json_object_put(request);
	return is;
}

START_TEST(what_an_engine_says_in_its_own_form_is_no_difference)
{
	assert_is(difference(docker, false, NULL, NULL), NULL, "Docker");
	assert_is(difference(podman, false, NULL, NULL), NULL, "Podman");
	assert_is(difference(podman, true, NULL, NULL), NULL, "Podman, known");
}
END_TEST

struct change {
	const char *pointer, *value;
	const char *difference;
};

static const struct change changed[] = {
	{"/Config/User", "'0'", "user is \"0\", wanted \"65534\""},
	{"/Config/User", NULL, "user is unset, wanted \"65534\""},
	{"/Config/Cmd", "['sh']", "command is [\"sh\"], wanted [\"haproxy\",\"-W\"]"},
	{"/Config/Cmd", "'haproxy -W'", "command is \"haproxy -W\", wanted [\"haproxy\",\"-W\"]"},
	{"/Config/StopSignal", "'15'", "stop signal is \"15\", wanted \"SIGUSR1\""},
	{"/Config/StopSignal", "15", "stop signal is 15, wanted \"SIGUSR1\""},
	{"/Config/StopSignal", "'SIGTERM'", "stop signal is \"SIGTERM\", wanted \"SIGUSR1\""},
	{"/Config/StopSignal", "''", "stop signal is \"\", wanted \"SIGUSR1\""},
	{"/Config/StopSignal", NULL, "stop signal is unset, wanted \"SIGUSR1\""},
	{"/Config/StopSignal", "{}", "stop signal is {}, wanted \"SIGUSR1\""},
	{"/Config/StopSignal", "10", NULL},
	{"/Config/StopSignal", "'USR1'", NULL},
	{"/Config/Image", "'haproxy:3.1'", "image is haproxy:3.1, wanted haproxy:3.0"},
	{"/Config/Image", "'quay.io/haproxy:3.0'", "image is quay.io/haproxy:3.0, wanted haproxy:3.0"},
	{"/Config/Image", NULL, "image is unset, wanted haproxy:3.0"},
	{"/Config/Image", "'localhost/haproxy:3.0'", NULL},
	{"/Config/Labels", "{'" LABEL_OWNER "': 'a', '" LABEL_INSTANCE "': 'i'}",
	 "it has no label " LABEL_SPEC},
	{"/Config/Labels", "{'" LABEL_OWNER "': 'a', '" LABEL_SPEC "': 's'}",
	 "it has no label " LABEL_INSTANCE},
	{"/Config/Env", "['PATH=/bin']", "it has no APILB_TOKEN"},
	{"/Config/Env", NULL, "it has no APILB_TOKEN"},
	{"/HostConfig/NetworkMode", "'bridge'", "network mode is \"bridge\", wanted \"host\""},
	{"/HostConfig/RestartPolicy/Name", "'no'", "restart policy is \"no\", wanted \"unless-stopped\""},
	{"/HostConfig/RestartPolicy", NULL, "restart policy is unset, wanted \"unless-stopped\""},
	{"/HostConfig/Memory", "4096", "memory limit is 4096, wanted none"},
	{"/HostConfig/CpusetCpus", "'0'", "CPU set is \"0\", wanted none"},
	{"/HostConfig/Ulimits", "[{'Name': 'nofile', 'Hard': 5}]", NULL},
	{"/HostConfig/SecurityOpt", "['label=disable']", NULL},
	{"/Mounts", NULL, "it has no mounts"},
	{"/Mounts", "[]", "/etc/haproxy:/usr/local/etc/haproxy:ro is not mounted"},
	{"/Mounts/0/RW", "false", "/var/lib/apilb/lb:/var/lib/apilb/lb is not mounted"},
	{"/Mounts/1/Source", "'/etc/other'", "/etc/haproxy:/usr/local/etc/haproxy:ro is not mounted"},
	{"/Mounts/-", "{'Type': 'volume', 'Source': '/v/1', 'Destination': '/data', 'RW': true}", NULL},
};

START_TEST(what_somebody_has_changed_is_a_difference)
{
	const struct change *row = &changed[_i];

	for (int known = 0; known < 2; known++) {
		assert_is(difference(docker, known, row->pointer, row->value), row->difference, row->pointer);
		assert_is(difference(podman, known, row->pointer, row->value), row->difference, row->pointer);
	}
}
END_TEST

static const struct change laid_over[] = {
	{"/HostConfig/CapAdd", "['NET_ADMIN']", "list of added capabilities is [\"NET_ADMIN\"], wanted none"},
	{"/HostConfig/ExtraHosts", "['api:10.0.0.9']",
	 "list of added hosts is [\"api:10.0.0.9\"], wanted none"},
	{"/HostConfig/Privileged", "true", "privileged is true, wanted none"},
	{"/Mounts/-", "{'Type': 'bind', 'Source': '/', 'Destination': '/host', 'RW': true}",
	 "it has 3 bind mounts, wanted 2"},
};

START_TEST(what_was_laid_over_is_one_unless_we_made_it)
{
	const struct change *row = &laid_over[_i];

	assert_is(difference(docker, false, row->pointer, row->value), row->difference, row->pointer);
	assert_is(difference(podman, false, row->pointer, row->value), row->difference, row->pointer);
	/* In what we have made, that was the engine. */
	assert_is(difference(docker, true, row->pointer, row->value), NULL, row->pointer);
}
END_TEST

static const struct {
	const char *wanted, *is;
	bool same;
} images[] = {
	{"haproxy", "docker.io/library/haproxy:latest", true},
	{"haproxy:latest", "haproxy", true},
	{"haproxy", "haproxy:3.0", false},
	{"team/haproxy:1", "docker.io/team/haproxy:1", true},
	{"team/haproxy:1", "docker.io/library/haproxy:1", false},
	{"reg:5000/haproxy", "reg:5000/haproxy:latest", true},
	{"reg:5000/haproxy", "reg:5001/haproxy:latest", false},
	{"reg:5000/haproxy:1@sha256:0123", "reg:5000/haproxy@sha256:0123", true},
	{"haproxy@sha256:0123", "docker.io/library/haproxy:3.0@sha256:0123", true},
	{"haproxy@sha256:0123", "haproxy@sha256:0124", false},
	{"haproxy:3.0", "haproxy@sha256:0123", false},
};

START_TEST(an_image_by_any_of_its_names)
{
	struct json_object *request = json(create), *inspect = json(docker);
	struct observed_container *container;
	char *is;

	json_pointer_set(&request, "/Image", json_object_new_string(images[_i].wanted));
	json_pointer_set(&inspect, "/Config/Image", json_object_new_string(images[_i].is));
	container = container_of(inspect);
	is = difference_from_request(container, request);
	ck_assert_msg((is == NULL) == images[_i].same, "%s, %s: %s", images[_i].wanted, images[_i].is,
		      is ? is : "the same");
	free(is);
	observed_container_free(container);
	json_object_put(request);
}
END_TEST

/* Environment and entry point, of the container and of its image. */
static const struct {
	const char *is, *image;
	const char *difference;
} configs[] = {
	{"{'Env': ['APILB_TOKEN=1', 'PATH=/bin'], 'Entrypoint': ['a']}",
	 "{'Env': ['PATH=/bin'], 'Entrypoint': ['a']}", NULL},
	/* Podman, with images that say something and such that say nothing. */
	{"{'Env': ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm',"
	 " 'container=podman', 'APILB_TOKEN=1', 'HOME=/', 'HOSTNAME=h1', 'http_proxy=http://u:p@proxy']}",
	 "{}", NULL},
	{"{'Env': ['HOME=/data', 'HAPROXY_VERSION=3', 'PATH=/bin', 'container=podman', 'APILB_TOKEN=1']}",
	 "{'Env': ['PATH=/bin', 'HAPROXY_VERSION=3', 'HOME=/data']}", NULL},
	/* An image that was committed from a balancer has its token. */
	{"{'Env': ['PATH=/bin', 'APILB_TOKEN=2']}", "{'Env': ['PATH=/bin', 'APILB_TOKEN=1']}", NULL},
	{"{'Env': ['A=1', 'A=2', 'APILB_TOKEN=2']}", "{'Env': ['A=2']}", NULL},
	{"{'Env': ['A=2', 'A=1', 'APILB_TOKEN=2']}", "{'Env': ['A=2']}",
	 "environment variable A is not the image's"},
	{"{'Env': ['A', 'B=', 'APILB_TOKEN=2']}", "{'Env': ['B=', 'A']}", NULL},
	{"{'Env': null}", "{'Env': null}", NULL},
	{"{'Env': ['LD_PRELOAD=/tmp/evil.so']}", "{'Env': []}", "environment variable LD_PRELOAD was added"},
	{"{'Env': ['HOMER=1']}", "{}", "environment variable HOMER was added"},
	{"{'Env': ['PATH=/evil:/bin']}", "{}", "environment variable PATH was added"},
	{"{'Env': ['PATH=/evil:/bin']}", "{'Env': ['PATH=/bin']}",
	 "environment variable PATH is not the image's"},
	{"{'Env': ['HOME=/']}", "{'Env': ['HOME=/data']}", "environment variable HOME is not the image's"},
	{"{'Env': []}", "{'Env': ['PATH=/bin']}", "environment variable PATH is not the image's"},
	{"{'Env': {}}", "{'Env': 'PATH=/bin'}", NULL},
	{"{'Env': [1, null, 'A=1']}", "{'Env': [null, 2, 'A=1']}", NULL},
	/* Podman 4 splits it at spaces. */
	{"{'Entrypoint': ['sh', '-c', 'exec', 'it']}", "{'Entrypoint': ['sh', '-c', 'exec it']}", NULL},
	{"{'Entrypoint': []}", "{}", NULL},
	{"{'Entrypoint': ['']}", "{'Entrypoint': null}", NULL},
	{"{'Entrypoint': ['/evil']}", "{'Entrypoint': null}", "entry point is not the image's"},
	{"{'Entrypoint': null}", "{'Entrypoint': ['docker-entrypoint.sh']}",
	 "entry point is not the image's"},
};

START_TEST(what_is_the_images_or_the_engines_is_no_difference)
{
	struct json_object *inspect = json("{" PARTS "}"), *image = json("{}");
	struct observed_container *container;

	json_pointer_set(&inspect, "/Config", json(configs[_i].is));
	json_pointer_set(&image, "/Config", json(configs[_i].image));
	container = container_of(inspect);
	assert_is(difference_from_image(container, image), configs[_i].difference, configs[_i].is);
	observed_container_free(container);
	json_object_put(image);
}
END_TEST

START_TEST(a_replacement_for_the_same_reason_is_in_vain)
{
	char v1[SHA256_HEX_SIZE] = "01", v2[SHA256_HEX_SIZE] = "02";
	struct replaced replaced = {0}, copy;

	ck_assert(!replaced_is(&replaced, "c1"));
	ck_assert_ptr_null(replaced_reason(&replaced, "c1", v1));
	replaced_helped(&replaced, "c1");
	replaced_note(&replaced, "c1", "user is 0", v1);
	ck_assert_str_eq(replaced_reason(&replaced, "c1", v1), "user is 0");
	ck_assert_ptr_null(replaced_reason(&replaced, "c2", v1)); /* somebody's */
	ck_assert_ptr_null(replaced_reason(&replaced, "c1", v2)); /* the spec is another */
	replaced_helped(&replaced, "c2");
	replaced_copy(&copy, &replaced);
	replaced_helped(&replaced, "c1");
	ck_assert(replaced_is(&replaced, "c1"));
	ck_assert_ptr_null(replaced_reason(&replaced, "c1", v1)); /* what comes now is news */
	ck_assert_str_eq(replaced_reason(&copy, "c1", v1), "user is 0");
	replaced_note(&replaced, "c3", "it is dead", v2);
	ck_assert(!replaced_is(&replaced, "c1"));
	ck_assert_str_eq(replaced_reason(&replaced, "c3", v2), "it is dead");
	replaced_clear(&replaced);
	replaced_clear(&copy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("difference");
	TCase *tcase = tcase_create("difference");

	tcase_add_test(tcase, what_an_engine_says_in_its_own_form_is_no_difference);
	tcase_add_loop_test(tcase, what_somebody_has_changed_is_a_difference, 0, N(changed));
	tcase_add_loop_test(tcase, what_was_laid_over_is_one_unless_we_made_it, 0, N(laid_over));
	tcase_add_loop_test(tcase, an_image_by_any_of_its_names, 0, N(images));
	tcase_add_loop_test(tcase, what_is_the_images_or_the_engines_is_no_difference, 0, N(configs));
	tcase_add_test(tcase, a_replacement_for_the_same_reason_is_in_vain);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
