#include "daemon/core/spec/spec_schema.h"

#include "daemon/core/spec/spec.h"
#include "daemon/core/spec/spec_types.h"

#define FIELDS(rows, bytes)                                                          \
	{                                                                            \
		.v = (rows), .n = sizeof(rows) / sizeof((rows)[0]), .size = (bytes), \
	}

/* KEPT: a row with a member at an offset. CHECKED: a row without a member. Further members may follow. */
#define KEPT(name, kind, member_offset, ...)                                             \
	{                                                                                \
		.key = (name), .type = &(kind), .offset = (member_offset), ##__VA_ARGS__ \
	}
#define CHECKED(name, kind, ...)                              \
	{                                                     \
		.key = (name), .type = &(kind), ##__VA_ARGS__ \
	}

/* `ssh`: at the top level, in a host, and as the `jump` of another `ssh`. */

#define SSH(member) offsetof(struct ssh_settings, member)

static const struct spec_field ssh_rows[] = {
	KEPT("address", type_address, SSH(address),
	     .missing = "address must be set: the host name or IP address to connect to"),
	KEPT("port", type_port, SSH(port), .fallback = "22"),
	KEPT("user", type_user, SSH(user), .fallback = "root"),
	KEPT("password", type_password, SSH(password), .rival = "passwordFile"),
	KEPT("passwordFile", type_file, SSH(password_file), .rival = "password"),
	KEPT("privateKey", type_private_key, SSH(private_key), .rival = "privateKeyFile"),
	KEPT("privateKeyFile", type_file, SSH(private_key_file), .rival = "privateKey"),
	KEPT("connectionTimeout", type_duration, SSH(connection_timeout_ms), .fallback = "30s"),
	KEPT("retryTimeout", type_duration, SSH(retry_timeout_ms), .fallback = "60s"),
	KEPT("retryInterval", type_duration, SSH(retry_interval_ms), .fallback = "1s"),
	KEPT("hostKey", type_host_key, SSH(host_key)),
	KEPT("hostKeyChecking", type_host_key_checking, SSH(host_key_checking), .fallback = "accept-new"),
	KEPT("jump", type_pointer, SSH(jump), .fields = &spec_ssh_fields),
};

const struct spec_fields spec_ssh_fields = FIELDS(ssh_rows, sizeof(struct ssh_settings));

/*
 * `runtime`: at the top level, in an instance, and in a container of `state`. Part of struct
 * spec_host.
 */

static const struct spec_field docker_rows[] = {
	KEPT("host", type_engine, offsetof(struct spec_host, engine),
	     .fallback = "unix://" SPEC_DEFAULT_ENGINE),
};
static const struct spec_fields docker_fields = FIELDS(docker_rows, 0);

static const struct spec_field runtime_rows[] = {
	KEPT("docker", type_group, 0, .fields = &docker_fields),
};
static const struct spec_fields runtime_fields = FIELDS(runtime_rows, 0);

/* `host`: whether it is direct or ssh depends on the top level, too, so spec_host.c reads it. */

static const struct spec_fields no_fields = {.n = 0};

static const struct spec_field transport_rows[] = {
	CHECKED("direct", type_map, .fields = &no_fields, .rival = "ssh"),
	CHECKED("ssh", type_map, .fields = &spec_ssh_fields, .rival = "direct"),
};
static const struct spec_fields transport_fields = FIELDS(transport_rows, 0);

/* `timeouts`. */

#define TIMEOUT(member) offsetof(struct spec_timeouts, member)

static const struct spec_field timeout_rows[] = {
	KEPT("connect", type_haproxy_time, TIMEOUT(connect_ms), .fallback = "800ms"),
	KEPT("client", type_haproxy_time, TIMEOUT(client_ms), .fallback = "1m"),
	KEPT("server", type_haproxy_time, TIMEOUT(server_ms), .fallback = "1m"),
	KEPT("tunnel", type_haproxy_time, TIMEOUT(tunnel_ms), .fallback = "24h"),
	KEPT("drain", type_haproxy_time, TIMEOUT(drain_ms), .fallback = "5m"),
};
static const struct spec_fields timeout_fields = FIELDS(timeout_rows, 0);

/* `rollout`. */

#define ROLLOUT(member) offsetof(struct rollout_settings, member)

static const struct spec_field rollout_rows[] = {
	KEPT("canary", type_count, ROLLOUT(canary), .fallback = "1"),
	KEPT("parallel", type_share, ROLLOUT(parallel), .fallback = "25%"),
	KEPT("settle", type_delay, ROLLOUT(settle_ms), .fallback = "5s"),
	KEPT("onFailure", type_on_failure, ROLLOUT(on_failure), .fallback = "halt"),
};
const struct spec_fields spec_rollout_fields = FIELDS(rollout_rows, sizeof(struct rollout_settings));

/* `healthCheck`. For the default of `interval` see spec_sharers.h. */

#define HEALTH(member) offsetof(struct spec_health_check, member)

static const struct spec_field health_rows[] = {
	KEPT("path", type_check_path, HEALTH(path), .fallback = "/readyz"),
	KEPT("interval", type_haproxy_time, HEALTH(interval_ms)),
	KEPT("timeout", type_haproxy_time, HEALTH(timeout_ms), .fallback = "2s"),
	KEPT("fall", type_check_count, HEALTH(fall), .fallback = "2"),
	KEPT("rise", type_check_count, HEALTH(rise), .fallback = "2"),
	KEPT("expect", type_statuses, HEALTH(expect), .count_offset = HEALTH(expect_n),
	     .fallback = "2xx 401 403"),
	KEPT("ca", type_certificates, HEALTH(ca), .rival = "caFile"),
	KEPT("caFile", type_file, HEALTH(ca_file), .rival = "ca"),
	KEPT("serverName", type_server_name, HEALTH(server_name)),
	KEPT("insecure", type_flag, HEALTH(insecure)),
};
const struct spec_fields spec_health_fields = FIELDS(health_rows, 0);

/* `extraConfig`. */

#define EXTRA(section)                                                                \
	KEPT(#section, type_extra_lines, offsetof(struct spec_extra_config, section), \
	     .count_offset = offsetof(struct spec_extra_config, section##_n), .repeats = true)

static const struct spec_field extra_rows[] = {
	EXTRA(global),
	EXTRA(defaults),
	EXTRA(frontend),
	EXTRA(backend),
};
static const struct spec_fields extra_fields = FIELDS(extra_rows, 0);

/* An instance. The top level has the same fields, except `host`, as defaults. */

#define INSTANCE(member) offsetof(struct spec_instance, member)

#define INSTANCE_ROWS                                                                                        \
	KEPT("image", type_image, INSTANCE(image), .fallback = SPEC_DEFAULT_IMAGE),                          \
		KEPT("servers", type_servers, INSTANCE(servers), .count_offset = INSTANCE(servers_n),        \
		     .missing = "at least one server must be set, here or at the top level"),                \
		KEPT("name", type_container_name, INSTANCE(name), .fallback = SPEC_DEFAULT_NAME),            \
		KEPT("hostConfigPath", type_config_path, INSTANCE(config_path),                              \
		     .fallback = SPEC_DEFAULT_CONFIG_PATH),                                                  \
		KEPT("bindAddress", type_binds, INSTANCE(binds), .count_offset = INSTANCE(binds_n),          \
		     .missing = "bindAddress can't be empty: it must be set, here or at the top level"),     \
		KEPT("runtime", type_group, INSTANCE(host), .fields = &runtime_fields),                      \
		KEPT("timeouts", type_group, INSTANCE(timeouts), .fields = &timeout_fields),                 \
		KEPT("healthCheck", type_group, INSTANCE(health_check), .fields = &spec_health_fields),      \
		KEPT("maxConnections", type_max_connections, INSTANCE(max_connections), .fallback = "8192"), \
		KEPT("balance", type_balance, INSTANCE(balance), .fallback = "leastconn"),                   \
		KEPT("extraConfig", type_group, INSTANCE(extra_config), .fields = &extra_fields)

static const struct spec_field instance_rows[] = {
	INSTANCE_ROWS,
	CHECKED("host", type_map, .fields = &transport_fields),
};
const struct spec_fields spec_instance_fields = {
	.v = instance_rows,
	.n = sizeof(instance_rows) / sizeof(instance_rows[0]),
	.size = sizeof(struct spec_instance),
	.above = &spec_document_fields,
};

/* `state`: an entry is what flexkube, or `apilbctl state export`, says about one container. */

#define STATE(member) offsetof(struct spec_state_entry, member)

static const struct spec_field port_rows[] = {
	CHECKED("ip", type_any_text),
	CHECKED("port", type_int),
	CHECKED("protocol", type_any_text),
};
static const struct spec_fields port_fields = FIELDS(port_rows, 0);

static const struct spec_field mount_rows[] = {
	CHECKED("source", type_any_text),
	CHECKED("target", type_any_text),
	CHECKED("propagation", type_any_text),
};
static const struct spec_fields mount_fields = FIELDS(mount_rows, 0);

static const struct spec_field config_rows[] = {
	KEPT("name", type_container_name, STATE(name), .missing = "name must be set"),
	KEPT("image", type_image, STATE(image), .missing = "image must be set"),
	CHECKED("args", type_texts),
	CHECKED("entrypoint", type_texts),
	CHECKED("ports", type_maps, .fields = &port_fields),
	CHECKED("mounts", type_maps, .fields = &mount_fields),
	CHECKED("privileged", type_bool),
	CHECKED("networkMode", type_any_text),
	CHECKED("pidMode", type_any_text),
	CHECKED("ipcMode", type_any_text),
	CHECKED("user", type_any_text),
	CHECKED("group", type_any_text),
	CHECKED("env", type_text_map),
};
static const struct spec_fields config_fields = FIELDS(config_rows, 0);

static const struct spec_field status_rows[] = {
	KEPT("id", type_container_id, STATE(container_id)),
	CHECKED("status", type_any_text),
};
static const struct spec_fields status_fields = FIELDS(status_rows, 0);

static const struct spec_field container_rows[] = {
	KEPT("config", type_group, 0, .fields = &config_fields),
	KEPT("status", type_group, 0, .fields = &status_fields),
	KEPT("runtime", type_group, STATE(host), .fields = &runtime_fields),
};
static const struct spec_fields container_fields = FIELDS(container_rows, 0);

static const struct spec_field state_entry_rows[] = {
	KEPT("container", type_group, 0, .fields = &container_fields),
	CHECKED("host", type_map, .fields = &transport_fields),
	CHECKED("configFiles", type_text_map),
};
const struct spec_fields spec_state_entry_fields = FIELDS(state_entry_rows, sizeof(struct spec_state_entry));

/* The document. */

static const struct spec_field document_rows[] = {
	INSTANCE_ROWS,
	CHECKED("ssh", type_map, .fields = &spec_ssh_fields),
	CHECKED("rollout", type_map, .fields = &spec_rollout_fields),
	CHECKED("apiLoadBalancers", type_maps, .fields = &spec_instance_fields),
	CHECKED("state", type_map_map, .fields = &spec_state_entry_fields),
};
const struct spec_fields spec_document_fields = FIELDS(document_rows, 0);

/* A host, as the store keeps it. */

static const struct spec_field host_rows[] = {
	KEPT("engine", type_engine, offsetof(struct spec_host, engine), .missing = "engine must be set"),
	KEPT("ssh", type_pointer, offsetof(struct spec_host, ssh), .fields = &spec_ssh_fields),
};
const struct spec_fields spec_host_fields = FIELDS(host_rows, sizeof(struct spec_host));
