#include "tests/run_place.h"

#include <check.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec/spec.h"
#include "daemon/io/clock.h"
#include "tests/some_spec.h"
#include "tests/turned_clock.h"

const struct mishap mishaps[MISHAPS] = {

	{"was cut before it was read", FAULT_CUT_BEFORE, false, false},
	{"was cut before its answer", FAULT_CUT_AFTER, false, false},
	{"was refused", FAULT_REFUSED, false, false},
	{"was never answered", FAULT_SILENT, false, false},
	{"met a full disk", FAULT_DISK_FULL, false, false},
	{"was cancelled", FAULT_SILENT, true, false},
	{"was the last before a kill", FAULT_CUT_BEFORE, true, true},
	{"was the last that a kill let through", FAULT_CUT_AFTER, true, true},
};
struct wanted *wanted_named(const char *name, const char *path, const char *image, const char *port,
			    const char *servers)
{
	char *yaml = xasprintf("image: %s\n"
			       "apiLoadBalancers:\n"
			       "- name: %s\n"
			       "  host: {direct: {}}\n"
			       "  bindAddress: 192.0.2.9:%s\n"
			       "  hostConfigPath: %s\n"
			       "  servers: [%s]\n",
			       image, name, port, path, servers);
	struct wanted *wanted = parse_wanted(yaml);

	free(yaml);
	return wanted;
}

struct wanted *wanted_at(const char *path, const char *image, const char *port, const char *servers)
{
	return wanted_named("lb", path, image, port, servers);
}

struct wanted *wanted_of(const char *image, const char *port, const char *servers)
{
	return wanted_at(CONFIG, image, port, servers);
}

void place_want(struct place *place, const char *image, const char *port, const char *servers)
{
	wanted_unref(place->wanted);
	place->wanted = image ? wanted_of(image, port, servers) : NULL;
}

void place_open(struct place *place)
{
	*place = (struct place){.base = event_base_new(), .told = xstrdup("")};
	fake_machine_init(&place->machine);
	fake_add_image(&place->machine, OLD);
	fake_add_image(&place->machine, NEW);
	place->engine = fake_engine_new(place->base, &place->machine);
	memory_init(&place->memory);
	place_want(place, OLD, "7443", "'192.0.2.1:6443', '192.0.2.2:6443'");
}

void place_close(struct place *place)
{
	job_target_clear(&place->last);
	wanted_unref(place->wanted);
	wanted_unref(place->former);
	wanted_unref(place->next);
	wanted_unref(place->second);
	wanted_unref(place->second_next);
	fake_engine_free(place->engine);
	fake_machine_clear(&place->machine);
	event_base_free(place->base);
	turned_clock_begin();
	free(place->lookalikes);
	free(place->waiting);
	free(place->told);
	memory_clear(&place->memory);
	draining_clear(&place->draining);
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

	ck_assert_uint_eq(n, place->second ? 2 : 1);
	ck_assert_str_eq(targets[place->second && place->second_first ? 1 : 0].order.name, "lb");
	/* Once it is, it is: a connection that was lost is made anew in the same run. */
	if (place->reached)
		return;
	/* It is written down then that something may be there. */
	ck_assert_msg(!place->machine.history, "before that: %s", place->machine.history);
	place->reached = true;
}

const struct removal *nobody_else(void *arg)
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
					    .former = place->former ? wanted_ref(place->former) : NULL,
					    .next = place->next ? wanted_ref(place->next) : NULL,
					    .unproven = place->unproven,
				    }};

	memory_lend(&target.memory, &place->memory, version_of(place), clock_ms());
	return target;
}

/* Of the other balancer nothing is remembered. */
static struct job_target second_target_of(const struct place *place)
{
	struct job_target target = {
		.order = {
			.name = xstrdup(place->second->instance.name),
			.wanted = wanted_ref(place->second),
			.unproven = place->unproven,
			.next = place->second_next ? wanted_ref(place->second_next) : NULL,
		}};

	memory_init(&target.memory);
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
			    clock_ms());
	}
	job_target_clear(&place->last);
	place->last = *target;
	*target = (struct job_target){.stray_of = NULL};
	if (place->last.result.err.kind == ERR_NONE)
		place->last.result.err = place->err;
}

void place_forget(struct place *place)
{
	job_target_clear(&place->last);
	place->last = (struct job_target){.stray_of = NULL};
	memory_clear(&place->memory);
	draining_clear(&place->draining);
}

/* What the store has of it is all that the next process knows (instance_new). */
static void restart(struct place *place)
{
	const struct silence_clock now = {.ms = clock_ms(), .unix_ms = clock_now_ms()};
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
	draining_clear(&place->draining);
	place->memory = after;
	place->unproven = true;
	free(json);
}

struct job_options place_options(struct place *place)
{
	return (struct job_options){
		.base = place->base,
		.owner = OWNER,
		.engine = "/run/docker.sock",
		.observe_only = place->observe_only,
		.as_root = true,
		.draining = &place->draining,
		.silent_after_ms = SILENT_AFTER_MS,
		.open = open_stream,
		.reached = on_reached,
		.removal = nobody_else,
		.tell = on_told,
		.done = on_done,
		.arg = place,
	};
}

static struct job *start(struct place *place)
{
	const struct job_options options = place_options(place);
	size_t n = place->second ? 2 : 1, lb = place->second && place->second_first ? 1 : 0;
	struct job_target *targets = xcalloc(n, sizeof(*targets));

	targets[lb] = target_of(place);
	if (place->second)
		targets[1 - lb] = second_target_of(place);
	return job_start(&options, targets, n);
}

static void end(struct place *place, struct job *job)
{
	size_t n, lb = place->second && place->second_first ? 1 : 0;
	struct job_target *targets = job_targets(job, &n);

	if (place->second)
		place->second_err = targets[1 - lb].result.err;
	place->due = place->later = 0;
	for (size_t i = 0; i < n; i++) {
		place->due += job_target_is_found(&targets[i]) && targets[i].result.plan.n > 0;
		place->later += job_target_is_found(&targets[i]) && targets[i].result.plan.later_n > 0;
	}
	take_verdict(place, &targets[lb]);
}

void place_run_until(struct place *place, const struct mishap *mishap)
{
	struct job *job;

	FREE(place->machine.history);
	free(place->told);
	place->told = xstrdup("");
	place->done = false;
	job = start(place);
	while (!place->done && !(mishap && mishap->cancelled && fake_engine_has_failed(place->engine))) {
		event_base_loop(place->base, EVLOOP_ONCE);
		if (place->each_turn)
			place->each_turn(place);
	}
	free(place->lookalikes);
	place->lookalikes = job_lookalikes(job);
	free(place->waiting);
	place->waiting = job_waiting(job);
	if (!place->observe_only)
		job_note_draining(job, &place->draining);
	if (place->done)
		end(place, job);
	job_free(job);
	if (mishap && mishap->forgotten)
		place_forget(place);
	if (place->restarts)
		restart(place);
}

void place_run(struct place *place)
{
	place_run_until(place, NULL);
}

struct fake_container *place_balancer(const struct place *place)
{
	struct fake_container *found = fake_find(&place->machine, "lb");

	return found && strcmp(found->name, "lb") == 0 ? found : NULL;
}

size_t place_containers(const struct place *place)
{
	size_t n = 0;

	for (const struct fake_container *c = place->machine.containers; c; c = c->next)
		n += strcmp(c->name, BYSTANDER) != 0;
	return n;
}

/* Somebody else's, of a name that begins like one of ours. */
void place_add_bystander(struct place *place)
{
	struct json_object *request = json_object_new_object();

	json_object_object_add(request, "Image", json_object_new_string(OLD));
	fake_create(&place->machine, BYSTANDER, request)->status = FAKE_RUNNING;
}

void expect_bystander(const struct place *place, const char *when)
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

void expect_as_wanted(const struct place *place, const char *when)
{
	const struct fake_file *file = fake_file_find(&place->machine, CONFIG);

	ck_assert_msg(place->last.result.err.kind == ERR_NONE, "%s: %s\n%s", when,
		      place->last.result.err.message, place->told);
	ck_assert_msg(place_balancer(place) && place_containers(place) == 1, "%s: %zu containers\n%s%s", when,
		      place_containers(place), place->told, place->machine.history);
	ck_assert_msg(place_balancer(place)->status == FAKE_RUNNING && place_balancer(place)->loaded,
		      "%s: it does not run", when);
	ck_assert_str_eq(image_of(place_balancer(place)), place->wanted->instance.image);
	ck_assert_msg(file && strcmp(file->text, place->wanted->config) == 0, "%s: the file is another",
		      when);
	ck_assert_msg(strcmp(place_balancer(place)->loaded, place->wanted->config) == 0,
		      "%s: another config is loaded", when);
}

/* What HAProxy would be given if it had to start now. */
void expect_whole_file(const struct place *place, const char *when)
{
	const struct fake_file *file = fake_file_find(&place->machine, CONFIG);

	ck_assert_msg(!file || (file->len > 0 && file->text[file->len - 1] == '\n'), "%s: half a config\n%s",
		      when, place->machine.history);
}

/* Until all is as wanted; each run may take back what it could not end. */
#define RUNS 4

bool place_is_as_wanted(const struct place *place)
{
	return place->last.result.err.kind == ERR_NONE && place_containers(place) == (place->wanted ? 1 : 0);
}

void place_recover(struct place *place)
{
	for (int i = 0; i < RUNS; i++) {
		place_run(place);
		if (place_is_as_wanted(place))
			return;
		place_end_connections(place);
		turned_clock_turn(60000);
	}
}

void place_begin(struct place *place, unsigned flags)
{
	place_open(place);
	place->machine.podman = flags & PODMAN;
	place_add_bystander(place);
	place_run(place);
	expect_as_wanted(place, "at first");
}

/* Connections of those that were told to leave end at last. */
void place_end_connections(struct place *place)
{
	for (struct fake_container *c = place->machine.containers; c; c = c->next)
		if (c->leaves)
			fake_leave(&place->machine, c);
}

size_t place_times_told(const struct place *place, const char *words)
{
	size_t n = 0;

	for (const char *at = place->told; (at = strstr(at, words)) != NULL; at++)
		n++;
	return n;
}
