#include "daemon/core/plan/observed.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/names.h"
#include "common/text.h"
#include "daemon/core/container_name.h"
#include "daemon/core/wanted.h"

static const char *const status_names[] = {
	[CONTAINER_UNKNOWN] = "unknown",       [CONTAINER_CREATED] = "created",
	[CONTAINER_RUNNING] = "running",       [CONTAINER_PAUSED] = "paused",
	[CONTAINER_RESTARTING] = "restarting", [CONTAINER_REMOVING] = "removing",
	[CONTAINER_EXITED] = "exited",         [CONTAINER_DEAD] = "dead",
};

enum container_status container_status_parse(const char *text)
{
	/* Podman's other words. */
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

/* Texts of a host stay in memory, and go into each status reply. None that we need is longer. */
#define MAX_TEXT_BYTES 1024

/* NULL instead of a text that is missing, empty or too long. */
static const char *sane(const char *text)
{
	return text && *text && strlen(text) <= MAX_TEXT_BYTES ? text : NULL;
}

/* The text at a JSON pointer; NULL if it is missing, no text, empty or too long. */
static const char *text_at(struct json_object *object, const char *pointer)
{
	return sane(json_text_at(object, pointer));
}

/* An ID goes into paths of requests and into names of containers, so it must be well-formed. */
static bool is_id(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	return len >= 12 && len <= 64 && strspn(text, "0123456789abcdef") == len;
}

/* The text as a container name, by Docker's and Podman's rule; NULL: it is none. */
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
		{LABEL_BINDS, &container->binds},
		{LABEL_CONTAINER_SHA256, &container->container_sha256},
	};

	/* Labels contain slashes and dots, so they are looked up by key, not by JSON pointer. */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		*rows[i].to = xstrdup(sane(json_text(labels, rows[i].label, NULL)));
}

const char *observed_made_as(const struct observed_container *container)
{
	const char *slash = container->instance ? strrchr(container->instance, '/') : NULL;

	return slash && slash[1] && slash[1] != '.' ? slash + 1 : NULL;
}

static bool mounts_at(struct json_object *mounts, const char *path)
{
	for (size_t i = 0; i < json_length(mounts); i++)
		if (text_equal(text_at(json_item(mounts, i), "/Destination"), path))
			return true;
	return false;
}

/*
 * Each create request in wanted.c has one of these mounts. Podman before 4.0 lists no mounts at all
 * (podman pull request 12735): missing information does not count as a missing mount.
 */
static bool mounts_ours(const struct observed_container *container, struct json_object *mounts)
{
	const char *name = observed_made_as(container);
	char *run = name ? xasprintf(HAPROXY_RUN_DIR "/%s", name) : NULL;
	bool is_helper = text_equal(container->role, ROLE_HELPER);
	bool ours = run && (!mounts || mounts_at(mounts, run) ||
			    (is_helper && mounts_at(mounts, HELPER_CONFIG_DIR)));

	free(run);
	return ours;
}

/*
 * Whether only we give such a name, whatever the labels say: a container with it is in the way of a
 * successor or a helper. The name of a former container includes its ID, which nobody knows before
 * the container is made.
 */
static bool is_named_by_us(const struct observed_container *container, enum container_role role,
			   const char *balancer)
{
	char *ours = container_old_name(balancer, container->id);
	bool is = role == CONTAINER_NEXT || role == CONTAINER_HELPER ||
		  (role == CONTAINER_OLD && strcmp(container->name, ours) == 0);

	free(ours);
	return is;
}

bool observed_is_lookalike(const struct observed_container *container)
{
	char *balancer;
	enum container_role role = container_role_of(container->name, &balancer);
	const char *labelled = observed_made_as(container);
	bool has_own_name = labelled && role != CONTAINER_OLD && strcmp(labelled, balancer) == 0;
	bool named_by_us = is_named_by_us(container, role, balancer);

	free(balancer);
	return !container->mounts_ours && !has_own_name && !named_by_us;
}

bool observed_inherits_labels(const struct observed_container *container, struct json_object *image)
{
	struct json_object *labels = json_at(image, "/Config/Labels");
	const char *instance = json_text(labels, LABEL_INSTANCE, NULL);
	const char *made_as = json_text(labels, LABEL_CONTAINER_SHA256, "");
	const char *is_made_as = container->container_sha256 ? container->container_sha256 : "";

	/*
	 * LABEL_CONTAINER_SHA256 is the hash of a request with the image's name: a container that
	 * we make from this image has another hash.
	 */
	return instance && text_equal(instance, container->instance) && strcmp(made_as, is_made_as) == 0;
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
	container->image_id = xstrdup(text_at(entry, "/ImageID"));
	container->status = state ? container_status_parse(state) : CONTAINER_UNKNOWN;
	read_labels(container, json_at(entry, "/Labels"));
	container->mounts_ours = mounts_ours(container, json_at(entry, "/Mounts"));
	return container;
}

bool observed_is_token(const char *variable)
{
	return variable && strncmp(variable, TOKEN_VARIABLE "=", strlen(TOKEN_VARIABLE "=")) == 0;
}

static void read_token(struct observed_container *container, struct json_object *env)
{
	for (size_t i = 0; i < json_length(env); i++) {
		const char *variable = json_item_text(env, i);
		const char *token = observed_is_token(variable) ? strchr(variable, '=') + 1 : NULL;

		/* The token becomes part of a path. */
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
	container->image_id = xstrdup(text_at(inspect, "/Image"));
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
	free(container->image_id);
	free(container->user);
	free(container->network_mode);
	free(container->owner);
	free(container->spec);
	free(container->instance);
	free(container->role);
	free(container->binds);
	free(container->container_sha256);
	free(container->started_at);
	json_object_put(container->inspect);
	free(container);
}

bool observed_mounts_path(const struct observed_container *container, const char *path)
{
	struct json_object *mounts = json_at(container->inspect, "/Mounts");
	size_t dir_len = strrchr(path, '/') - path;

	for (size_t i = 0; i < json_length(mounts); i++) {
		const char *source = text_at(json_item(mounts, i), "/Source");

		if (source && (strcmp(source, path) == 0 ||
			       (strlen(source) == dir_len && strncmp(source, path, dir_len) == 0)))
			return true;
	}
	return false;
}

bool observed_runs_haproxy(const struct observed_container *container)
{
	const char *program = text_at(container->inspect, "/Config/Cmd/0");

	return text_equal(program, "haproxy");
}

bool observed_is_up(const struct observed_container *container)
{
	return container &&
	       (container->status == CONTAINER_RUNNING || container->status == CONTAINER_PAUSED ||
		container->status == CONTAINER_RESTARTING);
}

bool observed_is_owned(const struct observed_container *container, const char *owner)
{
	return container && text_equal(container->owner, owner);
}

bool observed_is_told(const struct observed_container *container, const char *word)
{
	struct json_object *command = json_as_list(json_at(container->inspect, "/Config/Cmd"));

	for (size_t i = 0; i < json_length(command); i++)
		if (text_equal(json_item_text(command, i), word))
			return true;
	return false;
}

bool observed_is_silent(const struct observed_instance *instance)
{
	return instance->stats == STATS_FAILED || instance->stats == STATS_NO_SOCKET;
}

void observed_forget_servers(struct observed_instance *instance)
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
	free(instance->relieves);
	free(instance->image_drift);
	free(instance->lost_file);
	free(instance->config);
	host_file_clear(&instance->file);
	free(instance->stats_error);
	free(instance->silence);
	observed_forget_servers(instance);
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
	host_file_clear(&instance->file);
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
