/* Checks CA certificates. */
#ifndef APILB_CORE_CERTIFICATES_H
#define APILB_CORE_CERTIFICATES_H

#include "common/err.h"

/* For comparison: a bundle of all public CAs has 220 KB. */
#define CERTIFICATES_MAX_BYTES (512u << 10)

/*
 * text must hold at least one certificate in PEM format, only certificates that
 * can be parsed, and no private key: it goes into a file that everybody on a
 * host can read. After a failure err is worded to follow the name of the text:
 * "holds no certificate ...". No message quotes the text.
 */
int certificates_check(const char *text, struct err *err);

#endif
