#include "daemon/settings/settings.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/mem.h"
#include "common/names.h"
#include "daemon/settings/settings_file.h"

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define OWNER_MAX 63

/* Parsers of single values. On an error the field keeps its value. */

static int parse_path(void *field, const char *text, struct err *err)
{
	char **path = field;

	if (!*text)
		return err_set(err, ERR_SPEC, "must not be empty");
	free(*path);
	*path = xstrdup(text);
	return 0;
}

static int parse_owner(void *field, const char *text, struct err *err)
{
	size_t len = strlen(text);

	if (len == 0 || len > OWNER_MAX || !strchr(LETTERS_AND_DIGITS, text[0]) ||
	    strspn(text, LETTERS_AND_DIGITS "._-") != len)
		return err_set(err, ERR_SPEC,
			       "must be a label value: a letter or digit, then at most %d letters, digits, "
			       "\".\", \"_\" "
			       "or \"-\"",
			       OWNER_MAX - 1);
	return parse_path(field, text, err);
}

static int parse_seconds(void *field, const char *text, struct err *err)
{
	int64_t ms;

	if (duration_parse_ms(text, &ms, err) < 0)
		return -1;
	if (ms < SETTINGS_MIN_RESYNC_MS)
		return err_set(err, ERR_SPEC, "must be 1s or more");
	*(int64_t *)field = ms;
	return 0;
}

static int parse_concurrency(void *field, const char *text, struct err *err)
{
	size_t len = strlen(text);
	int n = 0;

	/* Nine digits always fit an int. */
	if (len > 0 && len <= 9 && strspn(text, "0123456789") == len)
		n = atoi(text);
	if (n < 1 || n > SETTINGS_MAX_CONCURRENCY)
		return err_set(err, ERR_SPEC, "must be a whole number from 1 to %d",
			       SETTINGS_MAX_CONCURRENCY);
	*(int *)field = n;
	return 0;
}

static int parse_log_level(void *field, const char *text, struct err *err)
{
	if (log_level_parse(text, field))
		return 0;
	return err_set(err, ERR_SPEC, "must be error, warning, info or debug");
}

static int parse_log_format(void *field, const char *text, struct err *err)
{
	if (log_format_parse(text, field))
		return 0;
	return err_set(err, ERR_SPEC, "must be text or json");
}

static int parse_flag(void *field, const char *text, struct err *err)
{
	(void)text;
	(void)err;
	*(bool *)field = true;
	return 0;
}

static const struct row {
	const char *option;
	const char *key;   /* in the settings file; NULL: an option only */
	const char *value; /* what --help calls it; NULL: the option has none */
	const char *fallback;
	const char *help;
	int (*parse)(void *field, const char *text, struct err *err);
	size_t offset, size;
	bool restart; /* a char * to which others point: a new value needs a restart */
} rows[] = {
#define FIELD(name) offsetof(struct settings, name), sizeof(((struct settings *)NULL)->name)
	{"config", NULL, "FILE", APILB_DEFAULT_SETTINGS, "settings file", parse_path, FIELD(config_file),
	 false},
	{"spec-dir", "specDir", "DIR", APILB_DEFAULT_SPEC_DIR, "directory of the specs", parse_path,
	 FIELD(spec_dir), true},
	{"state-dir", "stateDir", "DIR", APILB_DEFAULT_STATE_DIR, "store and learned host keys", parse_path,
	 FIELD(state_dir), true},
	{"socket", "socket", "PATH", APILB_DEFAULT_SOCKET, "control socket", parse_path, FIELD(socket), true},
	{"owner", "owner", "NAME", APILB_DEFAULT_OWNER, "whose containers these are", parse_owner,
	 FIELD(owner), true},
	{"resync", "resync", "DURATION", "30s", "how often every host is looked at", parse_seconds,
	 FIELD(resync_ms), false},
	{"silent-after", "silentAfter", "DURATION", "1m",
	 "how long a HAProxy may be silent before a successor takes over", parse_seconds,
	 FIELD(silent_after_ms), false},
	{"concurrency", "concurrency", "N", "64", "how many hosts are worked on at once", parse_concurrency,
	 FIELD(concurrency), false},
	{"once", NULL, NULL, NULL, "converge everything once, and exit", parse_flag, FIELD(once), false},
	{"check", NULL, NULL, NULL, "validate the specs, and exit", parse_flag, FIELD(check), false},
	{"log-level", "logLevel", "LEVEL", "info", "error, warning, info or debug", parse_log_level,
	 FIELD(log_level), false},
	{"log-format", "logFormat", "FORMAT", "text", "text or json", parse_log_format, FIELD(log_format),
	 false},
	{"version", NULL, NULL, NULL, "print the version, and exit", NULL, 0, 0, false},
	{"help", NULL, NULL, NULL, "print this, and exit", NULL, 0, 0, false},
#undef FIELD
};
#define ROWS (sizeof(rows) / sizeof(*rows))
enum { ROW_CONFIG = 0, ROW_VERSION = ROWS - 2, ROW_HELP = ROWS - 1 };

static void *field_of(struct settings *settings, const struct row *row)
{
	return (char *)settings + row->offset;
}

static void print_help(void)
{
	printf("Usage: apilbd [OPTION]...\n"
	       "Keeps HAProxy load balancers of Kubernetes API servers as the specs want them.\n\n");
	for (const struct row *row = rows; row < rows + ROWS; row++) {
		char *option = xasprintf("--%s%s%s", row->option, row->value ? " " : "",
					 row->value ? row->value : "");

		printf("  %-22s %s", option, row->help);
		if (row->fallback)
			printf(" (default %s)", row->fallback);
		putchar('\n');
		free(option);
	}
	printf("\nOptions override the settings file, whose keys are the same names written like specDir.\n"
	       "See apilbd(8) and apilb-spec(5).\n");
}

/*
 * Collects the options without judging their values; of a repeated option the last value counts.
 * Returns 1 when --help or --version has been printed.
 */
static int read_options(int argc, char **argv, const char **given, struct err *err)
{
	struct option options[ROWS + 1] = {{0}};
	int c;

	for (size_t i = 0; i < ROWS; i++)
		options[i] = (struct option){rows[i].option, rows[i].value ? required_argument : no_argument,
					     NULL, i + 1};
	/* 0 makes glibc's getopt start over: a reload parses a second time. */
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:", options, NULL)) != -1) {
		if (c == ':')
			return err_set(err, ERR_SPEC, "%s needs a value; see --help", argv[optind - 1]);
		if (c < 1 || c > (int)ROWS)
			return err_set(
				err, ERR_SPEC,
				"unknown option, or a value for an option that takes none: %s; see --help",
				argv[optind - 1]);
		given[c - 1] = optarg ? optarg : "";
	}
	if (optind < argc)
		return err_set(err, ERR_SPEC, "unexpected argument \"%s\"; see --help", argv[optind]);
	if (given[ROW_HELP])
		print_help();
	else if (given[ROW_VERSION])
		printf("apilbd %s\n", PACKAGE_VERSION);
	return given[ROW_HELP] || given[ROW_VERSION] ? 1 : 0;
}

static char *all_keys(void)
{
	char *list = NULL;

	for (const struct row *row = rows; row < rows + ROWS; row++) {
		char *longer;

		if (!row->key)
			continue;
		longer = xasprintf("%s%s%s", list ? list : "", list ? ", " : "", row->key);
		free(list);
		list = longer;
	}
	return list;
}

struct file_context {
	struct settings *settings;
	bool seen[ROWS];
};

/* One `key: value` of the settings file. */
static int set_from_file(void *arg, const char *key, const char *value, struct err *err)
{
	struct file_context *context = arg;
	char *keys;

	for (size_t i = 0; i < ROWS; i++) {
		if (!rows[i].key || strcmp(rows[i].key, key) != 0)
			continue;
		if (context->seen[i])
			return err_set(err, ERR_SPEC, "is given twice");
		context->seen[i] = true;
		return rows[i].parse(field_of(context->settings, &rows[i]), value, err);
	}
	keys = all_keys();
	err_set(err, ERR_SPEC, "unknown key; allowed are %s", keys);
	free(keys);
	return -1;
}

static int set_all(struct settings *settings, const char *const *given, struct err *err)
{
	struct file_context context = {.settings = settings};
	int rc;

	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].fallback &&
		    rows[i].parse(field_of(settings, &rows[i]), rows[i].fallback, err) < 0)
			return -1;
	if (given[ROW_CONFIG] && parse_path(&settings->config_file, given[ROW_CONFIG], err) < 0)
		return err_prefix(err, "--config");
	rc = settings_file_read(settings->config_file, given[ROW_CONFIG] != NULL, set_from_file, &context,
				err);
	if (rc < 0)
		return -1;
	settings->config_missing = rc > 0;
	for (size_t i = 0; i < ROWS; i++)
		if (given[i] && rows[i].parse(field_of(settings, &rows[i]), given[i], err) < 0)
			return err_prefix(err, "--%s %s", rows[i].option, given[i]);
	if (settings->once && settings->check)
		return err_set(err, ERR_SPEC, "--once and --check exclude each other");
	return 0;
}

int settings_parse(struct settings *settings, int argc, char **argv, struct err *err)
{
	const char *given[ROWS] = {NULL};
	int rc;

	memset(settings, 0, sizeof(*settings));
	rc = read_options(argc, argv, given, err);
	if (rc != 0)
		return rc;
	if (set_all(settings, given, err) < 0) {
		settings_clear(settings);
		return -1;
	}
	return 0;
}

/* Appends the key to *names if the setting, which cannot change, has another value now. */
static void name_if_other(const struct row *row, char *is, char *wanted, char **names)
{
	char *before = *names;

	if (strcmp(is, wanted) == 0)
		return;
	*names = xasprintf("%s%s%s", before ? before : "", before ? ", " : "", row->key);
	free(before);
}

void settings_take(struct settings *settings, struct settings *fresh, char **restart)
{
	*restart = NULL;
	settings->config_missing = fresh->config_missing;
	for (const struct row *row = rows; row < rows + ROWS; row++) {
		void *is = field_of(settings, row), *wanted = field_of(fresh, row);

		if (row->restart)
			name_if_other(row, *(char **)is, *(char **)wanted, restart);
		else if (row->key)
			memcpy(is, wanted, row->size);
	}
	settings_clear(fresh);
}

void settings_clear(struct settings *settings)
{
	free(settings->config_file);
	free(settings->spec_dir);
	free(settings->state_dir);
	free(settings->socket);
	free(settings->owner);
	memset(settings, 0, sizeof(*settings));
}
