/* apilbctl status */
#include <stdio.h>

#include "common/duration.h"
#include "ctl/ctl.h"
#include "ctl/poll.h"
#include "ctl/report.h"
#include "ctl/status_view.h"

static bool all_converged(const struct status *status, const void *arg)
{
	(void)arg;
	return status->ready && status_count_converged(status) == status->balancers_n &&
	       status_count_invalid(status) == 0 && status_count_rolling(status) == 0;
}

/* A rollout that has stopped, or is paused, never converges by itself, so the wait ends. */
static bool nothing_more_comes(const struct status *status, const void *arg)
{
	return all_converged(status, arg) || (status->ready && status_count_stopped(status) > 0);
}

static int status_now(struct ctl *ctl, const char *spec, struct err *err)
{
	struct status status;

	if (status_get(ctl, spec, &status, err) < 0)
		return -1;
	report_status(ctl, &status);
	status_clear(&status);
	return EXIT_DONE;
}

int run_status(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	const struct options *o = &ctl->options;
	const struct poll poll = {
		.spec = n > 0 ? arguments[0] : NULL,
		.is_over = o->wait ? nothing_more_comes : NULL,
		.wait_ms = o->wait_ms,
		.watch = o->watch,
	};
	struct status status;
	char limit[32];
	int rc;

	if (o->problems && o->output != OUTPUT_TABLE)
		return err_set(err, ERR_SPEC, "status --problems is for a table, not for -o %s",
			       output_names[o->output]);
	if (o->watch && o->output != OUTPUT_TABLE)
		return err_set(err, ERR_SPEC,
			       "status --watch is for a table; programs follow apilbctl events -f -o json");
	if (!o->wait && !o->watch)
		return status_now(ctl, poll.spec, err);

	rc = status_poll(ctl, &poll, &status, err);
	if (rc < 0)
		return -1;
	if (!o->watch)
		report_status(ctl, &status);
	if (rc == 0 && o->wait && status_count_stopped(&status) > 0) {
		fputs("apilbctl: a rollout does not go on by itself:\n", stderr);
		status_print_missing(&status, stderr);
	}
	if (rc > 0) {
		fprintf(stderr, "apilbctl: not converged after %s:\n",
			duration_human(o->wait_ms, limit, sizeof(limit)));
		status_print_missing(&status, stderr);
	}
	if (o->wait && !all_converged(&status, NULL))
		rc = 1;
	status_clear(&status);
	return rc > 0 ? EXIT_NOT_CONVERGED : EXIT_DONE;
}
