#include "daemon/io/store/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"

/*
 * The schema, as the steps that led to it: step n (from 0) takes a file of
 * user_version n to n + 1. Released steps are never edited: add new ones.
 */
static const char *const steps[] = {
	"CREATE TABLE spec (name TEXT PRIMARY KEY NOT NULL, file TEXT, text BLOB);"
	"CREATE TABLE instance ("
	"  host_url TEXT NOT NULL, engine TEXT NOT NULL, name TEXT NOT NULL, spec TEXT, host_json TEXT,"
	"  container_id TEXT, image TEXT, config_path TEXT, config_sha256 TEXT, config_size INTEGER,"
	"  config_mtime TEXT, changed_at_ms INTEGER, error_kind INTEGER, error_message TEXT,"
	"  error_since_ms INTEGER, attempts INTEGER, PRIMARY KEY (host_url, engine, name));"
	"CREATE TABLE event ("
	"  id INTEGER PRIMARY KEY NOT NULL, time_ms INTEGER, level TEXT, spec TEXT, instance TEXT,"
	"  type TEXT, message TEXT);",
	"CREATE TABLE meta (name TEXT PRIMARY KEY NOT NULL, value TEXT);",
	"ALTER TABLE instance ADD COLUMN accepted TEXT;",
	"ALTER TABLE instance ADD COLUMN in_force TEXT;"
	"ALTER TABLE instance ADD COLUMN former TEXT;"
	"ALTER TABLE instance ADD COLUMN next_version TEXT;"
	"ALTER TABLE instance ADD COLUMN rollout INTEGER;"
	"ALTER TABLE instance ADD COLUMN served INTEGER;",
	"ALTER TABLE event ADD COLUMN host TEXT;",
	"ALTER TABLE instance ADD COLUMN memory TEXT;",
};

/*
 * secure_delete: rows hold keys and passwords. cache_spill: writes stay in memory
 * until the commit, so that only COMMIT can fail for a full disk.
 */
static const char settings[] = "PRAGMA journal_mode = WAL;"
			       "PRAGMA synchronous = FULL;"
			       "PRAGMA secure_delete = ON;"
			       "PRAGMA cache_spill = OFF;"
			       "PRAGMA journal_size_limit = 4194304;";

static const char *const companions[] = {"", "-wal", "-shm", "-journal"};

static int dir_error(struct err *err, const char *dir, int error)
{
	switch (error) {
	case EROFS:
		return err_set(err, ERR_PERMANENT, "state directory %s is on a read-only file system", dir);
	case EACCES:
	case EPERM:
		return err_set(
			err, ERR_PERMANENT,
			"state directory %s: permission denied; user id %ld must be able to write there", dir,
			(long)geteuid());
	case ENOSPC:
	case EDQUOT:
		return err_set(err, ERR_PERMANENT,
			       "state directory %s: no space left; free some and start again", dir);
	case ENOTDIR:
		return err_set(err, ERR_PERMANENT,
			       "state directory %s: it or a part of its path is not a directory", dir);
	default:
		return err_set(err, ERR_PERMANENT, "state directory %s: %s", dir, strerror(error));
	}
}

/* Errors that concern all of the directory: dir_error() words them. */
static bool is_of_dir(int error)
{
	return error == EROFS || error == EACCES || error == EPERM || error == ENOSPC || error == EDQUOT;
}

static int make_dir(const char *dir, struct err *err)
{
	struct err why;

	if (mkdir(dir, 0700) == 0) {
		/* The umask must not take away our own access. */
		return chmod(dir, 0700) == 0 ? 0 : dir_error(err, dir, errno);
	}
	if (errno == ENOENT) {
		char *copy = xstrdup(dir);

		err_set(err, ERR_PERMANENT, "state directory %s: its parent %s does not exist; make it first",
			dir, dirname(copy));
		free(copy);
		return -1;
	}
	if (errno != EEXIST)
		return dir_error(err, dir, errno);
	if (file_check_own_dir(dir, &why) < 0)
		return err_set(err, ERR_PERMANENT, "state directory %s", why.message);
	return 0;
}

static int lock_held_error(int fd, const char *dir, struct err *err)
{
	char text[32] = "";
	long pid;

	pid = pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : 0;
	if (pid > 0)
		snprintf(text, sizeof(text), "pid %ld", pid);
	else
		strcpy(text, "pid unknown");
	return err_set(err, ERR_CONFLICT,
		       "another apilbd (%s) uses %s; stop it, or give this one a --state-dir of its own",
		       text, dir);
}

int store_dir_lock(const char *dir, struct err *err)
{
	struct err why;
	char *path;
	int fd, error;

	if (make_dir(dir, err) < 0)
		return -1;
	path = xasprintf("%s/lock", dir);
	fd = file_open_own(path, O_RDWR | O_CREAT, &why);
	error = errno;
	free(path);
	if (fd < 0)
		return is_of_dir(error) ? dir_error(err, dir, error)
					: err_set(err, ERR_PERMANENT, "state directory: %s", why.message);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			lock_held_error(fd, dir, err);
		else
			dir_error(err, dir, errno);
		close(fd);
		return -1;
	}
	/* The pid is for people only: that the disk is too full for it is no reason to fail. */
	if (fchmod(fd, 0600) == 0 && ftruncate(fd, 0) == 0)
		dprintf(fd, "%ld\n", (long)getpid());
	return fd;
}

int store_db_error(sqlite3 *db, bool *damaged, struct err *err)
{
	const char *file = sqlite3_db_filename(db, "main");
	int code = sqlite3_extended_errcode(db) & 0xff;
	int error = sqlite3_system_errno(db);

	if (damaged) {
		/* SQLITE_ERROR: our own statements do not fit the schema, so the file is not what its
		 * user_version says. */
		*damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_ERROR;
		if (*damaged)
			return err_set(err, ERR_PERMANENT, "%s", sqlite3_errmsg(db));
	}
	if (code == SQLITE_FULL || (code == SQLITE_IOERR && (error == ENOSPC || error == EDQUOT)))
		return err_set(err, ERR_TRANSIENT, "store %s: no space left; free some on its file system",
			       file);
	if (code == SQLITE_READONLY)
		return err_set(err, ERR_TRANSIENT, "store %s: cannot be written (read-only)", file);
	if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
		return err_set(err, ERR_CONFLICT, "store %s: another program keeps it locked", file);
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		return err_set(err, ERR_PERMANENT,
			       "store %s is damaged (%s); restart apilbd to begin a new one", file,
			       sqlite3_errmsg(db));
	if ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && error)
		return err_set(err, ERR_TRANSIENT, "store %s: %s", file, strerror(error));
	return err_set(err, ERR_PERMANENT, "store %s: %s", file, sqlite3_errmsg(db));
}

/* SQLite gives -wal and -shm the mode of the store's file. Existing files get mode 0600 here. */
static int make_private(const char *path, struct err *err)
{
	struct err why;
	int fd = file_open_own(path, O_RDWR | O_CREAT, &why);

	if (fd < 0)
		return err_set(err, ERR_PERMANENT, "store %s", why.message);
	close(fd);
	for (size_t i = 0; i < sizeof(companions) / sizeof(*companions); i++) {
		char *name = xasprintf("%s%s", path, companions[i]);
		int rc = file_check_own(name, &why);

		if (rc == 0 && chmod(name, 0600) < 0 && errno != ENOENT)
			rc = err_set(&why, ERR_PERMANENT, "%s: chmod: %s", name, strerror(errno));
		free(name);
		if (rc < 0)
			return err_set(err, ERR_PERMANENT, "store %s", why.message);
	}
	return 0;
}

/* The first column of the first row, as text (the caller frees); NULL when the query fails. */
static char *query_text(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	char *text = NULL;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step(stmt) == SQLITE_ROW)
		text = xstrdup((const char *)sqlite3_column_text(stmt, 0));
	/* If the step failed, this keeps the connection's error code. */
	sqlite3_finalize(stmt);
	return text;
}

static int check(sqlite3 *db, bool *damaged, struct err *err)
{
	char *verdict = query_text(db, "PRAGMA quick_check(1)");

	if (!verdict)
		return store_db_error(db, damaged, err);
	if (strcmp(verdict, "ok") != 0) {
		*damaged = true;
		err_set(err, ERR_PERMANENT, "%s", verdict);
	}
	free(verdict);
	return *damaged ? -1 : 0;
}

int store_db_migrate(sqlite3 *db, const char *const *list, int n, bool *damaged, struct err *err)
{
	char *text = query_text(db, "PRAGMA user_version");
	int version;

	if (!text)
		return store_db_error(db, damaged, err);
	version = atoi(text);
	free(text);
	if (version > n || version < 0)
		return err_set(err, ERR_PERMANENT,
			       "store %s was written by a newer apilbd (schema %d, this one knows up to %d); "
			       "run that "
			       "version, or move the file away: all but the events is found again",
			       sqlite3_db_filename(db, "main"), version, n);
	for (; version < n; version++) {
		char *sql = xasprintf("BEGIN IMMEDIATE; %s PRAGMA user_version = %d; COMMIT;", list[version],
				      version + 1);
		int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);

		free(sql);
		if (rc != SQLITE_OK) {
			store_db_error(db, damaged, err);
			sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
			return -1;
		}
	}
	return 0;
}

int store_db_open(sqlite3 **db, const char *path, bool *damaged, struct err *err)
{
	*db = NULL;
	*damaged = false;
	if (make_private(path, err) < 0)
		return -1;
	if (sqlite3_open_v2(path, db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK ||
	    sqlite3_exec(*db, settings, NULL, NULL, NULL) != SQLITE_OK)
		return store_db_error(*db, damaged, err);
	if (check(*db, damaged, err) < 0)
		return -1;
	return store_db_migrate(*db, steps, sizeof(steps) / sizeof(*steps), damaged, err);
}

char *store_db_set_aside(const char *path, struct err *err)
{
	char stamp[sizeof("20260102T030405Z")];
	time_t now = time(NULL);
	char *aside;
	struct tm tm;

	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	aside = xasprintf("%s.damaged-%s", path, stamp);
	for (size_t i = 0; i < sizeof(companions) / sizeof(*companions); i++) {
		char *from = xasprintf("%s%s", path, companions[i]);
		char *to = xasprintf("%s%s", aside, companions[i]);
		int failed = rename(from, to) < 0 && errno != ENOENT ? errno : 0;

		free(from);
		free(to);
		if (failed) {
			err_set(err, ERR_PERMANENT, "store %s is damaged, and cannot be set aside as %s: %s",
				path, aside, strerror(failed));
			free(aside);
			return NULL;
		}
	}
	return aside;
}
