/* The store: what is put is there again, whatever happens to the file, the disk or the process. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/store/store.h"
#include "daemon/io/store/store_db.h"
#include "tests/suite.h"
#include "tests/temp.h"

static char *dir;
static struct err err;

static void setup(void)
{
	temp_make();
	dir = temp_path("state");
}

static void teardown(void)
{
	FREE(dir);
	temp_remove();
}

static char *in_dir(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

/* Opens without a warning, or fails the test. */
static struct store *open_store(struct event_base *base)
{
	char *warning = NULL;
	struct store *store = store_open(base, dir, &warning, &err);

	ck_assert_msg(store != NULL, "%s", err.message);
	ck_assert_ptr_null(warning);
	return store;
}

static void assert_refused(const char *words)
{
	char *warning = NULL;

	memset(&err, 0, sizeof(err));
	ck_assert_ptr_null(store_open(NULL, dir, &warning, &err));
	ck_assert_ptr_null(warning);
	ck_assert_msg(strstr(err.message, words) != NULL, "\"%s\" lacks \"%s\"", err.message, words);
}

static void put_spec(struct store *store, const char *name, const char *text)
{
	struct store_spec spec = {(char *)name, "/etc/apilb.d/x.yaml", (char *)text, strlen(text)};

	store_put_spec(store, &spec);
}

static int64_t add_event(struct store *store, const char *spec, const char *message)
{
	struct store_event event = {.time_ms = 1767312000123,
				    .level = "info",
				    .spec = (char *)spec,
				    .type = "created",
				    .message = (char *)message};

	return store_add_event(store, &event);
}

static size_t count_specs(struct store *store)
{
	struct store_spec *v;
	size_t n;

	ck_assert_msg(store_load_specs(store, &v, &n, &err) == 0, "%s", err.message);
	store_specs_free(v, n);
	return n;
}

static void assert_text(const char *path, const char *expected)
{
	char text[64] = "";
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fread(text, 1, sizeof(text) - 1, file), strlen(expected));
	ck_assert_str_eq(text, expected);
	fclose(file);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	ck_assert_msg(stat(path, &st) == 0, "%s: %s", path, strerror(errno));
	return st.st_mode & 07777;
}

static void assert_mode(const char *name, mode_t mode)
{
	char *path = in_dir(name);

	ck_assert_int_eq(mode_of(path), mode);
	free(path);
}

/* Changes the database behind the store's back. */
static void execute(const char *sql)
{
	char *path = in_dir("apilbd.db");
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
	free(path);
}

START_TEST(a_spec_comes_back_byte_by_byte)
{
	struct store *store = open_store(NULL);
	struct store_spec spec = {"prod", "/etc/apilb.d/prod.yaml", "a\0b\xff\n", 5}, *v;
	size_t n;

	store_put_spec(store, &spec);
	put_spec(store, "empty", "");
	store_close(store);
	store = open_store(NULL);
	ck_assert_int_eq(store_load_specs(store, &v, &n, &err), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(v[0].name, "empty");
	ck_assert_uint_eq(v[0].len, 0);
	ck_assert_str_eq(v[1].name, "prod");
	ck_assert_str_eq(v[1].file, "/etc/apilb.d/prod.yaml");
	ck_assert_uint_eq(v[1].len, 5);
	ck_assert_mem_eq(v[1].text, "a\0b\xff\n", 5);
	store_specs_free(v, n);
	store_close(store);
}
END_TEST

START_TEST(the_last_put_of_a_row_wins_and_a_deletion_counts)
{
	struct store *store = open_store(NULL);
	struct store_spec *v;
	size_t n;

	put_spec(store, "a", "first");
	put_spec(store, "b", "gone");
	ck_assert_uint_eq(count_specs(store), 2);
	put_spec(store, "a", "second");
	store_delete_spec(store, "b");
	ck_assert_int_eq(store_flush(store, &err), 0);
	store_delete_spec(store, "a");
	put_spec(store, "a", "third");
	store_delete_spec(store, "never there");
	store_close(store);
	store = open_store(NULL);
	ck_assert_int_eq(store_load_specs(store, &v, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(v[0].text, "third");
	store_specs_free(v, n);
	store_close(store);
}
END_TEST

static const struct store_instance full_instance = {
	.host_url = "ssh://root@10.0.0.1:22",
	.engine = "/var/run/docker.sock",
	.name = "api-lb",
	.spec = "prod",
	.host_json = "{\"password\": \"hunter2\"}",
	.container_id = "0123456789abcdef",
	.image = "haproxy:3.2.21-alpine",
	.config_path = "/etc/haproxy/haproxy.cfg",
	.config_sha256 = "e3b0c442",
	.config_size = 1234567890123,
	.config_mtime = "2026-01-02T03:04:05.678901234Z",
	.accepted = "0123456789abcdef ",
	.memory = "{\"silence\":{}}",
	.changed_at_ms = 1767312000123,
	.error_kind = ERR_CONFLICT,
	.error_message = "in the way",
	.error_since_ms = 1767312000000,
	.attempts = 17,
	.in_force = "{\"id\":\"x\"}",
	.former = "{\"id\":\"y\"}",
	.next_version = "0123",
	.rollout = 3,
	.served = 1,
};

START_TEST(every_field_of_an_instance_comes_back)
{
	struct store *store = open_store(NULL);
	struct store_instance *v;
	size_t n;

	store_put_instance(store, &full_instance);
	store_close(store);
	store = open_store(NULL);
	ck_assert_int_eq(store_load_instances(store, &v, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_str_eq(v->host_url, full_instance.host_url);
	ck_assert_str_eq(v->engine, full_instance.engine);
	ck_assert_str_eq(v->name, full_instance.name);
	ck_assert_str_eq(v->spec, full_instance.spec);
	ck_assert_str_eq(v->host_json, full_instance.host_json);
	ck_assert_str_eq(v->container_id, full_instance.container_id);
	ck_assert_str_eq(v->image, full_instance.image);
	ck_assert_str_eq(v->config_path, full_instance.config_path);
	ck_assert_str_eq(v->config_sha256, full_instance.config_sha256);
	ck_assert_int_eq(v->config_size, full_instance.config_size);
	ck_assert_str_eq(v->config_mtime, full_instance.config_mtime);
	ck_assert_str_eq(v->accepted, full_instance.accepted);
	ck_assert_str_eq(v->memory, full_instance.memory);
	ck_assert_int_eq(v->changed_at_ms, full_instance.changed_at_ms);
	ck_assert_int_eq(v->error_kind, full_instance.error_kind);
	ck_assert_str_eq(v->error_message, full_instance.error_message);
	ck_assert_int_eq(v->error_since_ms, full_instance.error_since_ms);
	ck_assert_int_eq(v->attempts, full_instance.attempts);
	ck_assert_str_eq(v->in_force, full_instance.in_force);
	ck_assert_str_eq(v->former, full_instance.former);
	ck_assert_str_eq(v->next_version, full_instance.next_version);
	ck_assert_int_eq(v->rollout, full_instance.rollout);
	ck_assert_int_eq(v->served, full_instance.served);
	store_instance_clear(v);
	ck_assert_ptr_null(v->host_url);
	store_instances_free(v, n);
	store_close(store);
}
END_TEST

START_TEST(what_is_not_known_of_an_instance_stays_unknown)
{
	struct store *store = open_store(NULL);
	struct store_instance row = {.host_url = "direct", .engine = "/e", .name = "n", .config_size = -1},
			      *v;
	size_t n;

	store_put_instance(store, &row);
	ck_assert_int_eq(store_load_instances(store, &v, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_ptr_null(v->container_id);
	ck_assert_ptr_null(v->config_sha256);
	ck_assert_ptr_null(v->config_mtime);
	ck_assert_ptr_null(v->error_message);
	ck_assert_ptr_null(v->memory);
	ck_assert_int_eq(v->config_size, -1);
	store_instances_free(v, n);
	store_close(store);
}
END_TEST

START_TEST(an_instance_is_told_apart_by_host_engine_and_name)
{
	static const char *const keys[][3] = {{"h1", "e1", "n1"},
					      {"h1", "e1", "n2"},
					      {"h1", "e2", "n1"},
					      {"h2", "e1", "n1"},
					      {"h1", "e1", "n1"}};
	struct store *store = open_store(NULL);
	struct store_instance *v;
	size_t n;

	for (int i = 0; i < 5; i++) {
		struct store_instance row = {.host_url = (char *)keys[i][0],
					     .engine = (char *)keys[i][1],
					     .name = (char *)keys[i][2],
					     .attempts = i};

		store_put_instance(store, &row);
	}
	store_delete_instance(store, "h1", "e2", "n1");
	ck_assert_int_eq(store_load_instances(store, &v, &n, &err), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_str_eq(v[0].name, "n1");
	ck_assert_int_eq(v[0].attempts, 4);
	ck_assert_str_eq(v[1].name, "n2");
	ck_assert_str_eq(v[2].host_url, "h2");
	store_instances_free(v, n);
	store_close(store);
}
END_TEST

START_TEST(events_are_numbered_on_across_restarts)
{
	struct store *store = open_store(NULL);
	struct store_event *v;
	size_t n;

	ck_assert_int_eq(add_event(store, "prod", "one"), 1);
	ck_assert_int_eq(add_event(store, NULL, "two"), 2);
	store_close(store);
	store = open_store(NULL);
	ck_assert_int_eq(add_event(store, "prod", "three"), 3);
	ck_assert_int_eq(add_event(store, "dev", "four"), 4);

	ck_assert_int_eq(store_load_events(store, 0, NULL, SIZE_MAX, &v, &n, &err), 0);
	ck_assert_uint_eq(n, 4);
	ck_assert_str_eq(v[0].message, "one");
	ck_assert_str_eq(v[0].level, "info");
	ck_assert_str_eq(v[0].type, "created");
	ck_assert_str_eq(v[0].spec, "prod");
	ck_assert_ptr_null(v[0].instance);
	ck_assert_int_eq(v[0].time_ms, 1767312000123);
	ck_assert_ptr_null(v[1].spec);
	ck_assert_str_eq(v[3].message, "four");
	store_events_free(v, n);

	ck_assert_int_eq(store_load_events(store, 1, "prod", 10, &v, &n, &err), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(v[0].id, 3);
	store_events_free(v, n);

	ck_assert_int_eq(store_load_events(store, 0, NULL, 2, &v, &n, &err), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(v[1].id, 2);
	store_events_free(v, n);
	store_close(store);
}
END_TEST

START_TEST(the_tail_of_the_events_is_found)
{
	struct store *store = open_store(NULL);

	ck_assert_int_eq(store_events_tail(store, NULL, 3), 0);
	for (int i = 0; i < 10; i++)
		add_event(store, i % 2 ? "odd" : "even", "x");
	ck_assert_int_eq(store_events_tail(store, NULL, 0), 10);
	ck_assert_int_eq(store_events_tail(store, NULL, 3), 7);
	ck_assert_int_eq(store_events_tail(store, NULL, SIZE_MAX), 0);
	/* The odd ones are 2, 4, .. 10. */
	ck_assert_int_eq(store_events_tail(store, "odd", 2), 6);
	store_close(store);
}
END_TEST

START_TEST(only_the_newest_events_are_kept)
{
	struct store *store = open_store(NULL);
	struct store_event *v;
	size_t n;

	for (int i = 0; i < STORE_MAX_EVENTS / 2; i++)
		add_event(store, NULL, "early");
	ck_assert_int_eq(store_flush(store, &err), 0);
	for (int i = 0; i < STORE_MAX_EVENTS; i++)
		add_event(store, NULL, "late");
	ck_assert_int_eq(store_load_events(store, 0, NULL, SIZE_MAX, &v, &n, &err), 0);
	ck_assert_uint_ge(n, STORE_MAX_EVENTS - STORE_TRIM_EVENTS);
	ck_assert_uint_le(n, STORE_MAX_EVENTS);
	ck_assert_int_eq(v[n - 1].id, STORE_MAX_EVENTS / 2 + STORE_MAX_EVENTS);
	ck_assert_str_eq(v[0].message, "late");
	store_events_free(v, n);
	store_close(store);
}
END_TEST

static void add_events_of(struct store *store, const char *spec, const char *host, int n)
{
	struct store_event event = {.time_ms = 1,
				    .level = "info",
				    .spec = (char *)spec,
				    .host = (char *)host,
				    .type = "created",
				    .message = "x"};

	for (int i = 0; i < n; i++)
		store_add_event(store, &event);
	ck_assert_int_eq(store_flush(store, &err), 0);
}

static size_t count_events_of(struct store *store, const char *spec, const char *host)
{
	struct store_event *v;
	size_t n, count = 0;

	ck_assert_int_eq(store_load_events(store, 0, spec, SIZE_MAX, &v, &n, &err), 0);
	for (size_t i = 0; i < n; i++)
		count += v[i].host && strcmp(v[i].host, host) == 0;
	store_events_free(v, n);
	return count;
}

START_TEST(a_flood_takes_nothing_of_what_others_had)
{
	struct store *store = open_store(NULL);
	struct store_event *v;
	size_t n;

	add_events_of(store, "small", "h1", 20);
	add_events_of(store, "prod", "h1", 30);
	add_events_of(store, "prod", "h2", 40);
	add_events_of(store, NULL, "h2", 10);
	/* Of a host, of a host within a spec, and of a spec with many hosts. */
	for (int i = 0; i < 12; i++) {
		char *host = xasprintf("many%d", i);

		add_events_of(store, NULL, "flood", 1000);
		add_events_of(store, "prod", "flood", 1000);
		add_events_of(store, "large", host, 1000);
		free(host);
	}
	ck_assert_uint_eq(count_events_of(store, "small", "h1"), 20);
	ck_assert_uint_eq(count_events_of(store, "prod", "h1"), 30);
	ck_assert_uint_eq(count_events_of(store, "prod", "h2"), 40);
	ck_assert_uint_eq(count_events_of(store, NULL, "h2"), 50);
	ck_assert_uint_gt(count_events_of(store, "large", "many0"), 100);
	ck_assert_int_eq(store_load_events(store, 0, NULL, SIZE_MAX, &v, &n, &err), 0);
	ck_assert_uint_le(n, STORE_MAX_EVENTS);
	ck_assert_uint_ge(n, STORE_MAX_EVENTS - STORE_TRIM_EVENTS);
	store_events_free(v, n);
	store_close(store);
}
END_TEST

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

START_TEST(it_is_durable_and_logged_ahead)
{
	struct store *store = open_store(NULL);
	char *wal = in_dir("apilbd.db-wal");
	struct stat st;

	put_spec(store, "a", "x");
	ck_assert_int_eq(store_flush(store, &err), 0);
	ck_assert_int_eq(stat(wal, &st), 0);
	ck_assert_int_gt(st.st_size, 0);
	free(wal);
	store_close(store);
}
END_TEST

START_TEST(what_was_committed_survives_a_kill)
{
	int pipe_fd[2], status;
	struct store *store;
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(pipe_fd), 0);
	pid = fork();
	if (pid == 0) {
		store = open_store(NULL);
		for (int i = 0; i < 100; i++) {
			add_event(store, NULL, "committed");
			if (store_flush(store, &err) < 0)
				_exit(1);
		}
		add_event(store, NULL, "not committed");
		if (write(pipe_fd[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	ck_assert_int_eq(read(pipe_fd[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	store = open_store(NULL);
	ck_assert_int_eq(store_events_tail(store, NULL, 0), 100);
	store_close(store);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}
END_TEST

START_TEST(the_loop_commits_once_a_turn)
{
	struct event_base *base = event_base_new();
	struct store *store = open_store(base), *other;
	char *copy = temp_path("copy"), *command;

	put_spec(store, "a", "x");
	put_spec(store, "b", "x");
	add_event(store, NULL, "x");
	event_base_loop(base, EVLOOP_ONCE);
	/* Nothing is left to do, and a copy of the files holds all of it. */
	ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
	command = xasprintf("cp -r %s %s", dir, copy);
	ck_assert_int_eq(system(command), 0);
	free(dir);
	dir = copy;
	other = open_store(NULL);
	ck_assert_uint_eq(count_specs(other), 2);
	ck_assert_int_eq(store_events_tail(other, NULL, 0), 1);
	store_close(other);
	store_close(store);
	event_base_free(base);
	free(command);
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

static void make_filled(void)
{
	struct store *store = open_store(NULL);

	for (int i = 0; i < 200; i++)
		add_event(store, NULL,
			  "something to fill some pages of the file with, so that it has an inside");
	put_spec(store, "a", "x");
	store_close(store);
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

static void assert_meta(struct store *store, const char *name, const char *value)
{
	char *got = store_get_meta(store, name);

	ck_assert_pstr_eq(got, value);
	free(got);
}

START_TEST(values_are_kept_by_name)
{
	struct store *store = open_store(NULL);

	assert_meta(store, "a", NULL);
	store_put_meta(store, "a", "1");
	store_put_meta(store, "b", "2");
	assert_meta(store, "a", "1");
	store_put_meta(store, "a", "3");
	store_close(store);
	store = open_store(NULL);
	assert_meta(store, "a", "3");
	assert_meta(store, "b", "2");
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

/* dir becomes a small file system of its own. */
static void mount_small(const char *options)
{
	char *mnt = temp_path("mnt");

	ck_assert_int_eq(mkdir(mnt, 0700), 0);
	ck_assert_msg(mount("apilb", mnt, "tmpfs", 0, options) == 0, "mount: %s", strerror(errno));
	free(dir);
	dir = xasprintf("%s/state", mnt);
	free(mnt);
}

static void fill_disk(void)
{
	char *path = temp_path("mnt/ballast");
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	static char block[4096];

	while (write(fd, block, sizeof(block)) > 0)
		;
	ck_assert_int_eq(errno, ENOSPC);
	close(fd);
	free(path);
}

static void free_disk(void)
{
	char *path = temp_path("mnt/ballast");

	ck_assert_int_eq(unlink(path), 0);
	free(path);
}

/* More than what the write-ahead log has room for already. */
static void put_much(struct store *store)
{
	char *text = xcalloc(1, 200001);

	memset(text, 'x', 200000);
	put_spec(store, "big", text);
	free(text);
}

START_TEST(a_full_disk_loses_nothing_and_is_seen)
{
	struct store *store;

	mount_small("size=1m");
	store = open_store(NULL);
	put_spec(store, "before", "x");
	ck_assert_int_eq(store_flush(store, &err), 0);
	ck_assert_ptr_null(store_trouble(store));
	fill_disk();

	put_much(store);
	add_event(store, NULL, "while full");
	ck_assert_int_eq(store_flush(store, &err), -1);
	ck_assert_msg(strstr(err.message, "no space left") != NULL, "%s", err.message);
	ck_assert_str_eq(store_trouble(store), err.message);
	/* What is pending can still be read, changed and deleted. */
	ck_assert_uint_eq(count_specs(store), 2);
	store_delete_spec(store, "before");
	ck_assert_uint_eq(count_specs(store), 1);
	ck_assert_int_eq(store_flush(store, &err), -1);
	ck_assert_ptr_nonnull(store_trouble(store));

	free_disk();
	ck_assert_msg(store_flush(store, &err) == 0, "%s", err.message);
	ck_assert_ptr_null(store_trouble(store));
	store_close(store);
	store = open_store(NULL);
	ck_assert_uint_eq(count_specs(store), 1);
	ck_assert_int_eq(store_events_tail(store, NULL, 0), 1);
	store_close(store);
}
END_TEST

static void stop_loop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static void run_loop(struct event_base *base, int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_base_once(base, -1, EV_TIMEOUT, stop_loop, base, &tv);
	event_base_dispatch(base);
}

START_TEST(the_loop_tries_again_each_second)
{
	struct event_base *base = event_base_new();
	struct store *store;

	mount_small("size=1m");
	store = open_store(base);
	fill_disk();
	put_much(store);
	run_loop(base, 300);
	ck_assert_ptr_nonnull(store_trouble(store));
	free_disk();
	run_loop(base, 1200);
	ck_assert_ptr_null(store_trouble(store));
	store_close(store);
	event_base_free(base);
}
END_TEST

START_TEST(events_do_not_pile_up_while_the_disk_is_full)
{
	struct store *store;
	struct store_event *v;
	size_t n;

	mount_small("size=4m");
	store = open_store(NULL);
	fill_disk();
	for (int i = 0; i < STORE_MAX_EVENTS + 500; i++)
		add_event(store, NULL, "x");
	ck_assert_int_eq(store_flush(store, &err), -1);
	ck_assert_int_eq(store_load_events(store, 0, NULL, SIZE_MAX, &v, &n, &err), 0);
	ck_assert_uint_le(n, STORE_MAX_EVENTS);
	ck_assert_int_gt(v[0].id, 500);
	ck_assert_int_eq(v[n - 1].id, STORE_MAX_EVENTS + 500);
	store_events_free(v, n);
	store_close(store);
}
END_TEST

START_TEST(a_new_store_on_a_full_disk_is_refused)
{
	mount_small("size=64k");
	fill_disk();
	assert_refused("no space left");
}
END_TEST

START_TEST(a_read_only_directory_is_refused_in_words)
{
	char *mnt = temp_path("mnt");

	mount_small("size=4m");
	make_filled();
	ck_assert_int_eq(mount("", mnt, "", MS_REMOUNT | MS_RDONLY, ""), 0);
	assert_refused("read-only file system");
	ck_assert_int_eq(mount("", mnt, "", MS_REMOUNT, ""), 0);
	store_close(open_store(NULL));
	free(mnt);
}
END_TEST

START_TEST(a_store_locked_by_another_program_is_trouble_that_passes)
{
	struct store *store = open_store(NULL);
	char *path = in_dir("apilbd.db");
	sqlite3 *other;

	store_put_meta(store, "kept", "1");
	store_put_meta(store, "gone", "1");
	ck_assert_int_eq(store_flush(store, &err), 0);
	ck_assert_int_eq(sqlite3_open(path, &other), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	put_spec(store, "a", "x");
	ck_assert_int_eq(store_flush(store, &err), -1);
	ck_assert_int_eq(err.kind, ERR_CONFLICT);
	ck_assert_ptr_nonnull(strstr(err.message, "another program keeps it locked"));
	ck_assert_ptr_nonnull(strstr(store_trouble(store), "another program keeps it locked"));
	/* What is read one by one is still read: written before, put since, and deleted since. */
	assert_meta(store, "kept", "1");
	store_put_meta(store, "kept", "2");
	assert_meta(store, "kept", "2");
	store_put_meta(store, "gone", NULL);
	assert_meta(store, "gone", NULL);
	sqlite3_close(other);
	ck_assert_int_eq(store_flush(store, &err), 0);
	ck_assert_uint_eq(count_specs(store), 1);
	assert_meta(store, "kept", "2");
	assert_meta(store, "gone", NULL);
	store_close(store);
	free(path);
}
END_TEST

START_TEST(closing_nothing_is_fine)
{
	store_close(NULL);
	store_specs_free(NULL, 0);
	store_instances_free(NULL, 0);
	store_events_free(NULL, 0);
}
END_TEST

/* loops: how often each is run, with _i from 0 on. */
static void add_case(Suite *suite, const char *name, int loops, const TTest *const *tests, size_t n)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < n; i++)
		tcase_add_loop_test(tcase, tests[i], 0, loops);
	suite_add_tcase(suite, tcase);
}

#define CASE(suite, name, ...) CASE_OF(suite, name, 1, __VA_ARGS__)
#define CASE_OF(suite, name, loops, ...)                                  \
	add_case(suite, name, loops, (const TTest *const[]){__VA_ARGS__}, \
		 sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(const TTest *))

int main(void)
{
	Suite *suite = suite_create("store");

	CASE(suite, "rows", a_spec_comes_back_byte_by_byte, the_last_put_of_a_row_wins_and_a_deletion_counts,
	     every_field_of_an_instance_comes_back, what_is_not_known_of_an_instance_stays_unknown,
	     an_instance_is_told_apart_by_host_engine_and_name);
	CASE(suite, "events", events_are_numbered_on_across_restarts, the_tail_of_the_events_is_found,
	     only_the_newest_events_are_kept, a_flood_takes_nothing_of_what_others_had);
	CASE(suite, "files", nobody_else_can_read_the_files_whatever_the_umask,
	     files_that_were_left_open_to_others_are_closed, deleted_secrets_leave_the_file,
	     a_second_daemon_is_told_who_is_there, a_missing_parent_is_named,
	     a_file_in_place_of_the_directory_is_refused, a_directory_in_place_of_the_database_is_refused,
	     a_directory_of_somebody_else_is_refused, closing_nothing_is_fine);
	CASE_OF(suite, "traps", sizeof(own_files) / sizeof(own_files[0]),
		a_link_in_place_of_a_file_is_refused, a_file_with_a_second_name_is_refused,
		a_pipe_in_place_of_a_file_is_refused, a_file_of_somebody_else_is_refused);
	CASE(suite, "owner", a_directory_that_others_may_write_is_refused,
	     a_directory_that_belongs_to_somebody_else_is_refused,
	     a_link_to_the_directory_is_fine_unless_it_is_somebody_elses);
	CASE(suite, "commits", it_is_durable_and_logged_ahead, what_was_committed_survives_a_kill,
	     the_loop_commits_once_a_turn, a_store_locked_by_another_program_is_trouble_that_passes);
	CASE(suite, "damage", a_file_that_is_no_database_is_set_aside,
	     a_file_with_a_damaged_head_is_set_aside, a_file_with_a_damaged_inside_is_set_aside,
	     a_truncated_file_is_set_aside, a_file_with_another_schema_is_set_aside,
	     an_empty_file_is_a_new_store);
	CASE(suite, "schema", a_newer_schema_is_refused_and_kept,
	     a_store_of_the_first_schema_is_brought_forward, what_every_row_has_is_never_null,
	     a_store_of_the_schema_before_remembers_nothing, values_are_kept_by_name,
	     a_schema_moves_forward_step_by_step);
	CASE(suite, "disk", a_full_disk_loses_nothing_and_is_seen, the_loop_tries_again_each_second,
	     events_do_not_pile_up_while_the_disk_is_full, a_new_store_on_a_full_disk_is_refused,
	     a_read_only_directory_is_refused_in_words);
	return suite_run(suite);
}
