/* A status on stdout and stderr, as several commands end with it. */
#ifndef APILB_CTL_REPORT_H
#define APILB_CTL_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "ctl/ctl.h"
#include "ctl/status.h"

/* The table goes to stdout, what is said about it to stderr: a script gets nothing but the table. */
void report_status(const struct ctl *ctl, const struct status *status);

/*
 * Plans and runs are made from the last good version of a spec: whoever has just made a mistake in it must
 * hear of it. Prints what is wrong to stderr; *invalid: how many specs it is wrong with.
 */
int report_invalid(struct ctl *ctl, const char *spec, size_t *invalid, struct err *err);

/* A plan, as a table or as it is. *left: actions to do and errors in it. */
int report_plan(const struct ctl *ctl, struct json_object *plan, size_t *left, struct err *err);

/* Events as they come, a line of JSON each, for client_lines: arg is a struct event_printer. */
struct event_printer {
	const struct ctl *ctl;
	/* A stream does not tell how wide its columns will become: they grow. */
	int instance_width, type_width;
	size_t printed;
	bool bad_line;
};
int report_event(void *arg, const char *line);

#endif
