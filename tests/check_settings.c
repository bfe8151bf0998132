/* Settings: what the command line, the file and the defaults make together. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/names.h"
#include "daemon/settings/settings.h"
#include "tests/suite.h"
#include "tests/temp.h"

#define MAX_ARGS 32

static char *file;
static struct settings settings;
static struct err err;

static void setup(void)
{
	temp_make();
	file = temp_path("apilbd.yaml");
	memset(&settings, 0, sizeof(settings));
	memset(&err, 0, sizeof(err));
}

static void teardown(void)
{
	settings_clear(&settings);
	FREE(file);
	temp_remove();
}

/* Parses the words of `line`, with --config FILE in front when the file is there. */
static int parse_with(int (*call)(int argc, char **argv), const char *line)
{
	char *words = xstrdup(line), *saved = NULL, *argv[MAX_ARGS] = {"apilbd"};
	int argc = 1, rc;

	if (access(file, F_OK) == 0) {
		argv[argc++] = "--config";
		argv[argc++] = file;
	}
	for (char *word = strtok_r(words, " ", &saved); word; word = strtok_r(NULL, " ", &saved))
		argv[argc++] = word;
	rc = call(argc, argv);
	free(words);
	return rc;
}

static int call_parse(int argc, char **argv)
{
	return settings_parse(&settings, argc, argv, &err);
}

static void parse(const char *line)
{
	settings_clear(&settings);
	ck_assert_msg(parse_with(call_parse, line) == 0, "%s", err.message);
}

static void assert_refused(const char *line, const char *message)
{
	settings_clear(&settings);
	ck_assert_msg(parse_with(call_parse, line) == -1, "\"%s\" was taken", line);
	ck_assert_int_eq(err.kind, ERR_SPEC);
	ck_assert_str_eq(err.message, message);
}

START_TEST(defaults_hold_where_nothing_is_said)
{
	/* The default settings file may or may not be there: this one is, and is empty. */
	write_text(file, "");
	parse("");
	ck_assert_str_eq(settings.config_file, file);
	ck_assert_str_eq(settings.spec_dir, APILB_DEFAULT_SPEC_DIR);
	ck_assert_str_eq(settings.state_dir, APILB_DEFAULT_STATE_DIR);
	ck_assert_str_eq(settings.socket, APILB_DEFAULT_SOCKET);
	ck_assert_str_eq(settings.owner, APILB_DEFAULT_OWNER);
	ck_assert_int_eq(settings.resync_ms, 30000);
	ck_assert_int_eq(settings.silent_after_ms, 60000);
	ck_assert_int_eq(settings.concurrency, 64);
	ck_assert_int_eq(settings.log_level, LOG_LEVEL_INFO);
	ck_assert_int_eq(settings.log_format, LOG_FORMAT_TEXT);
	ck_assert(!settings.once);
	ck_assert(!settings.check);
}
END_TEST

START_TEST(every_key_of_the_file_counts)
{
	write_text(file, "# settings\n"
			 "specDir: /s\n"
			 "stateDir: /t\n"
			 "socket: \"/k\"\n"
			 "owner: me.and_you-2\n"
			 "resync: 1m30s\n"
			 "silentAfter: 2m\n"
			 "concurrency: 1000\n"
			 "logLevel: debug\n"
			 "logFormat: json\n");
	parse("");
	ck_assert_str_eq(settings.spec_dir, "/s");
	ck_assert_str_eq(settings.state_dir, "/t");
	ck_assert_str_eq(settings.socket, "/k");
	ck_assert_str_eq(settings.owner, "me.and_you-2");
	ck_assert_int_eq(settings.resync_ms, 90000);
	ck_assert_int_eq(settings.silent_after_ms, 120000);
	ck_assert_int_eq(settings.concurrency, 1000);
	ck_assert_int_eq(settings.log_level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(settings.log_format, LOG_FORMAT_JSON);
}
END_TEST

START_TEST(every_option_wins_over_the_file)
{
	write_text(file, "specDir: /s\nstateDir: /t\nsocket: /k\nowner: f\nresync: 9s\nconcurrency: 9\n"
			 "logLevel: error\nlogFormat: text\n");
	parse("--spec-dir /S --state-dir=/T --socket /K --owner o --resync 1s --concurrency=1 --log-level "
	      "warning "
	      "--log-format json --once");
	ck_assert_str_eq(settings.spec_dir, "/S");
	ck_assert_str_eq(settings.state_dir, "/T");
	ck_assert_str_eq(settings.socket, "/K");
	ck_assert_str_eq(settings.owner, "o");
	ck_assert_int_eq(settings.resync_ms, 1000);
	ck_assert_int_eq(settings.concurrency, 1);
	ck_assert_int_eq(settings.log_level, LOG_LEVEL_WARNING);
	ck_assert_int_eq(settings.log_format, LOG_FORMAT_JSON);
	ck_assert(settings.once);
	parse("--check --owner first --owner second");
	ck_assert(settings.check);
	ck_assert_str_eq(settings.owner, "second");
}
END_TEST

static const struct {
	const char *line, *message;
} bad_lines[] = {
	{"--nonsense", "unknown option, or a value for an option that takes none: --nonsense; see --help"},
	{"--once=yes", "unknown option, or a value for an option that takes none: --once=yes; see --help"},
	{"-x", "unknown option, or a value for an option that takes none: -x; see --help"},
	{"--log", "unknown option, or a value for an option that takes none: --log; see --help"},
	{"--owner", "--owner needs a value; see --help"},
	{"file.yaml", "unexpected argument \"file.yaml\"; see --help"},
	{"--once --check", "--once and --check exclude each other"},
	{"--spec-dir=", "--spec-dir : must not be empty"},
	{"--config=", "--config: must not be empty"},
	{"--owner -x",
	 "--owner -x: must be a label value: a letter or digit, then at most 62 letters, digits, \".\", "
	 "\"_\" or \"-\""},
	{"--resync 999ms", "--resync 999ms: must be 1s or more"},
	{"--silent-after 0s", "--silent-after 0s: must be 1s or more"},
	{"--resync -5s", "--resync -5s: must be 1s or more"},
	{"--concurrency 0", "--concurrency 0: must be a whole number from 1 to 1000"},
	{"--concurrency 1001", "--concurrency 1001: must be a whole number from 1 to 1000"},
	{"--concurrency -1", "--concurrency -1: must be a whole number from 1 to 1000"},
	{"--concurrency 5x", "--concurrency 5x: must be a whole number from 1 to 1000"},
	{"--concurrency 99999999999999999999",
	 "--concurrency 99999999999999999999: must be a whole number from 1 to 1000"},
	{"--log-level loud", "--log-level loud: must be error, warning, info or debug"},
	{"--log-format xml", "--log-format xml: must be text or json"},
};

START_TEST(a_bad_option_is_named_with_what_is_allowed)
{
	assert_refused(bad_lines[_i].line, bad_lines[_i].message);
}
END_TEST

START_TEST(an_owner_is_a_label_value)
{
	char owner[128] = "--owner ";

	memset(owner + 8, 'x', 63);
	parse(owner);
	ck_assert_uint_eq(strlen(settings.owner), 63);
	strcat(owner, "x");
	settings_clear(&settings);
	ck_assert_int_eq(parse_with(call_parse, owner), -1);
	ck_assert_int_eq(parse_with(call_parse, "--owner a/b"), -1);
	ck_assert_int_eq(parse_with(call_parse, "--owner .a"), -1);
}
END_TEST

static const struct {
	const char *text, *message; /* after "FILE:" */
} bad_files[] = {
	{"specdir: /s\n", "1:1: specdir: unknown key; allowed are specDir, stateDir, socket, owner, resync, "
			  "silentAfter, concurrency, "
			  "logLevel, logFormat"},
	{"\n  once: true\n", "2:3: once: unknown key; allowed are specDir, stateDir, socket, owner, resync, "
			     "silentAfter, concurrency, "
			     "logLevel, logFormat"},
	{"owner: a\nresync: 30s\nowner: b\n", "3:1: owner: is given twice"},
	{"owner: a\nconcurrency: many\n", "2:1: concurrency: must be a whole number from 1 to 1000"},
	{"specDir: [a, b]\n", "1:10: specDir: must be a single value, not a list or a map"},
	{"specDir:\n  a: b\n", "2:3: specDir: must be a single value, not a list or a map"},
	{"specDir:\n", "1:1: specDir: must not be empty"},
	{"resync: 5\n", NULL},
	{"- owner\n", "1:1: must be a map of settings, like \"resync: 30s\""},
	{"just words\n", "1:1: must be a map of settings, like \"resync: 30s\""},
	{"owner: a\n---\nowner: b\n", "2:1: a second document is not allowed"},
	{"[a]: b\n", "1:1: a key must be a plain word"},
	{"owner: \"a\\0b\"\n", "1:8: owner: must be a single value, not a list or a map"},
	{"owner: &x a\nsocket: *x\n", "2:9: socket: must be a single value, not a list or a map"},
	{"owner: \"a\n", NULL},
	{"\tx\n", NULL},
	{"owner: \xff\xfe\n", NULL},
};

START_TEST(a_bad_file_is_named_with_line_and_column)
{
	char *message;

	write_text(file, bad_files[_i].text);
	ck_assert_int_eq(parse_with(call_parse, ""), -1);
	ck_assert_int_eq(err.kind, ERR_SPEC);
	/* Where the words are a library's, the place must be there. */
	message = xasprintf("%s:%s", file, bad_files[_i].message ? bad_files[_i].message : "");
	ck_assert_msg(strncmp(err.message, message, strlen(message)) == 0, "\"%s\" is not \"%s\"",
		      err.message, message);
	if (bad_files[_i].message)
		ck_assert_str_eq(err.message, message);
	free(message);
}
END_TEST

START_TEST(files_that_say_nothing_are_fine)
{
	static const char *const texts[] = {"", "\n\n", "# a comment\n", "---\n", "{}\n", "---\n...\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		write_text(file, texts[i]);
		parse("");
	}
}
END_TEST

START_TEST(a_file_that_is_named_must_be_there_and_readable)
{
	char *line = xasprintf("--config %s", file), *message;

	message = xasprintf("settings file %s: No such file or directory", file);
	assert_refused(line, message);
	free(message);
	ck_assert_int_eq(mkdir(file, 0700), 0);
	message = xasprintf("settings file %s: Is a directory", file);
	assert_refused("", message);
	rmdir(file);
	free(message);
	ck_assert_int_eq(mkfifo(file, 0600), 0);
	message = xasprintf("settings file %s: is not a regular file", file);
	assert_refused("", message);
	free(message);
	free(line);
}
END_TEST

static char *restart;

static int call_reload(int argc, char **argv)
{
	struct settings fresh;
	int rc = settings_parse(&fresh, argc, argv, &err);

	if (rc == 0)
		settings_take(&settings, &fresh, &restart);
	return rc;
}

START_TEST(a_reload_takes_what_can_change_and_names_what_cannot)
{
	const char *spec_dir;

	write_text(file, "specDir: /s\nowner: a\nresync: 10s\n");
	parse("--socket /k");
	spec_dir = settings.spec_dir;
	write_text(file, "specDir: /other\nowner: b\nsocket: /ignored\nresync: 20s\nsilentAfter: 2m\n"
			 "concurrency: 7\nlogLevel: debug\nlogFormat: json\n");
	ck_assert_int_eq(parse_with(call_reload, "--socket /k"), 0);
	ck_assert_str_eq(restart, "specDir, owner");
	/* Others stand on it. */
	ck_assert_ptr_eq(settings.spec_dir, spec_dir);
	ck_assert_str_eq(settings.spec_dir, "/s");
	ck_assert_str_eq(settings.owner, "a");
	ck_assert_str_eq(settings.socket, "/k");
	ck_assert_int_eq(settings.resync_ms, 20000);
	ck_assert_int_eq(settings.silent_after_ms, 120000);
	ck_assert_int_eq(settings.concurrency, 7);
	ck_assert_int_eq(settings.log_level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(settings.log_format, LOG_FORMAT_JSON);
	FREE(restart);

	write_text(file, "specDir: /s\nowner: a\n");
	ck_assert_int_eq(parse_with(call_reload, "--socket /k"), 0);
	ck_assert_ptr_null(restart);
	ck_assert_int_eq(settings.resync_ms, 30000);

	/* What comes before a mistake is not taken, either. */
	write_text(file, "resync: 5s\nnonsense: 1\n");
	ck_assert_int_eq(parse_with(call_reload, "--socket /k"), -1);
	ck_assert_ptr_null(restart);
	ck_assert_str_eq(settings.spec_dir, "/s");
	ck_assert_int_eq(settings.resync_ms, 30000);
}
END_TEST

/* What parsing prints to stdout; the caller frees. */
static char *printed(const char *line, int rc)
{
	char *path = temp_path("out"), *text = xcalloc(1, 65536);
	int saved = dup(STDOUT_FILENO), fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	ck_assert_int_eq(parse_with(call_parse, line), rc);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	ck_assert_int_ge(pread(fd, text, 65535, 0), 0);
	close(fd);
	free(path);
	return text;
}

START_TEST(version_is_printed)
{
	char *text = printed("--version", 1);

	ck_assert_str_eq(text, "apilbd " PACKAGE_VERSION "\n");
	free(text);
	text = printed("--owner x", 0);
	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

/* Each option of --help, and each key of the file, stands in the manual page, and no more options do. */
START_TEST(help_and_manual_page_agree)
{
	static const char *const keys[] = {"specDir", "stateDir",    "socket",   "owner",
					   "resync",  "concurrency", "logLevel", "logFormat"};
	char *text = printed("--help", 1), *manual = xcalloc(1, 1 << 20), *saved = NULL;
	FILE *in = fopen(TOP_SRCDIR "/man/apilbd.8", "r");
	int options = 0, in_manual = 0;

	ck_assert_ptr_nonnull(in);
	ck_assert_uint_gt(fread(manual, 1, (1 << 20) - 1, in), 0);
	fclose(in);
	for (const char *p = manual; (p = strstr(p, "\n.It Fl -")); p++)
		in_manual++;
	for (char *line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		char *item;

		if (strncmp(line, "  --", 4) != 0)
			continue;
		options++;
		item = xasprintf("\n.It Fl -%.*s", (int)strcspn(line + 4, " "), line + 4);
		ck_assert_msg(strstr(manual, item) != NULL, "the manual page lacks \"%s\"", item + 1);
		free(item);
	}
	ck_assert_int_eq(options, 14);
	ck_assert_int_eq(in_manual, options);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		ck_assert_msg(strstr(manual, keys[i]) != NULL, "the manual page lacks %s", keys[i]);
	free(text);
	free(manual);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("settings");
	TCase *tcase = tcase_create("settings");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, defaults_hold_where_nothing_is_said);
	tcase_add_test(tcase, every_key_of_the_file_counts);
	tcase_add_test(tcase, every_option_wins_over_the_file);
	tcase_add_loop_test(tcase, a_bad_option_is_named_with_what_is_allowed, 0, N(bad_lines));
	tcase_add_test(tcase, an_owner_is_a_label_value);
	tcase_add_loop_test(tcase, a_bad_file_is_named_with_line_and_column, 0, N(bad_files));
	tcase_add_test(tcase, files_that_say_nothing_are_fine);
	tcase_add_test(tcase, a_file_that_is_named_must_be_there_and_readable);
	tcase_add_test(tcase, a_reload_takes_what_can_change_and_names_what_cannot);
	tcase_add_test(tcase, version_is_printed);
	tcase_add_test(tcase, help_and_manual_page_agree);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
