/* What a spec or a file gives as a private key, or as certificates, and a public key as a host gives it. */
#include "daemon/core/spec/certificates.h"
#include "daemon/core/spec/ssh_key.h"
#include "daemon/io/ssh/ssh_key.h"
#include "tests/fuzz.h"

static void check_key(const char *text)
{
	enum ssh_key_kind kind = ssh_key_kind(text);
	struct err err = {0};

	require(kind <= SSH_KEY_NONE);
	require(ssh_key_check(text, &err) == 0 || *err.message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct err err = {0};

	check_key(text);
	require(certificates_check(text, &err) == 0 || *err.message);
	ssh_public_key_check("ssh-ed25519", data, size, &err);
	ssh_public_key_check("ssh-rsa", data, size, &err);
	ssh_public_key_check("ecdsa-sha2-nistp256", data, size, &err);
	free(text);
	return 0;
}
