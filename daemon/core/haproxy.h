/*
 * A wanted instance -> the text of its haproxy.cfg, for HAProxy 2.4 and later.
 * docs/haproxy.md gives the reason and the source of every line.
 *
 * The text holds `description apilb GENERATION BINDS`. GENERATION is the SHA-256
 * of the rest, BINDS the beginning of that of the `bind` lines. HAProxy repeats
 * them in `show info`, and so tells which version of the file the running
 * process has loaded, and whether it listens where it should.
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

/* The two in a rendered text, or in a description ("apilb GENERATION BINDS"); "" where there is none. */
void haproxy_generation(const char *text, char generation[SHA256_HEX_SIZE], char binds[BINDS_HEX_SIZE]);

/* How HAProxy is told to name a server, and we find it again: "10.0.0.1:6443", IPv6 without brackets. The
 * caller frees. */
char *haproxy_server_name(const struct spec_server *server);
/* The same for people: "10.0.0.1:6443", "[fd00::1]:6443". The caller frees. */
char *haproxy_server_address(const struct spec_server *server);

#endif
