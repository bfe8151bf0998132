/*
 * Rows of the store as tables of columns: from one description come the SQL
 * and the copying, binding, reading and freeing of a row. Internal to store.c.
 */
#ifndef APILB_IO_STORE_ROWS_H
#define APILB_IO_STORE_ROWS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

enum column_type {
	COLUMN_TEXT,  /* char *; NULL is SQL's NULL */
	COLUMN_BYTES, /* char * and, at len_offset, its size_t */
	COLUMN_INT,   /* int */
	COLUMN_INT64, /* int64_t */
};

struct column {
	const char *name;
	enum column_type type;
	size_t offset;
	size_t len_offset;
	bool key;    /* part of the primary key */
	bool secret; /* overwritten before it is freed */
	bool needed; /* never NULL for who reads it: a row that somebody else wrote without it has "" */
};

struct table {
	const char *name;
	size_t row_size;
	const struct column *columns;
	size_t columns_n;
	const char *load_clause; /* what follows FROM <table> when rows are loaded */
};

/* Each SQL text is the caller's to free. */
char *table_put_sql(const struct table *table);    /* binds every column, in order */
char *table_delete_sql(const struct table *table); /* binds the key's columns, in order */
char *table_load_sql(const struct table *table);

void row_bind(const struct table *table, const void *row, bool key_only, sqlite3_stmt *stmt);
void row_read(const struct table *table, void *row, sqlite3_stmt *stmt);
/* What tells this row from all others, its table's name included; the caller frees. */
char *row_key(const struct table *table, const void *row);

void *row_copy(const struct table *table, const void *row);
void row_clear(const struct table *table, void *row);
void rows_free(const struct table *table, void *rows, size_t n); /* NULL is fine */

#endif
