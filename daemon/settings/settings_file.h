/* The settings file's form: a flat YAML map of scalars. Internal to settings.c. */
#ifndef APILB_SETTINGS_FILE_H
#define APILB_SETTINGS_FILE_H

#include <stdbool.h>

#include "common/err.h"

/*
 * Calls set for each key; its error is given the file, line, column and key in
 * front. must_exist: a file that is not there is an error, not an empty one.
 */
int settings_file_read(const char *file, bool must_exist,
		       int (*set)(void *arg, const char *key, const char *value, struct err *err), void *arg,
		       struct err *err);

#endif
