#include "daemon/core/state.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"

static void add(struct json_object *object, const char *key, struct json_object *value)
{
	json_object_object_add(object, key, value);
}

/* Go reads this form of a duration, too. */
static void add_duration(struct json_object *object, const char *key, int64_t ms)
{
	char *text = xasprintf("%lldms", (long long)ms);

	json_add_text(object, key, text);
	free(text);
}

static struct json_object *ssh_json(const struct ssh_settings *ssh)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "address", ssh->address);
	add(object, "port", json_object_new_int(ssh->port));
	json_add_text(object, "user", ssh->user);
	add_duration(object, "connectionTimeout", ssh->connection_timeout_ms);
	add_duration(object, "retryTimeout", ssh->retry_timeout_ms);
	add_duration(object, "retryInterval", ssh->retry_interval_ms);
	return object;
}

static struct json_object *host_json(const struct spec_host *host)
{
	struct json_object *object = json_object_new_object();

	if (host->ssh)
		add(object, "ssh", ssh_json(host->ssh));
	else
		add(object, "direct", json_object_new_object());
	return object;
}

/* "SOURCE:TARGET[:ro]" as flexkube's { source, target }. */
static struct json_object *mounts_json(struct json_object *create)
{
	struct json_object *mounts = json_object_new_array();
	struct json_object *binds = json_at(create, "/HostConfig/Binds");

	for (size_t i = 0; i < json_length(binds); i++) {
		struct json_object *mount = json_object_new_object();
		char *bind = xstrdup(json_item_text(binds, i));
		char *rest = bind;

		json_add_text(mount, "source", strsep(&rest, ":"));
		json_add_text(mount, "target", strsep(&rest, ":"));
		json_object_array_add(mounts, mount);
		free(bind);
	}
	return mounts;
}

static struct json_object *config_json(const struct wanted *wanted)
{
	struct json_object *config = json_object_new_object();

	json_add_text(config, "name", wanted->instance.name);
	json_add_text(config, "image", wanted->instance.image);
	add(config, "args", json_object_get(json_list(wanted->create, "Cmd")));
	add(config, "mounts", mounts_json(wanted->create));
	json_add_text(config, "networkMode", "host");
	json_add_text(config, "user", WANTED_USER);
	return config;
}

static struct json_object *docker_json(const struct spec_host *host)
{
	struct json_object *runtime = json_object_new_object();
	struct json_object *docker = json_object_new_object();
	char *url = xasprintf("unix://%s", host->engine);

	json_add_text(docker, "host", url);
	add(runtime, "docker", docker);
	free(url);
	return runtime;
}

struct json_object *state_entry_json(const struct wanted *wanted, const char *container_id,
				     const char *status)
{
	struct json_object *entry = json_object_new_object();
	struct json_object *container = json_object_new_object();
	struct json_object *state = json_object_new_object();
	struct json_object *files = json_object_new_object();

	add(container, "config", config_json(wanted));
	json_add_text(state, "id", container_id);
	json_add_text(state, "status", status);
	add(container, "status", state);
	add(container, "runtime", docker_json(&wanted->instance.host));
	add(entry, "container", container);
	add(entry, "host", host_json(&wanted->instance.host));
	json_add_text(files, wanted->instance.config_path, wanted->config);
	add(entry, "configFiles", files);
	return entry;
}
