/* What kind of private key a text is: libssh2's errors do not say why it cannot use a key. */
#ifndef APILB_IO_SSH_KEY_H
#define APILB_IO_SSH_KEY_H

enum ssh_key_kind {
	SSH_KEY_OTHER, /* Ed25519, ECDSA, or another kind that libssh2 may know */
	SSH_KEY_RSA,
	SSH_KEY_ENCRYPTED,
	SSH_KEY_NONE, /* not a private key */
};

enum ssh_key_kind ssh_key_kind(const char *text);

#endif
