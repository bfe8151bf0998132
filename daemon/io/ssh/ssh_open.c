/*
 * Opens channels. libssh2 keeps the state of an opening in the session, so
 * openings take turns. An opening that has begun cannot be cancelled: when its
 * owner loses interest it goes on without an owner, and its channel is closed at
 * once.
 *
 * The probe for a dead peer opens a channel, too: of a type that no host knows,
 * and that every host must refuse (RFC 4254, 5.1). libssh2's own keep-alive (a
 * global request) would do, but libssh2 keeps its answers for ever, 100 bytes
 * each, and scans all of them for each packet.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/io/ssh/ssh_internal.h"
#include "daemon/io/ssh/ssh_wire.h"

enum kind { KIND_UNIX, KIND_TCP, KIND_PROBE };

static const char *const channel_types[] = {
	[KIND_UNIX] = "direct-streamlocal@openssh.com",
	[KIND_TCP] = "direct-tcpip",
	[KIND_PROBE] = "keepalive@apilb.io",
};

struct ssh_opening {
	struct stream_opening base; /* first: the public face */
	struct ssh *ssh;
	struct ssh_openings *queue; /* the queue that it stands in; NULL: it is ssh->current, or in none */
	TAILQ_ENTRY(ssh_opening) entry;
	enum kind kind;
	char *name;               /* "PATH" or "HOST port N", for messages; NULL: it has no owner */
	struct evbuffer *message; /* what follows the channel's type in SSH_MSG_CHANNEL_OPEN */
	int64_t timeout_ms;
	struct event *timer;
	stream_open_cb *cb; /* NULL: it has no owner */
	void *arg;
	struct bufferevent *stream; /* the outcome; NULL: err is the outcome */
	struct err err;
	struct ssh_look *look; /* the opening was refused, and this finds out why */
};

static void opening_free(struct ssh_opening *o)
{
	if (o->queue)
		TAILQ_REMOVE(o->queue, o, entry);
	if (o->timer)
		event_free(o->timer);
	if (o->stream)
		bufferevent_free(o->stream);
	ssh_look_free(o->ssh, o->look);
	evbuffer_free(o->message);
	free(o->name);
	free(o);
}

static struct ssh_opening *opening_new(struct ssh *s, enum kind kind, char *name)
{
	struct ssh_opening *o = xcalloc(1, sizeof(*o));

	o->ssh = s;
	o->kind = kind;
	o->name = name;
	o->message = evbuffer_new();
	return o;
}

static void enqueue(struct ssh_openings *queue, struct ssh_opening *o)
{
	if (o->queue)
		TAILQ_REMOVE(o->queue, o, entry);
	o->queue = queue;
	TAILQ_INSERT_TAIL(queue, o, entry);
}

/* The outcome is known: the pump tells the owner. */
static void finish(struct ssh_opening *o)
{
	if (!o->cb) {
		opening_free(o);
		return;
	}
	event_del(o->timer);
	enqueue(&o->ssh->done, o);
	ssh_wake(o->ssh);
}

static void stop_looking(struct ssh_opening *o)
{
	ssh_look_free(o->ssh, o->look);
	o->look = NULL;
	o->ssh->current = NULL;
}

/* The owner of the current opening has lost interest. libssh2 must go on with the same message, so it gets a
 * stand-in that has the message and no owner. */
static void leave_to_itself(struct ssh_opening *o)
{
	struct ssh_opening *stand_in;

	if (o->look && ssh_look_can_stop(o->look)) {
		stop_looking(o);
		return;
	}
	stand_in = opening_new(o->ssh, o->kind, NULL);
	evbuffer_free(stand_in->message);
	stand_in->message = o->message;
	o->message = evbuffer_new();
	stand_in->look = o->look;
	o->look = NULL;
	o->ssh->current = stand_in;
}

static void cancel(struct stream_opening *base)
{
	struct ssh_opening *o = (struct ssh_opening *)base;

	if (o->ssh->current == o)
		leave_to_itself(o);
	ssh_wake(o->ssh);
	opening_free(o);
}

static const char *phase(const struct stream_opening *base)
{
	(void)base;
	return "opening a channel";
}

static void timeout_event(evutil_socket_t fd, short what, void *arg)
{
	struct ssh_opening *o = arg;

	(void)fd;
	(void)what;
	/* While we find out why the opening was refused, err is set already, if vaguely. */
	if (!o->look)
		err_set(&o->err, ERR_UNREACHABLE,
			"%s: timed out after %g s: the host's sshd did not open the channel", o->name,
			o->timeout_ms / 1000.0);
	if (o->ssh->current == o)
		leave_to_itself(o);
	finish(o);
}

static struct stream_opening *start(struct ssh_opening *o, int64_t timeout_ms, stream_open_cb *cb, void *arg)
{
	struct ssh *s = o->ssh;
	struct timeval timeout = clock_timeval(timeout_ms);

	o->base.cancel = cancel;
	o->base.phase = phase;
	o->cb = cb;
	o->arg = arg;
	o->timeout_ms = timeout_ms;
	o->timer = event_new(s->context->base, -1, 0, timeout_event, o);
	if (s->phase == PHASE_DEAD) {
		o->err = s->closed_err;
		enqueue(&s->done, o);
	} else {
		event_add(o->timer, &timeout);
		enqueue(&s->waiting, o);
	}
	ssh_wake(s);
	return &o->base;
}

/* OpenSSH's PROTOCOL, 2.4: path, and two fields for later use. */
struct stream_opening *ssh_open_unix(struct ssh *s, const char *path, int64_t timeout_ms, stream_open_cb *cb,
				     void *arg)
{
	struct ssh_opening *o = opening_new(s, KIND_UNIX, xstrdup(path));

	wire_put_string(o->message, path, strlen(path));
	wire_put_string(o->message, "", 0);
	wire_put_u32(o->message, 0);
	return start(o, timeout_ms, cb, arg);
}

/* RFC 4254, 7.2: the address to connect to, and the address that asks. */
struct stream_opening *ssh_open_tcp(struct ssh *s, const char *host, uint16_t port, int64_t timeout_ms,
				    stream_open_cb *cb, void *arg)
{
	struct ssh_opening *o = opening_new(s, KIND_TCP, xasprintf("%s port %u", host, port));

	wire_put_string(o->message, host, strlen(host));
	wire_put_u32(o->message, port);
	wire_put_string(o->message, "127.0.0.1", strlen("127.0.0.1"));
	wire_put_u32(o->message, 0);
	return start(o, timeout_ms, cb, arg);
}

static void tell_found(struct ssh_opening *o, enum ssh_found found)
{
	static const struct {
		enum err_kind kind;
		const char *text;
	} founds[FOUNDS] = {
		[FOUND_NOTHING_OUT] =
			{ERR_UNREACHABLE,
			 "no such socket on the host, permission denied, or forwarding refused by sshd "
			 "(AllowStreamLocalForwarding): sshd does not say which, and has no SFTP to look"},
		[FOUND_MISSING] = {ERR_UNREACHABLE, "no such socket on the host"},
		[FOUND_NO_PERMISSION] = {ERR_PERMANENT, "permission denied on the host"},
		[FOUND_NO_SOCKET] = {ERR_PERMANENT, "is not a socket on the host"},
		[FOUND_USABLE] =
			{ERR_UNREACHABLE,
			 "forwarding refused by sshd (AllowStreamLocalForwarding or DisableForwarding in "
			 "sshd_config, \"restrict\" in authorized_keys), or nothing listens on the socket"},
	};

	err_set(&o->err, founds[found].kind, "%s: %s (user %s)", o->name, founds[found].text,
		o->ssh->settings.user);
	/* Where the engine's socket can be reached, forwarding is not refused. */
	o->err.nobody_listens = found == FOUND_MISSING || found == FOUND_USABLE;
}

/* The vague error set here stays if the look takes too long. */
static void refused_unix(struct ssh_opening *o)
{
	tell_found(o, FOUND_NOTHING_OUT);
	o->look = ssh_look_new(o->name);
}

/* Words the host's refusal. libssh2 gives the reason's number (RFC 4254, 5.1) only as a text. */
static void refused(struct ssh_opening *o)
{
	char *text = NULL;

	libssh2_session_last_error(o->ssh->session, &text, NULL, 0);
	text = text ? text : "";
	if (strstr(text, "administratively prohibited"))
		err_set(&o->err, ERR_PERMANENT,
			"%s: forwarding refused by sshd (AllowTcpForwarding, PermitOpen or DisableForwarding "
			"in sshd_config, \"restrict\" in authorized_keys)",
			o->name);
	else if (strstr(text, "resource shortage"))
		err_set(&o->err, ERR_UNREACHABLE, "%s: the host's sshd is short of resources", o->name);
	else if (o->kind == KIND_TCP)
		err_set(&o->err, ERR_UNREACHABLE,
			"%s: the host's sshd could not connect to it (name not found, connection refused, "
			"timed out or no route: sshd does not say which)",
			o->name);
	else
		refused_unix(o);
}

static int look_why(struct ssh *s)
{
	struct ssh_opening *o = s->current;
	enum ssh_found found;

	if (!ssh_look_step(s, o->look, &found))
		return 0;
	stop_looking(o);
	if (o->name)
		tell_found(o, found);
	finish(o);
	return 1;
}

/* One step of the current opening: repeats the same call, with the same arguments, until libssh2 is done. */
static int advance(struct ssh *s, struct err *err)
{
	struct ssh_opening *o = s->current;
	const char *type = channel_types[o->kind];
	size_t len = evbuffer_get_length(o->message);
	const char *message = (const char *)evbuffer_pullup(o->message, -1);
	LIBSSH2_CHANNEL *channel;
	int error;

	channel = libssh2_channel_open_ex(s->session, type, strlen(type), SSH_WINDOW_BYTES, SSH_PACKET_BYTES,
					  message ? message : "", len);
	error = channel ? 0 : libssh2_session_last_errno(s->session);
	if (!channel && ssh_again(error))
		return 0;
	/* libssh2 gives up after a minute; a host may take longer to connect to a TCP port. Neither that nor
	 * a refusal is the end of the session. */
	if (!channel && error != LIBSSH2_ERROR_CHANNEL_FAILURE && error != LIBSSH2_ERROR_TIMEOUT) {
		ssh_call_failed(s, "opening a channel", err);
		return -1;
	}
	if (!channel && o->cb)
		refused(o);
	if (o->look)
		return 1;
	s->current = NULL;
	if (channel && o->cb)
		o->stream = ssh_channel_new(s, channel);
	else if (channel)
		ssh_channel_discard(s, channel);
	finish(o);
	return 1;
}

static void begin_next(struct ssh *s)
{
	struct ssh_opening *o = TAILQ_FIRST(&s->waiting);

	if (o) {
		TAILQ_REMOVE(&s->waiting, o, entry);
		o->queue = NULL;
		s->current = o;
	} else if (s->want_probe) {
		s->current = opening_new(s, KIND_PROBE, NULL);
	}
}

/*
 * A probe is due while an opening is under way. A host answers the opening of a
 * Unix socket at once, so that opening is a probe itself. To open a TCP connection,
 * or to start the SFTP server, may take long: then libssh2's keep-alive is sent.
 */
static void probe_past_current(struct ssh *s)
{
	if (s->current->kind != KIND_TCP && !s->current->look)
		return;
	libssh2_keepalive_config(s->session, 1, 2);
	libssh2_keepalive_send(s->session, NULL);
}

int ssh_open_pump(struct ssh *s, struct err *err)
{
	if (s->current && s->want_probe)
		probe_past_current(s);
	if (!s->current)
		begin_next(s);
	s->want_probe = false;
	if (!s->current)
		return 0;
	return s->current->look ? look_why(s) : advance(s, err);
}

void ssh_open_fail_all(struct ssh *s, const struct err *err)
{
	struct ssh_opening *o;

	if (s->current)
		enqueue(&s->waiting, s->current);
	s->current = NULL;
	/* An opening that succeeded, but whose owner has not been told yet, fails as well. */
	TAILQ_FOREACH (o, &s->done, entry) {
		if (o->stream) {
			bufferevent_free(o->stream);
			o->stream = NULL;
			o->err = *err;
		}
	}
	while ((o = TAILQ_FIRST(&s->waiting))) {
		o->err = *err;
		if (o->name)
			err_prefix(&o->err, "%s", o->name);
		enqueue(&s->done, o);
		if (!o->cb)
			opening_free(o);
	}
}

void ssh_open_drop_all(struct ssh *s)
{
	if (s->current) {
		opening_free(s->current);
		s->current = NULL;
	}
	while (!TAILQ_EMPTY(&s->waiting))
		opening_free(TAILQ_FIRST(&s->waiting));
	while (!TAILQ_EMPTY(&s->done))
		opening_free(TAILQ_FIRST(&s->done));
}

bool ssh_open_tell_one(struct ssh *s)
{
	struct ssh_opening *o = TAILQ_FIRST(&s->done);
	struct bufferevent *stream;
	stream_open_cb *cb;
	struct err err;
	void *arg;

	if (!o)
		return false;
	cb = o->cb;
	arg = o->arg;
	stream = o->stream;
	err = o->err;
	o->stream = NULL;
	opening_free(o);
	ssh_wake(s);
	cb(arg, stream, stream ? NULL : &err);
	return true;
}
