/* apilbctl plan */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ctl/report.h"

struct totals {
	size_t balancers, changed, actions, held, errors;
};

static const struct {
	char first;
	enum colour colour;
} diff_colours[] = {{'+', COLOUR_GREEN}, {'-', COLOUR_RED}, {'@', COLOUR_CYAN}};

static void print_line(const struct style *style, enum colour colour, const char *indent, char *line)
{
	char *safe = text_printable(line, TEXT_LINE);

	fputs(indent, stdout);
	style_print(style, stdout, colour, safe);
	putchar('\n');
	free(safe);
	free(line);
}

static void print_diff(const struct style *style, const char *diff)
{
	while (*diff) {
		size_t len = strcspn(diff, "\n");
		enum colour colour = COLOUR_NONE;

		for (size_t i = 0; i < sizeof(diff_colours) / sizeof(diff_colours[0]); i++)
			if (*diff == diff_colours[i].first)
				colour = diff_colours[i].colour;
		print_line(style, colour, "      ", xstrndup(diff, len));
		diff += len + (diff[len] == '\n');
	}
}

static char *action_text(struct json_object *action)
{
	const char *text = json_text(action, "text", NULL), *reason = json_text(action, "reason", "");

	if (!text)
		return xasprintf("%s %s%s%s", json_text(action, "action", "?"),
				 json_text(action, "target", ""), *reason ? ": " : "", reason);
	return xasprintf("%s%s%s", text, *reason ? ": " : "", reason);
}

static size_t print_actions(const struct style *style, struct json_object *actions, const char *indent)
{
	size_t n = json_length(actions);

	for (size_t i = 0; i < n; i++)
		print_line(style, COLOUR_NONE, indent, action_text(json_item(actions, i)));
	return n;
}

/* A balancer that is as wanted is not shown. */
static void print_instance(const struct style *style, struct json_object *instance)
{
	struct json_object *error = json_map(instance, "error"), *actions = json_list(instance, "actions"),
			   *later = json_list(instance, "later");
	size_t n = json_length(actions) + json_length(later);
	const char *held = json_text(instance, "held", NULL);

	if (!error && n == 0 && !held)
		return;
	print_line(style, COLOUR_BOLD, "", xstrdup(json_text(instance, "id", "-")));
	if (held)
		print_line(style, COLOUR_YELLOW, "  ~ ", xasprintf("held: %s", held));
	if (error)
		print_line(style, COLOUR_RED, "  ! ",
			   xasprintf("%s: %s", json_text(error, "kind", "error"),
				     json_text(error, "message", "no reason is given")));
	print_actions(style, actions, "  * ");
	print_actions(style, later, "  . later: ");
	print_diff(style, json_text(instance, "configDiff", ""));
	putchar('\n');
}

static struct totals count(struct json_object *instances)
{
	struct totals t = {.balancers = json_length(instances)};

	for (size_t i = 0; i < t.balancers; i++) {
		struct json_object *instance = json_item(instances, i);
		struct json_object *actions = json_list(instance, "actions");
		size_t n = json_length(actions);

		t.actions += n;
		t.changed += n > 0;
		if (json_text(instance, "held", NULL))
			t.held += n;
		t.errors += json_map(instance, "error") != NULL;
	}
	return t;
}

/* id: the plan's name; NULL if the daemon is too old to have one. */
static void print_summary(const struct totals *t, const char *id)
{
	const char *are = t->balancers == 1 ? " is" : "s are";

	if (t->actions == 0 && t->errors == 0) {
		printf("No changes. %zu balancer%s as wanted.\n", t->balancers, are);
		return;
	}
	if (t->actions > 0)
		printf("%zu action%s on %zu of %zu balancers", t->actions, t->actions == 1 ? "" : "s",
		       t->changed, t->balancers);
	else
		fputs("Nothing to do as far as can be seen", stdout);
	if (t->errors > 0)
		printf("; %zu of %zu could not be looked at or changed", t->errors, t->balancers);
	puts(".");
	if (t->held > 0)
		printf("%zu of these actions %s held: a run does not do them before their turn comes, or "
		       "\"apilbctl resume\".\n",
		       t->held, t->held == 1 ? "is" : "are");
	else if (t->actions > 0 && id)
		printf("This is plan %s: \"apilbctl reconcile --plan=%s\" runs it if nothing has changed by "
		       "then.\n",
		       id, id);
}

int report_plan(const struct ctl *ctl, struct json_object *plan, size_t *left, struct err *err)
{
	struct json_object *instances = json_list(plan, "instances");
	struct totals totals;

	if (!instances)
		return err_set(err, ERR_UNREACHABLE, "what answers is not apilbd: its plan has no instances");
	if (!json_flag(plan, "ready"))
		return err_set(err, ERR_PERMANENT,
			       "apilbd has just started and still reads its specs; try again");
	totals = count(instances);
	*left = totals.actions + totals.errors;
	if (ctl->options.output != OUTPUT_TABLE) {
		print_value(ctl, plan);
		return 0;
	}
	for (size_t i = 0; i < totals.balancers; i++)
		print_instance(&ctl->style, json_item(instances, i));
	print_summary(&totals, json_text(plan, "id", NULL));
	return 0;
}

int run_plan(struct ctl *ctl, char **arguments, size_t n, struct err *err)
{
	const char *spec = n > 0 ? arguments[0] : NULL;
	struct json_object *plan = request_json(ctl, "GET", "/v1/plan", spec, PLAN_REQUEST_MS, err);
	size_t left = 0, invalid = 0;
	int rc;

	if (!plan)
		return -1;
	rc = report_plan(ctl, plan, &left, err);
	json_object_put(plan);
	fflush(stdout);
	if (rc < 0 || report_invalid(ctl, spec, &invalid, err) < 0)
		return -1;
	return left + invalid > 0 ? EXIT_NOT_CONVERGED : EXIT_DONE;
}
