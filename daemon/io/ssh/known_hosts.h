/*
 * Host keys: OpenSSH's known_hosts format (sshd(8), "SSH_KNOWN_HOSTS FILE
 * FORMAT") and fingerprints. Pure: text in, verdict out.
 *
 * Several lines and key types for a host, patterns with * ? and !, hashed
 * names, [host]:port, comments; lines marked @revoked refuse their key;
 * @cert-authority lines are left aside (libssh2 knows no certificates).
 */
#ifndef APILB_IO_KNOWN_HOSTS_H
#define APILB_IO_KNOWN_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "SHA256:" and 43 characters, as ssh-keygen -l shows it. */
#define FINGERPRINT_BYTES 64
/* A key's blob (RFC 4253, 6.6); that of a 16384 bit RSA key has 2072 bytes. */
#define HOST_KEY_MAX_BYTES 4096
#define HOST_KEY_TYPE_BYTES 64

struct host_key {
	char type[HOST_KEY_TYPE_BYTES]; /* "ssh-ed25519", as its blob says */
	unsigned char blob[HOST_KEY_MAX_BYTES];
	size_t len;
};

enum host_key_verdict {
	HOST_KEY_UNKNOWN, /* nothing is known of this host */
	HOST_KEY_KNOWN,
	HOST_KEY_CHANGED, /* the host is known, with other keys only */
	HOST_KEY_REVOKED,
};

struct known_hosts_match {
	enum host_key_verdict verdict;
	size_t line;                             /* the one that decided */
	char old_fingerprint[FINGERPRINT_BYTES]; /* CHANGED: the key on that line */
	char old_type[HOST_KEY_TYPE_BYTES];
};

/* False when the blob is not a key. */
bool host_key_from_blob(struct host_key *key, const void *blob, size_t len);
/* Reads "TYPE BASE64 [COMMENT]". */
bool host_key_parse(struct host_key *key, const char *text, size_t len);
bool host_key_equal(const struct host_key *a, const struct host_key *b);
const char *host_key_fingerprint(const struct host_key *key, char out[FINGERPRINT_BYTES]);

/*
 * A key that differs from all known ones is CHANGED even when it is of a type
 * that no line has: known types are asked for first (known_hosts_types), so a
 * host that still had its old key would have shown that.
 */
void known_hosts_find(const char *text, size_t len, const char *host, uint16_t port,
		      const struct host_key *key, struct known_hosts_match *match);

/* Calls back with the type of every key known for the host. */
void known_hosts_types(const char *text, size_t len, const char *host, uint16_t port,
		       void (*cb)(void *arg, const char *type), void *arg);

/* The line to remember a key by, with its newline; the caller frees. */
char *known_hosts_line(const char *host, uint16_t port, const struct host_key *key);

#endif
