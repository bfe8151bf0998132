/*
 * Puts the parts of the daemon together, and frees them in order.
 */
#include "daemon/daemon.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/text.h"
#include "daemon/api/api.h"
#include "daemon/fleet/fleet.h"
#include "daemon/io/background.h"
#include "daemon/io/clock.h"
#include "daemon/io/ssh/ssh_secret.h"
#include "daemon/settings/reload.h"
#include "daemon/rollout/rollouts.h"
#include "daemon/settings/settings.h"
#include "daemon/specs/specs.h"
#include "daemon/specs/specs_check.h"

/* The exit codes of apilbd(8). */
enum { EXIT_CONVERGED = 0, EXIT_NOT_CONVERGED = 1, EXIT_USAGE = 2 };

struct daemon {
	struct settings settings;
	int argc;
	char **argv;

	struct event_base *base;
	struct evdns_base *dns;
	struct ssh_context ssh;
	struct ssh_secrets *secrets;
	char *known_hosts;
	struct store *store;
	struct events *events;
	struct fleet *fleet;
	struct api api;
	struct control *control;
	struct event *signals[3];
	struct event *watchdog;
	struct reload *reload;
	struct fleet_waiter loaded, loaded_again;
	bool settings_read; /* the last reload has taken over the settings file */
	bool reloading;     /* the settings have been read, or hang, and the specs have not been read yet */
	bool reload_due;    /* a reload was asked for before the start was complete */
	bool nothing_to_do; /* --once ends without a run, see once_has_nothing_to_do() */
	unsigned stops;     /* SIGTERM and SIGINT so far */
	int exit_code;
};

/* Signals. */

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *daemon = arg;

	(void)what;
	if (++daemon->stops > 1) {
		log_warning(NULL, "second signal: ending at once");
		_exit(128 + (int)sig);
	}
	log_info(NULL, "%s: stopping", sig == SIGTERM ? "SIGTERM" : "SIGINT");
	sd_notify(0, "STOPPING=1");
	/* A run may be interrupted anywhere: the next start observes the host again. */
	event_base_loopbreak(daemon->base);
}

static void log_reloaded(const struct daemon *daemon, size_t hosts)
{
	const char *file = daemon->settings.config_file;
	const struct spec_file *const *files;
	size_t n, invalid = 0;

	files = specs_files(fleet_specs(daemon->fleet), &n);
	for (size_t i = 0; i < n; i++)
		invalid += files[i]->errors.n > 0;
	log_info(
		NULL,
		"read again: settings (%s%s) and %zu specs, %zu of them not valid (%s); looking at %zu hosts",
		file,
		!daemon->settings_read            ? ": not used, see above"
		: daemon->settings.config_missing ? " is not there"
						  : "",
		n, invalid, daemon->settings.spec_dir, hosts);
}

static void on_reloaded(void *arg, bool loaded)
{
	struct daemon *daemon = arg;
	const char *trouble;

	daemon->reloading = false;
	if (!loaded)
		return;
	log_reloaded(daemon, fleet_kick(daemon->fleet, NULL));
	trouble = fleet_directory_error(daemon->fleet);
	if (trouble)
		log_warning(NULL, "the specs are those of before: %s", trouble);
	sd_notify(0, "READY=1");
}

static void reload_specs(struct daemon *daemon)
{
	if (daemon->reloading)
		return;
	fleet_load(daemon->fleet);
	daemon->loaded_again = (struct fleet_waiter){.loaded = on_reloaded, .arg = daemon};
	daemon->reloading = fleet_wait(daemon->fleet, &daemon->loaded_again);
	if (!daemon->reloading)
		on_reloaded(daemon, true);
}

static void on_settings(void *arg, const char *restart, const struct err *err)
{
	struct daemon *daemon = arg;

	daemon->settings_read = !err;
	if (err) {
		log_error(NULL, "%s; the settings stay as they were", err->message);
	} else {
		if (restart)
			log_warning(NULL, "%s: in effect after a restart", restart);
		log_init(daemon->settings.log_level, daemon->settings.log_format);
		fleet_settings_changed(daemon->fleet);
	}
	reload_specs(daemon);
}

static void on_reload(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *daemon = arg;

	(void)sig;
	(void)what;
	if (!daemon->fleet || !fleet_is_ready(daemon->fleet)) {
		daemon->reload_due = true;
		return;
	}
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_ms() * 1000);
	reload_begin(daemon->reload);
}

static void add_signals(struct daemon *daemon)
{
	const struct {
		int signal;
		event_callback_fn handler;
	} rows[] = {{SIGTERM, on_stop}, {SIGINT, on_stop}, {SIGHUP, on_reload}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		daemon->signals[i] = evsignal_new(daemon->base, rows[i].signal, rows[i].handler, daemon);
		event_add(daemon->signals[i], NULL);
	}
}

static void drop_signals(struct daemon *daemon)
{
	for (size_t i = 0; i < sizeof(daemon->signals) / sizeof(daemon->signals[0]); i++) {
		if (daemon->signals[i])
			event_free(daemon->signals[i]);
		daemon->signals[i] = NULL;
	}
}

/* systemd's watchdog, see sd_watchdog_enabled(3): a loop that hangs sends no more signs of life. */

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	sd_notify(0, "WATCHDOG=1");
}

static void add_watchdog(struct daemon *daemon)
{
	struct timeval every;
	uint64_t usec;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return;
	usec /= 2;
	every = (struct timeval){.tv_sec = usec / 1000000, .tv_usec = usec % 1000000};
	daemon->watchdog = event_new(daemon->base, -1, EV_PERSIST, on_watchdog, daemon);
	event_add(daemon->watchdog, &every);
}

/* --once */

static void on_quiet(void *arg)
{
	struct daemon *daemon = arg;

	if (!daemon->settings.once)
		return;
	daemon->exit_code = fleet_is_converged(daemon->fleet) ? EXIT_CONVERGED : EXIT_NOT_CONVERGED;
	event_base_loopbreak(daemon->base);
}

static void report_instance(const struct fleet *fleet, const struct instance *instance, size_t *bad)
{
	const struct hold *hold = rollouts_hold(fleet_rollouts(fleet), instance);
	enum phase phase = instance_phase(instance, hold);
	const char *held = instance_held_because(instance, hold);
	const struct err *err = &instance_verdict(instance)->err;

	if (phase == PHASE_CONVERGED)
		return;
	(*bad)++;
	log_error(instance_identity(instance)->id, "%s: %s", phase_name(phase),
		  held && err->kind == ERR_NONE ? held : err->message);
}

/* Logs a line for each balancer that is not converged, since nobody can ask for its status later. */
static void report_once(const struct daemon *daemon)
{
	struct fleet_walk walk = {.fleet = daemon->fleet};
	size_t bad = 0, all = 0;

	while (fleet_next(&walk)) {
		all++;
		report_instance(daemon->fleet, walk.instance, &bad);
	}
	log_info(NULL, "%zu of %zu balancers are as wanted", all - bad, all);
}

/* Start, run and stop. */

/* Our memory holds keys and passwords: there is no core dump, and no other process of our user can read the
 * memory. Root may still attach a debugger. */
static void keep_memory_private(void)
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	/* The limit does not stop a core dump that goes to a program (systemd-coredump). */
	prctl(PR_SET_DUMPABLE, 0);
}

/* Each host takes a descriptor, and so do the local engine and each client. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int open_store(struct daemon *daemon, struct err *err)
{
	char *warning = NULL;

	daemon->store = store_open(daemon->base, daemon->settings.state_dir, &warning, err);
	if (!daemon->store)
		return -1;
	daemon->events = events_new(daemon->base, daemon->store);
	if (warning)
		events_add(daemon->events, LOG_LEVEL_WARNING, NULL, NULL, "store", "%s", warning);
	free(warning);
	return 0;
}

static int open_fleet(struct daemon *daemon, struct err *err)
{
	const struct fleet_options options = {
		.base = daemon->base,
		.settings = &daemon->settings,
		.ssh = &daemon->ssh,
		.store = daemon->store,
		.events = daemon->events,
		.quiet = on_quiet,
		.arg = daemon,
	};

	free(daemon->known_hosts);
	daemon->known_hosts = xasprintf("%s/known_hosts", daemon->settings.state_dir);
	daemon->ssh = (struct ssh_context){
		.base = daemon->base,
		.dns = daemon->dns,
		.known_hosts = daemon->known_hosts,
		.agent = getenv("SSH_AUTH_SOCK"),
		.secrets = daemon->secrets,
	};
	daemon->fleet = fleet_new(&options, err);
	return daemon->fleet ? 0 : -1;
}

static int open_control(struct daemon *daemon, struct err *err)
{
	/* The daemon ends after one run: nobody could ask it anything. */
	if (daemon->settings.once)
		return 0;
	daemon->api = (struct api){
		.fleet = daemon->fleet,
		.events = daemon->events,
		.store = daemon->store,
		.started_at_ms = clock_now_ms(),
	};
	daemon->control = control_new(daemon->base, daemon->settings.socket, api_routes, &daemon->api, err);
	if (!daemon->control)
		return -1;
	control_set_gate(daemon->control, api_gate);
	return 0;
}

/*
 * Another process may still hold the lock, the store or the socket for a moment:
 * a daemon that is ending, or a backup. So a conflict is retried for a while.
 */
#define PATIENCE_MS 10000
#define ATTEMPT_INTERVAL_MS 100
#define CLOSING_ATTEMPTS 20

typedef int open_fn(struct daemon *daemon, struct err *err);

static int open_patiently(struct daemon *daemon, open_fn *open, struct err *err)
{
	static const struct timeval interval = {.tv_usec = ATTEMPT_INTERVAL_MS * 1000};
	int64_t until_ms = clock_ms() + PATIENCE_MS;
	bool told = false;

	while (open(daemon, err) != 0) {
		if (err->kind != ERR_CONFLICT || clock_ms() >= until_ms)
			return -1;
		if (!told)
			log_info(NULL, "waits for up to %d s: %s", PATIENCE_MS / 1000, err->message);
		told = true;
		/* The loop runs meanwhile, so that signals are handled. */
		event_base_loopexit(daemon->base, &interval);
		event_base_dispatch(daemon->base);
		if (daemon->stops > 0)
			return err_set(err, ERR_CANCELLED, "stopped before the start was through");
	}
	return 0;
}

static int start(struct daemon *daemon, struct err *err)
{
	static open_fn *const opens[] = {open_store, open_fleet, open_control};

	daemon->base = event_base_new();
	/* Without name servers, addresses and names in /etc/hosts still work. */
	daemon->dns = evdns_base_new(daemon->base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
							   EVDNS_BASE_DISABLE_WHEN_INACTIVE |
							   EVDNS_BASE_NAMESERVERS_NO_DEFAULT);
	if (!daemon->dns)
		daemon->dns = evdns_base_new(daemon->base, 0);
	daemon->secrets = ssh_secrets_new(daemon->base);
	daemon->reload =
		reload_new(daemon->base, &daemon->settings, daemon->argc, daemon->argv, on_settings, daemon);
	add_signals(daemon);
	for (size_t i = 0; i < sizeof(opens) / sizeof(opens[0]); i++)
		if (open_patiently(daemon, opens[i], err) != 0)
			return -1;
	return 0;
}

/* Retries for a while, but stays within the 5 s that stopping may take. */
static void close_store(struct daemon *daemon)
{
	static const struct timespec interval = {.tv_nsec = ATTEMPT_INTERVAL_MS * 1000000L};
	struct err err = {0};

	for (int i = 0; daemon->store && store_flush(daemon->store, &err) != 0; i++) {
		if (err.kind != ERR_CONFLICT || i == CLOSING_ATTEMPTS) {
			log_error(NULL, "the last changes could not be stored: %s", err.message);
			break;
		}
		nanosleep(&interval, NULL);
	}
	store_close(daemon->store);
}

static void stop(struct daemon *daemon)
{
	control_end(daemon->control);
	reload_free(daemon->reload);
	/*
	 * The fleet first: requests that wait for it are answered. The turn of the
	 * loop sends these answers, and ends the streams that the fleet has freed
	 * (libevent frees bufferevents in a later turn).
	 */
	fleet_free(daemon->fleet);
	ssh_secrets_free(daemon->secrets);
	events_free(daemon->events);
	if (daemon->base)
		event_base_loop(daemon->base, EVLOOP_NONBLOCK);
	control_free(daemon->control);
	close_store(daemon);
	drop_signals(daemon);
	if (daemon->watchdog)
		event_free(daemon->watchdog);
	if (daemon->dns)
		evdns_base_free(daemon->dns, 0);
	if (daemon->base)
		event_base_free(daemon->base);
	libevent_global_shutdown();
	free(daemon->known_hosts);
	settings_clear(&daemon->settings);
}

/* --once is to end without a run: a spec cannot be used, or there are no hosts. Sets the exit code. */
static bool once_has_nothing_to_do(struct daemon *daemon, size_t hosts)
{
	if (!daemon->settings.once)
		return false;
	if (fleet_directory_error(daemon->fleet) || !specs_all_valid(fleet_specs(daemon->fleet))) {
		fleet_tell_all(daemon->fleet); /* nobody can ask for status later */
		daemon->exit_code = EXIT_USAGE;
		return true;
	}
	return hosts == 0; /* EXIT_CONVERGED */
}

static void on_loaded(void *arg, bool loaded)
{
	struct daemon *daemon = arg;
	size_t hosts;

	if (!loaded)
		return;
	fleet_hosts(daemon->fleet, &hosts);
	if (once_has_nothing_to_do(daemon, hosts)) {
		daemon->nothing_to_do = true;
		event_base_loopbreak(daemon->base);
		return;
	}
	log_info(NULL, "apilbd %s: looking after %zu hosts, specs in %s", PACKAGE_VERSION, hosts,
		 daemon->settings.spec_dir);
	sd_notify(0, "READY=1");
	if (daemon->reload_due)
		on_reload(SIGHUP, 0, daemon);
}

static int run(struct daemon *daemon)
{
	fleet_load(daemon->fleet);
	daemon->loaded = (struct fleet_waiter){.loaded = on_loaded, .arg = daemon};
	fleet_wait(daemon->fleet, &daemon->loaded);
	add_watchdog(daemon);
	event_base_dispatch(daemon->base);
	/* The loop has ended, so nothing handles signals any more: the next one must end the process. */
	drop_signals(daemon);
	if (!daemon->settings.once || daemon->nothing_to_do)
		return daemon->exit_code;
	if (daemon->stops > 0)
		daemon->exit_code = EXIT_NOT_CONVERGED;
	report_once(daemon);
	return daemon->exit_code;
}

/* Reports an error before the log is set up. Made printable, since it may quote the command line. */
static int refuse(const struct err *err)
{
	char *safe = text_printable(err->message, TEXT_LINE);

	fprintf(stderr, "apilbd: %s\n", safe);
	free(safe);
	return EXIT_USAGE;
}

int daemon_main(int argc, char **argv)
{
	struct daemon daemon = {.argc = argc, .argv = argv};
	struct err err;
	int parsed, code;

	file_hold_standard();
	parsed = settings_parse(&daemon.settings, argc, argv, &err);
	if (parsed > 0)
		return EXIT_CONVERGED;
	if (parsed < 0)
		return refuse(&err);
	log_init(daemon.settings.log_level, daemon.settings.log_format);
	signal(SIGPIPE, SIG_IGN);
	keep_memory_private();
	if (daemon.settings.check) {
		code = specs_check(daemon.settings.spec_dir) ? EXIT_CONVERGED : EXIT_USAGE;
		settings_clear(&daemon.settings);
		return code;
	}
	raise_descriptor_limit();
	if (start(&daemon, &err) == 0) {
		code = run(&daemon);
	} else if (err.kind == ERR_CANCELLED) {
		code = daemon.settings.once ? EXIT_NOT_CONVERGED : EXIT_CONVERGED;
	} else {
		log_error(NULL, "%s", err.message);
		code = EXIT_USAGE;
	}
	stop(&daemon);
	if (background_is_left()) {
		fflush(NULL);
		_exit(code);
	}
	return code;
}
