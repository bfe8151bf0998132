/*
 * Is this the right host? If the spec pins a key, only that key is accepted;
 * else the known_hosts file decides. It is read again for each session, since
 * other sessions add to it, and people edit it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "daemon/io/ssh/ssh_internal.h"

/* 10,000 hosts with a few keys each take a few MiB. */
#define KNOWN_HOSTS_MAX_BYTES (64 << 20)

/* --- the file ----------------------------------------------------------- */

/* A missing file counts as empty. The caller frees *text. */
static int read_file(const char *path, char **text, size_t *len, struct err *err)
{
	struct err why;
	int fd = file_open_own(path, O_RDONLY, &why);
	struct stat st = {0};
	ssize_t n = 0;

	*text = NULL;
	*len = 0;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_set(err, ERR_PERMANENT, "known host keys %s", why.message);
	if (fstat(fd, &st) < 0)
		goto fail;
	if (st.st_size > KNOWN_HOSTS_MAX_BYTES) {
		close(fd);
		return err_set(err, ERR_PERMANENT,
			       "known host keys %s: larger than %d MiB: not a file of host keys", path,
			       KNOWN_HOSTS_MAX_BYTES >> 20);
	}
	*text = xcalloc(1, st.st_size + 1);
	while (*len < (size_t)st.st_size && (n = read(fd, *text + *len, st.st_size - *len)) > 0)
		*len += n;
	if (n < 0)
		goto fail;
	close(fd);
	return 0;
fail:
	err_set(err, ERR_PERMANENT, "known host keys %s: %s", path, strerror(errno));
	close(fd);
	FREE(*text);
	return -1;
}

static int write_line(int fd, const char *line)
{
	off_t end = lseek(fd, 0, SEEK_END);
	char last = '\n';
	struct stat st;
	ssize_t n;
	char *whole;
	int error;

	if (end < 0 || fstat(fd, &st) < 0)
		return -1;
	if (end > 0 && pread(fd, &last, 1, end - 1) != 1)
		return -1;
	/* One write for the whole line: others who read or append meanwhile see all of it or nothing. */
	whole = xasprintf("%s%s", last == '\n' ? "" : "\n", line);
	n = write(fd, whole, strlen(whole));
	error = n < 0 ? errno : ENOSPC;
	if (n == (ssize_t)strlen(whole)) {
		free(whole);
		return 0;
	}
	free(whole);
	/* Half a line would be worse than none. */
	if (n > 0 && ftruncate(fd, end) < 0)
		error = errno;
	errno = error;
	return -1;
}

static int append_line(const char *path, const char *line, struct err *err)
{
	struct err why;
	int fd = file_open_own(path, O_RDWR | O_APPEND | O_CREAT, &why);

	if (fd < 0)
		return err_set(err, ERR_PERMANENT, "cannot remember the host key in %s", why.message);
	if (write_line(fd, line) == 0) {
		close(fd);
		return 0;
	}
	err_set(err, ERR_PERMANENT, "cannot remember the host key in %s: %s", path, strerror(errno));
	close(fd);
	return -1;
}

/* --- which key to ask for ----------------------------------------------- */

/* The order of key types if none is known: Ed25519 is as strong as the others, and the cheapest to check. */
static const char *const default_types[] = {
	"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
};

struct preference {
	const char **supported; /* the names that libssh2 knows: it may fail at any other name */
	int supported_n;
	char names[512]; /* ",a,b,c," */
};

static void prefer_name(struct preference *pref, const char *name)
{
	char token[HOST_KEY_TYPE_BYTES + 2];

	snprintf(token, sizeof(token), ",%s,", name);
	if (strstr(pref->names, token) || strlen(pref->names) + strlen(token) > sizeof(pref->names))
		return;
	for (int i = 0; i < pref->supported_n; i++) {
		if (strcmp(pref->supported[i], name) == 0) {
			strcat(pref->names, token + 1);
			return;
		}
	}
}

static void prefer_type(void *arg, const char *type)
{
	if (strcmp(type, "ssh-rsa") == 0) {
		/* In the key exchange RSA keys have other names (RFC 8332): "ssh-rsa" there means SHA-1. */
		prefer_name(arg, "rsa-sha2-512");
		prefer_name(arg, "rsa-sha2-256");
	} else {
		prefer_name(arg, type);
	}
}

static void prefer_known_types(const struct ssh *s, struct preference *pref)
{
	struct host_key pinned;
	struct err ignored; /* an error of the file is reported when the key is checked */
	size_t len;
	char *text;

	if (s->settings.host_key) {
		if (host_key_parse(&pinned, s->settings.host_key, strlen(s->settings.host_key)))
			prefer_type(pref, pinned.type);
	} else if (s->settings.host_key_checking != HOST_KEY_OFF && s->context->known_hosts &&
		   read_file(s->context->known_hosts, &text, &len, &ignored) == 0) {
		known_hosts_types(text, len, s->settings.address, s->settings.port, prefer_type, pref);
		free(text);
	}
}

void ssh_hostkey_prefer_known(struct ssh *s)
{
	struct preference pref = {.names = ","};

	pref.supported_n =
		libssh2_session_supported_algs(s->session, LIBSSH2_METHOD_HOSTKEY, &pref.supported);
	if (pref.supported_n <= 0)
		return;
	prefer_known_types(s, &pref);
	for (size_t i = 0; i < sizeof(default_types) / sizeof(default_types[0]); i++)
		prefer_type(&pref, default_types[i]);
	pref.names[strlen(pref.names) - 1] = '\0';
	libssh2_session_method_pref(s->session, LIBSSH2_METHOD_HOSTKEY, pref.names + 1);
	libssh2_free(s->session, pref.supported);
}

/* --- the check ---------------------------------------------------------- */

static int check_pinned(const struct ssh *s, const struct host_key *key, struct err *err)
{
	const char *pin = s->settings.host_key;
	char shown[FINGERPRINT_BYTES], wanted[FINGERPRINT_BYTES];
	struct host_key pinned;

	host_key_fingerprint(key, shown);
	if (strncmp(pin, "SHA256:", 7) == 0) {
		/* Some tools leave base64's padding on. */
		snprintf(wanted, sizeof(wanted), "%.*s", (int)strcspn(pin, "= \t\r\n"), pin);
		if (strcmp(wanted, shown) == 0)
			return 0;
	} else if (host_key_parse(&pinned, pin, strlen(pin))) {
		if (host_key_equal(&pinned, key))
			return 0;
		host_key_fingerprint(&pinned, wanted);
	} else {
		return err_set(err, ERR_SPEC,
			       "host key: the pinned key is neither a public key nor a SHA256: fingerprint");
	}
	return err_set(
		err, ERR_PERMANENT,
		"host key is not the pinned one: the host shows %s %s, ssh.hostKey says %s; if the host "
		"was reinstalled, correct ssh.hostKey, else somebody may be listening in",
		key->type, shown, wanted);
}

static int learn(const struct ssh *s, const struct host_key *key, struct err *err)
{
	char *line = known_hosts_line(s->settings.address, s->settings.port, key);
	int rc = append_line(s->context->known_hosts, line, err);

	free(line);
	return rc;
}

static int check_known(const struct ssh *s, const struct host_key *key, struct err *err)
{
	const char *path = s->context->known_hosts;
	struct known_hosts_match match;
	char shown[FINGERPRINT_BYTES];
	size_t len;
	char *text;

	if (read_file(path, &text, &len, err) < 0)
		return -1;
	known_hosts_find(text, len, s->settings.address, s->settings.port, key, &match);
	free(text);
	host_key_fingerprint(key, shown);
	switch (match.verdict) {
	case HOST_KEY_KNOWN:
		return 0;
	case HOST_KEY_REVOKED:
		return err_set(err, ERR_PERMANENT, "host key %s %s is revoked by line %zu of %s", key->type,
			       shown, match.line, path);
	case HOST_KEY_CHANGED:
		return err_set(
			err, ERR_PERMANENT,
			"host key changed: the host shows %s %s, known is %s %s (line %zu of %s); if the "
			"host was reinstalled, accept the new key with: sed -i %zud %s, or with ssh.hostKey: "
			"%s in the spec; else somebody may be listening in",
			key->type, shown, match.old_type, match.old_fingerprint, match.line, path, match.line,
			path, shown);
	default:
		break;
	}
	if (s->settings.host_key_checking == HOST_KEY_STRICT)
		return err_set(
			err, ERR_PERMANENT,
			"host key unknown: the host shows %s %s; hostKeyChecking is strict: add it to %s, or "
			"set ssh.hostKey",
			key->type, shown, path);
	return learn(s, key, err);
}

enum ssh_step ssh_hostkey_step(struct ssh *s, struct err *err)
{
	struct host_key key;
	const char *blob;
	size_t len = 0;
	int type, rc;

	blob = libssh2_session_hostkey(s->session, &len, &type);
	if (!blob || !host_key_from_blob(&key, blob, len)) {
		err_set(err, ERR_UNREACHABLE, "host key: the host shows no key that can be read");
		return STEP_FAIL;
	}
	if (s->settings.host_key)
		rc = check_pinned(s, &key, err);
	else if (s->settings.host_key_checking == HOST_KEY_OFF || !s->context->known_hosts)
		rc = 0;
	else
		rc = check_known(s, &key, err);
	return rc < 0 ? STEP_FAIL : STEP_NEXT;
}
