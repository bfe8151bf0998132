#include <event2/event.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/fleet/fleet_internal.h"
#include "daemon/instance/server_news.h"
#include "daemon/io/clock.h"
#include "daemon/io/watch/watch.h"

/* The SSH user is not part of the key: another login on a machine finds the same containers. */
char *fleet_host_key(const struct spec_host *settings)
{
	return xasprintf("%s %s", settings->label, settings->engine);
}

static struct fleet_host *find_host(struct fleet *fleet, const struct host *host)
{
	struct fleet_host *fleet_host;

	HASH_FIND(hh_host, fleet->by_host, &host, sizeof(host), fleet_host);
	return fleet_host;
}

/* Into the array for readers, at its end; and out of it, where the last host takes the free place. */

static void list_host(struct fleet *fleet, struct fleet_host *fleet_host)
{
	fleet->hosts = xgrow(fleet->hosts, fleet->hosts_n, sizeof(struct host *));
	fleet_host->place = fleet->hosts_n;
	fleet->hosts[fleet->hosts_n++] = fleet_host->host;
}

static void unlist_host(struct fleet *fleet, struct fleet_host *fleet_host)
{
	struct host *last = fleet->hosts[--fleet->hosts_n];

	fleet->hosts[fleet_host->place] = last;
	find_host(fleet, last)->place = fleet_host->place;
}

static void set_settled(struct fleet *fleet, struct fleet_host *fleet_host, bool settled)
{
	if (fleet_host->settled && !settled)
		fleet->unsettled++;
	else if (!fleet_host->settled && settled)
		fleet->unsettled--;
	fleet_host->settled = settled;
}

struct fleet_host *fleet_host_for(struct fleet *fleet, const struct spec_host *settings)
{
	char *key = fleet_host_key(settings);
	struct fleet_host *fleet_host;

	HASH_FIND_STR(fleet->by_key, key, fleet_host);
	if (fleet_host) {
		free(key);
		return fleet_host;
	}
	fleet_host = xcalloc(1, sizeof(*fleet_host));
	fleet_host->key = key;
	fleet_host->host = host_new(&fleet->context, settings);
	HASH_ADD_KEYPTR(hh, fleet->by_key, fleet_host->key, strlen(fleet_host->key), fleet_host);
	HASH_ADD_KEYPTR(hh_host, fleet->by_host, &fleet_host->host, sizeof(fleet_host->host), fleet_host);
	list_host(fleet, fleet_host);
	fleet->unsettled++;
	return fleet_host;
}

void fleet_make_due(struct fleet *fleet, struct fleet_host *fleet_host)
{
	set_settled(fleet, fleet_host, false);
	host_kick(fleet_host->host);
}

static bool is_left_alone(const struct host *host)
{
	size_t n;
	struct instance *const *instances = host_instances(host, &n);

	for (size_t i = 0; i < n; i++)
		if (!instance_is_left_alone(instances[i]))
			return false;
	return true;
}

void fleet_settle_left_alone(struct fleet *fleet)
{
	struct fleet_host *fleet_host, *tmp;

	HASH_ITER (hh, fleet->by_key, fleet_host, tmp) {
		if (fleet_host->settled || fleet_host->queued || fleet_host->running ||
		    !is_left_alone(fleet_host->host))
			continue;
		set_settled(fleet, fleet_host, true);
		evtimer_add(fleet->rests, &(struct timeval){0});
	}
}

static void fleet_host_free(struct fleet *fleet, struct fleet_host *fleet_host)
{
	unlist_host(fleet, fleet_host);
	set_settled(fleet, fleet_host, true);
	HASH_DELETE(hh, fleet->by_key, fleet_host);
	HASH_DELETE(hh_host, fleet->by_host, fleet_host);
	if (fleet_host->queued)
		TAILQ_REMOVE(&fleet_host->run_queue->waiting, fleet_host, entry);
	if (fleet_host->running)
		fleet_host->run_queue->running--;
	host_free(fleet_host->host);
	free(fleet_host->key);
	free(fleet_host);
}

static void fill_queue(struct run_queue *run_queue, size_t places)
{
	struct fleet_host *fleet_host;

	while (run_queue->running < places && (fleet_host = TAILQ_FIRST(&run_queue->waiting)) != NULL) {
		TAILQ_REMOVE(&run_queue->waiting, fleet_host, entry);
		fleet_host->queued = false;
		fleet_host->running = true;
		run_queue->running++;
		host_run(fleet_host->host);
	}
}

void fleet_fill_places(struct fleet *fleet)
{
	if (fleet->holding)
		return;
	fill_queue(&fleet->reachable, (size_t)fleet->options.settings->concurrency);
	fill_queue(&fleet->failing, (size_t)fleet->options.settings->concurrency);
}

static void on_due(void *arg, struct host *host)
{
	struct fleet *fleet = arg;
	struct fleet_host *fleet_host = find_host(fleet, host);

	fleet_host->queued = true;
	fleet_host->run_queue = host_failures(host) > 0 ? &fleet->failing : &fleet->reachable;
	TAILQ_INSERT_TAIL(&fleet_host->run_queue->waiting, fleet_host, entry);
	fleet_fill_places(fleet);
}

/* Calls quiet() when no host awaits a verdict and no rollout can advance. */
static void tell_if_quiet(struct fleet *fleet)
{
	if (fleet->ready && fleet->unsettled == 0 && !event_pending(fleet->found, EV_TIMEOUT, NULL) &&
	    rollouts_are_idle(fleet->rollouts))
		fleet->options.quiet(fleet->options.arg);
}

static void on_idle(void *arg, struct host *host, bool settled)
{
	struct fleet *fleet = arg;
	struct fleet_host *fleet_host = find_host(fleet, host);
	size_t instances;

	fleet_host->running = false;
	fleet_host->run_queue->running--;
	if (settled) {
		set_settled(fleet, fleet_host, true);
		rollouts_ran(fleet->rollouts, host);
	}
	host_instances(host, &instances);
	if (instances == 0)
		fleet_host_free(fleet, fleet_host);
	fleet_fill_places(fleet);
	/* Twenty hosts that ran at once leave a megabyte of free memory, not needed until they are due again:
	 * give it back. */
	if (fleet_running(fleet) == 0)
		malloc_trim(0);
	tell_if_quiet(fleet);
}

static void on_changed_by_rollout(void *arg, struct host *host)
{
	struct fleet *fleet = arg;

	fleet_make_due(fleet, find_host(fleet, host));
}

static void on_moved(void *arg)
{
	tell_if_quiet(arg);
}

/* Many first looks end at about the same time: the specs are applied once for all of them. */
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
	tell_if_quiet(arg);
}

static void on_rests(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell_if_quiet(arg);
}

void fleet_settings_changed(struct fleet *fleet)
{
	int64_t ms = fleet->options.settings->resync_ms;
	struct timeval every = clock_timeval(ms);

	fleet->context.resync_ms = ms;
	fleet->context.silent_after_ms = fleet->options.settings->silent_after_ms;
	event_add(fleet->rescan, &every);
	fleet_fill_places(fleet);
}

/* For the other parts of the daemon. */

bool fleet_touches(const struct host *host, const char *spec)
{
	size_t n;
	struct instance *const *instances = host_instances(host, &n);

	for (size_t i = 0; i < n; i++)
		if (!spec || strcmp(instance_identity(instances[i])->spec, spec) == 0)
			return true;
	return false;
}

size_t fleet_kick(struct fleet *fleet, const char *spec)
{
	struct fleet_host *fleet_host, *tmp;
	size_t n = 0;

	HASH_ITER (hh, fleet->by_key, fleet_host, tmp) {
		if (!fleet_touches(fleet_host->host, spec))
			continue;
		host_kick(fleet_host->host);
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
	return fleet->reachable.running + fleet->failing.running;
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

static void visit_all(void *arg, server_news_visit *visit, struct server_news *news)
{
	struct fleet_walk walk = {.fleet = arg};

	while (fleet_next(&walk))
		visit(news, walk.instance);
}

/* Making and freeing. */

static void recall_instance(struct fleet *fleet, const struct spec_host *settings, struct store_instance *row)
{
	struct instance *instance = host_add(fleet_host_for(fleet, settings)->host, row);
	struct err bad;

	if (instance_recall(instance, fleet->options.settings->owner, settings, &bad) < 0) {
		err_prefix(&bad,
			   "its stored version in force cannot be read, so the version on its host counts");
		instance_tell(instance, fleet->options.events, LOG_LEVEL_ERROR, "store", bad.message);
	}
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
		.server_news = server_news_new(&(struct server_news_options){
			.base = options->base,
			.events = options->events,
			.resync_ms = &options->settings->resync_ms,
			.each = visit_all,
			.arg = fleet,
		}),
		.owner = options->settings->owner,
		.due = on_due,
		.idle = on_idle,
		.found = on_found,
		.removal = fleet_removal,
		.drain_ms = fleet_drain_ms,
		.arg = fleet,
	};
	TAILQ_INIT(&fleet->reachable.waiting);
	TAILQ_INIT(&fleet->failing.waiting);
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
	fleet_directory_init(fleet);
	fleet->found = evtimer_new(options->base, on_found_timer, fleet);
	fleet->rests = evtimer_new(options->base, on_rests, fleet);
	fleet_settings_changed(fleet);
	if (specs_recall(fleet->specs, err) != 0 || recall_instances(fleet, err) != 0) {
		fleet_free(fleet);
		return NULL;
	}
	fleet_directory_recall(fleet);
	return fleet;
}

void fleet_free(struct fleet *fleet)
{
	struct fleet_host *fleet_host, *tmp;

	if (!fleet)
		return;
	fleet_directory_stop(fleet);
	HASH_ITER (hh, fleet->by_key, fleet_host, tmp)
		fleet_host_free(fleet, fleet_host);
	free(fleet->hosts);
	rollouts_free(fleet->rollouts);
	removal_free(fleet->removal);
	server_news_free(fleet->context.server_news);
	event_free(fleet->found);
	event_free(fleet->rests);
	fleet_directory_clear(fleet);
	specs_free(fleet->specs);
	free(fleet);
}
