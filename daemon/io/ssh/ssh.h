/*
 * SSH: one session to a host, any number of channels over it, on libevent.
 *
 * A session runs over a stream: a TCP socket, or, for ssh.jump, a channel of
 * another session, which it owns. It gives streams (stream.h): Unix sockets of
 * the host by direct-streamlocal@openssh.com (OpenSSH's PROTOCOL, 2.4), TCP by
 * direct-tcpip (RFC 4254, 7.2). No shell, no command, no file transfer.
 *
 * Nothing blocks. One connection attempt is one attempt: who calls decides
 * when to try again.
 */
#ifndef APILB_IO_SSH_H
#define APILB_IO_SSH_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/spec/spec.h"
#include "daemon/io/stream/stream.h"

struct ssh;

/* What the sessions of one daemon share. All pointers outlive every session. */
struct ssh_context {
	struct event_base *base;
	struct evdns_base *dns;
	const char *known_hosts; /* learned host keys, OpenSSH's format, hashed lines understood; 0600 */
	const char *agent;       /* path of an agent's socket (SSH_AUTH_SOCK); NULL: none */
};

struct ssh_callbacks {
	/* Authenticated and usable. */
	void (*ready)(void *arg);
	/*
	 * The end: connecting failed, or a ready session was lost. Comes at most
	 * once; the session is dead but still to be freed, and may be freed from here.
	 */
	void (*closed)(void *arg, const struct err *err);
	void *arg;
};

/*
 * Starts to connect; settings need not outlive the call. Callbacks come from
 * the event loop, never from within a call. connection_timeout_ms is for the
 * whole attempt: name, TCP, handshake, authentication, and the jump.
 *
 * What went wrong is told apart, each with what to do: name not found;
 * connection refused; timed out (in which step); host key changed, unknown
 * (strict) or not the pinned one, with both fingerprints; authentication
 * refused, with the methods tried and those that the host allows; key file
 * unreadable or of a kind that libssh2 cannot sign with. ERR_PERMANENT where
 * somebody must change something (host key, authentication, forwarding
 * forbidden), ERR_SPEC for a pinned key that is none, else ERR_UNREACHABLE.
 *
 * Authentication: the key given as text, the key file, the agent's keys, the
 * password, keyboard-interactive with the password; of these, what the settings
 * have and the host allows. One factor is enough; hosts that ask for two are
 * not supported.
 */
struct ssh *ssh_connect(const struct ssh_context *context, const struct ssh_settings *settings,
			const struct ssh_callbacks *callbacks);

/* Closes everything, streams' openings included (no callback comes); open streams see their end. NULL is
 * fine. */
void ssh_free(struct ssh *ssh);

bool ssh_is_ready(const struct ssh *ssh);
/* A few words on what it is doing ("resolving", "connecting", "key exchange", "authenticating (publickey)",
 * "ready"). */
const char *ssh_phase(const struct ssh *ssh);

/*
 * A stream to a Unix socket of the host. sshd gives no reason when it does not
 * open one; where the host has SFTP, that tells: "PATH: no such socket on the
 * host (user USER)", "... permission denied on the host ...", "... forwarding
 * refused by sshd (...), or nothing listens on the socket ...". Without SFTP
 * all of these are named. Nothing on the host is read or changed for it.
 *
 * A stream that ends because the session was lost gets BEV_EVENT_ERROR. A freed
 * stream's channel is closed when the session next wakes, within SSH_DEAD_PEER_MS / 3.
 *
 * No callback comes after ssh_free; after `closed` the openings have failed.
 */
struct stream_opening *ssh_open_unix(struct ssh *ssh, const char *path, int64_t timeout_ms,
				     stream_open_cb *cb, void *arg);
struct stream_opening *ssh_open_tcp(struct ssh *ssh, const char *host, uint16_t port, int64_t timeout_ms,
				    stream_open_cb *cb, void *arg);

/* A dead peer is noticed within this time, when a session is idle as well: keep-alives each third of it. */
#define SSH_DEAD_PEER_MS 15000

#endif
