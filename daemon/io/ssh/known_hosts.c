#include "daemon/io/ssh/known_hosts.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/ssh/ssh_wire.h"

/* A piece of the text: lines and fields are not copied. */
struct slice {
	const char *p;
	size_t len;
};

struct entry {
	size_t line;
	struct slice marker, hosts, key; /* marker is empty for most lines */
};

static bool slice_is(struct slice s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

/* Cuts off and returns the next word. */
static struct slice next_word(struct slice *rest)
{
	struct slice word;

	while (rest->len && isblank((unsigned char)*rest->p)) {
		rest->p++;
		rest->len--;
	}
	word.p = rest->p;
	while (rest->len && !isspace((unsigned char)*rest->p)) {
		rest->p++;
		rest->len--;
	}
	word.len = rest->p - word.p;
	return word;
}

/* Decodes base64 of whole quartets, and subtracts the padding, which OpenSSL counts as bytes. Returns the
 * length, or -1 if the text is not base64. */
static int base64_decode(struct slice text, unsigned char *out, size_t size)
{
	int n;

	if (text.len == 0 || text.len % 4 != 0 || text.len / 4 * 3 > size)
		return -1;
	n = EVP_DecodeBlock(out, (const unsigned char *)text.p, (int)text.len);
	for (size_t i = text.len; n > 0 && i > text.len - 2 && text.p[i - 1] == '='; i--)
		n--;
	return n;
}

/* Stricter than RFC 4250, 4.6.1: the name becomes a word of a line in known_hosts. */
static bool is_type_name(const struct wire *type)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._@";

	for (size_t i = 0; i < type->left; i++)
		if (!memchr(allowed, type->p[i], sizeof(allowed) - 1))
			return false;
	return type->left > 0;
}

bool host_key_from_blob(struct host_key *key, const void *blob, size_t len)
{
	struct wire w = {blob, len}, type;

	if (len > sizeof(key->blob) || !wire_get_string(&w, &type) || !is_type_name(&type) ||
	    type.left >= sizeof(key->type))
		return false;
	memcpy(key->blob, blob, len);
	key->len = len;
	memcpy(key->type, type.p, type.left);
	key->type[type.left] = '\0';
	return true;
}

static bool key_from_slice(struct host_key *key, struct slice text)
{
	struct slice type = next_word(&text);
	struct slice base64 = next_word(&text);
	unsigned char blob[HOST_KEY_MAX_BYTES + 2]; /* the decoder writes the padding's bytes too */
	int len = base64_decode(base64, blob, sizeof(blob));

	return len > 0 && host_key_from_blob(key, blob, len) && slice_is(type, key->type);
}

bool host_key_parse(struct host_key *key, const char *text, size_t len)
{
	return key_from_slice(key, (struct slice){text, len});
}

bool host_key_equal(const struct host_key *a, const struct host_key *b)
{
	return a->len == b->len && memcmp(a->blob, b->blob, a->len) == 0;
}

const char *host_key_fingerprint(const struct host_key *key, char out[FINGERPRINT_BYTES])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	unsigned char base64[48];

	SHA256(key->blob, key->len, digest);
	EVP_EncodeBlock(base64, digest, sizeof(digest));
	/* Without the padding, as ssh-keygen shows it. */
	snprintf(out, FINGERPRINT_BYTES, "SHA256:%.43s", (const char *)base64);
	return out;
}

/* The host's name in the file; ssh writes the port only if it is not 22. */
static char *host_name(const char *host, uint16_t port)
{
	char *name = port == 22 ? xstrdup(host) : xasprintf("[%s]:%u", host, port);

	for (char *p = name; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return name;
}

/* fnmatch(3) would take the brackets of [host]:port for a set of characters. */
static bool glob_matches(struct slice pattern, const char *name)
{
	const char *p = pattern.p, *end = p + pattern.len;
	const char *star = NULL, *retry = NULL;

	while (*name) {
		if (p < end && *p == '*') {
			star = p++;
			retry = name;
		} else if (p < end && (*p == '?' || tolower((unsigned char)*p) == *name)) {
			p++;
			name++;
		} else if (star) {
			p = star + 1;
			name = ++retry;
		} else {
			return false;
		}
	}
	while (p < end && *p == '*')
		p++;
	return p == end;
}

/* "|1|base64 of a salt|base64 of HMAC-SHA1(salt, name)" */
static bool hash_matches(struct slice field, const char *name)
{
	unsigned char salt[SHA_DIGEST_LENGTH + 2], wanted[SHA_DIGEST_LENGTH + 2], found[EVP_MAX_MD_SIZE];
	struct slice part = {field.p + 3, field.len - 3};
	const char *bar = memchr(part.p, '|', part.len);
	unsigned int found_len = 0;

	if (!bar)
		return false;
	if (base64_decode((struct slice){part.p, bar - part.p}, salt, sizeof(salt)) != SHA_DIGEST_LENGTH ||
	    base64_decode((struct slice){bar + 1, part.p + part.len - bar - 1}, wanted, sizeof(wanted)) !=
		    SHA_DIGEST_LENGTH)
		return false;
	return HMAC(EVP_sha1(), salt, SHA_DIGEST_LENGTH, (const unsigned char *)name, strlen(name), found,
		    &found_len) &&
	       found_len == SHA_DIGEST_LENGTH && memcmp(found, wanted, SHA_DIGEST_LENGTH) == 0;
}

/* A matching "!pattern" overrides all other patterns of its line. */
static bool hosts_match(struct slice hosts, const char *name)
{
	bool matched = false;

	if (hosts.len > 3 && memcmp(hosts.p, "|1|", 3) == 0)
		return hash_matches(hosts, name);
	while (hosts.len) {
		const char *comma = memchr(hosts.p, ',', hosts.len);
		struct slice pattern = {hosts.p, comma ? (size_t)(comma - hosts.p) : hosts.len};
		bool negated = pattern.len && *pattern.p == '!';

		if (negated) {
			pattern.p++;
			pattern.len--;
		}
		if (glob_matches(pattern, name)) {
			if (negated)
				return false;
			matched = true;
		}
		if (!comma)
			break;
		hosts.len -= comma + 1 - hosts.p;
		hosts.p = comma + 1;
	}
	return matched;
}

/* Fills in the next entry for the name, whatever its key; false at the end of the text. */
static bool next_entry(struct slice *text, const char *name, struct entry *entry)
{
	while (text->len) {
		const char *newline = memchr(text->p, '\n', text->len);
		struct slice line = {text->p, newline ? (size_t)(newline - text->p) : text->len};
		struct slice word;

		text->p += line.len + (newline != NULL);
		text->len -= line.len + (newline != NULL);
		entry->line++;

		word = next_word(&line);
		if (word.len == 0 || *word.p == '#')
			continue;
		entry->marker = (struct slice){word.p, 0};
		if (*word.p == '@') {
			entry->marker = word;
			word = next_word(&line);
		}
		entry->hosts = word;
		entry->key = line;
		if (hosts_match(entry->hosts, name))
			return true;
	}
	return false;
}

static void remember_other(struct known_hosts_match *match, size_t line, const struct host_key *old,
			   const struct host_key *key)
{
	/* Of several keys of the host, the message shows one of the same type if there is one. */
	if (match->verdict == HOST_KEY_CHANGED &&
	    (strcmp(old->type, key->type) != 0 || strcmp(match->old_type, key->type) == 0))
		return;
	match->verdict = HOST_KEY_CHANGED;
	match->line = line;
	snprintf(match->old_type, sizeof(match->old_type), "%s", old->type);
	host_key_fingerprint(old, match->old_fingerprint);
}

void known_hosts_find(const char *text, size_t len, const char *host, uint16_t port,
		      const struct host_key *key, struct known_hosts_match *match)
{
	struct slice rest = {text, len};
	struct entry entry = {0};
	struct host_key old;
	char *name = host_name(host, port);

	*match = (struct known_hosts_match){.verdict = HOST_KEY_UNKNOWN};
	while (next_entry(&rest, name, &entry)) {
		if (!key_from_slice(&old, entry.key))
			continue;
		if (slice_is(entry.marker, "@revoked")) {
			if (!host_key_equal(&old, key))
				continue;
			match->verdict = HOST_KEY_REVOKED;
			match->line = entry.line;
			break;
		}
		if (entry.marker.len)
			continue;
		if (host_key_equal(&old, key)) {
			/* Go on: a line further down may revoke the key. */
			match->verdict = HOST_KEY_KNOWN;
			match->line = entry.line;
		} else if (match->verdict != HOST_KEY_KNOWN) {
			remember_other(match, entry.line, &old, key);
		}
	}
	free(name);
}

void known_hosts_types(const char *text, size_t len, const char *host, uint16_t port,
		       void (*cb)(void *arg, const char *type), void *arg)
{
	struct slice rest = {text, len};
	struct entry entry = {0};
	struct host_key key;
	char *name = host_name(host, port);

	while (next_entry(&rest, name, &entry))
		if (entry.marker.len == 0 && key_from_slice(&key, entry.key))
			cb(arg, key.type);
	free(name);
}

char *known_hosts_line(const char *host, uint16_t port, const struct host_key *key)
{
	unsigned char base64[HOST_KEY_MAX_BYTES / 3 * 4 + 8];
	char *name = host_name(host, port);
	char *line;

	EVP_EncodeBlock(base64, key->blob, (int)key->len);
	line = xasprintf("%s %s %s\n", name, key->type, (const char *)base64);
	free(name);
	return line;
}
