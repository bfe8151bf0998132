/*
 * The syntax of single values, and parsers of those that are more than text.
 * Each check returns 0, or -1 after setting err to what is allowed, worded to
 * follow the value's path: "must be ...". No message quotes the value.
 */
#ifndef APILB_CORE_SPEC_SYNTAX_H
#define APILB_CORE_SPEC_SYNTAX_H

#include <stdint.h>

#include "common/err.h"
#include "daemon/core/spec/spec.h"

/*
 * A balancer's stats socket lies in a directory named after its container
 * (haproxy.h), and HAProxy takes socket paths of at most 97 bytes: sun_path
 * (unix(7)) less what HAProxy appends while it binds a new socket.
 */
#define SPEC_MAX_NAME 68

int syntax_text(const char *text, struct err *err);
int syntax_any_text(const char *text, struct err *err);
int syntax_image(const char *text, struct err *err);
int syntax_container_name(const char *text, struct err *err);
int syntax_container_id(const char *text, struct err *err);
int syntax_config_path(const char *text, struct err *err);
/* For a path from the store: its directory need not be allowed any more. */
int syntax_recalled_path(const char *text, struct err *err);
int syntax_file(const char *text, struct err *err);
int syntax_user(const char *text, struct err *err);
int syntax_duration(const char *text, struct err *err);
int syntax_delay(const char *text, struct err *err); /* a duration that may be 0 */
int syntax_count(const char *text, struct err *err); /* of hosts; may be 0 */
int syntax_share(const char *text, struct err *err); /* of hosts: a number or a percentage; at least 1 */
int syntax_on_failure(const char *text, struct err *err);
int syntax_haproxy_time(const char *text, struct err *err); /* a duration that HAProxy can count */
int syntax_port(const char *text, struct err *err);
int syntax_host_key(const char *text, struct err *err);
int syntax_host_key_checking(const char *text, struct err *err);
int syntax_private_key(const char *text, struct err *err);

/* Values that become part of HAProxy's config: spec_haproxy.c. */
int syntax_check_path(const char *text, struct err *err);
int syntax_check_count(const char *text, struct err *err); /* 1 to 100 */
int syntax_certificates(const char *text, struct err *err);
int syntax_server_name(const char *text, struct err *err);
int syntax_max_connections(const char *text, struct err *err);
int syntax_balance(const char *text, struct err *err);
int syntax_extra_lines(const char *text, struct err *err);
int statuses_parse(const char *text, struct spec_statuses *statuses, struct err *err); /* "2xx" */

/* "unix:///run/docker.sock". engine_path returns the path in it; NULL: text has another scheme. */
int syntax_engine(const char *text, struct err *err);
const char *engine_path(const char *text);

/* From a value's name and back. text has passed syntax_host_key_checking. */
enum host_key_checking host_key_checking_parse(const char *text);
const char *host_key_checking_name(enum host_key_checking checking);

/* From a value's name and back. text has passed syntax_on_failure. */
enum rollout_failure on_failure_parse(const char *text);
const char *on_failure_name(enum rollout_failure on_failure);

/*
 * Parses a DNS name, an IPv4 address, or an IPv6 address with or without
 * brackets. *address, which the caller frees, is in lower case, an IPv6 address
 * in its shortest form and without brackets, so that two spellings of an
 * address compare equal.
 */
int address_parse(const char *text, char **address, struct err *err);

/* After a failure nothing is left to clear. */
int server_parse(const char *text, struct spec_server *server, struct err *err);
int bind_parse(const char *text, struct spec_bind *bind, struct err *err);
void server_clear(struct spec_server *server);
void bind_clear(struct spec_bind *bind);

#endif
