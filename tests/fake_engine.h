/*
 * The Docker Engine API of a fake machine, and the stats sockets of its
 * HAProxies, on Unix sockets in a directory of its own, served by the test's own
 * event loop.
 *
 * Any request can be made to fail, in the ways that requests fail: the
 * connection ends before it is read, after it was carried out and before the
 * answer, the engine says no, or it never says anything.
 */
#ifndef APILB_TESTS_FAKE_ENGINE_H
#define APILB_TESTS_FAKE_ENGINE_H

#include "daemon/io/stream/stream.h"
#include "tests/fake_machine.h"

struct event_base;
struct fake_engine;

enum fake_fault { FAULT_CUT_BEFORE, FAULT_CUT_AFTER, FAULT_REFUSED, FAULT_SILENT, FAULT_DISK_FULL, FAULTS };

extern const char *const fake_fault_names[FAULTS];

struct fake_engine *fake_engine_new(struct event_base *base, struct fake_machine *machine);
void fake_engine_free(struct fake_engine *engine);

/* The nth request from now on fails, and all after it go well. 0: none. */
void fake_engine_fail(struct fake_engine *engine, size_t nth, enum fake_fault how);
/* Whether it came to that. */
bool fake_engine_has_failed(const struct fake_engine *engine);
/* Since the start. */
size_t fake_engine_requests(const struct fake_engine *engine);
/* How often a request left no HAProxy that takes connections where there was one before it. */
size_t fake_engine_outages(const struct fake_engine *engine);

/* What a HAProxy has to say on its stats socket. */
enum fake_mouth {
	MOUTH_SPEAKS,
	MOUTH_SLOW,
	MOUTH_SILENT,
	MOUTH_DRIPS,
	MOUTH_HALF,
	MOUTH_GARBAGE,
	MOUTH_REFUSES,
	MOUTH_FORBIDS, /* whoever asks may not open the socket */
	MOUTHS
};
/* That one's whose socket has this token; NULL: everybody's. */
void fake_engine_gag(struct fake_engine *engine, const char *token, enum fake_mouth mouth);
/* And everybody else's. */
void fake_engine_gag_others(struct fake_engine *engine, enum fake_mouth mouth);
/* Connections to that socket are taken. */
bool fake_engine_listens(const struct fake_engine *engine, const char *token);

/* As struct job_options wants it; arg is the fake engine. */
struct stream_opening *fake_engine_open(void *arg, const char *path, int64_t timeout_ms, stream_open_cb *cb,
					void *cb_arg);

/* Where the engine listens, for who opens it by itself. The caller frees. */
char *fake_engine_socket(const struct fake_engine *engine);

#endif
