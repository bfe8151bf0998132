/* apilbd --check. */
#ifndef APILB_SPECS_CHECK_H
#define APILB_SPECS_CHECK_H

#include <stdbool.h>

/* Reads a spec directory, waiting for the disk, and prints a summary (stdout), or each error and each file
 * with another name than a spec's (stderr). Returns whether it can be read and all of it is valid. */
bool specs_check(const char *dir);

#endif
