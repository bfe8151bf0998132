#include "ctl/style.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ECMA-48, SGR. */
static const char *const codes[COLOURS] = {
	[COLOUR_NONE] = "0",  [COLOUR_RED] = "31", [COLOUR_GREEN] = "32",   [COLOUR_YELLOW] = "33",
	[COLOUR_CYAN] = "36", [COLOUR_BOLD] = "1", [COLOUR_ALARM] = "1;31",
};

struct style style_detect(void)
{
	struct style style = {.tty = isatty(STDOUT_FILENO)};
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct winsize size;

	if (!style.tty)
		return style;
	style.colour = !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		style.columns = size.ws_col;
		style.lines = size.ws_row;
	}
	return style;
}

void style_print(const struct style *style, FILE *out, enum colour colour, const char *text)
{
	if (style->colour && colour != COLOUR_NONE)
		fprintf(out, "\033[%sm%s\033[0m", codes[colour], text);
	else
		fputs(text, out);
}
