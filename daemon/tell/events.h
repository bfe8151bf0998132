/*
 * Events: one call logs an event, stores it, and sends it to all followers.
 * In a flood some events are left out, and an event says how many: core/event_limits.h.
 */
#ifndef APILB_EVENTS_H
#define APILB_EVENTS_H

#include "common/log.h"
#include "daemon/io/control/control.h"
#include "daemon/io/store/store.h"

struct events;

struct events *events_new(struct event_base *base, struct store *store); /* both must outlive the events */
void events_free(struct events *events); /* NULL is fine; ends the followers' streams */

/* Adds an event about a host as a whole. host is its label, as in ids of instances; the caller begins the
 * message with the host's URL. */
void events_add_host(struct events *events, enum log_level level, const char *host, const char *type,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Adds an event. type is one word; spec and instance (the instance's id) may be NULL. */
void events_add(struct events *events, enum log_level level, const char *spec, const char *instance,
		const char *type, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* Answers GET /v1/events with one JSON object a line, oldest first. Parameters: ?spec=, ?limit= (100),
 * ?after=ID, ?follow=1. */
void events_answer(struct events *events, struct control_request *request);

#endif
