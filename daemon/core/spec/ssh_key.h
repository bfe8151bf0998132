/* Checks of SSH keys. */
#ifndef APILB_CORE_SSH_KEY_H
#define APILB_CORE_SSH_KEY_H

#include "common/err.h"

/*
 * pem must be an RSA, ECDSA or Ed25519 key in PKCS#1, SEC1, PKCS#8 or OpenSSH's
 * format, not encrypted: nobody is there to type a passphrase. No message holds
 * anything of the key.
 */
int ssh_key_check(const char *pem, struct err *err);

/* blob must be one public key of the algorithm `type` in wire format (RFC 4253, 6.6). */
int ssh_public_key_check(const char *type, const unsigned char *blob, unsigned long len, struct err *err);

#endif
