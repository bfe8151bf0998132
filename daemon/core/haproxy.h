/*
 * A wanted instance -> the text of its haproxy.cfg, for HAProxy 2.4 and later.
 * docs/haproxy.md gives the reason and the source of every line.
 *
 * The text holds `description "apilb GENERATION BINDS TOKEN"`. GENERATION is the
 * SHA-256 of the rest, BINDS the beginning of that of the `bind` lines, TOKEN
 * the environment's APILB_TOKEN, which is another one in each container. HAProxy
 * repeats them in `show info`, and so tells which version of the file the running
 * process has loaded, whether it listens where it should, and which container it is.
 */
#ifndef APILB_CORE_HAPROXY_H
#define APILB_CORE_HAPROXY_H

#include "daemon/core/hash.h"
#include "daemon/core/spec.h"

/* One directory per balancer on its host, mounted at the same path in the container. */
#define HAPROXY_RUN_DIR "/var/lib/apilb"
#define HAPROXY_SOCKET_NAME "haproxy.sock"

/* "/var/lib/apilb/NAME/haproxy.sock"; the caller frees. */
char *haproxy_socket_path(const char *name);

/* The caller frees. */
char *haproxy_render(const struct spec_instance *instance);

#define BINDS_HEX_SIZE 17
#define TOKEN_HEX_SIZE 17
#define TOKEN_VARIABLE "APILB_TOKEN"

/* "" where there is none. */
struct haproxy_description {
	char generation[SHA256_HEX_SIZE];
	char binds[BINDS_HEX_SIZE];
	char token[TOKEN_HEX_SIZE];
};

/* From what HAProxy repeats: "apilb GENERATION BINDS TOKEN". */
struct haproxy_description haproxy_description_parse(const char *text);
/* From a rendered text; no token. */
struct haproxy_description haproxy_description_of(const char *config);

/* How HAProxy is told to name a server, and we find it again: "10.0.0.1:6443", IPv6 without brackets. The
 * caller frees. */
char *haproxy_server_name(const struct spec_server *server);
/* The same for people: "10.0.0.1:6443", "[fd00::1]:6443". The caller frees. */
char *haproxy_server_address(const struct spec_server *server);

#endif
