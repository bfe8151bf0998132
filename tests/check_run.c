/*
 * A run on one host, against a machine in memory and with a clock that turns by
 * itself: every action, every drift, and a failure at each request of each.
 */
#include <check.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/names.h"
#include "daemon/clock.h"
#include "daemon/core/container_name.h"
#include "daemon/core/spec.h"
#include "daemon/host.h"
#include "daemon/job.h"
#include "tests/fake_engine.h"
#include "tests/temp.h"
#include "tests/turned_clock.h"

#define N(table) (int)(sizeof(table) / sizeof((table)[0]))

#define OWNER "apilb"
#define OLD "haproxy:2.6"
#define NEW "haproxy:3.0"
#define SILENT_AFTER_MS 60000
#define BYSTANDER "lb-of-others"
#define CONFIG "/etc/haproxy-lb/haproxy.cfg"

/* What carries over from run to run, as an instance does it. */
struct place {
	struct event_base *base;
	struct fake_machine machine;
	struct fake_engine *engine;
	struct wanted *wanted; /* NULL: it is to be removed */
	struct job_target last;
	struct memory memory;
	struct wanted *next; /* what its spec wants, while that waits; NULL: the same */
	bool unproven;       /* the daemon has just started */
	bool restarts;       /* the daemon does, after each run */
	bool done, reached, observe_only;
	struct err err; /* of the host as a whole */
	char *told;
	char *lookalikes; /* see job_lookalikes */
};

static struct wanted *wanted_named(const char *name, const char *path, const char *image, const char *port,
				   const char *servers)
{
	const struct spec_context context = {.have_agent = true};
	struct spec_errors errors = {0};
	char *yaml = xasprintf("image: %s\n"
			       "apiLoadBalancers:\n"
			       "- name: %s\n"
			       "  host: {direct: {}}\n"
			       "  bindAddress: 192.0.2.9:%s\n"
			       "  hostConfigPath: %s\n"
			       "  servers: [%s]\n",
			       image, name, port, path, servers);
	struct spec *spec = spec_parse("prod.yaml", yaml, strlen(yaml), &context, &errors);
	struct wanted *wanted;

	ck_assert_msg(spec != NULL, "%s", errors.n ? spec_error_text(&errors.v[0]) : "");
	wanted = wanted_new(OWNER, spec->name, &spec->instances[0], NULL);
	spec_free(spec);
	free(yaml);
	return wanted;
}

static struct wanted *wanted_at(const char *path, const char *image, const char *port, const char *servers)
{
	return wanted_named("lb", path, image, port, servers);
}

static struct wanted *wanted_of(const char *image, const char *port, const char *servers)
{
	return wanted_at(CONFIG, image, port, servers);
}

static void want(struct place *place, const char *image, const char *port, const char *servers)
{
	wanted_unref(place->wanted);
	place->wanted = image ? wanted_of(image, port, servers) : NULL;
}

static void open_place(struct place *place)
{
	*place = (struct place){.base = event_base_new(), .told = xstrdup("")};
	fake_machine_init(&place->machine);
	fake_add_image(&place->machine, OLD);
	fake_add_image(&place->machine, NEW);
	place->engine = fake_engine_new(place->base, &place->machine);
	memory_init(&place->memory);
	want(place, OLD, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
}

static void close_place(struct place *place)
{
	job_target_clear(&place->last);
	wanted_unref(place->wanted);
	wanted_unref(place->next);
	fake_engine_free(place->engine);
	fake_machine_clear(&place->machine);
	event_base_free(place->base);
	turned_clock_begin();
	free(place->told);
	memory_clear(&place->memory);
	free(place->lookalikes);
}

static void on_told(void *arg, const struct job_target *target, enum job_news news, const char *type,
		    const char *text)
{
	struct place *place = arg;
	char *before = place->told;

	(void)target;
	if (news == JOB_PROGRESS)
		return;
	place->told = xasprintf("%s%s: %s\n", before, type, text);
	free(before);
}

static void on_done(void *arg, const struct err *err)
{
	struct place *place = arg;

	place->done = true;
	place->err = err ? *err : (struct err){.kind = ERR_NONE};
}

static struct stream_opening *open_stream(void *arg, const char *path, int64_t timeout_ms, stream_open_cb *cb,
					  void *cb_arg)
{
	struct place *place = arg;

	return fake_engine_open(place->engine, path, timeout_ms, cb, cb_arg);
}

static void on_reached(void *arg, const struct job_target *targets, size_t n)
{
	struct place *place = arg;

	ck_assert_uint_ge(n, 1);
	ck_assert_str_eq(targets[0].order.name, "lb");
	/* Once it is, it is: a connection that was lost is made anew in the same run. */
	if (place->reached)
		return;
	/* It is written down then that something may be there. */
	ck_assert_msg(!place->machine.history, "before that: %s", place->machine.history);
	place->reached = true;
}

static const struct removal *nobody_else(void *arg)
{
	static struct removal *nobody;

	(void)arg;
	if (!nobody)
		nobody = removal_new();
	return nobody;
}

static const char *version_of(const struct place *place)
{
	return place->wanted ? place->wanted->version : NULL;
}

static struct job_target target_of(const struct place *place)
{
	struct job_target target = {.order = {
					    .name = xstrdup("lb"),
					    .wanted = place->wanted ? wanted_ref(place->wanted) : NULL,
					    .next = place->next ? wanted_ref(place->next) : NULL,
					    .unproven = place->unproven,
				    }};

	memory_lend(&target.memory, &place->memory, version_of(place), clock_monotonic_ms());
	return target;
}

/* The verdict of a run: what an instance makes of it (instance_settle). */
static void take_verdict(struct place *place, struct job_target *target)
{
	const struct observed_container *current = target->result.observed.current;

	if (!place->observe_only) {
		if (target->result.err.kind == ERR_NONE && place->err.kind == ERR_NONE && current)
			memory_know(&target->memory, current->id);
		memory_take(&place->memory, &target->memory, version_of(place), &target->result.err,
			    clock_monotonic_ms());
	}
	job_target_clear(&place->last);
	place->last = *target;
	*target = (struct job_target){.stray_of = NULL};
	if (place->last.result.err.kind == ERR_NONE)
		place->last.result.err = place->err;
}

/* What went wrong with the request that was to fail; and whether the run ends there, as when its host is
 * wanted no more, and whether all is forgotten then, as when the daemon is killed. */
static const struct mishap {
	const char *name;
	enum fake_fault how;
	bool cancelled, forgotten;
} mishaps[] = {
	{"was cut before it was read", FAULT_CUT_BEFORE, false, false},
	{"was cut before its answer", FAULT_CUT_AFTER, false, false},
	{"was refused", FAULT_REFUSED, false, false},
	{"was never answered", FAULT_SILENT, false, false},
	{"met a full disk", FAULT_DISK_FULL, false, false},
	{"was cancelled", FAULT_SILENT, true, false},
	{"was the last before a kill", FAULT_CUT_BEFORE, true, true},
	{"was the last that a kill let through", FAULT_CUT_AFTER, true, true},
};

static void forget(struct place *place)
{
	job_target_clear(&place->last);
	place->last = (struct job_target){.stray_of = NULL};
	memory_clear(&place->memory);
}

/* What the store has of it is all that the next process knows (instance_new). */
static void restart(struct place *place)
{
	const struct silence_clock now = {.ms = clock_monotonic_ms(), .unix_ms = clock_now_ms()};
	char *json = memory_to_json(&place->memory);
	struct memory after;

	memory_init(&after);
	if (place->memory.config_path) {
		memory_turn_to_config(&after, place->memory.config_path);
		memory_read_config(&after, place->memory.config_sha256, place->memory.config_size,
				   place->memory.config_mtime);
	}
	if (place->last.result.err.kind == ERR_NONE)
		memory_know(&after, place->memory.known_id);
	after.accepted = xstrdup(place->memory.accepted);
	memory_recall(&after, json, now);
	memory_clear(&place->memory);
	place->memory = after;
	place->unproven = true;
	free(json);
}

static struct job_options options_of(struct place *place)
{
	return (struct job_options){
		.base = place->base,
		.owner = OWNER,
		.engine = "/run/docker.sock",
		.observe_only = place->observe_only,
		.as_root = true,
		.silent_after_ms = SILENT_AFTER_MS,
		.open = open_stream,
		.reached = on_reached,
		.removal = nobody_else,
		.tell = on_told,
		.done = on_done,
		.arg = place,
	};
}

/* mishap: of the request that fails; NULL: none does. */
static void run_until(struct place *place, const struct mishap *mishap)
{
	const struct job_options options = options_of(place);
	struct job_target *targets = xcalloc(1, sizeof(*targets));
	struct job *job;
	size_t n;

	FREE(place->machine.history);
	free(place->told);
	place->told = xstrdup("");
	place->done = false;
	targets[0] = target_of(place);
	job = job_start(&options, targets, 1);
	while (!place->done && !(mishap && mishap->cancelled && fake_engine_has_failed(place->engine)))
		event_base_loop(place->base, EVLOOP_ONCE);
	free(place->lookalikes);
	place->lookalikes = job_lookalikes(job);
	if (place->done) {
		targets = job_targets(job, &n);
		take_verdict(place, &targets[0]);
	}
	job_free(job);
	if (mishap && mishap->forgotten)
		forget(place);
	if (place->restarts)
		restart(place);
}

static void run(struct place *place)
{
	run_until(place, NULL);
}

static const struct fake_container *balancer(const struct place *place)
{
	const struct fake_container *found = fake_find(&place->machine, "lb");

	return found && strcmp(found->name, "lb") == 0 ? found : NULL;
}

static size_t containers(const struct place *place)
{
	size_t n = 0;

	for (const struct fake_container *c = place->machine.containers; c; c = c->next)
		n += strcmp(c->name, BYSTANDER) != 0;
	return n;
}

/* Somebody else's, of a name that begins like one of ours. */
static void add_bystander(struct place *place)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "Image", json_object_new_string(OLD));
	fake_create(&place->machine, BYSTANDER, request)->status = FAKE_RUNNING;
}

static void expect_bystander(const struct place *place, const char *when)
{
	const struct fake_container *bystander = fake_find(&place->machine, BYSTANDER);

	ck_assert_msg(bystander && bystander->status == FAKE_RUNNING, "%s: the bystander was touched\n%s",
		      when, place->machine.history);
}

static const char *image_of(const struct fake_container *container)
{
	struct json_object *image = NULL;

	json_object_object_get_ex(container->request, "Image", &image);
	return json_object_get_string(image);
}

static void expect_as_wanted(const struct place *place, const char *when)
{
	const struct fake_file *file = fake_file_find(&place->machine, CONFIG);

	ck_assert_msg(place->last.result.err.kind == ERR_NONE, "%s: %s\n%s", when,
		      place->last.result.err.message, place->told);
	ck_assert_msg(balancer(place) && containers(place) == 1, "%s: %zu containers\n%s%s", when,
		      containers(place), place->told, place->machine.history);
	ck_assert_msg(balancer(place)->status == FAKE_RUNNING && balancer(place)->loaded,
		      "%s: it does not run", when);
	ck_assert_str_eq(image_of(balancer(place)), place->wanted->instance.image);
	ck_assert_msg(file && strcmp(file->text, place->wanted->config) == 0, "%s: the file is another",
		      when);
	ck_assert_msg(strcmp(balancer(place)->loaded, place->wanted->config) == 0,
		      "%s: another config is loaded", when);
}

/* What HAProxy would be given if it had to start now. */
static void expect_whole_file(const struct place *place, const char *when)
{
	const struct fake_file *file = fake_file_find(&place->machine, CONFIG);

	ck_assert_msg(!file || (file->len > 0 && file->text[file->len - 1] == '\n'), "%s: half a config\n%s",
		      when, place->machine.history);
}

/* Each is how the world is changed after all was well, and runs until it is so again. */

static void change_servers(struct place *place)
{
	want(place, OLD, "7443", "'192.0.2.1:6443', '192.0.2.3:6443'");
}

static void change_image(struct place *place)
{
	want(place, NEW, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
}

static void change_port(struct place *place)
{
	want(place, OLD, "7444", "'192.0.2.1:6443', '192.0.2.2:6443'");
}

static void change_image_and_servers(struct place *place)
{
	want(place, NEW, "7443", "'192.0.2.3:6443'");
}

static void change_image_to_be_pulled(struct place *place)
{
	want(place, "registry.example.org/haproxy:3.1", "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
}

static void not_wanted(struct place *place)
{
	want(place, NULL, NULL, NULL);
}

static struct fake_container *the_balancer(struct place *place)
{
	return fake_find(&place->machine, "lb");
}

static void container_removed(struct place *place)
{
	fake_remove(&place->machine, the_balancer(place));
}

static void never_made(struct place *place)
{
	fake_remove(&place->machine, the_balancer(place));
	fake_file_remove(&place->machine, CONFIG);
	fake_file_remove(&place->machine, "/etc/haproxy-lb");
	fake_file_remove(&place->machine, "/var/lib/apilb/lb");
	forget(place);
}

static void container_stopped(struct place *place)
{
	fake_end(the_balancer(place), 0);
}

static void container_paused(struct place *place)
{
	the_balancer(place)->status = FAKE_PAUSED;
}

/* Its directory was deleted, and the engine has made another one: what it goes on with leads nowhere. */
static void paused_without_socket(struct place *place)
{
	container_paused(place);
	fake_engine_gag(place->engine, fake_token(the_balancer(place)), MOUTH_REFUSES);
	for (struct fake_file *file = place->machine.files; file; file = file->next)
		if (strncmp(file->path, "/var/lib/apilb/lb/guard", strlen("/var/lib/apilb/lb/guard")) == 0) {
			fake_file_remove(&place->machine, file->path);
			return;
		}
	ck_abort_msg("there is no guard");
}

static struct fake_container *renamed(struct place *place, const char *name)
{
	struct fake_container *container = the_balancer(place);

	free(container->name);
	container->name = xstrdup(name);
	return container;
}

static void called_otherwise(struct place *place)
{
	renamed(place, "somehow");
}

static void file_edited(struct place *place)
{
	fake_file_write(&place->machine, CONFIG, "# mine\n", strlen("# mine\n"), 0644);
}

static void file_removed(struct place *place)
{
	fake_file_remove(&place->machine, CONFIG);
}

static void file_hidden(struct place *place)
{
	fake_file_find(&place->machine, CONFIG)->mode = 0600;
}

static void made_otherwise(struct place *place)
{
	json_object_object_add(the_balancer(place)->request, "StopSignal", json_object_new_string("SIGTERM"));
}

static void made_by_another_user(struct place *place)
{
	json_object_object_add(the_balancer(place)->request, "User", json_object_new_string("0"));
}

static void old_config_loaded(struct place *place)
{
	struct fake_container *container = the_balancer(place);
	char *other = xstrdup(container->loaded);

	memcpy(strstr(other, "description \"apilb ") + strlen("description \"apilb "), "0000", 4);
	free(container->loaded);
	container->loaded = other;
}

enum {
	SERVES = 1,  /* all the time, and so it must go on */
	LASTING = 2, /* connections last until the next run at least */
	PODMAN = 4,
};

static const struct world {
	const char *name;
	void (*change)(struct place *place);
	unsigned flags;
} worlds[] = {
	{"servers changed", change_servers, SERVES},
	{"image changed", change_image, SERVES},
	{"port changed", change_port, SERVES},
	{"image and servers changed", change_image_and_servers, SERVES},
	{"image changed, connections last", change_image, SERVES | LASTING},
	{"servers changed, connections last", change_servers, SERVES | LASTING},
	{"image must be pulled", change_image_to_be_pulled, SERVES},
	{"not wanted any more", not_wanted, 0},
	{"never made", never_made, 0},
	{"container removed", container_removed, 0},
	{"container stopped", container_stopped, 0},
	{"container paused", container_paused, 0},
	{"container paused, its socket gone", paused_without_socket, 0},
	{"config edited", file_edited, SERVES},
	{"config removed", file_removed, SERVES},
	{"config hidden", file_hidden, SERVES},
	{"made otherwise", made_otherwise, SERVES},
	/* Two users cannot share a port: the one has to go before the other comes. */
	{"made by another user", made_by_another_user, 0},
	{"another config loaded", old_config_loaded, SERVES},
	{"called otherwise", called_otherwise, SERVES},
	{"called otherwise, connections last", called_otherwise, SERVES | LASTING},
	{"image changed, with Podman", change_image, SERVES | PODMAN},
	{"image changed, with Podman, connections last", change_image, SERVES | PODMAN | LASTING},
	{"made otherwise, with Podman", made_otherwise, SERVES | PODMAN},
};

static void begin(struct place *place, unsigned flags)
{
	open_place(place);
	place->machine.podman = flags & PODMAN;
	add_bystander(place);
	run(place);
	expect_as_wanted(place, "at first");
}

START_TEST(what_is_new_is_made_and_then_left_alone)
{
	struct place place;

	begin(&place, 0);
	run(&place);
	expect_as_wanted(&place, "the second time");
	ck_assert_msg(place.machine.history == NULL, "%s", place.machine.history);
	close_place(&place);
}
END_TEST

/* Connections of those that were told to leave end at last. */
static void end_connections(struct place *place)
{
	for (struct fake_container *c = place->machine.containers; c; c = c->next)
		if (c->leaves)
			fake_leave(&place->machine, c);
}

static size_t times_told(const struct place *place, const char *words)
{
	size_t n = 0;

	for (const char *at = place->told; (at = strstr(at, words)) != NULL; at++)
		n++;
	return n;
}

/* The engine makes something else of what we ask for. */
START_TEST(a_container_is_not_replaced_in_vain)
{
	char first[65];
	struct place place;

	open_place(&place);
	place.machine.twists = true;
	run(&place);
	ck_assert_int_eq(place.last.result.err.kind, ERR_PERMANENT);
	ck_assert_msg(strstr(place.last.result.err.message,
			     "replacing the container has not helped: stop signal is "
			     "\"SIGTERM\", wanted \"SIGUSR1\""),
		      "%s", place.last.result.err.message);
	ck_assert_uint_eq(times_told(&place, "create: "), 2); /* the first, and one attempt */
	ck_assert_uint_eq(containers(&place), 1);
	strcpy(first, balancer(&place)->id);

	/* Not again, however often it is looked at, by whatever process. */
	for (int i = 0; i < 6; i++) {
		place.restarts = i >= 2;
		run(&place);
		ck_assert_msg(place.machine.history == NULL, "%s", place.machine.history);
		ck_assert_int_eq(place.last.result.err.kind, ERR_PERMANENT);
	}
	place.restarts = false;

	/* Everything else is repaired as ever. */
	fake_file_write(&place.machine, CONFIG, "# mine\n", strlen("# mine\n"), 0644);
	run(&place);
	ck_assert_str_eq(fake_file_find(&place.machine, CONFIG)->text, place.wanted->config);
	fake_end(the_balancer(&place), 1);
	run(&place);
	ck_assert_int_eq(balancer(&place)->status, FAKE_RUNNING);
	ck_assert_str_eq(balancer(&place)->id, first);

	/* Another container is another matter, and so is another engine. */
	place.machine.twists = false;
	fake_remove(&place.machine, the_balancer(&place));
	run(&place);
	expect_as_wanted(&place, "an engine that does as it is told");

	/* What it was made for has been mended: when it comes again, that is repaired again. */
	for (int i = 0; i < 2; i++) {
		json_object_object_add(the_balancer(&place)->request, "StopSignal",
				       json_object_new_string("SIGTERM"));
		run(&place);
		expect_as_wanted(&place, "the same once more");
	}
	close_place(&place);
}
END_TEST

START_TEST(a_changed_spec_is_tried_where_replacing_was_in_vain)
{
	struct place place;

	open_place(&place);
	place.machine.twists = true;
	run(&place);
	place.machine.twists = false;
	change_image(&place);
	run(&place);
	run(&place);
	expect_as_wanted(&place, "another image");
	close_place(&place);
}
END_TEST

/* Podman before 4.7. What has left is back at once, and must not stay. */
START_TEST(what_has_left_and_is_started_again_is_stopped)
{
	struct place place;

	begin(&place, PODMAN);
	run(&place);
	ck_assert_msg(place.machine.history == NULL, "%s", place.machine.history);
	change_image(&place);
	run(&place);
	expect_as_wanted(&place, "in the same run");
	ck_assert_uint_eq(times_told(&place, "it had drained, and the engine has started it again"), 2);

	/* With connections it stays for as long as they do. */
	place.machine.lasting = true;
	want(&place, OLD, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
	run(&place);
	ck_assert_uint_eq(containers(&place), 2);
	run(&place);
	ck_assert_uint_eq(containers(&place), 2);
	ck_assert_msg(place.machine.history == NULL, "%s", place.machine.history);
	place.machine.lasting = false;
	end_connections(&place);
	run(&place);
	expect_as_wanted(&place, "when its connections have ended");
	close_place(&place);
}
END_TEST

/* Podman does so while it tidies up what has left, or starts it again. */
START_TEST(a_refused_removal_is_tried_again_in_the_same_run)
{
	char line[128] = "";
	size_t nth = 0;
	struct place place;

	/* Which request it is. */
	do {
		open_place(&place);
		run(&place);
		change_image(&place);
		snprintf(line, sizeof(line), "remove %s   -> 500", balancer(&place)->id);
		fake_engine_fail(place.engine, ++nth, FAULT_REFUSED);
		run(&place);
		ck_assert_msg(fake_engine_has_failed(place.engine), "it was never removed");
		if (strstr(place.machine.history ? place.machine.history : "", line))
			break;
		close_place(&place);
	} while (true);
	expect_as_wanted(&place, "after another look");
	close_place(&place);
}
END_TEST

/* A thousand names with three addresses each, in both roles: more than a MiB. */
START_TEST(a_large_config_converges)
{
	char *servers = NULL;
	struct place place;
	size_t len;
	FILE *out = open_memstream(&servers, &len);

	for (int i = 0; i < 1000; i++)
		fprintf(out, "%skube-apiserver-%03d.a-cluster-with-a-name.example.com:6443", i ? ", " : "",
			i);
	fclose(out);
	open_place(&place);
	want(&place, OLD, "7443", servers);
	ck_assert_uint_gt(place.wanted->config_len, 1 << 20);
	run(&place);
	expect_as_wanted(&place, "at first");
	for (int i = 0; i < 2; i++) {
		memory_clear(&place.memory); /* it has to be read */
		run(&place);
		expect_as_wanted(&place, "when it is read");
		ck_assert_msg(!place.machine.history, "%s", place.machine.history);
	}
	/* It can be written over, too. */
	want(&place, OLD, "7443", "'192.0.2.1:6443'");
	memory_clear(&place.memory);
	run(&place);
	expect_as_wanted(&place, "a short one after it");
	free(servers);
	close_place(&place);
}
END_TEST

/* What somebody has, and has not from us, although it has our labels. */

enum { LABELLED = 1, /* with all of them */ LABELLED_OWNER = 2, COMMITTED = 4, MOUNTED = 8 };

static const struct lookalike {
	const char *name, *what;
	unsigned as;
} lookalikes[] = {
	{BYSTANDER, "run from a committed image", COMMITTED | LABELLED},
	{BYSTANDER, "the same with what the balancer mounts", COMMITTED | LABELLED | MOUNTED},
	{BYSTANDER, "labels copied into a compose file", LABELLED},
	{BYSTANDER, "the owner's label alone", LABELLED_OWNER},
	{BYSTANDER, "the owner's label alone, and mounts", LABELLED_OWNER | MOUNTED},
};

static struct json_object *labels_of(const struct fake_container *container, bool owner_only)
{
	struct json_object *all = NULL, *labels = NULL, *owner = NULL;

	json_object_object_get_ex(container->request, "Labels", &all);
	if (!owner_only)
		return json_object_get(all);
	labels = json_object_new_object();
	json_object_object_get_ex(all, LABEL_OWNER, &owner);
	json_object_object_add(labels, LABEL_OWNER, json_object_get(owner));
	return labels;
}

/* In the place of what has its name. */
static struct fake_container *add_lookalike(struct place *place, const struct lookalike *lookalike)
{
	struct json_object *request = json_object_new_object(), *host = json_object_new_object(), *binds;
	const char *image = lookalike->as & COMMITTED ? "debug:1" : OLD;
	struct fake_container *container;

	if (lookalike->as & COMMITTED)
		fake_commit(&place->machine, the_balancer(place), image);
	json_object_object_add(request, "Image", json_object_new_string(image));
	json_object_object_add(request, "Labels",
			       labels_of(the_balancer(place), lookalike->as & LABELLED_OWNER));
	if (lookalike->as & MOUNTED &&
	    json_pointer_get(the_balancer(place)->request, "/HostConfig/Binds", &binds) == 0)
		json_object_object_add(host, "Binds", json_object_get(binds));
	json_object_object_add(request, "HostConfig", host);
	fake_remove(&place->machine, fake_find(&place->machine, lookalike->name));
	container = fake_create(&place->machine, lookalike->name, request);
	container->status = FAKE_RUNNING;
	return container;
}

START_TEST(copied_labels_make_nothing_ours)
{
	const struct lookalike *lookalike = &lookalikes[_i];
	struct place place;
	char *subject;

	begin(&place, 0);
	subject =
		xasprintf("container %s (%.12s) has", lookalike->name, add_lookalike(&place, lookalike)->id);
	for (int i = 0; i < 2; i++) {
		run(&place);
		expect_as_wanted(&place, lookalike->what);
		expect_bystander(&place, lookalike->what);
		ck_assert_msg(!place.machine.history, "%s: %s", lookalike->what, place.machine.history);
		ck_assert_pstr_eq(place.lookalikes, subject);
	}
	/* Nor when it is nobody's any more. */
	want(&place, NULL, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		run(&place);
		ck_assert(place.last.result.removed && containers(&place) == 0);
		expect_bystander(&place, lookalike->what);
	}
	free(subject);
	close_place(&place);
}
END_TEST

/* Its spec is gone, and somebody goes on with what he has made of it, under the same name. */
START_TEST(a_name_and_copied_labels_make_nothing_ours)
{
	static const struct lookalike successor = {"lb", "under the balancer's name", COMMITTED | LABELLED};
	struct place place;

	begin(&place, 0);
	add_lookalike(&place, &successor);
	want(&place, NULL, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		run(&place);
		ck_assert_msg(balancer(&place) && balancer(&place)->status == FAKE_RUNNING, "%s",
			      place.machine.history);
	}
	close_place(&place);
}
END_TEST

/* The image of a balancer may be committed from the one before it. */
START_TEST(what_is_ours_and_has_another_name_goes_whatever_its_image)
{
	struct place place;

	begin(&place, 0);
	fake_commit(&place.machine, the_balancer(&place), "debug:1");
	want(&place, "debug:1", "7443", "'192.0.2.1:6443'");
	run(&place);
	expect_as_wanted(&place, "from a committed image");
	renamed(&place, "somehow");
	run(&place);
	expect_as_wanted(&place, "after it was renamed");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	ck_assert_pstr_eq(place.lookalikes, NULL);
	close_place(&place);
}
END_TEST

static void back_to_the_old_image(struct place *place)
{
	want(place, OLD, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
}

static void make_deaf(struct place *place)
{
	place->machine.deaf = the_balancer(place)->deaf = 1;
}

/* HAProxy's master loses what it is told until it is in its loop, and its worker answers before that. */
START_TEST(who_has_not_heard_is_told_again)
{
	static void (*const changes[])(struct place *) = {change_image, back_to_the_old_image};
	struct place place;

	begin(&place, 0);
	make_deaf(&place);
	for (int i = 0; i < N(changes); i++) {
		changes[i](&place);
		run(&place);
		expect_as_wanted(&place, "in the same run");
	}
	/* Its connections last: it listens no more, and nobody tells it a third time. */
	place.machine.lasting = true;
	change_image(&place);
	run(&place);
	ck_assert_uint_eq(containers(&place), 2);
	ck_assert_uint_eq(fake_serving(&place.machine), 1);
	run(&place);
	ck_assert_msg(place.machine.history == NULL, "%s", place.machine.history);
	close_place(&place);
}
END_TEST

START_TEST(a_reload_that_was_not_heard_is_repeated)
{
	struct place place;
	int64_t began;

	begin(&place, 0);
	make_deaf(&place);
	change_servers(&place);
	began = turned_clock_ms();
	run(&place);
	expect_as_wanted(&place, "in the same run");
	ck_assert_uint_eq(times_told(&place, "reload: "), 2);
	ck_assert_int_lt(turned_clock_ms() - began, 5000);
	close_place(&place);
}
END_TEST

/* It has just started, and is not to take over: it would take its part of the connections for as long as it
 * stays. */
START_TEST(a_successor_that_has_not_heard_is_told_again)
{
	struct place place;
	size_t nth = 0;
	bool came_to_it;

	do {
		begin(&place, 0);
		place.machine.deaf = 1;
		place.machine.lasting = true;
		change_image(&place);
		fake_engine_fail(place.engine, ++nth, FAULT_REFUSED);
		run(&place);
		came_to_it = fake_engine_has_failed(place.engine);
		run(&place);
		ck_assert_msg(fake_serving(&place.machine) == 1, "request %zu: %zu take connections\n%s%s",
			      nth, fake_serving(&place.machine), place.told, place.machine.history);
		close_place(&place);
	} while (came_to_it);
	ck_assert_uint_gt(nth, 20);
}
END_TEST

START_TEST(what_is_not_wanted_any_more_goes)
{
	struct place place;

	begin(&place, 0);
	want(&place, NULL, NULL, NULL);
	run(&place);
	ck_assert(place.last.result.removed);
	ck_assert_uint_eq(containers(&place), 0);
	close_place(&place);
}
END_TEST

/* The store is lost, and the balancer has got another name meanwhile: nobody knows what it was made for. */
static const struct fake_container *add_orphan(struct place *place)
{
	struct wanted *former = wanted_named("former", CONFIG, OLD, "7443", "'192.0.2.1:6443'");
	struct json_object *request = wanted_create_with_token(former, "00112233");
	struct fake_container *orphan = fake_create(&place->machine, "former", request);

	orphan->status = FAKE_RUNNING;
	orphan->loaded = xstrdup(former->config);
	wanted_unref(former);
	return orphan;
}

START_TEST(an_orphan_serves_until_what_its_spec_wants_does)
{
	const struct fake_container *orphan;
	struct place place;

	open_place(&place);
	add_bystander(&place);
	orphan = add_orphan(&place);
	want(&place, OLD, "7443", "'unloadable:6443'");
	run(&place);
	ck_assert_int_ne(place.last.result.err.kind, ERR_NONE);
	ck_assert_msg(fake_find(&place.machine, "former") == orphan && orphan->status == FAKE_RUNNING, "%s",
		      place.machine.history);
	want(&place, OLD, "7443", "'192.0.2.1:6443'");
	run(&place);
	expect_as_wanted(&place, "with another name");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	expect_bystander(&place, "with another name");
	close_place(&place);
}
END_TEST

/* Until all is as wanted; each run may take back what it could not end. */
#define RUNS 4

static bool is_as_wanted(const struct place *place)
{
	return place->last.result.err.kind == ERR_NONE && containers(place) == (place->wanted ? 1 : 0);
}

static void recover(struct place *place)
{
	for (int i = 0; i < RUNS; i++) {
		run(place);
		if (is_as_wanted(place))
			return;
		end_connections(place);
		turned_clock_turn(60000);
	}
}

/* Brings a place to where the change of the world begins, and makes it. */
static void enter(struct place *place, const struct world *world)
{
	begin(place, world->flags);
	place->machine.lasting = world->flags & LASTING;
	world->change(place);
}

static void expect_no_outage(const struct place *place, const struct world *world, const char *when)
{
	ck_assert_msg(!(world->flags & SERVES) || fake_engine_outages(place->engine) == 0,
		      "%s: an outage\n%s\n%s", when, place->told, place->machine.history);
}

/* What it was made from is gone, by whatever way. */

static void image_gone(struct place *place)
{
	fake_remove_image(&place->machine, OLD);
}

static void image_gone_and_file_edited(struct place *place)
{
	image_gone(place);
	file_edited(place);
}

static void image_gone_and_stopped(struct place *place)
{
	image_gone(place);
	container_stopped(place);
}

static void image_gone_and_changed(struct place *place)
{
	image_gone(place);
	change_image_and_servers(place);
}

static void image_gone_and_servers_changed(struct place *place)
{
	image_gone(place);
	change_servers(place);
}

static const struct world imageless[] = {
	{"image gone", image_gone, SERVES},
	{"image gone and config edited", image_gone_and_file_edited, SERVES},
	{"image gone and container stopped", image_gone_and_stopped, 0},
	{"image gone and another wanted", image_gone_and_changed, SERVES},
	{"image gone and other servers wanted", image_gone_and_servers_changed, SERVES},
};

START_TEST(an_image_that_is_gone_is_in_nobodys_way)
{
	const struct world *world = &imageless[_i];
	struct place place;

	enter(&place, world);
	run(&place);
	expect_no_outage(&place, world, world->name);
	expect_as_wanted(&place, world->name);
	ck_assert_msg(_i > 0 || !place.machine.history, "%s", place.machine.history);
	run(&place);
	ck_assert_msg(!place.machine.history, "%s", place.machine.history);
	close_place(&place);
}
END_TEST

START_TEST(a_change_is_made_true)
{
	const struct world *world = &worlds[_i];
	struct place place;

	enter(&place, world);
	recover(&place);
	expect_no_outage(&place, world, world->name);
	ck_assert_msg(is_as_wanted(&place), "%s: %s", world->name, place.last.result.err.message);
	if (place.wanted)
		expect_as_wanted(&place, world->name);
	run(&place);
	ck_assert_msg(place.machine.history == NULL, "%s: not quiet: %s", world->name, place.machine.history);
	close_place(&place);
}
END_TEST

/* HAProxy serves, and its stats socket is of no use, or gone. */
static void gag(struct place *place, enum fake_mouth mouth, bool successors, bool is_there)
{
	char *path = haproxy_socket_path("lb", fake_token(balancer(place)));

	if (is_there)
		fake_file_write(&place->machine, path, "", 0, 0666);
	fake_engine_gag(place->engine, successors ? NULL : fake_token(balancer(place)), mouth);
	free(path);
}

/* However it does not answer: nobody waits for it for long, and it is said until when. */
static void run_in_silence(struct place *place)
{
	int64_t began = turned_clock_ms();

	run(place);
	ck_assert_int_le(turned_clock_ms() - began, 10000);
	ck_assert_int_eq(place->last.result.err.kind, ERR_TRANSIENT);
	ck_assert_msg(
		strstr(place->last.result.err.message, "does not answer on its stats socket since 20") &&
			strstr(place->last.result.err.message, "a successor follows at 20"),
		"%s", place->last.result.err.message);
}

START_TEST(who_does_not_answer_gets_a_successor)
{
	int64_t began, starts;
	struct place place;

	begin(&place, 0);
	place.restarts = _i >= MOUTHS - MOUTH_SILENT;
	gag(&place, MOUTH_SILENT + _i % (MOUTHS - MOUTH_SILENT), false, true);
	began = turned_clock_ms();
	starts = place.machine.starts;
	while (turned_clock_ms() - began < SILENT_AFTER_MS - 10000) {
		run_in_silence(&place);
		turned_clock_turn(2000);
	}
	ck_assert_int_eq(place.machine.starts, starts);
	turned_clock_turn(began + SILENT_AFTER_MS - turned_clock_ms());
	run(&place);
	expect_as_wanted(&place, "with a successor");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	close_place(&place);
}
END_TEST

START_TEST(what_is_paused_without_its_socket_is_succeeded)
{
	char id[sizeof(((struct fake_container *)0)->id)];
	struct place place;

	begin(&place, 0);
	strcpy(id, balancer(&place)->id);
	paused_without_socket(&place);
	run(&place);
	expect_as_wanted(&place, "after one run");
	ck_assert_str_ne(balancer(&place)->id, id);
	close_place(&place);
}
END_TEST

static const struct {
	enum fake_mouth mouth;
	bool is_there;
} useless[] = {{MOUTH_REFUSES, true}, {MOUTH_SILENT, true}, {MOUTH_REFUSES, false}};

/* True when it has tried a successor. What is said changes with each of these, not with each look. */
static bool run_for_hours(struct place *place)
{
	char *before = xstrdup(place->last.result.err.message);
	int64_t began = turned_clock_ms();
	bool tries;

	run(place);
	/* Waiting for the successor included. */
	ck_assert_int_le(turned_clock_ms() - began, 25000);
	tries = strstr(place->told, "create: ") != NULL;
	if (!tries && strstr(before, "stats socket since"))
		ck_assert_str_eq(place->last.result.err.message, before);
	free(before);
	return tries;
}

START_TEST(successors_that_do_not_answer_become_rare)
{
	char id[sizeof(((struct fake_container *)0)->id)];
	struct place place;
	int64_t began;
	int tries = 0;

	begin(&place, 0);
	strcpy(id, balancer(&place)->id);
	place.restarts = _i >= N(useless);
	gag(&place, useless[_i % N(useless)].mouth, true, useless[_i % N(useless)].is_there);
	for (began = turned_clock_ms(); turned_clock_ms() - began < 240 * 60000;) {
		tries += run_for_hours(&place);
		end_connections(&place);
		turned_clock_turn(20000);
	}
	/* After 1, 3, 7, 15, 31, 63, 123 and 183 minutes. */
	ck_assert_int_eq(tries, 8);
	ck_assert_str_eq(balancer(&place)->id, id);
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	close_place(&place);
}
END_TEST

/* How many requests a change takes when all goes well. */
static size_t requests_of(const struct world *world)
{
	struct place place;
	size_t before, n;

	enter(&place, world);
	before = fake_engine_requests(place.engine);
	run(&place);
	n = fake_engine_requests(place.engine) - before;
	close_place(&place);
	return n;
}

/* One request of a change fails: who served goes on to serve, and the runs after it mend all. */
static void try_mishap(const struct world *world, size_t nth, const struct mishap *mishap)
{
	char *when = xasprintf("%s, request %zu %s", world->name, nth, mishap->name);
	struct place place;

	enter(&place, world);
	fake_engine_fail(place.engine, nth, mishap->how);
	run_until(&place, mishap);
	ck_assert_msg(fake_engine_has_failed(place.engine), "%s: there was no such request", when);
	expect_no_outage(&place, world, when);
	expect_bystander(&place, when);
	expect_whole_file(&place, when);
	recover(&place);
	expect_no_outage(&place, world, when);
	if (place.wanted)
		expect_as_wanted(&place, when);
	else
		ck_assert_msg(is_as_wanted(&place), "%s: something is left\n%s", when, place.machine.history);
	close_place(&place);
	free(when);
}

START_TEST(any_request_may_fail)
{
	const struct world *world = &worlds[_i];
	size_t n = requests_of(world);

	for (int i = 0; i < N(mishaps); i++)
		for (size_t nth = 1; nth <= n; nth++)
			try_mishap(world, nth, &mishaps[i]);
}
END_TEST

/* After a start: the host has been brought to `has`; recorded is what is in force, wanted what the spec says.
 */
enum { FORMER, CHANGED, THIRD };

static const struct start {
	const char *name;
	int has, recorded, wanted;
	void (*then)(struct place *place); /* what has become of it meanwhile; NULL: nothing */
	enum first_look look;
	bool touched;
} starts[] = {
	{"all is as recorded", FORMER, FORMER, FORMER, NULL, LOOK_KEEP, false},
	{"an edit waits", FORMER, FORMER, CHANGED, NULL, LOOK_KEEP, false},
	{"an older store", CHANGED, FORMER, CHANGED, NULL, LOOK_ADOPT, false},
	{"an older store, and it was stopped", CHANGED, FORMER, CHANGED, container_stopped, LOOK_ADOPT,
	 false},
	{"an older store, and another edit", CHANGED, FORMER, THIRD, NULL, LOOK_LEAVE, false},
	{"an older store, and an older spec", CHANGED, FORMER, FORMER, NULL, LOOK_LEAVE, false},
	{"a lost store, and an edit", FORMER, CHANGED, CHANGED, NULL, LOOK_LEAVE, false},
	{"an older store, and it is gone", CHANGED, FORMER, CHANGED, container_removed, LOOK_KEEP, true},
	{"drift, as ever", FORMER, FORMER, CHANGED, file_edited, LOOK_KEEP, true},
};

static struct wanted *version(int which)
{
	static const char *const servers[] = {
		[FORMER] = "'192.0.2.1:6443', '192.0.2.2:6443'",
		[CHANGED] = "'192.0.2.1:6443', '192.0.2.3:6443'",
		[THIRD] = "'192.0.2.1:6443', '192.0.2.4:6443'",
	};

	return wanted_of(OLD, "7443", servers[which]);
}

static void bring_to(struct place *place, int which)
{
	wanted_unref(place->wanted);
	place->wanted = version(which);
	while (!is_as_wanted(place))
		run(place);
}

START_TEST(after_a_start_the_host_decides)
{
	const struct start *start = &starts[_i];
	struct place place;

	open_place(&place);
	bring_to(&place, start->has);
	if (start->then)
		start->then(&place);
	forget(&place);
	wanted_unref(place.wanted);
	place.wanted = version(start->recorded);
	place.next = start->wanted == start->recorded ? NULL : version(start->wanted);
	place.unproven = true;
	place.reached = false;
	run(&place);
	ck_assert(place.reached);
	ck_assert_msg(place.last.result.look == start->look, "%s: %d", start->name, place.last.result.look);
	ck_assert_msg((place.machine.history != NULL) == start->touched, "%s: %s", start->name,
		      place.machine.history);
	ck_assert_msg(place.last.result.err.kind == ERR_NONE, "%s: %s", start->name,
		      place.last.result.err.message);
	if (start->look == LOOK_KEEP)
		expect_as_wanted(&place, start->name);
	close_place(&place);
}
END_TEST

/* A plan for the host, when the daemon has just started with a store that was lost. */
struct planned {
	bool done;
	size_t actions;
	enum first_look look;
};

static void on_planned(void *arg, struct host *host, const struct job_target *targets, size_t n,
		       const struct err *err)
{
	struct planned *planned = arg;

	(void)host;
	ck_assert_msg(!err, "%s", err ? err->message : "");
	ck_assert_uint_eq(n, 1);
	*planned = (struct planned){true, targets[0].result.plan.n, targets[0].result.look};
}

static void on_host_due(void *arg, struct host *host)
{
	(void)arg;
	host_run(host);
}

static void on_host_idle(void *arg, struct host *host, bool settled)
{
	(void)arg, (void)host, (void)settled;
}

static const struct removal *nobody_is_there(void *arg, const struct host *ahead)
{
	(void)ahead;
	return nobody_else(arg);
}

static struct planned plan_after_a_start(struct place *place)
{
	char *dir = temp_path("state"), *warning = NULL;
	struct err err;
	struct store *store = store_open(place->base, dir, &warning, &err);
	struct events *events = events_new(place->base, store);
	const struct host_context context = {
		.base = place->base,
		.store = store,
		.events = events,
		.owner = OWNER,
		.due = on_host_due,
		.idle = on_host_idle,
		.removal = nobody_is_there,
	};
	struct spec_host settings = {.url = (char *)"direct",
				     .label = (char *)"direct",
				     .engine = fake_engine_socket(place->engine)};
	struct host *host = host_new(&context, &settings);
	struct planned planned = {false};
	struct instance_change change;

	host_wish(host, "lb", place->wanted, false, &change);
	host_plan(host, on_planned, &planned);
	while (!planned.done)
		event_base_loop(place->base, EVLOOP_ONCE);
	host_free(host);
	events_free(events);
	store_close(store);
	free(settings.engine);
	free(dir);
	return planned;
}

START_TEST(a_plan_promises_no_more_than_the_first_look_allows)
{
	struct planned planned;
	struct place place;

	temp_make();
	open_place(&place);
	if (_i > 0)
		run(&place);
	want(&place, NEW, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
	planned = plan_after_a_start(&place);
	ck_assert_int_eq(planned.look, _i > 0 ? LOOK_LEAVE : LOOK_KEEP);
	ck_assert_int_eq(planned.actions > 0, _i == 0);
	close_place(&place);
	temp_remove();
}
END_TEST

/* A second balancer on the same host, of which a request costs the connection. */

static struct wanted *other_wanted(const char *name, int port, const char *servers)
{
	const struct spec_context context = {.have_agent = true};
	struct spec_errors errors = {0};
	char *yaml = xasprintf("image: " OLD "\napiLoadBalancers:\n- name: %s\n  host: {direct: {}}\n"
			       "  bindAddress: 192.0.2.9:%d\n  hostConfigPath: /etc/haproxy-%s/haproxy.cfg\n"
			       "  servers: [%s]\n",
			       name, port, name, servers);
	struct spec *spec = spec_parse("prod.yaml", yaml, strlen(yaml), &context, &errors);
	struct wanted *wanted;

	ck_assert_msg(spec != NULL, "%s", errors.n ? spec_error_text(&errors.v[0]) : "");
	wanted = wanted_new(OWNER, spec->name, &spec->instances[0], NULL);
	spec_free(spec);
	free(yaml);
	return wanted;
}

static struct wanted *second_wanted(const char *servers)
{
	return other_wanted("other", 7500, servers);
}

static bool runs_config(const struct place *place, const struct wanted *wanted)
{
	const struct fake_container *container = fake_find(&place->machine, wanted->instance.name);

	return container && container->loaded && strcmp(container->loaded, wanted->config) == 0;
}

/* Both at once; errs: what came of each. True when the run was one for the host. */
static bool run_both(struct place *place, const struct wanted *second, struct err errs[2])
{
	const struct job_options options = options_of(place);
	struct job_target *targets = xcalloc(2, sizeof(*targets));
	struct job *job;
	size_t n;

	place->done = false;
	targets[0] = target_of(place);
	targets[1].order.wanted = wanted_ref((struct wanted *)second);
	targets[1].order.name = xstrdup(second->instance.name);
	memory_init(&targets[1].memory);
	job = job_start(&options, targets, 2);
	while (!place->done)
		event_base_loop(place->base, EVLOOP_ONCE);
	targets = job_targets(job, &n);
	for (size_t i = 0; i < 2; i++)
		errs[i] = targets[i].result.err;
	job_free(job);
	return place->err.kind == ERR_NONE;
}

/* Both get other servers, and a request fails. False: there are not so many. */
static bool try_costly_request(size_t nth, enum fake_fault how, size_t *failed)
{
	struct wanted *before = second_wanted("'192.0.2.1:6443'"), *after = second_wanted("'192.0.2.3:6443'");
	bool came_to_it, host_is_well;
	struct err errs[2];
	struct place place;
	size_t bad;

	turned_clock_begin();
	open_place(&place);
	ck_assert(run_both(&place, before, errs));
	change_servers(&place);
	fake_engine_fail(place.engine, nth, how);
	host_is_well = run_both(&place, after, errs);
	came_to_it = fake_engine_has_failed(place.engine);
	/* Only the list of all containers is about all. */
	ck_assert_msg(host_is_well || strncmp(place.err.message, "list containers", 15) == 0,
		      "request %zu is taken for the host's: %s", nth, place.err.message);
	bad = (size_t)!runs_config(&place, place.wanted) + (size_t)!runs_config(&place, after);
	if (host_is_well) {
		ck_assert_msg(bad <= 1, "request %zu: %s; %s", nth, errs[0].message, errs[1].message);
		ck_assert_msg(bad == 0 || errs[0].kind != ERR_NONE || errs[1].kind != ERR_NONE,
			      "request %zu: one is not as wanted, and nobody says so", nth);
		*failed += bad;
	}
	wanted_unref(before);
	wanted_unref(after);
	close_place(&place);
	return came_to_it;
}

START_TEST(what_costs_the_connection_costs_the_others_nothing)
{
	static const enum fake_fault faults[] = {FAULT_CUT_BEFORE, FAULT_CUT_AFTER, FAULT_SILENT};
	size_t nth = 1, failed = 0;

	/* The first is the ping. */
	while (try_costly_request(++nth, faults[_i], &failed))
		;
	ck_assert_uint_gt(nth, 20);
	ck_assert_uint_gt(failed, 4);
}
END_TEST

static void on_both_reached(void *arg, const struct job_target *targets, size_t n)
{
	(void)arg, (void)targets;
	ck_assert_uint_eq(n, 2);
}

/* Two in a run that have nothing to do with each other: between them the engine worked for minutes. */
START_TEST(connections_lost_far_apart_do_not_fail_the_host)
{
	struct wanted *second = second_wanted("'192.0.2.1:6443'");
	struct job_options options;
	struct job_target *targets = xcalloc(2, sizeof(*targets));
	struct place place;
	struct job *job;
	bool again = false;
	size_t n;

	open_place(&place);
	options = options_of(&place);
	turned_clock_turn(1000);
	place.machine.pull_ms = 180000;
	change_image_to_be_pulled(&place);
	targets[0].order.wanted = wanted_ref(second);
	targets[0].order.name = xstrdup("other");
	memory_init(&targets[0].memory);
	targets[1] = target_of(&place);
	/* The ping, the list, and what is asked about the first. */
	fake_engine_fail(place.engine, 3, FAULT_CUT_BEFORE);
	options.reached = on_both_reached;
	job = job_start(&options, targets, 2);
	while (!place.done) {
		event_base_loop(place.base, EVLOOP_ONCE);
		if (again || !place.machine.history || !strstr(place.machine.history, "create"))
			continue;
		ck_assert(fake_engine_has_failed(place.engine));
		fake_engine_fail(place.engine, 1, FAULT_CUT_BEFORE);
		again = true;
	}
	ck_assert(again && fake_engine_has_failed(place.engine));
	ck_assert_int_gt(turned_clock_ms(), 180000);
	ck_assert_msg(place.err.kind == ERR_NONE, "%s", place.err.message);
	targets = job_targets(job, &n);
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_ne(targets[i].result.err.kind, ERR_NONE);
	job_free(job);
	wanted_unref(second);
	close_place(&place);
}
END_TEST

/* With nothing to do, a request that fails is no reason to do anything. */
START_TEST(a_mishap_alone_changes_nothing)
{
	const struct mishap *mishap = &mishaps[_i];
	struct place place;
	size_t before, n;

	begin(&place, 0);
	before = fake_engine_requests(place.engine);
	run(&place);
	n = fake_engine_requests(place.engine) - before;
	for (size_t nth = 1; nth <= n; nth++) {
		fake_engine_fail(place.engine, nth, mishap->how);
		run_until(&place, mishap);
		ck_assert(fake_engine_has_failed(place.engine));
		ck_assert_msg(!place.machine.history, "request %zu %s: %s", nth, mishap->name,
			      place.machine.history);
		run(&place);
		expect_as_wanted(&place, mishap->name);
		ck_assert_msg(!place.machine.history, "after request %zu %s: %s", nth, mishap->name,
			      place.machine.history);
	}
	close_place(&place);
}
END_TEST

/* A name is looked up anew by a reload: only after one that can be asked for. */
START_TEST(who_was_not_reloaded_need_not_have_looked_up_names)
{
	struct place place;
	int64_t began;

	begin(&place, 0);
	the_balancer(&place)->nameless = true;
	if (_i == 0)
		container_paused(&place);
	else
		renamed(&place, "lb-apilb-next");
	began = turned_clock_ms();
	run(&place);
	expect_as_wanted(&place, "with a name that has no address");
	ck_assert_str_eq(place.memory.refused.version, "");
	ck_assert_int_lt(turned_clock_ms() - began, 5000);
	ck_assert_uint_eq(times_told(&place, "reload: "), 1);
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	close_place(&place);
}
END_TEST

/* The one before it is gone: a daemon was killed in between. */
START_TEST(a_successor_that_serves_alone_is_never_told_to_leave)
{
	struct place place;
	struct fake_container *next;

	begin(&place, 0);
	next = renamed(&place, "lb-apilb-next");
	fake_engine_gag(place.engine, NULL, MOUTH_GARBAGE);
	for (int i = 0; i < 3; i++) {
		run(&place);
		ck_assert_int_ne(place.last.result.err.kind, ERR_NONE);
		ck_assert(containers(&place) == 1 && next->status == FAKE_RUNNING && !next->leaves);
	}
	fake_engine_gag(place.engine, NULL, MOUTH_SPEAKS);
	recover(&place);
	expect_as_wanted(&place, "when it speaks again");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	close_place(&place);
}
END_TEST

/* An engine that cannot mount a file which is gone says so with errors; but it may have others, too. */
START_TEST(a_mounted_file_is_gone_only_when_it_is)
{
	char first[65];
	struct place place;
	const struct fake_file *file;

	open_place(&place);
	wanted_unref(place.wanted);
	place.wanted = wanted_at("/etc/lb.cfg", OLD, "7443", "'192.0.2.1:6443'");
	run(&place);
	ck_assert_msg(place.last.result.err.kind == ERR_NONE, "%s", place.last.result.err.message);
	strcpy(first, balancer(&place)->id);
	place.machine.blind = true;
	for (int i = 0; i < 2; i++) {
		run(&place);
		ck_assert_msg(place.last.result.err.kind == ERR_NONE, "%s", place.last.result.err.message);
		ck_assert_str_eq(balancer(&place)->id, first);
		ck_assert_uint_eq(containers(&place), 1);
	}
	/* Nor when there is no image for a container that could tell. */
	fake_remove_image(&place.machine, OLD);
	run(&place);
	ck_assert_msg(place.last.result.err.kind == ERR_NONE, "%s", place.last.result.err.message);
	ck_assert_str_eq(balancer(&place)->id, first);
	ck_assert_uint_eq(times_told(&place, "pull: "), 1);
	ck_assert_uint_eq(times_told(&place, "write-config: "), 0);
	fake_file_remove(&place.machine, "/etc/lb.cfg");
	run(&place);
	ck_assert_str_ne(balancer(&place)->id, first);
	file = fake_file_find(&place.machine, "/etc/lb.cfg");
	ck_assert(file && strcmp(file->text, place.wanted->config) == 0);
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	close_place(&place);
}
END_TEST

/* Several on one host. */
#define HUNG 4
struct several {
	struct wanted *wanted[HUNG + 1];
	struct memory memory[HUNG + 1];
	struct err err[HUNG + 1];
};

static void on_several_reached(void *arg, const struct job_target *targets, size_t n)
{
	(void)arg, (void)targets;
	ck_assert_uint_eq(n, HUNG + 1);
}

static void run_several(struct place *place, struct several *several)
{
	struct job_options options = options_of(place);
	struct job_target *targets = xcalloc(HUNG + 1, sizeof(*targets));
	struct job *job;
	size_t n;

	options.reached = on_several_reached;
	place->done = false;
	for (size_t i = 0; i <= HUNG; i++) {
		targets[i].order.wanted = wanted_ref(several->wanted[i]);
		targets[i].order.name = xstrdup(several->wanted[i]->instance.name);
		memory_lend(&targets[i].memory, &several->memory[i], several->wanted[i]->version,
			    clock_monotonic_ms());
	}
	job = job_start(&options, targets, HUNG + 1);
	while (!place->done)
		event_base_loop(place->base, EVLOOP_ONCE);
	targets = job_targets(job, &n);
	for (size_t i = 0; i <= HUNG; i++) {
		several->err[i] = targets[i].result.err;
		memory_take(&several->memory[i], &targets[i].memory, several->wanted[i]->version,
			    &targets[i].result.err, clock_monotonic_ms());
	}
	job_free(job);
}

/* The last of them is slow, as where there is little CPU, and all before it are hung: that costs it nothing.
 */
START_TEST(who_hangs_costs_nobody_elses_verdict)
{
	struct several several;
	struct place place;
	int runs = 0;

	open_place(&place);
	for (int i = 0; i <= HUNG; i++) {
		char *name = xasprintf("lb%d", i);

		several.wanted[i] = other_wanted(name, 7500 + i, "'192.0.2.1:6443'");
		memory_init(&several.memory[i]);
		free(name);
	}
	run_several(&place, &several);
	fake_engine_gag(place.engine, fake_token(fake_find(&place.machine, "lb4")), MOUTH_SLOW);
	fake_engine_gag_others(place.engine, MOUTH_SILENT);
	do {
		run_several(&place, &several);
		ck_assert_msg(!several.memory[HUNG].silence.run, "%s", several.err[HUNG].message);
		if (several.err[HUNG].kind != ERR_NONE)
			ck_assert_pstr_eq(several.err[HUNG].message,
					  "HAProxy does not answer yet: it was given a moment only, because "
					  "others on its host do not answer");
	} while (several.err[HUNG].kind != ERR_NONE && ++runs < HUNG);
	ck_assert_msg(several.err[HUNG].kind == ERR_NONE, "%s", several.err[HUNG].message);
	for (int i = 0; i <= HUNG; i++) {
		ck_assert(i == HUNG || several.memory[i].silence.run);
		wanted_unref(several.wanted[i]);
		memory_clear(&several.memory[i]);
	}
	close_place(&place);
}
END_TEST

#define MINE "global # mine\n"

static void somebody_elses(struct place *place)
{
	never_made(place);
	fake_file_write(&place->machine, CONFIG, MINE, strlen(MINE), 0600);
}

static void expect_untouched(const struct place *place, const char *when)
{
	const struct fake_file *file = fake_file_find(&place->machine, CONFIG);

	ck_assert_msg(file && strcmp(file->text, MINE) == 0 && file->mode == 0600, "%s: it was touched\n%s",
		      when, place->machine.history);
}

static void expect_conflict(const struct place *place, const char *when)
{
	const struct err *err =
		place->observe_only ? &place->last.result.plan.trouble : &place->last.result.err;

	ck_assert_msg(err->kind == ERR_CONFLICT, "%s: %s", when, err->message);
	ck_assert_msg(strncmp(err->message, CONFIG " on the host is not ours", strlen(CONFIG) + 24) == 0,
		      "%s: %s", when, err->message);
	ck_assert_msg(containers(place) == 0, "%s: something is left\n%s", when, place->machine.history);
}

/* Whatever fails on the way; also for a plan, which leaves nothing behind. */
START_TEST(what_is_somebody_elses_is_left_alone)
{
	static const struct world world = {"a file of somebody else", somebody_elses, 0};
	const struct mishap *mishap = &mishaps[_i % N(mishaps)];
	struct place place;
	size_t before, n;

	enter(&place, &world);
	run(&place);
	expect_conflict(&place, "at first");
	place.observe_only = _i >= N(mishaps);
	before = fake_engine_requests(place.engine);
	run(&place);
	n = fake_engine_requests(place.engine) - before;
	expect_conflict(&place, "once more");
	for (size_t nth = 1; nth <= n; nth++) {
		fake_engine_fail(place.engine, nth, mishap->how);
		run_until(&place, mishap);
		fake_engine_fail(place.engine, 0, mishap->how);
		expect_untouched(&place, mishap->name);
		place.observe_only = false;
		run(&place);
		expect_conflict(&place, mishap->name);
		expect_untouched(&place, mishap->name);
		place.observe_only = _i >= N(mishaps);
	}
	/* And when it is gone: */
	place.observe_only = false;
	fake_file_remove(&place.machine, CONFIG);
	run(&place);
	expect_as_wanted(&place, "without it");
	close_place(&place);
}
END_TEST

#define BESIDE "/etc/haproxy-lb/of-others.cfg"

/* The container shows the other file of its directory as well, and says nothing of whose that is. */
START_TEST(what_is_somebody_elses_in_our_directory_is_left_alone)
{
	struct place place;

	begin(&place, 0);
	fake_file_write(&place.machine, BESIDE, MINE, strlen(MINE), 0644);
	wanted_unref(place.wanted);
	place.wanted = wanted_at(BESIDE, OLD, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
	for (int i = 0; i < 4; i++) {
		place.observe_only = i % 2 == 0;
		run(&place);
		ck_assert_int_eq(place.observe_only ? place.last.result.plan.trouble.kind
						    : place.last.result.err.kind,
				 ERR_CONFLICT);
		ck_assert_str_eq(fake_file_find(&place.machine, BESIDE)->text, MINE);
		ck_assert_msg(strcmp(place.memory.config_path, BESIDE) != 0 || !place.memory.config_sha256[0],
			      "it counts as read");
		ck_assert(balancer(&place)->loaded && containers(&place) == 1);
	}
	/* And when it is gone, or what is there is ours: */
	place.observe_only = false;
	if (_i == 0)
		fake_file_remove(&place.machine, BESIDE);
	else
		fake_file_write(&place.machine, BESIDE, place.wanted->config, place.wanted->config_len, 0644);
	run(&place);
	ck_assert_msg(place.last.result.err.kind == ERR_NONE, "%s", place.last.result.err.message);
	ck_assert_str_eq(fake_file_find(&place.machine, BESIDE)->text, place.wanted->config);
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	run(&place);
	ck_assert_msg(!place.machine.history, "not quiet: %s", place.machine.history);
	close_place(&place);
}
END_TEST

START_TEST(files_may_have_one_name_only)
{
	struct place place;

	open_place(&place);
	place.machine.no_links = true;
	add_bystander(&place);
	/* What the config names is in a place of ours, as before. */
	run(&place);
	expect_as_wanted(&place, "made");
	change_servers(&place);
	run(&place);
	expect_as_wanted(&place, "changed");
	ck_assert_uint_eq(fake_engine_outages(place.engine), 0);
	close_place(&place);
}
END_TEST

START_TEST(what_the_store_knows_is_ours)
{
	struct place place;

	begin(&place, 0);
	container_removed(&place);
	file_edited(&place);
	run(&place);
	expect_as_wanted(&place, "with a store");
	container_removed(&place);
	file_edited(&place);
	forget(&place);
	run(&place);
	ck_assert_int_eq(place.last.result.err.kind, ERR_CONFLICT);
	close_place(&place);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("run");
	TCase *tcase = tcase_create("run"), *faults = tcase_create("faults");
	SRunner *runner;
	int failed;

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_test(tcase, what_is_new_is_made_and_then_left_alone);
	tcase_add_loop_test(tcase, a_change_is_made_true, 0, N(worlds));
	tcase_add_test(tcase, a_container_is_not_replaced_in_vain);
	tcase_add_test(tcase, a_changed_spec_is_tried_where_replacing_was_in_vain);
	tcase_add_test(tcase, what_has_left_and_is_started_again_is_stopped);
	tcase_add_test(tcase, a_refused_removal_is_tried_again_in_the_same_run);
	tcase_add_loop_test(tcase, what_costs_the_connection_costs_the_others_nothing, 0, 3);
	tcase_add_test(tcase, connections_lost_far_apart_do_not_fail_the_host);
	tcase_add_loop_test(tcase, a_plan_promises_no_more_than_the_first_look_allows, 0, 2);
	tcase_add_loop_test(tcase, an_image_that_is_gone_is_in_nobodys_way, 0, N(imageless));
	tcase_add_test(tcase, a_large_config_converges);
	tcase_add_loop_test(tcase, copied_labels_make_nothing_ours, 0, N(lookalikes));
	tcase_add_test(tcase, a_name_and_copied_labels_make_nothing_ours);
	tcase_add_test(tcase, what_is_ours_and_has_another_name_goes_whatever_its_image);
	tcase_add_test(tcase, who_has_not_heard_is_told_again);
	tcase_add_test(tcase, a_reload_that_was_not_heard_is_repeated);
	tcase_add_test(tcase, a_successor_that_has_not_heard_is_told_again);
	tcase_add_test(tcase, what_is_not_wanted_any_more_goes);
	tcase_add_test(tcase, an_orphan_serves_until_what_its_spec_wants_does);
	tcase_add_loop_test(tcase, after_a_start_the_host_decides, 0, N(starts));
	tcase_add_loop_test(tcase, a_mishap_alone_changes_nothing, 0, N(mishaps));
	tcase_add_loop_test(tcase, who_was_not_reloaded_need_not_have_looked_up_names, 0, 2);
	tcase_add_test(tcase, a_successor_that_serves_alone_is_never_told_to_leave);
	tcase_add_loop_test(tcase, what_is_somebody_elses_is_left_alone, 0, 2 * N(mishaps));
	tcase_add_loop_test(tcase, what_is_somebody_elses_in_our_directory_is_left_alone, 0, 2);
	tcase_add_test(tcase, who_hangs_costs_nobody_elses_verdict);
	tcase_add_test(tcase, a_mounted_file_is_gone_only_when_it_is);
	tcase_add_test(tcase, files_may_have_one_name_only);
	tcase_add_test(tcase, what_the_store_knows_is_ours);
	tcase_add_loop_test(tcase, who_does_not_answer_gets_a_successor, 0, 2 * (MOUTHS - MOUTH_SILENT));
	tcase_add_test(tcase, what_is_paused_without_its_socket_is_succeeded);
	tcase_add_loop_test(tcase, successors_that_do_not_answer_become_rare, 0, 2 * N(useless));
	/* Thousands of runs: minutes under sanitizers on a busy machine, and not for valgrind. */
	tcase_set_tags(faults, "long");
	tcase_add_loop_test(faults, any_request_may_fail, 0, N(worlds));
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, faults);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
