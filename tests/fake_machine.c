#include "tests/fake_machine.h"

#include <json-c/json.h>
#include <json-c/json_pointer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/hash.h"

void fake_machine_init(struct fake_machine *machine)
{
	memset(machine, 0, sizeof(*machine));
}

/* Files. */

static void file_free(struct fake_file *file)
{
	free(file->path);
	free(file->text);
	free(file);
}

struct fake_file *fake_file_find(const struct fake_machine *machine, const char *path)
{
	struct fake_file *file = machine->files;

	while (file && strcmp(file->path, path) != 0)
		file = file->next;
	return file;
}

static void make_parent(struct fake_machine *machine, const char *path)
{
	char *parent = xstrdup(path), *slash = strrchr(parent, '/');

	if (slash)
		*slash = '\0';
	if (slash && slash != parent && !fake_file_find(machine, parent))
		fake_file_write(machine, parent, NULL, 0, 0755);
	free(parent);
}

bool fake_file_write(struct fake_machine *machine, const char *path, const char *text, size_t len,
		     unsigned mode)
{
	struct fake_file *file = fake_file_find(machine, path);
	bool fits = !text || !machine->disk_is_full;

	make_parent(machine, path);
	if (!file) {
		file = xcalloc(1, sizeof(*file));
		file->path = xstrdup(path);
		file->next = machine->files;
		machine->files = file;
	}
	file->is_dir = text == NULL;
	file->mode = mode;
	file->len = fits ? len : len / 2;
	file->changed = ++machine->changes;
	free(file->text);
	file->text = text ? xcalloc(1, file->len + 1) : NULL;
	if (text)
		memcpy(file->text, text, file->len);
	return fits;
}

bool fake_file_link(struct fake_machine *machine, const char *from, const char *path)
{
	const struct fake_file *file = fake_file_find(machine, from);
	bool full = machine->disk_is_full;

	fake_file_remove(machine, path);
	if (!file || (machine->no_links && strncmp(path, "/etc/", 5) == 0))
		return false;
	machine->disk_is_full = false;
	fake_file_write(machine, path, file->text, file->len, file->mode);
	machine->disk_is_full = full;
	return true;
}

void fake_file_remove(struct fake_machine *machine, const char *path)
{
	for (struct fake_file **at = &machine->files; *at; at = &(*at)->next) {
		struct fake_file *file = *at;

		if (strcmp(file->path, path) == 0) {
			*at = file->next;
			file_free(file);
			return;
		}
	}
}

/* Images. */

void fake_add_image(struct fake_machine *machine, const char *name)
{
	size_t i = 0;

	while (machine->images[i])
		i++;
	machine->images[i] = xstrdup(name);
}

const char *fake_image_id(const struct fake_machine *machine, const char *name_or_id)
{
	static char id[SHA256_HEX_SIZE + sizeof("sha256:")];
	char hash[SHA256_HEX_SIZE];

	for (size_t i = 0; machine->images[i]; i++) {
		sha256_hex(machine->images[i], strlen(machine->images[i]), hash);
		snprintf(id, sizeof(id), "sha256:%s", hash);
		if (strcmp(machine->images[i], name_or_id) == 0 || strcmp(id, name_or_id) == 0)
			return id;
	}
	return NULL;
}

void fake_remove_image(struct fake_machine *machine, const char *name)
{
	size_t at = 0, n = 0;

	while (strcmp(machine->images[at], name) != 0)
		at++;
	while (machine->images[n])
		n++;
	free(machine->images[at]);
	machine->images[at] = machine->images[n - 1];
	machine->images[n - 1] = NULL;
}

void fake_commit(struct fake_machine *machine, const struct fake_container *container, const char *name)
{
	struct json_object *labels = NULL;

	fake_add_image(machine, name);
	snprintf(machine->committed, sizeof(machine->committed), "%s", fake_image_id(machine, name));
	json_object_object_get_ex(container->request, "Labels", &labels);
	machine->labels = json_object_get(labels);
}

/* Containers. */

/* The helper that can only look has a mount instead of binds. NULL: it has none, or that does not show the
 * path. */
static char *path_in_mount(const struct fake_container *container, const char *path)
{
	struct json_object *source = NULL, *target = NULL;
	size_t len;

	if (json_pointer_get(container->request, "/HostConfig/Mounts/0/Source", &source) != 0 ||
	    json_pointer_get(container->request, "/HostConfig/Mounts/0/Target", &target) != 0)
		return NULL;
	len = (size_t)json_object_get_string_len(target);
	if (strncmp(path, json_object_get_string(target), len) != 0 || path[len] != '/')
		return NULL;
	return xasprintf("%s%s", json_object_get_string(source), path + len);
}

char *fake_path_of(const struct fake_container *container, const char *path)
{
	struct json_object *binds = NULL;
	char *mounted = path_in_mount(container, path);

	if (mounted)
		return mounted;
	json_pointer_get(container->request, "/HostConfig/Binds", &binds);
	for (size_t i = 0; binds && i < json_object_array_length(binds); i++) {
		const char *bind = json_object_get_string(json_object_array_get_idx(binds, i));
		const char *target = strchr(bind, ':') + 1;
		size_t len = strcspn(target, ":");

		if (strncmp(path, target, len) == 0 && (path[len] == '/' || path[len] == '\0'))
			return xasprintf("%.*s%s", (int)(target - 1 - bind), bind, path + len);
	}
	return xasprintf("%s:%s", container->id, path);
}

struct fake_container *fake_find(const struct fake_machine *machine, const char *name_or_id)
{
	struct fake_container *container = machine->containers;

	while (container && strcmp(container->name, name_or_id) != 0 &&
	       (strlen(name_or_id) < 8 || strncmp(container->id, name_or_id, strlen(name_or_id)) != 0))
		container = container->next;
	return container;
}

struct fake_container *fake_create(struct fake_machine *machine, const char *name,
				   struct json_object *request)
{
	struct fake_container *container = xcalloc(1, sizeof(*container));
	char *seed = xasprintf("container %lld", (long long)++machine->ids);
	struct json_object *binds = NULL, *image;

	sha256_hex(seed, strlen(seed), container->id);
	free(seed);
	container->name = xstrdup(name);
	container->request = request;
	if (json_pointer_get(request, "/Image", &image) == 0)
		snprintf(container->image_id, sizeof(container->image_id), "%s",
			 fake_image_id(machine, json_object_get_string(image)));
	if (machine->twists)
		json_object_object_add(request, "StopSignal", json_object_new_string("SIGTERM"));
	container->log = xstrdup("");
	container->next = machine->containers;
	machine->containers = container;
	/* What is mounted and is not there becomes a directory. */
	json_pointer_get(request, "/HostConfig/Binds", &binds);
	for (size_t i = 0; binds && i < json_object_array_length(binds); i++) {
		const char *bind = json_object_get_string(json_object_array_get_idx(binds, i));
		char *source = xasprintf("%.*s", (int)strcspn(bind, ":"), bind);

		if (!fake_file_find(machine, source))
			fake_file_write(machine, source, NULL, 0, 0755);
		free(source);
	}
	return container;
}

static const char *argument_after(const struct fake_container *container, const char *option)
{
	struct json_object *command = NULL;

	json_pointer_get(container->request, "/Cmd", &command);
	for (size_t i = 0; command && i < json_object_array_length(command); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(command, i)), option) == 0)
			return json_object_get_string(json_object_array_get_idx(command, i + 1));
	return NULL;
}

static bool is_loadable(const struct fake_file *file)
{
	return file && !file->is_dir && file->len > 0 && file->text[file->len - 1] == '\n' &&
	       !strstr(file->text, "unloadable");
}

static const struct fake_file *config_of(const struct fake_machine *machine,
					 const struct fake_container *container)
{
	const char *name = argument_after(container, "-f");
	char *path = fake_path_of(container, name ? name : "/");
	const struct fake_file *file = fake_file_find(machine, path);

	free(path);
	return file;
}

void fake_end(struct fake_container *container, int exit_code)
{
	container->status = FAKE_EXITED;
	container->exit_code = exit_code;
	container->leaves = false;
	FREE(container->loaded);
}

void fake_start(struct fake_machine *machine, struct fake_container *container)
{
	const struct fake_file *config = config_of(machine, container);
	bool is_check = argument_after(container, "-c") != NULL;

	container->started = ++machine->starts;
	container->deaf = machine->deaf;
	container->late = machine->late;
	free(container->log);
	container->log = xstrdup(is_loadable(config) ? "" : "[ALERT] config : parsing : unknown keyword\n");
	if (is_check || !is_loadable(config)) {
		fake_end(container, is_loadable(config) ? 0 : 1);
		return;
	}
	container->status = FAKE_RUNNING;
	container->loaded = xstrdup(config->text);
}

void fake_leave(struct fake_machine *machine, struct fake_container *container)
{
	fake_end(container, 0);
	if (machine->podman)
		fake_start(machine, container);
}

static bool hears(struct fake_container *container)
{
	return container->deaf == 0 || container->deaf-- == 0;
}

void fake_tell_to_leave(struct fake_machine *machine, struct fake_container *container)
{
	if (!hears(container))
		return;
	if (machine->lasting)
		container->leaves = true;
	else
		fake_leave(machine, container);
}

void fake_reload(struct fake_machine *machine, struct fake_container *container)
{
	const struct fake_file *config = config_of(machine, container);

	/* What it cannot load it leaves at what it has. */
	if (!hears(container) || !is_loadable(config) || !container->loaded)
		return;
	free(container->loaded);
	container->loaded = xstrdup(config->text);
	container->nameless = false;
}

static void container_free(struct fake_container *container)
{
	free(container->name);
	free(container->loaded);
	free(container->log);
	json_object_put(container->request);
	free(container);
}

void fake_remove(struct fake_machine *machine, struct fake_container *container)
{
	struct fake_container **at = &machine->containers;

	while (*at != container)
		at = &(*at)->next;
	*at = container->next;
	container_free(container);
}

/* HAProxy. */

/* A rehearsal has no listener. */
size_t fake_serving(const struct fake_machine *machine)
{
	size_t n = 0;

	for (const struct fake_container *c = machine->containers; c; c = c->next)
		n += c->status == FAKE_RUNNING && c->loaded && !c->leaves && strstr(c->loaded, "\n    bind ");
	return n;
}

const char *fake_token(const struct fake_container *container)
{
	struct json_object *env = NULL;

	json_pointer_get(container->request, "/Env", &env);
	for (size_t i = 0; env && i < json_object_array_length(env); i++) {
		const char *variable = json_object_get_string(json_object_array_get_idx(env, i));

		if (strncmp(variable, TOKEN_VARIABLE "=", strlen(TOKEN_VARIABLE "=")) == 0)
			return strchr(variable, '=') + 1;
	}
	return "";
}

static bool is_down(const struct fake_container *container, const char *name)
{
	return container->cut_off || strncmp(name, FAKE_DEAD_SERVER ":", strlen(FAKE_DEAD_SERVER ":")) == 0;
}

/* Every server but the backups, all up, but for the first of one that is nameless, and those that are down.
 */
static void answer_servers(FILE *out, const struct fake_container *container)
{
	bool nameless = container->nameless;

	for (const char *at = container->loaded; (at = strstr(at, "\n    server ")) != NULL; at++) {
		const char *name = at + strlen("\n    server ");
		const char *end = strchr(name, '\n');
		const char *backup = strstr(name, " backup");
		bool down = is_down(container, name);

		if (backup && backup < end)
			continue;
		fprintf(out, "kube-apiserver,%.*s,%s,%s,0,60,200,1,\n", (int)strcspn(name, " "), name,
			nameless               ? "MAINT (resolution)"
			: container->unchecked ? "no check"
			: down                 ? "DOWN"
					       : "UP",
			down ? "L4TOUT" : "L7OK");
		nameless = false;
	}
}

char *fake_answer(struct fake_container *container)
{
	const char *description = strstr(container->loaded, "description \"");
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	description = description ? description + strlen("description \"") : "";
	fprintf(out, "Name: HAProxy\nVersion: 2.6.12\nUptime_sec: %d\nStopping: %d\ndescription: %.*s\n\n",
		container->nameless ? 100000 : 60, container->leaves, (int)strcspn(description, "\""),
		description);
	fprintf(out, "# pxname,svname,status,check_status,bck,lastchg,check_code,check_duration,last_chk\n");
	answer_servers(out, container);
	container->unchecked -= container->unchecked > 0;
	fprintf(out, "\n");
	fclose(out);
	return text;
}

void fake_machine_clear(struct fake_machine *machine)
{
	while (machine->containers)
		fake_remove(machine, machine->containers);
	while (machine->files)
		fake_file_remove(machine, machine->files->path);
	for (size_t i = 0; machine->images[i]; i++)
		free(machine->images[i]);
	json_object_put(machine->labels);
	free(machine->history);
	memset(machine, 0, sizeof(*machine));
}
