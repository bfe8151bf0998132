#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"

#define OPTION_COLUMN 24
#define COMMAND_COLUMN 26

static void print_options(const struct option_row *rows, FILE *out)
{
	for (; rows->name; rows++) {
		char left[64], letter[5] = "    ";

		if (rows->letter)
			snprintf(letter, sizeof(letter), "-%c, ", rows->letter);
		snprintf(left, sizeof(left), "  %s--%s%s%s", letter, rows->name,
			 rows->value && rows->value[0] != '[' ? " " : "", rows->value ? rows->value : "");
		fprintf(out, "%-*s %s\n", OPTION_COLUMN, left, rows->help);
	}
}

void help_print(FILE *out)
{
	fputs("apilbctl shows and steers apilbd, which keeps Kubernetes API load balancers as wanted.\n"
	      "What is wanted stands in the specs, YAML files in /etc/apilb.d: write, change or delete "
	      "one.\n\n"
	      "Usage: apilbctl [OPTION...] COMMAND [ARGUMENT...]\n\nCommands:\n",
	      out);
	for (const struct command *c = commands; c->name; c++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s %s", c->name, c->alias ? ", " : "",
			 c->alias ? c->alias : "", c->arguments);
		fprintf(out, "  %-*s %s\n", COMMAND_COLUMN, left, c->summary);
	}
	fputs("\nOptions:\n", out);
	print_options(global_options, out);
	fputs("\nExit status: 0 done; 1 apilbd says no, or something is not converged where that was asked;\n"
	      "2 wrong usage or wrong spec; 3 no daemon answers.\n"
	      "More: apilbctl COMMAND --help, apilbctl(1)\n",
	      out);
}

void help_print_command(const struct command *c, FILE *out)
{
	bool options = c->options->name != NULL;

	fprintf(out, "apilbctl %s: %s\n\n", c->name, c->summary);
	fprintf(out, "Usage: apilbctl %s%s%s%s\n", c->name, options ? " [OPTION...]" : "",
		*c->arguments ? " " : "", c->arguments);
	if (c->alias)
		fprintf(out, "Alias: apilbctl %s\n", c->alias);
	fprintf(out, "\n%s\n", c->help);
	if (options) {
		fputs("\nOptions:\n", out);
		print_options(c->options, out);
	}
	fputs("\nOptions of every command:\n", out);
	print_options(global_options, out);
}

int run_help(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	const struct command *command;
	size_t words;

	(void)ctl;
	if (n == 0) {
		help_print(stdout);
		return EXIT_DONE;
	}
	command = command_find(arguments, n, &words, err);
	if (!command && n == 1)
		command = command_group(arguments[0]);
	if (!command)
		return -1;
	help_print_command(command, stdout);
	return EXIT_DONE;
}
