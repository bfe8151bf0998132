/*
 * Defends against a host that floods its session. SSH lets a host send unasked
 * packets at any time: libssh2 keeps some of them for ever (answers to requests
 * that were never made, up to 505 MB), and spends time on decrypting the rest.
 * libssh2 does not show which packets these are, so two sums are kept:
 *
 * held: all memory that libssh2 has allocated for this session.
 *
 * excess: raw bytes received, less twice the bytes that channels carried in
 * either direction (generous to small packets, and enough for window adjusts
 * and new keys), less a trickle per second. So a flood of any kind ends the
 * session within a second, and less than a flood costs next to nothing.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/io/ssh/ssh_internal.h"

/* Far more than keep-alives, answers to our own requests, and announcements of host keys take. */
#define TRICKLE_BYTES_PER_S (64 << 10)

void *ssh_excess_alloc(size_t count, void **abstract)
{
	struct ssh *s = *abstract;
	void *p = malloc(count);

	s->held_bytes += (int64_t)malloc_usable_size(p);
	return p;
}

/* libssh2 leaves passwords and keys in what it frees; wiping all of it costs next to nothing. */
void ssh_excess_free(void *p, void **abstract)
{
	struct ssh *s = *abstract;

	s->held_bytes -= (int64_t)malloc_usable_size(p);
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void *ssh_excess_realloc(void *p, size_t count, void **abstract)
{
	struct ssh *s = *abstract;
	int64_t before = (int64_t)malloc_usable_size(p);
	void *fresh = realloc(p, count);

	if (fresh)
		s->held_bytes += (int64_t)malloc_usable_size(fresh) - before;
	return fresh;
}

static void forgive(struct ssh *s, int64_t bytes)
{
	s->excess_bytes = s->excess_bytes > bytes ? s->excess_bytes - bytes : 0;
}

void ssh_excess_received(struct ssh *s, size_t n)
{
	/* The time of the last input, not the clock: libssh2 reads a greeting byte by byte. */
	forgive(s, (s->last_input_ms - s->excess_at_ms) * TRICKLE_BYTES_PER_S / 1000);
	s->excess_at_ms = s->last_input_ms;
	s->excess_bytes += (int64_t)n;
}

void ssh_excess_carried(struct ssh *s, size_t n)
{
	forgive(s, 2 * (int64_t)n);
}

/* Each channel's window may be full of small packets, which take far more memory than they carry bytes. */
static int64_t limit_of(const struct ssh *s)
{
	return SSH_SESSION_SPARE_BYTES + (int64_t)s->channels_n * SSH_CHANNEL_SPARE_BYTES;
}

bool ssh_excess_is_too_much(const struct ssh *s)
{
	int64_t most = s->held_bytes > s->excess_bytes ? s->held_bytes : s->excess_bytes;

	return most > SSH_SESSION_SPARE_BYTES && most > limit_of(s);
}

void ssh_excess_err(const struct ssh *s, struct err *err)
{
	err_set(err, ERR_PERMANENT,
		"the host floods the connection: it sent more than %d MiB that nobody had asked for, so the "
		"connection was dropped. No sshd does that: see what answers at %s port %u",
		SSH_SESSION_SPARE_BYTES >> 20, s->settings.address, s->settings.port);
}
