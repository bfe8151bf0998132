#include "ctl/table.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"

#define GAP 2
/* With less room than this the last column is not cut: a sentence over several lines says more than its first
 * word. */
#define MIN_LAST_COLUMN 20

struct shown {
	char *text;
	enum colour colour;
};

struct table {
	size_t columns, rows;
	size_t *widths;
	struct shown *cells; /* rows * columns; row 0 is the header */
};

static void set_cell(struct table *table, size_t column, const char *text, enum colour colour)
{
	struct shown *cell = &table->cells[table->rows * table->columns + column];
	size_t width;

	cell->text = text_printable(text, TEXT_LINE);
	cell->colour = colour;
	width = text_width(cell->text);
	if (width > table->widths[column])
		table->widths[column] = width;
}

static void add_row(struct table *table)
{
	table->cells = xreallocarray(table->cells, (table->rows + 1) * table->columns, sizeof(*table->cells));
}

struct table *table_new(const char *const *headers, size_t columns)
{
	struct table *table = xcalloc(1, sizeof(*table));

	table->columns = columns;
	table->widths = xcalloc(columns, sizeof(*table->widths));
	add_row(table);
	for (size_t i = 0; i < columns; i++)
		set_cell(table, i, headers[i], COLOUR_NONE);
	table->rows = 1;
	return table;
}

static void drop_rows(struct table *table, size_t keep)
{
	for (size_t i = keep * table->columns; i < table->rows * table->columns; i++)
		free(table->cells[i].text);
	table->rows = keep;
}

void table_clear(struct table *table)
{
	drop_rows(table, 1);
}

void table_free(struct table *table)
{
	if (!table)
		return;
	drop_rows(table, 0);
	free(table->cells);
	free(table->widths);
	free(table);
}

void table_add(struct table *table, const struct cell *cells)
{
	add_row(table);
	for (size_t i = 0; i < table->columns; i++)
		set_cell(table, i, cells[i].text, cells[i].colour);
	table->rows++;
}

/* How wide the last column may be; 0: no limit. */
static size_t room_for_last(const struct table *table, const struct style *style)
{
	size_t used = 0;

	for (size_t i = 0; i + 1 < table->columns; i++)
		used += table->widths[i] + GAP;
	return style->columns >= used + MIN_LAST_COLUMN ? style->columns - used : 0;
}

static void print_row(const struct table *table, size_t row, size_t room, const struct style *style,
		      FILE *out)
{
	const struct shown *cells = &table->cells[row * table->columns];
	size_t last = table->columns - 1;
	char *text = room ? text_shorten(cells[last].text, room) : xstrdup(cells[last].text);

	while (last > 0 && !*(last == table->columns - 1 ? text : cells[last].text))
		last--; /* no blanks at the end of a line */
	for (size_t i = 0; i <= last; i++) {
		style_print(style, out, cells[i].colour, i == table->columns - 1 ? text : cells[i].text);
		if (i < last)
			fprintf(out, "%*s", (int)(table->widths[i] + GAP - text_width(cells[i].text)), "");
	}
	putc('\n', out);
	free(text);
}

void table_print(const struct table *table, enum table_header header, const struct style *style, FILE *out)
{
	size_t room = room_for_last(table, style);

	for (size_t row = header == TABLE_WITH_HEADER ? 0 : 1; row < table->rows; row++)
		print_row(table, row, room, style, out);
}
