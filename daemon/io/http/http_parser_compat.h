/*
 * Only this file knows which HTTP parser is used: llhttp (Debian 13) or its predecessor http_parser (Debian
 * 12). Their callbacks are the same; feeding bytes, the end of the stream and the reason of a failure are
 * not.
 */
#ifndef APILB_IO_HTTP_PARSER_COMPAT_H
#define APILB_IO_HTTP_PARSER_COMPAT_H

#include <stddef.h>

#ifdef HAVE_LLHTTP
#include <llhttp.h>

typedef llhttp_t reply_parser;
typedef llhttp_settings_t reply_parser_callbacks;
#define reply_parser_keep_alive llhttp_should_keep_alive
#define request_parser_method_name(p) llhttp_method_name(llhttp_get_method(p))

static inline void reply_parser_init(reply_parser *p, const reply_parser_callbacks *callbacks)
{
	llhttp_init(p, HTTP_RESPONSE, callbacks);
}

/* For the server's side: the other functions serve requests and replies alike. */
static inline void request_parser_init(reply_parser *p, const reply_parser_callbacks *callbacks)
{
	llhttp_init(p, HTTP_REQUEST, callbacks);
}

/* Returns NULL, or what is wrong with the bytes. len 0: the stream has ended. */
static inline const char *reply_parser_feed(reply_parser *p, const reply_parser_callbacks *callbacks,
					    const char *data, size_t len)
{
	llhttp_errno_t error = len ? llhttp_execute(p, data, len) : llhttp_finish(p);
	const char *reason = llhttp_get_error_reason(p);

	(void)callbacks;
	if (error == HPE_OK)
		return NULL;
	return reason && *reason ? reason : llhttp_errno_name(error);
}

#else
#include <http_parser.h>

typedef http_parser reply_parser;
typedef http_parser_settings reply_parser_callbacks;
#define reply_parser_keep_alive http_should_keep_alive
#define request_parser_method_name(p) http_method_str((p)->method)

static inline void reply_parser_init(reply_parser *p, const reply_parser_callbacks *callbacks)
{
	(void)callbacks;
	http_parser_init(p, HTTP_RESPONSE);
}

static inline void request_parser_init(reply_parser *p, const reply_parser_callbacks *callbacks)
{
	(void)callbacks;
	http_parser_init(p, HTTP_REQUEST);
}

static inline const char *reply_parser_feed(reply_parser *p, const reply_parser_callbacks *callbacks,
					    const char *data, size_t len)
{
	size_t parsed = http_parser_execute(p, callbacks, data, len);

	if (HTTP_PARSER_ERRNO(p) == HPE_OK && parsed == len)
		return NULL;
	return http_errno_description(HTTP_PARSER_ERRNO(p));
}

#endif
#endif
