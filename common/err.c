#include "common/err.h"

#include <stdio.h>
#include <string.h>

static void mark_cut(struct err *err, int wanted_len)
{
	if (wanted_len >= (int)sizeof(err->message))
		memcpy(err->message + sizeof(err->message) - 4, "...", 4);
}

int err_vset(struct err *err, enum err_kind kind, const char *fmt, va_list ap)
{
	err->kind = kind;
	mark_cut(err, vsnprintf(err->message, sizeof(err->message), fmt, ap));
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
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	memcpy(message, err->message, sizeof(message));
	mark_cut(err, snprintf(err->message, sizeof(err->message), "%s: %s", context, message));
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
