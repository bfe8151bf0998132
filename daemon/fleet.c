#include <event2/event.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec_state.h"
#include "daemon/fleet_internal.h"
#include "daemon/io/watch.h"
#include "daemon/server_news.h"

/* The user does not count: another login on a machine finds the same containers. */
static char *key_of(const struct spec_host *settings)
{
	return xasprintf("%s %s", settings->label, settings->engine);
}

static struct member *find_member(struct fleet *fleet, const struct host *host)
{
	struct member *member;

	HASH_FIND(hh_host, fleet->members_by_host, &host, sizeof(host), member);
	return member;
}

/* In the array that others read: at its end, or out of it, the last one taking its place. */

static void list_host(struct fleet *fleet, struct member *member)
{
	/* Room doubles: it is full when the number is a power of two. */
	if ((fleet->hosts_n & (fleet->hosts_n - 1)) == 0)
		fleet->hosts = xreallocarray(fleet->hosts, fleet->hosts_n ? 2 * fleet->hosts_n : 1,
					     sizeof(struct host *));
	member->place = fleet->hosts_n;
	fleet->hosts[fleet->hosts_n++] = member->host;
}

static void unlist_host(struct fleet *fleet, struct member *member)
{
	struct host *last = fleet->hosts[--fleet->hosts_n];

	fleet->hosts[member->place] = last;
	find_member(fleet, last)->place = member->place;
}

static void set_settled(struct fleet *fleet, struct member *member, bool settled)
{
	if (member->settled && !settled)
		fleet->unsettled++;
	else if (!member->settled && settled)
		fleet->unsettled--;
	member->settled = settled;
}

struct member *fleet_member_for(struct fleet *fleet, const struct spec_host *settings)
{
	char *key = key_of(settings);
	struct member *member;

	HASH_FIND_STR(fleet->members, key, member);
	if (member) {
		free(key);
		return member;
	}
	member = xcalloc(1, sizeof(*member));
	member->key = key;
	member->host = host_new(&fleet->context, settings);
	HASH_ADD_KEYPTR(hh, fleet->members, member->key, strlen(member->key), member);
	HASH_ADD_KEYPTR(hh_host, fleet->members_by_host, &member->host, sizeof(member->host), member);
	list_host(fleet, member);
	fleet->unsettled++;
	return member;
}

void fleet_make_due(struct fleet *fleet, struct member *member)
{
	set_settled(fleet, member, false);
	host_kick(member->host);
}

static void member_free(struct fleet *fleet, struct member *member)
{
	unlist_host(fleet, member);
	set_settled(fleet, member, true);
	HASH_DELETE(hh, fleet->members, member);
	HASH_DELETE(hh_host, fleet->members_by_host, member);
	if (member->queued)
		TAILQ_REMOVE(&member->lane->queue, member, entry);
	if (member->running)
		member->lane->running--;
	host_free(member->host);
	free(member->key);
	free(member);
}

static void fill_lane(struct lane *lane, size_t places)
{
	struct member *member;

	while (lane->running < places && (member = TAILQ_FIRST(&lane->queue)) != NULL) {
		TAILQ_REMOVE(&lane->queue, member, entry);
		member->queued = false;
		member->running = true;
		lane->running++;
		host_run(member->host);
	}
}

void fleet_fill_places(struct fleet *fleet)
{
	if (fleet->holding)
		return;
	fill_lane(&fleet->well, (size_t)fleet->options.settings->concurrency);
	fill_lane(&fleet->failing, (size_t)fleet->options.settings->concurrency);
}

static void on_due(void *arg, struct host *host)
{
	struct fleet *fleet = arg;
	struct member *member = find_member(fleet, host);

	member->queued = true;
	member->lane = host_failures(host) > 0 ? &fleet->failing : &fleet->well;
	TAILQ_INSERT_TAIL(&member->lane->queue, member, entry);
	fleet_fill_places(fleet);
}

/* Nothing happens any more by itself, if that is so. */
static void rest(struct fleet *fleet)
{
	if (fleet->ready && fleet->unsettled == 0 && !event_pending(fleet->found, EV_TIMEOUT, NULL) &&
	    rollouts_are_idle(fleet->rollouts))
		fleet->options.quiet(fleet->options.arg);
}

static void on_idle(void *arg, struct host *host, bool settled)
{
	struct fleet *fleet = arg;
	struct member *member = find_member(fleet, host);
	size_t instances;

	member->running = false;
	member->lane->running--;
	if (settled) {
		set_settled(fleet, member, true);
		rollouts_ran(fleet->rollouts, host);
	}
	host_instances(host, &instances);
	if (instances == 0)
		member_free(fleet, member);
	fleet_fill_places(fleet);
	/* Twenty hosts at once leave a megabyte of holes, which nobody needs until they are due again. */
	if (fleet_running(fleet) == 0)
		malloc_trim(0);
	rest(fleet);
}

static void on_changed_by_rollout(void *arg, struct host *host)
{
	struct fleet *fleet = arg;

	fleet_make_due(fleet, find_member(fleet, host));
}

static void on_moved(void *arg)
{
	rest(arg);
}

/* Hosts are seen in swarms: once for all of a swarm, since it goes over all specs. */
static void on_found(void *arg)
{
	struct fleet *fleet = arg;

	if (!event_pending(fleet->found, EV_TIMEOUT, NULL))
		evtimer_add(fleet->found, &(struct timeval){.tv_usec = 100000});
}

static void on_found_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	fleet_apply_specs(arg);
	rest(arg);
}

/* The directory. */

static bool has_recorded(void *arg, const char *name)
{
	struct fleet_walk walk = {.fleet = arg};

	while (fleet_next(&walk))
		if (strcmp(walk.instance->record.spec, name) == 0)
			return true;
	return false;
}

/* The store's name for which directory the specs came from. */
#define META_SPEC_DIR "spec-dir"

/* What an empty directory means is a question of which one it is, also after a restart. */
static void expect_directory(struct fleet *fleet)
{
	char *place = store_get_meta(fleet->options.store, META_SPEC_DIR);
	size_t n;

	specs_files(fleet->specs, &n);
	if (n > 0)
		watch_expect(fleet->watch, place ? place : "");
	free(place);
}

static void remember_directory(struct fleet *fleet)
{
	const char *place = watch_place(fleet->watch);
	char *known = store_get_meta(fleet->options.store, META_SPEC_DIR);

	if (place && (!known || strcmp(known, place) != 0))
		store_put_meta(fleet->options.store, META_SPEC_DIR, place);
	free(known);
}

static void follow(void *arg, const char *path, const struct file_stamp *stamp)
{
	watch_follow(arg, path, stamp);
}

static int load(struct fleet *fleet, struct err *err)
{
	struct watch_listing listing = {0};
	bool changed = false;
	int rc = watch_scan(fleet->watch, &listing, err);

	if (rc == 0) {
		changed = specs_update(fleet->specs, &listing, has_recorded, fleet);
		specs_each_named(fleet->specs, follow, fleet->watch);
		remember_directory(fleet);
		if (fleet->directory_error)
			events_add(fleet->options.events, LOG_LEVEL_INFO, NULL, NULL, "spec-dir",
				   "the spec directory can be read again");
		FREE(fleet->directory_error);
	} else if (!fleet->directory_error || strcmp(fleet->directory_error, err->message) != 0) {
		events_add(fleet->options.events, LOG_LEVEL_ERROR, NULL, NULL, "spec-dir",
			   "%s; what was in force stays in force", err->message);
		free(fleet->directory_error);
		fleet->directory_error = xstrdup(err->message);
	}
	watch_listing_clear(&listing);
	if (changed || !fleet->ready)
		fleet_apply_specs(fleet);
	fleet->ready = true;
	return rc;
}

int fleet_load(struct fleet *fleet, struct err *err)
{
	if (fleet->ready && watch_settling(fleet->watch))
		return 0;
	return load(fleet, err);
}

bool fleet_wait(struct fleet *fleet, struct fleet_waiter *waiter)
{
	bool waits = fleet->ready && watch_settling(fleet->watch);

	if (waits)
		TAILQ_INSERT_TAIL(&fleet->waiters, waiter, entry);
	return waits;
}

void fleet_wait_cancel(struct fleet *fleet, struct fleet_waiter *waiter)
{
	TAILQ_REMOVE(&fleet->waiters, waiter, entry);
}

static void end_waiting(struct fleet *fleet, bool loaded)
{
	struct fleet_waiter *waiter;

	while ((waiter = TAILQ_FIRST(&fleet->waiters)) != NULL) {
		TAILQ_REMOVE(&fleet->waiters, waiter, entry);
		waiter->loaded(waiter->arg, loaded);
	}
}

/* It has settled; or it never does, and has to be looked at all the same. Who waits is served before anybody
 * runs: a plan is to show what an edit does, not that it has been done. */
static void on_changed(void *arg)
{
	struct fleet *fleet = arg;
	struct err err;

	if (!fleet->ready)
		return; /* fleet_load is still to come */
	fleet->holding++;
	load(fleet, &err); /* it has told what went wrong */
	end_waiting(fleet, true);
	fleet->holding--;
	fleet_fill_places(fleet);
}

static void on_rescan(evutil_socket_t fd, short what, void *arg)
{
	struct err err;

	(void)fd;
	(void)what;
	if (((struct fleet *)arg)->ready)
		fleet_load(arg, &err); /* likewise */
}

void fleet_settings_changed(struct fleet *fleet)
{
	int64_t ms = fleet->options.settings->resync_ms;
	struct timeval every = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	fleet->context.resync_ms = ms;
	fleet->context.silent_after_ms = fleet->options.settings->silent_after_ms;
	event_add(fleet->rescan, &every);
	fleet_fill_places(fleet);
}

/* What others ask. */

bool fleet_touches(const struct host *host, const char *spec)
{
	size_t n;
	struct instance *const *instances = host_instances(host, &n);

	for (size_t i = 0; i < n; i++)
		if (!spec || strcmp(instances[i]->record.spec, spec) == 0)
			return true;
	return false;
}

size_t fleet_kick(struct fleet *fleet, const char *spec)
{
	struct member *member, *tmp;
	size_t n = 0;

	HASH_ITER (hh, fleet->members, member, tmp) {
		if (!fleet_touches(member->host, spec))
			continue;
		host_kick(member->host);
		n++;
	}
	return n;
}

bool fleet_is_ready(const struct fleet *fleet)
{
	return fleet->ready;
}

const char *fleet_directory_error(const struct fleet *fleet)
{
	return fleet->directory_error;
}

const char *fleet_watch_trouble(const struct fleet *fleet)
{
	return watch_trouble(fleet->watch);
}

bool fleet_pause(struct fleet *fleet, const char *spec)
{
	return rollouts_pause(fleet->rollouts, spec);
}

bool fleet_resume(struct fleet *fleet, const char *spec)
{
	if (!rollouts_resume(fleet->rollouts, spec))
		return false;
	fleet_apply_specs(fleet);
	return true;
}

struct rollouts *fleet_rollouts(const struct fleet *fleet)
{
	return fleet->rollouts;
}

const struct specs *fleet_specs(const struct fleet *fleet)
{
	return fleet->specs;
}

struct host *const *fleet_hosts(const struct fleet *fleet, size_t *n)
{
	*n = fleet->hosts_n;
	return fleet->hosts;
}

size_t fleet_running(const struct fleet *fleet)
{
	return fleet->well.running + fleet->failing.running;
}

bool fleet_next(struct fleet_walk *walk)
{
	for (; walk->hosts < walk->fleet->hosts_n; walk->hosts++, walk->instances = 0) {
		size_t n;
		struct host *host = walk->fleet->hosts[walk->hosts];
		struct instance *const *instances = host_instances(host, &n);

		if (walk->instances == n)
			continue;
		walk->host = host;
		walk->instance = instances[walk->instances++];
		return true;
	}
	return false;
}

bool fleet_is_converged(const struct fleet *fleet)
{
	struct fleet_walk walk = {.fleet = fleet};

	if (fleet->directory_error || !specs_all_valid(fleet->specs))
		return false;
	while (fleet_next(&walk))
		if (instance_phase(walk.instance, NULL) != PHASE_CONVERGED)
			return false;
	return true;
}

/* Its life. */

static void recall_instance(struct fleet *fleet, const struct spec_host *settings, struct store_instance *row)
{
	struct instance *instance = host_add(fleet_member_for(fleet, settings)->host, row);
	struct err bad;

	if (instance_recall(instance, fleet->options.settings->owner, settings, &bad) < 0)
		events_add(fleet->options.events, LOG_LEVEL_ERROR, instance->spec, instance->id, "store",
			   "which version of it is in force cannot be read, so its host decides: %s",
			   bad.message);
}

static int recall_instances(struct fleet *fleet, struct err *err)
{
	struct store_instance *rows;
	size_t n;

	if (store_load_instances(fleet->options.store, &rows, &n, err) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct spec_host settings;
		struct err bad;

		if (spec_host_from_json(&settings, rows[i].host_json, &bad) != 0) {
			events_add(fleet->options.events, LOG_LEVEL_ERROR, rows[i].spec, NULL, "store",
				   "what is stored of %s on %s is damaged and left alone: %s", rows[i].name,
				   rows[i].host_url, bad.message);
			continue;
		}
		recall_instance(fleet, &settings, &rows[i]);
		spec_host_clear(&settings);
	}
	store_instances_free(rows, n);
	return 0;
}

struct fleet *fleet_new(const struct fleet_options *options, struct err *err)
{
	struct fleet *fleet = xcalloc(1, sizeof(*fleet));

	fleet->options = *options;
	fleet->context = (struct host_context){
		.base = options->base,
		.ssh = options->ssh,
		.store = options->store,
		.events = options->events,
		.server_news = server_news_new(options->base, options->events, fleet, options->settings),
		.owner = options->settings->owner,
		.due = on_due,
		.idle = on_idle,
		.found = on_found,
		.removal = fleet_removal,
		.arg = fleet,
	};
	TAILQ_INIT(&fleet->well.queue);
	TAILQ_INIT(&fleet->failing.queue);
	TAILQ_INIT(&fleet->waiters);
	fleet->rollouts = rollouts_new(&(struct rollouts_options){
		.base = options->base,
		.store = options->store,
		.events = options->events,
		.changed = on_changed_by_rollout,
		.moved = on_moved,
		.arg = fleet,
	});
	fleet->removal = removal_new();
	fleet->specs = specs_new(options->store, options->events, options->ssh->agent != NULL);
	fleet->watch = watch_new(options->base, options->settings->spec_dir, on_changed, fleet);
	fleet->found = evtimer_new(options->base, on_found_timer, fleet);
	fleet->rescan = event_new(options->base, -1, EV_PERSIST, on_rescan, fleet);
	fleet_settings_changed(fleet);
	if (specs_recall(fleet->specs, err) != 0 || recall_instances(fleet, err) != 0) {
		fleet_free(fleet);
		return NULL;
	}
	expect_directory(fleet);
	return fleet;
}

void fleet_free(struct fleet *fleet)
{
	struct member *member, *tmp;

	if (!fleet)
		return;
	end_waiting(fleet, false);
	HASH_ITER (hh, fleet->members, member, tmp)
		member_free(fleet, member);
	free(fleet->hosts);
	rollouts_free(fleet->rollouts);
	removal_free(fleet->removal);
	server_news_free(fleet->context.server_news);
	event_free(fleet->found);
	event_free(fleet->rescan);
	watch_free(fleet->watch);
	specs_free(fleet->specs);
	free(fleet->directory_error);
	free(fleet);
}
