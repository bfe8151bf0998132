/*
 * A table with aligned columns, as kubectl and docker print them. The last
 * column may be long: on a terminal it is cut at the edge.
 */
#ifndef APILB_CTL_TABLE_H
#define APILB_CTL_TABLE_H

#include "ctl/style.h"

struct table;

struct cell {
	const char *text; /* any text: the table escapes control characters */
	enum colour colour;
};

struct table *table_new(const char *const *headers, size_t columns);
void table_free(struct table *table);

/* cells: one for each column; copied. */
void table_add(struct table *table, const struct cell *cells);
/* Drops the rows. Columns stay as wide as they were, so that later rows go on below the earlier ones. */
void table_clear(struct table *table);

enum table_header { TABLE_WITH_HEADER, TABLE_ROWS_ONLY };
void table_print(const struct table *table, enum table_header header, const struct style *style, FILE *out);

#endif
