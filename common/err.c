#include "common/err.h"

#include <stdio.h>
#include <string.h>

/* Cuts after a whole character: half a character is not UTF-8 (RFC 3629), and a strict reader would refuse
 * the text. */
static void mark_cut(char *text, size_t size, int wanted_len)
{
	size_t end = size - sizeof("...");

	if (wanted_len < (int)size)
		return;
	for (int i = 0; i < 3 && (text[end] & 0xc0) == 0x80; i++)
		end--;
	strcpy(text + end, "...");
}

int err_vset(struct err *err, enum err_kind kind, const char *fmt, va_list ap)
{
	err->kind = kind;
	err->nobody_listens = false;
	mark_cut(err->message, sizeof(err->message), vsnprintf(err->message, sizeof(err->message), fmt, ap));
	return -1;
}

int err_set(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(err, kind, fmt, ap);
	va_end(ap);
	return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char context[ERR_MESSAGE_BYTES / 2];
	char message[ERR_MESSAGE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	mark_cut(context, sizeof(context), vsnprintf(context, sizeof(context), fmt, ap));
	va_end(ap);
	memcpy(message, err->message, sizeof(message));
	mark_cut(err->message, sizeof(err->message),
		 snprintf(err->message, sizeof(err->message), "%s: %s", context, message));
	return -1;
}

const char *err_kind_name(enum err_kind kind)
{
	static const char *const names[ERR_KINDS] = {
		[ERR_NONE] = "none",
		[ERR_SPEC] = "spec",
		[ERR_UNREACHABLE] = "unreachable",
		[ERR_TRANSIENT] = "transient",
		[ERR_PERMANENT] = "permanent",
		[ERR_CONFLICT] = "conflict",
		[ERR_CANCELLED] = "cancelled",
	};

	return names[kind];
}
