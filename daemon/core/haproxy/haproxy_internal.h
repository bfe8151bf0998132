/*
 * What haproxy.c (the whole config) and haproxy_backend.c (how API servers are
 * checked and used) share. Nobody else includes this.
 */
#ifndef APILB_CORE_HAPROXY_INTERNAL_H
#define APILB_CORE_HAPROXY_INTERNAL_H

#include <stdint.h>
#include <stdio.h>

#include "daemon/core/haproxy/haproxy.h"

/*
 * The condition by which a HAProxy says that it can load Lua (Configuration Manual 2.4, conditional
 * blocks).
 */
#define HAPROXY_CAN_GUARD "feature(LUA)"

/* "inter 500ms"; the second writes a whole line. */
void haproxy_put_time(FILE *out, const char *keyword, int64_t ms);
void haproxy_put_time_line(FILE *out, const char *keyword, int64_t ms);
/*
 * The operator's lines. They come last: where a setting can be given only once, HAProxy takes the
 * last one.
 */
void haproxy_put_extra(FILE *out, char *const *texts, size_t n);
bool haproxy_is_address(const struct spec_server *server);

/* The texts of addresses.lua and guard.lua, which the makefile turns into C. */
extern const char haproxy_addresses[], haproxy_guard[];
void haproxy_put_guard(FILE *out, const struct spec_instance *instance);
/* Config lines of one API server. */
#define HAPROXY_MOST_LINES 6
void haproxy_put_backend(FILE *out, const struct spec_instance *instance);

#endif
