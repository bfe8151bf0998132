/*
 * A wanted instance -> the text of its haproxy.cfg, for HAProxy 2.4 and later. docs/haproxy.md
 * gives the reason and the source of every line.
 *
 * The text holds `description "apilb GENERATION BINDS [guarded]"`. GENERATION is the SHA-256 of the
 * rest of the text, BINDS the beginning of the SHA-256 of its `bind` lines. HAProxy repeats the
 * description in `show info`: so we see which version of the file the running process has loaded,
 * and whether it listens where it should.
 *
 * The name of the stats socket holds the environment variable APILB_TOKEN, which differs from
 * container to container. So a successor never takes over the socket of the container that it
 * replaces, and whoever answers on a socket is the container that was asked.
 */
#ifndef APILB_CORE_HAPROXY_H
#define APILB_CORE_HAPROXY_H

#include "daemon/core/hash.h"
#include "daemon/core/spec/spec.h"

/* One directory per balancer on its host, mounted at the same path in the container. */
#define HAPROXY_RUN_DIR "/var/lib/apilb"
#define TOKEN_VARIABLE "APILB_TOKEN"
#define TOKEN_HEX_SIZE 9

/* "/var/lib/apilb/NAME/TOKEN.sock"; the caller frees. */
char *haproxy_socket_path(const char *name, const char *token);

/* How many of the instance's servers are given by name. */
size_t haproxy_names(const struct spec_instance *instance);
/*
 * How long HAProxy may take before it does anything, also to check a config: libc looks up the
 * names of its servers, one after the other, each twice, and a name server may be silent.
 */
int haproxy_look_up_max_s(const struct spec_instance *instance);

/* The name that API servers' certificates must have, if they are verified. */
const char *haproxy_name_in_certificates(const struct spec_health_check *health_check);

/* "/var/lib/apilb/NAME/FILE"; the caller frees. */
char *haproxy_file_path(const char *name, const char *file);

/*
 * A file that the config refers to. It lies beside the stats socket, in the balancer's own
 * directory, which every container with this config has mounted at the same path. The file's name
 * contains the beginning of its hash: other content makes another file, and another config.
 */
struct haproxy_file {
	char *name; /* "ca-0123456789ab.pem", "guard-0123456789ab.lua" */
	const char *text;
	size_t len;
};

/* All files that the instance's config refers to. Their texts belong to the instance, or are constant. */
struct haproxy_file *haproxy_files(const struct spec_instance *instance, size_t *n);
void haproxy_files_free(struct haproxy_file *files, size_t n);

/*
 * The config without its frontend: a HAProxy with it finds out which servers are up, and listens
 * nowhere. The caller frees.
 */
char *haproxy_render_rehearsal(const struct spec_instance *instance);
/* owner: for the file's first line, see host_file.h. The caller frees. */
char *haproxy_render(const struct spec_instance *instance, const char *owner);

/* An upper bound of the config's length. Most configs are much shorter. */
size_t haproxy_most_bytes(const struct spec_instance *instance);

#define BINDS_HEX_SIZE 17

/* The parts of a config's description; "" for those that are missing. */
struct haproxy_description {
	char generation[SHA256_HEX_SIZE];
	char binds[BINDS_HEX_SIZE];
	bool guarded; /* this HAProxy has Lua, and runs guard.lua */
};

/* From HAProxy's answer: "apilb GENERATION BINDS [guarded]". */
struct haproxy_description haproxy_description_parse(const char *text);
/* From the text of a config. */
struct haproxy_description haproxy_description_of(const char *config);

/*
 * The name of a server in the config and in HAProxy's answers: "10.0.0.1:6443", IPv6 without
 * brackets. The further addresses of a server that is given by name are servers, too: NAME-2 and so
 * on. The caller frees.
 */
char *haproxy_server_name(const struct spec_server *server);
/* The name for people: "10.0.0.1:6443", "[fd00::1]:6443". The caller frees. */
char *haproxy_server_address(const struct spec_server *server);

#endif
