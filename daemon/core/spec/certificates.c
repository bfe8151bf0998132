#include "daemon/core/spec/certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/core/hash.h"

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

/* Whether reading ended because there is no further certificate. */
static bool is_at_end(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static int check(const char *text, struct err *err)
{
	X509 *certificate;
	BIO *bio;
	bool at_end;
	int n = 0;

	if (strlen(text) > CERTIFICATES_MAX_BYTES)
		return err_set(err, ERR_SPEC, "has more than %u KiB", CERTIFICATES_MAX_BYTES >> 10);
	if (strstr(text, "PRIVATE KEY-----"))
		return err_set(err, ERR_SPEC,
			       "holds a private key: only the CA's certificates are wanted, since they go to "
			       "the hosts");
	ERR_clear_error();
	bio = BIO_new_mem_buf(text, -1);
	while ((certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
		X509_free(certificate);
		n++;
	}
	at_end = is_at_end();
	ERR_clear_error();
	BIO_free(bio);
	if (!at_end)
		return err_set(err, ERR_SPEC, "holds a certificate that cannot be read (number %d)", n + 1);
	if (n == 0)
		return err_set(err, ERR_SPEC,
			       "holds no certificate in PEM format (\"-----BEGIN CERTIFICATE-----\")");
	return 0;
}

/* A large fleet has the same CA thousands of times, and parsing takes twenty times as long as hashing. */
int certificates_check(const char *text, struct err *err)
{
	static char last_good[SHA256_HEX_SIZE];
	char hash[SHA256_HEX_SIZE];

	sha256_hex(text, strlen(text), hash);
	if (strcmp(hash, last_good) == 0)
		return 0;
	if (check(text, err) < 0)
		return -1;
	memcpy(last_good, hash, sizeof(last_good));
	return 0;
}
