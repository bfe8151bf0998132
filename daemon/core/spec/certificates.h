/* Is this a file of certificates? */
#ifndef APILB_CORE_CERTIFICATES_H
#define APILB_CORE_CERTIFICATES_H

#include "common/err.h"

/* A bundle of all public CAs has 220 KB. */
#define CERTIFICATES_MAX_BYTES (512u << 10)

/*
 * At least one certificate in PEM format, all that can be read, and no private
 * key: the text goes into a file that everybody on a host can read. On failure
 * err is worded to follow what it is: "holds no certificate ...". Nothing of the
 * text is quoted.
 */
int certificates_check(const char *text, struct err *err);

#endif
