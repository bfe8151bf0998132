#include "tests/store_lab.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "tests/temp.h"

char *dir;
struct err err;

const struct store_instance full_instance = {
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

char *in_dir(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

struct store *open_store(struct event_base *base)
{
	char *warning = NULL;
	struct store *store = store_open(base, dir, &warning, &err);

	ck_assert_msg(store != NULL, "%s", err.message);
	ck_assert_ptr_null(warning);
	return store;
}

void assert_refused(const char *words)
{
	char *warning = NULL;

	memset(&err, 0, sizeof(err));
	ck_assert_ptr_null(store_open(NULL, dir, &warning, &err));
	ck_assert_ptr_null(warning);
	ck_assert_msg(strstr(err.message, words) != NULL, "\"%s\" lacks \"%s\"", err.message, words);
}

void put_spec(struct store *store, const char *name, const char *text)
{
	struct store_spec spec = {(char *)name, "/etc/apilb.d/x.yaml", (char *)text, strlen(text)};

	store_put_spec(store, &spec);
}

int64_t add_event(struct store *store, const char *spec, const char *message)
{
	struct store_event event = {.time_ms = 1767312000123,
				    .level = "info",
				    .spec = (char *)spec,
				    .type = "created",
				    .message = (char *)message};

	return store_add_event(store, &event);
}

size_t count_specs(struct store *store)
{
	struct store_spec *v;
	size_t n;

	ck_assert_msg(store_load_specs(store, &v, &n, &err) == 0, "%s", err.message);
	store_specs_free(v, n);
	return n;
}

void assert_text(const char *path, const char *expected)
{
	char text[64] = "";
	FILE *file = fopen(path, "r");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fread(text, 1, sizeof(text) - 1, file), strlen(expected));
	ck_assert_str_eq(text, expected);
	fclose(file);
}

mode_t mode_of(const char *path)
{
	struct stat st;

	ck_assert_msg(stat(path, &st) == 0, "%s: %s", path, strerror(errno));
	return st.st_mode & 07777;
}

void assert_mode(const char *name, mode_t mode)
{
	char *path = in_dir(name);

	ck_assert_int_eq(mode_of(path), mode);
	free(path);
}

void execute(const char *sql)
{
	char *path = in_dir("apilbd.db");
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
	free(path);
}

void make_filled(void)
{
	struct store *store = open_store(NULL);

	for (int i = 0; i < 200; i++)
		add_event(store, NULL,
			  "something to fill some pages of the file with, so that it has an inside");
	put_spec(store, "a", "x");
	store_close(store);
}

void add_case(Suite *suite, const char *name, int loops, const TTest *const *tests, size_t n)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < n; i++)
		tcase_add_loop_test(tcase, tests[i], 0, loops);
	suite_add_tcase(suite, tcase);
}
