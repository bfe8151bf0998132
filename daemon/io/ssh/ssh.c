#include "daemon/io/ssh/ssh.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/io/ssh/ssh_internal.h"

void ssh_wake(struct ssh *s)
{
	event_active(s->pump, EV_WRITE, 0);
}

bool ssh_again(int rc)
{
	return rc == LIBSSH2_ERROR_EAGAIN;
}

size_t ssh_output_len(const struct ssh *s)
{
	return evbuffer_get_length(bufferevent_get_output(s->stream));
}

/* --- what libssh2 calls ------------------------------------------------- */

static ssize_t recv_cb(libssh2_socket_t fd, void *buffer, size_t length, int flags, void **abstract)
{
	struct ssh *s = *abstract;
	int n;

	(void)fd;
	(void)flags;
	if (s->over)
		return -ECONNRESET;
	if (ssh_output_len(s) > SSH_OUTPUT_MAX_BYTES || ssh_excess_is_too_much(s))
		return -EAGAIN;
	n = evbuffer_remove(bufferevent_get_input(s->stream), buffer, length);
	if (n > 0) {
		s->received_bytes += n;
		ssh_excess_received(s, (size_t)n);
		if (s->phase == PHASE_KEY_EXCHANGE)
			ssh_methods_hear(s, buffer, (size_t)n);
		return n;
	}
	return s->stream_ended ? 0 : -EAGAIN;
}

/* Takes everything: see ssh_internal.h. */
static ssize_t send_cb(libssh2_socket_t fd, const void *buffer, size_t length, int flags, void **abstract)
{
	struct ssh *s = *abstract;

	(void)fd;
	(void)flags;
	if (s->over)
		return -EPIPE;
	bufferevent_write(s->stream, buffer, length);
	return (ssize_t)length;
}

static void disconnect_cb(LIBSSH2_SESSION *session, int reason, const char *message, int message_len,
			  const char *language, int language_len, void **abstract)
{
	struct ssh *s = *abstract;
	size_t n = 0;

	(void)session;
	(void)language;
	(void)language_len;
	/* A stranger's words: only printable characters go into our log. */
	for (int i = 0; message && i < message_len && n < sizeof(s->goodbye) - 1; i++)
		if (message[i] >= ' ' && message[i] <= '~')
			s->goodbye[n++] = message[i];
	s->goodbye[n] = '\0';
	if (n == 0)
		snprintf(s->goodbye, sizeof(s->goodbye), "disconnect with reason %d", reason);
}

#if LIBSSH2_VERSION_NUM >= 0x010b01
#define SET_CALLBACK(session, type, fn) \
	libssh2_session_callback_set2((session), (type), (libssh2_cb_generic *)(fn))
#else
#define SET_CALLBACK(session, type, fn) libssh2_session_callback_set((session), (type), (void *)(fn))
#endif

static LIBSSH2_SESSION *session_new(struct ssh *s)
{
	LIBSSH2_SESSION *session =
		libssh2_session_init_ex(ssh_excess_alloc, ssh_excess_free, ssh_excess_realloc, s);

	if (!session)
		abort(); /* out of memory */
	libssh2_session_set_blocking(session, 0);
	SET_CALLBACK(session, LIBSSH2_CALLBACK_RECV, recv_cb);
	SET_CALLBACK(session, LIBSSH2_CALLBACK_SEND, send_cb);
	SET_CALLBACK(session, LIBSSH2_CALLBACK_DISCONNECT, disconnect_cb);
	return session;
}

/* --- the end ------------------------------------------------------------ */

static void settings_copy(struct ssh_settings *to, const struct ssh_settings *from)
{
	*to = *from;
	to->address = xstrdup(from->address);
	to->user = xstrdup(from->user);
	to->password = xstrdup(from->password);
	to->password_file = xstrdup(from->password_file);
	to->private_key = xstrdup(from->private_key);
	to->private_key_file = xstrdup(from->private_key_file);
	to->host_key = xstrdup(from->host_key);
	to->jump = NULL;
}

static void settings_wipe(struct ssh_settings *settings)
{
	secret_free(settings->password);
	secret_free(settings->private_key);
	settings->password = settings->private_key = NULL;
}

static void settings_clear(struct ssh_settings *settings)
{
	settings_wipe(settings);
	free(settings->address);
	free(settings->user);
	free(settings->password_file);
	free(settings->private_key_file);
	free(settings->host_key);
}

static void say_goodbye(struct ssh *s)
{
	struct evbuffer *output;

	if (s->phase != PHASE_READY || s->stream_ended || s->jump)
		return;
	/* Only spares the host's log a line about a lost connection: bytes that the socket does not take at
	 * once are dropped. */
	libssh2_session_disconnect(s->session, "done");
	output = bufferevent_get_output(s->stream);
	evbuffer_unfreeze(output, 1);
	evbuffer_write(output, s->fd);
}

static void session_free(struct ssh *s)
{
	if (!s->session)
		return;
	/* With a broken stream no call of libssh2 waits any more. */
	s->over = true;
	/* libssh2 leaks the memory of an unfinished key exchange, unless the exchange is made to fail. */
	if (s->handshake_begun && s->phase <= PHASE_KEY_EXCHANGE)
		libssh2_session_handshake(s->session, s->fd);
	libssh2_session_free(s->session);
	s->session = NULL;
}

/* Frees everything but the object itself, which stays until its owner frees it. */
static void tear_down(struct ssh *s)
{
	if (s->stream)
		say_goodbye(s);
	ssh_auth_free(s);
	ssh_methods_forget(s);
	ssh_channels_lose(s);
	session_free(s);
	stream_open_cancel(s->opening);
	s->opening = NULL;
	if (s->jump && s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	if (s->stream)
		bufferevent_free(s->stream);
	s->stream = NULL;
	ssh_free(s->jump);
	s->jump = NULL;
	settings_wipe(&s->settings);
	event_del(s->deadline);
	event_del(s->watch);
}

void ssh_fail(struct ssh *s, const struct err *err)
{
	if (s->phase == PHASE_DEAD)
		return;
	s->closed_err = *err;
	tear_down(s);
	s->phase = PHASE_DEAD;
	ssh_open_fail_all(s, &s->closed_err);
	ssh_wake(s);
}

void ssh_free(struct ssh *s)
{
	if (!s)
		return;
	if (s->phase != PHASE_DEAD)
		tear_down(s);
	ssh_open_drop_all(s);
	event_free(s->pump);
	event_free(s->deadline);
	event_free(s->watch);
	settings_clear(&s->settings);
	free(s);
}

static int lost(struct ssh *s, struct err *err)
{
	if (s->goodbye[0])
		return err_set(err, ERR_UNREACHABLE, "the host closed the connection: %s", s->goodbye);
	*err = s->loss;
	return -1;
}

enum ssh_step ssh_call_failed(struct ssh *s, const char *doing, struct err *err)
{
	char *text = NULL;

	if (s->goodbye[0] ||
	    (s->stream_ended && evbuffer_get_length(bufferevent_get_input(s->stream)) == 0)) {
		lost(s, err);
		if (s->phase < PHASE_READY)
			err_prefix(err, "%s", doing);
		return STEP_FAIL;
	}
	libssh2_session_last_error(s->session, &text, NULL, 0);
	err_set(err, ERR_UNREACHABLE, "%s: %s (libssh2 %s)", doing, text && *text ? text : "protocol error",
		libssh2_version(0));
	return STEP_FAIL;
}

/* --- the stream --------------------------------------------------------- */

static void stream_moved(struct bufferevent *stream, void *arg)
{
	struct ssh *s = arg;

	(void)stream;
	ssh_wake(s);
}

static void stream_input(struct bufferevent *stream, void *arg)
{
	struct ssh *s = arg;

	(void)stream;
	s->last_input_ms = clock_ms();
	ssh_wake(s);
}

static void stream_event(struct bufferevent *stream, short what, void *arg)
{
	struct ssh *s = arg;
	int error = EVUTIL_SOCKET_ERROR();

	(void)stream;
	if (what & BEV_EVENT_EOF)
		err_set(&s->loss, ERR_UNREACHABLE, "the host closed the connection");
	else
		err_set(&s->loss, ERR_UNREACHABLE, "the connection was lost: %s",
			evutil_socket_error_to_string(error));
	s->stream_ended = true;
	/* The bytes that came before the end are still read. */
	ssh_wake(s);
}

static void start_session(struct ssh *s, struct bufferevent *stream)
{
	s->stream = stream;
	s->fd = s->jump ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : bufferevent_getfd(stream);
	s->session = session_new(s);
	s->last_input_ms = clock_ms();
	ssh_methods_prefer_good(s);
	ssh_hostkey_prefer_known(s);
	bufferevent_setcb(stream, stream_input, stream_moved, stream_event, s);
	/* Channels are served again when the output is half empty. */
	bufferevent_setwatermark(stream, EV_WRITE, SSH_OUTPUT_HIGH_BYTES / 2, 0);
	bufferevent_setwatermark(stream, EV_READ, 0, SSH_OUTPUT_HIGH_BYTES);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	ssh_wake(s);
}

static void stream_opened(void *arg, struct bufferevent *stream, const struct err *err)
{
	struct ssh *s = arg;
	struct err copy;

	s->opening = NULL;
	if (stream) {
		start_session(s, stream);
		return;
	}
	copy = *err;
	if (s->jump)
		err_prefix(&copy, "jump host %s", s->jump->settings.address);
	ssh_fail(s, &copy);
}

static void jump_ready(void *arg)
{
	struct ssh *s = arg;

	s->opening = ssh_open_tcp(s->jump, s->settings.address, s->settings.port,
				  s->settings.connection_timeout_ms, stream_opened, s);
}

static void jump_closed(void *arg, const struct err *err)
{
	struct ssh *s = arg;
	struct err copy = *err;

	err_prefix(&copy, "jump host %s", s->jump->settings.address);
	ssh_fail(s, &copy);
}

/*
 * sshd leaves Nagle's algorithm on for forwarded streams. With delayed
 * acknowledgements each small exchange would stall for 40 ms; so we acknowledge
 * at once. The kernel resets this option, so it is set again before each wait.
 */
static void acknowledge_at_once(struct ssh *s)
{
	int one = 1;

	if (s->stream && !s->jump)
		setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
}

/* --- phases ------------------------------------------------------------- */

static enum ssh_step connect_step(struct ssh *s, struct err *err)
{
	(void)err;
	return s->stream ? STEP_NEXT : STEP_WAIT;
}

static enum ssh_step key_exchange_step(struct ssh *s, struct err *err)
{
	const char *greeting;
	int rc;

	s->handshake_begun = true;
	rc = libssh2_session_handshake(s->session, s->fd);
	if (ssh_again(rc))
		return STEP_WAIT;
	if (rc == 0)
		return STEP_NEXT;
	greeting = libssh2_session_banner_get(s->session);
	if (!greeting && s->stream_ended) {
		lost(s, err);
		err_prefix(err, "no SSH greeting (sshd's MaxStartups, or not an SSH server)");
		return STEP_FAIL;
	}
	if (rc == LIBSSH2_ERROR_BANNER_RECV || !greeting || strncmp(greeting, "SSH-", 4) != 0) {
		err_set(err, ERR_UNREACHABLE, "not an SSH server: no SSH greeting in what it sends");
		return STEP_FAIL;
	}
	if (rc == LIBSSH2_ERROR_KEX_FAILURE) {
		ssh_methods_explain(s, err);
		return STEP_FAIL;
	}
	return ssh_call_failed(s, "key exchange", err);
}

static enum ssh_step ready_step(struct ssh *s, struct err *err)
{
	int opened, moved;

	do {
		opened = ssh_open_pump(s, err);
		if (opened < 0)
			return STEP_FAIL;
		moved = ssh_channels_pump(s, err);
		if (moved < 0)
			return STEP_FAIL;
		/* No channel reads this input (requests of the host itself): a probe makes libssh2 read
		 * it. */
		if (TAILQ_EMPTY(&s->channels) && !s->current &&
		    evbuffer_get_length(bufferevent_get_input(s->stream)) > 0)
			s->want_probe = true;
	} while (opened || moved || s->want_probe);
	return STEP_WAIT;
}

static const struct {
	const char *name;
	enum ssh_step (*step)(struct ssh *s, struct err *err);
} phases[] = {
	[PHASE_CONNECT] = {"connecting", connect_step},
	[PHASE_KEY_EXCHANGE] = {"key exchange", key_exchange_step},
	[PHASE_HOST_KEY] = {"checking the host key", ssh_hostkey_step},
	[PHASE_AUTH] = {"authenticating", ssh_auth_step},
	[PHASE_READY] = {"ready", ready_step},
	[PHASE_DEAD] = {"closed", NULL},
};

static void become_ready(struct ssh *s)
{
	struct timeval probe = clock_timeval(SSH_PROBE_MS);

	ssh_auth_free(s);
	ssh_methods_forget(s);
	settings_wipe(&s->settings);
	event_del(s->deadline);
	event_add(s->watch, &probe);
}

static void work(struct ssh *s)
{
	enum ssh_step step = STEP_NEXT;
	struct err err;

	while (s->phase != PHASE_DEAD && step == STEP_NEXT) {
		step = phases[s->phase].step(s, &err);
		if (step == STEP_NEXT && ++s->phase == PHASE_READY)
			become_ready(s);
	}
	if (step == STEP_WAIT && s->stream_ended) {
		lost(s, &err);
		step = STEP_FAIL;
	} else if (step == STEP_WAIT && s->phase < PHASE_READY && s->received_bytes > SSH_LOGIN_MAX_BYTES) {
		err_set(&err, ERR_UNREACHABLE, "%s: far more data than SSH has to say", ssh_phase(s));
		step = STEP_FAIL;
	} else if (step == STEP_WAIT && ssh_excess_is_too_much(s)) {
		ssh_excess_err(s, &err);
		step = STEP_FAIL;
	}
	if (step == STEP_FAIL)
		ssh_fail(s, &err);
	acknowledge_at_once(s);
}

/* Makes at most one callback, and does nothing after it: the callback may free the session. */
static void tell(struct ssh *s)
{
	if (s->phase == PHASE_READY && !s->ready_told) {
		s->ready_told = true;
		ssh_wake(s);
		s->callbacks.ready(s->callbacks.arg);
	} else if (ssh_open_tell_one(s)) {
		return;
	} else if (s->phase == PHASE_DEAD && !s->closed_told) {
		s->closed_told = true;
		s->callbacks.closed(s->callbacks.arg, &s->closed_err);
	}
}

static void pump_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	work(arg);
	tell(arg);
}

static void deadline_event(evutil_socket_t fd, short what, void *arg)
{
	struct ssh *s = arg;
	struct err err;

	(void)fd;
	(void)what;
	err_set(&err, ERR_UNREACHABLE, "%s", ssh_phase(s->jump && !s->opening && !s->stream ? s->jump : s));
	if (s->jump && !s->opening && !s->stream)
		err_prefix(&err, "jump host %s", s->jump->settings.address);
	err_prefix(&err, "timed out after %g s", s->settings.connection_timeout_ms / 1000.0);
	ssh_fail(s, &err);
}

/*
 * A peer is dead when it has been silent for SSH_DEAD_PEER_MS; after each third
 * of this time a probe asks for a sign of life. TCP's own timers do not help:
 * they notice neither a peer whose process is stopped nor a peer behind a jump
 * host.
 */
static void watch_event(evutil_socket_t fd, short what, void *arg)
{
	struct ssh *s = arg;
	int64_t silent_ms = clock_ms() - s->last_input_ms;
	struct timeval next = clock_timeval(SSH_PROBE_MS - silent_ms % SSH_PROBE_MS);
	struct err err;

	(void)fd;
	(void)what;
	if (silent_ms >= 3 * SSH_PROBE_MS) {
		err_set(&err, ERR_UNREACHABLE, "the connection was lost: no sign of life for %d s",
			SSH_DEAD_PEER_MS / 1000);
		ssh_fail(s, &err);
		return;
	}
	if (silent_ms >= SSH_PROBE_MS)
		s->want_probe = true;
	event_add(s->watch, &next);
	/* The pump also closes the channels of streams that have been freed meanwhile. */
	ssh_wake(s);
}

struct ssh *ssh_connect(const struct ssh_context *context, const struct ssh_settings *settings,
			const struct ssh_callbacks *callbacks)
{
	struct ssh_callbacks jump_callbacks = {.ready = jump_ready, .closed = jump_closed};
	struct ssh *s = xcalloc(1, sizeof(*s));
	/* A little later than the timeout of the stream's opening, whose error is more precise. */
	struct timeval timeout = clock_timeval(settings->connection_timeout_ms + 100);

	s->context = context;
	s->callbacks = *callbacks;
	s->fd = -1;
	settings_copy(&s->settings, settings);
	TAILQ_INIT(&s->channels);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->done);
	s->pump = event_new(context->base, -1, 0, pump_event, s);
	s->deadline = event_new(context->base, -1, 0, deadline_event, s);
	s->watch = event_new(context->base, -1, 0, watch_event, s);
	event_add(s->deadline, &timeout);
	jump_callbacks.arg = s;
	if (settings->jump)
		s->jump = ssh_connect(context, settings->jump, &jump_callbacks);
	else
		s->opening = stream_open_tcp(context->base, context->dns, settings->address, settings->port,
					     settings->connection_timeout_ms, stream_opened, s);
	return s;
}

bool ssh_is_ready(const struct ssh *s)
{
	return s->phase == PHASE_READY;
}

const char *ssh_phase(const struct ssh *s)
{
	if (s->phase == PHASE_CONNECT && s->opening)
		return stream_open_phase(s->opening);
	if (s->phase == PHASE_CONNECT && s->jump)
		return "connecting to the jump host";
	if (s->phase == PHASE_KEY_EXCHANGE && !libssh2_session_banner_get(s->session))
		return "waiting for the SSH greeting";
	if (s->phase == PHASE_AUTH)
		return ssh_auth_phase(s);
	return phases[s->phase].name;
}
