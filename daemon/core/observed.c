#include "daemon/core/observed.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/names.h"
#include "common/text.h"

static const char *const status_names[] = {
	[CONTAINER_UNKNOWN] = "unknown",       [CONTAINER_CREATED] = "created",
	[CONTAINER_RUNNING] = "running",       [CONTAINER_PAUSED] = "paused",
	[CONTAINER_RESTARTING] = "restarting", [CONTAINER_REMOVING] = "removing",
	[CONTAINER_EXITED] = "exited",         [CONTAINER_DEAD] = "dead",
};

enum container_status container_status_parse(const char *text)
{
	/* Podman's words for the same. */
	if (strcmp(text, "configured") == 0 || strcmp(text, "initialized") == 0)
		return CONTAINER_CREATED;
	if (strcmp(text, "stopped") == 0)
		return CONTAINER_EXITED;
	for (size_t i = 0; i < sizeof(status_names) / sizeof(status_names[0]); i++)
		if (strcmp(text, status_names[i]) == 0)
			return i;
	return CONTAINER_UNKNOWN;
}

const char *container_status_name(enum container_status status)
{
	return status_names[status];
}

const char *server_state_name(enum server_state state)
{
	static const char *const names[] = {
		[SERVER_UNKNOWN] = "unknown",
		[SERVER_UP] = "up",
		[SERVER_DOWN] = "down",
	};

	return names[state];
}

/* What is kept of a host stays in memory, and in each status reply. Nothing that we look at is this long. */
#define MAX_TEXT_BYTES 1024
/* Of a difference, for people. */
#define SHOWN_CHARACTERS 200

/* NULL: not of this world. */
static const char *sane(const char *text)
{
	return text && *text && strlen(text) <= MAX_TEXT_BYTES ? text : NULL;
}

/* The text at a pointer; NULL when there is none, or it is no text, or empty. */
static const char *text_at(struct json_object *object, const char *pointer)
{
	return sane(json_text_at(object, pointer));
}

/* Goes into paths of requests, and into names of containers. */
static bool is_id(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	return len >= 12 && len <= 64 && strspn(text, "0123456789abcdef") == len;
}

/* Docker's and Podman's rule; NULL: it is none. */
static const char *name_of(const char *text)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	if (text && *text == '/')
		text++;
	return text && *text && text[strspn(text, characters)] == '\0' ? text : NULL;
}

static void read_labels(struct observed_container *container, struct json_object *labels)
{
	const struct {
		const char *label;
		char **to;
	} rows[] = {
		{LABEL_OWNER, &container->owner},
		{LABEL_SPEC, &container->spec},
		{LABEL_INSTANCE, &container->instance},
		{LABEL_ROLE, &container->role},
		{LABEL_CONTAINER_SHA256, &container->container_sha256},
	};

	/* Labels hold slashes and dots: looked up by key, not by pointer. */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		*rows[i].to = xstrdup(sane(json_text(labels, rows[i].label, NULL)));
}

struct observed_container *observed_from_list(struct json_object *entry)
{
	const char *id = text_at(entry, "/Id");
	const char *name = name_of(text_at(entry, "/Names/0"));
	const char *state = text_at(entry, "/State");
	struct observed_container *container;

	if (!is_id(id) || !name)
		return NULL;
	container = xcalloc(1, sizeof(*container));
	container->id = xstrdup(id);
	container->name = xstrdup(name);
	container->image = xstrdup(text_at(entry, "/Image"));
	container->status = state ? container_status_parse(state) : CONTAINER_UNKNOWN;
	read_labels(container, json_at(entry, "/Labels"));
	return container;
}

static bool is_token(const char *variable)
{
	return variable && strncmp(variable, TOKEN_VARIABLE "=", strlen(TOKEN_VARIABLE "=")) == 0;
}

static void read_token(struct observed_container *container, struct json_object *env)
{
	for (size_t i = 0; i < json_length(env); i++) {
		const char *variable = json_item_text(env, i);
		const char *token = is_token(variable) ? strchr(variable, '=') + 1 : NULL;

		/* It becomes part of a path. */
		if (token && strlen(token) < sizeof(container->token) &&
		    strspn(token, "0123456789abcdef") == strlen(token))
			strcpy(container->token, token);
	}
}

struct observed_container *observed_from_inspect(struct json_object *inspect, struct err *err)
{
	const char *id = text_at(inspect, "/Id");
	const char *name = name_of(text_at(inspect, "/Name"));
	const char *state = text_at(inspect, "/State/Status");
	struct observed_container *container;

	if (!is_id(id) || !name || !state) {
		err_set(err, ERR_TRANSIENT,
			"the engine's reply is not a container (no good Id, Name or State)");
		return NULL;
	}
	container = xcalloc(1, sizeof(*container));
	container->id = xstrdup(id);
	container->name = xstrdup(name);
	container->image = xstrdup(text_at(inspect, "/Config/Image"));
	container->user = xstrdup(text_at(inspect, "/Config/User"));
	container->network_mode = xstrdup(text_at(inspect, "/HostConfig/NetworkMode"));
	container->status = container_status_parse(state);
	container->started_at = xstrdup(text_at(inspect, "/State/StartedAt"));
	container->exit_code = json_number(json_at(inspect, "/State"), "ExitCode");
	read_labels(container, json_at(inspect, "/Config/Labels"));
	container->inspect = json_object_get(inspect);
	read_token(container, json_at(inspect, "/Config/Env"));
	return container;
}

void observed_container_free(struct observed_container *container)
{
	if (!container)
		return;
	free(container->id);
	free(container->name);
	free(container->image);
	free(container->user);
	free(container->network_mode);
	free(container->owner);
	free(container->spec);
	free(container->instance);
	free(container->role);
	free(container->container_sha256);
	free(container->started_at);
	json_object_put(container->inspect);
	free(container);
}

/* Docker keeps an image's name as it was asked for; Podman writes it out in full. */
static const char *short_image(const char *image)
{
	static const char *const prefixes[] = {"docker.io/library/", "docker.io/", "localhost/"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (strncmp(image, prefixes[i], strlen(prefixes[i])) == 0)
			return image + strlen(prefixes[i]);
	return image;
}

/* "SOURCE:TARGET:ro" is mounted so: what the engine says it mounted, whatever options it added. */
static bool is_mounted(struct json_object *mounts, const char *bind)
{
	const char *colon = strchr(bind, ':');
	const char *target = colon + 1;
	size_t source_len = colon - bind;
	size_t target_len = strcspn(target, ":");
	bool writable = strcmp(target + target_len, ":ro") != 0;

	for (size_t i = 0; i < json_length(mounts); i++) {
		struct json_object *mount = json_item(mounts, i);
		const char *is_source = text_at(mount, "/Source");
		const char *is_target = text_at(mount, "/Destination");

		if (is_source && is_target && strlen(is_source) == source_len &&
		    strncmp(is_source, bind, source_len) == 0 && strlen(is_target) == target_len &&
		    strncmp(is_target, target, target_len) == 0)
			return json_flag(mount, "RW") == writable;
	}
	return false;
}

/* A volume may be the image's own idea (VOLUME). */
static size_t count_binds(struct json_object *mounts)
{
	size_t n = 0;

	for (size_t i = 0; i < json_length(mounts); i++) {
		const char *type = json_text(json_item(mounts, i), "Type", NULL);

		n += !type || strcmp(type, "volume") != 0;
	}
	return n;
}

static char *mount_difference(struct json_object *inspect, struct json_object *create)
{
	struct json_object *mounts = json_at(inspect, "/Mounts");
	struct json_object *binds = json_at(create, "/HostConfig/Binds");
	size_t n = json_length(binds);

	if (!json_as_list(mounts))
		return xstrdup("it has no mounts");
	for (size_t i = 0; i < n; i++) {
		const char *bind = json_item_text(binds, i);

		if (!is_mounted(mounts, bind))
			return xasprintf("%s is not mounted", bind);
	}
	if (count_binds(mounts) != n)
		return xasprintf("it has %zu bind mounts, wanted %zu", count_binds(mounts), n);
	return NULL;
}

/*
 * Where an inspect reply shows what a create request asked for. Without a
 * place in the request the value must be absent, zero, false or empty: limits
 * that `docker update` can set, which we never do.
 */
static const struct {
	const char *what, *is, *wanted;
} compared[] = {
	{"user", "/Config/User", "/User"},
	{"command", "/Config/Cmd", "/Cmd"},
	{"stop signal", "/Config/StopSignal", "/StopSignal"},
	{"network mode", "/HostConfig/NetworkMode", "/HostConfig/NetworkMode"},
	{"restart policy", "/HostConfig/RestartPolicy/Name", "/HostConfig/RestartPolicy/Name"},
	{"privileged", "/HostConfig/Privileged", NULL},
	{"memory limit", "/HostConfig/Memory", NULL},
	{"CPU limit", "/HostConfig/NanoCpus", NULL},
	{"CPU quota", "/HostConfig/CpuQuota", NULL},
	{"CPU set", "/HostConfig/CpusetCpus", NULL},
};

/* The caller frees. */
static char *shown(struct json_object *value)
{
	if (!value)
		return xstrdup("unset");
	return text_shorten(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
									  JSON_C_TO_STRING_NOSLASHESCAPE),
			    SHOWN_CHARACTERS);
}

static char *difference(const char *what, struct json_object *is, struct json_object *wanted)
{
	char *is_text = shown(is), *wanted_text = wanted ? shown(wanted) : xstrdup("none");
	char *text = xasprintf("%s is %s, wanted %s", what, is_text, wanted_text);

	free(is_text);
	free(wanted_text);
	return text;
}

char *observed_difference(const struct observed_container *container, struct json_object *create)
{
	const char *image = text_at(create, "/Image");

	if (!container->image || strcmp(short_image(container->image), short_image(image)) != 0)
		return xasprintf("image is %s, wanted %s", container->image ? container->image : "unset",
				 image);
	for (size_t i = 0; i < sizeof(compared) / sizeof(compared[0]); i++) {
		struct json_object *is = json_at(container->inspect, compared[i].is);
		struct json_object *wanted = compared[i].wanted ? json_at(create, compared[i].wanted) : NULL;

		if (wanted ? json_object_equal(is, wanted) : json_is_nothing(is))
			continue;
		return difference(compared[i].what, is, wanted);
	}
	if (!container->token[0])
		return xstrdup("it has no " TOKEN_VARIABLE);
	return mount_difference(container->inspect, create);
}

bool observed_mounts_as(const struct observed_container *container, struct json_object *create)
{
	char *difference = mount_difference(container->inspect, create);
	bool same = difference == NULL;

	free(difference);
	return same;
}

bool observed_runs_haproxy(const struct observed_container *container)
{
	const char *program = text_at(container->inspect, "/Config/Cmd/0");

	return program && strcmp(program, "haproxy") == 0;
}

/* The texts of an array (or of nothing) but for our token. The caller puts it. */
static struct json_object *without_token(struct json_object *array)
{
	struct json_object *rest = json_object_new_array();

	for (size_t i = 0; i < json_length(array); i++)
		if (!is_token(json_item_text(array, i)))
			json_object_array_add(rest, json_object_get(json_item(array, i)));
	return rest;
}

char *observed_image_difference(const struct observed_container *container, struct json_object *image)
{
	static const struct {
		const char *what, *pointer;
	} rows[] = {{"environment", "/Config/Env"}, {"entry point", "/Config/Entrypoint"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json_object *is = without_token(json_at(container->inspect, rows[i].pointer));
		struct json_object *images = without_token(json_at(image, rows[i].pointer));
		bool same = json_object_equal(is, images);

		json_object_put(is);
		json_object_put(images);
		if (!same)
			return xasprintf("%s is not the image's", rows[i].what);
	}
	return NULL;
}

static void servers_clear(struct observed_instance *instance)
{
	for (size_t i = 0; i < instance->servers_n; i++) {
		free(instance->servers[i].name);
		free(instance->servers[i].check);
		free(instance->servers[i].why);
	}
	FREE(instance->servers);
	instance->servers_n = 0;
}

void observed_instance_clear(struct observed_instance *instance)
{
	observed_container_free(instance->current);
	observed_container_free(instance->next);
	observed_container_free(instance->helper);
	for (size_t i = 0; i < instance->old_n; i++)
		observed_container_free(instance->old[i]);
	free(instance->old);
	free(instance->foreign);
	free(instance->refusal);
	free(instance->lost_file);
	free(instance->config);
	free(instance->stats_error);
	free(instance->haproxy_version);
	servers_clear(instance);
	memset(instance, 0, sizeof(*instance));
}

static void slim(struct observed_container *container)
{
	if (!container)
		return;
	json_object_put(container->inspect);
	container->inspect = NULL;
}

void observed_instance_slim(struct observed_instance *instance)
{
	slim(instance->current);
	slim(instance->next);
	slim(instance->helper);
	for (size_t i = 0; i < instance->old_n; i++)
		slim(instance->old[i]);
	FREE(instance->config);
}

void observed_instance_add_old(struct observed_instance *instance, struct observed_container *old)
{
	instance->old =
		xreallocarray(instance->old, instance->old_n + 1, sizeof(struct observed_container *));
	instance->old[instance->old_n++] = old;
}

const struct observed_container *observed_answerer(const struct observed_instance *instance)
{
	const struct observed_container *current = instance->current;

	if (!current || current->status == CONTAINER_CREATED || current->status == CONTAINER_EXITED)
		return instance->next;
	return current;
}

const char *observed_image_id(const struct observed_container *container)
{
	return text_at(container->inspect, "/Image");
}
