/*
 * The daemon's log: one line a message on stderr. Libraries (common, core, io)
 * do not log; what happens there comes up as an error or an event, and floor 3
 * says it. No message ever holds a secret.
 *
 * Text: "2026-01-02T03:04:05Z info prod/10.0.0.5/api-lb: message", or, when
 * stderr is the journal (JOURNAL_STREAM, see systemd.exec(5)), "<6>message"
 * without time, as sd-daemon(3) asks. JSON: one object a line.
 */
#ifndef APILB_LOG_H
#define APILB_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVELS };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

void log_init(enum log_level level, enum log_format format);

/* Levels are "error" .. "debug", formats "text" and "json". false: the name is unknown. */
bool log_level_parse(const char *name, enum log_level *level);
bool log_format_parse(const char *name, enum log_format *format);
const char *log_level_name(enum log_level level);

/* subject: what the message is about (an instance's id, a host, a spec's file), or NULL. */
void log_at(enum log_level level, const char *subject, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(subject, ...) log_at(LOG_LEVEL_ERROR, subject, __VA_ARGS__)
#define log_warning(subject, ...) log_at(LOG_LEVEL_WARNING, subject, __VA_ARGS__)
#define log_info(subject, ...) log_at(LOG_LEVEL_INFO, subject, __VA_ARGS__)
#define log_debug(subject, ...) log_at(LOG_LEVEL_DEBUG, subject, __VA_ARGS__)

#endif
