/* apilbd --check. */
#ifndef APILB_SPECS_CHECK_H
#define APILB_SPECS_CHECK_H

#include <stdbool.h>

/* Reads a spec directory, and waits for the disk meanwhile. Prints a summary to stdout, or to stderr each
 * error and each file whose name is not a spec's. True: the directory can be read, and all its specs are
 * valid. */
bool specs_check(const char *dir);

#endif
