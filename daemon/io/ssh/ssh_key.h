/* What is wrong with a private key: libssh2's errors do not tell. */
#ifndef APILB_IO_SSH_KEY_H
#define APILB_IO_SSH_KEY_H

enum ssh_key_kind {
	SSH_KEY_OTHER, /* Ed25519 or ECDSA, or something that libssh2 may know */
	SSH_KEY_RSA,
	SSH_KEY_ENCRYPTED,
	SSH_KEY_NONE, /* no private key at all */
};

enum ssh_key_kind ssh_key_kind(const char *text);

#endif
