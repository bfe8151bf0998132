/*
 * A wanted balancer with all that follows from it: the config text, the create
 * request, their hashes. Immutable once made and shared by count, because a
 * running job goes on with the version that it began with while a new one of
 * the spec is already in force.
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
	struct haproxy_file *files; /* that the config refers to, and that lie beside the stats socket */
	size_t files_n;
	struct haproxy_description description; /* what HAProxy will say of it */
	/*
	 * The file itself is mounted, since its directory is not the balancer's
	 * alone (/etc/x.cfg): a container keeps seeing the old inode when the
	 * file is replaced, so a change means a new container, not a reload.
	 */
	bool mounts_file;
	char *config_in_container;              /* where the container sees the config */
	struct json_object *create;             /* body of POST /containers/create, with labels */
	char container_sha256[SHA256_HEX_SIZE]; /* of the body without its labels */
	char said[SHA256_HEX_SIZE];             /* of what the spec says of it, however that is rendered */
	char version[SHA256_HEX_SIZE];          /* stands for container and config together */
	bool takes_file_over; /* the spec's `state` hands over what stands at the path of the config */
	char *adopt_id;       /* container that the spec's `state` hands over under this name; NULL: none */
};

struct wanted *wanted_new(const char *owner, const char *spec, const struct spec_instance *instance,
			  const char *adopt_id);
/* Whether this is what wanted_new would give for them: to render and hash it all takes much longer. */
bool wanted_is_for(const struct wanted *wanted, const char *spec, const struct spec_instance *instance,
		   const char *adopt_id);
/* The same container and config, also of two renderings of it. NULL, for nothing, is the same as NULL only.
 */
bool wanted_same_version(const struct wanted *a, const struct wanted *b);
/* And `state` hands over the same to it: a run has the same to do. */
bool wanted_same_work(const struct wanted *a, const struct wanted *b);
struct wanted *wanted_ref(struct wanted *wanted);
void wanted_unref(struct wanted *wanted); /* NULL is fine */

/* The create request with its token: TOKEN_HEX_SIZE - 1 hexadecimal digits that no other container has. The
 * caller puts it. */
struct json_object *wanted_create_with_token(const struct wanted *wanted, const char *token);

/* Create request of the helper: the config's directory and HAPROXY_RUN_DIR, mounted there. The caller puts
 * it. */
#define HELPER_CONFIG_DIR "/config"
#define HELPER_RUN_DIR "/run-dir"
struct json_object *wanted_helper_create(const struct wanted *wanted);
/* The same for one through which the config's directory can only be looked at. The caller puts it. */
struct json_object *wanted_looker_create(const struct wanted *wanted);
/*
 * Create request of the container that checks a config: it has the name and the
 * labels of a helper, and sees what the balancer would, read-only. The config is
 * in a file of its own. The caller puts it.
 */
#define CHECKED_CONFIG "apilb-check.cfg" /* in its "/" */
#define CHECKED_CONFIG_PATH "/" CHECKED_CONFIG
struct json_object *wanted_checker_create(const struct wanted *wanted);
/* The same for one that runs a config from there, with a stats socket named by the token. The caller puts it.
 */
struct json_object *wanted_rehearsal_create(const struct wanted *wanted, const char *token);

#define WANTED_USER "65534"
#define WANTED_UID 65534
/* Of the config file: no secret in it, and HAProxy's user has to read it. */
#define CONFIG_MODE 0644
/* Of the files beside the stats socket, likewise. */
#define BESIDE_MODE 0644
/* Of HAPROXY_RUN_DIR/NAME: everybody may reach the socket in it, only HAProxy may make one. */
#define RUN_DIR_MODE 0755
/* The same where apilbd comes as root: nobody else has to. */
#define RUN_DIR_MODE_PRIVATE 0700

#endif
