/* The files of the store: whose they are, and what is done when they are damaged, or of another version. */
#include <check.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/store/store_db.h"
#include "tests/store_lab.h"
#include "tests/suite.h"
#include "tests/temp.h"

START_TEST(nobody_else_can_read_the_files_whatever_the_umask)
{
	static const mode_t masks[] = {0, 022, 077, 0777};

	for (int i = 0; i < 4; i++) {
		mode_t old = umask(masks[i]);
		struct store *store = open_store(NULL);

		put_spec(store, "a", "x");
		ck_assert_int_eq(store_flush(store, &err), 0);
		umask(old);
		ck_assert_int_eq(mode_of(dir), 0700);
		assert_mode("apilbd.db", 0600);
		assert_mode("apilbd.db-wal", 0600);
		assert_mode("apilbd.db-shm", 0600);
		assert_mode("lock", 0600);
		store_close(store);
		temp_remove();
		ck_assert_int_eq(mkdir(temp_dir, 0700), 0);
	}
}
END_TEST

START_TEST(files_that_were_left_open_to_others_are_closed)
{
	char *path = in_dir("apilbd.db");

	store_close(open_store(NULL));
	ck_assert_int_eq(chmod(path, 0644), 0);
	store_close(open_store(NULL));
	ck_assert_int_eq(mode_of(path), 0600);
	free(path);
}
END_TEST

START_TEST(deleted_secrets_leave_the_file)
{
	struct store *store = open_store(NULL);
	char *path = in_dir("apilbd.db"), *text;
	struct stat st;
	int fd;

	store_put_instance(store, &full_instance);
	store_close(store);
	store = open_store(NULL);
	store_delete_instance(store, full_instance.host_url, full_instance.engine, full_instance.name);
	store_close(store);
	ck_assert_int_eq(stat(path, &st), 0);
	text = xcalloc(1, st.st_size);
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, text, st.st_size), st.st_size);
	close(fd);
	ck_assert_ptr_null(memmem(text, st.st_size, "hunter2", 7));
	free(text);
	free(path);
}
END_TEST

START_TEST(a_second_daemon_is_told_who_is_there)
{
	struct store *store = open_store(NULL);
	char *words = xasprintf("another apilbd (pid %d) uses %s", getpid(), dir);

	assert_refused(words);
	ck_assert_int_eq(err.kind, ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(err.message, "--state-dir"));
	store_close(store);
	store_close(open_store(NULL));
	free(words);
}
END_TEST

START_TEST(a_missing_parent_is_named)
{
	char *parent = temp_path("no");

	free(dir);
	dir = xasprintf("%s/state", parent);
	assert_refused("make it first");
	ck_assert_ptr_nonnull(strstr(err.message, parent));
	free(parent);
}
END_TEST

START_TEST(a_file_in_place_of_the_directory_is_refused)
{
	write_text(dir, "precious");
	assert_refused("not a directory");
	free(dir);
	dir = temp_path("state/deeper");
	assert_refused("not a directory");
}
END_TEST

START_TEST(a_directory_in_place_of_the_database_is_refused)
{
	char *path = in_dir("apilbd.db");

	mkdir(dir, 0700);
	mkdir(path, 0700);
	assert_refused("apilbd.db is not a regular file");
	free(path);
}
END_TEST

/* Each file of the store, in turn, is something that was put there for us to write to. */
static const char *const own_files[] = {"lock", "apilbd.db", "apilbd.db-wal", "apilbd.db-shm",
					"apilbd.db-journal"};

START_TEST(a_link_in_place_of_a_file_is_refused)
{
	char *path = in_dir(own_files[_i]), *target = temp_path("precious");
	char *words = xasprintf("%s is a symbolic link", path);

	mkdir(dir, 0700);
	write_text(target, "precious");
	ck_assert_int_eq(symlink(target, path), 0);
	assert_refused(words);
	assert_text(target, "precious");
	free(words);
	free(target);
	free(path);
}
END_TEST

START_TEST(a_file_with_a_second_name_is_refused)
{
	char *path = in_dir(own_files[_i]), *target = temp_path("precious");

	mkdir(dir, 0700);
	write_text(target, "precious");
	ck_assert_int_eq(link(target, path), 0);
	assert_refused("has a second name (a hard link)");
	assert_text(target, "precious");
	free(target);
	free(path);
}
END_TEST

START_TEST(a_pipe_in_place_of_a_file_is_refused)
{
	char *path = in_dir(own_files[_i]);

	mkdir(dir, 0700);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	assert_refused("is not a regular file");
	free(path);
}
END_TEST

START_TEST(a_file_of_somebody_else_is_refused)
{
	char *path = in_dir(own_files[_i]);

	if (geteuid() != 0)
		return; /* who is not root cannot give a file away */
	mkdir(dir, 0700);
	write_text(path, "");
	ck_assert_int_eq(chown(path, 65534, 65534), 0);
	assert_refused("belongs to user id 65534, and apilbd runs as user id 0");
	free(path);
}
END_TEST

START_TEST(a_directory_that_others_may_write_is_refused)
{
	static const mode_t modes[] = {0770, 0707, 01777};

	mkdir(dir, 0700);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		ck_assert_int_eq(chmod(dir, modes[i]), 0);
		assert_refused("can be written by others");
	}
	/* Others may look at its list: what is in it is closed to them. */
	ck_assert_int_eq(chmod(dir, 0755), 0);
	store_close(open_store(NULL));
}
END_TEST

START_TEST(a_directory_that_belongs_to_somebody_else_is_refused)
{
	if (geteuid() != 0)
		return;
	mkdir(dir, 0700);
	ck_assert_int_eq(chown(dir, 65534, 65534), 0);
	assert_refused("belongs to user id 65534");
}
END_TEST

START_TEST(a_link_to_the_directory_is_fine_unless_it_is_somebody_elses)
{
	char *place = temp_path("place");

	mkdir(place, 0700);
	ck_assert_int_eq(symlink(place, dir), 0);
	store_close(open_store(NULL));
	if (geteuid() == 0) {
		ck_assert_int_eq(lchown(dir, 65534, 65534), 0);
		assert_refused("belongs to user id 65534");
	}
	free(place);
}
END_TEST

START_TEST(a_directory_of_somebody_else_is_refused)
{
	int status;
	pid_t pid;

	ck_assert_int_eq(chmod(temp_dir, 0755), 0);
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	pid = fork();
	if (pid == 0) {
		/* A root without a name: permissions count for it. */
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		char *warning;
		struct store *store = store_open(NULL, dir, &warning, &err);

		_exit(!store && strstr(err.message, "permission denied; user id 65534 must") ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}
END_TEST

static void assert_set_aside(void)
{
	char *warning = NULL, *aside;
	struct store *store = store_open(NULL, dir, &warning, &err);

	ck_assert_msg(store != NULL, "%s", err.message);
	ck_assert_ptr_nonnull(warning);
	ck_assert_ptr_nonnull(strstr(warning, "was damaged ("));
	aside = strstr(warning, "set aside as ");
	ck_assert_ptr_nonnull(aside);
	aside += strlen("set aside as ");
	*strchr(aside, ' ') = '\0';
	ck_assert_int_eq(access(aside, R_OK), 0);
	free(warning);
	/* The new one works. */
	ck_assert_uint_eq(count_specs(store), 0);
	put_spec(store, "a", "x");
	store_close(store);
	store = open_store(NULL);
	ck_assert_uint_eq(count_specs(store), 1);
	store_close(store);
}

static void damage(size_t offset, size_t len)
{
	char *path = in_dir("apilbd.db"), *junk = xcalloc(1, len);
	int fd = open(path, O_WRONLY);

	memset(junk, 0xa5, len);
	ck_assert_int_eq(pwrite(fd, junk, len, offset), (ssize_t)len);
	close(fd);
	free(junk);
	free(path);
}

START_TEST(a_file_that_is_no_database_is_set_aside)
{
	char *path = in_dir("apilbd.db");

	mkdir(dir, 0700);
	write_text(path,
		   "this is certainly not a database, although it is long enough to look at, is it not?");
	assert_set_aside();
	free(path);
}
END_TEST

START_TEST(a_file_with_a_damaged_head_is_set_aside)
{
	make_filled();
	damage(0, 100);
	assert_set_aside();
}
END_TEST

START_TEST(a_file_with_a_damaged_inside_is_set_aside)
{
	make_filled();
	damage(4096, 8192);
	assert_set_aside();
}
END_TEST

START_TEST(a_truncated_file_is_set_aside)
{
	char *path = in_dir("apilbd.db");

	make_filled();
	ck_assert_int_eq(truncate(path, 5000), 0);
	assert_set_aside();
	free(path);
}
END_TEST

START_TEST(a_file_with_another_schema_is_set_aside)
{
	make_filled();
	execute("ALTER TABLE instance DROP COLUMN image");
	assert_set_aside();
}
END_TEST

START_TEST(an_empty_file_is_a_new_store)
{
	char *path = in_dir("apilbd.db");

	mkdir(dir, 0700);
	write_text(path, "");
	store_close(open_store(NULL));
	free(path);
}
END_TEST

START_TEST(a_newer_schema_is_refused_and_kept)
{
	struct store *store;

	make_filled();
	execute("PRAGMA user_version = 99");
	assert_refused("was written by a newer apilbd (schema 99, this one knows up to ");
	execute("PRAGMA user_version = 6");
	store = open_store(NULL);
	ck_assert_uint_eq(count_specs(store), 1);
	store_close(store);
}
END_TEST

START_TEST(a_store_of_the_first_schema_is_brought_forward)
{
	struct store *store;

	make_filled();
	execute("DROP TABLE meta; ALTER TABLE instance DROP COLUMN accepted;"
		"ALTER TABLE instance DROP COLUMN in_force; ALTER TABLE instance DROP COLUMN former;"
		"ALTER TABLE instance DROP COLUMN next_version; ALTER TABLE instance DROP COLUMN rollout;"
		"ALTER TABLE instance DROP COLUMN served; ALTER TABLE event DROP COLUMN host;"
		"ALTER TABLE instance DROP COLUMN memory;"
		"PRAGMA user_version = 1");
	store = open_store(NULL);
	ck_assert_uint_eq(count_specs(store), 1);
	ck_assert_ptr_null(store_get_meta(store, "a"));
	store_put_meta(store, "a", "1");
	store_close(store);
}
END_TEST

START_TEST(a_store_of_the_schema_before_remembers_nothing)
{
	struct store *store = open_store(NULL);
	struct store_instance *v;
	size_t n;

	store_put_instance(store, &full_instance);
	store_close(store);
	execute("ALTER TABLE instance DROP COLUMN memory; PRAGMA user_version = 5");
	store = open_store(NULL);
	ck_assert_int_eq(store_load_instances(store, &v, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(v->accepted, full_instance.accepted);
	ck_assert_ptr_null(v->memory);
	store_instances_free(v, n);
	store_close(store);
}
END_TEST

/* Each may be absent in a row that somebody else wrote: whoever reads it must not be the one to find out. */
START_TEST(what_every_row_has_is_never_null)
{
	struct store *store = open_store(NULL);
	struct store_instance *instances;
	struct store_spec *specs;
	size_t n;

	store_put_instance(store, &full_instance);
	put_spec(store, "prod", "servers: []");
	store_close(store);
	execute("UPDATE instance SET spec = NULL, host_json = NULL; UPDATE spec SET file = NULL, text = "
		"NULL");
	store = open_store(NULL);
	ck_assert_int_eq(store_load_instances(store, &instances, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_pstr_eq(instances->spec, "");
	ck_assert_pstr_eq(instances->host_json, "");
	store_instances_free(instances, n);
	ck_assert_int_eq(store_load_specs(store, &specs, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_pstr_eq(specs->file, "");
	ck_assert_pstr_eq(specs->text, "");
	store_specs_free(specs, n);
	store_close(store);
}
END_TEST

static int migrate(sqlite3 *db, const char *const *steps, int n)
{
	bool damaged = false;

	return store_db_migrate(db, steps, n, &damaged, &err);
}

START_TEST(a_schema_moves_forward_step_by_step)
{
	static const char *const good[] = {"CREATE TABLE a (x); INSERT INTO a VALUES (1);",
					   "ALTER TABLE a ADD COLUMN y; UPDATE a SET y = x + 1;",
					   "CREATE TABLE b AS SELECT y FROM a;"};
	static const char *const bad[] = {"", "", "", "CREATE TABLE c (x); SELECT nonsense;"};
	sqlite3_stmt *stmt;
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
	ck_assert_int_eq(migrate(db, good, 1), 0);
	ck_assert_int_eq(migrate(db, good, 3), 0);
	ck_assert_int_eq(migrate(db, good, 3), 0);
	ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT y FROM b", -1, &stmt, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(stmt), SQLITE_ROW);
	ck_assert_int_eq(sqlite3_column_int(stmt, 0), 2);
	sqlite3_finalize(stmt);
	/* A step that fails leaves nothing of itself. */
	ck_assert_int_eq(migrate(db, bad, 4), -1);
	ck_assert_int_eq(sqlite3_exec(db, "SELECT * FROM c", NULL, NULL, NULL), SQLITE_ERROR);
	ck_assert_int_eq(migrate(db, good, 3), 0);
	ck_assert_int_eq(migrate(db, good, 2), -1);
	sqlite3_close(db);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store files");

	CASE(suite, "files", nobody_else_can_read_the_files_whatever_the_umask,
	     files_that_were_left_open_to_others_are_closed, deleted_secrets_leave_the_file,
	     a_second_daemon_is_told_who_is_there, a_missing_parent_is_named,
	     a_file_in_place_of_the_directory_is_refused, a_directory_in_place_of_the_database_is_refused,
	     a_directory_of_somebody_else_is_refused);
	CASE_OF(suite, "traps", sizeof(own_files) / sizeof(own_files[0]),
		a_link_in_place_of_a_file_is_refused, a_file_with_a_second_name_is_refused,
		a_pipe_in_place_of_a_file_is_refused, a_file_of_somebody_else_is_refused);
	CASE(suite, "owner", a_directory_that_others_may_write_is_refused,
	     a_directory_that_belongs_to_somebody_else_is_refused,
	     a_link_to_the_directory_is_fine_unless_it_is_somebody_elses);
	CASE(suite, "damage", a_file_that_is_no_database_is_set_aside,
	     a_file_with_a_damaged_head_is_set_aside, a_file_with_a_damaged_inside_is_set_aside,
	     a_truncated_file_is_set_aside, a_file_with_another_schema_is_set_aside,
	     an_empty_file_is_a_new_store);
	CASE(suite, "schema", a_newer_schema_is_refused_and_kept,
	     a_store_of_the_first_schema_is_brought_forward, what_every_row_has_is_never_null,
	     a_store_of_the_schema_before_remembers_nothing, a_schema_moves_forward_step_by_step);
	return suite_run(suite);
}
