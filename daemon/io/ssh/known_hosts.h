/*
 * Host keys: OpenSSH's known_hosts format (sshd(8), "SSH_KNOWN_HOSTS FILE
 * FORMAT") and fingerprints. Pure: text in, verdict out.
 *
 * Understood are several lines and key types for a host, patterns with * ? and
 * !, hashed names, [host]:port, and comments. A line marked @revoked refuses its
 * key; @cert-authority lines are ignored (libssh2 knows no certificates).
 */
#ifndef APILB_IO_KNOWN_HOSTS_H
#define APILB_IO_KNOWN_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "SHA256:" and 43 characters, as ssh-keygen -l shows it. */
#define FINGERPRINT_BYTES 64
/* The longest blob of a key (RFC 4253, 6.6); the blob of a 16384 bit RSA key has 2072 bytes. */
#define HOST_KEY_MAX_BYTES 4096
#define HOST_KEY_TYPE_BYTES 64

struct host_key {
	char type[HOST_KEY_TYPE_BYTES]; /* "ssh-ed25519", read from the blob */
	unsigned char blob[HOST_KEY_MAX_BYTES];
	size_t len;
};

enum host_key_verdict {
	HOST_KEY_UNKNOWN, /* the file has no key of this host */
	HOST_KEY_KNOWN,
	HOST_KEY_CHANGED, /* the host is known, with other keys only */
	HOST_KEY_REVOKED,
};

struct known_hosts_match {
	enum host_key_verdict verdict;
	size_t line;                             /* the line that decided, counted from 1 */
	char old_fingerprint[FINGERPRINT_BYTES]; /* CHANGED: the key on that line */
	char old_type[HOST_KEY_TYPE_BYTES];
};

/* False: the blob is not a key. */
bool host_key_from_blob(struct host_key *key, const void *blob, size_t len);
/* Reads "TYPE BASE64 [COMMENT]". */
bool host_key_parse(struct host_key *key, const char *text, size_t len);
bool host_key_equal(const struct host_key *a, const struct host_key *b);
const char *host_key_fingerprint(const struct host_key *key, char out[FINGERPRINT_BYTES]);

/*
 * Looks the host's key up. A key that differs from all keys of the host is
 * CHANGED even if no line has a key of its type: the session asks for the known
 * types first (known_hosts_types), so the host would have shown a known key if it
 * still had one.
 */
void known_hosts_find(const char *text, size_t len, const char *host, uint16_t port,
		      const struct host_key *key, struct known_hosts_match *match);

/* Calls back with the type of every key known for the host. */
void known_hosts_types(const char *text, size_t len, const char *host, uint16_t port,
		       void (*cb)(void *arg, const char *type), void *arg);

/* The line that records a key, with its newline; the caller frees. */
char *known_hosts_line(const char *host, uint16_t port, const struct host_key *key);

#endif
