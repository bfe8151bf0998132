/*
 * The daemon, all but its main, over hosts in memory: a spec directory, a store and
 * a control socket in a temporary directory, SSH sessions as fake_ssh.h gives
 * them, an engine each, and a clock that turns by itself. What a test sees is
 * what an operator sees: specs in, containers and answers out.
 *
 * Hosts are called h1, h2, ... There is one lab in a process.
 */
#ifndef APILB_TESTS_FLEET_LAB_H
#define APILB_TESTS_FLEET_LAB_H

#include <check.h>

#include "daemon/fleet/fleet.h"
#include "daemon/rollout/rollouts.h"
#include "tests/fake_engine.h"
#include "tests/fake_ssh.h"

#define LAB_OLD "haproxy:2.6"
#define LAB_NEW "haproxy:3.0"
#define LAB_BAD "haproxy:0.0" /* of no registry */

struct json_object;

extern struct lab {
	struct event_base *base;
	struct settings settings; /* of the next start; resync_ms and those that can change: of now */
	struct fleet *fleet;      /* NULL: the daemon does not run */
	size_t quiet;             /* how often it was */
	bool hasty;               /* files are written, and it is not waited for that they are read */
	void (*before_load)(
		void); /* in a start, when the store is recalled and no spec read yet; NULL: nothing */
	size_t hosts;
} lab;

void lab_open(size_t hosts);
void lab_close(void);
/* The daemon, with what the store and the directory hold. */
void lab_start(void);
/* As SIGTERM does it, at any moment. */
void lab_stop(void);

/* A version of a spec is written, and read when the daemon runs; gone likewise. */
void lab_write(const char *spec, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void lab_remove(const char *spec);
/* The spec "prod": a balancer "lb" on each of h1 to hN, with this image and these lines at the top. */
void lab_write_prod(size_t hosts, const char *image, const char *lines);
/* Path of a file of the spec directory. The caller frees. */
char *lab_spec_path(const char *file);

struct fake_machine *lab_machine(size_t host);
struct fake_engine *lab_engine(size_t host);
/* NULL: there is none of this name. */
struct fake_container *lab_container(size_t host, const char *name);
/* How many containers there are. */
size_t lab_containers(size_t host);
/* lb runs there with this image. */
bool lab_runs(size_t host, const char *image);
/* How many of all hosts run it. */
size_t lab_count(const char *image);

/* Lets so much time pass. */
void lab_pass(int64_t ms);
/* Turns the loop until it holds, or, with a question to the daemon in it, looks twice a second. Fails after
 * 20 minutes of the lab's own time. */
#define LAB_UNTIL(condition) LAB_DO_UNTIL(condition, (void)0)
#define LAB_ASK_UNTIL(condition) LAB_DO_UNTIL(condition, lab_pass(500))
#define LAB_DO_UNTIL(condition, step)                                                                \
	do {                                                                                         \
		int64_t lab_limit = lab_limit_ms();                                                  \
                                                                                                     \
		while (!(condition)) {                                                               \
			ck_assert_msg(lab_turn(lab_limit), "never: " #condition "\n%s", lab_told()); \
			step;                                                                        \
		}                                                                                    \
	} while (0)
int64_t lab_limit_ms(void);
bool lab_turn(int64_t limit_ms);
/* The last events, for messages of tests; until it is called again. */
const char *lab_told(void);
/* Until all is as the specs want it, and no rollout goes on. */
void lab_converge(void);

/* A client of the control socket. */
struct lab_client;
struct lab_client *lab_ask(const char *method, const char *path);
/* What has come so far; until the loop turns. */
const char *lab_heard(const struct lab_client *client);
bool lab_is_answered(const struct lab_client *client);
void lab_hang_up(struct lab_client *client);

/* One question and its answer: the status; *body is the caller's to free, if it is not NULL. */
int lab_get(const char *path, char **body);
int lab_post(const char *path, char **body);
/* Of an answer of 200 or 202, the JSON; the caller puts it. */
struct json_object *lab_json(const char *method, const char *path);

/* Of the status of the balancer NAME on that host; "" when it has none. Until it is called again. */
const char *lab_phase(size_t host, const char *name);
/* Its last error; "": none. */
const char *lab_error(size_t host, const char *name);
/* Of a spec's rollout: "rolling", "paused", "halted", "reverted"; "": none. */
const char *lab_rollout(const char *spec);
/* How many events of this type there are, with these words in them. */
size_t lab_events(const char *type, const char *words);

#endif
