#include "daemon/core/spec/spec_syntax.h"

#include <openssl/evp.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/mem.h"
#include "daemon/core/container_name.h"
#include "daemon/core/spec/spec_path.h"
#include "daemon/core/spec/ssh_key.h"

#define MAX_TEXT 4096
#define MAX_KEY_TEXT 65536
#define MAX_IMAGE_NAME 255
#define FINGERPRINT_PREFIX "SHA256:"
#define FINGERPRINT_CHARS 43 /* base64 of 32 bytes, without padding */
#define ENGINE_PREFIX "unix://"
/* 999,999 hosts: more than anybody has. */
#define MAX_COUNT_DIGITS 6
#define MAX_HAPROXY_TIME_MS (INT64_C(576) * 60 * 60 * 1000)
#define MAX_SOCKET_PATH 107 /* unix(7) */

static bool has_control_character(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

static int check_length(const char *text, size_t max, struct err *err)
{
	if (strlen(text) > max)
		return err_set(err, ERR_SPEC, "must have at most %zu bytes", max);
	return 0;
}

int syntax_any_text(const char *text, struct err *err)
{
	(void)text;
	(void)err;
	return 0;
}

int syntax_text(const char *text, struct err *err)
{
	return check_length(text, MAX_TEXT, err);
}

/*
 * The grammar of Docker's image references
 * (https://pkg.go.dev/github.com/distribution/reference). What Docker would
 * refuse is refused here already, not on the host.
 */
#define DOMAIN_PART "([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
#define DOMAIN "(" DOMAIN_PART "(\\." DOMAIN_PART ")*|\\[[a-fA-F0-9:]+\\])(:[0-9]+)?"
#define PATH_PART "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*"
#define TAG "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}"
#define DIGEST "[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,128}"
#define IMAGE "^((" DOMAIN "/)?" PATH_PART "(/" PATH_PART ")*)(:" TAG ")?(@" DIGEST ")?$"

int syntax_image(const char *text, struct err *err)
{
	static regex_t grammar;
	static bool compiled;
	regmatch_t match[2];

	if (!compiled && regcomp(&grammar, IMAGE, REG_EXTENDED) != 0)
		abort(); /* the pattern is a constant */
	compiled = true;
	if (strlen(text) <= 2 * MAX_IMAGE_NAME + 128 && regexec(&grammar, text, 2, match, 0) == 0 &&
	    match[1].rm_eo <= MAX_IMAGE_NAME)
		return 0;
	return err_set(err, ERR_SPEC,
		       "must be an image reference NAME[:TAG][@DIGEST], such as \"" SPEC_DEFAULT_IMAGE
		       "\" or "
		       "\"registry.example.com:5000/haproxy@sha256:...\"; the name is in lower case");
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_.-", c));
}

int syntax_container_name(const char *text, struct err *err)
{
	size_t len = 0;

	while (is_name_char(text[len]))
		len++;
	if (len < 2 || len > SPEC_MAX_NAME || text[len] || strchr("_.-", text[0]))
		return err_set(
			err, ERR_SPEC,
			"must be a container name: 2 to %d letters, digits, \"_\", \".\" and \"-\", the "
			"first a letter or digit",
			SPEC_MAX_NAME);
	if (container_role_of(text, NULL) != CONTAINER_BALANCER)
		return err_set(
			err, ERR_SPEC,
			"must not end in \"-apilb-next\", \"-apilb-helper\" or \"-apilb-old-\" and 8 digits: "
			"these names are reserved for apilbd's own containers");
	return 0;
}

int syntax_container_id(const char *text, struct err *err)
{
	size_t len = strspn(text, "0123456789abcdef");

	if (len < 12 || len > 64 || text[len])
		return err_set(err, ERR_SPEC, "must be a container ID: 12 to 64 hexadecimal digits");
	return 0;
}

/* Absolute, without "//", "/./", "/../" and a "/" at the end. */
static bool is_normal_path(const char *path)
{
	if (*path != '/')
		return false;
	while (*path == '/') {
		size_t len = strcspn(++path, "/");

		if (len == 0 || (len == 1 && path[0] == '.') || (len == 2 && memcmp(path, "..", 2) == 0))
			return false;
		path += len;
	}
	return true;
}

int syntax_recalled_path(const char *text, struct err *err)
{
	if (strlen(text) < MAX_TEXT && is_normal_path(text) && !strchr(text, ':') &&
	    !has_control_character(text))
		return 0;
	return err_set(err, ERR_SPEC,
		       "must be the absolute path of a file, such as \"" SPEC_DEFAULT_CONFIG_PATH
		       "\", without \".\", \"..\", \"//\", \":\", control characters or a \"/\" at its end");
}

int syntax_config_path(const char *text, struct err *err)
{
	const char *place, *is;
	int len;

	if (syntax_recalled_path(text, err) < 0)
		return -1;
	is = spec_path_objection(text, &place, &len);
	if (!is)
		return 0;
	return err_set(err, ERR_SPEC,
		       "must not be in %.*s, %s: name a file of the balancer's own, such as "
		       "\"/etc/haproxy-apilb/haproxy.cfg\"",
		       len, place, is);
}

int syntax_file(const char *text, struct err *err)
{
	if (text[0] == '/' && strlen(text) < MAX_TEXT && !has_control_character(text))
		return 0;
	return err_set(err, ERR_SPEC, "must be the absolute path of a file on the daemon's machine");
}

int syntax_user(const char *text, struct err *err)
{
	if (strlen(text) <= 255 && !has_control_character(text) && !strchr(text, ' '))
		return 0;
	return err_set(err, ERR_SPEC, "must be a user name of at most 255 bytes, without spaces");
}

int syntax_duration(const char *text, struct err *err)
{
	int64_t ms;

	if (duration_parse_ms(text, &ms, err) < 0)
		return -1;
	if (ms <= 0)
		return err_set(err, ERR_SPEC, "must be a duration longer than 0, such as \"30s\"");
	return 0;
}

int syntax_delay(const char *text, struct err *err)
{
	int64_t ms;

	if (duration_parse_ms(text, &ms, err) < 0)
		return -1;
	if (ms < 0)
		return err_set(err, ERR_SPEC, "must be a duration of 0 or more, such as \"5s\"");
	return 0;
}

/* The number that text begins with; UINT32_MAX: no digits, or too many. */
static uint32_t leading_count(const char *text, const char **end)
{
	size_t len = strspn(text, "0123456789");

	*end = text + len;
	return len > 0 && len <= MAX_COUNT_DIGITS ? (uint32_t)strtoul(text, NULL, 10) : UINT32_MAX;
}

int syntax_count(const char *text, struct err *err)
{
	const char *end;

	if (leading_count(text, &end) != UINT32_MAX && !*end)
		return 0;
	return err_set(err, ERR_SPEC, "must be a number of hosts from 0 to 999999");
}

int syntax_share(const char *text, struct err *err)
{
	const char *end;
	uint32_t n = leading_count(text, &end);
	bool percent = strcmp(end, "%") == 0;

	if (n >= 1 && n != UINT32_MAX && (percent ? n <= 100 : !*end))
		return 0;
	return err_set(err, ERR_SPEC,
		       "must be a number of hosts from 1 to 999999, or a share of them from 1%% to 100%%");
}

static const char *const on_failure_names[] = {[ROLLOUT_HALT] = "halt", [ROLLOUT_REVERT] = "revert"};

int syntax_on_failure(const char *text, struct err *err)
{
	for (size_t i = 0; i < sizeof(on_failure_names) / sizeof(on_failure_names[0]); i++)
		if (strcmp(text, on_failure_names[i]) == 0)
			return 0;
	return err_set(err, ERR_SPEC, "must be one of \"halt\" and \"revert\"");
}

enum rollout_failure on_failure_parse(const char *text)
{
	return strcmp(text, on_failure_names[ROLLOUT_REVERT]) == 0 ? ROLLOUT_REVERT : ROLLOUT_HALT;
}

const char *on_failure_name(enum rollout_failure on_failure)
{
	return on_failure_names[on_failure];
}

/* HAProxy's timers count up to 2^31 ms. */
int syntax_haproxy_time(const char *text, struct err *err)
{
	int64_t ms;

	if (syntax_duration(text, err) < 0)
		return -1;
	duration_parse_ms(text, &ms, err);
	if (ms > MAX_HAPROXY_TIME_MS)
		return err_set(err, ERR_SPEC,
			       "must be at most 576h (24 days), the longest that HAProxy can count");
	return 0;
}

int syntax_engine(const char *text, struct err *err)
{
	const char *path = engine_path(text);

	if (path && strlen(path) <= MAX_SOCKET_PATH && is_normal_path(path) && !has_control_character(path))
		return 0;
	return err_set(err, ERR_SPEC,
		       "must be \"unix://\" and an absolute path of at most %d bytes, such as "
		       "\"unix://" SPEC_DEFAULT_ENGINE "\"",
		       MAX_SOCKET_PATH);
}

const char *engine_path(const char *text)
{
	size_t len = strlen(ENGINE_PREFIX);

	return strncmp(text, ENGINE_PREFIX, len) == 0 ? text + len : NULL;
}

static const char *const checking_names[] = {
	[HOST_KEY_ACCEPT_NEW] = "accept-new",
	[HOST_KEY_STRICT] = "strict",
	[HOST_KEY_OFF] = "off",
};

int syntax_host_key_checking(const char *text, struct err *err)
{
	for (size_t i = 0; i < sizeof(checking_names) / sizeof(checking_names[0]); i++)
		if (strcmp(text, checking_names[i]) == 0)
			return 0;
	return err_set(err, ERR_SPEC, "must be one of \"accept-new\", \"strict\" and \"off\"");
}

enum host_key_checking host_key_checking_parse(const char *text)
{
	enum host_key_checking checking = HOST_KEY_ACCEPT_NEW;

	while (strcmp(text, checking_names[checking]) != 0)
		checking++;
	return checking;
}

const char *host_key_checking_name(enum host_key_checking checking)
{
	return checking_names[checking];
}

int syntax_private_key(const char *text, struct err *err)
{
	if (check_length(text, MAX_KEY_TEXT, err) < 0)
		return -1;
	return ssh_key_check(text, err);
}

static bool is_base64(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
	       c == '/';
}

static bool is_fingerprint(const char *text)
{
	size_t len = 0;

	if (strncmp(text, FINGERPRINT_PREFIX, strlen(FINGERPRINT_PREFIX)) != 0)
		return false;
	text += strlen(FINGERPRINT_PREFIX);
	while (is_base64(text[len]))
		len++;
	return len == FINGERPRINT_CHARS && (!text[len] || strcmp(text + len, "=") == 0);
}

/* "TYPE BASE64 [COMMENT]", as in a .pub file. */
static int check_public_key_line(const char *text, struct err *err)
{
	size_t type_len = strcspn(text, " ");
	const char *base64 = text + type_len + strspn(text + type_len, " ");
	size_t len = strcspn(base64, " ");
	size_t padding = 0;
	unsigned char *blob;
	char *type;
	int decoded, rc;

	while (padding < 2 && padding < len && base64[len - 1 - padding] == '=')
		padding++;
	blob = xcalloc(len + 1, 1);
	type = xstrndup(text, type_len);
	decoded = EVP_DecodeBlock(blob, (const unsigned char *)base64, (int)len);
	if (decoded < (int)padding)
		rc = err_set(err, ERR_SPEC, "it is not base64");
	else
		rc = ssh_public_key_check(type, blob, (unsigned long)decoded - padding, err);
	free(type);
	free(blob);
	return rc;
}

int syntax_host_key(const char *text, struct err *err)
{
	if (check_length(text, MAX_KEY_TEXT, err) < 0)
		return -1;
	if (is_fingerprint(text))
		return 0;
	if (!has_control_character(text) && check_public_key_line(text, err) == 0)
		return 0;
	return err_set(
		err, ERR_SPEC,
		"must be a public key such as \"ssh-ed25519 AAAA...\" (ssh-ed25519, ecdsa-sha2-nistp*, "
		"ssh-rsa), or its fingerprint, \"SHA256:\" and %d characters",
		FINGERPRINT_CHARS);
}
