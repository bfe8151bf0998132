#include "daemon/core/spec/ssh_key.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PEM_OPENSSH "OPENSSH PRIVATE KEY"
#define PEM_SUFFIX "PRIVATE KEY"

/* What is left to read of a key in SSH's wire format (RFC 4251, 5). */
struct wire {
	const unsigned char *p;
	size_t left;
};

/*
 * How many strings follow the type's name in a public and in a private key. A
 * private key repeats the public values (OpenSSH's PROTOCOL.key).
 */
static const struct algorithm {
	const char *name;
	int public_strings;
	int private_strings;
} algorithms[] = {
	{"ssh-ed25519", 1, 2},         /* public key; public key, private key */
	{"ssh-rsa", 2, 6},             /* e, n; n, e, d, iqmp, p, q */
	{"ecdsa-sha2-nistp256", 2, 3}, /* curve, Q; curve, Q, d */
	{"ecdsa-sha2-nistp384", 2, 3},
	{"ecdsa-sha2-nistp521", 2, 3},
};

static const struct algorithm *find_algorithm(const void *name, size_t len)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (strlen(algorithms[i].name) == len && memcmp(algorithms[i].name, name, len) == 0)
			return &algorithms[i];
	return NULL;
}

static bool wire_u32(struct wire *wire, uint32_t *value)
{
	if (wire->left < 4)
		return false;
	*value = (uint32_t)wire->p[0] << 24 | (uint32_t)wire->p[1] << 16 | (uint32_t)wire->p[2] << 8 |
		 wire->p[3];
	wire->p += 4;
	wire->left -= 4;
	return true;
}

static bool wire_string(struct wire *wire, struct wire *string)
{
	uint32_t len;

	if (!wire_u32(wire, &len) || wire->left < len)
		return false;
	*string = (struct wire){wire->p, len};
	wire->p += len;
	wire->left -= len;
	return true;
}

/* Skips n strings, none of which may be empty. */
static bool wire_skip(struct wire *wire, int n)
{
	struct wire string;

	while (n-- > 0)
		if (!wire_string(wire, &string) || string.left == 0)
			return false;
	return true;
}

static bool wire_is(const struct wire *wire, const char *text)
{
	return wire->left == strlen(text) && memcmp(wire->p, text, wire->left) == 0;
}

static int damaged(struct err *err)
{
	return err_set(err, ERR_SPEC,
		       "must be a private key in PEM format: this one is damaged or incomplete");
}

static int unfit(struct err *err)
{
	return err_set(err, ERR_SPEC, "must be an RSA, ECDSA or Ed25519 key: this one is of another type");
}

static int encrypted(struct err *err)
{
	return err_set(
		err, ERR_SPEC,
		"must not be encrypted, as there is nobody to type its passphrase: remove the passphrase "
		"(ssh-keygen -p) or use an agent");
}

/* Checks the part of the file that a passphrase would encrypt. */
static int check_openssh_private(struct wire blob, struct err *err)
{
	const struct algorithm *algorithm;
	uint32_t check1, check2;
	struct wire type, comment;

	if (!wire_u32(&blob, &check1) || !wire_u32(&blob, &check2) || check1 != check2 ||
	    !wire_string(&blob, &type))
		return damaged(err);
	algorithm = find_algorithm(type.p, type.left);
	if (!algorithm)
		return unfit(err);
	if (!wire_skip(&blob, algorithm->private_strings) || !wire_string(&blob, &comment))
		return damaged(err);
	for (size_t i = 0; i < blob.left; i++)
		if (blob.p[i] != (unsigned char)(i + 1))
			return damaged(err);
	return 0;
}

/* https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.key */
static int check_openssh(const unsigned char *data, size_t len, struct err *err)
{
	static const char magic[] = "openssh-key-v1";
	struct wire wire = {data, len};
	struct wire cipher, kdf, kdf_options, public_key, private_key, type;
	uint32_t keys;

	if (len < sizeof(magic) || memcmp(data, magic, sizeof(magic)) != 0)
		return damaged(err);
	wire.p += sizeof(magic);
	wire.left -= sizeof(magic);
	if (!wire_string(&wire, &cipher) || !wire_string(&wire, &kdf) || !wire_string(&wire, &kdf_options) ||
	    !wire_u32(&wire, &keys))
		return damaged(err);
	if (!wire_is(&cipher, "none"))
		return encrypted(err);
	if (keys != 1 || !wire_string(&wire, &public_key) || !wire_string(&wire, &private_key))
		return damaged(err);
	if (check_openssh_private(private_key, err) < 0)
		return -1;
	/* The unencrypted part repeats the type; io/ssh/ssh_key.c reads it there. */
	return wire_string(&public_key, &type) && find_algorithm(type.p, type.left) ? 0 : damaged(err);
}

static int check_der(const unsigned char *data, long len, struct err *err)
{
	static const int fit[] = {EVP_PKEY_RSA, EVP_PKEY_EC, EVP_PKEY_ED25519};
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &data, len);
	int type = key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;

	EVP_PKEY_free(key);
	if (type == EVP_PKEY_NONE)
		return damaged(err);
	for (size_t i = 0; i < sizeof(fit) / sizeof(fit[0]); i++)
		if (type == fit[i])
			return 0;
	return unfit(err);
}

static bool ends_with(const char *text, const char *suffix)
{
	size_t len = strlen(text), suffix_len = strlen(suffix);

	return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static int check_block(const char *name, const char *header, const unsigned char *data, long len,
		       struct err *err)
{
	if (strcmp(name, PEM_OPENSSH) == 0)
		return check_openssh(data, (size_t)len, err);
	if (strcmp(name, "ENCRYPTED PRIVATE KEY") == 0 || strstr(header, "ENCRYPTED"))
		return encrypted(err);
	return check_der(data, len, err);
}

/* Checks the first private key. The parameters of an elliptic curve may precede it. */
static int check_pem(BIO *bio, struct err *err)
{
	unsigned char *data;
	char *name, *header;
	bool found = false;
	long len;
	int rc = 0;

	while (!found && PEM_read_bio(bio, &name, &header, &data, &len)) {
		found = ends_with(name, PEM_SUFFIX);
		if (found)
			rc = check_block(name, header, data, len, err);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)len);
	}
	if (!found)
		return err_set(err, ERR_SPEC,
			       "must be a private key in PEM format, from its BEGIN to its END line "
			       "(in YAML: `privateKey: |`, and the key's lines indented below)");
	return rc;
}

int ssh_key_check(const char *pem, struct err *err)
{
	size_t len = strlen(pem);
	BIO *bio = BIO_new_mem_buf(pem, len > INT_MAX ? INT_MAX : (int)len);
	int rc = check_pem(bio, err);

	BIO_free(bio);
	/* Our message says more than OpenSSL's errors. */
	ERR_clear_error();
	return rc;
}

int ssh_public_key_check(const char *type, const unsigned char *blob, unsigned long len, struct err *err)
{
	const struct algorithm *algorithm = find_algorithm(type, strlen(type));
	struct wire wire = {blob, len};
	struct wire name;

	if (!algorithm)
		return err_set(err, ERR_SPEC, "its type is not known");
	if (!wire_string(&wire, &name) || !wire_is(&name, type) ||
	    !wire_skip(&wire, algorithm->public_strings) || wire.left != 0)
		return err_set(err, ERR_SPEC, "it is damaged or incomplete");
	return 0;
}
