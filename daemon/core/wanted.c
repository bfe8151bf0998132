#include "daemon/core/wanted.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/names.h"
#include "common/text.h"
#include "daemon/core/binds.h"
#include "daemon/core/haproxy/haproxy.h"

/* Where the official image has its config, so that its tools work in the container, too. */
#define CONFIG_DIR_IN_CONTAINER "/usr/local/etc/haproxy"

/*
 * Directories that do not belong to one balancer (the top level of the file
 * system, and the shared parts of hier(7)). Mounted into a container, they
 * would show it everything in them.
 */
static bool is_shared_directory(const char *dir)
{
	static const char *const shared[] = {
		"/var/lib", "/var/tmp", "/var/cache", "/var/log",       "/var/run",        "/usr/local",
		"/usr/lib", "/usr/bin", "/usr/share", "/usr/local/etc", "/etc/kubernetes",
	};

	if (strchr(dir + 1, '/') == NULL) /* "/", "/etc", "/opt" */
		return true;
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		if (strcmp(dir, shared[i]) == 0)
			return true;
	return false;
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == path ? xstrdup("/") : xstrndup(path, slash - path);
}

static const char *file_of(const char *path)
{
	return strrchr(path, '/') + 1;
}

static struct json_object *strings(const char *const *v, size_t n)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < n; i++)
		json_object_array_add(array, json_object_new_string(v[i]));
	return array;
}

static struct json_object *binds(const struct wanted *wanted)
{
	const struct spec_instance *instance = &wanted->instance;
	char *dir = directory_of(instance->config_path);
	char *config = wanted->mounts_file
			       ? xasprintf("%s:%s:ro", instance->config_path, wanted->config_in_container)
			       : xasprintf("%s:%s:ro", dir, CONFIG_DIR_IN_CONTAINER);
	char *run =
		xasprintf("%s/%s:%s/%s", HAPROXY_RUN_DIR, instance->name, HAPROXY_RUN_DIR, instance->name);
	struct json_object *array = strings((const char *const[]){config, run}, 2);

	free(dir);
	free(config);
	free(run);
	return array;
}

/* The Engine API's ContainerCreate, without labels. */
static struct json_object *create_request(const struct wanted *wanted)
{
	const char *const command[] = {"haproxy", "-W", "-db", "-f", wanted->config_in_container};
	struct json_object *request = json_object_new_object();
	struct json_object *host = json_object_new_object();
	struct json_object *restart = json_object_new_object();

	json_add_text(request, "Image", wanted->instance.image);
	json_add_text(request, "User", WANTED_USER);
	json_object_object_add(request, "Cmd", strings(command, sizeof(command) / sizeof(command[0])));
	/* HAProxy's graceful stop: it drains. */
	json_add_text(request, "StopSignal", "SIGUSR1");
	json_add_text(host, "NetworkMode", "host");
	json_add_text(restart, "Name", "unless-stopped");
	json_object_object_add(host, "RestartPolicy", restart);
	json_object_object_add(host, "Binds", binds(wanted));
	json_object_object_add(host, "CapDrop", strings((const char *const[]){"ALL"}, 1));
	json_object_object_add(request, "HostConfig", host);
	return request;
}

static struct json_object *labels(const struct wanted *wanted)
{
	struct json_object *object = json_object_new_object();
	char *binds = binds_text(wanted->instance.binds, wanted->instance.binds_n);

	json_add_text(object, LABEL_OWNER, wanted->owner);
	json_add_text(object, LABEL_SPEC, wanted->spec);
	json_add_text(object, LABEL_INSTANCE, wanted->instance.id);
	json_add_text(object, LABEL_BINDS, binds);
	free(binds);
	return object;
}

/*
 * The hash of what the spec says: not of the index, nor of the sharers, which depend on other
 * instances.
 */
static void hash_said(const struct spec_instance *instance, char hash[SHA256_HEX_SIZE])
{
	struct spec_instance said = *instance;
	char *text;

	said.index = said.sharers = 0;
	text = spec_instance_to_json(&said);
	sha256_hex(text, strlen(text), hash);
	secret_free(text);
}

struct wanted *wanted_new(const char *owner, const char *spec, const struct spec_instance *instance,
			  const char *adopt_id)
{
	struct wanted *wanted = xcalloc(1, sizeof(*wanted));
	struct json_object *mine;
	const char *text;
	char *dir, *both;

	wanted->references = 1;
	spec_instance_copy(&wanted->instance, instance);
	wanted->spec = xstrdup(spec);
	wanted->owner = xstrdup(owner);
	wanted->adopt_id = xstrdup(adopt_id);
	wanted->takes_file_over = instance->takes_file_over;

	wanted->files = haproxy_files(&wanted->instance, &wanted->files_n);
	hash_said(instance, wanted->said);
	wanted->config = haproxy_render(instance, owner);
	wanted->config_len = strlen(wanted->config);
	sha256_hex(wanted->config, wanted->config_len, wanted->config_sha256);
	wanted->description = haproxy_description_of(wanted->config);

	dir = directory_of(instance->config_path);
	wanted->mounts_file = is_shared_directory(dir);
	wanted->config_in_container =
		xasprintf("%s/%s", CONFIG_DIR_IN_CONTAINER,
			  wanted->mounts_file ? "haproxy.cfg" : file_of(instance->config_path));
	free(dir);

	wanted->create = create_request(wanted);
	text = json_object_to_json_string_ext(wanted->create, JSON_C_TO_STRING_PLAIN);
	sha256_hex(text, strlen(text), wanted->container_sha256);
	both = xasprintf("%s %s", wanted->container_sha256, wanted->config_sha256);
	sha256_hex(both, strlen(both), wanted->version);
	free(both);
	mine = labels(wanted);
	json_add_text(mine, LABEL_CONFIG_SHA256, wanted->config_sha256);
	json_add_text(mine, LABEL_CONTAINER_SHA256, wanted->container_sha256);
	json_object_object_add(wanted->create, "Labels", mine);
	return wanted;
}

bool wanted_is_for(const struct wanted *wanted, const char *spec, const struct spec_instance *instance,
		   const char *adopt_id)
{
	return strcmp(wanted->spec, spec) == 0 && spec_instance_equal(&wanted->instance, instance) &&
	       text_equal(wanted->adopt_id, adopt_id) && wanted->takes_file_over == instance->takes_file_over;
}

bool wanted_same_version(const struct wanted *a, const struct wanted *b)
{
	return a && b ? strcmp(a->version, b->version) == 0 : a == b;
}

bool wanted_same_work(const struct wanted *a, const struct wanted *b)
{
	if (!a || !b)
		return a == b;
	return wanted_same_version(a, b) && text_equal(a->adopt_id, b->adopt_id) &&
	       a->takes_file_over == b->takes_file_over;
}

struct json_object *wanted_create_with_token(const struct wanted *wanted, const char *token)
{
	struct json_object *request = NULL;
	char *variable = xasprintf(TOKEN_VARIABLE "=%s", token);

	if (json_object_deep_copy(wanted->create, &request, NULL) != 0)
		abort();
	json_object_object_add(request, "Env", strings((const char *const[]){variable}, 1));
	free(variable);
	return request;
}

struct wanted *wanted_ref(struct wanted *wanted)
{
	wanted->references++;
	return wanted;
}

void wanted_unref(struct wanted *wanted)
{
	if (!wanted || --wanted->references > 0)
		return;
	haproxy_files_free(wanted->files, wanted->files_n);
	spec_instance_clear(&wanted->instance);
	free(wanted->spec);
	free(wanted->owner);
	free(wanted->adopt_id);
	free(wanted->config);
	free(wanted->config_in_container);
	json_object_put(wanted->create);
	free(wanted);
}

static struct json_object *helper_labels(const struct wanted *wanted)
{
	struct json_object *mine = labels(wanted);

	json_add_text(mine, LABEL_ROLE, ROLE_HELPER);
	return mine;
}

/*
 * The balancer's request, except that a helper is not restarted, and does not mount the config file
 * itself.
 */
static struct json_object *like_the_balancer(const struct wanted *wanted, const char *token,
					     struct json_object *command)
{
	struct json_object *request = wanted_create_with_token(wanted, token);
	struct json_object *host = json_map(request, "HostConfig");

	json_object_object_add(request, "Cmd", command);
	json_object_object_add(request, "Labels", helper_labels(wanted));
	json_object_object_del(host, "RestartPolicy");
	if (wanted->mounts_file)
		json_object_array_del_idx(json_list(host, "Binds"), 0, 1);
	return request;
}

struct json_object *wanted_checker_create(const struct wanted *wanted)
{
	const char *const command[] = {"haproxy", "-c", "-f", CHECKED_CONFIG_PATH};

	return like_the_balancer(wanted, "0", strings(command, sizeof(command) / sizeof(command[0])));
}

struct json_object *wanted_rehearsal_create(const struct wanted *wanted, const char *token)
{
	const char *const command[] = {"haproxy", "-W", "-db", "-f", CHECKED_CONFIG_PATH};

	return like_the_balancer(wanted, token, strings(command, sizeof(command) / sizeof(command[0])));
}

/* The request of a helper that is never started, without mounts. *host: its HostConfig. */
static struct json_object *never_started(const struct wanted *wanted, struct json_object **host)
{
	struct json_object *request = json_object_new_object();

	*host = json_object_new_object();
	json_add_text(request, "Image", wanted->instance.image);
	/* If somebody starts it anyway, it must end at once. */
	json_object_object_add(request, "Cmd", strings((const char *const[]){"haproxy", "-v"}, 2));
	json_object_object_add(request, "Labels", helper_labels(wanted));
	json_add_text(*host, "NetworkMode", "none");
	json_object_object_add(request, "HostConfig", *host);
	return request;
}

struct json_object *wanted_helper_create(const struct wanted *wanted)
{
	char *dir = directory_of(wanted->instance.config_path);
	char *config = xasprintf("%s:" HELPER_CONFIG_DIR, dir);
	struct json_object *host, *request = never_started(wanted, &host);

	json_object_object_add(host, "Binds",
			       strings((const char *const[]){config, HAPROXY_RUN_DIR ":" HELPER_RUN_DIR}, 2));
	free(dir);
	free(config);
	return request;
}

/* A mount, not a bind: if the directory is missing, the engine reports an error instead of making it. */
struct json_object *wanted_looker_create(const struct wanted *wanted)
{
	char *dir = directory_of(wanted->instance.config_path);
	struct json_object *host, *request = never_started(wanted, &host);
	struct json_object *mount = json_object_new_object(), *mounts = json_object_new_array();

	json_add_text(mount, "Type", "bind");
	json_add_text(mount, "Source", dir);
	json_add_text(mount, "Target", HELPER_CONFIG_DIR);
	json_object_object_add(mount, "ReadOnly", json_object_new_boolean(true));
	json_object_array_add(mounts, mount);
	json_object_object_add(host, "Mounts", mounts);
	free(dir);
	return request;
}
