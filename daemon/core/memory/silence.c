#include "daemon/core/memory/silence.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/schedule.h"

char *silence_run(const char *container_id, const char *started_at)
{
	return xasprintf("%s %s", container_id, started_at ? started_at : "");
}

static void become(char **known, const char *run)
{
	if (text_equal(*known, run))
		return;
	free(*known);
	*known = xstrdup(run);
}

static bool is_known(const struct silence_clock *time)
{
	return time->unix_ms > 0;
}

/* A successor is due after_ms after `from`, but not before the wait since the last one is over. */
static void set_due(struct silence *silence, struct silence_clock from, int64_t after_ms)
{
	int64_t retry = schedule_doubled_ms(SILENCE_RETRY_MS, silence->tries, SILENCE_MAX_RETRY_MS);
	int64_t due = from.ms + after_ms;

	if (silence->tries > 0 && due < silence->tried.ms + retry)
		due = silence->tried.ms + retry;
	silence->due = (struct silence_clock){due, from.unix_ms + due - from.ms};
}

void silence_broken(struct silence *silence, const char *run, int64_t now_ms)
{
	become(&silence->heard, run);
	FREE(silence->run);
	/* A short answer between two silences does not make the waits short again. */
	if (now_ms - silence->tried.ms > SILENCE_MAX_RETRY_MS)
		silence->tries = 0;
}

void silence_met(struct silence *silence, const char *run, struct silence_clock asked, int64_t after_ms)
{
	if (!text_equal(silence->run, run)) {
		become(&silence->run, run);
		silence->since = asked;
		set_due(silence, asked, after_ms);
	} else if (!is_known(&silence->due)) {
		set_due(silence, silence->since, after_ms);
		if (silence->due.ms < asked.ms + SILENCE_EARLY_MS)
			set_due(silence, asked, SILENCE_EARLY_MS);
	}
}

void silence_tried(struct silence *silence, struct silence_clock now)
{
	silence->tries++;
	silence->tried = now;
	set_due(silence, now, 0);
}

static void recall(struct silence_clock *time, struct silence_clock now)
{
	if (time->unix_ms > now.unix_ms)
		*time = now;
	time->ms = now.ms - (now.unix_ms - time->unix_ms);
}

void silence_recall(struct silence *silence, struct silence_clock now)
{
	recall(&silence->since, now);
	recall(&silence->tried, now);
	silence->due = (struct silence_clock){0};
}

bool silence_has(const struct silence *silence, const char *run)
{
	return text_equal(silence->run, run);
}

int64_t silence_lasts_ms(const struct silence *silence, int64_t now_ms)
{
	return silence->run ? now_ms - silence->since.ms : 0;
}

bool silence_is_early(const struct silence *silence, int64_t now_ms)
{
	return silence->run && !text_equal(silence->heard, silence->run) &&
	       silence_lasts_ms(silence, now_ms) < SILENCE_EARLY_MS;
}

bool silence_is_due(const struct silence *silence, int64_t now_ms)
{
	return silence->run && is_known(&silence->due) && now_ms >= silence->due.ms;
}

static void time_text(int64_t unix_ms, char text[sizeof("2026-01-02T03:04:05Z")])
{
	time_t seconds = unix_ms / 1000;
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof("2026-01-02T03:04:05Z"), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

char *silence_words(const struct silence *silence, const char *why)
{
	char since[sizeof("2026-01-02T03:04:05Z")], due[sizeof(since)];
	char *nor = silence->tries == 0   ? xstrdup("")
		    : silence->tries == 1 ? xstrdup(", nor did a successor for long")
					  : xasprintf(", nor did %u successors for long", silence->tries);
	char *words;

	time_text(silence->since.unix_ms, since);
	time_text(silence->due.unix_ms, due);
	words = xasprintf(
		"HAProxy has not answered on its stats socket since %s%s (%s); it may serve all the same; a "
		"successor follows at %s",
		since, nor, why, due);
	free(nor);
	return words;
}

void silence_copy(struct silence *to, const struct silence *from)
{
	*to = *from;
	to->heard = xstrdup(from->heard);
	to->run = xstrdup(from->run);
}

void silence_clear(struct silence *silence)
{
	free(silence->heard);
	free(silence->run);
	*silence = (struct silence){0};
}
