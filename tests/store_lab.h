/* A store in a directory of its own, for the suites about it. */
#ifndef APILB_TESTS_STORE_LAB_H
#define APILB_TESTS_STORE_LAB_H

#include <check.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/io/store/store.h"

extern char *dir;
extern struct err err;
extern const struct store_instance full_instance;

char *in_dir(const char *name);
/* Opens without a warning, or fails the test. */
struct store *open_store(struct event_base *base);
void assert_refused(const char *words);
void put_spec(struct store *store, const char *name, const char *text);
int64_t add_event(struct store *store, const char *spec, const char *message);
size_t count_specs(struct store *store);
void assert_text(const char *path, const char *expected);
mode_t mode_of(const char *path);
void assert_mode(const char *name, mode_t mode);
/* Changes the database behind the store's back. */
void execute(const char *sql);
/* A store that has been used. */
void make_filled(void);

/* loops: how often each is run, with _i from 0 on. */
void add_case(Suite *suite, const char *name, int loops, const TTest *const *tests, size_t n);
#define CASE(suite, name, ...) CASE_OF(suite, name, 1, __VA_ARGS__)
#define CASE_OF(suite, name, loops, ...)                                  \
	add_case(suite, name, loops, (const TTest *const[]){__VA_ARGS__}, \
		 sizeof((const TTest *const[]){__VA_ARGS__}) / sizeof(const TTest *))

#endif
