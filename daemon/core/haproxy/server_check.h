/*
 * Why HAProxy does not use a server, in words for people. The codes are those
 * of `show stat` (HAProxy's Management Guide, 9.1).
 */
#ifndef APILB_CORE_SERVER_CHECK_H
#define APILB_CORE_SERVER_CHECK_H

#include <stdint.h>

struct server_check {
	const char *status;  /* "DOWN", "DOWN 1/2", "NOLB", "MAINT (resolution)" */
	const char *check;   /* "L4CON"; "" if none */
	int64_t code;        /* the HTTP status; -1: none */
	int64_t duration_ms; /* of the last check; -1: unknown */
	const char *last;    /* HAProxy's words: "Connection refused", "Internal Server Error"; "": none */
};

/* "connection refused", "no answer to the check within 2s", "not ready: HTTP 500". The caller frees. */
char *server_why(const struct server_check *check);

#endif
