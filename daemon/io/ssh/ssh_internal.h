/*
 * The inside of an SSH session, shared by ssh*.c and by nobody else.
 *
 *   ssh.c          its life: stream, phases, timers, loss
 *   ssh_hostkey.c  whether this is the right host
 *   ssh_auth.c     proving who we are; ssh_agent.c talks to an agent, ssh_key.c reads key files
 *   ssh_open.c     openings of channels, one at a time; ssh_look.c finds out why one was refused
 *   ssh_channel.c  bytes between open channels and their streams
 *   ssh_methods.c  which key exchanges, ciphers and MACs are good enough
 *   ssh_excess.c   a host that sends what nobody asked for
 *
 * Everything moves in one function, the pump, which runs from one event and
 * never from within itself: whoever learns of something calls ssh_wake(). The
 * pump works until nothing moves any more, because libssh2 queues what it reads
 * for others: after any input every channel must be looked at before waiting.
 *
 * User callbacks are the last thing that a pump does, one in each run. So they
 * may free the session, or anything else.
 *
 * libssh2 never sees a full output. It has one place for an unsent packet, and
 * whoever sends next must repeat that very call (or gets BAD_USE: keep-alives
 * and EOFs are sent from its stack). So the send callback always takes all, and
 * the brake is above: no channel is served while the output is long, and beyond
 * a hard limit nothing more is read, as reading makes libssh2 answer.
 */
#ifndef APILB_IO_SSH_INTERNAL_H
#define APILB_IO_SSH_INTERNAL_H

#include <event2/event.h>
#include <libssh2.h>
#include <sys/queue.h>

#include "daemon/io/ssh/known_hosts.h"
#include "daemon/io/ssh/ssh.h"
#include "daemon/io/stream/stream_opening.h"

/* Output above this: channels wait. */
#define SSH_OUTPUT_HIGH_BYTES (256 << 10)
/* Output above this: the peer makes us answer without reading our answers; we stop reading, too. */
#define SSH_OUTPUT_MAX_BYTES (1 << 20)
/* No handshake and no authentication is this long; what is longer is no SSH server. */
#define SSH_LOGIN_MAX_BYTES (1 << 20)
/* A channel's receive window: what the host may send ahead, and so what a slow reader costs. */
#define SSH_WINDOW_BYTES (256 << 10)
/* Bytes that wait in a channel's stream, each way, before we stop. */
#define SSH_STREAM_HIGH_BYTES (128 << 10)
/* What is kept of the beginning, to see which methods the host has: some 1.5 KB. */
#define SSH_HELLO_MAX_BYTES (8 << 10)
/* What libssh2 may hold, and the host may have sent for nothing, before the session is dropped: in all, and
 * for each open channel. */
#define SSH_SESSION_SPARE_BYTES (1 << 20)
#define SSH_CHANNEL_SPARE_BYTES (8 * SSH_WINDOW_BYTES)
/* One packet's payload. */
#define SSH_PACKET_BYTES (32 << 10)
/* A third of the promise, less what timers are late by. */
#define SSH_PROBE_MS (SSH_DEAD_PEER_MS / 3 - 200)

struct ssh_channel;
struct ssh_opening;
struct ssh_auth;

enum ssh_phase { PHASE_CONNECT, PHASE_KEY_EXCHANGE, PHASE_HOST_KEY, PHASE_AUTH, PHASE_READY, PHASE_DEAD };

/* What a step says: go to the next phase, wait for something, or give up (err is set). */
enum ssh_step { STEP_NEXT, STEP_WAIT, STEP_FAIL };

TAILQ_HEAD(ssh_channels, ssh_channel);
TAILQ_HEAD(ssh_openings, ssh_opening);

struct ssh {
	const struct ssh_context *context;
	struct ssh_callbacks callbacks;
	struct ssh_settings settings; /* our copy; jump is NULL, secrets are wiped once ready */
	struct ssh *jump;             /* the session that ours runs through, or NULL */
	enum ssh_phase phase;

	struct stream_opening *opening; /* of our own stream */
	struct bufferevent *stream;
	bool stream_ended;
	bool over; /* being torn down: libssh2 is told that the stream is broken */
	int fd;    /* for libssh2_session_handshake: the socket, or a descriptor that means nothing */
	LIBSSH2_SESSION *session;
	bool handshake_begun;
	char *hello; /* the host's first bytes, while keys are exchanged */
	size_t hello_len;
	uint64_t received_bytes;
	int64_t held_bytes; /* see ssh_excess.c, like the next */
	int64_t excess_bytes, excess_at_ms;
	int64_t last_input_ms;

	struct event *pump;
	struct event *deadline; /* of the whole attempt */
	struct event *watch;    /* for a dead peer */
	bool want_probe;

	struct ssh_auth *auth; /* only while authenticating */

	struct ssh_channels channels;
	size_t channels_n;
	struct ssh_openings waiting; /* for their turn */
	struct ssh_opening *current; /* the one that libssh2 works on */
	struct ssh_openings done;    /* for their callback */

	struct err loss;   /* why the stream ended */
	char goodbye[200]; /* what the host said when it disconnected */
	bool ready_told, closed_told;
	struct err closed_err;
};

/* ssh.c */
void ssh_wake(struct ssh *s);
/* The end, from whatever cause; the pump tells everybody. */
void ssh_fail(struct ssh *s, const struct err *err);
/* True for EAGAIN; then the same call must be made again after more input. */
bool ssh_again(int rc);
/* Says why a libssh2 call failed: the lost connection if that is it, else libssh2's words. Always STEP_FAIL.
 */
enum ssh_step ssh_call_failed(struct ssh *s, const char *doing, struct err *err);
size_t ssh_output_len(const struct ssh *s);

/* ssh_methods.c */
void ssh_methods_prefer_good(struct ssh *s); /* but for host keys, which ssh_hostkey_prefer_known does */
void ssh_methods_hear(struct ssh *s, const void *bytes, size_t len);
void ssh_methods_forget(struct ssh *s);
/* Nothing fitted: why. */
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
void ssh_auth_free(struct ssh *s); /* wipes; fine when there is none */

/* ssh_open.c: all return whether something moved; -1: the session is lost, err says why */
int ssh_open_pump(struct ssh *s, struct err *err);
void ssh_open_probe(struct ssh *s);
void ssh_open_fail_all(struct ssh *s, const struct err *err);
void ssh_open_drop_all(struct ssh *s);
/* Calls back for one that is done; false when there is none. The session may be gone after it. */
bool ssh_open_tell_one(struct ssh *s);

/* ssh_look.c: one at a time, in the place of an opening (it opens a channel) */
enum ssh_found {
	FOUND_NOTHING_OUT,   /* the host has no SFTP, or it did not help */
	FOUND_MISSING,       /* there is nothing of that name */
	FOUND_NO_PERMISSION, /* the user may not write to it, which is to connect */
	FOUND_NO_SOCKET,     /* something else */
	FOUND_USABLE,        /* it is there, and the user may connect */
	FOUNDS
};
struct ssh_look;
struct ssh_look *ssh_look_new(const char *path);
void ssh_look_free(struct ssh *s, struct ssh_look *look); /* NULL is fine */
/* False while libssh2 is opening its channel, which cannot be taken back. */
bool ssh_look_can_stop(const struct ssh_look *look);
bool ssh_look_step(struct ssh *s, struct ssh_look *look, enum ssh_found *found); /* true: over */

/* ssh_channel.c */
struct bufferevent *ssh_channel_new(struct ssh *s, LIBSSH2_CHANNEL *channel); /* the user's half */
void ssh_channel_discard(struct ssh *s, LIBSSH2_CHANNEL *channel);            /* nobody wants it: closes it */
int ssh_channels_pump(struct ssh *s, struct err *err);
void ssh_channels_lose(struct ssh *s); /* the session is lost: tells the readers */

#endif
