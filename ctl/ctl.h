/*
 * apilbctl: a table of commands, a table of options, and what the commands share.
 *
 * A command returns its exit code, or -1 with an error, whose kind then is the
 * exit code (exit_code). It prints to stdout what was asked for, and to stderr
 * what is said about it.
 */
#ifndef APILB_CTL_CTL_H
#define APILB_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "ctl/style.h"

struct client;
struct json_object;

enum exit_code {
	EXIT_DONE = 0,
	EXIT_NOT_CONVERGED = 1, /* also: the daemon says no */
	EXIT_USAGE = 2,         /* also: a spec is wrong */
	EXIT_NO_DAEMON = 3,
};

enum output { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_YAML, OUTPUTS };

struct options {
	const char *socket;
	enum output output;
	int64_t timeout_ms; /* 0: the default of the request */
	bool help, version;
	bool watch, problems, wait, follow;
	bool wait_default; /* --wait has no value */
	int64_t wait_ms;
	const char *plan; /* run only this plan; NULL: any plan */
	bool with_secrets;
	const char *owner; /* NULL: the default */
	long lines;        /* 0: the default of the command */
};

struct ctl {
	struct options options;
	struct style style;    /* of stdout */
	struct client *client; /* for options.socket; connects with the first request */
};

struct option_row {
	char letter;       /* 0: none */
	const char *name;  /* without the dashes */
	const char *value; /* "DURATION", "[=DURATION]" for one that may be left out, NULL for none */
	const char *help;
	int (*set)(struct options *options, const char *value, struct err *err);
};

struct command {
	const char *name; /* may be two words */
	const char *alias;
	const char *arguments;
	const char *summary;
	const char *help;                 /* what --help says besides */
	const struct option_row *options; /* ends with a row of NULLs */
	size_t min_arguments, max_arguments;
	unsigned outputs; /* OUTPUT_BITs of the formats that it can print */
	int (*run)(struct ctl *ctl, char **arguments, size_t n, struct err *err);
};

#define OUTPUT_BIT(output) (1u << (output))
#define OUTPUT_ALL (OUTPUT_BIT(OUTPUTS) - 1)

/* commands.c; both tables end with a row of NULLs. */
extern const struct command commands[];
extern const struct option_row global_options[];
extern const char *const output_names[OUTPUTS];

/* arguments.c: fills ctl->options; arguments are moved to the front of argv. */
const struct command *arguments_parse(struct ctl *ctl, int argc, char **argv, char ***arguments, size_t *n,
				      struct err *err);
/* By name or alias; *words: how many of the arguments are its name. NULL with an error. */
const struct command *command_find(char **arguments, size_t n, size_t *words, struct err *err);
/* The first command of two words of which this is the first ("state"); NULL: there is none. */
const struct command *command_group(const char *word);

/* help.c */
void help_print(FILE *out);
void help_print_command(const struct command *command, FILE *out);

/* request.c: GETs with the options' timeout, and one output for all. */
struct json_object *request_json(struct ctl *ctl, const char *method, const char *path, const char *spec,
				 int64_t timeout_ms, struct err *err);
/* Prints the reply unchanged, but no control characters to a terminal. */
void print_text(const struct ctl *ctl, const char *text);
/* Prints the value as JSON or YAML. */
void print_value(const struct ctl *ctl, struct json_object *value);
/* ctl->options.timeout_ms, or else the request's own. */
int64_t request_timeout_ms(const struct ctl *ctl, int64_t own_ms);
#define QUICK_REQUEST_MS 10000
/* Time for a plan: the daemon looks at every host, and waits for the timeouts of those that do not answer. */
#define PLAN_REQUEST_MS (5 * 60 * 1000)

/* exit_code.c: the exit code for a kind of error. */
int exit_code(enum err_kind kind);

/* The commands. */
int run_status(struct ctl *ctl, char **arguments, size_t n, struct err *err);
int run_plan(struct ctl *ctl, char **arguments, size_t n, struct err *err);
int run_reconcile(struct ctl *ctl, char **arguments, size_t n, struct err *err);
int run_pause(struct ctl *ctl, char **arguments, size_t n, struct err *err);
int run_resume(struct ctl *ctl, char **arguments, size_t n, struct err *err);
int run_events(struct ctl *ctl, char **arguments, size_t n, struct err *err);
int run_validate(struct ctl *ctl, char **arguments, size_t n, struct err *err);
int run_render(struct ctl *ctl, char **arguments, size_t n, struct err *err);
int run_state_export(struct ctl *ctl, char **arguments, size_t n, struct err *err);
int run_version(struct ctl *ctl, char **arguments, size_t n, struct err *err);
int run_help(struct ctl *ctl, char **arguments, size_t n, struct err *err);

#endif
