#include "daemon/host/host_internal.h"

#include <event2/event.h>
#include <event2/util.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/schedule.h"
#include "daemon/io/clock.h"

/* When the next run is due if the host has more unwanted containers than one run takes on. */
#define FOUND_AGAIN_MS 1000

/* The state of a host. */

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

bool host_is_running(const struct host *host)
{
	return host->state == HOST_RUNNING;
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

/* When the host runs. */

uint32_t host_random_u32(void)
{
	uint32_t value;

	evutil_secure_rng_get_bytes(&value, sizeof(value));
	return value;
}

static void run_after(struct host *host, int64_t delay_ms)
{
	struct timeval delay = clock_timeval(delay_ms);

	host->state = HOST_WAITING;
	host->next_run_ms = clock_now_ms() + delay_ms;
	host->due_ms = clock_ms() + delay_ms;
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
	struct host *host = arg;

	(void)fd;
	(void)what;
	/* The connection has lasted until the run was due. */
	if (host->ssh)
		host->losses = 0;
	become_due(host);
}

void host_kick(struct host *host)
{
	host->due_ms = 0;
	host->held_runs = 0;
	if (host->state == HOST_WAITING)
		become_due(host);
	else if (host->state != HOST_DUE)
		host->again = true;
}

static int64_t until_due_ms(const struct host *host)
{
	int64_t left = host->due_ms - clock_ms();

	return left > 0 ? left : 0;
}

/* Every run ends here. */
static void run_ended(struct host *host, int64_t delay_ms, bool settled)
{
	const struct host_context *context = host->context;

	/* The host was kicked during the run: the verdict on what is wanted now is still to come. */
	if (host->again) {
		delay_ms = 0;
		settled = false;
	}
	host->again = false;
	run_after(host, delay_ms);
	if (!TAILQ_EMPTY(&host->plans))
		evtimer_add(host->timer, &(struct timeval){0});
	context->idle(context->arg, host, settled);
	/* The host may have been freed. */
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
	/* The plan's job is under way: answer_plans() frees the plan when the job ends. */
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

int64_t host_retry_first_ms(const struct host *host)
{
	return host->settings.ssh ? host->settings.ssh->retry_interval_ms : RETRY_FIRST_MS;
}

/* Within ssh.retryTimeout connecting is retried each ssh.retryInterval; after that the host counts as
 * unreachable, and backoff begins. */
static bool may_be_a_blip(const struct host *host, const struct err *err)
{
	return host->settings.ssh && err->kind == ERR_UNREACHABLE &&
	       clock_ms() - host->failing_since_ms < host->settings.ssh->retry_timeout_ms;
}

static unsigned count_failure(struct host *host)
{
	if (host->failures == 0)
		host->failing_since_ms = clock_ms();
	return ++host->failures;
}

static void unreachable(struct host *host, const struct err *err)
{
	struct err told = {.kind = ERR_UNREACHABLE};

	err_set(&told, err->kind == ERR_SPEC ? ERR_SPEC : ERR_UNREACHABLE, "%s: %s", host->settings.url,
		err->message);
	host_settle_all(host, &told);
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
			events_add_host(host->context->events, LOG_LEVEL_WARNING, host->settings.label,
					"retrying", "%s: %s", host->settings.url, err->message);
		free(text);
	}
	run_ended(
		host,
		blip ? host_retry_first_ms(host)
		     : schedule_backoff_ms(host->failures, host_retry_first_ms(host) * 2, host_random_u32()),
		!blip);
}

static void connected(struct host *host)
{
	if (host->failures > 0)
		events_add_host(host->context->events, LOG_LEVEL_INFO, host->settings.label, "reachable",
				"%s: reachable again after %u failed attempts", host->settings.url,
				host->failures);
	host->failures = 0;
	for (size_t i = 0; i < host->instances_n; i++)
		instance_let_be(host->instances[i]);
}

/* Running. */

static struct stream_opening *open_stream(void *arg, const char *path, int64_t timeout_ms, stream_open_cb *cb,
					  void *cb_arg)
{
	struct host *host = arg;

	return host->ssh ? ssh_open_unix(host->ssh, path, timeout_ms, cb, cb_arg)
			 : stream_open_unix(host->context->base, path, timeout_ms, cb, cb_arg);
}

static int64_t drain_ms_for_job(void *arg, const char *spec)
{
	struct host *host = arg;

	return host->context->drain_ms(host->context->arg, spec);
}

static const struct removal *removal_for_job(void *arg)
{
	struct host *host = arg;

	return host->context->removal(host->context->arg, host->observing ? host : NULL);
}

static void note_read_configs(struct host *host, const struct job_target *targets, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct instance *instance = host_instance_of(host, &targets[i]);

		if (instance)
			instance_saw_files(instance, &targets[i]);
	}
}

/* Tells of containers (NULL: none) if they are not those that were last told of. Takes `now` over. */
static void tell_if_new(struct host *host, char **told, char *now, const char *type, const char *what)
{
	if (now && !text_equal(*told, now))
		events_add_host(host->context->events, LOG_LEVEL_WARNING, host->settings.label, type,
				"%s: %s: %s", host->settings.url, now, what);
	free(*told);
	*told = now;
}

static void tell_found(struct host *host, const struct job *job)
{
	tell_if_new(host, &host->lookalikes, job_lookalikes(job), "lookalike",
		    "copies of our labels, made by somebody or by an image that was committed from a "
		    "balancer; left alone, unless a balancer is to have this name");
	tell_if_new(host, &host->waiting, job_waiting(job), "stays",
		    "no spec has it; it goes when what takes its place on this host is as wanted, and has a "
		    "server that is up");
}

/* Keeps what a run has learned that ended early, unless it only observed. */
static void keep(struct host *host, struct job *job)
{
	struct job_target *targets;
	size_t n;

	if (!job || host->observing)
		return;
	targets = job_targets(job, &n);
	host_keep(host, targets, n);
	job_note_draining(job, &host->draining);
}

static void on_job_done(void *arg, const struct err *err)
{
	struct host *host = arg;
	struct job *job = host->job;
	struct job_target *targets;
	int64_t delay;
	size_t n;

	host->job = NULL;
	if (err)
		keep(host, job);
	if (err && err->kind == ERR_UNREACHABLE &&
	    !(host->ssh && ssh_is_ready(host->ssh) && host->observing)) {
		connect_failed(host, err);
		job_free(job);
		return;
	}
	targets = job_targets(job, &n);
	if (host->observing) {
		note_read_configs(host, targets, n);
		answer_plans(host, targets, n, err);
		delay = until_due_ms(host);
	} else if (err) {
		host_settle_all(host, err);
		delay = schedule_backoff_ms(count_failure(host), host_retry_first_ms(host) * 2,
					    host_random_u32());
	} else {
		connected(host);
		tell_found(host, job);
		job_note_draining(job, &host->draining);
		delay = host_settle(host, targets, n);
		if (job_left_found(job) && delay > FOUND_AGAIN_MS)
			delay = FOUND_AGAIN_MS;
	}
	job_free(job);
	run_ended(host, delay, !host->observing);
}

/*
 * The engine has answered: from here on containers of these instances may be on
 * the host, so this is stored before the first request. Not earlier: an instance
 * whose engine was never reached needs no removal. It is also stored of an
 * instance that its spec has given up since the job began.
 */
static void note_reached(void *arg, const struct job_target *targets, size_t n)
{
	struct host *host = arg;

	for (size_t i = 0; i < n; i++) {
		struct instance *instance = host_instance_of(host, &targets[i]);

		if (instance && targets[i].order.wanted)
			instance_reached(instance, targets[i].order.wanted, host->context->store);
	}
}

/* True when permission bits do not stop this process. Root may have been left without this right
 * (capabilities(7)). */
static bool passes_modes(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {{0}};

	return syscall(SYS_capget, &header, caps) == 0 && (caps[0].effective & 1u << CAP_DAC_OVERRIDE);
}

static bool is_root(const struct host *host)
{
	const struct ssh_settings *ssh = host->settings.ssh;

	return ssh ? strcmp(ssh->user, "root") == 0 : passes_modes();
}

static void start_job(struct host *host)
{
	const struct host_context *context = host->context;
	struct job_target *targets = xcalloc(host->instances_n, sizeof(*targets));
	struct wanted **to_come = xcalloc(host->instances_n + 1, sizeof(struct wanted *));
	size_t n;
	struct job_options options = {
		.base = context->base,
		.owner = context->owner,
		.engine = host->settings.engine,
		.as_root = is_root(host),
		.draining = &host->draining,
		.to_come = to_come,
		.silent_after_ms = context->silent_after_ms,
		/* Plans go before the run that is due, since they show what that run will do; but not twice
		 * in a row. */
		.observe_only = !TAILQ_EMPTY(&host->plans) && (until_due_ms(host) > 0 || !host->observing),
		.open = open_stream,
		.reached = note_reached,
		.removal = removal_for_job,
		.drain_ms = drain_ms_for_job,
		.tell = host_news,
		.done = on_job_done,
		.arg = host,
	};

	host->state = HOST_RUNNING;
	host->observing = options.observe_only;
	if (host->observing)
		TAILQ_CONCAT(&host->plans_running, &host->plans, entry);
	n = host_give_orders(host, targets);
	options.to_come_n = host_find_to_come(host, to_come);
	host->job = job_start(&options, targets, n);
	free(to_come);
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

	keep(host, host->job);
	job_free(host->job);
	host->job = NULL;
	ssh_free(host->ssh);
	host->ssh = NULL;
	if (host->state == HOST_CONNECTING || was_running) {
		connect_failed(host, &copy);
		return;
	}
	/* Lost while idle: run soon, to see whether the host is still there; but back off after an error that
	 * only a person can resolve, and from a host that ends each connection between two runs. */
	events_add_host(host->context->events, LOG_LEVEL_WARNING, host->settings.label, "connection-lost",
			"%s: %s", host->settings.url, copy.message);
	if (host->state != HOST_WAITING)
		return;
	if (copy.kind == ERR_PERMANENT) {
		unreachable(host, &copy);
		run_after(host, schedule_backoff_ms(count_failure(host), host_retry_first_ms(host) * 2,
						    host_random_u32()));
	} else {
		run_after(host, schedule_doubled_ms(host_retry_first_ms(host), ++host->losses,
						    host->context->resync_ms));
	}
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

/* Making and freeing. */

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
	keep(host, host->job);
	job_free(host->job);
	ssh_free(host->ssh);
	event_free(host->timer);
	for (size_t i = 0; i < host->instances_n; i++)
		instance_free(host->instances[i]);
	free(host->instances);
	free(host->lookalikes);
	free(host->waiting);
	draining_clear(&host->draining);
	spec_host_clear(&host->settings);
	free(host);
}
