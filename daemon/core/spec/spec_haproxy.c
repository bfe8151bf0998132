/* Values that become part of HAProxy's config: none may mean more there than in the spec. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/spec/certificates.h"
#include "daemon/core/spec/spec_syntax.h"

#define MAX_CHECK_PATH 512
#define MAX_EXTRA_TEXT 65536
#define MAX_KEYWORD 64

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/*
 * RFC 3986, 3.3 and 3.4, without the single quote: none of these means anything to HAProxy outside
 * of quotes (HAProxy's manual, 2.2).
 */
int syntax_check_path(const char *text, struct err *err)
{
	size_t len = strspn(text, LETTERS DIGITS "-._~%!$&()*+,;=:@/?");

	if (text[0] == '/' && !text[len] && len <= MAX_CHECK_PATH)
		return 0;
	return err_set(err, ERR_SPEC,
		       "must be the path of a URL, such as \"/readyz\": a \"/\" and letters, digits and "
		       "-._~%%!$&()*+,;=:@/? after it, at most %d characters",
		       MAX_CHECK_PATH);
}

static int check_number(const char *text, unsigned long max, struct err *err)
{
	size_t len = strspn(text, DIGITS);

	if (len > 0 && len <= 9 && !text[len] && strtoul(text, NULL, 10) >= 1 &&
	    strtoul(text, NULL, 10) <= max)
		return 0;
	return err_set(err, ERR_SPEC, "must be a whole number from 1 to %lu", max);
}

int syntax_check_count(const char *text, struct err *err)
{
	return check_number(text, 100, err);
}

int syntax_max_connections(const char *text, struct err *err)
{
	return check_number(text, 1000000, err);
}

int syntax_certificates(const char *text, struct err *err)
{
	struct err why;

	if (certificates_check(text, &why) == 0)
		return 0;
	return err_set(err, ERR_SPEC, "must be the certificates of CAs: it %s", why.message);
}

/* HAProxy compares the name with the names in a certificate, not with its IP addresses (ssl_sock.c). */
int syntax_server_name(const char *text, struct err *err)
{
	char *address = NULL;
	bool is_name = address_parse(text, &address, err) == 0 && !strchr(address, ':') &&
		       strspn(address, DIGITS ".") != strlen(address);

	free(address);
	if (is_name)
		return 0;
	return err_set(err, ERR_SPEC,
		       "must be a DNS name that is in the API servers' certificates, such as \"kubernetes\"; "
		       "an IP address cannot be compared");
}

int syntax_balance(const char *text, struct err *err)
{
	static const char *const known[] = {"leastconn", "roundrobin", "static-rr",
					    "source",    "first",      "random"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(text, known[i]) == 0)
			return 0;
	return err_set(
		err, ERR_SPEC,
		"must be one of \"leastconn\", \"roundrobin\", \"static-rr\", \"source\", \"first\" and "
		"\"random\"");
}

/* Reads three digits. */
static bool take_status(const char *text, uint16_t *status)
{
	if (strspn(text, DIGITS) < 3)
		return false;
	*status = (uint16_t)((text[0] - '0') * 100 + (text[1] - '0') * 10 + (text[2] - '0'));
	return *status >= 100 && *status <= 599;
}

int statuses_parse(const char *text, struct spec_statuses *statuses, struct err *err)
{
	size_t len = strlen(text);

	if (len == 3 && text[0] >= '1' && text[0] <= '5' && strcmp(text + 1, "xx") == 0) {
		statuses->from = (uint16_t)((text[0] - '0') * 100);
		statuses->to = statuses->from + 99;
		return 0;
	}
	if (len == 3 && take_status(text, &statuses->from)) {
		statuses->to = statuses->from;
		return 0;
	}
	if (len == 7 && text[3] == '-' && take_status(text, &statuses->from) &&
	    take_status(text + 4, &statuses->to) && statuses->from <= statuses->to)
		return 0;
	return err_set(err, ERR_SPEC,
		       "must be HTTP statuses: \"200\", \"2xx\" or \"200-299\", from 100 to 599");
}

/* Lines of extraConfig. */

/*
 * The keywords that begin a section in any HAProxy from 2.4 to 3.5 (its cfg_register_section and
 * REGISTER_CONFIG_SECTION).
 */
static const char *const sections[] = {
	"acme",        "backend",    "cache",       "crt-store",      "defaults",     "fcgi-app",
	"frontend",    "global",     "healthcheck", "http-errors",    "listen",       "log-forward",
	"log-profile", "mailers",    "peers",       "namespace_list", "program",      "resolvers",
	"ring",        "spoe-agent", "spoe-group",  "traces",         "spoe-message", "userlist",
};

struct extra {
	size_t line; /* counts from 1 */
	size_t open; /* number of .if without an .endif so far */
};

static int check_condition(struct extra *extra, const char *word, struct err *err)
{
	bool is_end = strcmp(word, ".endif") == 0;

	if (strcmp(word, ".if") == 0)
		extra->open++;
	else if ((is_end || strcmp(word, ".else") == 0 || strcmp(word, ".elif") == 0) && extra->open == 0)
		return err_set(err, ERR_SPEC,
			       "line %zu: \"%s\" without an \".if\" before it in the same text", extra->line,
			       word);
	else if (is_end)
		extra->open--;
	return 0;
}

static int check_word(struct extra *extra, const char *word, struct err *err)
{
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		if (strcmp(word, sections[i]) == 0)
			return err_set(err, ERR_SPEC,
				       "line %zu begins another section (\"%s\"): only lines of this section "
				       "are allowed",
				       extra->line, word);
	/* apilbd puts a hash there, and HAProxy's answer then shows which config runs (haproxy.h). */
	if (strcmp(word, "description") == 0)
		return err_set(err, ERR_SPEC, "line %zu: \"description\" is apilbd's own", extra->line);
	return check_condition(extra, word, err);
}

static int check_line(struct extra *extra, const char *line, size_t len, struct err *err)
{
	char word[MAX_KEYWORD];
	size_t begin = 0, word_len = 0;

	for (size_t i = 0; i < len; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			return err_set(err, ERR_SPEC, "line %zu must not hold control characters",
				       extra->line);
	while (begin < len && (line[begin] == ' ' || line[begin] == '\t'))
		begin++;
	if (begin == len || line[begin] == '#')
		return 0;
	while (begin + word_len < len && line[begin + word_len] != ' ' && line[begin + word_len] != '\t' &&
	       line[begin + word_len] != '#')
		word_len++;
	/*
	 * Quotes, escapes and variables could spell a section's keyword in a way that is not
	 * recognised here.
	 */
	snprintf(word, sizeof(word), "%.*s", (int)word_len, line + begin);
	if (word_len >= sizeof(word) || strspn(word, LETTERS DIGITS "._-") != word_len)
		return err_set(err, ERR_SPEC,
			       "line %zu must begin with a keyword: letters, digits, \".\", \"_\" and \"-\", "
			       "without quotes",
			       extra->line);
	return check_word(extra, word, err);
}

int syntax_extra_lines(const char *text, struct err *err)
{
	struct extra extra = {.line = 0};

	if (strlen(text) > MAX_EXTRA_TEXT)
		return err_set(err, ERR_SPEC, "must have at most %d bytes", MAX_EXTRA_TEXT);
	while (*text) {
		size_t len = strcspn(text, "\n");

		extra.line++;
		if (check_line(&extra, text, len, err) < 0)
			return -1;
		text += len + (text[len] == '\n');
	}
	if (extra.open > 0)
		return err_set(err, ERR_SPEC, "an \".if\" has no \".endif\" in the same text");
	return 0;
}
