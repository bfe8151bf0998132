#include "daemon/io/store/store_rows.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

static void *at(const void *row, size_t offset)
{
	return (char *)row + offset;
}

static char **text_at(const struct column *column, const void *row)
{
	return at(row, column->offset);
}

static size_t len_at(const struct column *column, const void *row)
{
	char *text = *text_at(column, row);

	if (column->type == COLUMN_BYTES)
		return *(size_t *)at(row, column->len_offset);
	return text ? strlen(text) : 0;
}

static bool is_pointer(const struct column *column)
{
	return column->type == COLUMN_TEXT || column->type == COLUMN_BYTES;
}

/* Joins the columns' names, each followed by fmt; if fmt begins with "?", joins fmt alone, once a column. */
static char *join(const struct table *table, bool key_only, const char *fmt, const char *separator)
{
	char *list = NULL;
	size_t len;
	FILE *out = open_memstream(&list, &len);
	bool first = true;

	for (size_t i = 0; i < table->columns_n; i++) {
		const struct column *column = &table->columns[i];

		if (key_only && !column->key)
			continue;
		fprintf(out, "%s", first ? "" : separator);
		fprintf(out, "%s%s", fmt[0] == '?' ? "" : column->name, fmt);
		first = false;
	}
	fclose(out);
	return list;
}

char *table_put_sql(const struct table *table)
{
	char *names = join(table, false, "", ", ");
	char *marks = join(table, false, "?", ", ");
	char *sql = xasprintf("INSERT OR REPLACE INTO %s (%s) VALUES (%s)", table->name, names, marks);

	free(names);
	free(marks);
	return sql;
}

char *table_delete_sql(const struct table *table)
{
	char *keys = join(table, true, " = ?", " AND ");
	char *sql = xasprintf("DELETE FROM %s WHERE %s", table->name, keys);

	free(keys);
	return sql;
}

char *table_load_sql(const struct table *table)
{
	char *names = join(table, false, "", ", ");
	char *sql = xasprintf("SELECT %s FROM %s %s", names, table->name, table->load_clause);

	free(names);
	return sql;
}

/* Values are bound without a copy, since the row outlives the statement's step. */
void row_bind(const struct table *table, const void *row, bool key_only, sqlite3_stmt *stmt)
{
	int n = 0;

	for (size_t i = 0; i < table->columns_n; i++) {
		const struct column *column = &table->columns[i];

		if (key_only && !column->key)
			continue;
		n++;
		switch (column->type) {
		case COLUMN_TEXT:
			sqlite3_bind_text(stmt, n, *text_at(column, row), -1, SQLITE_STATIC);
			break;
		case COLUMN_BYTES:
			sqlite3_bind_blob64(stmt, n, *text_at(column, row), len_at(column, row),
					    SQLITE_STATIC);
			break;
		case COLUMN_INT:
			sqlite3_bind_int(stmt, n, *(int *)at(row, column->offset));
			break;
		case COLUMN_INT64:
			sqlite3_bind_int64(stmt, n, *(int64_t *)at(row, column->offset));
			break;
		}
	}
}

static char *copy_bytes(const void *from, size_t len)
{
	char *copy = xcalloc(1, len + 1);

	if (len)
		memcpy(copy, from, len);
	return copy;
}

void row_read(const struct table *table, void *row, sqlite3_stmt *stmt)
{
	for (size_t i = 0; i < table->columns_n; i++) {
		const struct column *column = &table->columns[i];

		switch (column->type) {
		case COLUMN_TEXT: {
			const char *text = (const char *)sqlite3_column_text(stmt, i);

			*text_at(column, row) = xstrdup(!text && column->needed ? "" : text);
			break;
		}
		case COLUMN_BYTES: {
			/* The blob first: reading it may convert the value, and so change its size. */
			const void *blob = sqlite3_column_blob(stmt, i);
			size_t len = sqlite3_column_bytes(stmt, i);

			*text_at(column, row) = copy_bytes(blob, len);
			*(size_t *)at(row, column->len_offset) = len;
			break;
		}
		case COLUMN_INT:
			*(int *)at(row, column->offset) = sqlite3_column_int(stmt, i);
			break;
		case COLUMN_INT64:
			*(int64_t *)at(row, column->offset) = sqlite3_column_int64(stmt, i);
			break;
		}
	}
}

char *row_key(const struct table *table, const void *row)
{
	char *key = NULL;
	size_t len;
	FILE *out = open_memstream(&key, &len);

	fputs(table->name, out);
	for (size_t i = 0; i < table->columns_n; i++) {
		const struct column *column = &table->columns[i];

		if (!column->key)
			continue;
		/* No URL, path or name has a unit separator, so the key is unambiguous. */
		if (is_pointer(column))
			fprintf(out, "\x1f%s", *text_at(column, row));
		else
			fprintf(out, "\x1f%" PRId64, *(int64_t *)at(row, column->offset));
	}
	fclose(out);
	return key;
}

void *row_copy(const struct table *table, const void *row)
{
	void *copy = xcalloc(1, table->row_size);

	memcpy(copy, row, table->row_size);
	for (size_t i = 0; i < table->columns_n; i++) {
		const struct column *column = &table->columns[i];
		char *text = is_pointer(column) ? *text_at(column, row) : NULL;

		if (text)
			*text_at(column, copy) = copy_bytes(text, len_at(column, row));
	}
	return copy;
}

void row_clear(const struct table *table, void *row)
{
	for (size_t i = 0; i < table->columns_n; i++) {
		const struct column *column = &table->columns[i];

		if (!is_pointer(column) || !*text_at(column, row))
			continue;
		if (column->secret)
			explicit_bzero(*text_at(column, row), len_at(column, row));
		free(*text_at(column, row));
	}
	memset(row, 0, table->row_size);
}

void rows_free(const struct table *table, void *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		row_clear(table, at(rows, i * table->row_size));
	free(rows);
}
