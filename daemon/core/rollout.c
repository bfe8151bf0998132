#include "daemon/core/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* After this time a HAProxy that has just started may have checked its servers. */
#define LOOK_AGAIN_MS 1000

static const char *const stop_names[ROLLOUT_STOPS] = {
	[ROLLOUT_RUNS] = "rolling",
	[ROLLOUT_HALTED] = "halted",
	[ROLLOUT_REVERTED] = "reverted",
};

const char *rollout_stop_name(enum rollout_stop stop)
{
	return stop_names[stop];
}

enum rollout_stop rollout_stop_parse(const char *name)
{
	for (int i = 0; name && i < ROLLOUT_STOPS; i++)
		if (strcmp(stop_names[i], name) == 0)
			return i;
	return ROLLOUT_RUNS;
}

static bool is_under_way(const struct rollout_unit *unit)
{
	return unit->state == UNIT_CHANGING || unit->state == UNIT_SETTLING;
}

static bool has_settled(const struct rollout_unit *unit, int64_t settle_ms, int64_t now_ms)
{
	return unit->state == UNIT_SETTLING && now_ms - unit->since_ms >= settle_ms;
}

/* A look has found the host as wanted. */
static void note_well(struct rollout_unit *unit, int64_t settle_ms, int64_t now_ms)
{
	if (unit->state != UNIT_SETTLING) {
		unit->state = UNIT_SETTLING;
		unit->since_ms = now_ms;
		unit->look_at_ms = now_ms + settle_ms;
	}
	if (has_settled(unit, settle_ms, now_ms))
		unit->state = UNIT_DONE;
}

static void note_unsure(struct rollout_unit *unit, int64_t settle_ms, int64_t now_ms)
{
	if (unit->state != UNIT_SETTLING) {
		unit->state = UNIT_SETTLING;
		unit->since_ms = now_ms;
		unit->look_at_ms = now_ms + (settle_ms > LOOK_AGAIN_MS ? settle_ms : LOOK_AGAIN_MS);
	} else if (has_settled(unit, settle_ms + ROLLOUT_UNSURE_MAX_MS, now_ms)) {
		unit->state = UNIT_FAILED;
	} else if (has_settled(unit, settle_ms, now_ms)) {
		unit->look_at_ms = now_ms + LOOK_AGAIN_MS;
	}
}

bool rollout_note(struct rollout_unit *unit, enum rollout_verdict verdict, int64_t settle_ms, int64_t now_ms)
{
	const struct rollout_unit before = *unit;

	if (verdict == VERDICT_NONE)
		return false;
	unit->seen = true;
	unit->unreachable = verdict == VERDICT_UNREACHABLE;
	if (unit->state == UNIT_WAITING || unit->state == UNIT_DONE || unit->state == UNIT_OUT)
		return unit->unreachable != before.unreachable || !before.seen;
	if ((verdict == VERDICT_FAILED || verdict == VERDICT_LOST) && is_under_way(unit))
		unit->state = UNIT_FAILED;
	else if (verdict == VERDICT_WELL)
		note_well(unit, settle_ms, now_ms);
	else if (verdict == VERDICT_UNSURE)
		note_unsure(unit, settle_ms, now_ms);
	return unit->state != before.state || unit->unreachable != before.unreachable || !before.seen ||
	       unit->look_at_ms != before.look_at_ms;
}

static size_t parallel(const struct rollout *rollout)
{
	const struct spec_share *share = &rollout->settings.parallel;
	size_t n = share->percent ? (rollout->hosts * share->n + 99) / 100 : share->n;

	return n > 0 ? n : 1;
}

static void count(const struct rollout *rollout, struct rollout_outcome *outcome)
{
	for (size_t i = 0; i < rollout->n; i++) {
		const struct rollout_unit *unit = &rollout->units[i];

		outcome->done += unit->state == UNIT_DONE;
		outcome->unreachable += unit->unreachable && unit->state != UNIT_DONE;
		outcome->changing += is_under_way(unit) && !unit->unreachable;
		outcome->failed += unit->state == UNIT_FAILED || unit->state == UNIT_ACKNOWLEDGED;
		if (unit->state == UNIT_FAILED && !outcome->failure && rollout->stop == ROLLOUT_RUNS)
			outcome->failure = unit;
	}
	outcome->over = outcome->done == rollout->n;
	outcome->canary = outcome->done < rollout->settings.canary;
}

/* How many more hosts may change now. */
static size_t places(const struct rollout *rollout, const struct rollout_outcome *outcome)
{
	size_t all = outcome->canary ? rollout->settings.canary - outcome->done : parallel(rollout);

	if (rollout->paused || rollout->stop != ROLLOUT_RUNS || outcome->failure)
		return 0;
	return all > outcome->changing ? all - outcome->changing : 0;
}

/*
 * After a restart hosts are looked at one by one. The canary is the first host that can be reached,
 * not the first that answers. Returns whether a host must be looked at first.
 */
static bool admit(struct rollout *rollout, struct rollout_outcome *outcome)
{
	size_t left = places(rollout, outcome);
	/* There is room for all hosts: none waits for another, reachable or not. */
	bool all_at_once = !outcome->canary && parallel(rollout) >= rollout->hosts;
	bool unseen = false;

	for (size_t i = 0; i < rollout->n && left > 0; i++) {
		struct rollout_unit *unit = &rollout->units[i];

		if (unit->state != UNIT_WAITING || (unit->unreachable && !all_at_once))
			continue;
		unseen |= !unit->seen;
		if (unseen && outcome->canary)
			break;
		if (!unit->seen && !all_at_once)
			continue;
		unit->admit = true;
		outcome->admitted++;
		left--;
	}
	return unseen;
}

static void find_looks(struct rollout *rollout, int64_t now_ms, struct rollout_outcome *outcome)
{
	for (size_t i = 0; i < rollout->n; i++) {
		struct rollout_unit *unit = &rollout->units[i];

		if (unit->state != UNIT_SETTLING || unit->look_at_ms == 0)
			continue;
		if (unit->look_at_ms <= now_ms)
			unit->look = true;
		else if (outcome->look_at_ms == 0 || unit->look_at_ms < outcome->look_at_ms)
			outcome->look_at_ms = unit->look_at_ms;
	}
}

void rollout_decide(struct rollout *rollout, int64_t now_ms, struct rollout_outcome *outcome)
{
	bool unseen;

	*outcome = (struct rollout_outcome){0};
	for (size_t i = 0; i < rollout->n; i++)
		rollout->units[i].admit = rollout->units[i].look = false;
	count(rollout, outcome);
	unseen = admit(rollout, outcome);
	find_looks(rollout, now_ms, outcome);
	outcome->idle = outcome->changing == 0 && outcome->admitted == 0 && !unseen && !outcome->failure;
}

char *rollout_progress(const struct rollout *rollout, const struct rollout_outcome *outcome)
{
	char *failed = outcome->failed ? xasprintf(", %zu failed", outcome->failed) : xstrdup("");
	char *away = outcome->unreachable ? xasprintf(", %zu cannot be reached", outcome->unreachable)
					  : xstrdup("");
	char *text = xasprintf("%zu of %zu host%s done%s%s", outcome->done, rollout->n,
			       rollout->n == 1 ? " is" : "s are", failed, away);

	free(failed);
	free(away);
	return text;
}
