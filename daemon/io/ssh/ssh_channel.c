/*
 * Open channels. The user gets one half of a bufferevent pair; we keep the
 * other half and carry bytes between it and libssh2's channel.
 *
 * Back-pressure: we read a channel only while few bytes wait in our half for the
 * user; else the channel's window fills, and the host stops. We take from the
 * user only as much as the session can send; the rest stays in the user's half.
 *
 * libevent does not tell our half that the user has freed the other: the pump
 * looks for that. Without other traffic the pump runs when the session next looks
 * for a dead peer, soon enough to close a channel that nobody waits for.
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>

#include "common/mem.h"
#include "daemon/io/ssh/ssh_internal.h"

struct ssh_channel {
	struct ssh *ssh;
	LIBSSH2_CHANNEL *channel;
	struct bufferevent *half; /* our half; NULL: the channel is only to be closed */
	size_t writing;           /* bytes of a write that libssh2 wants repeated, or 0 */
	bool host_ended;          /* the host will send nothing more... */
	bool host_end_told;       /* ...and the user has been told */
	bool user_ended;          /* the user will send nothing more... */
	bool user_end_told;       /* ...and the host has been told */
	TAILQ_ENTRY(ssh_channel) entry;
};

static void half_moved(struct bufferevent *half, void *arg)
{
	struct ssh_channel *c = arg;

	(void)half;
	ssh_wake(c->ssh);
}

/* The only event that reaches our half: the user's bufferevent_flush(BEV_FINISHED). */
static void half_event(struct bufferevent *half, short what, void *arg)
{
	struct ssh_channel *c = arg;

	(void)half;
	if (what & BEV_EVENT_EOF)
		c->user_ended = true;
	ssh_wake(c->ssh);
}

struct bufferevent *ssh_channel_new(struct ssh *s, LIBSSH2_CHANNEL *channel)
{
	struct ssh_channel *c = xcalloc(1, sizeof(*c));
	struct bufferevent *pair[2];

	if (bufferevent_pair_new(s->context->base, BEV_OPT_CLOSE_ON_FREE, pair) < 0)
		abort(); /* out of memory */
	c->ssh = s;
	c->channel = channel;
	c->half = pair[0];
	bufferevent_setcb(c->half, half_moved, half_moved, half_event, c);
	bufferevent_setwatermark(c->half, EV_READ, 0, SSH_STREAM_HIGH_BYTES);
	bufferevent_enable(c->half, EV_READ | EV_WRITE);
	TAILQ_INSERT_TAIL(&s->channels, c, entry);
	s->channels_n++;
	return pair[1];
}

void ssh_channel_discard(struct ssh *s, LIBSSH2_CHANNEL *channel)
{
	struct ssh_channel *c = xcalloc(1, sizeof(*c));

	c->ssh = s;
	c->channel = channel;
	TAILQ_INSERT_TAIL(&s->channels, c, entry);
	s->channels_n++;
}

static void channel_free(struct ssh_channel *c)
{
	TAILQ_REMOVE(&c->ssh->channels, c, entry);
	c->ssh->channels_n--;
	/* Bytes may be on their way to the closed channel: they are no flood. */
	ssh_excess_carried(c->ssh, SSH_WINDOW_BYTES);
	if (c->half)
		bufferevent_free(c->half);
	free(c);
}

/* Host to user. This and the next functions return whether something moved; -1: the session is lost. */
static int read_channel(struct ssh_channel *c, struct err *err)
{
	struct evbuffer *output = bufferevent_get_output(c->half);
	/* Not read straight into the evbuffer: each channel would keep the space reserved for it. */
	char bytes[SSH_PACKET_BYTES];
	ssize_t n;
	int moved = 0;

	while (!c->host_ended && evbuffer_get_length(output) < SSH_STREAM_HIGH_BYTES) {
		n = libssh2_channel_read(c->channel, bytes, sizeof(bytes));
		if (ssh_again(n))
			break;
		if (n > 0) {
			evbuffer_add(output, bytes, (size_t)n);
			ssh_excess_carried(c->ssh, (size_t)n);
		}
		if (n < 0) {
			ssh_call_failed(c->ssh, "reading", err);
			return -1;
		}
		/* 0 bytes need not mean the end: libssh2 returns 0 after odd packets, too. */
		if (n == 0 && !libssh2_channel_eof(c->channel))
			break;
		c->host_ended = n == 0;
		moved = 1;
	}
	return moved;
}

/* The user learns of the end after the last byte, as with a socket, and not before a callback is set. */
static void tell_host_end(struct ssh_channel *c)
{
	bufferevent_event_cb event_cb = NULL;

	if (!c->host_ended || c->host_end_told || evbuffer_get_length(bufferevent_get_output(c->half)) > 0)
		return;
	bufferevent_getcb(bufferevent_pair_get_partner(c->half), NULL, NULL, &event_cb, NULL);
	if (!event_cb)
		return;
	c->host_end_told = true;
	bufferevent_flush(c->half, EV_WRITE, BEV_FINISHED);
}

/* User to host: one packet, so that no channel keeps the others waiting. */
static int write_channel(struct ssh_channel *c, struct err *err)
{
	struct evbuffer *input = bufferevent_get_input(c->half);
	size_t len = evbuffer_get_length(input);
	ssize_t n;

	if (len == 0 || ssh_output_len(c->ssh) >= SSH_OUTPUT_HIGH_BYTES)
		return 0;
	/* When libssh2 wants a call repeated, it must be given the same bytes. */
	if (c->writing == 0)
		c->writing = len < SSH_PACKET_BYTES ? len : SSH_PACKET_BYTES;
	n = libssh2_channel_write(c->channel, (char *)evbuffer_pullup(input, c->writing), c->writing);
	if (n == 0 || ssh_again(n))
		return 0;
	c->writing = 0;
	if (n < 0) {
		ssh_call_failed(c->ssh, "writing", err);
		return -1;
	}
	evbuffer_drain(input, n);
	ssh_excess_carried(c->ssh, (size_t)n);
	return 1;
}

static int tell_user_end(struct ssh_channel *c, struct err *err)
{
	int rc;

	if (!c->user_ended || c->user_end_told || evbuffer_get_length(bufferevent_get_input(c->half)) > 0)
		return 0;
	rc = libssh2_channel_send_eof(c->channel);
	if (ssh_again(rc))
		return 0;
	if (rc < 0) {
		ssh_call_failed(c->ssh, "writing", err);
		return -1;
	}
	c->user_end_told = true;
	return 1;
}

/* May take several calls, until the host has closed its side, too. */
static int close_channel(struct ssh_channel *c)
{
	if (c->half)
		bufferevent_free(c->half);
	c->half = NULL;
	if (ssh_again(libssh2_channel_free(c->channel)))
		return 0;
	channel_free(c);
	return 1;
}

static int channel_pump(struct ssh_channel *c, struct err *err)
{
	int read, written, ended;

	if (!c->half || !bufferevent_pair_get_partner(c->half))
		return close_channel(c);
	read = read_channel(c, err);
	if (read < 0)
		return -1;
	tell_host_end(c);
	written = write_channel(c, err);
	if (written < 0)
		return -1;
	ended = tell_user_end(c, err);
	return ended < 0 ? -1 : read || written || ended;
}

int ssh_channels_pump(struct ssh *s, struct err *err)
{
	struct ssh_channel *c, *next, *first = TAILQ_FIRST(&s->channels);
	int moved = 0, rc;

	for (c = first; c; c = next) {
		next = TAILQ_NEXT(c, entry);
		rc = channel_pump(c, err);
		if (rc < 0)
			return -1;
		moved |= rc;
	}
	/* The channels take turns at being first, since the first may fill the session's output. */
	first = TAILQ_FIRST(&s->channels);
	if (first) {
		TAILQ_REMOVE(&s->channels, first, entry);
		TAILQ_INSERT_TAIL(&s->channels, first, entry);
	}
	return moved;
}

void ssh_channels_lose(struct ssh *s)
{
	struct ssh_channel *c;
	struct bufferevent *user;

	while ((c = TAILQ_FIRST(&s->channels))) {
		user = c->half ? bufferevent_pair_get_partner(c->half) : NULL;
		if (user && !c->host_end_told) {
			bufferevent_flush(c->half, EV_WRITE, BEV_FLUSH);
			errno = ECONNRESET;
			bufferevent_trigger_event(user, BEV_EVENT_READING | BEV_EVENT_ERROR, 0);
		}
		channel_free(c);
	}
}
