/* apilbctl(1) */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/names.h"
#include "common/text.h"
#include "ctl/client.h"
#include "ctl/ctl.h"

static int fail(const struct err *err)
{
	char *safe = text_printable(err->message, TEXT_BLOCK);

	fflush(stdout);
	fprintf(stderr, "apilbctl: %s\n", safe);
	free(safe);
	return exit_code(err->kind);
}

static int run(struct ctl *ctl, int argc, char **argv, struct err *err)
{
	char **arguments;
	size_t n;
	int rc;
	const struct command *command = arguments_parse(ctl, argc, argv, &arguments, &n, err);

	/* --version and --help also work without a command. */
	if (ctl->options.version) {
		puts("apilbctl " PACKAGE_VERSION);
		return EXIT_DONE;
	}
	if (ctl->options.help && !command) {
		help_print(stdout);
		return EXIT_DONE;
	}
	if (!command)
		return -1;
	if (ctl->options.help) {
		help_print_command(command, stdout);
		return EXIT_DONE;
	}
	ctl->client = client_new(ctl->options.socket);
	rc = command->run(ctl, arguments, n, err);
	client_free(ctl->client);
	return rc;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.options = {.socket = APILB_DEFAULT_SOCKET}, .style = style_detect()};
	struct err err;
	int rc;

	file_hold_standard();
	rc = run(&ctl, argc, argv, &err);
	if (rc < 0)
		rc = fail(&err);
	/* If the output could not be written (a full disk), the command has failed, even if half a table is
	 * there. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "apilbctl: cannot write to standard output: %s\n", strerror(errno));
		return rc ? rc : EXIT_NOT_CONVERGED;
	}
	return rc;
}
