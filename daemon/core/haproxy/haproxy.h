/*
 * A wanted instance -> the text of its haproxy.cfg, for HAProxy 2.4 and later.
 * docs/haproxy.md gives the reason and the source of every line.
 *
 * The text holds `description "apilb GENERATION BINDS [guarded]"`. GENERATION is the SHA-256
 * of the rest, BINDS the beginning of that of the `bind` lines. HAProxy repeats
 * them in `show info`, and so tells which version of the file the running process
 * has loaded, and whether it listens where it should.
 *
 * The stats socket is named by the environment's APILB_TOKEN, which is another
 * one in each container: so a successor never takes the socket of the one that
 * it shall succeed, and what answers there is the container that was meant.
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

/* How many of its servers are given by name. */
size_t haproxy_names(const struct spec_instance *instance);
/*
 * So long may HAProxy take before it does anything else, also for a check of its config: it has the system
 * look up the names of its servers, one after the other, each twice, and some name server may be silent.
 */
int haproxy_look_up_max_s(const struct spec_instance *instance);

/* Which name API servers must have in their certificates, if these are verified. */
const char *haproxy_name_in_certificates(const struct spec_health_check *health_check);

/* "/var/lib/apilb/NAME/FILE"; the caller frees. */
char *haproxy_file_path(const char *name, const char *file);

/*
 * A file that the config refers to: it lies beside the stats socket, in the
 * balancer's own directory, which every container that gets the config sees at
 * the same path. Its name has the beginning of its hash in it: another content is
 * another file, and another config.
 */
struct haproxy_file {
	char *name; /* "ca-0123456789ab.pem", "guard-0123456789ab.lua" */
	const char *text;
	size_t len;
};

/* All that the config of the instance refers to; their texts are the instance's, or constant. */
struct haproxy_file *haproxy_files(const struct spec_instance *instance, size_t *n);
void haproxy_files_free(struct haproxy_file *files, size_t n);

/* The config without its frontend: what has it finds out which servers are up, and is in nobody's way. The
 * caller frees. */
char *haproxy_render_rehearsal(const struct spec_instance *instance);
/* owner: whose it is, see host_file.h. The caller frees. */
char *haproxy_render(const struct spec_instance *instance, const char *owner);

/* No config of the instance is longer; of most it is much shorter. */
size_t haproxy_most_bytes(const struct spec_instance *instance);

#define BINDS_HEX_SIZE 17

/* "" where there is none. */
struct haproxy_description {
	char generation[SHA256_HEX_SIZE];
	char binds[BINDS_HEX_SIZE];
	bool guarded; /* its HAProxy has Lua, and so guard.lua */
};

/* From what HAProxy repeats: "apilb GENERATION BINDS". */
struct haproxy_description haproxy_description_parse(const char *text);
/* From a rendered text. */
struct haproxy_description haproxy_description_of(const char *config);

/* How HAProxy is told to name a server, and we find it again: "10.0.0.1:6443", IPv6 without brackets. One
 * that is given by name may have more addresses than one: the others are servers too, NAME-2 and so on. The
 * caller frees. */
char *haproxy_server_name(const struct spec_server *server);
/* The same for people: "10.0.0.1:6443", "[fd00::1]:6443". The caller frees. */
char *haproxy_server_address(const struct spec_server *server);

#endif
