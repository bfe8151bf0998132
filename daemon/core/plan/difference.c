#include "daemon/core/plan/difference.h"

#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/names.h"
#include "common/text.h"
#include "daemon/core/plan/observed.h"

/*
 * Docker keeps an image's name as it was given. Podman writes it out in full, and drops the tag
 * before a digest. The caller frees.
 */
static char *canonical_image(const char *image)
{
	static const char *const prefixes[] = {"docker.io/library/", "docker.io/", "localhost/"};
	const char *digest, *slash, *tag;
	size_t len;

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncmp(image, prefixes[i], strlen(prefixes[i])) == 0) {
			image += strlen(prefixes[i]);
			break;
		}
	}
	digest = strchr(image, '@');
	len = digest ? (size_t)(digest - image) : strlen(image);
	slash = memrchr(image, '/', len);
	tag = slash ? memchr(slash, ':', len - (size_t)(slash - image)) : memchr(image, ':', len);
	if (tag && (digest || strcmp(tag, ":latest") == 0))
		len = (size_t)(tag - image);
	return xasprintf("%.*s%s", (int)len, image, digest ? digest : "");
}

static char *image_difference(const struct observed_container *container, struct json_object *create)
{
	const char *wanted = json_text_at(create, "/Image");
	char *is = container->image ? canonical_image(container->image) : xstrdup("");
	char *canonical = canonical_image(wanted);
	bool same = strcmp(is, canonical) == 0;

	free(is);
	free(canonical);
	return same ? NULL
		    : xasprintf("image is %s, wanted %s", container->image ? container->image : "unset",
				wanted);
}

/* Mounts. */

/* Whether "SOURCE:TARGET:ro" is among the engine's mounts, whatever options it has added. */
static bool is_mounted(struct json_object *mounts, const char *bind)
{
	const char *colon = strchr(bind, ':');
	const char *target = colon + 1;
	size_t source_len = (size_t)(colon - bind);
	size_t target_len = strcspn(target, ":");
	bool writable = strcmp(target + target_len, ":ro") != 0;

	for (size_t i = 0; i < json_length(mounts); i++) {
		struct json_object *mount = json_item(mounts, i);
		const char *is_source = json_text_at(mount, "/Source");
		const char *is_target = json_text_at(mount, "/Destination");

		if (is_source && is_target && strlen(is_source) == source_len &&
		    strncmp(is_source, bind, source_len) == 0 && strlen(is_target) == target_len &&
		    strncmp(is_target, target, target_len) == 0)
			return json_flag(mount, "RW") == writable;
	}
	return false;
}

static char *mount_difference(const struct observed_container *container, struct json_object *create)
{
	struct json_object *mounts = json_at(container->inspect, "/Mounts");
	struct json_object *binds = json_at(create, "/HostConfig/Binds");

	if (!json_as_list(mounts))
		return xstrdup("it has no mounts");
	for (size_t i = 0; i < json_length(binds); i++) {
		const char *bind = json_item_text(binds, i);

		if (!is_mounted(mounts, bind))
			return xasprintf("%s is not mounted", bind);
	}
	return NULL;
}

/* Volumes do not count: the image may ask for them (VOLUME). */
static char *more_mounts(const struct observed_container *container, struct json_object *create)
{
	struct json_object *mounts = json_at(container->inspect, "/Mounts");
	size_t wanted = json_length(json_at(create, "/HostConfig/Binds")), n = 0;

	for (size_t i = 0; i < json_length(mounts); i++) {
		const char *type = json_text_at(json_item(mounts, i), "/Type");

		n += !type || strcmp(type, "volume") != 0;
	}
	return n > wanted ? xasprintf("it has %zu bind mounts, wanted %zu", n, wanted) : NULL;
}

bool difference_mounts_as(const struct observed_container *container, struct json_object *create)
{
	char *lacks = mount_difference(container, create), *more = more_mounts(container, create);
	bool same = !lacks && (!more || container->known);

	free(lacks);
	free(more);
	return same;
}

/* Labels and token. */

/*
 * Which spec and instance it names does not matter: both may have changed. But whoever finds the
 * container must find out whose it is.
 */
static char *label_difference(const struct observed_container *container, struct json_object *create)
{
	(void)create;
	if (!container->spec)
		return xstrdup("it has no label " LABEL_SPEC);
	return container->instance ? NULL : xstrdup("it has no label " LABEL_INSTANCE);
}

static char *token_difference(const struct observed_container *container, struct json_object *create)
{
	(void)create;
	return container->token[0] ? NULL : xstrdup("it has no " TOKEN_VARIABLE);
}

/* Single values. */

/* Docker prints a signal as it was given, Podman as a number. 0: unknown. */
static int signal_of(struct json_object *value)
{
	static const struct {
		const char *name;
		int number;
	} signals[] = {
		{"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"KILL", SIGKILL},
		{"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"TERM", SIGTERM}, {"WINCH", SIGWINCH},
	};
	const char *text = json_as_text(value);

	if (!text)
		return (int)json_as_number(value, 1, 64, 0);
	if (strncmp(text, "SIG", 3) == 0)
		text += 3;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (strcmp(text, signals[i].name) == 0)
			return signals[i].number;
	return atoi(text);
}

static int same_signal(struct json_object *is, struct json_object *wanted)
{
	return signal_of(is) == signal_of(wanted);
}

/*
 * Where the inspect reply shows a value of the create request. Without a path
 * in the request the value must be absent, zero, false or empty: it extends
 * what the container may do, or limits what it needs.
 */
static const struct value {
	const char *what, *is, *wanted;
	int (*same)(struct json_object *is, struct json_object *wanted); /* NULL: json_object_equal */
	bool laid_over; /* engines may add it when they make a container; a limit can also come later */
} values[] = {
	{.what = "user", .is = "/Config/User", .wanted = "/User"},
	{.what = "command", .is = "/Config/Cmd", .wanted = "/Cmd"},
	{.what = "stop signal", .is = "/Config/StopSignal", .wanted = "/StopSignal", .same = same_signal},
	{.what = "network mode", .is = "/HostConfig/NetworkMode", .wanted = "/HostConfig/NetworkMode"},
	{.what = "restart policy",
	 .is = "/HostConfig/RestartPolicy/Name",
	 .wanted = "/HostConfig/RestartPolicy/Name"},
	{.what = "memory limit", .is = "/HostConfig/Memory"},
	{.what = "CPU limit", .is = "/HostConfig/NanoCpus"},
	{.what = "CPU quota", .is = "/HostConfig/CpuQuota"},
	{.what = "CPU set", .is = "/HostConfig/CpusetCpus"},
	{.what = "privileged", .is = "/HostConfig/Privileged", .laid_over = true},
	{.what = "list of added capabilities", .is = "/HostConfig/CapAdd", .laid_over = true},
	{.what = "list of added hosts", .is = "/HostConfig/ExtraHosts", .laid_over = true},
};

/* At most so much of a value goes into a message. */
#define SHOWN_CHARACTERS 200

/* The caller frees. */
static char *shown(struct json_object *value)
{
	if (!value)
		return xstrdup("unset");
	return text_shorten(json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN |
									  JSON_C_TO_STRING_NOSLASHESCAPE),
			    SHOWN_CHARACTERS);
}

static char *value_difference(const struct observed_container *container, struct json_object *create,
			      const struct value *value)
{
	struct json_object *is = json_at(container->inspect, value->is);
	struct json_object *wanted = value->wanted ? json_at(create, value->wanted) : NULL;
	char *is_text, *wanted_text, *text;

	if (value->laid_over && container->known)
		return NULL;
	if (wanted ? (value->same ? value->same : json_object_equal)(is, wanted) : json_is_nothing(is))
		return NULL;
	is_text = shown(is);
	wanted_text = wanted ? shown(wanted) : xstrdup("none");
	text = xasprintf("%s is %s, wanted %s", value->what, is_text, wanted_text);
	free(is_text);
	free(wanted_text);
	return text;
}

char *difference_from_request(const struct observed_container *container, struct json_object *create)
{
	static char *(*const rows[])(const struct observed_container *, struct json_object *) = {
		token_difference, label_difference, mount_difference};
	char *difference = image_difference(container, create);

	for (size_t i = 0; !difference && i < sizeof(values) / sizeof(values[0]); i++)
		difference = value_difference(container, create, &values[i]);
	for (size_t i = 0; !difference && i < sizeof(rows) / sizeof(rows[0]); i++)
		difference = rows[i](container, create);
	return difference || container->known ? difference : more_mounts(container, create);
}

/* Environment and entry point. */

static size_t key_length(const char *variable)
{
	return strcspn(variable, "=");
}

/* The last variable with the name of `like`, which is the one that counts. NULL: there is none. */
static const char *find_variable(struct json_object *env, const char *like)
{
	size_t len = key_length(like);

	for (size_t i = json_length(env); i-- > 0;) {
		const char *variable = json_item_text(env, i);

		if (variable && key_length(variable) == len && strncmp(variable, like, len) == 0)
			return variable;
	}
	return NULL;
}

/*
 * Variables that Podman adds if the image does not set them (man podman-run, "ENVIRONMENT";
 * containers.conf(5), `env` and `http_proxy`), and that HAProxy does not use. Of PATH only the
 * value in containers.conf: PATH decides which haproxy runs.
 */
static bool is_engines(const char *variable)
{
	static const char *const names[] = {
		"container=", "HOME=",     "HOSTNAME=",   "TERM=",        "http_proxy=", "https_proxy=",
		"ftp_proxy=", "no_proxy=", "HTTP_PROXY=", "HTTPS_PROXY=", "FTP_PROXY=",  "NO_PROXY=",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(variable, names[i], strlen(names[i])) == 0)
			return true;
	return strcmp(variable, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") == 0;
}

/* Messages leave out the values: they may be secrets. */
static char *environment_difference(struct json_object *is, struct json_object *images)
{
	for (size_t i = 0; i < json_length(images); i++) {
		const char *variable = json_item_text(images, i), *has;

		if (!variable || observed_is_token(variable))
			continue;
		has = find_variable(is, variable);
		if (!has || strcmp(has, find_variable(images, variable)) != 0)
			return xasprintf("environment variable %.*s is not the image's",
					 (int)key_length(variable), variable);
	}
	for (size_t i = 0; i < json_length(is); i++) {
		const char *variable = json_item_text(is, i);

		if (variable && !observed_is_token(variable) && !is_engines(variable) &&
		    !find_variable(images, variable))
			return xasprintf("environment variable %.*s was added", (int)key_length(variable),
					 variable);
	}
	return NULL;
}

/* An entry point as one text: Podman 4 stores it so, and splits it at blanks. The caller frees. */
static char *words(struct json_object *array)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < json_length(array); i++) {
		const char *word = json_item_text(array, i);

		fprintf(out, "%s%s", i ? " " : "", word ? word : "");
	}
	fclose(out);
	return text;
}

char *difference_from_image(const struct observed_container *container, struct json_object *image)
{
	char *is = words(json_at(container->inspect, "/Config/Entrypoint"));
	char *images = words(json_at(image, "/Config/Entrypoint"));
	bool same = strcmp(is, images) == 0;

	free(is);
	free(images);
	return same ? environment_difference(json_at(container->inspect, "/Config/Env"),
					     json_at(image, "/Config/Env"))
		    : xstrdup("entry point is not the image's");
}
