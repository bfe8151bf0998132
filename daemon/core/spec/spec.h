/*
 * The spec language: one YAML document -> what is wanted, or all its errors.
 *
 * Pure: no descriptor, no clock. The format is that of flexkube's
 * apiloadbalancer package, v0.10.0, with the additions that apilb-spec(5)
 * names. The grammar is a table of typed rows (spec_schema.c); merging is
 * flexkube's; validation reports every error of a file at once.
 */
#ifndef APILB_CORE_SPEC_H
#define APILB_CORE_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/core/hash.h"

#define SPEC_DEFAULT_IMAGE "haproxy:3.2.21-alpine"
#define SPEC_DEFAULT_NAME "api-loadbalancer-haproxy"
#define SPEC_DEFAULT_CONFIG_PATH "/etc/haproxy/haproxy.cfg"
#define SPEC_DEFAULT_ENGINE "/var/run/docker.sock"
#define SPEC_DEFAULT_BIND_PORT 6443
/* The certificates that kubeadm, k3s, kops and others make for API servers have this name. */
#define SPEC_DEFAULT_SERVER_NAME "kubernetes"

/*
 * Limits that keep any input harmless: to read one file takes the thread beside the loop
 * (spec_look.h) at most a second, and 100 MiB of memory.
 */
#define SPEC_MAX_BYTES (4u << 20)
#define SPEC_MAX_DEPTH 64
/* Items of one list of values. HAProxy's answer is read for as many servers (observed_stats.c). */
#define SPEC_MAX_ITEMS 1024
/* Nodes once aliases are followed: twice what 10,000 instances need when each gives everything itself. */
#define SPEC_MAX_NODES 250000u
#define SPEC_MAX_ERRORS 100
/*
 * What merging may copy into all instances together (a key at the top level,
 * times 10,000 instances): a short file must not become a large process.
 */
#define SPEC_MAX_MERGED_BYTES (64u << 20)
#define SPEC_MAX_MERGED_ITEMS 250000u

/* A spec from the store may exceed the limits by this factor: it may be older than they are. */
#define SPEC_RECALLED_TIMES 16u

enum host_key_checking {
	HOST_KEY_ACCEPT_NEW, /* learn at first sight, refuse a change */
	HOST_KEY_STRICT,     /* accept known keys only */
	HOST_KEY_OFF,
};

/*
 * How to reach a host over SSH, merged and with defaults filled in. Files are
 * only named here: they are read at each connection, so that a rotated key is
 * picked up.
 */
struct ssh_settings {
	char *address;
	uint16_t port;
	char *user;
	char *password; /* secret; NULL when not given, like the next three */
	char *password_file;
	char *private_key; /* secret; PEM text */
	char *private_key_file;
	int64_t connection_timeout_ms;
	int64_t retry_timeout_ms;
	int64_t retry_interval_ms;
	char *host_key; /* public key line or SHA256: fingerprint; NULL: host_key_checking decides */
	enum host_key_checking host_key_checking;
	struct ssh_settings *jump; /* reach the host through this host; NULL: directly */
};

struct spec_host {
	struct ssh_settings *ssh; /* NULL: the local machine (`direct`) */
	char *engine;             /* path of the engine's Unix socket on that machine */
	/*
	 * Names the connection: "direct" or "ssh://USER@ADDRESS:PORT" (IPv6 in brackets). Status
	 * shows it as `host`.
	 */
	char *url;
	/*
	 * "direct", ADDRESS, or ADDRESS:PORT if the port is not 22: the middle part of an
	 * instance's id.
	 */
	char *label;
};

/* ip has no brackets; ipv6: its family. "*" (all IPv4 addresses) stays "*". */
struct spec_bind {
	char *ip;
	bool ipv6;
	uint16_t port;
};

/* host is a name or an address, without brackets. */
struct spec_server {
	char *host;
	bool ipv6;
	uint16_t port;
};

/*
 * Timeouts of connections. drain_ms: how long open ones may last once a new config or container has
 * taken over.
 */
struct spec_timeouts {
	int64_t connect_ms;
	int64_t client_ms;
	int64_t server_ms;
	int64_t tunnel_ms;
	int64_t drain_ms;
};

/* A range of HTTP statuses, both ends included. */
struct spec_statuses {
	uint16_t from, to;
};

/* How HAProxy finds out which servers it may use. */
struct spec_health_check {
	char *path;
	int64_t interval_ms; /* 0: depends on the size of the fleet, spec_check_interval_ms() */
	int64_t timeout_ms;
	unsigned fall, rise;
	struct spec_statuses *expect;
	size_t expect_n;
	char *ca;      /* PEM text, from the spec or from ca_file; NULL: certificates are not verified */
	char *ca_file; /* the file that ca was read from; NULL: ca stood in the spec */
	char *server_name;
	bool insecure; /* the spec says so: nothing is verified */
};

/* The operator's own lines, at the end of the sections. Each text may hold several lines. */
struct spec_extra_config {
	char **global, **defaults, **frontend, **backend;
	size_t global_n, defaults_n, frontend_n, backend_n;
};

struct spec_state_entry;

/* One wanted balancer, after merging and with every default filled in. */
struct spec_instance {
	size_t index; /* position in apiLoadBalancers */
	size_t line, column;
	char *id; /* SPEC/HOSTLABEL/NAME */
	char *name;
	char *image;
	char *config_path;
	struct spec_host host;
	struct spec_bind *binds;
	size_t binds_n;
	struct spec_server *servers;
	size_t servers_n;
	struct spec_state_entry *adopted; /* hands it a container; the spec's; NULL: none, as in copies */
	bool takes_file_over;             /* `state` hands over the file at config_path; false in copies */
	struct spec_timeouts timeouts;
	struct spec_health_check health_check;
	unsigned max_connections;
	char *balance; /* HAProxy's word for the algorithm */
	struct spec_extra_config extra_config;
	size_t sharers; /* how many balancers check its most checked server: spec_count_sharers() */
};

/* What one entry of `state` hands over: a container without our labels, named by its ID, and files. */
struct spec_state_entry {
	char *key;          /* the map's key, flexkube's index */
	char *container_id; /* NULL: the entry hands over files only */
	char *name;
	char *image;
	char **files; /* paths of `configFiles`: the files there are handed over, too */
	size_t files_n;
	struct spec_host host;
	struct spec_instance *instance; /* the new owner, of the same spec; NULL: nobody takes over */
};

enum rollout_failure { ROLLOUT_HALT, ROLLOUT_REVERT };

/* A number of hosts, or a share of them. */
struct spec_share {
	uint32_t n;
	bool percent;
};

/*
 * How a change reaches the hosts of a spec (rollout.h): `canary` hosts first, then `parallel` at a
 * time; each is watched for settle_ms.
 */
struct rollout_settings {
	uint32_t canary; /* 0: none */
	struct spec_share parallel;
	int64_t settle_ms;
	enum rollout_failure on_failure;
};

/* A file named in a spec whose text became part of the spec, as it was read. */
struct spec_source {
	char *path;
	char sha256[SHA256_HEX_SIZE];
};

struct spec {
	char *name; /* base name of the file, without .yaml or .yml */
	char *file;
	struct spec_instance *instances;
	size_t instances_n;
	struct spec_state_entry *state;
	size_t state_n;
	struct rollout_settings rollout;
	struct spec_source *sources;
	size_t sources_n;
};

/* line and column count from 1; 0 means the file as a whole. */
struct spec_error {
	char *file;
	size_t line, column;
	char *path; /* "apiLoadBalancers[3].host.ssh.port", "" for the document */
	char *message;
};

struct spec_errors {
	struct spec_error *v;
	size_t n;
};

/* What the verdict on a spec depends on besides its text. */
struct spec_context {
	bool have_agent; /* SSH_AUTH_SOCK is set: counts as a way to authenticate */
	/*
	 * Whether the store holds instances of this spec, which an empty list would remove. Asked
	 * only where it matters. NULL: it holds none.
	 */
	bool (*has_recorded)(void *arg);
	/*
	 * Reads a file that the spec names (caFile): the text, which the caller frees, or -1 and an
	 * error that names the file. NULL: files are not read, and a field that names one counts as
	 * not given.
	 */
	int (*read_file)(void *arg, const char *path, char **text, struct err *err);
	void *arg; /* for both functions */
	/*
	 * The spec comes from the store. Rules that are newer than it, such as those for size and
	 * paths, do not hold.
	 */
	bool recalled;
};

/*
 * Parses and validates. Returns the spec, owned by the caller; or NULL, after
 * adding at least one error to `errors` and at most SPEC_MAX_ERRORS, the last
 * of which then says that there are more. `text` need not end in a NUL and may
 * hold anything.
 */
struct spec *spec_parse(const char *file, const char *text, size_t len, const struct spec_context *context,
			struct spec_errors *errors);
void spec_free(struct spec *spec); /* NULL is fine */

/*
 * Rules across files: no two instances may share a host and container name, a host and config path,
 * or a host and bind address and port; all instances of a host must have the same ssh settings; a
 * wildcard bind clashes with every address of its family and port. A host is known by address, port
 * and engine, not by the user: two names of one machine count as two hosts.
 *
 * Each clash adds one error, which names both sides, for the instance that comes later in the order
 * of files and lists. Returns the number of errors added. (spec_parse has applied the same rules
 * within a file.)
 */
size_t spec_check_fleet(const struct spec *const *specs, size_t n, struct spec_errors *errors);

/*
 * The spec's name: "prod.yaml" gives "prod" (caller frees). NULL if the file is
 * no spec. The name goes into labels, ids and URLs, so it has letters, digits,
 * '.', '_' and '-' only, and does not begin with a '.'.
 */
char *spec_name_from_file(const char *basename);
/*
 * Why a file that was probably meant as a spec is none ("prod.YAML", "my spec.yaml", "x.yml.txt");
 * NULL for all other files.
 */
const char *spec_name_mistake(const char *basename);

/* Adds one error. Also used for files that cannot be read. */
void spec_errors_add(struct spec_errors *errors, const char *file, size_t line, size_t column,
		     const char *path, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* "FILE:LINE:COLUMN: PATH: MESSAGE", without the parts that are not known; the caller frees. */
char *spec_error_text(const struct spec_error *error);
void spec_errors_clear(struct spec_errors *errors);

/* Deep copies, for users that outlive the spec. */
void spec_instance_copy(struct spec_instance *to, const struct spec_instance *from);
void spec_instance_clear(struct spec_instance *instance);
/* The same balancer at the same position of its list, reached the same way. Lines do not count. */
bool spec_instance_equal(const struct spec_instance *a, const struct spec_instance *b);
void spec_host_copy(struct spec_host *to, const struct spec_host *from);
void spec_host_clear(struct spec_host *host);
/* Same connection, credentials and engine: an open connection can stay. */
bool spec_host_equal(const struct spec_host *a, const struct spec_host *b);

/*
 * A host as JSON text and back. For the store: a host that no spec names any
 * more must still be reachable. The text holds secrets: the store's file has
 * mode 0600.
 */
char *spec_host_to_json(const struct spec_host *host);
int spec_host_from_json(struct spec_host *host, const char *json, struct err *err);

/*
 * An instance as JSON text and back, so that what is in force is known after a
 * restart. Without lines and without what `state` says. The host is stored by
 * itself, and copied into the instance.
 */
char *spec_instance_to_json(const struct spec_instance *instance);
int spec_instance_from_json(struct spec_instance *instance, const struct spec_host *host, const char *json,
			    struct err *err);

#endif
