#include "daemon/core/haproxy/haproxy_log.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define LINES 4

/* "[ALERT]    (8) : text" without its head. */
static const char *without_head(const char *line)
{
	const char *colon = line[0] == '[' ? strstr(line, " : ") : NULL;

	return colon ? colon + 3 : line;
}

static bool is_there(const char *const *lines, size_t n, const char *line)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(lines[i], line) == 0)
			return true;
	return false;
}

/*
 * Keeps the last LINES lines that qualify, oldest first; returns how many. A container that starts again and
 * again repeats itself: a line that is there is not kept twice.
 */
static size_t collect(char *log, bool alerts_only, const char *lines[LINES])
{
	size_t n = 0;
	char *line;

	while ((line = strsep(&log, "\n")) != NULL) {
		if (*line == '\0' || (alerts_only && !strstr(line, "[ALERT]")) ||
		    is_there(lines, n, without_head(line)))
			continue;
		if (n == LINES)
			memmove(lines, lines + 1, --n * sizeof(lines[0]));
		lines[n++] = without_head(line);
	}
	return n;
}

void haproxy_log_reason(const char *log, char *out, size_t size)
{
	char *copy = xstrdup(log), *again = xstrdup(log);
	const char *lines[LINES];
	size_t n = collect(copy, true, lines), used = 0;

	if (n == 0)
		n = collect(again, false, lines);
	out[0] = '\0';
	for (size_t i = 0; i < n && used < size; i++)
		used += snprintf(out + used, size - used, "%s%s", i ? "; " : "", lines[i]);
	free(copy);
	free(again);
}
