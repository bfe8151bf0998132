#include "daemon/core/spec_report.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define MAX_KEY_SHOWN 64

static void append_path(struct report *report, const char *text)
{
	size_t room = sizeof(report->path) - report->path_len - 1;
	size_t len = strnlen(text, room);

	memcpy(report->path + report->path_len, text, len);
	report->path_len += len;
	report->path[report->path_len] = '\0';
}

/* A key that could be mistaken for something else, or hold a newline, is shown as ["key"]. */
static bool is_simple_key(const char *key)
{
	size_t len = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return len > 0 && len <= MAX_KEY_SHOWN && !key[len];
}

size_t report_key(struct report *report, const char *key)
{
	size_t before = report->path_len;
	char shown[MAX_KEY_SHOWN + sizeof("[\"\"]")];

	if (is_simple_key(key)) {
		append_path(report, before ? "." : "");
		append_path(report, key);
		return before;
	}
	snprintf(shown, sizeof(shown), "[\"%.*s\"]", MAX_KEY_SHOWN, key);
	for (char *p = shown; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
	append_path(report, shown);
	return before;
}

size_t report_index(struct report *report, size_t index)
{
	size_t before = report->path_len;
	char shown[32];

	snprintf(shown, sizeof(shown), "[%zu]", index);
	append_path(report, shown);
	return before;
}

void report_up(struct report *report, size_t before)
{
	report->path_len = before;
	report->path[before] = '\0';
}

static void report_vat(struct report *report, const struct yaml_value *at, const char *fmt, va_list ap)
{
	char message[ERR_MESSAGE_BYTES];

	if (report->errors.n >= SPEC_MAX_ERRORS) {
		report->dropped++;
		return;
	}
	vsnprintf(message, sizeof(message), fmt, ap);
	spec_errors_add(&report->errors, report->file, at->line, at->column, report->path, "%s", message);
}

void report_at(struct report *report, const struct yaml_value *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_vat(report, at, fmt, ap);
	va_end(ap);
}

void report_value(struct report *report, struct yaml_value *value, const char *fmt, ...)
{
	va_list ap;

	if (value->marked)
		return;
	value->marked = true;
	va_start(ap, fmt);
	report_vat(report, value, fmt, ap);
	va_end(ap);
}

static int by_place(const void *a, const void *b)
{
	const struct spec_error *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->column != y->column)
		return x->column < y->column ? -1 : 1;
	/* Any fixed order will do: qsort is not stable. */
	return strcmp(x->path, y->path) != 0 ? strcmp(x->path, y->path) : strcmp(x->message, y->message);
}

void report_finish(struct report *report, struct spec_errors *to)
{
	struct spec_errors *from = &report->errors;

	if (from->n)
		qsort(from->v, from->n, sizeof(*from->v), by_place);
	for (size_t i = 0; i < from->n; i++) {
		const struct spec_error *e = &from->v[i];

		if (report->dropped && i == from->n - 1)
			spec_errors_add(to, e->file, 0, 0, "", "%zu more errors are not shown",
					report->dropped + 1);
		else
			spec_errors_add(to, e->file, e->line, e->column, e->path, "%s", e->message);
	}
	spec_errors_clear(from);
	report->dropped = 0;
}
