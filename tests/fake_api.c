/* The endpoints of the Docker Engine API that a run needs, on a fake machine. */
#include "tests/fake_api.h"

#include <archive.h>
#include <archive_entry.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <json-c/json.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/names.h"
#include "daemon/io/archive.h"
#include "tests/turned_clock.h"

void fake_turn_say(struct fake_turn *turn, int status, const char *message)
{
	struct json_object *json = json_object_new_object();

	turn->status = status;
	json_object_object_add(json, "message", json_object_new_string(message));
	evbuffer_drain(turn->body, evbuffer_get_length(turn->body));
	evbuffer_add_printf(turn->body, "%s", json_object_to_json_string(json));
	json_object_put(json);
}

/* Takes the object over. */
static void answer(struct fake_turn *turn, int status, struct json_object *json)
{
	turn->status = status;
	evbuffer_add_printf(turn->body, "%s", json_object_to_json_string(json));
	json_object_put(json);
}

static const char *argument(struct fake_turn *turn, const char *name)
{
	const char *value = evhttp_find_header(&turn->query, name);

	return value ? value : "";
}

static struct json_object *body_of(struct fake_turn *turn)
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

static struct json_object *inspect_of(const struct fake_turn *turn, const struct fake_container *container)
{
	struct json_object *inspect = json_object_new_object(), *config = NULL, *env, *own;
	struct json_object *host = member(container->request, "HostConfig");
	char *name = xasprintf("/%s", container->name);

	json_object_object_add(inspect, "Id", json_object_new_string(container->id));
	json_object_object_add(inspect, "Name", json_object_new_string(name));
	json_object_object_add(inspect, "Image", json_object_new_string(container->image_id));
	json_object_deep_copy(container->request, &config, NULL);
	json_object_object_del(config, "HostConfig");
	own = member(config, "Env");
	env = json_object_new_array();
	for (size_t i = 0; own && i < json_object_array_length(own); i++)
		json_object_array_add(env, json_object_get(json_object_array_get_idx(own, i)));
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

static void list(struct fake_turn *turn)
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
		/* Podman before 4.0 says null. */
		json_object_object_add(entry, "Mounts",
				       turn->machine->podman ? NULL
							     : mounts(member(c->request, "HostConfig")));
		json_object_object_add(entry, "Labels", json_object_get(labels));
		if (member(labels, LABEL_OWNER) &&
		    strstr(argument(turn, "filters"), json_object_get_string(member(labels, LABEL_OWNER))))
			json_object_array_add(all, json_object_get(entry));
		json_object_put(entry);
		free(name);
	}
	answer(turn, 200, all);
}

static void inspect(struct fake_turn *turn)
{
	answer(turn, 200, inspect_of(turn, turn->container));
}

static void create(struct fake_turn *turn)
{
	struct json_object *request = body_of(turn), *reply = json_object_new_object();
	const char *image = json_object_get_string(member(request, "Image"));
	const char *name = argument(turn, "name");
	struct fake_container *taken = fake_find(turn->machine, name);

	if (!fake_image_id(turn->machine, image)) {
		fake_turn_say(turn, 404, "No such image");
	} else if (taken && strcmp(taken->name, name) == 0) {
		fake_turn_say(turn, 409, "Conflict. The container name is already in use");
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

static void start(struct fake_turn *turn)
{
	turn->status = turn->container->status == FAKE_RUNNING ? 304 : 204;
	if (turn->status == 204)
		fake_start(turn->machine, turn->container);
}

static void stop(struct fake_turn *turn)
{
	turn->status = turn->container->status == FAKE_RUNNING ? 204 : 304;
	if (turn->status == 204)
		fake_end(turn->container, 0);
}

static void send_signal(struct fake_turn *turn)
{
	turn->status = 204;
	if (turn->container->status != FAKE_RUNNING)
		fake_turn_say(turn, 409, "container is not running");
	else if (strcmp(argument(turn, "signal"), "SIGUSR1") == 0)
		fake_tell_to_leave(turn->machine, turn->container);
	else if (strcmp(argument(turn, "signal"), "SIGUSR2") == 0)
		fake_reload(turn->machine, turn->container);
	else
		fake_turn_say(turn, 400, "no such signal here");
}

static void wait_for(struct fake_turn *turn)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "StatusCode", json_object_new_int(turn->container->exit_code));
	answer(turn, 200, reply);
}

static void rename_it(struct fake_turn *turn)
{
	const char *name = argument(turn, "name");

	turn->status = 204;
	if (fake_find(turn->machine, name)) {
		fake_turn_say(turn, 409, "Conflict. The container name is already in use");
		return;
	}
	free(turn->container->name);
	turn->container->name = xstrdup(name);
}

static void unpause(struct fake_turn *turn)
{
	turn->status = 204;
	turn->container->status = FAKE_RUNNING;
}

static void prepare_exec(struct fake_turn *turn)
{
	struct json_object *reply = json_object_new_object();

	json_object_object_add(reply, "Id", json_object_new_string(turn->container->id));
	answer(turn, 201, reply);
}

static void run_exec(struct fake_turn *turn)
{
	turn->status = 200;
	if (turn->container->status != FAKE_RUNNING)
		fake_turn_say(turn, 409, "container is not running");
	else
		fake_reload(turn->machine, turn->container);
}

static void delete (struct fake_turn *turn)
{
	turn->status = 204;
	fake_remove(turn->machine, turn->container);
}

static void logs(struct fake_turn *turn)
{
	turn->status = 200;
	evbuffer_add_printf(turn->body, "%s", turn->container->log);
}

static void inspect_image(struct fake_turn *turn)
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

static void pull(struct fake_turn *turn)
{
	char *name = xasprintf("%s:%s", argument(turn, "fromImage"), argument(turn, "tag"));

	turn->status = 200;
	turned_clock_turn(turn->machine->pull_ms);
	fake_add_image(turn->machine, name);
	evbuffer_add_printf(turn->body, "{\"status\":\"Status: Downloaded newer image\"}\n");
	free(name);
}

/* Files. */

static bool listens(const struct fake_turn *turn, const char *path)
{
	for (const struct fake_container *c = turn->machine->containers; c; c = c->next)
		if (c->loaded && *fake_token(c) && strstr(path, fake_token(c)))
			return fake_engine_listens(turn->engine, fake_token(c));
	return false;
}

/* Puts the header; false when there is no such path. */
static bool stat_path(struct fake_turn *turn, const char *path)
{
	const struct fake_file *file = fake_file_find(turn->machine, path);
	char *json, *encoded;

	if (!file && !listens(turn, path)) {
		fake_turn_say(turn, 404, "Could not find the file in container");
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

static void head_archive(struct fake_turn *turn)
{
	char *path = fake_path_of(turn->container, argument(turn, "path"));

	if (turn->machine->blind && turn->container->status == FAKE_RUNNING && strstr(path, ".cfg"))
		fake_turn_say(turn, 500, "mounting it failed");
	else
		stat_path(turn, path);
	free(path);
}

static void get_archive(struct fake_turn *turn)
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

static void unpack_link(struct fake_turn *turn, const char *dir, struct archive_entry *entry)
{
	char *from = xasprintf("%s/%s", dir, archive_entry_hardlink(entry));
	char *path = xasprintf("%s/%s", dir, archive_entry_pathname(entry));

	if (!fake_file_link(turn->machine, from, path))
		fake_turn_say(turn, 500, "link: operation not permitted");
	free(from);
	free(path);
}

static void unpack_entry(struct fake_turn *turn, const char *dir, struct archive *tar,
			 struct archive_entry *entry)
{
	size_t len = archive_entry_filetype(entry) == AE_IFDIR ? 0 : (size_t)archive_entry_size(entry);
	size_t dir_len = strlen(dir) - (dir[strlen(dir) - 1] == '/');
	char *path = xasprintf("%.*s/%s", (int)dir_len, dir, archive_entry_pathname(entry));
	char *text = archive_entry_filetype(entry) == AE_IFDIR ? NULL : xcalloc(1, len + 1);
	size_t end = strlen(path);

	if (end > 1 && path[end - 1] == '/')
		path[end - 1] = '\0';
	if (text && archive_read_data(tar, text, len) != (ssize_t)len)
		fake_turn_say(turn, 400, "unexpected EOF");
	else if (!fake_file_write(turn->machine, path, text, len, archive_entry_perm(entry)))
		fake_turn_say(turn, 500, "write: no space left on device");
	free(text);
	free(path);
}

static void put_archive(struct fake_turn *turn)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(turn->request);
	char *dir = fake_path_of(turn->container, argument(turn, "path"));
	struct archive *tar = archive_read_new();
	struct archive_entry *entry;
	size_t len = evbuffer_get_length(input);

	turn->status = 200;
	/* The root of a container is always there. */
	if (strcmp(argument(turn, "path"), "/") != 0 && !fake_file_find(turn->machine, dir)) {
		fake_turn_say(turn, 404, "Could not find the file in container");
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

static void ping(struct fake_turn *turn)
{
	turn->status = 200;
	evhttp_add_header(evhttp_request_get_output_headers(turn->request), "Api-Version", "1.41");
}

static const struct {
	enum evhttp_cmd_type method;
	const char *kind, *what; /* kind: the first word of the path */
	void (*serve)(struct fake_turn *turn);
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
static char *cut_path(struct fake_turn *turn, const char *path)
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

void fake_turn_serve(struct fake_turn *turn)
{
	const char *kind = turn->kind;
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
		fake_turn_say(turn, 404, "No such container");
		return;
	}
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (routes[i].method == method && strcmp(routes[i].kind, kind) == 0 &&
		    strcmp(routes[i].what, turn->what) == 0) {
			routes[i].serve(turn);
			return;
		}
	}
	fake_turn_say(turn, 501, "this engine is only a fake one");
}

void fake_turn_begin(struct fake_turn *turn)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(turn->request);
	const char *query = evhttp_uri_get_query(uri);

	turn->kind = cut_path(turn, evhttp_uri_get_path(uri));
	turn->body = evbuffer_new();
	evhttp_parse_query_str(query ? query : "", &turn->query);
}

void fake_turn_end(struct fake_turn *turn)
{
	evhttp_clear_headers(&turn->query);
	evbuffer_free(turn->body);
	free(turn->subject);
	free(turn->what);
	free(turn->kind);
}

void fake_turn_remember(struct fake_turn *turn)
{
	enum evhttp_cmd_type method = evhttp_request_get_command(turn->request);
	char *before = turn->machine->history;

	if (method == EVHTTP_REQ_GET || method == EVHTTP_REQ_HEAD)
		return;
	turn->machine->history =
		xasprintf("%s%s %s %s %s -> %d\n", before ? before : "",
			  method == EVHTTP_REQ_DELETE ? "remove" : turn->kind, turn->subject, turn->what,
			  argument(turn, *argument(turn, "name") ? "name" : "path"), turn->status);
	free(before);
}
