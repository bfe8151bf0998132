/* Prints a status, on stdout and stderr, as several commands do at their end. */
#ifndef APILB_CTL_REPORT_H
#define APILB_CTL_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/ctl.h"
#include "ctl/status.h"

/* The table goes to stdout, and remarks about it to stderr, so that a script gets nothing but the table. */
void report_status(const struct ctl *ctl, const struct status *status);

/*
 * Plans and runs use the last good version of a spec, so somebody who has just
 * made a mistake in it must be told. Prints the errors to stderr; *invalid: how
 * many specs have errors.
 */
int report_invalid(struct ctl *ctl, const char *spec, size_t *invalid, struct err *err);

/* Prints a plan, as a table or unchanged. *left: how many actions and errors it has. */
int report_plan(const struct ctl *ctl, struct json_object *plan, size_t *left, struct err *err);

/* Prints one event, a line of JSON. A callback for client_lines; arg is a struct event_printer. */
struct event_printer {
	const struct ctl *ctl;
	/* The widths of the columns grow with the events, as nobody knows those to come. */
	int instance_width, type_width;
	size_t printed;
	bool bad_line;
};
int report_event(void *arg, const char *line);

#endif
