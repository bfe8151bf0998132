/*
 * What a host sends beyond what its channels carry. SSH lets it send at any time
 * what nobody asked for: libssh2 keeps some of it for ever (answers to requests
 * that were never made, 505 MB of them if it likes), and takes the time to
 * decrypt the rest. Neither can be told from outside, so two sums are kept:
 *
 * held: what libssh2 has allocated for this session, by its allocator, whatever
 * it is for.
 *
 * excess: raw bytes that came in, less twice what channels carried either way
 * (that is generous to small packets, and pays for window adjusts and new
 * keys), less a trickle. So a flood of any kind ends the session after a second
 * or less, and what stays below it costs next to nothing.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/io/ssh/ssh_internal.h"

/* Far more than keep-alives, answers to our own requests, and keys that the host announces. */
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
	/* libssh2 reads a greeting byte by byte: no clock is asked for each. */
	forgive(s, (s->last_input_ms - s->excess_at_ms) * TRICKLE_BYTES_PER_S / 1000);
	s->excess_at_ms = s->last_input_ms;
	s->excess_bytes += (int64_t)n;
}

void ssh_excess_carried(struct ssh *s, size_t n)
{
	forgive(s, 2 * (int64_t)n);
}

/* Each channel's window may be full, and of small packets, which take far more room than they carry. */
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
