#include "daemon/io/store/store.h"

#include <event2/event.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <uthash.h>

#include "common/mem.h"
#include "daemon/io/store/store_db.h"
#include "daemon/io/store/store_rows.h"

/* A column has the name of its field. */
#define COLUMN(row, field_type, field, ...)                                                            \
	{                                                                                              \
		.name = #field, .type = field_type, .offset = offsetof(struct row, field), __VA_ARGS__ \
	}
#define COLUMNS(list) .columns = list, .columns_n = sizeof(list) / sizeof(*(list))

enum row_type { ROW_SPEC, ROW_INSTANCE, ROW_EVENT, ROW_META, ROW_TYPES };

struct meta {
	char *name;
	char *value;
};

static const struct column spec_columns[] = {
	COLUMN(store_spec, COLUMN_TEXT, name, .key = true),
	COLUMN(store_spec, COLUMN_TEXT, file, .needed = true),
	COLUMN(store_spec, COLUMN_BYTES, text, .len_offset = offsetof(struct store_spec, len),
	       .secret = true),
};

static const struct column instance_columns[] = {
	COLUMN(store_instance, COLUMN_TEXT, host_url, .key = true),
	COLUMN(store_instance, COLUMN_TEXT, engine, .key = true),
	COLUMN(store_instance, COLUMN_TEXT, name, .key = true),
	COLUMN(store_instance, COLUMN_TEXT, spec, .needed = true),
	COLUMN(store_instance, COLUMN_TEXT, host_json, .secret = true, .needed = true),
	COLUMN(store_instance, COLUMN_TEXT, container_id),
	COLUMN(store_instance, COLUMN_TEXT, image),
	COLUMN(store_instance, COLUMN_TEXT, config_path),
	COLUMN(store_instance, COLUMN_TEXT, config_sha256),
	COLUMN(store_instance, COLUMN_INT64, config_size),
	COLUMN(store_instance, COLUMN_TEXT, config_mtime),
	COLUMN(store_instance, COLUMN_TEXT, accepted),
	COLUMN(store_instance, COLUMN_TEXT, memory),
	COLUMN(store_instance, COLUMN_INT64, changed_at_ms),
	COLUMN(store_instance, COLUMN_INT, error_kind),
	COLUMN(store_instance, COLUMN_TEXT, error_message),
	COLUMN(store_instance, COLUMN_INT64, error_since_ms),
	COLUMN(store_instance, COLUMN_INT64, attempts),
	COLUMN(store_instance, COLUMN_TEXT, in_force, .secret = true),
	COLUMN(store_instance, COLUMN_TEXT, former, .secret = true),
	COLUMN(store_instance, COLUMN_TEXT, next_version),
	COLUMN(store_instance, COLUMN_INT, rollout),
	COLUMN(store_instance, COLUMN_INT, served),
};

static const struct column event_columns[] = {
	COLUMN(store_event, COLUMN_INT64, id, .key = true),
	COLUMN(store_event, COLUMN_INT64, time_ms),
	COLUMN(store_event, COLUMN_TEXT, level),
	COLUMN(store_event, COLUMN_TEXT, spec),
	COLUMN(store_event, COLUMN_TEXT, instance),
	COLUMN(store_event, COLUMN_TEXT, type),
	COLUMN(store_event, COLUMN_TEXT, message),
	COLUMN(store_event, COLUMN_TEXT, host),
};

static const struct column meta_columns[] = {
	COLUMN(meta, COLUMN_TEXT, name, .key = true),
	COLUMN(meta, COLUMN_TEXT, value),
};

static const struct table tables[ROW_TYPES] = {
	[ROW_SPEC] = {.name = "spec",
		      .row_size = sizeof(struct store_spec),
		      COLUMNS(spec_columns),
		      .load_clause = "ORDER BY name"},
	[ROW_INSTANCE] = {.name = "instance",
			  .row_size = sizeof(struct store_instance),
			  COLUMNS(instance_columns),
			  .load_clause = "ORDER BY host_url, engine, name"},
	[ROW_EVENT] = {.name = "event",
		       .row_size = sizeof(struct store_event),
		       COLUMNS(event_columns),
		       .load_clause = "WHERE id > ?1 AND (?2 IS NULL OR spec = ?2) ORDER BY id LIMIT ?3"},
	[ROW_META] = {.name = "meta",
		      .row_size = sizeof(struct meta),
		      COLUMNS(meta_columns),
		      .load_clause = "WHERE name = ?1"},
};

/* Every statement is prepared once, at open: three for each table, and those of query_sql. */
enum row_statement { PUT, DELETE, LOAD, ROW_STATEMENTS };
static char *(*const row_sql[ROW_STATEMENTS])(const struct table *) = {table_put_sql, table_delete_sql,
								       table_load_sql};

enum query { BEGIN, COMMIT, ROLLBACK, TRIM, LAST, TAIL, QUERIES };
static const char *const query_sql[QUERIES] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	/* turn: the place of an event among those of its host, 1 is the newest. place: its place in its spec,
	   where hosts take turns. The events with the highest places are dropped, so the largest specs lose
	   most. */
	[TRIM] = "DELETE FROM event WHERE id IN (SELECT id FROM ("
		 "  SELECT id, row_number() OVER (PARTITION BY spec ORDER BY turn, id DESC) AS place FROM ("
		 "    SELECT id, spec, row_number() OVER (PARTITION BY spec, host ORDER BY id DESC) AS turn"
		 "      FROM event)) "
		 "ORDER BY place DESC, id LIMIT max(0, (SELECT count(*) FROM event) - ?1))",
	[LAST] = "SELECT max(id) FROM event",
	[TAIL] = "SELECT id FROM event WHERE ?1 IS NULL OR spec = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2",
};

/*
 * A write that is not committed yet. When a commit fails, SQLite drops the whole
 * transaction, so all its writes are kept here and repeated. Only the last write
 * of each row is kept: so a full disk does not fill the memory.
 */
struct pending {
	char *key;
	enum row_type type;
	enum row_statement what; /* PUT or DELETE */
	void *row;
	bool applied; /* done in the transaction that is open now */
	UT_hash_handle hh;
};

struct store {
	int lock;
	char *path;
	sqlite3 *db;
	sqlite3_stmt *rows[ROW_TYPES][ROW_STATEMENTS];
	sqlite3_stmt *queries[QUERIES];
	struct pending *pending;
	struct event *timer; /* commits in the loop's next turn, or retries later; NULL without a base */
	int64_t last_event_id;
	int64_t trim_at_id; /* old events are dropped when this id is reached: the query is too slow to run
			       for each event */
	char *trouble;      /* see store_trouble() */
};

static const struct timeval soon = {0, 0};
static const struct timeval retry = {1, 0};

static int prepare(struct store *store, sqlite3_stmt **stmt, const char *sql)
{
	return sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) == SQLITE_OK
		       ? 0
		       : -1;
}

static int prepare_all(struct store *store, bool *damaged, struct err *err)
{
	int failed = 0;

	for (int i = 0; i < QUERIES && !failed; i++)
		failed = prepare(store, &store->queries[i], query_sql[i]);
	for (int i = 0; i < ROW_TYPES * ROW_STATEMENTS && !failed; i++) {
		int type = i / ROW_STATEMENTS, what = i % ROW_STATEMENTS;
		char *sql = row_sql[what](&tables[type]);

		failed = prepare(store, &store->rows[type][what], sql);
		free(sql);
	}
	return failed ? store_db_error(store->db, damaged, err) : 0;
}

static void close_db(struct store *store)
{
	for (int i = 0; i < QUERIES; i++)
		sqlite3_finalize(store->queries[i]);
	for (int i = 0; i < ROW_TYPES * ROW_STATEMENTS; i++)
		sqlite3_finalize(store->rows[i / ROW_STATEMENTS][i % ROW_STATEMENTS]);
	memset(store->queries, 0, sizeof(store->queries));
	memset(store->rows, 0, sizeof(store->rows));
	sqlite3_close(store->db);
	store->db = NULL;
}

/* Runs the statement to its end and ignores the rows that it returns. Bindings are cleared, since they point
 * into rows that are about to be freed. */
static int run(sqlite3_stmt *stmt)
{
	int rc;

	do {
		rc = sqlite3_step(stmt);
	} while (rc == SQLITE_ROW);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return rc == SQLITE_DONE ? 0 : -1;
}

/* The first column of the first row; 0 if there is no row, or the value is NULL. */
static int64_t query_int(sqlite3_stmt *stmt)
{
	int64_t value = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;

	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return value;
}

static void forget(struct store *store, struct pending *pending)
{
	HASH_DEL(store->pending, pending);
	row_clear(&tables[pending->type], pending->row);
	free(pending->row);
	free(pending->key);
	free(pending);
}

static void forget_all(struct store *store)
{
	struct pending *pending, *next;

	HASH_ITER (hh, store->pending, pending, next)
		forget(store, pending);
}

static void set_timer(struct store *store, const struct timeval *delay)
{
	/* A pending attempt stays when it is: new writes neither delay a commit nor hurry a retry. */
	if (store->timer && !event_pending(store->timer, EV_TIMEOUT, NULL))
		event_add(store->timer, delay);
}

/* Every failed write ends here: the transaction is rolled back, and the timer retries all of it. */
static int fail_write(struct store *store, struct err *err)
{
	store_db_error(store->db, NULL, err);
	if (!sqlite3_get_autocommit(store->db))
		run(store->queries[ROLLBACK]);
	store->trim_at_id = 0;
	FREE(store->trouble);
	store->trouble = xstrdup(err->message);
	set_timer(store, &retry);
	return -1;
}

static int apply(struct store *store, struct pending *pending)
{
	sqlite3_stmt *stmt = store->rows[pending->type][pending->what];

	row_bind(&tables[pending->type], pending->row, pending->what == DELETE, stmt);
	return run(stmt);
}

static int trim(struct store *store)
{
	if (store->last_event_id < store->trim_at_id)
		return 0;
	sqlite3_bind_int64(store->queries[TRIM], 1, STORE_MAX_EVENTS - STORE_TRIM_EVENTS);
	if (run(store->queries[TRIM]) < 0)
		return -1;
	store->trim_at_id = store->last_event_id + STORE_TRIM_EVENTS;
	return 0;
}

/* Applies all pending writes in the open transaction, where reads see them. */
static int apply_all(struct store *store, struct err *err)
{
	bool began = sqlite3_get_autocommit(store->db);

	if (!store->pending)
		return 0;
	if (began && run(store->queries[BEGIN]) < 0)
		return fail_write(store, err);
	for (struct pending *pending = store->pending; pending; pending = pending->hh.next) {
		if (pending->applied && !began)
			continue;
		pending->applied = apply(store, pending) == 0;
		if (!pending->applied)
			return fail_write(store, err);
	}
	return trim(store) < 0 ? fail_write(store, err) : 0;
}

int store_flush(struct store *store, struct err *err)
{
	if (!store->pending)
		return 0;
	if (apply_all(store, err) < 0)
		return -1;
	if (run(store->queries[COMMIT]) < 0)
		return fail_write(store, err);
	forget_all(store);
	FREE(store->trouble);
	if (store->timer)
		event_del(store->timer);
	return 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct err err;

	(void)fd;
	(void)what;
	/* After a failure fail_write() has recorded the error and set the timer for a retry. */
	store_flush(arg, &err);
}

const char *store_trouble(const struct store *store)
{
	return store->trouble;
}

static int open_db(struct store *store, char **warning, struct err *err)
{
	struct err why = {0};
	bool damaged;
	char *aside;

	for (int attempt = 0;; attempt++) {
		if (store_db_open(&store->db, store->path, &damaged, &why) == 0 &&
		    prepare_all(store, &damaged, &why) == 0)
			return 0;
		close_db(store);
		if (!damaged || attempt > 0) {
			*err = why;
			return -1;
		}
		aside = store_db_set_aside(store->path, err);
		if (!aside)
			return -1;
		*warning =
			xasprintf("the store %s was damaged (%s): it was set aside as %s and a new one begun",
				  store->path, why.message, aside);
		free(aside);
	}
}

struct store *store_open(struct event_base *base, const char *state_dir, char **warning, struct err *err)
{
	struct store *store = xcalloc(1, sizeof(*store));

	*warning = NULL;
	store->path = xasprintf("%s/apilbd.db", state_dir);
	store->lock = store_dir_lock(state_dir, err);
	if (store->lock < 0 || open_db(store, warning, err) < 0) {
		FREE(*warning);
		store_close(store);
		return NULL;
	}
	if (base)
		store->timer = evtimer_new(base, on_timer, store);
	store->last_event_id = query_int(store->queries[LAST]);
	return store;
}

void store_close(struct store *store)
{
	struct err err;

	if (!store)
		return;
	if (store->db)
		store_flush(store, &err);
	forget_all(store);
	close_db(store);
	if (store->timer)
		event_free(store->timer);
	/* The lock file stays: if it were removed, two daemons could each lock a file of this name. */
	if (store->lock >= 0)
		close(store->lock);
	free(store->trouble);
	free(store->path);
	free(store);
}

static struct pending *find_pending(struct store *store, enum row_type type, const void *row)
{
	char *key = row_key(&tables[type], row);
	struct pending *pending;

	HASH_FIND_STR(store->pending, key, pending);
	free(key);
	return pending;
}

static void forget_row(struct store *store, enum row_type type, const void *row)
{
	struct pending *pending = find_pending(store, type, row);

	if (pending)
		forget(store, pending);
}

static void add_pending(struct store *store, enum row_type type, enum row_statement what, const void *row)
{
	struct pending *pending = xcalloc(1, sizeof(*pending));

	forget_row(store, type, row);
	pending->key = row_key(&tables[type], row);
	pending->type = type;
	pending->what = what;
	pending->row = row_copy(&tables[type], row);
	HASH_ADD_KEYPTR(hh, store->pending, pending->key, strlen(pending->key), pending);
	set_timer(store, &soon);
}

void store_put_spec(struct store *store, const struct store_spec *spec)
{
	add_pending(store, ROW_SPEC, PUT, spec);
}

void store_delete_spec(struct store *store, const char *name)
{
	add_pending(store, ROW_SPEC, DELETE, &(struct store_spec){.name = (char *)name});
}

void store_put_instance(struct store *store, const struct store_instance *instance)
{
	add_pending(store, ROW_INSTANCE, PUT, instance);
}

void store_delete_instance(struct store *store, const char *host_url, const char *engine, const char *name)
{
	struct store_instance row = {
		.host_url = (char *)host_url, .engine = (char *)engine, .name = (char *)name};

	add_pending(store, ROW_INSTANCE, DELETE, &row);
}

int64_t store_add_event(struct store *store, const struct store_event *event)
{
	struct store_event row = *event;

	row.id = ++store->last_event_id;
	add_pending(store, ROW_EVENT, PUT, &row);
	/* While commits fail, events pile up here, where trim() does not see them: drop the oldest. */
	forget_row(store, ROW_EVENT, &(struct store_event){.id = row.id - STORE_MAX_EVENTS});
	return row.id;
}

/* Reads rows without the pending writes that are not applied. The caller has bound the statement's own
 * parameters, if any. */
static int load_written(struct store *store, enum row_type type, void **v, size_t *n, struct err *err)
{
	sqlite3_stmt *stmt = store->rows[type][LOAD];
	size_t size = tables[type].row_size;
	int rc;

	*v = NULL;
	*n = 0;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		*v = xgrow(*v, *n, size);
		memset((char *)*v + *n * size, 0, size);
		row_read(&tables[type], (char *)*v + (*n)++ * size, stmt);
	}
	if (rc != SQLITE_DONE) {
		store_db_error(store->db, NULL, err);
		rows_free(&tables[type], *v, *n);
		*v = NULL;
		*n = 0;
	}
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return rc == SQLITE_DONE ? 0 : -1;
}

static int load(struct store *store, enum row_type type, void **v, size_t *n, struct err *err)
{
	*v = NULL;
	*n = 0;
	if (apply_all(store, err) < 0) {
		sqlite3_clear_bindings(store->rows[type][LOAD]);
		return -1;
	}
	return load_written(store, type, v, n, err);
}

int store_load_specs(struct store *store, struct store_spec **v, size_t *n, struct err *err)
{
	return load(store, ROW_SPEC, (void **)v, n, err);
}

int store_load_instances(struct store *store, struct store_instance **v, size_t *n, struct err *err)
{
	return load(store, ROW_INSTANCE, (void **)v, n, err);
}

/* SQLite's numbers are int64_t. */
static int64_t clamp(size_t n)
{
	return n > INT64_MAX ? INT64_MAX : (int64_t)n;
}

int store_load_events(struct store *store, int64_t after, const char *spec, size_t max,
		      struct store_event **v, size_t *n, struct err *err)
{
	sqlite3_stmt *stmt = store->rows[ROW_EVENT][LOAD];

	sqlite3_bind_int64(stmt, 1, after);
	sqlite3_bind_text(stmt, 2, spec, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, clamp(max));
	return load(store, ROW_EVENT, (void **)v, n, err);
}

int64_t store_events_tail(struct store *store, const char *spec, size_t n)
{
	sqlite3_stmt *stmt = store->queries[TAIL];
	struct err err;

	if (apply_all(store, &err) < 0)
		return 0;
	sqlite3_bind_text(stmt, 1, spec, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 2, clamp(n));
	return query_int(stmt);
}

void store_put_meta(struct store *store, const char *name, const char *value)
{
	add_pending(store, ROW_META, value ? PUT : DELETE,
		    &(struct meta){.name = (char *)name, .value = (char *)value});
}

char *store_get_meta(struct store *store, const char *name)
{
	const struct pending *pending = find_pending(store, ROW_META, &(struct meta){.name = (char *)name});
	struct meta *rows;
	char *value;
	struct err err;
	size_t n;

	if (pending)
		return pending->what == PUT ? xstrdup(((const struct meta *)pending->row)->value) : NULL;
	sqlite3_bind_text(store->rows[ROW_META][LOAD], 1, name, -1, SQLITE_STATIC);
	if (load_written(store, ROW_META, (void **)&rows, &n, &err) < 0)
		return NULL;
	value = n ? xstrdup(rows[0].value) : NULL;
	rows_free(&tables[ROW_META], rows, n);
	return value;
}

void store_specs_free(struct store_spec *v, size_t n)
{
	rows_free(&tables[ROW_SPEC], v, n);
}

void store_instances_free(struct store_instance *v, size_t n)
{
	rows_free(&tables[ROW_INSTANCE], v, n);
}

void store_events_free(struct store_event *v, size_t n)
{
	rows_free(&tables[ROW_EVENT], v, n);
}

void store_instance_clear(struct store_instance *instance)
{
	row_clear(&tables[ROW_INSTANCE], instance);
}
