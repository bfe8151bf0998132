/* A status on stdout and stderr, as several commands end with it. */
#ifndef APILB_CTL_REPORT_H
#define APILB_CTL_REPORT_H

#include <stddef.h>

#include "ctl/ctl.h"
#include "ctl/status.h"

/* The table goes to stdout, what is said about it to stderr: a script gets nothing but the table. */
void report_status(const struct ctl *ctl, const struct status *status);

/*
 * Plans and runs are made from the last good version of a spec: whoever has just made a mistake in it must
 * hear of it. Prints what is wrong to stderr; *invalid: how many specs it is wrong with.
 */
int report_invalid(struct ctl *ctl, const char *spec, size_t *invalid, struct err *err);

#endif
