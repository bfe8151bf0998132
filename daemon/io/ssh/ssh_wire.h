/*
 * Numbers and strings as SSH writes them (RFC 4251, 5): key blobs, channel
 * openings and the agent's messages are made of them. Reading is bounds-checked:
 * once a read has failed, every later one fails, too.
 */
#ifndef APILB_IO_SSH_WIRE_H
#define APILB_IO_SSH_WIRE_H

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire {
	const unsigned char *p;
	size_t left;
};

static inline bool wire_get_u8(struct wire *w, uint8_t *value)
{
	if (w->left < 1) {
		w->left = 0;
		return false;
	}
	*value = *w->p++;
	w->left--;
	return true;
}

static inline bool wire_get_u32(struct wire *w, uint32_t *value)
{
	uint32_t net;

	if (w->left < sizeof(net)) {
		w->left = 0;
		return false;
	}
	memcpy(&net, w->p, sizeof(net));
	*value = ntohl(net);
	w->p += sizeof(net);
	w->left -= sizeof(net);
	return true;
}

/* *value points into the bytes of w. */
static inline bool wire_get_string(struct wire *w, struct wire *value)
{
	uint32_t len;

	if (!wire_get_u32(w, &len) || len > w->left) {
		w->left = 0;
		return false;
	}
	*value = (struct wire){w->p, len};
	w->p += len;
	w->left -= len;
	return true;
}

static inline bool wire_is(const struct wire *w, const char *text)
{
	return w->left == strlen(text) && memcmp(w->p, text, w->left) == 0;
}

static inline void wire_put_u32(struct evbuffer *buf, uint32_t value)
{
	uint32_t net = htonl(value);

	evbuffer_add(buf, &net, sizeof(net));
}

static inline void wire_put_string(struct evbuffer *buf, const void *data, size_t len)
{
	wire_put_u32(buf, len);
	evbuffer_add(buf, data, len);
}

#endif
