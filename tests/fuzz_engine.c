/*
 * Replies of an engine that lies, through all that reads them: the API's client,
 * observed, and the plan. An input is text in lines:
 *
 *     REPLY N VALUE   the N-th value of that reply is this one (JSON; see lies.h)
 *     raw             all that follows is what the engine answers, whatever is asked
 *
 * So what a fuzzer changes stays a reply, with something wrong deep inside.
 */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/names.h"
#include "daemon/core/plan/difference.h"
#include "daemon/core/plan/plan.h"
#include "daemon/io/docker/docker.h"
#include "tests/lies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_LINES 30

static void require(bool truth)
{
	if (!truth)
		abort();
}

/* What is wanted, and what a host that has it would answer. */

static struct wanted *make_wanted(void)
{
	static const char yaml[] =
		"image: haproxy:3\n"
		"servers: [10.0.0.1:6443]\n"
		"apiLoadBalancers: [{name: lb, host: {direct: {}}, bindAddress: 127.0.0.1}]\n";
	const struct spec_context context = {.have_agent = true};
	struct spec_errors errors = {0};
	struct spec *spec = spec_parse("fuzz.yaml", yaml, strlen(yaml), &context, &errors);
	struct wanted *wanted;

	require(spec != NULL);
	wanted = wanted_new("apilb", spec->name, &spec->instances[0], NULL);
	spec_free(spec);
	return wanted;
}

enum { CURRENT, NEXT, OLD, ENTRY, IMAGE, REPLIES };

static const struct {
	const char *word, *name, *id;
} replies[REPLIES] = {
	[CURRENT] = {"current", "/lb", "0123456789abcdef0123"},
	[NEXT] = {"next", "/lb-apilb-next", "1123456789abcdef0123"},
	[OLD] = {"old", "/lb-apilb-old-01234567", "2123456789abcdef0123"},
	[ENTRY] = {"entry", "/lb-apilb-helper", "3123456789abcdef0123"},
	[IMAGE] = {"image", NULL, NULL},
};

static const char image_reply[] =
	"{\"Id\":\"sha256:4123456789abcdef0123\",\"RepoTags\":[\"haproxy:3\"],\"Size\":1,\"Os\":\"linux\","
	"\"Config\":{\"Env\":[\"PATH=/bin\"],\"Entrypoint\":null,\"Labels\":{}}}";

static const char entry_reply[] =
	"{\"Id\":\"3123456789abcdef0123\",\"Names\":[\"/"
	"lb-apilb-helper\"],\"Image\":\"haproxy:3\",\"Created\":1,"
	"\"State\":\"created\",\"Status\":\"Created\",\"Labels\":{\"io.apilb.owner\":\"apilb\","
	"\"io.apilb.spec\":\"fuzz\",\"io.apilb.instance\":\"fuzz/direct/"
	"lb\",\"io.apilb.role\":\"helper\"},\"Mounts\":[]}";

static void add_text(struct json_object *map, const char *key, const char *text)
{
	json_object_object_add(map, key, json_object_new_string(text));
}

static struct json_object *mounts_of(const struct wanted *wanted)
{
	struct json_object *mounts = json_object_new_array();
	struct json_object *binds = json_at(wanted->create, "/HostConfig/Binds");

	for (size_t i = 0; i < json_length(binds); i++) {
		struct json_object *mount = json_object_new_object();
		char *copy = xstrdup(json_item_text(binds, i)), *rest = copy;

		add_text(mount, "Type", "bind");
		add_text(mount, "Source", strsep(&rest, ":"));
		add_text(mount, "Destination", strsep(&rest, ":"));
		json_object_object_add(mount, "RW", json_object_new_boolean(rest == NULL));
		json_object_array_add(mounts, mount);
		free(copy);
	}
	return mounts;
}

static char *inspect_reply(const struct wanted *wanted, int which)
{
	struct json_object *reply = json_object_new_object(), *state = json_object_new_object();
	struct json_object *config = wanted_create_with_token(wanted, "0123abcd");
	char *text;

	add_text(reply, "Id", replies[which].id);
	add_text(reply, "Name", replies[which].name);
	add_text(reply, "Image", "sha256:4123456789abcdef0123");
	add_text(state, "Status", "running");
	add_text(state, "StartedAt", "2026-01-01T00:00:00.5Z");
	json_object_object_add(state, "ExitCode", json_object_new_int(0));
	json_object_object_add(reply, "State", state);
	json_object_object_add(reply, "HostConfig", json_object_get(json_map(config, "HostConfig")));
	json_object_object_add(reply, "Config", config);
	json_object_object_add(reply, "Mounts", mounts_of(wanted));
	text = xstrdup(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
	json_object_put(reply);
	return text;
}

static char *good_reply(const struct wanted *wanted, int which)
{
	if (which == IMAGE)
		return xstrdup(image_reply);
	return which == ENTRY ? xstrdup(entry_reply) : inspect_reply(wanted, which);
}

/* What is made of them. */

/* Nothing is done to a container that does not say that it is ours. */
static void check_plan(const struct wanted *wanted, const struct observed_instance *observed,
		       const struct plan *plan)
{
	const struct observed_container *current = observed->current;
	bool ours = current && current->owner && strcmp(current->owner, wanted->owner) == 0;

	for (size_t i = 0; i < plan->n; i++) {
		const struct action *action = &plan->actions[i];
		char *text = action_text(action);

		require(*text && action->container && action->name && action->reason);
		require(!current || ours || strcmp(action->container, current->id) != 0);
		free(text);
	}
	require(plan->trouble.kind == ERR_NONE || *plan->trouble.message);
}

static void make_plans(const struct wanted *wanted, struct observed_instance *observed)
{
	struct plan plan = {.n = 0};
	struct memory memory;

	memory_init(&memory);
	/* A host on which all but the container is right; then one of which nothing more is known. */
	observed->config_known = observed->config_exists = observed->image_known = observed->image_present =
		true;
	memcpy(observed->config_sha256, wanted->config_sha256, SHA256_HEX_SIZE);
	observed->stats = STATS_ANSWERED;
	observed->loaded = wanted->description;
	for (int i = 0; i < 2; i++) {
		plan_instance(wanted, observed, &memory, &plan);
		check_plan(wanted, observed, &plan);
		plan_clear(&plan);
		observed->config_known = observed->image_known = false;
		observed->stats = STATS_UNKNOWN;
	}
	plan_removal("lb", observed, true, &plan);
	plan_clear(&plan);
}

static struct observed_container *inspected(struct json_object *reply)
{
	struct err err = {.kind = ERR_NONE};
	struct observed_container *container = observed_from_inspect(reply, &err);

	require(container || *err.message);
	return container;
}

static void observe(const struct wanted *wanted, struct json_object *const json[REPLIES])
{
	struct observed_instance observed = {.current = inspected(json[CURRENT]),
					     .next = inspected(json[NEXT]),
					     .helper = observed_from_list(json[ENTRY])};
	struct observed_container *old = inspected(json[OLD]);

	if (old)
		observed_instance_add_old(&observed, old);
	if (observed.current) {
		observed.image_drift = difference_from_image(observed.current, json[IMAGE]);
		difference_mounts_as(observed.current, wanted->create);
	}
	make_plans(wanted, &observed);
	observed_instance_slim(&observed);
	observed_instance_clear(&observed);
}

/* "REPLY N VALUE": what cannot be read changes nothing. */
static void change(char *texts[REPLIES], char *line)
{
	char *word = strsep(&line, " "), *number = strsep(&line, " "), *changed;

	for (int i = 0; line && i < REPLIES; i++) {
		if (strcmp(replies[i].word, word) != 0)
			continue;
		changed = lie_about(texts[i], strtoul(number, NULL, 10), line);
		if (!changed)
			return;
		free(texts[i]);
		texts[i] = changed;
	}
}

static void run_changes(char *lines)
{
	static const struct json_limits limits = {DOCKER_MAX_DETAILS_BYTES, DOCKER_MAX_DETAILS_VALUES,
						  DOCKER_MAX_DEPTH};
	struct wanted *wanted = make_wanted();
	struct json_object *json[REPLIES];
	char *texts[REPLIES];

	for (int i = 0; i < REPLIES; i++)
		texts[i] = good_reply(wanted, i);
	for (int i = 0; lines && i < MAX_LINES; i++)
		change(texts, strsep(&lines, "\n"));
	for (int i = 0; i < REPLIES; i++) {
		struct err err;

		json[i] = json_parse(texts[i], strlen(texts[i]), &limits, &err);
		free(texts[i]);
	}
	observe(wanted, json);
	for (int i = 0; i < REPLIES; i++)
		json_object_put(json[i]);
	wanted_unref(wanted);
}

/* The whole of an answer, to each kind of question. */

static void on_reply(void *arg, const struct docker_reply *reply, const struct err *err)
{
	int *answers = arg;

	require(reply || err);
	if (!err && reply->json) {
		observed_container_free(inspected(reply->json));
		observed_container_free(observed_from_list(reply->json));
		json_text(reply->json, "Id", NULL);
	}
	++*answers;
}

static void on_entry(void *arg, struct json_object *entry)
{
	(void)arg;
	observed_container_free(observed_from_list(entry));
}

static void ask(struct docker *docker, int question, int *answers)
{
	static const char *const command[] = {"true", NULL};

	if (question == 0)
		docker_list(docker, LABEL_OWNER, on_entry, on_reply, answers);
	else if (question == 1)
		docker_inspect(docker, "lb", on_reply, answers);
	else if (question == 2)
		docker_exec_create(docker, "lb", command, on_reply, answers);
	else
		docker_pull(docker, "haproxy:3", NULL, on_reply, answers);
}

static void answer(const char *status, int question, const char *body, size_t len)
{
	struct event_base *base = event_base_new();
	struct bufferevent *pair[2];
	struct docker *docker;
	char *head = xasprintf("HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", status, len);
	int answers = 0;

	bufferevent_pair_new(base, 0, pair);
	docker = docker_new(pair[0]);
	ask(docker, question, &answers);
	event_base_loop(base, EVLOOP_NONBLOCK);
	bufferevent_write(pair[1], head, strlen(head));
	bufferevent_write(pair[1], body, len);
	for (int i = 0; i < 1000 && answers == 0; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	require(answers == 1);
	docker_free(docker);
	bufferevent_free(pair[1]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
	free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);

	if (size >= 4 && memcmp(data, "raw\n", 4) == 0) {
		for (int question = 0; question < 4; question++) {
			answer("200 OK", question, (const char *)data + 4, size - 4);
			answer("500 Internal Server Error", question, (const char *)data + 4, size - 4);
		}
	} else {
		run_changes(text);
	}
	free(text);
	return 0;
}
