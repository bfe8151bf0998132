/*
 * The inside of an SSH session, shared by ssh*.c and by nobody else.
 *
 *   ssh.c          a session's life: stream, phases, timers, loss
 *   ssh_hostkey.c  checks the host's key
 *   ssh_auth.c     proves who we are; ssh_agent.c talks to an agent, ssh_key.c tells kinds of keys
 *   ssh_secret.c   reads key and password files
 *   ssh_open.c     opens channels, one at a time; ssh_look.c finds out why an opening was refused
 *   ssh_channel.c  carries bytes between open channels and their streams
 *   ssh_methods.c  decides which key exchanges, ciphers and MACs are offered
 *   ssh_excess.c   notices a host that floods the session
 *
 * All work is done in one function, the pump, which runs from one event and
 * never from within itself: code that wants something done calls ssh_wake(). The
 * pump goes on until nothing moves any more. libssh2 reads packets for all
 * channels at once and queues them: so after any input, every channel must be
 * served before the pump waits again.
 *
 * A run of the pump makes at most one callback to a user, as its last step. So
 * callbacks may free the session, or anything else.
 *
 * libssh2 is never told that the output is full. It has room for one unsent
 * packet, and wants the very call repeated that left it (any other call gets
 * BAD_USE), which cannot be done for keep-alives and EOFs: libssh2 builds these
 * on its stack. So the send callback takes everything, and output is limited
 * elsewhere: no channel is served while the output is long, and beyond a hard
 * limit nothing more is read, since libssh2 answers what it reads.
 */
#ifndef APILB_IO_SSH_INTERNAL_H
#define APILB_IO_SSH_INTERNAL_H

#include <event2/event.h>
#include <libssh2.h>
#include <sys/queue.h>

#include "daemon/io/ssh/known_hosts.h"
#include "daemon/io/ssh/ssh.h"
#include "daemon/io/stream/stream_opening.h"

/* While the output is longer than this, channels wait. */
#define SSH_OUTPUT_HIGH_BYTES (256 << 10)
/* The peer makes us answer, and does not read our answers: while the output is longer than this, we stop
 * reading, too. */
#define SSH_OUTPUT_MAX_BYTES (1 << 20)
/* A peer that sends more than this before authentication ends is not an SSH server. */
#define SSH_LOGIN_MAX_BYTES (1 << 20)
/* A channel's receive window: how much the host may send ahead, and so how much memory it may cost. */
#define SSH_WINDOW_BYTES (256 << 10)
/* Bytes that may wait in a channel's stream, in each direction, before we stop adding to them. */
#define SSH_STREAM_HIGH_BYTES (128 << 10)
/* How much of the host's first bytes is kept: the lists of its methods, some 1.5 KB, are among them. */
#define SSH_HELLO_MAX_BYTES (8 << 10)
/* The limit, for a session and for each open channel in addition, of memory that libssh2 may hold and of
 * bytes that the host may send unasked: beyond it the session is dropped (ssh_excess.c). */
#define SSH_SESSION_SPARE_BYTES (1 << 20)
#define SSH_CHANNEL_SPARE_BYTES (8 * SSH_WINDOW_BYTES)
/* The payload of one packet. */
#define SSH_PACKET_BYTES (32 << 10)
/* A third of the promised time, less the time by which timers are late. */
#define SSH_PROBE_MS (SSH_DEAD_PEER_MS / 3 - 200)

struct ssh_channel;
struct ssh_opening;
struct ssh_auth;

enum ssh_phase { PHASE_CONNECT, PHASE_KEY_EXCHANGE, PHASE_HOST_KEY, PHASE_AUTH, PHASE_READY, PHASE_DEAD };

/* The outcome of a step: go on to the next phase, wait for input, or give up (err is set). */
enum ssh_step { STEP_NEXT, STEP_WAIT, STEP_FAIL };

TAILQ_HEAD(ssh_channels, ssh_channel);
TAILQ_HEAD(ssh_openings, ssh_opening);

struct ssh {
	const struct ssh_context *context;
	struct ssh_callbacks callbacks;
	struct ssh_settings settings; /* our copy; jump is NULL, secrets are wiped once ready */
	struct ssh *jump;             /* the session that this one runs through, or NULL */
	enum ssh_phase phase;

	struct stream_opening *opening; /* of the stream that the session runs over */
	struct bufferevent *stream;
	bool stream_ended;
	bool over; /* being torn down: libssh2 is told that the stream is broken */
	int fd;    /* for libssh2_session_handshake: the socket, or, behind a jump host, a dummy descriptor */
	LIBSSH2_SESSION *session;
	bool handshake_begun;
	char *hello; /* the host's first bytes, while keys are exchanged */
	size_t hello_len;
	uint64_t received_bytes;
	int64_t held_bytes; /* see ssh_excess.c for these three */
	int64_t excess_bytes, excess_at_ms;
	int64_t last_input_ms;

	struct event *pump;
	struct event *deadline; /* of the whole attempt */
	struct event *watch;    /* for a dead peer */
	bool want_probe;

	struct ssh_auth *auth; /* only while authenticating */

	struct ssh_channels channels;
	size_t channels_n;
	struct ssh_openings waiting; /* openings that wait for their turn */
	struct ssh_opening *current; /* the opening that libssh2 works on, or NULL */
	struct ssh_openings done;    /* openings whose callback is yet to come */

	struct err loss;   /* why the stream ended */
	char goodbye[200]; /* the host's message when it disconnected */
	bool ready_told, closed_told;
	struct err closed_err;
};

/* ssh.c */
void ssh_wake(struct ssh *s);
/* Ends the session; the pump makes the callbacks. */
void ssh_fail(struct ssh *s, const struct err *err);
/* True for EAGAIN: the same call must be repeated after more input. */
bool ssh_again(int rc);
/* Sets err to the reason why a libssh2 call failed: the loss of the connection, or else libssh2's own words.
 * Returns STEP_FAIL. */
enum ssh_step ssh_call_failed(struct ssh *s, const char *doing, struct err *err);
size_t ssh_output_len(const struct ssh *s);

/* ssh_methods.c */
void ssh_methods_prefer_good(struct ssh *s); /* except for host keys: see ssh_hostkey_prefer_known */
void ssh_methods_hear(struct ssh *s, const void *bytes, size_t len);
void ssh_methods_forget(struct ssh *s);
/* The host and libssh2 have no method in common: sets err to which, and what to do. */
void ssh_methods_explain(struct ssh *s, struct err *err);

/* ssh_excess.c: the first three are libssh2's allocator */
void *ssh_excess_alloc(size_t count, void **abstract);
void ssh_excess_free(void *p, void **abstract);
void *ssh_excess_realloc(void *p, size_t count, void **abstract);
void ssh_excess_received(struct ssh *s, size_t n);
void ssh_excess_carried(struct ssh *s, size_t n);
bool ssh_excess_is_too_much(const struct ssh *s);
void ssh_excess_err(const struct ssh *s, struct err *err);

/* ssh_hostkey.c */
void ssh_hostkey_prefer_known(struct ssh *s);
enum ssh_step ssh_hostkey_step(struct ssh *s, struct err *err);

/* ssh_auth.c */
enum ssh_step ssh_auth_step(struct ssh *s, struct err *err);
const char *ssh_auth_phase(const struct ssh *s);
void ssh_auth_free(struct ssh *s); /* wipes secrets; fine when no authentication is under way */

/* ssh_open.c; ssh_open_pump returns whether something moved; -1: the session is lost, err says why */
int ssh_open_pump(struct ssh *s, struct err *err);

void ssh_open_fail_all(struct ssh *s, const struct err *err);
void ssh_open_drop_all(struct ssh *s);
/* Calls back for one opening that is done; false when there is none. The callback may free the session. */
bool ssh_open_tell_one(struct ssh *s);

/* ssh_look.c: a look opens a channel, so it takes the place of the current opening */
enum ssh_found {
	FOUND_NOTHING_OUT,   /* the host has no SFTP, or its answer does not help */
	FOUND_MISSING,       /* nothing has this name */
	FOUND_NO_PERMISSION, /* the user may not write to the socket, and so not connect to it */
	FOUND_NO_SOCKET,     /* the path is something other than a socket */
	FOUND_USABLE,        /* the socket is there, and the user may connect to it */
	FOUNDS
};
struct ssh_look;
struct ssh_look *ssh_look_new(const char *path);
void ssh_look_free(struct ssh *s, struct ssh_look *look); /* NULL is fine */
/* False while libssh2 is opening the look's channel, which cannot be cancelled. */
bool ssh_look_can_stop(const struct ssh_look *look);
bool ssh_look_step(struct ssh *s, struct ssh_look *look, enum ssh_found *found); /* true: the look is over */

/* ssh_channel.c */
struct bufferevent *ssh_channel_new(struct ssh *s, LIBSSH2_CHANNEL *channel); /* returns the user's half */
void ssh_channel_discard(struct ssh *s, LIBSSH2_CHANNEL *channel); /* closes a channel that nobody wants */
int ssh_channels_pump(struct ssh *s, struct err *err);
void ssh_channels_lose(struct ssh *s); /* the session is lost: ends all streams with an error */

#endif
