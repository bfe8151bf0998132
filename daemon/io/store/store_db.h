/*
 * The store's file: directory, lock, SQLite connection, schema. Internal to
 * store.c; knows nothing of the meaning of rows.
 */
#ifndef APILB_IO_STORE_DB_H
#define APILB_IO_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>

#include "common/err.h"

/* Makes the directory if it is missing, and locks it. Returns the lock's descriptor, or -1. */
int store_dir_lock(const char *dir, struct err *err);

/*
 * Opens path (made with mode 0600) and brings its schema up to date.
 * *damaged: the file cannot be one of ours; set it aside.
 */
int store_db_open(sqlite3 **db, const char *path, bool *damaged, struct err *err);

/*
 * Runs the steps that the file's user_version has not reached yet, each in a
 * transaction of its own. A user_version above n_steps is an error: a newer apilbd
 * wrote the file.
 */
int store_db_migrate(sqlite3 *db, const char *const *steps, int n_steps, bool *damaged, struct err *err);

/* Renames the file and its -wal to path.damaged-TIME. Returns the new name (the caller frees), or NULL. */
char *store_db_set_aside(const char *path, struct err *err);

/* Sets err to the connection's last error, in words, and *damaged, unless it is NULL, to whether the file
 * must be set aside. Returns -1. */
int store_db_error(sqlite3 *db, bool *damaged, struct err *err);

#endif
