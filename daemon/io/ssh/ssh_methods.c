/*
 * Which methods of key exchange, encryption and integrity are offered: those that
 * OpenSSH 9 offers by default (ssh_config(5)), as far as libssh2 has them. libssh2
 * itself still offers methods that have been broken for years. Any sshd that can
 * forward Unix sockets (OpenSSH 6.7) has a method of each list below.
 *
 * When the two sides have no method in common, libssh2 does not say which methods
 * the host has. So the host's first bytes, which are not encrypted, are kept and
 * read here: RFC 4253, 4.2 and 7.1.
 */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/io/ssh/ssh_internal.h"
#include "daemon/io/ssh/ssh_wire.h"

#define KEXINIT 20
#define COOKIE_BYTES 16

static const char *const key_exchanges[] = {
	"curve25519-sha256",
	"curve25519-sha256@libssh.org",
	"ecdh-sha2-nistp256",
	"ecdh-sha2-nistp384",
	"ecdh-sha2-nistp521",
	"diffie-hellman-group-exchange-sha256",
	"diffie-hellman-group16-sha512",
	"diffie-hellman-group18-sha512",
	"diffie-hellman-group14-sha256",
	/* Not methods: libssh2 1.11 announces extensions by these names. */
	"ext-info-c",
	"kex-strict-c-v00@openssh.com",
	NULL,
};

static const char *const ciphers[] = {
	"chacha20-poly1305@openssh.com",
	"aes128-gcm@openssh.com",
	"aes256-gcm@openssh.com",
	"aes128-ctr",
	"aes192-ctr",
	"aes256-ctr",
	NULL,
};

static const char *const macs[] = {
	"hmac-sha2-256",
	"hmac-sha2-512",
	"hmac-sha1",
	"hmac-sha2-256-etm@openssh.com",
	"hmac-sha2-512-etm@openssh.com",
	"hmac-sha1-etm@openssh.com",
	NULL,
};

static const char *const host_keys[] = {
	"ssh-ed25519",
	"ecdsa-sha2-nistp256",
	"ecdsa-sha2-nistp384",
	"ecdsa-sha2-nistp521",
	"rsa-sha2-512",
	"rsa-sha2-256",
	NULL,
};

/* In the order of KEXINIT. */
static const struct {
	int type;
	const char *what, *keyword; /* keyword: in sshd_config(5) */
	const char *const *good;
} lists[] = {
	{LIBSSH2_METHOD_KEX, "key exchange method", "KexAlgorithms", key_exchanges},
	{LIBSSH2_METHOD_HOSTKEY, "kind of host key",
	 "HostKey (ssh-keygen -A makes an Ed25519 key) and HostKeyAlgorithms", host_keys},
	{LIBSSH2_METHOD_CRYPT_CS, "cipher", "Ciphers", ciphers},
	{LIBSSH2_METHOD_CRYPT_SC, "cipher", "Ciphers", ciphers},
	{LIBSSH2_METHOD_MAC_CS, "MAC", "MACs", macs},
	{LIBSSH2_METHOD_MAC_SC, "MAC", "MACs", macs},
};

static bool is_good(const char *const *good, const char *name)
{
	for (; *good; good++)
		if (strcmp(*good, name) == 0)
			return true;
	return false;
}

/* "a,b": the good methods that libssh2 has, in libssh2's order. The caller frees. */
static char *ours(struct ssh *s, size_t i)
{
	char *names = xstrdup(""), *longer;
	const char **supported;
	int n = libssh2_session_supported_algs(s->session, lists[i].type, &supported);

	for (int j = 0; j < n; j++) {
		if (!is_good(lists[i].good, supported[j]))
			continue;
		longer = xasprintf("%s%s%s", names, *names ? "," : "", supported[j]);
		free(names);
		names = longer;
	}
	if (n > 0)
		libssh2_free(s->session, supported);
	return names;
}

void ssh_methods_prefer_good(struct ssh *s)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		char *names = ours(s, i);

		if (lists[i].type != LIBSSH2_METHOD_HOSTKEY && *names)
			libssh2_session_method_pref(s->session, lists[i].type, names);
		free(names);
	}
}

/* Finding out which methods the host has. */

void ssh_methods_hear(struct ssh *s, const void *bytes, size_t len)
{
	size_t room = SSH_HELLO_MAX_BYTES - s->hello_len;

	if (room == 0)
		return;
	len = len < room ? len : room;
	s->hello = xrealloc(s->hello, s->hello_len + len);
	memcpy(s->hello + s->hello_len, bytes, len);
	s->hello_len += len;
}

void ssh_methods_forget(struct ssh *s)
{
	FREE(s->hello);
	s->hello_len = 0;
}

/* Skips the greeting, and the lines that may stand before it. */
static bool skip_greeting(struct wire *w)
{
	const unsigned char *end;
	bool greeting;

	do {
		end = memchr(w->p, '\n', w->left);
		if (!end)
			return false;
		greeting = w->left > 4 && memcmp(w->p, "SSH-", 4) == 0;
		w->left -= (size_t)(end + 1 - w->p);
		w->p = end + 1;
	} while (!greeting);
	return true;
}

static bool skip_to_lists(struct wire *w)
{
	uint32_t packet;
	uint8_t padding, type;

	if (!skip_greeting(w) || !wire_get_u32(w, &packet) || !wire_get_u8(w, &padding) ||
	    !wire_get_u8(w, &type) || type != KEXINIT || w->left < COOKIE_BYTES)
		return false;
	w->p += COOKIE_BYTES;
	w->left -= COOKIE_BYTES;
	return true;
}

static bool has_common(const char *mine, const char *theirs)
{
	char *all = xasprintf(",%s,", theirs), *copy = xstrdup(mine), *next = copy, *name;
	bool found = false;

	while (!found && (name = strsep(&next, ",")) != NULL) {
		char *token = xasprintf(",%s,", name);

		found = strstr(all, token) != NULL;
		free(token);
	}
	free(copy);
	free(all);
	return found;
}

void ssh_methods_explain(struct ssh *s, struct err *err)
{
	struct wire w = {(const unsigned char *)s->hello, s->hello_len}, list;

	err_set(err, ERR_PERMANENT,
		"key exchange: no key exchange, host key or cipher method in common with libssh2 %s",
		libssh2_version(0));
	if (!s->hello || !skip_to_lists(&w))
		return;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && wire_get_string(&w, &list); i++) {
		char *theirs = xasprintf("%.*s", (int)list.left, (const char *)list.p);
		char *mine = ours(s, i);
		bool common = has_common(mine, theirs);

		if (!common)
			err_set(err, ERR_PERMANENT,
				"key exchange: no key exchange, host key or cipher method in common with "
				"libssh2 %s: the host has no %s but %.300s (outdated, or unknown to "
				"libssh2); apilbd can use %s. See %s in the host's sshd_config",
				libssh2_version(0), lists[i].what, *theirs ? theirs : "none", mine,
				lists[i].keyword);
		free(mine);
		free(theirs);
		if (!common)
			return;
	}
}
