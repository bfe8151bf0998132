/*
 * Requests to the control socket, by any local user who may open it. The first byte says how they are cut
 * and whether the client sends no more at the end.
 */
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/io/control/control.h"
#include "daemon/io/control/control_request.h"
#include "tests/fuzz.h"

static void on_status(void *arg, struct control_request *request)
{
	const char *spec = control_param(request, "spec");

	(void)arg;
	control_reply(request, 200, "text/plain", spec ? spec : "", spec ? strlen(spec) : 0);
}

static struct control_request *stream;

static void on_gone(void *arg)
{
	(void)arg;
	stream = NULL;
}

static void on_events(void *arg, struct control_request *request)
{
	stream = request;
	control_stream(request, "text/plain", on_gone, arg);
	control_stream_write(request, "x\n", 2);
}

static const struct control_route routes[] = {{"GET", "/v1/status", on_status},
					      {"POST", "/v1/reconcile", on_status},
					      {"GET", "/v1/events", on_events},
					      {0}};

static struct event_base *base;
static struct control *control;

static void start(void)
{
	char *path = xasprintf("/tmp/apilb-fuzz-%ld.sock", (long)getpid());
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	control = control_new(base, path, routes, NULL, &err);
	require(control != NULL);
	unlink(path);
	free(path);
}

static void turn(int fd)
{
	char answer[4096];

	for (int i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned choice = fuzz_choice(&data, &size);
	size_t piece = choice >> 1 ? 8 * (size_t)(choice >> 1) : size;
	struct control_requests all = TAILQ_HEAD_INITIALIZER(all);
	int pair[2];

	if (!base)
		start();
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	control_request_new(control, base, pair[0], getuid(), &all, NULL);
	for (size_t at = 0; at < size; at += piece) {
		send(pair[1], data + at, piece < size - at ? piece : size - at, MSG_NOSIGNAL);
		turn(pair[1]);
	}
	if (choice & 1)
		shutdown(pair[1], SHUT_WR);
	turn(pair[1]);
	close(pair[1]);
	for (int i = 0; i < 10 && !TAILQ_EMPTY(&all); i++) {
		/* To a client that had said that it sends no more, only writing tells that it has left. */
		if (stream)
			control_stream_write(stream, "x\n", 2);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	/* The client is gone: so is all that was kept for it. */
	require(TAILQ_EMPTY(&all) && !stream);
	return 0;
}
