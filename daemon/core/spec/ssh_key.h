/* Whether a text is a private key that SSH can use. */
#ifndef APILB_CORE_SSH_KEY_H
#define APILB_CORE_SSH_KEY_H

#include "common/err.h"

/*
 * pem: PKCS#1, SEC1, PKCS#8 or OpenSSH's own format, RSA, ECDSA or Ed25519,
 * not encrypted: nobody is there to type a passphrase. No message holds
 * anything of the key.
 */
int ssh_key_check(const char *pem, struct err *err);

/* One public key in wire format (RFC 4253, 6.6) of the algorithm `type`. */
int ssh_public_key_check(const char *type, const unsigned char *blob, unsigned long len, struct err *err);

#endif
