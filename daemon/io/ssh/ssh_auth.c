/*
 * Proves who we are: tries the ways of authentication that are configured and
 * that the host allows, one after the other, in the order of the table `ways`.
 *
 * The keys of the spec come before those of the agent: sshd hangs up after
 * MaxAuthTries (6) refusals, and an agent with many keys would use them up before
 * the right key had its turn.
 *
 * Nothing here waits: the callback that signs returns EAGAIN while the agent is
 * busy, and the same call of libssh2 is repeated when the agent has answered.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/ssh/ssh_agent.h"
#include "daemon/io/ssh/ssh_internal.h"
#include "daemon/io/ssh/ssh_key.h"
#include "daemon/io/ssh/ssh_secret.h"
#include "daemon/io/ssh/ssh_wire.h"

/* sshd's default for MaxAuthTries. */
#define MAX_TRIES 6
#define USERAUTH_REQUEST 50 /* RFC 4252, 6 */

enum outcome { ACCEPTED, WAIT, REFUSED };

struct ssh_auth {
	char *allowed;              /* the host's list: "publickey,password" */
	size_t way;                 /* index in the table below */
	char tried[512];            /* the ways that were refused, for the message if all are */
	char *secret;               /* key or password in use */
	struct ssh_secret *reading; /* the read of the file that holds the secret; NULL: none is under way */
	struct err unreadable;      /* why the file could not be read; kind ERR_NONE: it could */
	char reads[256];            /* the text for ssh_phase() while the file is read */
	struct ssh_agent *agent;
	size_t agent_key;
	size_t agent_tries;
	bool calling; /* libssh2 wants its call repeated */
	bool signing; /* the agent has been asked for a signature */
	void *self;   /* the session: libssh2 hands a pointer to this member to the callback that signs */
};

static void note(struct ssh_auth *auth, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct ssh_auth *auth, const char *fmt, ...)
{
	size_t used = strlen(auth->tried);
	va_list ap;

	if (used)
		used += snprintf(auth->tried + used, sizeof(auth->tried) - used, ", ");
	if (used >= sizeof(auth->tried))
		return;
	va_start(ap, fmt);
	vsnprintf(auth->tried + used, sizeof(auth->tried) - used, fmt, ap);
	va_end(ap);
}

static void drop_secret(struct ssh_auth *auth)
{
	secret_free(auth->secret);
	auth->secret = NULL;
	auth->unreadable.kind = ERR_NONE;
}

static void on_secret(void *arg, char *text, const struct err *err)
{
	struct ssh *s = arg;

	s->auth->reading = NULL;
	s->auth->secret = text;
	if (!text)
		s->auth->unreadable = *err;
	ssh_wake(s);
}

/* ACCEPTED: the secret has been read. WAIT: it is being read; the file system may hang. */
static enum outcome read_secret(struct ssh *s, const char *what, const char *path, enum secret_kind kind)
{
	struct ssh_auth *auth = s->auth;

	if (auth->secret)
		return ACCEPTED;
	if (auth->unreadable.kind != ERR_NONE) {
		/* Two methods ask for the same password file. */
		if (!strstr(auth->tried, auth->unreadable.message))
			note(auth, "%s %s", what, auth->unreadable.message);
		return REFUSED;
	}
	if (!auth->reading) {
		snprintf(auth->reads, sizeof(auth->reads), "reading %s %s: does its file system hang?", what,
			 path);
		auth->reading = ssh_secret_read(s->context->secrets, path, kind, on_secret, s);
	}
	return WAIT;
}

static bool can_sign_rsa(void)
{
	return libssh2_version(0x010b00) != NULL;
}

/* --- private keys ------------------------------------------------------- */

static bool have_key_text(const struct ssh *s)
{
	return s->settings.private_key != NULL;
}

static bool have_key_file(const struct ssh *s)
{
	return s->settings.private_key_file != NULL;
}

static enum outcome key_refused(struct ssh *s, const char *name, int rc)
{
	char *text = NULL;

	if (rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED || rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED) {
		if (ssh_key_kind(s->auth->secret) == SSH_KEY_RSA && !can_sign_rsa())
			note(s->auth,
			     "%s (libssh2 %s cannot sign with RSA keys the way a current sshd demands, no "
			     "rsa-sha2: use an Ed25519 or ECDSA key, or libssh2 1.11)",
			     name, libssh2_version(0));
		else
			note(s->auth, "%s", name);
	} else {
		libssh2_session_last_error(s->session, &text, NULL, 0);
		note(s->auth, "%s (unusable: %s)", name, text ? text : "unknown format");
	}
	return REFUSED;
}

static enum outcome try_key(struct ssh *s, const char *name)
{
	struct ssh_auth *auth = s->auth;
	enum ssh_key_kind kind = ssh_key_kind(auth->secret);
	int rc;

	if (kind == SSH_KEY_NONE || kind == SSH_KEY_ENCRYPTED) {
		note(auth, "%s (%s)", name,
		     kind == SSH_KEY_NONE
			     ? "not a private key"
			     : "encrypted; there is no way to give a passphrase: decrypt it with "
			       "ssh-keygen -p");
		return REFUSED;
	}
	rc = libssh2_userauth_publickey_frommemory(s->session, s->settings.user, strlen(s->settings.user),
						   NULL, 0, auth->secret, strlen(auth->secret), NULL);
	if (ssh_again(rc))
		return WAIT;
	return rc == 0 ? ACCEPTED : key_refused(s, name, rc);
}

static enum outcome try_key_text(struct ssh *s)
{
	if (!s->auth->secret)
		s->auth->secret = xstrdup(s->settings.private_key);
	return try_key(s, "private key");
}

static enum outcome try_key_file(struct ssh *s)
{
	enum outcome outcome = read_secret(s, "key file", s->settings.private_key_file, SECRET_KEY);
	char name[256];

	if (outcome != ACCEPTED)
		return outcome;
	snprintf(name, sizeof(name), "key file %s", s->settings.private_key_file);
	return try_key(s, name);
}

/* --- agent -------------------------------------------------------------- */

static bool have_agent(const struct ssh *s)
{
	return s->context->agent != NULL;
}

/* The data to be signed names the algorithm that libssh2 has chosen (RFC 4252, 7). */
static uint32_t sign_flags(const unsigned char *data, size_t len)
{
	struct wire w = {data, len}, field, algorithm;
	uint8_t byte = 0;

	if (!wire_get_string(&w, &field) || !wire_get_u8(&w, &byte) || byte != USERAUTH_REQUEST ||
	    !wire_get_string(&w, &field) || !wire_get_string(&w, &field) || !wire_get_string(&w, &field) ||
	    !wire_get_u8(&w, &byte) || !wire_get_string(&w, &algorithm))
		return 0;
	if (wire_is(&algorithm, "rsa-sha2-512"))
		return SSH_AGENT_RSA_SHA2_512;
	if (wire_is(&algorithm, "rsa-sha2-256"))
		return SSH_AGENT_RSA_SHA2_256;
	return 0;
}

static int sign_cb(LIBSSH2_SESSION *session, unsigned char **sig, size_t *sig_len, const unsigned char *data,
		   size_t data_len, void **abstract)
{
	struct ssh *s = *abstract;
	struct ssh_auth *auth = s->auth;
	struct wire signature;

	(void)session;
	if (!auth->signing && ssh_agent_state(auth->agent) == AGENT_IDLE) {
		auth->signing = true;
		ssh_agent_sign(auth->agent, auth->agent_key, data, data_len, sign_flags(data, data_len));
	}
	if (ssh_agent_state(auth->agent) == AGENT_BUSY)
		return LIBSSH2_ERROR_EAGAIN;
	if (!auth->signing || ssh_agent_state(auth->agent) == AGENT_FAILED ||
	    !ssh_agent_signature(auth->agent, &signature))
		return -1;
	*sig = malloc(signature.left); /* freed by libssh2, through ssh_excess_free */
	if (!*sig)
		return -1;
	memcpy(*sig, signature.p, signature.left);
	*sig_len = signature.left;
	return 0;
}

/* libssh2 1.10 can use neither certificates nor security keys. */
static bool agent_key_usable(struct wire key)
{
	static const char *const types[] = {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
					    "ecdsa-sha2-nistp521"};
	struct wire type;

	if (!wire_get_string(&key, &type))
		return false;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (wire_is(&type, types[i]))
			return true;
	return wire_is(&type, "ssh-rsa") && can_sign_rsa();
}

/* The other configured ways must have their turn before sshd hangs up: each key takes one try, the password
 * two (by two methods). */
static size_t agent_tries_allowed(const struct ssh *s)
{
	return MAX_TRIES - have_key_text(s) - have_key_file(s) -
	       2 * (s->settings.password || s->settings.password_file);
}

static enum outcome try_agent_key(struct ssh *s)
{
	struct ssh_auth *auth = s->auth;
	struct wire key = ssh_agent_key(auth->agent, auth->agent_key);
	int rc;

	auth->self = s;
	rc = libssh2_userauth_publickey(s->session, s->settings.user, key.p, key.left, sign_cb, &auth->self);
	auth->calling = ssh_again(rc);
	if (auth->calling)
		return WAIT;
	auth->signing = false;
	return rc == 0 ? ACCEPTED : REFUSED;
}

static void agent_changed(void *arg)
{
	ssh_wake(arg);
}

static enum outcome try_agent(struct ssh *s)
{
	struct ssh_auth *auth = s->auth;
	enum outcome outcome;

	if (!auth->agent)
		auth->agent = ssh_agent_new(s->context->base, s->context->agent,
					    s->settings.connection_timeout_ms, agent_changed, s);
	if (!auth->calling && ssh_agent_state(auth->agent) == AGENT_BUSY)
		return WAIT;
	/* A call that libssh2 has begun must be repeated until it ends, even if the agent has failed. */
	while (auth->agent_key < ssh_agent_keys(auth->agent) && auth->agent_tries < agent_tries_allowed(s) &&
	       (auth->calling || ssh_agent_state(auth->agent) == AGENT_IDLE)) {
		if (agent_key_usable(ssh_agent_key(auth->agent, auth->agent_key))) {
			outcome = try_agent_key(s);
			if (outcome != REFUSED)
				return outcome;
			auth->agent_tries++;
		}
		auth->agent_key++;
	}
	if (ssh_agent_state(auth->agent) == AGENT_FAILED)
		note(auth, "agent (%s)", ssh_agent_error(auth->agent));
	else
		note(auth, "agent (%zu of its %zu keys)", auth->agent_tries, ssh_agent_keys(auth->agent));
	return REFUSED;
}

/* --- passwords ---------------------------------------------------------- */

static bool have_password(const struct ssh *s)
{
	return s->settings.password || s->settings.password_file;
}

static enum outcome load_password(struct ssh *s)
{
	struct ssh_auth *auth = s->auth;

	if (!auth->secret && s->settings.password)
		auth->secret = xstrdup(s->settings.password);
	return read_secret(s, "password file", s->settings.password_file, SECRET_PASSWORD);
}

static enum outcome try_password(struct ssh *s)
{
	enum outcome outcome = load_password(s);
	int rc;

	if (outcome != ACCEPTED)
		return outcome;
	rc = libssh2_userauth_password_ex(s->session, s->settings.user, strlen(s->settings.user),
					  s->auth->secret, strlen(s->auth->secret), NULL);
	if (ssh_again(rc))
		return WAIT;
	if (rc == 0)
		return ACCEPTED;
	note(s->auth, rc == LIBSSH2_ERROR_PASSWORD_EXPIRED ? "password (expired)" : "password");
	return REFUSED;
}

/* A question without echo is answered with the password, any other with nothing. */
static void answer_cb(const char *name, int name_len, const char *instruction, int instruction_len, int n,
		      const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompts,
		      LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses, void **abstract)
{
	struct ssh *s = *abstract;

	(void)name;
	(void)name_len;
	(void)instruction;
	(void)instruction_len;
	for (int i = 0; i < n; i++) {
		responses[i].text = xstrdup(prompts[i].echo ? "" : s->auth->secret);
		responses[i].length = strlen(responses[i].text);
	}
}

static enum outcome try_keyboard_interactive(struct ssh *s)
{
	enum outcome outcome = load_password(s);
	int rc;

	if (outcome != ACCEPTED)
		return outcome;
	rc = libssh2_userauth_keyboard_interactive_ex(s->session, s->settings.user, strlen(s->settings.user),
						      answer_cb);
	if (ssh_again(rc))
		return WAIT;
	if (rc == 0)
		return ACCEPTED;
	note(s->auth, "keyboard-interactive with the password");
	return REFUSED;
}

/* --- all ways, in order ------------------------------------------------- */

static const struct {
	const char *method; /* as the host lists it (RFC 4252, RFC 4256) */
	const char *phase;
	bool (*configured)(const struct ssh *s);
	enum outcome (*try)(struct ssh *s);
} ways[] = {
	{"publickey", "authenticating (publickey)", have_key_text, try_key_text},
	{"publickey", "authenticating (publickey)", have_key_file, try_key_file},
	{"publickey", "authenticating (publickey, agent)", have_agent, try_agent},
	{"password", "authenticating (password)", have_password, try_password},
	{"keyboard-interactive", "authenticating (keyboard-interactive)", have_password,
	 try_keyboard_interactive},
};
#define WAYS_N (sizeof(ways) / sizeof(ways[0]))

static bool allowed(const struct ssh_auth *auth, const char *method)
{
	size_t len = strlen(method);

	for (const char *p = auth->allowed; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, method, len) == 0 && (p[len] == ',' || p[len] == '\0'))
			return true;
	}
	return false;
}

static enum ssh_step ask_for_list(struct ssh *s, struct err *err)
{
	const char *list = libssh2_userauth_list(s->session, s->settings.user, strlen(s->settings.user));

	if (list) {
		s->auth->allowed = xstrdup(list);
		return STEP_WAIT;
	}
	if (libssh2_userauth_authenticated(s->session))
		return STEP_NEXT; /* the host asks for no proof at all */
	if (ssh_again(libssh2_session_last_errno(s->session)))
		return STEP_WAIT;
	return ssh_call_failed(s, "authenticating", err);
}

static enum ssh_step all_refused(struct ssh *s, struct err *err)
{
	err_set(err, ERR_PERMANENT, "authentication refused for user %s: tried %s; the host allows %s",
		s->settings.user,
		s->auth->tried[0] ? s->auth->tried : "nothing, for want of a fitting key or password",
		s->auth->allowed[0] ? s->auth->allowed : "nothing");
	return STEP_FAIL;
}

enum ssh_step ssh_auth_step(struct ssh *s, struct err *err)
{
	struct ssh_auth *auth;
	enum ssh_step step;

	if (!s->auth)
		s->auth = xcalloc(1, sizeof(*s->auth));
	auth = s->auth;
	if (!auth->allowed) {
		step = ask_for_list(s, err);
		if (!auth->allowed)
			return step;
	}
	for (; auth->way < WAYS_N; auth->way++) {
		enum outcome outcome = REFUSED;

		if (ways[auth->way].configured(s) && allowed(auth, ways[auth->way].method))
			outcome = ways[auth->way].try(s);
		if (outcome != REFUSED)
			return outcome == ACCEPTED ? STEP_NEXT : STEP_WAIT;
		if (s->stream_ended || s->goodbye[0])
			return ssh_call_failed(s, ssh_auth_phase(s), err);
		drop_secret(auth);
	}
	return all_refused(s, err);
}

const char *ssh_auth_phase(const struct ssh *s)
{
	if (s->auth && s->auth->reading)
		return s->auth->reads;
	return s->auth && s->auth->allowed && s->auth->way < WAYS_N ? ways[s->auth->way].phase
								    : "authenticating";
}

void ssh_auth_free(struct ssh *s)
{
	struct ssh_auth *auth = s->auth;

	if (!auth)
		return;
	ssh_secret_cancel(auth->reading);
	drop_secret(auth);
	ssh_agent_free(auth->agent);
	free(auth->allowed);
	free(auth);
	s->auth = NULL;
}
