/* The command line, by getopt_long(3) over the tables. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "common/duration.h"
#include "common/text.h"
#include "ctl/ctl.h"

#define MAX_ROWS 32
/* getopt returns FIRST_ROW + row for a long option, which is above every letter. */
#define FIRST_ROW 256

/* The tables in getopt's form. */
struct known {
	const struct option_row *rows[MAX_ROWS];
	struct option longs[MAX_ROWS + 1];
	char letters[2 * MAX_ROWS + 3];
	size_t n;
	const struct command *command; /* NULL while the command is not known yet */
};

static void add_rows(struct known *known, const struct option_row *rows)
{
	char *letters = known->letters + strlen(known->letters);

	for (; rows->name && known->n < MAX_ROWS; rows++, known->n++) {
		int has = !rows->value            ? no_argument
			  : rows->value[0] == '[' ? optional_argument
						  : required_argument;

		known->rows[known->n] = rows;
		known->longs[known->n] = (struct option){rows->name, has, NULL, FIRST_ROW + (int)known->n};
		if (rows->letter)
			*letters++ = rows->letter;
		if (rows->letter && rows->value)
			*letters++ = ':';
	}
	*letters = '\0';
}

static const struct option_row *find_row(const struct known *known, int found)
{
	if (found >= FIRST_ROW)
		return known->rows[found - FIRST_ROW];
	for (size_t i = 0; i < known->n; i++)
		if (known->rows[i]->letter == found)
			return known->rows[i];
	return NULL;
}

static bool has_option(const struct command *command, const char *word)
{
	for (const struct option_row *row = command->options; row->name; row++) {
		size_t len = strlen(row->name);

		if (strncmp(word, row->name, len) == 0 && (!word[len] || word[len] == '='))
			return true;
	}
	return false;
}

/* An option of one command stands before the command, where only the options of every command are allowed. */
static int unknown_option(const struct known *known, const char *word, struct err *err)
{
	const char *command = known->command ? known->command->name : "";

	for (const struct command *c = commands; c->name && !known->command; c++)
		if (strncmp(word, "--", 2) == 0 && has_option(c, word + 2))
			return err_set(err, ERR_SPEC, "%s stands behind its command: apilbctl %s %s", word,
				       c->name, word);
	return err_set(err, ERR_SPEC, "unknown option %s; see apilbctl %s%s--help", word, command,
		       *command ? " " : "");
}

/* optopt is a letter, a row's number, or 0 for a long option that nobody knows, which then is argv[optind -
 * 1]. */
static int complain(const struct known *known, int found, char **argv, struct err *err)
{
	const struct option_row *row = optopt ? find_row(known, optopt) : NULL;
	char letter[] = {'-', (char)optopt, '\0'};

	if (found == ':' && row)
		return err_set(err, ERR_SPEC, "--%s needs a value: --%s %s", row->name, row->name,
			       row->value);
	if (row)
		return err_set(err, ERR_SPEC, "--%s takes no value", row->name);
	return unknown_option(known, optopt ? letter : argv[optind - 1], err);
}

/* mode: "+:" stops at the first argument, ":" finds options behind arguments, too. */
static int parse_options(struct options *options, const char *mode, const struct command *command, int argc,
			 char **argv, struct err *err)
{
	struct known known = {.command = command};
	int found;

	strcpy(known.letters, mode);
	add_rows(&known, global_options);
	if (command)
		add_rows(&known, command->options);
	opterr = 0;
	optind = 0; /* glibc: begin anew, with another list */
	while ((found = getopt_long(argc, argv, known.letters, known.longs, NULL)) != -1) {
		const struct option_row *row = found == '?' || found == ':' ? NULL : find_row(&known, found);

		if (!row)
			return complain(&known, found, argv, err);
		if (row->set(options, optarg, err) < 0)
			return -1;
	}
	return 0;
}

/* If the arguments begin with `name`, which may be two words: how many words that are; else 0. */
static size_t match_name(const char *name, char **arguments, size_t n)
{
	size_t words = 0;

	while (words < n) {
		size_t len = strcspn(name, " ");

		if (strlen(arguments[words]) != len || strncmp(name, arguments[words], len) != 0)
			return 0;
		words++;
		if (!name[len])
			return words;
		name += len + 1;
	}
	return 0;
}

const struct command *command_group(const char *word)
{
	size_t len = strlen(word);

	for (const struct command *c = commands; c->name; c++)
		if (strncmp(c->name, word, len) == 0 && c->name[len] == ' ')
			return c;
	return NULL;
}

/* Is `word` a mistyped `name`? At most two mistakes count, and fewer in a short word, which could be
 * anything. */
static bool is_meant_by(const char *name, const char *word)
{
	unsigned d = text_distance(name, word);

	return d <= 2 && d < strlen(word) - 1;
}

static int unknown_command(const char *word, struct err *err)
{
	size_t len = strlen(word);

	for (const struct command *c = commands; c->name; c++)
		if (len > 1 && (is_meant_by(c->name, word) || strncmp(c->name, word, len) == 0))
			return err_set(err, ERR_SPEC,
				       "unknown command \"%s\"; did you mean \"%s\"? See apilbctl --help",
				       word, c->name);
	return err_set(err, ERR_SPEC, "unknown command \"%s\"; see apilbctl --help", word);
}

const struct command *command_find(char **arguments, size_t n, size_t *words, struct err *err)
{
	for (const struct command *c = commands; c->name; c++) {
		*words = match_name(c->name, arguments, n);
		if (*words == 0 && c->alias)
			*words = match_name(c->alias, arguments, n);
		if (*words > 0)
			return c;
	}
	if (command_group(arguments[0])) {
		err_set(err, ERR_SPEC, "%s what? There is: apilbctl %s", arguments[0],
			command_group(arguments[0])->name);
		return NULL;
	}
	unknown_command(arguments[0], err);
	return NULL;
}

static bool is_duration(const char *text)
{
	struct err unused;
	int64_t ms;

	return duration_parse_ms(text, &ms, &unused) == 0;
}

static int check(const struct ctl *ctl, const struct command *command, char **arguments, size_t n,
		 struct err *err)
{
	enum output output = ctl->options.output;

	if (ctl->options.help)
		return 0;
	if (!(command->outputs & OUTPUT_BIT(output)))
		return err_set(err, ERR_SPEC, "%s cannot be printed with -o %s", command->name,
			       output_names[output]);
	if (n < command->min_arguments)
		return err_set(err, ERR_SPEC, "%s needs %s", command->name, command->arguments);
	if (n == 1 && ctl->options.wait_default && is_duration(arguments[0]))
		return err_set(err, ERR_SPEC, "%s: a duration is given as --wait=%s", command->name,
			       arguments[0]);
	if (n > command->max_arguments && ctl->options.wait)
		return err_set(err, ERR_SPEC,
			       "too many arguments: apilbctl %s %s; a duration is given as --wait=30s",
			       command->name, command->arguments);
	if (n > command->max_arguments)
		return err_set(err, ERR_SPEC, "too many arguments: apilbctl %s %s", command->name,
			       command->arguments);
	return 0;
}

const struct command *arguments_parse(struct ctl *ctl, int argc, char **argv, char ***arguments, size_t *n,
				      struct err *err)
{
	const struct command *command;
	size_t words;

	if (parse_options(&ctl->options, "+:", NULL, argc, argv, err) < 0)
		return NULL;
	argv += optind;
	argc -= optind;
	if (argc == 0) {
		err_set(err, ERR_SPEC, "no command given; see apilbctl --help");
		return NULL;
	}
	command = command_find(argv, (size_t)argc, &words, err);
	if (!command && argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		ctl->options.help = true;
		return command_group(argv[0]);
	}
	if (!command)
		return NULL;
	/* getopt skips the first word, as it would the program's name. */
	argv += words - 1;
	argc -= (int)words - 1;
	if (parse_options(&ctl->options, ":", command, argc, argv, err) < 0) {
		err_prefix(err, "%s", command->name);
		return NULL;
	}
	*arguments = argv + optind;
	*n = (size_t)(argc - optind);
	return check(ctl, command, *arguments, *n, err) < 0 ? NULL : command;
}
