/*
 * A client of an SSH agent (draft-ietf-sshm-ssh-agent) over the agent's Unix
 * socket. libssh2's own client would block while it waits for the agent.
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
	AGENT_FAILED, /* the connection is of no more use; see ssh_agent_error */
};

#define SSH_AGENT_MAX_KEYS 64

/* Flags of a request to sign with an RSA key: the hash to use. */
#define SSH_AGENT_RSA_SHA2_256 2
#define SSH_AGENT_RSA_SHA2_512 4

/* Connects, and asks for the list of keys. */
struct ssh_agent *ssh_agent_new(struct event_base *base, const char *path, int64_t timeout_ms,
				void (*changed)(void *arg), void *arg);
void ssh_agent_free(struct ssh_agent *agent); /* NULL is fine */
enum ssh_agent_state ssh_agent_state(const struct ssh_agent *agent);
const char *ssh_agent_error(const struct ssh_agent *agent);

/* The number of keys, and a key's blob, which points into the agent. There are none until the agent has been
 * idle for the first time. */
size_t ssh_agent_keys(const struct ssh_agent *agent);
struct wire ssh_agent_key(const struct ssh_agent *agent, size_t i);

/* Asks for a signature by the key with this index. Only when the agent is idle. */
void ssh_agent_sign(struct ssh_agent *agent, size_t key, const void *data, size_t len, uint32_t flags);
/* The answer to ssh_agent_sign: the signature's inner blob, without the name of its algorithm, valid until
 * the next request. False: the agent refused. */
bool ssh_agent_signature(const struct ssh_agent *agent, struct wire *signature);

#endif
