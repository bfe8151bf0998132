/* A known_hosts file, or a key as a spec or a host gives it. The first byte says what is asked. */
#include "daemon/io/ssh/known_hosts.h"
#include "tests/fuzz.h"

static const char *const hosts[] = {"10.0.0.1", "api.example", "fd77::11", "*"};
static const uint16_t ports[] = {22, 2222};

static void on_type(void *arg, const char *type)
{
	(void)arg;
	require(*type && strlen(type) < HOST_KEY_TYPE_BYTES);
}

/* A key that is taken is known by the line that it is remembered with. */
static void remember(const struct host_key *key, const char *host, uint16_t port)
{
	struct known_hosts_match match;
	struct host_key again;
	char shown[FINGERPRINT_BYTES];
	char *line = known_hosts_line(host, port, key);

	require(strncmp(host_key_fingerprint(key, shown), "SHA256:", 7) == 0);
	require(host_key_from_blob(&again, key->blob, key->len) && host_key_equal(key, &again));
	known_hosts_find(line, strlen(line), host, port, key, &match);
	require(match.verdict == HOST_KEY_KNOWN && match.line == 1);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned choice = fuzz_choice(&data, &size);
	const char *host = hosts[choice & 3], *text = (const char *)data;
	uint16_t port = ports[choice >> 2 & 1];
	struct known_hosts_match match;
	static struct host_key key, ours;

	host_key_parse(&ours,
		       "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBm5x9wF5m0b7xk1n0Yb2m8n1x5m0b7xk1n0Yb2m8n1x",
		       80);
	known_hosts_types(text, size, host, port, on_type, NULL);
	known_hosts_find(text, size, host, port, &ours, &match);
	require(match.verdict <= HOST_KEY_REVOKED && match.line <= size + 1);
	/* What a line begins with is not always a "*". */
	if (host_key_parse(&key, text, size) && choice >> 3 & 1)
		remember(&key, hosts[choice % 3], port);
	if (host_key_from_blob(&key, data, size))
		remember(&key, hosts[choice % 3], port);
	return 0;
}
