#include "daemon/core/spec/spec_report.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"

#define MAX_KEY_SHOWN 64

/* Other keys are shown as ["key"]: they could be misread, or hold a newline. */
static bool is_simple_key(const char *key)
{
	size_t len = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return len > 0 && len <= MAX_KEY_SHOWN && !key[len];
}

static void put_key(FILE *out, const char *key, bool first)
{
	char shown[MAX_KEY_SHOWN + 1];

	if (is_simple_key(key)) {
		fprintf(out, "%s%s", first ? "" : ".", key);
		return;
	}
	snprintf(shown, sizeof(shown), "%s", key);
	for (char *p = shown; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
	fprintf(out, "[\"%s\"]", shown);
}

static char *path_text(const struct report *report)
{
	size_t len;
	char *text;
	FILE *out = text_open(&text, &len);

	for (size_t i = 0; i < report->depth; i++) {
		const struct report_step *step = &report->steps[i];

		if (step->key)
			put_key(out, step->key, i == 0);
		else
			fprintf(out, "[%zu]", step->index);
	}
	text_close(out);
	return text;
}

bool report_is_full(const struct report *report)
{
	return report->more;
}

static size_t step_down(struct report *report, const char *key, size_t index)
{
	size_t before = report->depth;

	if (before < REPORT_MAX_STEPS)
		report->steps[report->depth++] = (struct report_step){.key = key, .index = index};
	return before;
}

size_t report_key(struct report *report, const char *key)
{
	return step_down(report, key, 0);
}

size_t report_index(struct report *report, size_t index)
{
	return step_down(report, NULL, index);
}

void report_up(struct report *report, size_t before)
{
	report->depth = before;
}

__attribute__((format(printf, 3, 0))) static void
report_vat(struct report *report, const struct yaml_value *at, const char *fmt, va_list ap)
{
	char message[ERR_MESSAGE_BYTES];
	char *path;

	if (report->errors.n == SPEC_MAX_ERRORS) {
		report->more = true;
		return;
	}
	vsnprintf(message, sizeof(message), fmt, ap);
	path = path_text(report);
	spec_errors_add(&report->errors, report->file, at->line, at->column, path, "%s", message);
	free(path);
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
	/* qsort is not stable, so equal places need an order, too. */
	return strcmp(x->path, y->path) != 0 ? strcmp(x->path, y->path) : strcmp(x->message, y->message);
}

void report_finish(struct report *report, struct spec_errors *to)
{
	struct spec_errors *from = &report->errors;

	if (from->n)
		qsort(from->v, from->n, sizeof(*from->v), by_place);
	for (size_t i = 0; i < from->n; i++) {
		const struct spec_error *e = &from->v[i];

		if (report->more && i == from->n - 1)
			spec_errors_add(to, e->file, 0, 0, "", "there are more errors, which are not shown");
		else
			spec_errors_add(to, e->file, e->line, e->column, e->path, "%s", e->message);
	}
	spec_errors_clear(from);
	report->more = false;
}
