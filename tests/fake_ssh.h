/*
 * Sessions with hosts in memory, in the place of daemon/io/ssh/ssh.h.
 *
 * Linked into a test program it takes the place of the floor below: a host is an
 * address and a fake engine. A session is ready a moment after it was asked for, or
 * fails in the way that the host was told to.
 */
#ifndef APILB_TESTS_FAKE_SSH_H
#define APILB_TESTS_FAKE_SSH_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/fake_engine.h"

enum fake_answer {
	ANSWERS_WELL,
	ANSWERS_REFUSING, /* connection refused: ERR_UNREACHABLE */
	ANSWERS_DENYING,  /* authentication refused: ERR_PERMANENT */
	ANSWERS_NEVER,    /* times out after the settings' connection_timeout_ms */
};

/* The engine outlives it. */
void fake_ssh_add(const char *address, struct fake_engine *engine);
void fake_ssh_answer(const char *address, enum fake_answer answer);
/* Sessions that are ready are lost. denied: with an error that somebody must do something about. */
void fake_ssh_lose(const char *address, bool denied);
/* Attempts to connect since it was added, and sessions that are open now. */
size_t fake_ssh_attempts(const char *address);
size_t fake_ssh_sessions(const char *address);
/* All hosts are forgotten; no session may be open. */
void fake_ssh_clear(void);

#endif
