/* The format of the settings file: a flat YAML map of scalars. Used by settings.c only. */
#ifndef APILB_SETTINGS_FILE_H
#define APILB_SETTINGS_FILE_H

#include <stdbool.h>

#include "common/err.h"

/*
 * Calls set for each key; an error of set gets the file, line, column and key
 * in front. must_exist: a missing file is an error; without it, the same as an
 * empty file, and 1 is returned.
 */
int settings_file_read(const char *file, bool must_exist,
		       int (*set)(void *arg, const char *key, const char *value, struct err *err), void *arg,
		       struct err *err);

#endif
