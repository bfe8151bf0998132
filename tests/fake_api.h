/*
 * One request to the Engine API of a fake machine: what is asked, and what is
 * answered. fake_engine.h decides whether it gets there, and the answer back.
 */
#ifndef APILB_TESTS_FAKE_API_H
#define APILB_TESTS_FAKE_API_H

#include <event2/keyvalq_struct.h>

#include "tests/fake_engine.h"

struct evbuffer;
struct evhttp_request;

struct fake_turn {
	struct fake_engine *engine;
	struct fake_machine *machine;
	struct evhttp_request *request;
	struct evkeyvalq query;
	char *kind;    /* the first word of the path: "containers" */
	char *subject; /* container or image */
	char *what;    /* "start", "archive"; "": the thing itself */
	struct fake_container *container;
	struct evbuffer *body;
	int status;
};

/* With engine, machine and request set. */
void fake_turn_begin(struct fake_turn *turn);
/* Does what is asked of the machine, and fills in the answer. */
void fake_turn_serve(struct fake_turn *turn);
/* The answer is this error. */
void fake_turn_say(struct fake_turn *turn, int status, const char *message);
/* In the machine's history, if it may have changed something. */
void fake_turn_remember(struct fake_turn *turn);
void fake_turn_end(struct fake_turn *turn);

#endif
