#include "daemon/core/hash.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

void sha256_hex(const void *data, size_t len, char out[SHA256_HEX_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned digest_len = 0;

	/* It fails only when out of memory, which ends the process. */
	if (!EVP_Digest(data, len, digest, &digest_len, EVP_sha256(), NULL))
		abort();
	for (unsigned i = 0; i < digest_len; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}
