/*
 * A wanted balancer with everything that follows from it: the config text, the
 * create request, their hashes. Immutable once made, and shared by reference
 * counts: a run continues with the version that it began with, even when a
 * newer one is in force.
 */
#ifndef APILB_CORE_WANTED_H
#define APILB_CORE_WANTED_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/hash.h"
#include "daemon/core/spec/spec.h"

struct json_object;

struct wanted {
	unsigned references;
	struct spec_instance instance;
	char *spec;
	char *owner;
	char *config;
	size_t config_len;
	char config_sha256[SHA256_HEX_SIZE];
	struct haproxy_file *files; /* the files that the config refers to, beside the stats socket */
	size_t files_n;
	struct haproxy_description description; /* what a HAProxy with this config answers */
	/*
	 * Whether the file itself is mounted, because its directory is not the
	 * balancer's alone (/etc/x.cfg). When the file is replaced, a container
	 * keeps the old inode, so a change needs a new container rather than a
	 * reload.
	 */
	bool mounts_file;
	char *config_in_container;              /* where the container sees the config */
	struct json_object *create;             /* body of POST /containers/create, with labels */
	char container_sha256[SHA256_HEX_SIZE]; /* of the body without its labels */
	char said[SHA256_HEX_SIZE];             /* of what the spec says, whatever config is made of it */
	char version[SHA256_HEX_SIZE];          /* of container_sha256 and config_sha256 */
	bool takes_file_over; /* the spec's `state` hands over the file at the config's path */
	char *adopt_id;       /* the container that the spec's `state` hands over; NULL: none */
};

struct wanted *wanted_new(const char *owner, const char *spec, const struct spec_instance *instance,
			  const char *adopt_id);
/* Whether wanted_new would make an equal struct of these arguments. Much faster than making it. */
bool wanted_is_for(const struct wanted *wanted, const char *spec, const struct spec_instance *instance,
		   const char *adopt_id);
/*
 * Whether both mean the same container and config, even if they were rendered separately. NULL
 * equals only NULL.
 */
bool wanted_same_version(const struct wanted *a, const struct wanted *b);
/* Whether a run has the same to do for both: the same version, and `state` hands over the same. */
bool wanted_same_work(const struct wanted *a, const struct wanted *b);
struct wanted *wanted_ref(struct wanted *wanted);
void wanted_unref(struct wanted *wanted); /* NULL is fine */

/*
 * The create request with a token: TOKEN_HEX_SIZE - 1 hexadecimal digits that no other container
 * has. The caller puts it.
 */
struct json_object *wanted_create_with_token(const struct wanted *wanted, const char *token);

/*
 * The create request of a helper, which mounts the config's directory and HAPROXY_RUN_DIR at these
 * paths. The caller puts it.
 */
#define HELPER_CONFIG_DIR "/config"
#define HELPER_RUN_DIR "/run-dir"
struct json_object *wanted_helper_create(const struct wanted *wanted);
/*
 * The create request of a helper that mounts the config's directory only, and read-only. The caller
 * puts it.
 */
struct json_object *wanted_looker_create(const struct wanted *wanted);
/*
 * The create request of a container that checks a config. It has the name and
 * labels of a helper, and mounts what the balancer would. The config is in a
 * file of its own. The caller puts it.
 */
#define CHECKED_CONFIG "apilb-check.cfg" /* in the container's "/" */
#define CHECKED_CONFIG_PATH "/" CHECKED_CONFIG
struct json_object *wanted_checker_create(const struct wanted *wanted);
/*
 * The create request of a container that runs the config in CHECKED_CONFIG_PATH, with a stats
 * socket named by the token. The caller puts it.
 */
struct json_object *wanted_rehearsal_create(const struct wanted *wanted, const char *token);

#define WANTED_USER "65534"
#define WANTED_UID 65534
/* Mode of the config file: it holds no secret, and HAProxy's user must read it. */
#define CONFIG_MODE 0644
/* Mode of the files beside the stats socket: likewise. */
#define COMPANION_MODE 0644
/* Mode of HAPROXY_RUN_DIR/NAME: everybody may reach the socket in it, only HAProxy may make one. */
#define RUN_DIR_MODE 0755
/* Its mode where apilbd connects as root: nobody else needs the socket. */
#define RUN_DIR_MODE_PRIVATE 0700

#endif
