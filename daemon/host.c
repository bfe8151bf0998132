#include "daemon/host.h"

#include <event2/event.h>
#include <event2/util.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/mem.h"
#include "daemon/clock.h"
#include "daemon/core/schedule.h"

/* The local engine has no settings for this; the same as SSH's defaults. */
#define RETRY_FIRST_MS 1000

enum host_state {
	HOST_WAITING,    /* for its timer */
	HOST_DUE,        /* for a place to run */
	HOST_CONNECTING, /* the SSH session */
	HOST_RUNNING,    /* a job */
};

struct host_plan {
	TAILQ_ENTRY(host_plan) entry;
	struct host *host;
	host_plan_cb *cb;
	void *arg;
};

struct host {
	const struct host_context *context;
	struct spec_host settings;
	struct instance **instances;
	size_t instances_n;

	enum host_state state;
	struct event *timer;
	int64_t next_run_ms; /* Unix time, for people */
	int64_t due_ms;      /* monotonic: when it is to be reconciled, whatever plans are asked for before */
	bool again;          /* kicked while it ran */
	bool reconnect;      /* before the next run: the settings have changed */
	bool deferred;       /* a removal had to wait for others */

	struct ssh *ssh;
	struct job *job;
	bool observing; /* the job is for the plans, nothing else */
	TAILQ_HEAD(, host_plan) plans;
	TAILQ_HEAD(, host_plan) plans_running;

	unsigned failures; /* in a row, to reach it */
	int64_t failing_since_ms;
};

/* Values of a host. */

const char *host_url(const struct host *host)
{
	return host->settings.url;
}

const struct spec_host *host_settings(const struct host *host)
{
	return &host->settings;
}

struct instance *const *host_instances(const struct host *host, size_t *n)
{
	*n = host->instances_n;
	return host->instances;
}

bool host_is_busy(const struct host *host)
{
	return host->state != HOST_WAITING;
}

bool host_is_connected(const struct host *host)
{
	return !host->settings.ssh ? host->failures == 0 : host->ssh && ssh_is_ready(host->ssh);
}

int64_t host_next_run_ms(const struct host *host)
{
	return host->state == HOST_WAITING ? host->next_run_ms : 0;
}

unsigned host_failures(const struct host *host)
{
	return host->failures;
}

struct instance *host_find(struct host *host, const char *name)
{
	for (size_t i = 0; i < host->instances_n; i++)
		if (strcmp(host->instances[i]->record.name, name) == 0)
			return host->instances[i];
	return NULL;
}

struct instance *host_add(struct host *host, struct store_instance *record)
{
	host->instances = xreallocarray(host->instances, host->instances_n + 1, sizeof(struct instance *));
	return host->instances[host->instances_n++] = instance_new(record);
}

static void host_drop_instance(struct host *host, struct instance *instance)
{
	size_t i = 0;

	while (host->instances[i] != instance)
		i++;
	host->instances[i] = host->instances[--host->instances_n];
	store_delete_instance(host->context->store, instance->record.host_url, instance->record.engine,
			      instance->record.name);
	instance_free(instance);
}

static struct store_instance record_of(const struct host *host, const struct wanted *wanted)
{
	return (struct store_instance){
		.host_url = xstrdup(host->settings.url),
		.engine = xstrdup(host->settings.engine),
		.name = xstrdup(wanted->instance.name),
		.spec = xstrdup(wanted->spec),
		.host_json = spec_host_to_json(&host->settings),
		.image = xstrdup(wanted->instance.image),
		.config_path = xstrdup(wanted->instance.config_path),
		.config_size = -1,
	};
}

bool host_want(struct host *host, const char *name, struct wanted *wanted)
{
	struct instance *instance = host_find(host, name);
	struct store_instance record;

	if (!instance) {
		if (!wanted)
			return false;
		/* Written down before anything is made, so that nothing can be made and forgotten. */
		record = record_of(host, wanted);
		instance = host_add(host, &record);
		store_put_instance(host->context->store, &instance->record);
	} else if (wanted && strcmp(instance->record.spec, wanted->spec) != 0) {
		free(instance->record.spec);
		instance->record.spec = xstrdup(wanted->spec);
		store_put_instance(host->context->store, &instance->record);
	}
	return instance_want(instance, wanted);
}

void host_configure(struct host *host, const struct spec_host *settings)
{
	struct store *store = host->context->store;

	if (spec_host_equal(&host->settings, settings))
		return;
	spec_host_clear(&host->settings);
	spec_host_copy(&host->settings, settings);
	for (size_t i = 0; i < host->instances_n; i++) {
		struct store_instance *record = &host->instances[i]->record;

		/* The URL is part of what it is stored under, and the user is part of the URL. */
		store_delete_instance(store, record->host_url, record->engine, record->name);
		secret_free(record->host_json);
		free(record->host_url);
		record->host_url = xstrdup(settings->url);
		record->host_json = spec_host_to_json(settings);
		store_put_instance(store, record);
	}
	/* The session was opened with what does not count any more. */
	host->reconnect = true;
	host_kick(host);
}

/* When it runs. */

static uint32_t dice(void)
{
	uint32_t value;

	evutil_secure_rng_get_bytes(&value, sizeof(value));
	return value;
}

static void run_after(struct host *host, int64_t delay_ms)
{
	struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};

	host->state = HOST_WAITING;
	host->next_run_ms = clock_now_ms() + delay_ms;
	host->due_ms = clock_monotonic_ms() + delay_ms;
	evtimer_add(host->timer, &delay);
}

static void become_due(struct host *host)
{
	evtimer_del(host->timer);
	host->state = HOST_DUE;
	host->context->due(host->context->arg, host);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	become_due(arg);
}

void host_kick(struct host *host)
{
	host->due_ms = 0;
	if (host->state == HOST_WAITING)
		become_due(host);
	else if (host->state != HOST_DUE)
		host->again = true;
}

static int64_t until_due_ms(const struct host *host)
{
	int64_t left = host->due_ms - clock_monotonic_ms();

	return left > 0 ? left : 0;
}

/* The one place where a run ends, however it went. */
static void run_ended(struct host *host, int64_t delay_ms, bool settled)
{
	const struct host_context *context = host->context;

	if (host->again)
		delay_ms = 0;
	host->again = false;
	run_after(host, delay_ms);
	if (!TAILQ_EMPTY(&host->plans))
		evtimer_add(host->timer, &(struct timeval){0});
	context->idle(context->arg, host, settled);
	/* The host may be gone now. */
}

/* Plans. */

struct host_plan *host_plan(struct host *host, host_plan_cb *cb, void *arg)
{
	struct host_plan *plan = xcalloc(1, sizeof(*plan));

	*plan = (struct host_plan){.host = host, .cb = cb, .arg = arg};
	TAILQ_INSERT_TAIL(&host->plans, plan, entry);
	if (host->state == HOST_WAITING)
		become_due(host);
	return plan;
}

void host_plan_cancel(struct host_plan *plan)
{
	struct host_plan *other;

	TAILQ_FOREACH (other, &plan->host->plans, entry) {
		if (other == plan) {
			TAILQ_REMOVE(&plan->host->plans, plan, entry);
			free(plan);
			return;
		}
	}
	/* Its job is under way: the list is walked when that ends. */
	plan->cb = NULL;
}

static void answer_plans(struct host *host, const struct job_target *targets, size_t n, const struct err *err)
{
	struct host_plan *plan;

	while ((plan = TAILQ_FIRST(&host->plans_running)) != NULL) {
		TAILQ_REMOVE(&host->plans_running, plan, entry);
		if (plan->cb)
			plan->cb(plan->arg, host, targets, n, err);
		free(plan);
	}
}

/* Connecting. */

static int64_t retry_first_ms(const struct host *host)
{
	return host->settings.ssh ? host->settings.ssh->retry_interval_ms : RETRY_FIRST_MS;
}

/* Within retryTimeout it is tried each retryInterval; then it counts as unreachable, and backoff begins. */
static bool may_be_a_blip(const struct host *host, const struct err *err)
{
	return host->settings.ssh && err->kind == ERR_UNREACHABLE &&
	       clock_monotonic_ms() - host->failing_since_ms < host->settings.ssh->retry_timeout_ms;
}

static unsigned count_failure(struct host *host)
{
	if (host->failures == 0)
		host->failing_since_ms = clock_monotonic_ms();
	return ++host->failures;
}

static void unreachable(struct host *host, const struct err *err)
{
	struct err told = {.kind = ERR_UNREACHABLE};

	err_set(&told, err->kind == ERR_SPEC ? ERR_SPEC : ERR_UNREACHABLE, "%s: %s", host->settings.url,
		err->message);
	for (size_t i = 0; i < host->instances_n; i++)
		instance_settle(host->instances[i], NULL, &told, host->context->store, host->context->events);
}

static void connect_failed(struct host *host, const struct err *err)
{
	bool blip;

	TAILQ_CONCAT(&host->plans_running, &host->plans, entry);
	answer_plans(host, NULL, 0, err);

	count_failure(host);
	blip = may_be_a_blip(host, err);
	if (!blip) {
		unreachable(host, err);
	} else {
		char *text = xasprintf("connecting, attempt %u failed: %s", host->failures, err->message);

		for (size_t i = 0; i < host->instances_n; i++)
			instance_progress(host->instances[i], text);
		if (host->failures == 1)
			events_add(host->context->events, LOG_LEVEL_WARNING, NULL, NULL, "retrying", "%s: %s",
				   host->settings.url, err->message);
		free(text);
	}
	run_ended(host,
		  blip ? retry_first_ms(host)
		       : schedule_backoff_ms(host->failures, retry_first_ms(host) * 2, dice()),
		  !blip);
}

static void connected(struct host *host)
{
	if (host->failures > 0)
		events_add(host->context->events, LOG_LEVEL_INFO, NULL, NULL, "reachable",
			   "%s: reachable again after %u failed attempts", host->settings.url,
			   host->failures);
	host->failures = 0;
}

/* Running. */

static struct stream_opening *open_stream(void *arg, const char *path, int64_t timeout_ms, stream_open_cb *cb,
					  void *cb_arg)
{
	struct host *host = arg;

	return host->ssh ? ssh_open_unix(host->ssh, path, timeout_ms, cb, cb_arg)
			 : stream_open_unix(host->context->base, path, timeout_ms, cb, cb_arg);
}

static bool is_orphan(void *arg, const struct observed_container *container)
{
	struct host *host = arg;

	return host->context->is_orphan(host->context->arg, container);
}

static bool is_wanted(void *arg, const struct observed_container *container)
{
	struct host *host = arg;

	return host->context->is_wanted(host->context->arg, container);
}

/* Nobody's any more: told as the host's. */
static void tell_orphan(const struct host *host, const struct job_target *target, enum job_news news,
			const char *type, const char *text)
{
	if (news != JOB_PROGRESS)
		events_add(host->context->events, LOG_LEVEL_WARNING, NULL, NULL, type,
			   "%s: %s, which no spec has: %s", host->settings.url, target->name, text);
}

static void tell_drift(const struct host *host, struct instance *instance, const char *type, const char *text)
{
	enum log_level level = instance->phase == PHASE_CONVERGED ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO;

	/* What does not get mended is met again in each run. */
	if (!instance->told_drift || strcmp(instance->told_drift, text) != 0)
		events_add(host->context->events, level, instance->spec, instance->id, type, "%s", text);
	free(instance->told_drift);
	instance->told_drift = xstrdup(text);
	instance_progress(instance, text);
}

static void tell_progress(const struct host *host, struct instance *instance, const char *type,
			  const char *text)
{
	bool first = !instance->progress || strncmp(instance->progress, type, strlen(type)) != 0;

	instance_progress(instance, text);
	if (first && strcmp(type, "pulling") == 0)
		events_add(host->context->events, LOG_LEVEL_INFO, instance->spec, instance->id, type, "%s",
			   text);
}

static void on_news(void *arg, const struct job_target *target, enum job_news news, const char *type,
		    const char *text)
{
	struct host *host = arg;
	struct instance *instance = target ? host_find(host, target->name) : NULL;

	if (host->observing || !target)
		return;
	if (!instance)
		tell_orphan(host, target, news, type, text);
	else if (news == JOB_PROGRESS)
		tell_progress(host, instance, type, text);
	else if (news == JOB_DRIFT)
		tell_drift(host, instance, type, text);
	else
		events_add(host->context->events, LOG_LEVEL_INFO, instance->spec, instance->id, type, "%s",
			   text);
}

static void drop_removed(struct host *host, struct instance *instance, const struct job_target *target)
{
	events_add(host->context->events, LOG_LEVEL_INFO, instance->spec, instance->id, "removed",
		   target->changed ? "nothing of it is left on the host but its files"
				   : "there is nothing of ours on the host");
	host_drop_instance(host, instance);
}

/* The verdicts; returns when to look again. */
static int64_t settle(struct host *host, struct job_target *targets, size_t n)
{
	const struct host_context *context = host->context;
	unsigned attempts = 0;

	for (size_t i = 0; i < n; i++) {
		struct job_target *target = &targets[i];
		struct instance *instance = host_find(host, target->name);

		if (!instance) {
			if (target->err.kind != ERR_NONE)
				events_add(context->events, LOG_LEVEL_WARNING, NULL, NULL, "removing-failed",
					   "%s: %s, which no spec has: %s", host->settings.url, target->name,
					   target->err.message);
			continue;
		}
		if (target->removed && !instance->wanted && !instance->held) {
			drop_removed(host, instance, target);
			continue;
		}
		if (instance->wanted != target->wanted)
			host->again = true; /* the world has moved on meanwhile */
		instance_settle(instance, target, &target->err, context->store, context->events);
		if (target->err.kind == ERR_TRANSIENT && instance->record.attempts > attempts)
			attempts = (unsigned)instance->record.attempts;
	}
	if (attempts > 0)
		return schedule_backoff_ms(attempts, RETRY_FIRST_MS * 2, dice());
	if (host->deferred)
		return RETRY_FIRST_MS;
	return schedule_resync_ms(context->resync_ms, dice());
}

static void on_job_done(void *arg, const struct err *err)
{
	struct host *host = arg;
	struct job *job = host->job;
	struct job_target *targets;
	int64_t delay;
	size_t n;

	host->job = NULL;
	if (err && err->kind == ERR_UNREACHABLE &&
	    !(host->ssh && ssh_is_ready(host->ssh) && host->observing)) {
		connect_failed(host, err);
		job_free(job);
		return;
	}
	targets = job_targets(job, &n);
	if (host->observing) {
		answer_plans(host, targets, n, err);
		delay = until_due_ms(host);
	} else if (err) {
		for (size_t i = 0; i < host->instances_n; i++)
			instance_settle(host->instances[i], NULL, err, host->context->store,
					host->context->events);
		delay = schedule_backoff_ms(count_failure(host), retry_first_ms(host) * 2, dice());
	} else {
		connected(host);
		delay = settle(host, targets, n);
	}
	job_free(job);
	run_ended(host, delay, !host->observing);
}

static void start_job(struct host *host)
{
	const struct host_context *context = host->context;
	struct job_target *targets = xcalloc(host->instances_n, sizeof(*targets));
	size_t n = 0;
	const struct job_options options = {
		.base = context->base,
		.owner = context->owner,
		.engine = host->settings.engine,
		/* A plan is for who asks; what is due goes first. */
		.observe_only = !TAILQ_EMPTY(&host->plans) && until_due_ms(host) > 0,
		.open = open_stream,
		.is_orphan = is_orphan,
		.is_wanted = is_wanted,
		.tell = on_news,
		.done = on_job_done,
		.arg = host,
	};

	host->state = HOST_RUNNING;
	host->observing = options.observe_only;
	if (host->observing)
		TAILQ_CONCAT(&host->plans_running, &host->plans, entry);
	host->deferred = false;
	for (size_t i = 0; i < host->instances_n; i++) {
		const struct instance *instance = host->instances[i];

		if (instance->held)
			continue;
		if (!instance->wanted && !context->may_remove(context->arg, instance))
			host->deferred = true;
		else
			targets[n++] = instance_target(instance);
	}
	host->job = job_start(&options, targets, n);
}

static void on_ssh_ready(void *arg)
{
	struct host *host = arg;

	start_job(host);
}

static void on_ssh_closed(void *arg, const struct err *err)
{
	struct host *host = arg;
	bool was_running = host->state == HOST_RUNNING;

	struct err copy = *err;

	job_free(host->job);
	host->job = NULL;
	ssh_free(host->ssh);
	host->ssh = NULL;
	if (host->state == HOST_CONNECTING || was_running) {
		connect_failed(host, &copy);
		return;
	}
	/* Lost while idle: look soon whether the host is still there. */
	events_add(host->context->events, LOG_LEVEL_WARNING, NULL, NULL, "connection-lost", "%s: %s",
		   host->settings.url, copy.message);
	if (host->state == HOST_WAITING)
		run_after(host, retry_first_ms(host));
}

void host_run(struct host *host)
{
	const struct ssh_callbacks callbacks = {.ready = on_ssh_ready, .closed = on_ssh_closed, .arg = host};

	if (host->reconnect) {
		ssh_free(host->ssh);
		host->ssh = NULL;
		host->reconnect = false;
	}
	if (!host->settings.ssh || host->ssh) {
		start_job(host);
		return;
	}
	host->state = HOST_CONNECTING;
	host->ssh = ssh_connect(host->context->ssh, host->settings.ssh, &callbacks);
}

/* Its life. */

struct host *host_new(const struct host_context *context, const struct spec_host *settings)
{
	struct host *host = xcalloc(1, sizeof(*host));

	host->context = context;
	spec_host_copy(&host->settings, settings);
	host->timer = evtimer_new(context->base, on_timer, host);
	host->next_run_ms = clock_now_ms();
	TAILQ_INIT(&host->plans);
	TAILQ_INIT(&host->plans_running);
	return host;
}

void host_free(struct host *host)
{
	struct err gone;

	if (!host)
		return;
	err_set(&gone, ERR_CANCELLED, "%s: no longer looked after", host->settings.url);
	TAILQ_CONCAT(&host->plans_running, &host->plans, entry);
	answer_plans(host, NULL, 0, &gone);
	job_free(host->job);
	ssh_free(host->ssh);
	event_free(host->timer);
	for (size_t i = 0; i < host->instances_n; i++)
		instance_free(host->instances[i]);
	free(host->instances);
	spec_host_clear(&host->settings);
	free(host);
}
