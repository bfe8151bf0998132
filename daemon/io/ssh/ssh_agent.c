#include "daemon/io/ssh/ssh_agent.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>

#include "common/mem.h"
#include "daemon/io/stream/stream.h"

enum {
	MSG_FAILURE = 5,
	MSG_REQUEST_IDENTITIES = 11,
	MSG_IDENTITIES_ANSWER = 12,
	MSG_SIGN_REQUEST = 13,
	MSG_SIGN_RESPONSE = 14,
};

/* The limit of OpenSSH's agent. */
#define MESSAGE_MAX_BYTES (256 << 10)
/* Short, since the agent is on this machine, and nobody is there to confirm the use of a key. */
#define ANSWER_S 5

struct ssh_agent {
	struct stream_opening *opening;
	struct bufferevent *stream;
	void (*changed)(void *arg);
	void *arg;
	enum ssh_agent_state state;
	struct err err;
	struct evbuffer *identities; /* the answer that the keys point into */
	struct evbuffer *answer;     /* the last answer: type and contents */
	struct wire keys[SSH_AGENT_MAX_KEYS];
	size_t keys_n;
	bool have_keys;
};

static void set_state(struct ssh_agent *agent, enum ssh_agent_state state)
{
	agent->state = state;
	agent->changed(agent->arg);
}

static void fail(struct ssh_agent *agent, const char *why)
{
	err_set(&agent->err, ERR_UNREACHABLE, "%s", why);
	set_state(agent, AGENT_FAILED);
}

static struct wire contents(struct evbuffer *message)
{
	return (struct wire){evbuffer_pullup(message, -1), evbuffer_get_length(message)};
}

static void read_identities(struct ssh_agent *agent)
{
	struct wire w, key, comment;
	uint8_t type = 0;
	uint32_t n = 0;

	evbuffer_add_buffer(agent->identities, agent->answer);
	w = contents(agent->identities);
	agent->have_keys = true;
	if (!wire_get_u8(&w, &type) || type != MSG_IDENTITIES_ANSWER || !wire_get_u32(&w, &n)) {
		fail(agent, "it does not list its keys");
		return;
	}
	while (n-- > 0 && agent->keys_n < SSH_AGENT_MAX_KEYS && wire_get_string(&w, &key) &&
	       wire_get_string(&w, &comment))
		agent->keys[agent->keys_n++] = key;
	set_state(agent, AGENT_IDLE);
}

/* Waits until a whole message has come: its length, and as many bytes. */
static void input_event(struct bufferevent *stream, void *arg)
{
	struct ssh_agent *agent = arg;
	struct evbuffer *input = bufferevent_get_input(stream);
	uint32_t net;
	size_t len;

	if (evbuffer_copyout(input, &net, sizeof(net)) < (ssize_t)sizeof(net))
		return;
	len = ntohl(net);
	if (len == 0 || len > MESSAGE_MAX_BYTES || agent->state != AGENT_BUSY) {
		bufferevent_disable(stream, EV_READ);
		fail(agent, "its answers make no sense");
		return;
	}
	if (evbuffer_get_length(input) < sizeof(net) + len)
		return;
	evbuffer_drain(input, sizeof(net));
	evbuffer_drain(agent->answer, evbuffer_get_length(agent->answer));
	evbuffer_remove_buffer(input, agent->answer, len);
	if (agent->have_keys)
		set_state(agent, AGENT_IDLE);
	else
		read_identities(agent);
}

static void end_event(struct bufferevent *stream, short what, void *arg)
{
	struct ssh_agent *agent = arg;

	if (!(what & BEV_EVENT_TIMEOUT))
		fail(agent, "it closed the connection");
	else if (agent->state == AGENT_BUSY)
		fail(agent, "it does not answer");
	else
		bufferevent_enable(stream, EV_READ); /* nothing was asked, so silence is fine */
}

static void send_message(struct ssh_agent *agent, struct evbuffer *message)
{
	struct evbuffer *output = bufferevent_get_output(agent->stream);

	wire_put_u32(output, evbuffer_get_length(message));
	evbuffer_add_buffer(output, message);
	evbuffer_free(message);
}

static struct evbuffer *message_new(uint8_t type)
{
	struct evbuffer *message = evbuffer_new();

	evbuffer_add(message, &type, 1);
	return message;
}

static void stream_opened(void *arg, struct bufferevent *stream, const struct err *err)
{
	static const struct timeval patience = {.tv_sec = ANSWER_S};
	struct ssh_agent *agent = arg;

	agent->opening = NULL;
	agent->stream = stream;
	if (!stream) {
		fail(agent, err->message);
		return;
	}
	bufferevent_setcb(stream, input_event, NULL, end_event, agent);
	bufferevent_set_timeouts(stream, &patience, &patience);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	send_message(agent, message_new(MSG_REQUEST_IDENTITIES));
}

struct ssh_agent *ssh_agent_new(struct event_base *base, const char *path, int64_t timeout_ms,
				void (*changed)(void *arg), void *arg)
{
	struct ssh_agent *agent = xcalloc(1, sizeof(*agent));

	agent->changed = changed;
	agent->arg = arg;
	agent->identities = evbuffer_new();
	agent->answer = evbuffer_new();
	agent->opening = stream_open_unix(base, path, timeout_ms, stream_opened, agent);
	return agent;
}

void ssh_agent_free(struct ssh_agent *agent)
{
	if (!agent)
		return;
	stream_open_cancel(agent->opening);
	if (agent->stream)
		bufferevent_free(agent->stream);
	evbuffer_free(agent->identities);
	evbuffer_free(agent->answer);
	free(agent);
}

enum ssh_agent_state ssh_agent_state(const struct ssh_agent *agent)
{
	return agent->state;
}

const char *ssh_agent_error(const struct ssh_agent *agent)
{
	return agent->err.message;
}

size_t ssh_agent_keys(const struct ssh_agent *agent)
{
	return agent->keys_n;
}

struct wire ssh_agent_key(const struct ssh_agent *agent, size_t i)
{
	return agent->keys[i];
}

void ssh_agent_sign(struct ssh_agent *agent, size_t key, const void *data, size_t len, uint32_t flags)
{
	struct evbuffer *message = message_new(MSG_SIGN_REQUEST);

	wire_put_string(message, agent->keys[key].p, agent->keys[key].left);
	wire_put_string(message, data, len);
	wire_put_u32(message, flags);
	agent->state = AGENT_BUSY;
	send_message(agent, message);
}

bool ssh_agent_signature(const struct ssh_agent *agent, struct wire *signature)
{
	struct wire w = contents(agent->answer), whole, algorithm;
	uint8_t type = 0;

	return wire_get_u8(&w, &type) && type == MSG_SIGN_RESPONSE && wire_get_string(&w, &whole) &&
	       wire_get_string(&whole, &algorithm) && wire_get_string(&whole, signature);
}
