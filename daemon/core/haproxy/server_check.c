#include "daemon/core/haproxy/server_check.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define DRAINING "; connections in use go on"

/*
 * Words for the result of a check. WITHIN adds the time that the check took, HTTP the status; SAID
 * prefers HAProxy's own words.
 */
static const struct {
	const char *check;
	enum { PLAIN, WITHIN, HTTP, SAID } more;
	const char *words;
} results[] = {
	{"L4TOUT", WITHIN, "no connection"},
	{"L4CON", SAID, "connection failed"},
	{"SOCKERR", SAID, "the connection broke"},
	{"L6TOUT", WITHIN, "no TLS handshake"},
	{"L6RSP", PLAIN, "the TLS handshake failed"},
	{"L7TOUT", WITHIN, "no answer to the check"},
	{"L7RSP", PLAIN, "the answer to the check is not HTTP"},
	{"L7STS", HTTP, "not ready"},
	{"L7OKC", HTTP, "not ready"},
	{"HANA", PLAIN, "too many connections to it failed"},
	{"PROCERR", PLAIN, "its check could not be run"},
};

/* Rounded to a tenth of a second: a timeout is noticed a little late. */
static char *within(const char *words, int64_t ms)
{
	int64_t tenths = (ms + 50) / 100;

	if (ms < 0)
		return xstrdup(words);
	if (tenths % 10 == 0)
		return xasprintf("%s within %llds", words, (long long)tenths / 10);
	return xasprintf("%s within %lld.%llds", words, (long long)tenths / 10, (long long)tenths % 10);
}

/* The system's words ("Connection refused"), put in lower case for the middle of a sentence. */
static char *said(const char *words, const char *last)
{
	char *text = xstrdup(last[0] ? last : words);

	text[0] = (char)tolower((unsigned char)text[0]);
	return text;
}

static char *check_words(const struct server_check *check)
{
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		if (strcmp(check->check, results[i].check) != 0)
			continue;
		if (results[i].more == WITHIN)
			return within(results[i].words, check->duration_ms);
		if (results[i].more == SAID)
			return said(results[i].words, check->last);
		if (results[i].more == HTTP && check->code >= 0)
			return xasprintf("%s: HTTP %lld", results[i].words, (long long)check->code);
		return xstrdup(results[i].words);
	}
	return xasprintf("its check says %s%s%s", check->check[0] ? check->check : "nothing",
			 check->last[0] ? ": " : "", check->last);
}

/*
 * "DOWN 1/2": one check of the two that it takes has passed. False for a server that is not coming
 * back.
 */
static int comes_back(const struct server_check *check, int *passed, int *of)
{
	/* L4OK, L6OK: extraConfig may have put a simpler check in place of ours. */
	const char *end = strstr(check->check, "OK");

	return end && !end[2] && sscanf(check->status, "DOWN %9d/%9d", passed, of) == 2;
}

char *server_why(const struct server_check *check)
{
	int passed, of;
	char *words, *text;

	if (strncmp(check->status, "MAINT (resolution)", 18) == 0)
		return xstrdup("its name cannot be resolved");
	if (strncmp(check->status, "MAINT", 5) == 0)
		return xstrdup("taken out by hand");
	if (strncmp(check->status, "DRAIN", 5) == 0)
		return xstrdup("drained by hand" DRAINING);
	if (comes_back(check, &passed, &of))
		return xasprintf("coming back: %d of %d checks passed", passed, of);
	words = check_words(check);
	if (strncmp(check->status, "NOLB", 4) != 0)
		return words;
	text = xasprintf("%s" DRAINING, words);
	free(words);
	return text;
}
