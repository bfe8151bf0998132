#include "common/log.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "common/text.h"

static enum log_level threshold = LOG_LEVEL_INFO;
static enum log_format format = LOG_FORMAT_TEXT;
static bool to_journal;

static const char *const level_names[LOG_LEVELS] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

/* syslog(3)'s numbers, as sd-daemon(3) wants them at the start of a line. */
static const int journal_priority[LOG_LEVELS] = {
	[LOG_LEVEL_ERROR] = 3,
	[LOG_LEVEL_WARNING] = 4,
	[LOG_LEVEL_INFO] = 6,
	[LOG_LEVEL_DEBUG] = 7,
};

void log_init(enum log_level level, enum log_format log_format)
{
	threshold = level;
	format = log_format;
	to_journal = getenv("JOURNAL_STREAM") != NULL;
	/* One write a line, so that lines of several processes do not mix. */
	setvbuf(stderr, NULL, _IOLBF, 0);
}

bool log_level_parse(const char *name, enum log_level *level)
{
	for (int i = 0; i < LOG_LEVELS; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = i;
			return true;
		}
	}
	return false;
}

bool log_format_parse(const char *name, enum log_format *result)
{
	if (strcmp(name, "text") == 0)
		*result = LOG_FORMAT_TEXT;
	else if (strcmp(name, "json") == 0)
		*result = LOG_FORMAT_JSON;
	else
		return false;
	return true;
}

const char *log_level_name(enum log_level level)
{
	return level_names[level];
}

static char *json_line(enum log_level level, const char *subject, const char *message, const char *stamp)
{
	struct json_object *line = json_object_new_object();
	char *text;

	json_object_object_add(line, "time", json_object_new_string(stamp));
	json_object_object_add(line, "level", json_object_new_string(level_names[level]));
	if (subject)
		json_object_object_add(line, "subject", text_json(subject));
	json_object_object_add(line, "message", text_json(message));
	text = xstrdup(json_object_to_json_string_ext(line, JSON_C_TO_STRING_PLAIN |
								    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(line);
	return text;
}

static char *text_line(enum log_level level, const char *subject, const char *message, const char *stamp)
{
	const char *colon = subject ? ": " : "";

	if (!subject)
		subject = "";
	if (to_journal)
		return xasprintf("<%d>%s%s%s", journal_priority[level], subject, colon, message);
	return xasprintf("%s %s %s%s%s", stamp, level_names[level], subject, colon, message);
}

/* A log is read line by line, often on a terminal: text from another program must neither begin a line of its
 * own nor control the terminal. In JSON the escapes do not change the value. */
static void write_line(char *line)
{
	char *safe = text_printable(line, TEXT_LINE);

	fprintf(stderr, "%s\n", safe);
	free(safe);
	free(line);
}

static void make_stamp(char *stamp, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	len = strftime(stamp, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(stamp + len, size - len, ".%03uZ", (unsigned)(now.tv_nsec / 1000000) % 1000u);
}

void log_at(enum log_level level, const char *subject, const char *fmt, ...)
{
	char stamp[sizeof("2026-01-02T03:04:05.678Z")];
	char *message = NULL;
	va_list ap;

	if (level > threshold)
		return;
	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	if (!message)
		return;
	/* Line ends and tabs become blanks, which read better than their escapes. */
	for (char *p = message; *p; p++)
		if (strchr("\t\r\n", *p))
			*p = ' ';
	make_stamp(stamp, sizeof(stamp));
	write_line(format == LOG_FORMAT_JSON ? json_line(level, subject, message, stamp)
					     : text_line(level, subject, message, stamp));
	free(message);
}
