/*
 * HAProxy's stats socket (the Runtime API, HAProxy management guide, 9.3):
 * one connection, some commands, the text of the answers.
 */
#ifndef APILB_IO_HAPROXY_SOCKET_H
#define APILB_IO_HAPROXY_SOCKET_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct bufferevent;
struct haproxy_query;

/* Comes exactly once, never from within haproxy_query. text holds the answers one after the other, separated
 * by empty lines; it is valid only within the callback. After an error text is NULL. */
typedef void haproxy_query_cb(void *arg, const char *text, size_t len, const struct err *err);

/* Takes the stream over. commands: "show info;show stat" (HAProxy takes ';' for the end of a command). */
struct haproxy_query *haproxy_query(struct bufferevent *stream, const char *commands, int64_t timeout_ms,
				    haproxy_query_cb *cb, void *arg);
void haproxy_query_cancel(struct haproxy_query *query); /* NULL is fine; no callback comes */

#endif
