/* apilbctl reconcile */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "common/duration.h"
#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ctl/poll.h"
#include "ctl/report.h"
#include "ctl/status_view.h"

/* A balancer that is being removed stays in the phase "removing": its run is over when the balancer is gone,
 * or has an error. */
static bool has_ended(const struct balancer *b)
{
	return b->phase->final || (strcmp(b->phase_name, "removing") == 0 && b->error);
}

/* The rollout is under way while a host is settling, too, but not if only hosts are left that cannot be
 * reached. */
static bool is_on_its_way(const struct status *status)
{
	return status_count_rolling(status) > 0 && status_count_converged(status) == status->balancers_n;
}

/* Whether on every host a run that looked after the request has ended. */
static bool all_have_run(const struct status *status, const void *arg)
{
	const int64_t *requested_ms = arg;

	if (!status->ready || is_on_its_way(status))
		return false;
	for (size_t i = 0; i < status->balancers_n; i++)
		if (status->balancers[i].observed_ms < *requested_ms || !has_ended(&status->balancers[i]))
			return false;
	return true;
}

static int wait_for_run(struct ctl *ctl, const char *spec, int64_t requested_ms, struct err *err)
{
	const struct poll poll = {
		.spec = spec,
		.is_over = all_have_run,
		.arg = &requested_ms,
		.wait_ms = ctl->options.wait_ms,
	};
	struct status status;
	char limit[32];
	bool good;
	int rc = status_poll(ctl, &poll, &status, err);

	if (rc < 0)
		return -1;
	report_status(ctl, &status);
	if (rc > 0) {
		fprintf(stderr, "apilbctl: not done after %s:\n",
			duration_human(ctl->options.wait_ms, limit, sizeof(limit)));
		status_print_missing(&status, stderr);
	}
	good = rc == 0 && status_count_converged(&status) == status.balancers_n &&
	       status_count_invalid(&status) == 0;
	status_clear(&status);
	return good ? EXIT_DONE : EXIT_NOT_CONVERGED;
}

int run_reconcile(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	const char *spec = n > 0 ? arguments[0] : NULL;
	struct json_object *reply = request_json(ctl, "POST", "/v1/reconcile", spec,
						 ctl->options.plan ? PLAN_REQUEST_MS : QUICK_REQUEST_MS, err);
	int64_t requested_ms;
	size_t invalid = 0;

	if (!reply)
		return -1;
	requested_ms = json_time_ms(reply, "requestedAt");
	if (!ctl->options.wait && ctl->options.output != OUTPUT_TABLE)
		print_value(ctl, reply);
	json_object_put(reply);
	if (requested_ms < 0)
		return err_set(err, ERR_UNREACHABLE,
			       "what answers is not apilbd: its reply to POST /v1/reconcile has no time");
	if (ctl->options.wait)
		return wait_for_run(ctl, spec, requested_ms, err);
	if (ctl->options.output == OUTPUT_TABLE)
		fputs("A run is under way (apilbctl status --watch shows it).\n", stderr);
	if (report_invalid(ctl, spec, &invalid, err) < 0)
		return -1;
	return invalid > 0 ? EXIT_NOT_CONVERGED : EXIT_DONE;
}
