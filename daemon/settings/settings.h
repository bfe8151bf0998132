/*
 * The daemon's settings: command line over settings file over default. One
 * table of rows gives the option parser, the file's keys, the defaults and
 * --help.
 */
#ifndef APILB_SETTINGS_H
#define APILB_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/log.h"

#define SETTINGS_MIN_RESYNC_MS 1000
#define SETTINGS_MAX_CONCURRENCY 1000

struct settings {
	char *config_file;
	bool config_missing; /* there is no such file */
	char *spec_dir;
	char *state_dir;
	char *socket;
	char *owner; /* a valid label value: [A-Za-z0-9][A-Za-z0-9._-]{0,62} */
	int64_t resync_ms;
	int64_t silent_after_ms;
	int concurrency;
	enum log_level log_level;
	enum log_format log_format;
	bool once, check;
};

/*
 * Returns 0: go on. 1: done, --help or --version has been printed to stdout.
 * -1: err (ERR_SPEC) names the option, or the file, line, column and key, and
 * says what is allowed. Only after 0 must the caller clear the settings. A
 * settings file that does not exist is fine unless --config named it.
 */
int settings_parse(struct settings *settings, int argc, char **argv, struct err *err);

/*
 * Takes over those of freshly parsed settings that can change while the daemon
 * runs, and clears the fresh ones. The others keep their value, and their strings,
 * to which others point; *restart (caller frees) then lists the keys of those that
 * differ ("specDir, socket"), else it is NULL.
 */
void settings_take(struct settings *settings, struct settings *fresh, char **restart);

void settings_clear(struct settings *settings);

#endif
