/* A control socket with a few routes, and clients of it: real sockets, and the loop turned between their
 * steps. */
#ifndef APILB_TESTS_CONTROL_LAB_H
#define APILB_TESTS_CONTROL_LAB_H

#include <check.h>
#include <event2/event.h>
#include <stddef.h>
#include <unistd.h>

#include "common/err.h"
#include "daemon/io/clock.h"
#include "daemon/io/control/control.h"
#include "daemon/io/control/control_request.h"

/* Only ends what hangs. */
#define LIMIT_MS 60000
#define BIG_BYTES (8u << 20)

extern struct event_base *base;
extern struct control *control;
extern char *path;
extern struct err err;

/* What the handlers leave for the test. */
extern struct control_request *held; /* by the route that answers later, or streams */
extern int gone_count;
extern int handled_count;

extern const struct control_route routes[];
void start(void);

void turn(void);
/* Turns the loop until the condition holds, or the test fails. */
#define TURN_UNTIL(condition)                                                       \
	do {                                                                        \
		int64_t limit = clock_ms() + LIMIT_MS;                              \
		while (!(condition)) {                                              \
			ck_assert_msg(clock_ms() < limit, "never: %s", #condition); \
			turn();                                                     \
			usleep(200);                                                \
		}                                                                   \
	} while (0)
void settle(void);
int connect_to(const char *where);
int client(void);
void say_bytes(int fd, const char *text, size_t len);
void say(int fd, const char *text);

/* What has come so far from one client; text ends in a NUL. */
struct heard {
	char *text;
	size_t len;
	bool end; /* the server has closed */
};

void hear(int fd, struct heard *heard);
/* Until this has been heard; dies if it never is. */
void hear_until(int fd, struct heard *heard, const char *words);
void hear_end(int fd, struct heard *heard);
void forget(struct heard *heard);
/* Asks on a connection of its own, and closes it. */
struct heard ask(const char *request);
void assert_has(const struct heard *heard, const char *words);
void assert_begins(const struct heard *heard, const char *words);
/* Whatever happened before, the next client is served. */
void assert_serves(void);

TCase *add_case(Suite *suite, const char *name);
#define ADD(tcase, ...)                                           \
	do {                                                      \
		static const TTest *const *list;                  \
		list = (const TTest *const[]){__VA_ARGS__, NULL}; \
		for (; *list; list++)                             \
			tcase_add_test(tcase, *list);             \
	} while (0)

#endif
