#include "ctl/poll.h"

#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/duration.h"
#include "ctl/timestamp.h"
#include "ctl/watch.h"

/* A screen is refreshed as fast as a person reads it. A wait should end soon after the event, and not load
 * the daemon. */
#define WATCH_INTERVAL_MS 2000
#define WAIT_INTERVAL_MIN_MS 200
#define WAIT_INTERVAL_MAX_MS 2000

/* How long an unknown spec may take to appear: after `cp prod.yaml /etc/apilb.d; apilbctl status --wait prod`
 * the daemon may not have seen the file yet. */
#define NEW_SPEC_GRACE_MS 5000

struct state {
	struct ctl *ctl;
	const struct poll *poll;
	struct watch *watch; /* NULL: nothing is shown */
	int64_t begin_ms;
	bool seen; /* the daemon has answered */
};

static int unknown_spec(const char *spec, struct err *err)
{
	struct err ignored;
	int64_t ms;

	if (duration_parse_ms(spec, &ms, &ignored) == 0)
		return err_set(err, ERR_PERMANENT,
			       "there is no spec \"%s\"; a duration is given as --wait=%s", spec, spec);
	return err_set(err, ERR_PERMANENT, "there is no spec \"%s\"; apilbctl status shows all", spec);
}

int status_get(struct ctl *ctl, const char *spec, struct status *status, struct err *err)
{
	struct json_object *json = request_json(ctl, "GET", "/v1/status", spec, QUICK_REQUEST_MS, err);

	if (!json || status_parse(status, json, err) < 0)
		return -1;
	if (spec && status->ready && !status_has_spec(status, spec)) {
		status_clear(status);
		return unknown_spec(spec, err);
	}
	return 0;
}

static int64_t elapsed_ms(const struct state *s)
{
	return timestamp_steady_ms() - s->begin_ms;
}

/* Whether it may help to ask again after this error. */
static bool may_go_on(const struct state *s, const struct err *err)
{
	if (err->kind == ERR_UNREACHABLE)
		return s->seen && (s->poll->is_over || s->ctl->style.tty);
	return s->poll->is_over && elapsed_ms(s) < NEW_SPEC_GRACE_MS;
}

static void take_a_break(const struct state *s)
{
	int64_t ms = WATCH_INTERVAL_MS;

	if (s->poll->is_over) {
		int64_t left = s->poll->wait_ms - elapsed_ms(s);

		ms = elapsed_ms(s) / 10;
		ms = ms < WAIT_INTERVAL_MIN_MS ? WAIT_INTERVAL_MIN_MS : ms;
		ms = ms > WAIT_INTERVAL_MAX_MS ? WAIT_INTERVAL_MAX_MS : ms;
		ms = ms > left ? left : ms;
	}
	poll(NULL, 0, ms > 0 ? (int)ms : 0);
}

static void show(struct state *s, const struct status *status)
{
	if (!s->watch)
		return;
	s->ctl->style = style_detect(); /* the window may have another size now */
	watch_show(s->watch, status, &s->ctl->style, stdout);
}

static int loop(struct state *s, struct status *status, struct err *err)
{
	const struct poll *p = s->poll;

	for (;; take_a_break(s)) {
		status_clear(status);
		if (status_get(s->ctl, p->spec, status, err) == 0) {
			s->seen = true;
			show(s, status);
			if (p->is_over && p->is_over(status, p->arg))
				return 0;
		} else if (!may_go_on(s, err)) {
			return -1;
		} else if (s->watch && err->kind == ERR_UNREACHABLE) {
			watch_show_lost(s->watch, err, &s->ctl->style, stdout);
		}
		if (p->is_over && elapsed_ms(s) >= p->wait_ms)
			return status->json ? 1 : -1;
	}
}

int status_poll(struct ctl *ctl, const struct poll *p, struct status *status, struct err *err)
{
	struct state s = {.ctl = ctl, .poll = p, .begin_ms = timestamp_steady_ms()};
	int rc;

	memset(status, 0, sizeof(*status));
	s.watch = p->watch ? watch_new(ctl->options.problems) : NULL;
	rc = loop(&s, status, err);
	watch_free(s.watch);
	if (rc < 0)
		status_clear(status);
	return rc;
}
