/* The plan, by example: tests/cases/plan. */
#include <check.h>
#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/container_name.h"
#include "daemon/core/plan/plan.h"
#include "tests/golden.h"
#include "tests/some_spec.h"
#include "tests/suite.h"

#define OWNER "apilb"

/* Each has its own, so that an action for the wrong container is seen. Former ones count up from 4. */
#define CURRENT_ID "0123456789abcdef"
#define NEXT_ID "1123456789abcdef"
#define HELPER_ID "2123456789abcdef"

/* Reading a case. What it does not know it refuses. */

/* keys: see golden_only. */
static void only(struct json_object *object, const char *keys)
{
	ck_assert_msg(json_object_is_type(object, json_type_object), "%s is to be an object with the keys %s",
		      json_object_to_json_string(object), keys);
	json_object_object_foreach (object, key, value) {
		(void)value;
		ck_assert_msg(golden_is_one_of(keys, key), "unknown key \"%s\"; there are: %s", key, keys);
	}
}

/* NULL: it is absent. */
static struct json_object *given_as(struct json_object *object, const char *key, enum json_type type)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return NULL;
	ck_assert_msg(json_object_is_type(value, type), "%s is to be a %s", key, json_type_to_name(type));
	return value;
}

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *value = given_as(object, key, json_type_string);

	return value ? json_object_get_string(value) : NULL;
}

static bool flag_of(struct json_object *object, const char *key)
{
	return json_object_get_boolean(given_as(object, key, json_type_boolean));
}

/* Puts `value` at a pointer, making the objects on the way. */
static void put(struct json_object **root, const char *pointer, struct json_object *value)
{
	ck_assert_msg(json_pointer_set(root, pointer, value) == 0, "%s cannot be set", pointer);
}

static void put_all(struct json_object **root, struct json_object *values)
{
	json_object_object_foreach (values, pointer, value) {
		put(root, pointer, json_object_get(value));
	}
}

/* Labels have dots and slashes in their keys: laid over, not pointed at. */
static void merge(struct json_object *to, struct json_object *from)
{
	json_object_object_foreach (from, key, value) {
		json_object_object_add(to, key, json_object_get(value));
	}
}

static struct json_object *mounts_of(const struct wanted *wanted)
{
	struct json_object *mounts = json_object_new_array(), *binds = NULL;

	json_pointer_get(wanted->create, "/HostConfig/Binds", &binds);
	for (size_t i = 0; i < json_object_array_length(binds); i++) {
		struct json_object *mount = json_object_new_object();
		char *copy = xstrdup(json_object_get_string(json_object_array_get_idx(binds, i))),
		     *rest = copy;

		json_object_object_add(mount, "Source", json_object_new_string(strsep(&rest, ":")));
		json_object_object_add(mount, "Destination", json_object_new_string(strsep(&rest, ":")));
		json_object_object_add(mount, "RW", json_object_new_boolean(rest == NULL));
		json_object_array_add(mounts, mount);
		free(copy);
	}
	return mounts;
}

/* The engine's inspect reply for a container that was made by our own create request. */
static struct json_object *inspect_of(const struct wanted *wanted, const char *id, const char *name,
				      const char *status)
{
	struct json_object *inspect = json_object_new_object(), *config = NULL, *host = NULL;

	json_object_object_add(inspect, "Id", json_object_new_string(id));
	json_object_object_add(inspect, "Name", json_object_new_string(name));
	json_object_deep_copy(wanted->create, &config, NULL);
	json_object_object_get_ex(config, "HostConfig", &host);
	json_object_object_add(inspect, "HostConfig", json_object_get(host));
	json_object_object_del(config, "HostConfig");
	put(&config, "/Env", json_tokener_parse("[\"PATH=/bin\", \"APILB_TOKEN=01234567\"]"));
	json_object_object_add(inspect, "Config", config);
	json_object_object_add(inspect, "State", json_object_new_object());
	put(&inspect, "/State/Status", json_object_new_string(status));
	put(&inspect, "/State/ExitCode", json_object_new_int(status[0] == 'r' && status[2] == 's' ? 1 : 0));
	json_object_object_add(inspect, "Mounts", mounts_of(wanted));
	return inspect;
}

/*
 * { "status": "running", "set": { "/Config/User": "0" }, "labels": null | { ... } }
 * labels null: none at all; labels of an object are laid over ours.
 */
static struct observed_container *container(const struct wanted *wanted, struct json_object *given,
					    const char *id, const char *name)
{
	struct json_object *inspect, *set = given_as(given, "set", json_type_object), *labels, *is = NULL;
	struct observed_container *result;
	struct err err;

	if (!given)
		return NULL;
	ck_assert_msg(text_of(given, "status") != NULL, "a container has a status");
	inspect = inspect_of(wanted, id, name, text_of(given, "status"));
	json_pointer_get(inspect, "/Config/Labels", &is);
	if (json_object_object_get_ex(given, "labels", &labels)) {
		if (labels)
			merge(is, labels);
		else
			put(&inspect, "/Config/Labels", json_object_new_object());
	}
	if (set)
		put_all(&inspect, set);
	result = observed_from_inspect(inspect, &err);
	ck_assert_msg(result != NULL, "%s", err.message);
	json_object_put(inspect);
	return result;
}

static enum stats_status stats_of(const char *text)
{
	static const char *const names[] = {
		[STATS_UNKNOWN] = "unknown",     [STATS_ANSWERED] = "answered",
		[STATS_EARLY] = "early",         [STATS_DIR_MISSING] = "directory missing",
		[STATS_NO_SOCKET] = "no socket", [STATS_CLOSED] = "closed",
		[STATS_FAILED] = "failed",
	};

	for (size_t i = 0; text && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], text) == 0)
			return i;
	ck_assert_msg(text == NULL, "stats: %s?", text);
	return STATS_UNKNOWN;
}

static void observe_old(struct wanted *wanted, struct json_object *given, struct observed_instance *observed)
{
	char *id = xasprintf("%zu123456789abcdef", 4 + observed->old_n);
	char *name = container_old_name(wanted->instance.name, id);
	struct observed_container *old;

	only(given, "status, set, labels, overdue, undrained, returned");
	old = container(wanted, given, id, name);
	old->overdue = flag_of(given, "overdue");
	old->undrained = flag_of(given, "undrained");
	old->returned = flag_of(given, "returned");
	observed_instance_add_old(observed, old);
	free(name);
	free(id);
}

static void observe_up(struct json_object *names, struct observed_instance *observed)
{
	observed->servers_n = json_object_array_length(names);
	observed->servers = xcalloc(observed->servers_n, sizeof(*observed->servers));
	for (size_t i = 0; i < observed->servers_n; i++)
		observed->servers[i] = (struct observed_server){
			.name = xstrdup(json_object_get_string(json_object_array_get_idx(names, i))),
			.check = xstrdup("L7OK"),
			.state = SERVER_UP,
		};
}

static void observe_unresolved(int64_t uptime_s, struct observed_instance *observed)
{
	observed->uptime_s = uptime_s;
	observed->servers_n = 1;
	observed->servers = xcalloc(1, sizeof(*observed->servers));
	*observed->servers = (struct observed_server){
		.name = xstrdup("cp1:6443"), .check = xstrdup(""), .state = SERVER_DOWN, .unresolved = true};
}

/* The file at the config's path: a text, or what the engine tells of it. */
static void observe_file(struct json_object *given, struct host_file *file)
{
	bool is_text = json_object_is_type(given, json_type_string);

	if (!is_text)
		only(given, "mode, size");
	host_file_stat(file, is_text ? NULL : json_object_to_json_string(given));
	if (!is_text)
		return;
	file->text = xstrdup(json_object_get_string(given));
	file->size = (int64_t)(file->len = strlen(file->text));
}

/* One of the words, or absent. */
static const char *word_of(struct json_object *given, const char *key, const char *words)
{
	const char *word = text_of(given, key);

	ck_assert_msg(!word || golden_is_one_of(words, word), "%s is one of: %s", key, words);
	return word;
}

static void observe_containers(struct wanted *wanted, struct json_object *given,
			       struct observed_instance *observed)
{
	static const char keys[] = "status, set, labels";
	struct json_object *current = given_as(given, "current", json_type_object);
	struct json_object *next = given_as(given, "next", json_type_object);
	struct json_object *old = given_as(given, "old", json_type_array);
	char *next_name = container_next_name(wanted->instance.name);

	if (current)
		only(current, keys);
	if (next)
		only(next, keys);
	observed->current = container(wanted, current, CURRENT_ID, wanted->instance.name);
	observed->next = container(wanted, next, NEXT_ID, next_name);
	free(next_name);
	if (flag_of(given, "helper")) {
		struct json_object *inspect = inspect_of(wanted, HELPER_ID, "helper", "created");
		struct err err;

		observed->helper = observed_from_inspect(inspect, &err);
		json_object_put(inspect);
	}
	for (size_t i = 0; old && i < json_object_array_length(old); i++)
		observe_old(wanted, json_object_array_get_idx(old, i), observed);
}

static void observe_config(const struct wanted *wanted, struct json_object *given,
			   struct observed_instance *observed)
{
	const char *config = word_of(given, "config", "wanted, other, missing");
	struct json_object *file, *image = given_as(given, "image", json_type_boolean);

	if (json_object_object_get_ex(given, "file", &file))
		observe_file(file, &observed->file);
	observed->file_is_ours = flag_of(given, "file ours");
	observed->config_accepted = flag_of(given, "accepted");
	observed->image_known = image != NULL;
	observed->image_present = json_object_get_boolean(image);
	observed->config_known = config != NULL;
	observed->config_exists = config && strcmp(config, "missing") != 0;
	strcpy(observed->config_sha256,
	       config && strcmp(config, "wanted") == 0 ? wanted->config_sha256 : "00ff");
	observed->config_mode_wrong = flag_of(given, "config mode");
	observed->lost_file = xstrdup(text_of(given, "lost"));
	observed->image_drift = xstrdup(text_of(given, "image drift"));
}

static void observe_haproxy(const struct wanted *wanted, struct json_object *given,
			    struct observed_instance *observed)
{
	const char *loaded = word_of(given, "loaded", "wanted, other");
	struct json_object *up = given_as(given, "up", json_type_array);
	struct json_object *unresolved = given_as(given, "unresolved", json_type_int);

	if (up)
		observe_up(up, observed);
	if (unresolved)
		observe_unresolved(json_object_get_int64(unresolved), observed);
	strcpy(observed->loaded.binds, word_of(given, "binds", "other") ? "00ff" : wanted->description.binds);
	observed->successor_due = flag_of(given, "silent");
	observed->silence = xstrdup(text_of(given, "silence"));
	observed->run_dir_mode_wrong = flag_of(given, "directory mode");
	observed->relieves = xstrdup(text_of(given, "relieves"));
	observed->stats = loaded ? STATS_ANSWERED : stats_of(text_of(given, "stats"));
	strcpy(observed->loaded.generation,
	       loaded && strcmp(loaded, "wanted") == 0 ? wanted->description.generation : "00ff");
}

/*
 * Keys: current, next (containers), helper (true), config ("wanted", "other",
 * "missing"; absent: not known), loaded ("wanted", "other": what HAProxy says
 * that it runs; it answers then), stats (if it does not), image (true, false;
 * absent: not looked at), unresolved (seconds since HAProxy's start: it has no address for a name), binds
 * ("other": HAProxy listens elsewhere), adopt (the state hands the container over), up (names of servers that
 * HAProxy sees up), old (those that were succeeded: an array of containers with "overdue", "undrained",
 * "returned": true or false), and, true or false: "silent" (stats failed, or no socket, for long),
 * "directory mode" (of the stats socket's, is not as it should be), "accepted" (the image's HAProxy has
 * checked the config), "config mode" (not what it was); "leave" (a removal that lets connections end);
 * image drift, lost, silence, relieves (texts); file (what stands at the config's path: a text, or { "mode":
 * as the engine has it, "size" }). What is remembered stands in memory.json.
 */
static void observe(struct wanted *wanted, struct json_object *given, struct observed_instance *observed)
{
	only(given, "current, next, old, helper, config, loaded, stats, image, unresolved, binds, adopt, up, "
		    "silent, directory mode, accepted, config mode, leave, image drift, lost, silence, "
		    "relieves, file, file ours");
	if (flag_of(given, "adopt"))
		wanted->adopt_id = xstrdup(CURRENT_ID);
	observe_containers(wanted, given, observed);
	observe_config(wanted, given, observed);
	observe_haproxy(wanted, given, observed);
}

/*
 * Keys: refused (HAProxy was given what is wanted before, in vain), refusal (that is not
 * tried again yet, and this was the reason), "in vain" (the container was made for this reason).
 */
static void remember(const struct wanted *wanted, const struct observed_instance *observed,
		     struct json_object *given, struct memory *memory)
{
	memory_init(memory);
	if (given)
		only(given, "refused, refusal, in vain");
	if (flag_of(given, "refused"))
		refused_note(&memory->refused, wanted->version);
	memory->refused.why = xstrdup(text_of(given, "refusal"));
	if (text_of(given, "in vain"))
		replaced_note(&memory->replaced, observed->current->id, text_of(given, "in vain"),
			      wanted->version);
}

/* What a container is called once the actions before this one are done. */
static const char *name_then(const struct plan *plan, size_t before,
			     const struct observed_container *container)
{
	const char *name = container->name;

	for (size_t i = 0; i < before; i++) {
		const struct action *action = &plan->actions[i];

		if (action->kind == ACTION_RENAME &&
		    (strcmp(action->container, container->id) == 0 || strcmp(action->container, name) == 0))
			name = action->argument;
	}
	return name;
}

static void check_hit(const struct plan *plan, size_t before, const struct action *action,
		      const struct observed_container *container)
{
	const char *name = container ? name_then(plan, before, container) : NULL;

	if (name && strcmp(action->container, container->id) == 0)
		ck_assert_msg(strcmp(action->name, name) == 0, "%s %s is for %s, which is called %s then",
			      action_name(action->kind), action->name, container->id, name);
}

/* Whoever reads the plan sees names, and the engine is given IDs: both mean the same container. */
static void check_hits(const struct plan *plan, const struct observed_instance *observed)
{
	for (size_t i = 0; i < plan->n + plan->later_n; i++) {
		const struct action *action = i < plan->n ? &plan->actions[i] : &plan->later[i - plan->n];
		size_t before = i < plan->n ? i : plan->n;

		check_hit(plan, before, action, observed->current);
		check_hit(plan, before, action, observed->next);
		check_hit(plan, before, action, observed->helper);
		for (size_t old = 0; old < observed->old_n; old++)
			check_hit(plan, before, action, observed->old[old]);
	}
}

static char *plan_text(const struct plan *plan)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < plan->n; i++) {
		char *words = action_text(&plan->actions[i]);

		fprintf(out, "%s: %s (%s)\n", action_name(plan->actions[i].kind), words,
			plan->actions[i].reason);
		free(words);
	}
	for (size_t i = 0; i < plan->later_n; i++) {
		char *words = action_text(&plan->later[i]);

		fprintf(out, "later, %s: %s (%s)\n", action_name(plan->later[i].kind), words,
			plan->later[i].reason);
		free(words);
	}
	if (plan->trouble.kind != ERR_NONE)
		fprintf(out, "trouble, %s: %s\n", err_kind_name(plan->trouble.kind), plan->trouble.message);
	if (plan->n == 0 && plan->trouble.kind == ERR_NONE)
		fprintf(out, "nothing to do\n");
	fclose(out);
	return text;
}

static struct wanted *wanted_from(const char *dir, bool *removal)
{
	char *yaml = golden_read(dir, "spec.yaml");
	struct wanted *wanted;

	ck_assert_msg(yaml != NULL, "%s has no spec.yaml", dir);
	wanted = parse_wanted(yaml);
	*removal = strncmp(yaml, "# removed", 9) == 0;
	free(yaml);
	return wanted;
}

/* NULL: there is no such file. */
static struct json_object *json_of(const char *dir, const char *name)
{
	char *text = golden_read(dir, name);
	struct json_object *json = text ? json_tokener_parse(text) : NULL;

	ck_assert_msg(json || !text, "%s/%s is not JSON", dir, name);
	free(text);
	return json;
}

static char *answer_to(const char *dir)
{
	struct observed_instance observed = {0};
	struct json_object *given, *remembered;
	struct memory memory;
	struct wanted *wanted;
	struct plan plan = {0};
	bool removal;
	char *text;

	wanted = wanted_from(dir, &removal);
	given = json_of(dir, "observed.json");
	ck_assert_msg(given != NULL, "%s has no observed.json", dir);
	observe(wanted, given, &observed);
	remembered = json_of(dir, "memory.json");
	remember(wanted, &observed, remembered, &memory);
	if (removal)
		plan_removal(wanted->instance.name, &observed, flag_of(given, "leave"), &plan);
	else
		plan_instance(wanted, &observed, &memory, &plan);
	check_hits(&plan, &observed);
	text = plan_text(&plan);
	json_object_put(given);
	json_object_put(remembered);
	memory_clear(&memory);
	plan_clear(&plan);
	observed_instance_clear(&observed);
	wanted_unref(wanted);
	return text;
}

int main(void)
{
	Suite *suite = suite_create("plan");

	golden_add(suite, "plan", "spec.yaml, observed.json, memory.json", answer_to);
	return suite_run(suite);
}
