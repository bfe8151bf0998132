/* SHA-256 as lower-case hexadecimal text (FIPS 180-4), by libcrypto. */
#ifndef APILB_CORE_HASH_H
#define APILB_CORE_HASH_H

#include <stddef.h>

#define SHA256_HEX_SIZE 65

void sha256_hex(const void *data, size_t len, char out[SHA256_HEX_SIZE]);

#endif
