/*
 * Both ends of a stream in one event loop: the code under test has one, the
 * test plays the other side. Everything in it happens at once, so a spin of the
 * loop is enough for whatever was said to arrive.
 */
#ifndef APILB_TESTS_WIRE_H
#define APILB_TESTS_WIRE_H

#include <stdbool.h>
#include <stddef.h>

struct bufferevent;
struct event_base;

/* What streams are made of: sockets, and pairs (the channels of an SSH session), which behave differently in
 * places: no descriptor, deferred callbacks. */
enum wire_kind { WIRE_SOCKET, WIRE_PAIR, WIRE_KINDS };

struct wire {
	enum wire_kind kind;
	struct event_base *base;
	struct bufferevent *client; /* for the code under test, which frees it */
	struct bufferevent *server;
};

void wire_open(struct wire *wire, enum wire_kind kind);
/* The server's end is closed, if it is still open; the client's is not. */
void wire_close(struct wire *wire);

void wire_spin(struct wire *wire);
/* Turns the loop until *done, but not for more than ms. */
void wire_wait(struct wire *wire, const bool *done, int ms);

void wire_say(struct wire *wire, const void *data, size_t len);
void wire_end(struct wire *wire);                                       /* the server says no more: EOF */
void wire_say_and_end(struct wire *wire, const void *data, size_t len); /* both arrive together */
/* What the server has heard since it was last asked; the caller frees it. */
char *wire_heard(struct wire *wire);

#endif
