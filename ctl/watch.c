#include "ctl/watch.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "ctl/status_view.h"
#include "ctl/timestamp.h"

/* ECMA-48 and DEC: lines are not wrapped while a screen is drawn, so that its height is known. */
#define SCREEN_BEGIN "\033[?7l\033[H"
#define LINE_END "\033[K\n"
#define SCREEN_END "\033[J\033[?7h"

struct watch {
	bool problems;
	bool begun;
	struct status last;
	char *last_invalid;
	struct table *table;
};

struct watch *watch_new(bool problems)
{
	struct watch *watch = xcalloc(1, sizeof(*watch));

	watch->problems = problems;
	watch->table = status_table_new();
	watch->last_invalid = xstrdup("");
	return watch;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	status_clear(&watch->last);
	table_free(watch->table);
	free(watch->last_invalid);
	free(watch);
}

/* Draws line by line over the old screen, so that nothing flickers; lines that do not fit are only counted.
 */
static void put_screen(const char *text, size_t lines, FILE *out)
{
	size_t left = 0, room = lines > 1 ? lines - 1 : SIZE_MAX;

	for (const char *p = text; *p; p++)
		left += *p == '\n';
	fputs(SCREEN_BEGIN, out);
	for (; left > 0 && (room > 1 || left == room); room--, left--) {
		size_t len = strcspn(text, "\n");

		fprintf(out, "%.*s" LINE_END, (int)len, text);
		text += len + 1;
	}
	if (left > 0)
		fprintf(out, "... %zu more lines" LINE_END, left);
	fputs(SCREEN_END, out);
	fflush(out);
}

/* The summary comes first, because the end of a long table is below the edge of the screen. */
static void draw(const struct watch *watch, const struct err *lost, const struct style *style, FILE *out)
{
	char now[TIMESTAMP_LOCAL_BYTES];
	int64_t now_ms = timestamp_now_ms();
	size_t len;
	char *text;
	FILE *screen = text_open(&text, &len);

	fprintf(screen, "%s  ", timestamp_local(now_ms, now));
	status_print_summary(&watch->last, screen);
	if (lost) {
		char *why = text_printable(lost->message, TEXT_BLOCK);

		style_print(style, screen, COLOUR_RED, "NO LONGER CURRENT, trying again: ");
		fprintf(screen, "%s\n", why);
		free(why);
	}
	status_print_errors(&watch->last, style, screen);
	putc('\n', screen);
	status_print_table(&watch->last, watch->problems, now_ms, style, screen);
	text_close(screen);
	put_screen(text, style->lines, out);
	free(text);
}

static int by_id(const void *left, const void *right)
{
	const struct balancer *const *a = left, *const *b = right;

	return strcmp((*a)->id, (*b)->id);
}

static const struct balancer **sorted_by_id(const struct status *status)
{
	const struct balancer **v = xcalloc(status->balancers_n, sizeof(const struct balancer *));

	for (size_t i = 0; i < status->balancers_n; i++)
		v[i] = &status->balancers[i];
	qsort(v, status->balancers_n, sizeof(*v), by_id);
	return v;
}

static bool looks_the_same(const struct balancer *a, const struct balancer *b)
{
	char *was = balancer_signature(a), *is = balancer_signature(b);
	bool same = strcmp(was, is) == 0;

	free(was);
	free(is);
	return same;
}

/* Goes through the last status and the new one side by side, in the order of their ids. */
static void add_changes(struct watch *watch, const struct status *status)
{
	const struct balancer **old = sorted_by_id(&watch->last), **new = sorted_by_id(status);
	size_t old_n = watch->last.balancers_n, new_n = status->balancers_n;
	int64_t now_ms = timestamp_now_ms();

	for (size_t i = 0, j = 0; i < old_n || j < new_n;) {
		int order = i == old_n ? 1 : j == new_n ? -1 : by_id(&old[i], &new[j]);

		if (order < 0) {
			struct balancer gone = *old[i++];

			gone.phase_name = "gone";
			status_table_add(watch->table, &gone, now_ms);
		} else if (order > 0) {
			status_table_add(watch->table, new[j++], now_ms);
		} else {
			if (!looks_the_same(old[i++], new[j]))
				status_table_add(watch->table, new[j], now_ms);
			j++;
		}
	}
	free(old);
	free(new);
}

static void print_changes(struct watch *watch, const struct status *status, const struct style *style,
			  FILE *out)
{
	size_t len;
	char *invalid;
	FILE *text = text_open(&invalid, &len);

	add_changes(watch, status);
	table_print(watch->table, watch->begun ? TABLE_ROWS_ONLY : TABLE_WITH_HEADER, style, out);
	table_clear(watch->table);
	watch->begun = true;

	status_print_errors(status, style, text);
	text_close(text);
	if (strcmp(invalid, watch->last_invalid) != 0)
		fputs(invalid, out);
	free(watch->last_invalid);
	watch->last_invalid = invalid;
	fflush(out);
}

void watch_show(struct watch *watch, const struct status *status, const struct style *style, FILE *out)
{
	if (!style->tty)
		print_changes(watch, status, style, out);
	status_clear(&watch->last);
	status_copy(&watch->last, status);
	if (style->tty)
		draw(watch, NULL, style, out);
}

void watch_show_lost(struct watch *watch, const struct err *why, const struct style *style, FILE *out)
{
	if (style->tty)
		draw(watch, why, style, out);
}
