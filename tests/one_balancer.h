/*
 * One balancer by itself, with a store and events: what is remembered of it from one run to the next.
 */
#ifndef APILB_TESTS_ONE_BALANCER_H
#define APILB_TESTS_ONE_BALANCER_H

#include "daemon/instance/instance.h"

extern struct event_base *base;
extern struct store *store;
extern struct events *events;
extern struct instance *instance;
extern char some_version[SHA256_HEX_SIZE]; /* of the last that some_wanted() has made */

/* The caller unrefs. */
struct wanted *some_wanted(void);
/* As a store has it in which this was the matter. The caller frees. */
struct instance *instance_with(enum err_kind kind, const char *message);

/* A fixture of each test. */
void balancer_setup(void);
void balancer_teardown(void);
/* The daemon ends, and another one begins with what it has written down. */
void balancer_restart(void);

/* A run has seen a container with this id. */
void balancer_met(struct job_target *target, const char *id);
struct silence_clock ago(int64_t ms);

#endif
