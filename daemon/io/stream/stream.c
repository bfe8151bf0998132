#include "daemon/io/stream/stream.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/io/stream/stream_opening.h"

/*
 * One opening: a list of addresses, tried one after the other. The connecting
 * is done by hand instead of by bufferevent_socket_connect(), which may report
 * a failure from within the call.
 */
struct opening {
	struct stream_opening base; /* first: the public face */
	struct event_base *events;
	stream_open_cb *cb;
	void *arg;
	char *name; /* "PATH" or "HOST port N": what its errors begin with */
	int64_t deadline_ms;

	struct lookup *lookup; /* set while the name is being resolved */
	int lookup_error;
	struct evutil_addrinfo *addresses; /* from the look-up; NULL for a Unix socket */
	struct evutil_addrinfo *next;      /* the address to try, or being tried */
	struct sockaddr_un unix_address;
	bool path_too_long;

	int fd;              /* the socket of the attempt under way, or -1 */
	struct event *begin; /* runs begin_event from the loop, never from within a call */
	struct event *attempt;
	struct err failure; /* the failures of all attempts so far */
};

/*
 * evdns calls back, later, even for a cancelled look-up. So it is given this
 * small object, which outlives the opening.
 */
struct lookup {
	struct opening *opening; /* NULL: cancelled */
	struct evdns_getaddrinfo_request *request;
};

void stream_open_cancel(struct stream_opening *opening)
{
	if (opening)
		opening->cancel(opening);
}

const char *stream_open_phase(const struct stream_opening *opening)
{
	return opening->phase(opening);
}

static const char *opening_phase(const struct stream_opening *base)
{
	return ((const struct opening *)base)->lookup ? "resolving" : "connecting";
}

static void opening_free(struct opening *o)
{
	if (o->lookup) {
		o->lookup->opening = NULL;
		evdns_getaddrinfo_cancel(o->lookup->request);
	}
	event_free(o->begin);
	if (o->attempt)
		event_free(o->attempt);
	if (o->fd >= 0)
		close(o->fd);
	if (o->addresses)
		evutil_freeaddrinfo(o->addresses);
	free(o->name);
	free(o);
}

static void opening_cancel(struct stream_opening *base)
{
	opening_free((struct opening *)base);
}

static void succeed(struct opening *o)
{
	stream_open_cb *cb = o->cb;
	void *arg = o->arg;
	struct bufferevent *stream = bufferevent_socket_new(o->events, o->fd, BEV_OPT_CLOSE_ON_FREE);

	if (!stream)
		abort(); /* out of memory */
	o->fd = -1;
	opening_free(o);
	cb(arg, stream, NULL);
}

static void fail(struct opening *o, const struct err *err)
{
	stream_open_cb *cb = o->cb;
	void *arg = o->arg;
	struct err copy = *err;

	err_prefix(&copy, "%s", o->name);
	opening_free(o);
	cb(arg, NULL, &copy);
}

/* Common errors in the words that people search for; the others as the system words them. */
static const char *error_text(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "connection refused";
	case ETIMEDOUT:
		return "timed out while connecting";
	case EHOSTUNREACH:
		return "no route to host";
	case ENETUNREACH:
		return "no route to host: network is unreachable";
	case ENOENT:
		return "no such file or directory";
	case EACCES:
		return "permission denied";
	case EAGAIN:
		return "its queue of connections is full";
	default:
		return strerror(error);
	}
}

/* Where a name has several addresses, the error lists each address with its failure. */
static void note_failure(struct opening *o, const struct evutil_addrinfo *address, int error)
{
	const char *reason = error_text(error);
	char text[NI_MAXHOST] = "";
	char *before;

	if (!address || (address == o->addresses && !address->ai_next)) {
		err_set(&o->failure, ERR_UNREACHABLE, "%s", reason);
		o->failure.nobody_listens = !address && (error == ECONNREFUSED || error == ENOENT);
		return;
	}
	getnameinfo(address->ai_addr, address->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
	before = xstrdup(o->failure.message);
	err_set(&o->failure, ERR_UNREACHABLE, "%s%s%s: %s", before, *before ? "; " : "", text, reason);
	free(before);
}

static void try_next(struct opening *o);

static void attempt_over(struct opening *o, int error)
{
	if (o->attempt)
		event_free(o->attempt);
	o->attempt = NULL;
	if (error == 0) {
		succeed(o);
		return;
	}
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
	note_failure(o, o->next, error);
	if (o->next)
		o->next = o->next->ai_next;
	if (o->next)
		try_next(o);
	else
		fail(o, &o->failure);
}

static void attempt_event(evutil_socket_t fd, short what, void *arg)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (what & EV_TIMEOUT)
		error = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	attempt_over(arg, error);
}

/* An address that drops packets must not use up the time of the addresses after it. */
static int64_t share_of_time(const struct opening *o)
{
	int64_t left_ms = o->deadline_ms - clock_ms();
	int addresses = 1;

	if (o->next)
		for (const struct evutil_addrinfo *a = o->next->ai_next; a; a = a->ai_next)
			addresses++;
	return left_ms / addresses;
}

static void try_next(struct opening *o)
{
	const struct sockaddr *address =
		o->next ? o->next->ai_addr : (const struct sockaddr *)&o->unix_address;
	socklen_t len = o->next ? o->next->ai_addrlen : sizeof(o->unix_address);
	struct timeval timeout = clock_timeval(share_of_time(o));
	int one = 1;

	o->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (o->fd < 0) {
		attempt_over(o, errno);
		return;
	}
	if (address->sa_family != AF_UNIX)
		setsockopt(o->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(o->fd, address, len) == 0) {
		attempt_over(o, 0);
		return;
	}
	if (errno != EINPROGRESS) {
		attempt_over(o, errno);
		return;
	}
	o->attempt = event_new(o->events, o->fd, EV_WRITE, attempt_event, o);
	event_add(o->attempt, &timeout);
}

static int lookup_failure(int error, struct err *err)
{
	if (error == EVUTIL_EAI_NONAME || error == EVUTIL_EAI_NODATA)
		return err_set(err, ERR_UNREACHABLE, "name not found");
	return err_set(err, ERR_UNREACHABLE, "name could not be looked up: %s (/etc/resolv.conf)",
		       evutil_gai_strerror(error));
}

/* Runs at the start if no look-up is needed, else when the look-up has ended or has taken too long. */
static void begin_event(evutil_socket_t fd, short what, void *arg)
{
	struct opening *o = arg;
	struct err err;

	(void)fd;
	if (o->lookup && (what & EV_TIMEOUT)) {
		err_set(&err, ERR_UNREACHABLE, "timed out while looking up the name");
		fail(o, &err);
	} else if (o->lookup_error) {
		lookup_failure(o->lookup_error, &err);
		fail(o, &err);
	} else if (o->path_too_long) {
		attempt_over(o, ENAMETOOLONG);
	} else if (!o->lookup) {
		try_next(o);
	}
}

static void lookup_done(int error, struct evutil_addrinfo *addresses, void *arg)
{
	struct lookup *lookup = arg;
	struct opening *o = lookup->opening;

	free(lookup);
	if (!o) {
		if (addresses)
			evutil_freeaddrinfo(addresses);
		return;
	}
	o->lookup = NULL;
	o->lookup_error = !error && !addresses ? EVUTIL_EAI_NODATA : error;
	o->addresses = o->next = addresses;
	event_active(o->begin, EV_WRITE, 0);
}

static struct opening *opening_new(struct event_base *events, char *name, int64_t timeout_ms,
				   stream_open_cb *cb, void *arg)
{
	struct opening *o = xcalloc(1, sizeof(*o));

	o->base.cancel = opening_cancel;
	o->base.phase = opening_phase;
	o->events = events;
	o->name = name;
	o->deadline_ms = clock_ms() + timeout_ms;
	o->cb = cb;
	o->arg = arg;
	o->fd = -1;
	o->begin = event_new(events, -1, 0, begin_event, o);
	return o;
}

struct stream_opening *stream_open_unix(struct event_base *base, const char *path, int64_t timeout_ms,
					stream_open_cb *cb, void *arg)
{
	struct opening *o = opening_new(base, xstrdup(path), timeout_ms, cb, arg);

	o->unix_address.sun_family = AF_UNIX;
	if (strlen(path) < sizeof(o->unix_address.sun_path))
		memcpy(o->unix_address.sun_path, path, strlen(path) + 1);
	else
		o->path_too_long = true;
	event_active(o->begin, EV_WRITE, 0);
	return &o->base;
}

struct stream_opening *stream_open_tcp(struct event_base *base, struct evdns_base *dns, const char *host,
				       uint16_t port, int64_t timeout_ms, stream_open_cb *cb, void *arg)
{
	struct opening *o = opening_new(base, xasprintf("%s port %u", host, port), timeout_ms, cb, arg);
	struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct timeval timeout = clock_timeval(timeout_ms);
	struct evdns_getaddrinfo_request *request;
	struct lookup *lookup;
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	hints.ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV;
	if (evutil_getaddrinfo(host, service, &hints, &o->addresses) == 0) {
		o->next = o->addresses;
		event_active(o->begin, EV_WRITE, 0);
		return &o->base;
	}
	if (!dns) {
		o->lookup_error = EVUTIL_EAI_NONAME;
		event_active(o->begin, EV_WRITE, 0);
		return &o->base;
	}
	hints.ai_flags = EVUTIL_AI_NUMERICSERV;
	o->lookup = lookup = xcalloc(1, sizeof(*lookup));
	lookup->opening = o;
	event_add(o->begin, &timeout);
	/* NULL: evdns has called back already (for a name in /etc/hosts), and lookup is freed. */
	request = evdns_getaddrinfo(dns, host, service, &hints, lookup_done, lookup);
	if (request)
		lookup->request = request;
	return &o->base;
}
