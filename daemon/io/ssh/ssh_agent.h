/*
 * A client of an SSH agent (draft-ietf-sshm-ssh-agent) over its Unix socket.
 * libssh2 has one, too, but that one waits for the agent.
 *
 * One request at a time. `changed` is called from the event loop when the state
 * has changed; it may free the agent.
 */
#ifndef APILB_IO_SSH_AGENT_H
#define APILB_IO_SSH_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/io/ssh/ssh_wire.h"

struct event_base;
struct ssh_agent;

enum ssh_agent_state {
	AGENT_BUSY,   /* connecting, or a request is under way */
	AGENT_IDLE,   /* the answer to the last request can be fetched */
	AGENT_FAILED, /* for good; see ssh_agent_error */
};

#define SSH_AGENT_MAX_KEYS 64

/* SSH_AGENT_RSA_SHA2_256 and 512: flags of a request to sign */
#define SSH_AGENT_RSA_SHA2_256 2
#define SSH_AGENT_RSA_SHA2_512 4

/* Connects, and asks for the keys. */
struct ssh_agent *ssh_agent_new(struct event_base *base, const char *path, int64_t timeout_ms,
				void (*changed)(void *arg), void *arg);
void ssh_agent_free(struct ssh_agent *agent); /* NULL is fine */
enum ssh_agent_state ssh_agent_state(const struct ssh_agent *agent);
const char *ssh_agent_error(const struct ssh_agent *agent);

/* The keys' blobs, once it has become idle for the first time; they point into the agent. */
size_t ssh_agent_keys(const struct ssh_agent *agent);
struct wire ssh_agent_key(const struct ssh_agent *agent, size_t i);

/* Only when idle. */
void ssh_agent_sign(struct ssh_agent *agent, size_t key, const void *data, size_t len, uint32_t flags);
/* The signature's inner blob, without its algorithm's name; false: the agent refused. Valid until the next
 * request. */
bool ssh_agent_signature(const struct ssh_agent *agent, struct wire *signature);

#endif
