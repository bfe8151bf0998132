#include "tests/wire.h"

#include <check.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/socket.h>

#include "common/mem.h"
#include "daemon/io/clock.h"

void wire_open(struct wire *wire, enum wire_kind kind)
{
	struct bufferevent *pair[2];
	int fds[2];

	signal(SIGPIPE, SIG_IGN); /* as the daemon does: libevent writes with write(2) */
	wire->kind = kind;
	wire->base = event_base_new();
	if (kind == WIRE_PAIR) {
		ck_assert_int_eq(bufferevent_pair_new(wire->base, 0, pair), 0);
	} else {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		for (int i = 0; i < 2; i++)
			pair[i] = bufferevent_socket_new(wire->base, fds[i], BEV_OPT_CLOSE_ON_FREE);
	}
	wire->client = pair[0];
	wire->server = pair[1];
	bufferevent_enable(wire->server, EV_READ | EV_WRITE);
}

void wire_close(struct wire *wire)
{
	if (wire->server)
		bufferevent_free(wire->server);
	wire->server = NULL;
	event_base_loop(wire->base, EVLOOP_NONBLOCK);
	event_base_free(wire->base);
}

void wire_spin(struct wire *wire)
{
	for (int i = 0; i < 10; i++)
		event_base_loop(wire->base, EVLOOP_NONBLOCK);
}

void wire_wait(struct wire *wire, const bool *done, int ms)
{
	int64_t end = clock_ms() + ms;

	while (!*done && clock_ms() < end) {
		event_base_loopexit(wire->base, &(struct timeval){.tv_usec = 5000});
		event_base_loop(wire->base, 0);
	}
}

void wire_say(struct wire *wire, const void *data, size_t len)
{
	bufferevent_write(wire->server, data, len);
	wire_spin(wire);
}

void wire_end(struct wire *wire)
{
	if (wire->kind == WIRE_PAIR)
		bufferevent_flush(wire->server, EV_WRITE, BEV_FINISHED);
	else
		shutdown(bufferevent_getfd(wire->server), SHUT_WR);
	wire_spin(wire);
}

void wire_say_and_end(struct wire *wire, const void *data, size_t len)
{
	if (wire->kind == WIRE_PAIR)
		bufferevent_write(wire->server, data, len);
	else
		ck_assert_int_eq(send(bufferevent_getfd(wire->server), data, len, 0), (ssize_t)len);
	wire_end(wire);
}

char *wire_heard(struct wire *wire)
{
	struct evbuffer *input = bufferevent_get_input(wire->server);
	size_t len = evbuffer_get_length(input);
	char *heard = xcalloc(1, len + 1);

	evbuffer_remove(input, heard, len);
	return heard;
}
