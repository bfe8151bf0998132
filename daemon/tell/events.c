#include "daemon/tell/events.h"

#include <event2/event.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/event_limits.h"
#include "daemon/core/status.h"
#include "daemon/io/clock.h"

#define DEFAULT_LIMIT 100

struct follower {
	TAILQ_ENTRY(follower) entry;
	struct events *events;
	struct control_request *request;
	char *spec; /* NULL: follows the events of all specs */
};

/* How often events say how many others were left out. */
#define SWEEP_S 60

struct events {
	struct store *store;
	struct event_limits *limits;
	struct event *sweep;
	TAILQ_HEAD(, follower) followers;
};

static void on_sweep(evutil_socket_t fd, short what, void *arg);

struct events *events_new(struct event_base *base, struct store *store)
{
	struct events *events = xcalloc(1, sizeof(*events));

	events->store = store;
	events->limits = event_limits_new();
	events->sweep = evtimer_new(base, on_sweep, events);
	TAILQ_INIT(&events->followers);
	return events;
}

static void follower_free(struct follower *follower)
{
	TAILQ_REMOVE(&follower->events->followers, follower, entry);
	free(follower->spec);
	free(follower);
}

/* The event as a line of the reply, with its newline. The caller frees. */
static char *event_line(const struct store_event *event)
{
	struct json_object *object = json_object_new_object();
	char *line;

	json_object_object_add(object, "id", json_object_new_int64(event->id));
	json_object_object_add(object, "time", status_time_json(event->time_ms));
	json_object_object_add(object, "level", text_json(event->level));
	json_object_object_add(object, "spec", text_json(event->spec));
	json_object_object_add(object, "instance", text_json(event->instance));
	json_object_object_add(object, "type", text_json(event->type));
	json_object_object_add(object, "message", text_json(event->message));
	line = xasprintf("%s\n", json_object_to_json_string_ext(
					 object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
	return line;
}

static void send_to_followers(struct events *events, const struct store_event *event)
{
	struct follower *follower;
	char *line;

	if (TAILQ_EMPTY(&events->followers))
		return;
	line = event_line(event);
	/* control_stream_write never calls on_gone, so no follower leaves the list meanwhile. */
	TAILQ_FOREACH (follower, &events->followers, entry)
		if (!follower->spec || text_equal(follower->spec, event->spec))
			control_stream_write(follower->request, line, strlen(line));
	free(line);
}

/* event has spec, instance, host, type and message; time, level and id are set here. */
static void tell(struct events *events, enum log_level level, struct store_event *event)
{
	event->time_ms = clock_now_ms();
	event->level = (char *)log_level_name(level);
	log_at(level, event->instance ? event->instance : event->spec, "%s: %s", event->type, event->message);
	event->id = store_add_event(events->store, event);
	send_to_followers(events, event);
}

static void tell_left_out(void *arg, const char *spec, const char *host, uint64_t n)
{
	char *text = xasprintf("%s%s%" PRIu64 " events were left out, since there were too many at once",
			       host ? host : "", host ? ": " : "", n);

	tell(arg, LOG_LEVEL_WARNING,
	     &(struct store_event){
		     .spec = (char *)spec, .host = (char *)host, .type = "events-left-out", .message = text});
	free(text);
}

static void await_sweep(struct events *events)
{
	if (!event_pending(events->sweep, EV_TIMEOUT, NULL))
		evtimer_add(events->sweep, &(struct timeval){.tv_sec = SWEEP_S});
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct events *events = arg;

	(void)fd;
	(void)what;
	event_limits_sweep(events->limits, clock_ms(), tell_left_out, events);
	if (event_limits_count(events->limits) > 0)
		await_sweep(events);
}

/* event has spec, instance, host and type. */
__attribute__((format(printf, 4, 0))) static void add(struct events *events, enum log_level level,
						      struct store_event *event, const char *fmt, va_list ap)
{
	struct err text; /* limits a message to the length of an error */

	await_sweep(events);
	if (!event_limits_pass(events->limits, event->spec, event->host, clock_ms()))
		return;
	err_vset(&text, ERR_NONE, fmt, ap);
	event->message = text.message;
	tell(events, level, event);
}

/* The host's label in an instance's id, "SPEC/LABEL/NAME"; NULL if there is none. The caller frees. */
static char *host_of(const char *instance)
{
	const char *begin = instance ? strchr(instance, '/') : NULL;
	const char *end = begin ? strrchr(begin + 1, '/') : NULL;

	return end ? xstrndup(begin + 1, (size_t)(end - begin - 1)) : NULL;
}

void events_add(struct events *events, enum log_level level, const char *spec, const char *instance,
		const char *type, const char *fmt, ...)
{
	struct store_event event = {
		.spec = (char *)spec,
		.instance = (char *)instance,
		.host = host_of(instance),
		.type = (char *)type,
	};
	va_list ap;

	va_start(ap, fmt);
	add(events, level, &event, fmt, ap);
	va_end(ap);
	free(event.host);
}

void events_add_host(struct events *events, enum log_level level, const char *host, const char *type,
		     const char *fmt, ...)
{
	struct store_event event = {.host = (char *)host, .type = (char *)type};
	va_list ap;

	va_start(ap, fmt);
	add(events, level, &event, fmt, ap);
	va_end(ap);
}

void events_free(struct events *events)
{
	struct follower *follower;

	if (!events)
		return;
	event_limits_sweep(events->limits, clock_ms(), tell_left_out, events);
	event_limits_free(events->limits);
	event_free(events->sweep);
	while ((follower = TAILQ_FIRST(&events->followers)) != NULL) {
		control_stream_end(follower->request);
		follower_free(follower);
	}
	free(events);
}

static void on_gone(void *arg)
{
	follower_free(arg);
}

static void follow(struct events *events, struct control_request *request, const char *spec)
{
	struct follower *follower = xcalloc(1, sizeof(*follower));

	follower->events = events;
	follower->request = request;
	follower->spec = xstrdup(spec);
	TAILQ_INSERT_TAIL(&events->followers, follower, entry);
	control_stream(request, "application/x-ndjson", on_gone, follower);
}

static size_t limit_of(const struct control_request *request)
{
	const char *limit = control_param(request, "limit");
	long n = limit ? strtol(limit, NULL, 10) : DEFAULT_LIMIT;

	return n < 0 ? 0 : n > STORE_MAX_EVENTS ? STORE_MAX_EVENTS : (size_t)n;
}

/* The index from which on the last lines have at most max bytes together. */
static size_t first_to_fit(char *const *lines, size_t n, size_t max)
{
	while (n > 0 && strlen(lines[n - 1]) <= max)
		max -= strlen(lines[--n]);
	return n;
}

/* The newest rows that fit into max bytes, as lines. The caller frees. */
static char *lines_of(const struct store_event *rows, size_t n, size_t max, size_t *len)
{
	char **lines = xcalloc(n, sizeof(*lines));
	char *text;
	FILE *out = text_open(&text, len);

	for (size_t i = 0; i < n; i++)
		lines[i] = event_line(&rows[i]);
	for (size_t i = first_to_fit(lines, n, max); i < n; i++)
		fputs(lines[i], out);
	text_close(out);
	for (size_t i = 0; i < n; i++)
		free(lines[i]);
	free(lines);
	return text;
}

void events_answer(struct events *events, struct control_request *request)
{
	const char *spec = control_param(request, "spec");
	const char *after = control_param(request, "after");
	const char *want_follow = control_param(request, "follow");
	bool follows = want_follow && strcmp(want_follow, "0") != 0;
	size_t limit = limit_of(request), n = 0, len = 0;
	int64_t from = after ? strtoll(after, NULL, 10) : store_events_tail(events->store, spec, limit);
	struct store_event *rows = NULL;
	struct err err;
	char *text;

	if (store_load_events(events->store, from, spec, after ? STORE_MAX_EVENTS : limit, &rows, &n, &err) !=
	    0) {
		control_error(request, 500, "%s", err.message);
		return;
	}
	/* A follower with more than CONTROL_MAX_BACKLOG bytes unsent is dropped: its first answer must not be
	 * enough for that. */
	text = lines_of(rows, n, follows ? CONTROL_MAX_BACKLOG / 2 : SIZE_MAX, &len);
	store_events_free(rows, n);
	if (follows) {
		follow(events, request, spec);
		control_stream_write(request, text, len);
	} else {
		control_reply(request, 200, "application/x-ndjson", text, len);
	}
	free(text);
}
