/*
 * What the files of the config text share; nobody else includes this. haproxy.c
 * has the whole, haproxy_backend.c how API servers are checked and used.
 */
#ifndef APILB_CORE_HAPROXY_INTERNAL_H
#define APILB_CORE_HAPROXY_INTERNAL_H

#include <stdint.h>
#include <stdio.h>

#include "daemon/core/haproxy/haproxy.h"

/* HAProxy's own question: can this one load the guard? (Configuration Manual 2.4, conditional blocks) */
#define HAPROXY_CAN_GUARD "feature(LUA)"

/* "inter 500ms", and the same as a line. */
void haproxy_put_time(FILE *out, const char *keyword, int64_t ms);
void haproxy_put_time_line(FILE *out, const char *keyword, int64_t ms);
/* The operator's own lines, which come last: of what can be said once, HAProxy takes the last. */
void haproxy_put_extra(FILE *out, char *const *texts, size_t n);
bool haproxy_is_address(const struct spec_server *server);

/* addresses.lua and guard.lua, which say what they are for; made into C by the makefile. */
extern const char haproxy_addresses[], haproxy_guard[];
void haproxy_put_guard(FILE *out, const struct spec_instance *instance);
/* Of one API server. */
#define HAPROXY_MOST_LINES 6
void haproxy_put_backend(FILE *out, const struct spec_instance *instance);

#endif
