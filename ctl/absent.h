/* Why no daemon answered, in words that tell what to do next. */
#ifndef APILB_CTL_ABSENT_H
#define APILB_CTL_ABSENT_H

#include <stdint.h>

#include "common/err.h"

struct absence {
	const char *socket_path;
	const char *method, *path; /* what was asked */
	int code;                  /* CURLcode */
	long os_errno;             /* errno of connect(2), if curl got that far */
	const char *detail;        /* curl's own words */
	int64_t timeout_ms;
};

/* Sets an ERR_UNREACHABLE. Returns -1. */
int absence_explain(const struct absence *absence, struct err *err);

#endif
