#include "ctl/report.h"

#include <stdio.h>

#include "ctl/poll.h"
#include "ctl/status_view.h"
#include "ctl/timestamp.h"

static void hint_at_problems(const struct ctl *ctl, const struct status *status)
{
	if (ctl->style.lines > 0 && status->balancers_n > ctl->style.lines && !ctl->options.problems &&
	    status_count_converged(status) < status->balancers_n)
		fputs("(apilbctl status --problems shows only what is not well)\n", stderr);
}

void report_status(const struct ctl *ctl, const struct status *status)
{
	if (ctl->options.output != OUTPUT_TABLE) {
		print_value(ctl, status->json);
		return;
	}
	status_print_table(status, ctl->options.problems, timestamp_now_ms(), &ctl->style, stdout);
	fflush(stdout);
	status_print_invalid(status, &ctl->style, stderr);
	status_print_summary(status, stderr);
	hint_at_problems(ctl, status);
}

int report_invalid(struct ctl *ctl, const char *spec, size_t *invalid, struct err *err)
{
	struct status status;

	if (status_get(ctl, spec, &status, err) < 0)
		return -1;
	status_print_invalid(&status, &ctl->style, stderr);
	*invalid = status_count_invalid(&status);
	status_clear(&status);
	return 0;
}
