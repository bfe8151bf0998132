/*
 * What happened: one call logs it, stores it, and sends it to whoever follows.
 * Of what comes in a flood some is left out, and that is told: core/event_limits.h.
 */
#ifndef APILB_EVENTS_H
#define APILB_EVENTS_H

#include "common/log.h"
#include "daemon/io/control/control.h"
#include "daemon/io/store/store.h"

struct events;

struct events *events_new(struct event_base *base, struct store *store); /* both outlive it */
void events_free(struct events *events); /* NULL is fine; ends the followers */

/* Of a host as such, by its label, as ids of instances have it. The message begins with its URL. */
void events_add_host(struct events *events, enum log_level level, const char *host, const char *type,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* type: one word. spec and instance (its id) may be NULL. */
void events_add(struct events *events, enum log_level level, const char *spec, const char *instance,
		const char *type, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* Answers GET /v1/events: ?spec=, ?limit= (100), ?after=ID, ?follow=1. One JSON object a line, oldest first.
 */
void events_answer(struct events *events, struct control_request *request);

#endif
