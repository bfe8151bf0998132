/* The tables: every command and every option. --help, the manual's test and completion follow them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/names.h"
#include "ctl/ctl.h"

#define LETTERS_AND_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define DEFAULT_WAIT_MS (5 * 60 * 1000)

const char *const output_names[OUTPUTS] = {
	[OUTPUT_TABLE] = "table", [OUTPUT_JSON] = "json", [OUTPUT_YAML] = "yaml"};

static int set_socket(struct options *o, const char *value, struct err *err)
{
	if (!*value)
		return err_set(err, ERR_SPEC, "--socket: must not be empty");
	o->socket = value;
	return 0;
}

static int set_output(struct options *o, const char *value, struct err *err)
{
	for (int i = 0; i < OUTPUTS; i++) {
		if (strcmp(value, output_names[i]) == 0) {
			o->output = i;
			return 0;
		}
	}
	return err_set(err, ERR_SPEC, "--output: \"%s\" is none of table, json, yaml", value);
}

static int parse_positive(const char *option, const char *value, int64_t *ms, struct err *err)
{
	if (duration_parse_ms(value, ms, err) < 0) {
		err->kind = ERR_SPEC;
		return err_prefix(err, "%s", option);
	}
	if (*ms <= 0)
		return err_set(err, ERR_SPEC, "%s: %s is no time at all", option, value);
	return 0;
}

static int set_timeout(struct options *o, const char *value, struct err *err)
{
	return parse_positive("--timeout", value, &o->timeout_ms, err);
}

static int set_help(struct options *o, const char *value, struct err *err)
{
	(void)value, (void)err;
	o->help = true;
	return 0;
}

static int set_version(struct options *o, const char *value, struct err *err)
{
	(void)value, (void)err;
	o->version = true;
	return 0;
}

static int set_watch(struct options *o, const char *value, struct err *err)
{
	(void)value, (void)err;
	o->watch = true;
	return 0;
}

static int set_problems(struct options *o, const char *value, struct err *err)
{
	(void)value, (void)err;
	o->problems = true;
	return 0;
}

static int set_wait(struct options *o, const char *value, struct err *err)
{
	o->wait = true;
	o->wait_default = !value;
	o->wait_ms = DEFAULT_WAIT_MS;
	return value ? parse_positive("--wait", value, &o->wait_ms, err) : 0;
}

static int set_plan(struct options *o, const char *value, struct err *err)
{
	if (!*value || value[strspn(value, "0123456789abcdef")])
		return err_set(err, ERR_SPEC,
			       "--plan: \"%s\" is no name of a plan: take the one that apilbctl plan prints",
			       value);
	o->plan = value;
	return 0;
}

static int set_with_secrets(struct options *o, const char *value, struct err *err)
{
	(void)value, (void)err;
	o->with_secrets = true;
	return 0;
}

static int set_follow(struct options *o, const char *value, struct err *err)
{
	(void)value, (void)err;
	o->follow = true;
	return 0;
}

static int set_lines(struct options *o, const char *value, struct err *err)
{
	char *end;

	errno = 0;
	o->lines = strtol(value, &end, 10);
	if (errno || *end || end == value || o->lines < 1 || o->lines > 1000000)
		return err_set(err, ERR_SPEC, "--lines: \"%s\" is no number from 1 to 1000000", value);
	return 0;
}

static int set_owner(struct options *o, const char *value, struct err *err)
{
	/* The same rule as for the daemon's setting (settings.c): the name goes into a comment of the config.
	 */
	if (!*value || value[strspn(value, LETTERS_AND_DIGITS "._-")])
		return err_set(err, ERR_SPEC,
			       "--owner: \"%s\" is none: letters, digits, \".\", \"_\" and \"-\"", value);
	o->owner = value;
	return 0;
}

#define END_OF_OPTIONS                    \
	{                                 \
		0, NULL, NULL, NULL, NULL \
	}
#define WAIT_HELP "wait at most so long (5m) until everything has converged; exit 1 if it has not"

const struct option_row global_options[] = {
	{0, "socket", "PATH", "where apilbd listens (" APILB_DEFAULT_SOCKET ")", set_socket},
	{'o', "output", "FORMAT", "table, json or yaml (table)", set_output},
	{0, "timeout", "DURATION", "how long one request may take (10s; 5m for plan)", set_timeout},
	{'h', "help", NULL, "say what apilbctl, or the command, does", set_help},
	{'V', "version", NULL, "print the version of apilbctl", set_version},
	END_OF_OPTIONS,
};

static const struct option_row no_options[] = {END_OF_OPTIONS};

static const struct option_row status_options[] = {
	{'w', "watch", NULL, "keep it current", set_watch},
	{0, "wait", "[=DURATION]", WAIT_HELP, set_wait},
	{0, "problems", NULL, "only balancers that have not converged or have servers down", set_problems},
	END_OF_OPTIONS,
};

static const struct option_row reconcile_options[] = {
	{0, "wait", "[=DURATION]", "wait at most so long (5m) for the run; exit 1 if not all have converged",
	 set_wait},
	{0, "plan", "ID", "only if what would be done is exactly this plan; exit 1 if it is not", set_plan},
	END_OF_OPTIONS,
};

static const struct option_row render_options[] = {
	{0, "owner", "NAME",
	 "the owner in apilbd's settings, which the first line names (" APILB_DEFAULT_OWNER ")", set_owner},
	END_OF_OPTIONS,
};

static const struct option_row state_options[] = {
	{0, "with-secrets", NULL,
	 "with the passwords and private keys of the spec files, which you must be able to read",
	 set_with_secrets},
	END_OF_OPTIONS,
};

static const struct option_row events_options[] = {
	{'f', "follow", NULL, "go on with new events as they come", set_follow},
	{'n', "lines", "N", "the last N events (100; 10 with --follow)", set_lines},
	END_OF_OPTIONS,
};

const struct command commands[] = {
	{
		.name = "status",
		.arguments = "[SPEC]",
		.summary = "one line a balancer: its phase, its servers, and what is wrong",
		.help = "Balancers that need a person come first. SERVERS counts the API servers that\n"
			"are up, AGE is the time since the last change. Below the table stands what is\n"
			"wrong with specs that are not valid.",
		.options = status_options,
		.max_arguments = 1,
		.outputs = OUTPUT_ALL,
		.run = run_status,
	},
	{
		.name = "plan",
		.alias = "diff",
		.arguments = "[SPEC]",
		.summary = "what a run would do now, with a diff of the config; changes nothing",
		.help = "Looks at the hosts. A run that follows does exactly this, in this order, unless\n"
			"something changes before; reconcile --plan makes sure. Exits with 1 when there is\n"
			"anything to do, or a host or spec that keeps it from telling.",
		.options = no_options,
		.max_arguments = 1,
		.outputs = OUTPUT_ALL,
		.run = run_plan,
	},
	{
		.name = "reconcile",
		.arguments = "[SPEC]",
		.summary = "look at the hosts now, and repair what is not as wanted",
		.help = "Returns as soon as apilbd has taken the request, unless --wait is given.",
		.options = reconcile_options,
		.max_arguments = 1,
		.outputs = OUTPUT_ALL,
		.run = run_reconcile,
	},
	{
		.name = "pause",
		.arguments = "SPEC",
		.summary = "hold all changes of a spec; repairs go on",
		.help = "Edits, additions and removals are read, and held. A host that is being changed "
			"just\n"
			"now is finished. The pause lasts, also over a restart of apilbd, until\n"
			"apilbctl resume.",
		.options = no_options,
		.min_arguments = 1,
		.max_arguments = 1,
		.outputs = OUTPUT_ALL,
		.run = run_pause,
	},
	{
		.name = "resume",
		.arguments = "SPEC",
		.summary = "go on with changes that are paused, or with a rollout that has stopped",
		.help = "After a halt it goes on past the hosts that have failed so far; after a revert it\n"
			"starts over. Exits with 1 when there is nothing to resume.",
		.options = no_options,
		.min_arguments = 1,
		.max_arguments = 1,
		.outputs = OUTPUT_ALL,
		.run = run_resume,
	},
	{
		.name = "events",
		.arguments = "[SPEC]",
		.summary = "what happened, newest last",
		.help = "With -o json one object a line. With --follow it ends when apilbd does, with 3.",
		.options = events_options,
		.max_arguments = 1,
		.outputs = OUTPUT_ALL,
		.run = run_events,
	},
	{
		.name = "validate",
		.arguments = "FILE...",
		.summary = "show every error of these specs; needs no daemon",
		.help = "FILE may be a directory, for all specs in it, or - for standard input.\n"
			"Exits with 2 when there are errors.",
		.options = no_options,
		.min_arguments = 1,
		.max_arguments = SIZE_MAX,
		.outputs = OUTPUT_ALL,
		.run = run_validate,
	},
	{
		.name = "render",
		.arguments = "FILE [INSTANCE]",
		.summary = "print the haproxy.cfg of a balancer; needs no daemon",
		.help = "INSTANCE is a place in the list (from 0), an id (SPEC/HOST/NAME), a host, or a\n"
			"name. It may be left out when the spec has only one. FILE may be - for standard\n"
			"input.",
		.options = render_options,
		.min_arguments = 1,
		.max_arguments = 2,
		.outputs = OUTPUT_BIT(OUTPUT_TABLE),
		.run = run_render,
	},
	{
		.name = "state export",
		.arguments = "[SPEC]",
		.summary = "the state as flexkube's YAML",
		.help = "What apilbd has made, as the `state` of a spec, to hand it over. flexkube takes it "
			"as\n"
			"it is when it finds an SSH agent; else give it --with-secrets.",
		.options = state_options,
		.max_arguments = 1,
		.outputs = OUTPUT_BIT(OUTPUT_TABLE) | OUTPUT_BIT(OUTPUT_YAML),
		.run = run_state_export,
	},
	{
		.name = "version",
		.arguments = "",
		.summary = "the client's version and the daemon's",
		.help = "Exits with 3, after the client's version, when no daemon answers.",
		.options = no_options,
		.outputs = OUTPUT_ALL,
		.run = run_version,
	},
	{
		.name = "help",
		.arguments = "[COMMAND]",
		.summary = "say what apilbctl, or the command, does",
		.help = "The same as COMMAND --help.",
		.options = no_options,
		.max_arguments = 2, /* a command may be two words */
		.outputs = OUTPUT_ALL,
		.run = run_help,
	},
	{.name = NULL},
};
