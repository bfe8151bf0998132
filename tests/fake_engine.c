#include "tests/fake_engine.h"

#include <archive.h>
#include <archive_entry.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <json-c/json.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/names.h"
#include "daemon/core/haproxy.h"
#include "daemon/io/archive.h"
#include "tests/turned_clock.h"

const char *const fake_fault_names[FAULTS] = {
	[FAULT_CUT_BEFORE] = "cut before it", [FAULT_CUT_AFTER] = "cut after it", [FAULT_REFUSED] = "refused",
	[FAULT_SILENT] = "never answered",    [FAULT_DISK_FULL] = "disk full",
};

#define ASKED_MAX 8

struct fake_engine {
	struct event_base *base;
	struct fake_machine *machine;
	struct evhttp *http;
	struct evconnlistener *stats;
	char dir[32];
	size_t requests, outages, fail_at;
	enum fake_fault how;
	bool failed;
	enum fake_mouth mouth, others;
	char *gagged;           /* the token of the one whose mouth that is; NULL: everybody's */
	char *asked[ASKED_MAX]; /* tokens of the stats sockets that were opened, until they are accepted */
};

/* One request, and what is answered. */
struct turn {
	struct fake_engine *engine;
	struct fake_machine *machine;
	struct evhttp_request *request;
	struct evkeyvalq query;
	char *subject; /* container or image */
	char *what;    /* "start", "archive"; "": the thing itself */
	struct fake_container *container;
	struct evbuffer *body;
	int status;
};

static void say(struct turn *turn, int status, const char *message)
{
	struct json_object *json = json_object_new_object();

	turn->status = status;
	json_object_object_add(json, "message", json_object_new_string(message));
	evbuffer_drain(turn->body, evbuffer_get_length(turn->body));
	evbuffer_add_printf(turn->body, "%s", json_object_to_json_string(json));
	json_object_put(json);
}

/* Takes the object over. */
static void answer(struct turn *turn, int status, struct json_object *json)
{
	turn->status = status;
	evbuffer_add_printf(turn->body, "%s", json_object_to_json_string(json));
	json_object_put(json);
}

static const char *argument(struct turn *turn, const char *name)
{
	const char *value = evhttp_find_header(&turn->query, name);

	return value ? value : "";
}

static struct json_object *body_of(struct turn *turn)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(turn->request);
	size_t len = evbuffer_get_length(input);
	char *text = xcalloc(1, len + 1);
	struct json_object *json;

	evbuffer_copyout(input, text, len);
	json = json_tokener_parse(text);
	free(text);
	return json;
}

/* Containers, as the engine shows them. */

static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, name, &value);
	return value;
}

static const char *const status_names[] = {"created", "running", "paused", "exited"};

/* Its HostConfig asks for them in two ways. */
static struct json_object *mounts(struct json_object *host)
{
	struct json_object *list = json_object_new_array(), *binds = member(host, "Binds");
	struct json_object *others = member(host, "Mounts");

	for (size_t i = 0; others && i < json_object_array_length(others); i++) {
		struct json_object *mount = NULL;

		json_object_deep_copy(json_object_array_get_idx(others, i), &mount, NULL);
		json_object_object_add(mount, "Destination", json_object_get(member(mount, "Target")));
		json_object_array_add(list, mount);
	}

	for (size_t i = 0; binds && i < json_object_array_length(binds); i++) {
		struct json_object *mount = json_object_new_object();
		char *copy = xstrdup(json_object_get_string(json_object_array_get_idx(binds, i))),
		     *rest = copy;

		json_object_object_add(mount, "Type", json_object_new_string("bind"));
		json_object_object_add(mount, "Source", json_object_new_string(strsep(&rest, ":")));
		json_object_object_add(mount, "Destination", json_object_new_string(strsep(&rest, ":")));
		json_object_object_add(mount, "RW", json_object_new_boolean(rest == NULL));
		json_object_array_add(list, mount);
		free(copy);
	}
	return list;
}

static struct json_object *state_of(const struct fake_container *container)
{
	struct json_object *state = json_object_new_object();
	char *since = xasprintf("2026-01-01T00:00:00.%09lldZ", (long long)container->started);

	json_object_object_add(state, "Status", json_object_new_string(status_names[container->status]));
	json_object_object_add(state, "ExitCode", json_object_new_int(container->exit_code));
	json_object_object_add(state, "StartedAt", json_object_new_string(since));
	free(since);
	return state;
}

/* Podman 4.3: what it says otherwise, and adds. */
static void say_as_podman(struct json_object *config, struct json_object *env)
{
	static const char *const added[] = {"TERM=xterm", "container=podman", "HOME=/", "HOSTNAME=h1"};
	char *image = xasprintf("docker.io/library/%s", json_object_get_string(member(config, "Image")));

	for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++)
		json_object_array_add(env, json_object_new_string(added[i]));
	json_object_object_add(config, "Image", json_object_new_string(image));
	if (strcmp(json_object_get_string(member(config, "StopSignal")), "SIGUSR1") == 0)
		json_object_object_add(config, "StopSignal", json_object_new_string("10"));
	free(image);
}

static struct json_object *inspect_of(const struct turn *turn, const struct fake_container *container)
{
	struct json_object *inspect = json_object_new_object(), *config = NULL,
			   *env = member(container->request, "Env");
	struct json_object *host = member(container->request, "HostConfig");
	char *name = xasprintf("/%s", container->name);

	json_object_object_add(inspect, "Id", json_object_new_string(container->id));
	json_object_object_add(inspect, "Name", json_object_new_string(name));
	json_object_object_add(inspect, "Image", json_object_new_string(container->image_id));
	json_object_deep_copy(container->request, &config, NULL);
	json_object_object_del(config, "HostConfig");
	env = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(member(config, "Env")); i++)
		json_object_array_add(env,
				      json_object_get(json_object_array_get_idx(member(config, "Env"), i)));
	json_object_array_add(env, json_object_new_string("PATH=/bin"));
	if (turn->machine->podman)
		say_as_podman(config, env);
	json_object_object_add(config, "Env", env);
	json_object_object_add(inspect, "Config", config);
	json_object_object_add(inspect, "HostConfig", json_object_get(host));
	json_object_object_add(inspect, "State", state_of(container));
	json_object_object_add(inspect, "Mounts", mounts(host));
	free(name);
	return inspect;
}

static void list(struct turn *turn)
{
	struct json_object *all = json_object_new_array();

	for (const struct fake_container *c = turn->machine->containers; c; c = c->next) {
		struct json_object *entry = json_object_new_object(), *names = json_object_new_array();
		struct json_object *labels = member(c->request, "Labels");
		char *name = xasprintf("/%s", c->name);

		json_object_array_add(names, json_object_new_string(name));
		json_object_object_add(entry, "Id", json_object_new_string(c->id));
		json_object_object_add(entry, "Names", names);
		json_object_object_add(entry, "Image", json_object_get(member(c->request, "Image")));
		json_object_object_add(entry, "State", json_object_new_string(status_names[c->status]));
		json_object_object_add(entry, "ImageID", json_object_new_string(c->image_id));
		json_object_object_add(entry, "Mounts", mounts(member(c->request, "HostConfig")));
		json_object_object_add(entry, "Labels", json_object_get(labels));
		if (member(labels, LABEL_OWNER) &&
		    strstr(argument(turn, "filters"), json_object_get_string(member(labels, LABEL_OWNER))))
			json_object_array_add(all, json_object_get(entry));
		json_object_put(entry);
		free(name);
	}
	answer(turn, 200, all);
}

static void inspect(struct turn *turn)
{
	answer(turn, 200, inspect_of(turn, turn->container));
}

static void create(struct turn *turn)
{
	struct json_object *request = body_of(turn), *reply = json_object_new_object();
	const char *image = json_object_get_string(member(request, "Image"));
	const char *name = argument(turn, "name");
	struct fake_container *taken = fake_find(turn->machine, name);

	if (!fake_image_id(turn->machine, image)) {
		say(turn, 404, "No such image");
	} else if (taken && strcmp(taken->name, name) == 0) {
		say(turn, 409, "Conflict. The container name is already in use");
	} else {
		json_object_object_add(
			reply, "Id",
			json_object_new_string(
				fake_create(turn->machine, name, json_object_get(request))->id));
		answer(turn, 201, json_object_get(reply));
	}
	json_object_put(request);
	json_object_put(reply);
}

static void start(struct turn *turn)
{
	turn->status = turn->container->status == FAKE_RUNNING ? 304 : 204;
	if (turn->status == 204)
		fake_start(turn->machine, turn->container);
}

static void stop(struct turn *turn)
{
	turn->status = turn->container->status == FAKE_RUNNING ? 204 : 304;
	if (turn->status == 204)
		fake_end(turn->container, 0);
}

static void send_signal(struct turn *turn)
{
	turn->status = 204;
	if (turn->container->status != FAKE_RUNNING)
		say(turn, 409, "container is not running");
	else if (strcmp(argument(turn, "signal"), "SIGUSR1") == 0)
		fake_tell_to_leave(turn->machine, turn->container);
	else if (strcmp(argument(turn, "signal"), "SIGUSR2") == 0)
		fake_reload(turn->machine, turn->container);
	else
		say(turn, 400, "no such signal here");
}

static void wait_for(struct turn *turn)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "StatusCode", json_object_new_int(turn->container->exit_code));
	answer(turn, 200, reply);
}

static void rename_it(struct turn *turn)
{
	const char *name = argument(turn, "name");

	turn->status = 204;
	if (fake_find(turn->machine, name)) {
		say(turn, 409, "Conflict. The container name is already in use");
		return;
	}
	free(turn->container->name);
	turn->container->name = xstrdup(name);
}

static void unpause(struct turn *turn)
{
	turn->status = 204;
	turn->container->status = FAKE_RUNNING;
}

static void prepare_exec(struct turn *turn)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "Id", json_object_new_string(turn->container->id));
	answer(turn, 201, reply);
}

static void run_exec(struct turn *turn)
{
	turn->status = 200;
	if (turn->container->status != FAKE_RUNNING)
		say(turn, 409, "container is not running");
	else
		fake_reload(turn->machine, turn->container);
}

static void delete (struct turn *turn)
{
	turn->status = 204;
	fake_remove(turn->machine, turn->container);
}

static void logs(struct turn *turn)
{
	turn->status = 200;
	evbuffer_add_printf(turn->body, "%s", turn->container->log);
}

static void inspect_image(struct turn *turn)
{
	struct json_object *image = json_object_new_object(), *config = json_object_new_object(),
			   *env = json_object_new_array();
	const char *id = fake_image_id(turn->machine, turn->subject);

	json_object_array_add(env, json_object_new_string("PATH=/bin"));
	json_object_object_add(config, "Env", env);
	if (strcmp(turn->machine->committed, turn->subject) == 0)
		json_object_object_add(config, "Labels", json_object_get(turn->machine->labels));
	json_object_object_add(image, "Config", config);
	if (id)
		json_object_object_add(image, "Id", json_object_new_string(id));
	answer(turn, id ? 200 : 404, image);
}

static void pull(struct turn *turn)
{
	char *name = xasprintf("%s:%s", argument(turn, "fromImage"), argument(turn, "tag"));

	turn->status = 200;
	turned_clock_turn(turn->machine->pull_ms);
	fake_add_image(turn->machine, name);
	evbuffer_add_printf(turn->body, "{\"status\":\"Status: Downloaded newer image\"}\n");
	free(name);
}

/* Files. */

void fake_engine_gag(struct fake_engine *engine, const char *token, enum fake_mouth mouth)
{
	free(engine->gagged);
	engine->gagged = xstrdup(token);
	engine->mouth = mouth;
}

void fake_engine_gag_others(struct fake_engine *engine, enum fake_mouth mouth)
{
	engine->others = mouth;
}

static enum fake_mouth mouth_of(const struct fake_engine *engine, const char *token)
{
	return !engine->gagged || strcmp(engine->gagged, token) == 0 ? engine->mouth : engine->others;
}

static bool listens(const struct turn *turn, const char *path)
{
	for (const struct fake_container *c = turn->machine->containers; c; c = c->next)
		if (c->loaded && *fake_token(c) && strstr(path, fake_token(c)))
			return mouth_of(turn->engine, fake_token(c)) != MOUTH_REFUSES;
	return false;
}

/* Puts the header; false when there is no such path. */
static bool stat_path(struct turn *turn, const char *path)
{
	const struct fake_file *file = fake_file_find(turn->machine, path);
	char *json, *encoded;

	if (!file && !listens(turn, path)) {
		say(turn, 404, "Could not find the file in container");
		return false;
	}
	/* Go's os.ModeDir is the highest bit. */
	json = xasprintf("{\"name\":\"%s\",\"size\":%zu,\"mode\":%u,\"mtime\":\"%lld\",\"linkTarget\":\"\"}",
			 strrchr(path, '/') + 1, file ? file->len : 0,
			 file ? file->mode | (file->is_dir ? 1u << 31 : 0) : 0777,
			 file ? (long long)file->changed : 0);
	encoded = xcalloc(2, strlen(json) + 4);
	EVP_EncodeBlock((unsigned char *)encoded, (unsigned char *)json, (int)strlen(json));
	evhttp_add_header(evhttp_request_get_output_headers(turn->request), "X-Docker-Container-Path-Stat",
			  encoded);
	turn->status = 200;
	free(json);
	free(encoded);
	return true;
}

static void head_archive(struct turn *turn)
{
	char *path = fake_path_of(turn->container, argument(turn, "path"));

	if (turn->machine->blind && turn->container->status == FAKE_RUNNING && strstr(path, ".cfg"))
		say(turn, 500, "mounting it failed");
	else
		stat_path(turn, path);
	free(path);
}

static void get_archive(struct turn *turn)
{
	char *path = fake_path_of(turn->container, argument(turn, "path"));
	const struct fake_file *file = fake_file_find(turn->machine, path);
	struct archive_entry_spec entry = {.path = strrchr(path, '/') + 1};
	char *name = NULL, *tar;
	size_t len;

	if (stat_path(turn, path) && file) {
		entry.mode = file->mode;
		entry.data = file->is_dir ? NULL : file->text;
		entry.len = file->len;
		if (file->is_dir)
			entry.path = name = xasprintf("%s/", entry.path);
		archive_pack(&entry, 1, 0, &tar, &len);
		evbuffer_add(turn->body, tar, len);
		free(tar);
		free(name);
	}
	free(path);
}

static void unpack_link(struct turn *turn, const char *dir, struct archive_entry *entry)
{
	char *from = xasprintf("%s/%s", dir, archive_entry_hardlink(entry));
	char *path = xasprintf("%s/%s", dir, archive_entry_pathname(entry));

	if (!fake_file_link(turn->machine, from, path))
		say(turn, 500, "link: operation not permitted");
	free(from);
	free(path);
}

static void unpack_entry(struct turn *turn, const char *dir, struct archive *tar, struct archive_entry *entry)
{
	size_t len = archive_entry_filetype(entry) == AE_IFDIR ? 0 : (size_t)archive_entry_size(entry);
	size_t dir_len = strlen(dir) - (dir[strlen(dir) - 1] == '/');
	char *path = xasprintf("%.*s/%s", (int)dir_len, dir, archive_entry_pathname(entry));
	char *text = archive_entry_filetype(entry) == AE_IFDIR ? NULL : xcalloc(1, len + 1);
	size_t end = strlen(path);

	if (end > 1 && path[end - 1] == '/')
		path[end - 1] = '\0';
	if (text && archive_read_data(tar, text, len) != (ssize_t)len)
		say(turn, 400, "unexpected EOF");
	else if (!fake_file_write(turn->machine, path, text, len, archive_entry_perm(entry)))
		say(turn, 500, "write: no space left on device");
	free(text);
	free(path);
}

static void put_archive(struct turn *turn)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(turn->request);
	char *dir = fake_path_of(turn->container, argument(turn, "path"));
	struct archive *tar = archive_read_new();
	struct archive_entry *entry;
	size_t len = evbuffer_get_length(input);

	turn->status = 200;
	/* The root of a container is always there. */
	if (strcmp(argument(turn, "path"), "/") != 0 && !fake_file_find(turn->machine, dir)) {
		say(turn, 404, "Could not find the file in container");
	} else {
		archive_read_support_format_tar(tar);
		archive_read_open_memory(tar, evbuffer_pullup(input, -1), len);
		while (turn->status == 200 && archive_read_next_header(tar, &entry) == ARCHIVE_OK)
			if (archive_entry_hardlink(entry))
				unpack_link(turn, dir, entry);
			else
				unpack_entry(turn, dir, tar, entry);
	}
	archive_read_free(tar);
	free(dir);
}

/* Which request is which. */

static void ping(struct turn *turn)
{
	turn->status = 200;
	evhttp_add_header(evhttp_request_get_output_headers(turn->request), "Api-Version", "1.41");
}

static const struct {
	enum evhttp_cmd_type method;
	const char *kind, *what; /* kind: the first word of the path */
	void (*serve)(struct turn *turn);
} routes[] = {
	{EVHTTP_REQ_GET, "_ping", "", ping},
	{EVHTTP_REQ_GET, "containers", "json", inspect},
	{EVHTTP_REQ_POST, "containers", "start", start},
	{EVHTTP_REQ_POST, "containers", "stop", stop},
	{EVHTTP_REQ_POST, "containers", "kill", send_signal},
	{EVHTTP_REQ_POST, "containers", "wait", wait_for},
	{EVHTTP_REQ_POST, "containers", "rename", rename_it},
	{EVHTTP_REQ_POST, "containers", "unpause", unpause},
	{EVHTTP_REQ_POST, "containers", "exec", prepare_exec},
	{EVHTTP_REQ_POST, "exec", "start", run_exec},
	{EVHTTP_REQ_DELETE, "containers", "", delete},
	{EVHTTP_REQ_GET, "containers", "logs", logs},
	{EVHTTP_REQ_GET, "images", "json", inspect_image},
	{EVHTTP_REQ_HEAD, "containers", "archive", head_archive},
	{EVHTTP_REQ_GET, "containers", "archive", get_archive},
	{EVHTTP_REQ_PUT, "containers", "archive", put_archive},
};

/* "/v1.41/containers/NAME/start" -> kind, subject, what. An image's name may have slashes. */
static char *cut_path(struct turn *turn, const char *path)
{
	char *words = xstrdup(path + 1), *kind = words, *rest = words, *last;

	if (strncmp(words, "v1.", 3) == 0) {
		strsep(&rest, "/");
		kind = rest ? rest : words;
	}
	rest = kind;
	kind = strsep(&rest, "/");
	last = rest ? strrchr(rest, '/') : NULL;
	turn->what = xstrdup(last ? last + 1 : "");
	if (last)
		*last = '\0';
	turn->subject = evhttp_uridecode(rest ? rest : "", 0, NULL);
	kind = xstrdup(kind);
	free(words);
	return kind;
}

static void serve(struct turn *turn, const char *kind)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(turn->request);
	bool of_container = strcmp(kind, "containers") == 0 || strcmp(kind, "exec") == 0;

	/* The two that are of no container yet: their subject is a word. */
	if (of_container && !*turn->what && method == EVHTTP_REQ_GET) {
		list(turn);
		return;
	}
	if (of_container && strcmp(turn->subject, "create") == 0) {
		create(turn);
		return;
	}
	if (strcmp(kind, "images") == 0 && method == EVHTTP_REQ_POST) {
		pull(turn);
		return;
	}
	turn->container = of_container ? fake_find(turn->machine, turn->subject) : NULL;
	if (of_container && !turn->container) {
		say(turn, 404, "No such container");
		return;
	}
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (routes[i].method == method && strcmp(routes[i].kind, kind) == 0 &&
		    strcmp(routes[i].what, turn->what) == 0) {
			routes[i].serve(turn);
			return;
		}
	}
	say(turn, 501, "this engine is only a fake one");
}

static void remember(struct turn *turn, const char *kind)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(turn->request);
	char *before = turn->machine->history;

	if (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD)
		return;
	turn->machine->history =
		xasprintf("%s%s %s %s %s -> %d\n", before ? before : "",
			  method == EVHTTP_REQ_DELETE ? "remove" : kind, turn->subject, turn->what,
			  argument(turn, *argument(turn, "name") ? "name" : "path"), turn->status);
	free(before);
}

/* Faults. */

static void cut(struct evhttp_request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request);

	shutdown(bufferevent_getfd(evhttp_connection_get_bufferevent(connection)), SHUT_RDWR);
}

static bool is_due(struct fake_engine *engine)
{
	bool is = ++engine->requests == engine->fail_at;

	engine->failed |= is;
	return is;
}

static void finish(struct turn *turn, bool fault)
{
	enum fake_fault how = turn->engine->how;

	if (evhttp_request_get_command(turn->request) == EVHTTP_REQ_HEAD)
		evbuffer_drain(turn->body, evbuffer_get_length(turn->body));
	if (fault && (how == FAULT_CUT_BEFORE || how == FAULT_CUT_AFTER))
		cut(turn->request);
	else if (!(fault && how == FAULT_SILENT))
		evhttp_send_reply(turn->request, turn->status, "as it is", turn->body);
}

static void on_request(struct evhttp_request *request, void *arg)
{
	struct fake_engine *engine = arg;
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	struct turn turn = {.engine = engine, .machine = engine->machine, .request = request};
	char *kind = cut_path(&turn, evhttp_uri_get_path(uri));
	size_t served = fake_serving(engine->machine);
	bool fault = is_due(engine);

	turn.body = evbuffer_new();
	evhttp_parse_query_str(evhttp_uri_get_query(uri) ? evhttp_uri_get_query(uri) : "", &turn.query);
	engine->machine->disk_is_full = fault && engine->how == FAULT_DISK_FULL;
	if (fault && engine->how == FAULT_REFUSED)
		say(&turn, 500, "the engine has had enough");
	else if (!(fault && (engine->how == FAULT_CUT_BEFORE || engine->how == FAULT_SILENT)))
		serve(&turn, kind);
	engine->machine->disk_is_full = false;
	engine->outages += served > 0 && fake_serving(engine->machine) == 0;
	remember(&turn, kind);
	finish(&turn, fault);
	evhttp_clear_headers(&turn.query);
	evbuffer_free(turn.body);
	free(turn.subject);
	free(turn.what);
	free(kind);
}

void fake_engine_fail(struct fake_engine *engine, size_t nth, enum fake_fault how)
{
	engine->fail_at = nth ? engine->requests + nth : 0;
	engine->how = how;
	engine->failed = false;
}

bool fake_engine_has_failed(const struct fake_engine *engine)
{
	return engine->failed;
}

size_t fake_engine_requests(const struct fake_engine *engine)
{
	return engine->requests;
}

size_t fake_engine_outages(const struct fake_engine *engine)
{
	return engine->outages;
}

/* Stats sockets: one listener for all of them. Who is asked is known from what was opened, in that order. */

static const struct fake_container *by_token(const struct fake_engine *engine, const char *token)
{
	for (const struct fake_container *c = engine->machine->containers; c; c = c->next)
		if (c->status == FAKE_RUNNING && c->loaded && strcmp(fake_token(c), token) == 0)
			return c;
	return NULL;
}

static char *first_asked(struct fake_engine *engine)
{
	char *token = engine->asked[0];

	memmove(engine->asked, engine->asked + 1, sizeof(engine->asked) - sizeof(engine->asked[0]));
	engine->asked[ASKED_MAX - 1] = NULL;
	return token;
}

struct question {
	struct fake_engine *engine;
	char *token;
	struct event *drip; /* or a slow answer; NULL: it does not */
	struct bufferevent *stream;
};

static void question_end(struct bufferevent *stream, void *arg)
{
	struct question *question = arg;

	bufferevent_free(stream);
	if (question->drip)
		event_free(question->drip);
	free(question->token);
	free(question);
}

static void on_stats_end(struct bufferevent *stream, short what, void *arg)
{
	(void)what;
	question_end(stream, arg);
}

static void on_drip(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	bufferevent_write(arg, "x", 1);
}

static void drip(struct question *question, struct bufferevent *stream)
{
	question->drip = event_new(question->engine->base, -1, EV_PERSIST, on_drip, stream);
	event_add(question->drip, &(struct timeval){.tv_sec = 1});
}

static void speak(struct question *question, enum fake_mouth mouth)
{
	const struct fake_container *container = by_token(question->engine, question->token);
	char *text = container ? fake_answer(container) : xstrdup("");

	if (mouth == MOUTH_HALF)
		text[strlen(text) - strlen("\n")] = '\0';
	else if (mouth == MOUTH_GARBAGE)
		memset(text, 'x', strlen(text));
	bufferevent_setcb(question->stream, NULL, question_end, on_stats_end, question);
	bufferevent_write(question->stream, text, strlen(text));
	free(text);
}

static void on_thought(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	speak(arg, MOUTH_SLOW);
}

static void on_question(struct bufferevent *stream, void *arg)
{
	struct question *question = arg;
	struct evbuffer *input = bufferevent_get_input(stream);
	enum fake_mouth mouth = mouth_of(question->engine, question->token);

	evbuffer_drain(input, evbuffer_get_length(input));
	question->stream = stream;
	if (mouth == MOUTH_DRIPS) {
		drip(question, stream);
	} else if (mouth == MOUTH_SLOW) {
		question->drip = evtimer_new(question->engine->base, on_thought, question);
		evtimer_add(question->drip, &(struct timeval){.tv_sec = 3});
	} else if (mouth != MOUTH_SILENT) {
		speak(question, mouth);
	}
}

static void on_stats(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
		     void *arg)
{
	struct fake_engine *engine = arg;
	struct bufferevent *stream = bufferevent_socket_new(engine->base, fd, BEV_OPT_CLOSE_ON_FREE);
	struct question *question = xcalloc(1, sizeof(*question));

	(void)listener, (void)address, (void)len;
	question->engine = engine;
	question->token = first_asked(engine);
	bufferevent_setcb(stream, on_question, NULL, on_stats_end, question);
	bufferevent_enable(stream, EV_READ);
}

static struct sockaddr_un address_of(const struct fake_engine *engine, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", engine->dir, name);
	return address;
}

/* The path of a stats socket ends in "/TOKEN.sock"; any other is the engine's. */
struct stream_opening *fake_engine_open(void *arg, const char *path, int64_t timeout_ms, stream_open_cb *cb,
					void *cb_arg)
{
	struct fake_engine *engine = arg;
	bool is_engine = strncmp(path, HAPROXY_RUN_DIR "/", strlen(HAPROXY_RUN_DIR "/")) != 0;
	char *token = xasprintf("%.*s", (int)strcspn(strrchr(path, '/') + 1, "."), strrchr(path, '/') + 1);
	bool listens = !is_engine && by_token(engine, token) && mouth_of(engine, token) != MOUTH_REFUSES;
	const char *name = is_engine ? "engine" : listens ? "stats" : "nobody";
	const struct sockaddr_un address = address_of(engine, name);
	size_t i = 0;

	while (engine->asked[i])
		i++;
	if (strcmp(name, "stats") == 0)
		engine->asked[i] = xstrdup(token);
	free(token);
	return stream_open_unix(engine->base, address.sun_path, timeout_ms, cb, cb_arg);
}

char *fake_engine_socket(const struct fake_engine *engine)
{
	return xstrdup(address_of(engine, "engine").sun_path);
}

/* Its life. */

static struct evconnlistener *listen_as(struct fake_engine *engine, const char *name, evconnlistener_cb cb)
{
	const struct sockaddr_un address = address_of(engine, name);
	struct evconnlistener *listener = evconnlistener_new_bind(
		engine->base, cb, engine, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
		(const struct sockaddr *)&address, sizeof(address));

	if (!listener)
		abort();
	return listener;
}

struct fake_engine *fake_engine_new(struct event_base *base, struct fake_machine *machine)
{
	struct fake_engine *engine = xcalloc(1, sizeof(*engine));

	engine->base = base;
	engine->machine = machine;
	strcpy(engine->dir, "/tmp/apilb-engine-XXXXXX");
	if (!mkdtemp(engine->dir))
		abort();
	engine->http = evhttp_new(base);
	evhttp_set_allowed_methods(engine->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
							 EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE);
	evhttp_set_gencb(engine->http, on_request, engine);
	evhttp_bind_listener(engine->http, listen_as(engine, "engine", NULL));
	engine->stats = listen_as(engine, "stats", on_stats);
	return engine;
}

void fake_engine_free(struct fake_engine *engine)
{
	static const char *const names[] = {"engine", "stats"};

	evhttp_free(engine->http);
	evconnlistener_free(engine->stats);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct sockaddr_un address = address_of(engine, names[i]);

		unlink(address.sun_path);
	}
	rmdir(engine->dir);
	while (engine->asked[0])
		free(first_asked(engine));
	free(engine->gagged);
	free(engine);
}
