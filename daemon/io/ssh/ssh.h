/*
 * SSH: one session to a host, any number of channels over it, on libevent.
 *
 * A session runs over a stream: a TCP socket, or, for ssh.jump, a channel of
 * another session, which it owns. It opens streams (stream.h): to Unix sockets of
 * the host by direct-streamlocal@openssh.com (OpenSSH's PROTOCOL, 2.4), to TCP
 * ports by direct-tcpip (RFC 4254, 7.2). No shell, no command, no file transfer.
 *
 * Nothing blocks. A session makes one attempt to connect: the caller decides
 * when to retry with a new session.
 */
#ifndef APILB_IO_SSH_H
#define APILB_IO_SSH_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/core/spec/spec.h"
#include "daemon/io/stream/stream.h"

struct ssh;

/* Shared by all sessions of a daemon. All pointers outlive every session. */
struct ssh_context {
	struct event_base *base;
	struct evdns_base *dns;
	const char *known_hosts; /* path of the file of learned host keys (known_hosts.h), mode 0600; NULL:
				    none */
	const char *agent;       /* path of an agent's socket (SSH_AUTH_SOCK); NULL: none */
	struct ssh_secrets *secrets; /* reads key and password files (ssh_secret.h) */
};

struct ssh_callbacks {
	/* The session is authenticated, and streams can be opened. Comes at most once. */
	void (*ready)(void *arg);
	/*
	 * The end: connecting failed, or a ready session was lost. Comes at most
	 * once. The owner must still free the session, and may do so in this callback.
	 */
	void (*closed)(void *arg, const struct err *err);
	void *arg;
};

/*
 * Starts to connect; settings need not outlive the call. Callbacks come from
 * the event loop, never from within a call. connection_timeout_ms is for the
 * whole attempt: name, TCP, handshake, authentication, and the jump.
 *
 * Each error says what failed, and what to do about it: name not found;
 * connection refused; timed out (in which step); host key changed, unknown
 * (strict) or not the pinned one, with both fingerprints; authentication
 * refused, with the methods tried and the methods that the host allows; key file
 * unreadable or of a kind that libssh2 cannot sign with. Kinds: ERR_PERMANENT
 * where a person must change something (host key, authentication, forwarding
 * forbidden), ERR_SPEC where the pinned key is not a key, else ERR_UNREACHABLE.
 *
 * Authentication is tried in this order, as far as the settings have it and the
 * host allows it: the key given as text, the key file, the agent's keys, the
 * password, keyboard-interactive with the password. One factor is enough; hosts
 * that ask for two are not supported.
 */
struct ssh *ssh_connect(const struct ssh_context *context, const struct ssh_settings *settings,
			const struct ssh_callbacks *callbacks);

/* Closes everything. Openings of streams are cancelled without a callback; open streams get BEV_EVENT_ERROR.
 * NULL is fine. */
void ssh_free(struct ssh *ssh);

bool ssh_is_ready(const struct ssh *ssh);
/* The session's current step in a few words: "resolving", "connecting", "key exchange",
 * "authenticating (publickey)", "ready". */
const char *ssh_phase(const struct ssh *ssh);

/*
 * Opens a stream to a Unix socket of the host (ssh_open_unix) or to a TCP port
 * (ssh_open_tcp). sshd gives no reason when it refuses a Unix socket, so the
 * host's SFTP server is asked: "PATH: no such socket on the host (user USER)",
 * "... permission denied on the host ...", "... forwarding refused by sshd (...),
 * or nothing listens on the socket ...". Without SFTP the error names all of
 * these. Nothing on the host is read or changed by this.
 *
 * A stream that ends because the session was lost gets BEV_EVENT_ERROR. When a
 * stream is freed, its channel is closed the next time that the session wakes,
 * within SSH_DEAD_PEER_MS / 3.
 *
 * When the session is lost, all openings fail before `closed` comes. No callback
 * comes after ssh_free.
 */
struct stream_opening *ssh_open_unix(struct ssh *ssh, const char *path, int64_t timeout_ms,
				     stream_open_cb *cb, void *arg);
struct stream_opening *ssh_open_tcp(struct ssh *ssh, const char *host, uint16_t port, int64_t timeout_ms,
				    stream_open_cb *cb, void *arg);

/* A dead peer is noticed within this time, even while the session is idle: a keep-alive is sent after each
 * third of it. */
#define SSH_DEAD_PEER_MS 15000

#endif
