#include "daemon/io/ssh/ssh_key.h"

#include <ctype.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

#include "daemon/io/ssh/ssh_wire.h"

/*
 * OpenSSH's own format (PROTOCOL.key): "openssh-key-v1\0", cipher, KDF, KDF
 * options, number of keys, public key, private part. The beginning is enough to
 * know the kind.
 */
static enum ssh_key_kind openssh_head_kind(const unsigned char *head, int len)
{
	static const char magic[] = "openssh-key-v1";
	struct wire w, cipher, skipped, key, type;
	uint32_t keys;

	if (len < (int)sizeof(magic) || memcmp(head, magic, sizeof(magic)) != 0)
		return SSH_KEY_NONE;
	w = (struct wire){head + sizeof(magic), len - sizeof(magic)};
	if (!wire_get_string(&w, &cipher))
		return SSH_KEY_NONE;
	if (!wire_is(&cipher, "none"))
		return SSH_KEY_ENCRYPTED;
	/* The head may cut the public key off, so its length is skipped unchecked: the type comes first. */
	if (!wire_get_string(&w, &skipped) || !wire_get_string(&w, &skipped) || !wire_get_u32(&w, &keys) ||
	    w.left < 4)
		return SSH_KEY_NONE;
	key = (struct wire){w.p + 4, w.left - 4};
	if (!wire_get_string(&key, &type))
		return SSH_KEY_NONE;
	return wire_is(&type, "ssh-rsa") ? SSH_KEY_RSA : SSH_KEY_OTHER;
}

static enum ssh_key_kind openssh_kind(const char *body)
{
	char base64[256];
	unsigned char head[sizeof(base64) / 4 * 3];
	enum ssh_key_kind kind;
	size_t n = 0;
	int len;

	for (; *body && *body != '-' && n < sizeof(base64); body++)
		if (!isspace((unsigned char)*body))
			base64[n++] = *body;
	len = EVP_DecodeBlock(head, (const unsigned char *)base64, (int)(n / 4 * 4));
	kind = openssh_head_kind(head, len);
	/* The head of a short key is most of the key. */
	explicit_bzero(base64, sizeof(base64));
	explicit_bzero(head, sizeof(head));
	return kind;
}

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static enum ssh_key_kind pem_kind(const char *text)
{
	BIO *bio = BIO_new_mem_buf(text, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	enum ssh_key_kind kind = SSH_KEY_NONE;

	if (key)
		kind = EVP_PKEY_base_id(key) == EVP_PKEY_RSA ? SSH_KEY_RSA : SSH_KEY_OTHER;
	EVP_PKEY_free(key);
	BIO_free(bio);
	ERR_clear_error();
	return kind;
}

enum ssh_key_kind ssh_key_kind(const char *text)
{
	static const char openssh[] = "-----BEGIN OPENSSH PRIVATE KEY-----";
	const char *body = strstr(text, openssh);
	enum ssh_key_kind kind;

	if (body)
		return openssh_kind(body + strlen(openssh));
	if (!strstr(text, "-----BEGIN "))
		return SSH_KEY_NONE;
	kind = pem_kind(text);
	/* A comment may contain the word as well, so it only counts if the key cannot be read. */
	return kind == SSH_KEY_NONE && strstr(text, "ENCRYPTED") ? SSH_KEY_ENCRYPTED : kind;
}
