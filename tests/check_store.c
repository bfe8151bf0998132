/* The store: what is put is there again, whatever happens to the process or the disk. */
#include <check.h>
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
#include "daemon/io/store/store_db.h"
#include "tests/store_lab.h"
#include "tests/suite.h"
#include "tests/temp.h"

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

int main(void)
{
	Suite *suite = suite_create("store");

	CASE(suite, "rows", a_spec_comes_back_byte_by_byte, the_last_put_of_a_row_wins_and_a_deletion_counts,
	     every_field_of_an_instance_comes_back, what_is_not_known_of_an_instance_stays_unknown,
	     an_instance_is_told_apart_by_host_engine_and_name, values_are_kept_by_name);
	CASE(suite, "events", events_are_numbered_on_across_restarts, the_tail_of_the_events_is_found,
	     only_the_newest_events_are_kept, a_flood_takes_nothing_of_what_others_had);
	CASE(suite, "commits", it_is_durable_and_logged_ahead, what_was_committed_survives_a_kill,
	     the_loop_commits_once_a_turn, a_store_locked_by_another_program_is_trouble_that_passes,
	     closing_nothing_is_fine);
	CASE(suite, "disk", a_full_disk_loses_nothing_and_is_seen, the_loop_tries_again_each_second,
	     events_do_not_pile_up_while_the_disk_is_full, a_new_store_on_a_full_disk_is_refused,
	     a_read_only_directory_is_refused_in_words);
	return suite_run(suite);
}
