/*
 * Rows of the store, described as tables of columns: the SQL, and how a row is
 * copied, bound, read and freed, follow from the description. Internal to store.c.
 */
#ifndef APILB_IO_STORE_ROWS_H
#define APILB_IO_STORE_ROWS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

enum column_type {
	COLUMN_TEXT,  /* char *; NULL is SQL's NULL */
	COLUMN_BYTES, /* char *, and its length, a size_t, at len_offset */
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
	bool needed; /* never NULL when read: a NULL that somebody else wrote is read as "" */
};

struct table {
	const char *name;
	size_t row_size;
	const struct column *columns;
	size_t columns_n;
	const char *load_clause; /* the SQL after "FROM <table>" when rows are loaded */
};

/* The caller frees each SQL text. */
char *table_put_sql(const struct table *table);    /* binds every column, in order */
char *table_delete_sql(const struct table *table); /* binds the key's columns, in order */
char *table_load_sql(const struct table *table);

void row_bind(const struct table *table, const void *row, bool key_only, sqlite3_stmt *stmt);
void row_read(const struct table *table, void *row, sqlite3_stmt *stmt);
/* The row's key and its table's name in one text, different for every row; the caller frees. */
char *row_key(const struct table *table, const void *row);

void *row_copy(const struct table *table, const void *row);
void row_clear(const struct table *table, void *row);
void rows_free(const struct table *table, void *rows, size_t n); /* NULL is fine */

#endif
