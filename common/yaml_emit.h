/*
 * A JSON value as YAML text, in block style, by libyaml's emitter.
 *
 * Every reader gets the same value back, whether it follows YAML 1.1 (Go's
 * yaml.v2, PyYAML) or 1.2: strings that one of them would take for something else are
 * quoted, keys too; strings of several lines are literal blocks where that loses nothing.
 * Bytes that are no UTF-8 become U+FFFD, for YAML has no way to write them. What
 * a terminal would obey or hide (text.h) is escaped.
 */
#ifndef APILB_YAML_EMIT_H
#define APILB_YAML_EMIT_H

struct json_object;

/* One document without "---", ending in a newline. The caller frees. value may be NULL: null. */
char *yaml_emit(struct json_object *value);

#endif
