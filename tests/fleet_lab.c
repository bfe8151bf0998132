#include "tests/fleet_lab.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/api/api.h"
#include "daemon/io/clock.h"
#include "tests/temp.h"
#include "tests/turned_clock.h"

#define HOSTS_MAX 8
#define LIMIT_MS (20 * 60000)

struct lab lab;

static struct fake_machine machines[HOSTS_MAX];
static struct fake_engine *engines[HOSTS_MAX];
static struct ssh_context ssh;
static struct store *store;
static struct events *events;
static struct control *control;
static struct api api;
static char *told, *phase, *error, *rollout;

/* The C library's, for SQLite, too: no test ends the machine, and real disks are slow. */

int fsync(int fd)
{
	(void)fd;
	return 0;
}

int fdatasync(int fd)
{
	(void)fd;
	return 0;
}

/* The machines. */

struct fake_machine *lab_machine(size_t host)
{
	ck_assert(host >= 1 && host <= lab.hosts);
	return &machines[host - 1];
}

struct fake_engine *lab_engine(size_t host)
{
	ck_assert(host >= 1 && host <= lab.hosts);
	return engines[host - 1];
}

struct fake_container *lab_container(size_t host, const char *name)
{
	for (struct fake_container *c = lab_machine(host)->containers; c; c = c->next)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

size_t lab_containers(size_t host)
{
	size_t n = 0;

	for (const struct fake_container *c = lab_machine(host)->containers; c; c = c->next)
		n++;
	return n;
}

bool lab_runs(size_t host, const char *image)
{
	const struct fake_container *container = lab_container(host, "lb");

	return container && container->status == FAKE_RUNNING && container->loaded &&
	       strcmp(json_text(container->request, "Image", ""), image) == 0;
}

size_t lab_count(const char *image)
{
	size_t n = 0;

	for (size_t i = 1; i <= lab.hosts; i++)
		n += lab_runs(i, image);
	return n;
}

/* Time. */

static void on_passed(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	*(bool *)arg = true;
}

void lab_pass(int64_t ms)
{
	bool passed = false;
	struct timeval delay = clock_timeval(ms);
	struct event *timer = evtimer_new(lab.base, on_passed, &passed);

	evtimer_add(timer, &delay);
	while (!passed)
		event_base_loop(lab.base, EVLOOP_ONCE);
	event_free(timer);
}

int64_t lab_limit_ms(void)
{
	return turned_clock_ms() + LIMIT_MS;
}

bool lab_turn(int64_t limit_ms)
{
	event_base_loop(lab.base, EVLOOP_ONCE);
	return turned_clock_ms() < limit_ms;
}

void lab_converge(void)
{
	LAB_UNTIL(fleet_running(lab.fleet) == 0 && fleet_is_converged(lab.fleet) &&
		  rollouts_are_idle(fleet_rollouts(lab.fleet)));
}

/* The daemon. */

static void on_quiet(void *arg)
{
	(void)arg;
	lab.quiet++;
}

void lab_start(void)
{
	const struct fleet_options options = {
		.base = lab.base,
		.settings = &lab.settings,
		.ssh = &ssh,
		.quiet = on_quiet,
	};
	struct fleet_options with_store = options;
	char *warning = NULL;
	struct err err;

	with_store.store = store = store_open(lab.base, lab.settings.state_dir, &warning, &err);
	ck_assert_msg(store != NULL && !warning, "%s", store ? warning : err.message);
	with_store.events = events = events_new(lab.base, store);
	lab.quiet = 0;
	lab.fleet = fleet_new(&with_store, &err);
	ck_assert_msg(lab.fleet != NULL, "%s", err.message);
	api = (struct api){
		.fleet = lab.fleet, .events = events, .store = store, .started_at_ms = clock_now_ms()};
	control = control_new(lab.base, lab.settings.socket, api_routes, &api, &err);
	ck_assert_msg(control != NULL, "%s", err.message);
	control_set_gate(control, api_gate);
	if (lab.before_load)
		lab.before_load();
	fleet_load(lab.fleet);
	LAB_UNTIL(fleet_is_ready(lab.fleet));
}

void lab_stop(void)
{
	control_end(control);
	fleet_free(lab.fleet);
	events_free(events);
	event_base_loop(lab.base, EVLOOP_NONBLOCK);
	control_free(control);
	store_close(store);
	lab.fleet = NULL;
	control = NULL;
	events = NULL;
	store = NULL;
}

void lab_open(size_t hosts)
{
	ck_assert_uint_le(hosts, HOSTS_MAX);
	signal(SIGPIPE, SIG_IGN);                   /* as the daemon does */
	log_init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT); /* events are asked for */
	temp_make();
	lab = (struct lab){.base = event_base_new(), .hosts = hosts};
	lab.settings = (struct settings){
		.spec_dir = temp_path("specs"),
		.state_dir = temp_path("state"),
		.socket = temp_path("control"),
		.owner = xstrdup("apilb"),
		.resync_ms = 30000,
		.silent_after_ms = 60000,
		.concurrency = 64,
	};
	ck_assert_int_eq(mkdir(lab.settings.spec_dir, 0755), 0);
	ssh = (struct ssh_context){.base = lab.base};
	for (size_t i = 0; i < hosts; i++) {
		char address[8];

		fake_machine_init(&machines[i]);
		/* No two machines have a container of the same ID. */
		machines[i].ids = (int64_t)(i + 1) * 1000000;
		fake_add_image(&machines[i], LAB_OLD);
		fake_add_image(&machines[i], LAB_NEW);
		engines[i] = fake_engine_new(lab.base, &machines[i]);
		snprintf(address, sizeof(address), "h%zu", i + 1);
		fake_ssh_add(address, engines[i]);
	}
}

void lab_close(void)
{
	if (lab.fleet)
		lab_stop();
	fake_ssh_clear();
	for (size_t i = 0; i < lab.hosts; i++) {
		fake_engine_free(engines[i]);
		fake_machine_clear(&machines[i]);
	}
	event_base_free(lab.base);
	free(lab.settings.spec_dir);
	free(lab.settings.state_dir);
	free(lab.settings.socket);
	free(lab.settings.owner);
	FREE(told);
	FREE(phase);
	FREE(error);
	FREE(rollout);
	turned_clock_begin();
	temp_remove();
}

/* Specs. */

/* Until the directory has been quiet for long enough, and was read. */
static void let_it_be_read(void)
{
	if (lab.fleet && !lab.hasty)
		lab_pass(300);
}

char *lab_spec_path(const char *file)
{
	return xasprintf("%s/%s", lab.settings.spec_dir, file);
}

void lab_write(const char *spec, const char *fmt, ...)
{
	char *path = xasprintf("%s/%s.yaml", lab.settings.spec_dir, spec);
	char *fresh = xasprintf("%s/.%s.new", lab.settings.spec_dir, spec), *text;
	va_list args;

	va_start(args, fmt);
	ck_assert_int_ge(vasprintf(&text, fmt, args), 0);
	va_end(args);
	/* Another file each time: two versions of the same length are two also within a tick of the clock. */
	write_text(fresh, text);
	ck_assert_int_eq(rename(fresh, path), 0);
	free(text);
	free(fresh);
	free(path);
	let_it_be_read();
}

void lab_remove(const char *spec)
{
	char *path = xasprintf("%s/%s.yaml", lab.settings.spec_dir, spec);

	ck_assert_int_eq(unlink(path), 0);
	free(path);
	let_it_be_read();
}

void lab_write_prod(size_t hosts, const char *image, const char *lines)
{
	char *list = xstrdup("");

	for (size_t i = 1; i <= hosts; i++) {
		char *longer = xasprintf("%s- {host: {ssh: {address: h%zu}}}\n", list, i);

		free(list);
		list = longer;
	}
	lab_write("prod",
		  "image: %s\nname: lb\nservers: [\"192.0.2.1:6443\", \"192.0.2.2:6443\"]\n"
		  "bindAddress: 192.0.2.9:7443\nhostConfigPath: /etc/haproxy-lb/haproxy.cfg\n"
		  "ssh: {password: \"%%secret%%\"}\n%s%s%s",
		  image, lines, hosts ? "apiLoadBalancers:\n" : "apiLoadBalancers: []\n", list);
	free(list);
}

/* Asking. */

struct lab_client {
	struct bufferevent *stream;
	char *heard;
	bool ended;
};

static void on_heard(struct bufferevent *stream, void *arg)
{
	struct lab_client *client = arg;
	struct evbuffer *input = bufferevent_get_input(stream);
	size_t len = evbuffer_get_length(input), had = strlen(client->heard);

	client->heard = xrealloc(client->heard, had + len + 1);
	evbuffer_remove(input, client->heard + had, len);
	client->heard[had + len] = '\0';
}

static void on_end(struct bufferevent *stream, short what, void *arg)
{
	struct lab_client *client = arg;

	(void)stream;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		client->ended = true;
}

struct lab_client *lab_ask(const char *method, const char *path)
{
	struct lab_client *client = xcalloc(1, sizeof(*client));
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	client->heard = xstrdup("");
	client->stream = bufferevent_socket_new(lab.base, -1, BEV_OPT_CLOSE_ON_FREE);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", lab.settings.socket);
	bufferevent_setcb(client->stream, on_heard, NULL, on_end, client);
	bufferevent_enable(client->stream, EV_READ | EV_WRITE);
	ck_assert_int_eq(
		bufferevent_socket_connect(client->stream, (struct sockaddr *)&address, sizeof(address)), 0);
	evbuffer_add_printf(bufferevent_get_output(client->stream),
			    "%s %s HTTP/1.1\r\nHost: apilb\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
			    method, path);
	return client;
}

const char *lab_heard(const struct lab_client *client)
{
	return client->heard;
}

bool lab_is_answered(const struct lab_client *client)
{
	return client->ended;
}

void lab_hang_up(struct lab_client *client)
{
	bufferevent_free(client->stream);
	free(client->heard);
	free(client);
}

static int ask(const char *method, const char *path, char **body)
{
	struct lab_client *client = lab_ask(method, path);
	const char *text;
	int status = 0;

	LAB_UNTIL(lab_is_answered(client));
	ck_assert_msg(sscanf(client->heard, "HTTP/1.1 %d ", &status) == 1, "%s: %s", path, client->heard);
	text = strstr(client->heard, "\r\n\r\n");
	ck_assert_ptr_nonnull(text);
	if (body)
		*body = xstrdup(text + 4);
	lab_hang_up(client);
	return status;
}

int lab_get(const char *path, char **body)
{
	return ask("GET", path, body);
}

int lab_post(const char *path, char **body)
{
	return ask("POST", path, body);
}

struct json_object *lab_json(const char *method, const char *path)
{
	char *body;
	int status = ask(method, path, &body);
	struct json_object *json = json_tokener_parse(body);

	ck_assert_msg((status == 200 || status == 202) && json, "%s: %d %s", path, status, body);
	free(body);
	return json;
}

/* What was answered, in parts. The text is kept until the next question of its kind. */
static const char *keep(char **kept, const char *text)
{
	free(*kept);
	*kept = xstrdup(text);
	return *kept;
}

/* Counted; NULL: there is none. */
static struct json_object *instance_of(size_t host, const char *name)
{
	struct json_object *status = lab_json("GET", "/v1/status"), *found = NULL;
	struct json_object *list = json_list(status, "instances");
	char *url = xasprintf("ssh://root@h%zu:22", host);

	for (size_t i = 0; i < json_length(list); i++) {
		struct json_object *row = json_object_array_get_idx(list, i);

		if (strcmp(json_text(row, "host", ""), url) == 0 &&
		    strcmp(json_text(row, "name", ""), name) == 0)
			found = json_object_get(row);
	}
	free(url);
	json_object_put(status);
	return found;
}

const char *lab_phase(size_t host, const char *name)
{
	struct json_object *instance = instance_of(host, name);
	const char *text = keep(&phase, json_text(instance, "phase", ""));

	json_object_put(instance);
	return text;
}

const char *lab_error(size_t host, const char *name)
{
	struct json_object *instance = instance_of(host, name);
	const char *text = keep(&error, json_text(json_map(instance, "lastError"), "message", ""));

	json_object_put(instance);
	return text;
}

const char *lab_rollout(const char *spec)
{
	char *path = xasprintf("/v1/status?spec=%s", spec);
	struct json_object *status = lab_json("GET", path);
	struct json_object *row = json_object_array_get_idx(json_list(status, "specs"), 0);
	const char *text = keep(&rollout, json_text(json_map(row, "rollout"), "phase", ""));

	free(path);
	json_object_put(status);
	return text;
}

size_t lab_events(const char *type, const char *words)
{
	struct store_event *rows;
	struct err err;
	size_t n, found = 0;

	ck_assert_int_eq(store_load_events(store, 0, NULL, STORE_MAX_EVENTS, &rows, &n, &err), 0);
	for (size_t i = 0; i < n; i++)
		found += strcmp(rows[i].type, type) == 0 && strstr(rows[i].message, words);
	store_events_free(rows, n);
	return found;
}

const char *lab_told(void)
{
	struct store_event *rows;
	struct err err;
	size_t n;

	keep(&told, "");
	if (!store || store_load_events(store, 0, NULL, STORE_MAX_EVENTS, &rows, &n, &err) != 0)
		return told;
	for (size_t i = n > 20 ? n - 20 : 0; i < n; i++) {
		char *longer = xasprintf("%s%s %s: %s\n", told, rows[i].instance ? rows[i].instance : "-",
					 rows[i].type, rows[i].message);

		free(told);
		told = longer;
	}
	store_events_free(rows, n);
	return told;
}
