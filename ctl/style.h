/* What the reader's screen can do. */
#ifndef APILB_CTL_STYLE_H
#define APILB_CTL_STYLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum colour {
	COLOUR_NONE,
	COLOUR_RED,
	COLOUR_GREEN,
	COLOUR_YELLOW,
	COLOUR_CYAN,
	COLOUR_BOLD,
	COLOUR_ALARM,
	COLOURS
};

/* All zero: a file or a pipe. */
struct style {
	bool tty;
	bool colour;
	size_t columns, lines; /* 0: no limit */
};

/* Of stdout. Colour on a terminal only, and not with NO_COLOR (https://no-color.org) or TERM=dumb. */
struct style style_detect(void);

/* Prints text, which must be safe to show (text_printable), in this colour if the style has colours. */
void style_print(const struct style *style, FILE *out, enum colour colour, const char *text);

#endif
