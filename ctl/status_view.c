#include "ctl/status_view.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/mem.h"
#include "common/text.h"
#include "ctl/json.h"

/* Long enough to tell two digests apart, as docker shows them. */
#define DIGEST_CHARACTERS 12

enum column { SPEC, HOST, NAME, PHASE, IMAGE, SERVERS, AGE, WHY, COLUMNS };

static const char *const headers[COLUMNS] = {
	[SPEC] = "SPEC",   [HOST] = "HOST",       [NAME] = "NAME", [PHASE] = "PHASE",
	[IMAGE] = "IMAGE", [SERVERS] = "SERVERS", [AGE] = "AGE",   [WHY] = "WHY",
};

char *host_short(const char *url)
{
	const char *at = strrchr(url, '@'), *scheme = strstr(url, "://");
	const char *rest = at ? at + 1 : scheme ? scheme + 3 : url;
	size_t len = strlen(rest);

	if (scheme && len > 3 && strcmp(rest + len - 3, ":22") == 0)
		len -= 3;
	if (len > 2 && rest[0] == '[' && rest[len - 1] == ']') {
		rest++;
		len -= 2;
	}
	return xstrndup(rest, len);
}

static char *image_short(const char *image)
{
	const char *digest = strstr(image, "@sha256:");
	size_t len = strlen(image);

	if (digest && len > (size_t)(digest - image) + 8 + DIGEST_CHARACTERS)
		len = (size_t)(digest - image) + 8 + DIGEST_CHARACTERS;
	return xstrndup(image, len);
}

/* "2/3" are up; "?/3": nobody knows of any; "-": there is no list. */
static char *servers_text(const struct balancer *b)
{
	if (!b->servers_list)
		return xstrdup("-");
	if (b->servers_known == 0)
		return xasprintf("?/%zu", b->servers);
	return xasprintf("%zu/%zu", b->servers_up, b->servers);
}

static enum colour servers_colour(const struct balancer *b)
{
	if (b->servers_up == b->servers_known)
		return COLOUR_NONE;
	return b->servers_up == 0 ? COLOUR_RED : COLOUR_YELLOW;
}

/* A balancer in front of nothing is broken, however converged. */
static void print_down(const struct balancer *b, FILE *out)
{
	const char *before = "down: ";

	for (size_t i = 0; i < b->servers; i++) {
		struct json_object *server = json_object_array_get_idx(b->servers_list, i);

		if (strcmp(json_text(server, "state", "unknown"), "down") != 0)
			continue;
		fprintf(out, "%s%s", before, json_text(server, "address", "-"));
		before = ", ";
	}
}

/* What went wrong, and what is being done; else, which servers are down. */
static char *why_text(const struct balancer *b)
{
	size_t len;
	char *text;
	FILE *out = text_open(&text, &len);

	if (b->error && b->progress)
		fprintf(out, "%s; now: %s", b->error, b->progress);
	else if (b->error || b->progress)
		fputs(b->error ? b->error : b->progress, out);
	else
		print_down(b, out);
	text_close(out);
	return text;
}

static const char *age_text(const struct balancer *b, int64_t now_ms, char *buf, size_t size)
{
	if (b->changed_ms < 0)
		return "-";
	/* A host whose clock is ahead has not been changed in the future. */
	return duration_human(now_ms > b->changed_ms ? now_ms - b->changed_ms : 0, buf, size);
}

struct table *status_table_new(void)
{
	return table_new(headers, COLUMNS);
}

void status_table_add(struct table *table, const struct balancer *b, int64_t now_ms)
{
	char age[32];
	char *host = host_short(b->host), *image = image_short(b->image);
	char *servers = servers_text(b), *why = why_text(b);
	const struct cell cells[COLUMNS] = {
		[SPEC] = {b->spec, COLOUR_NONE},
		[HOST] = {host, COLOUR_NONE},
		[NAME] = {b->name, COLOUR_NONE},
		[PHASE] = {b->phase_name, b->phase->colour},
		[IMAGE] = {image, COLOUR_NONE},
		[SERVERS] = {servers, servers_colour(b)},
		[AGE] = {age_text(b, now_ms, age, sizeof(age)), COLOUR_NONE},
		[WHY] = {why, COLOUR_NONE},
	};

	table_add(table, cells);
	free(host);
	free(image);
	free(servers);
	free(why);
}

char *balancer_signature(const struct balancer *b)
{
	char *servers = servers_text(b), *why = why_text(b);
	char *signature = xasprintf("%s\n%s\n%s\n%s", b->phase_name, b->image, servers, why);

	free(servers);
	free(why);
	return signature;
}

void status_print_table(const struct status *status, bool problems, int64_t now_ms, const struct style *style,
			FILE *out)
{
	struct table *table = status_table_new();
	size_t rows = 0;

	for (size_t i = 0; i < status->balancers_n; i++) {
		if (problems && balancer_is_well(&status->balancers[i]))
			continue;
		status_table_add(table, &status->balancers[i], now_ms);
		rows++;
	}
	if (rows > 0)
		table_print(table, TABLE_WITH_HEADER, style, out);
	table_free(table);
}

static void print_escaped(const struct style *style, FILE *out, enum colour colour, char *text)
{
	char *safe = text_printable(text, TEXT_LINE);

	style_print(style, out, colour, safe);
	putc('\n', out);
	free(safe);
	free(text);
}

/* "FILE:LINE:COLUMN: PATH: MESSAGE", the parts that are known, as apilbctl validate prints it. */
static char *error_text(const struct spec_status *spec, struct json_object *error)
{
	const char *file = json_text(error, "file", spec->file), *path = json_text(error, "path", "");
	const char *message = json_text(error, "message", "no reason is given");
	int64_t line = json_number(error, "line"), column = json_number(error, "column");
	char place[64] = "";

	if (line > 0)
		snprintf(place, sizeof(place), ":%lld:%lld", (long long)line, (long long)column);
	return xasprintf("  %s%s: %s%s%s", file, place, path, *path ? ": " : "", message);
}

void status_print_invalid(const struct status *status, const struct style *style, FILE *out)
{
	for (size_t i = 0; i < status->specs_n; i++) {
		const struct spec_status *spec = &status->specs[i];
		size_t n = spec->errors ? json_object_array_length(spec->errors) : 0;

		if (spec->valid)
			continue;
		print_escaped(style, out, COLOUR_RED,
			      xasprintf("INVALID SPEC %s: its last good version, if any, stays in force",
					spec->name));
		for (size_t j = 0; j < n; j++)
			print_escaped(style, out, COLOUR_NONE,
				      error_text(spec, json_object_array_get_idx(spec->errors, j)));
	}
}

/* ", 2 failed" for every phase but converged. The balancers are sorted by phase. */
static void print_phase_counts(const struct status *status, FILE *out)
{
	size_t i = 0, n;

	for (; i < status->balancers_n; i += n) {
		const struct balancer *b = &status->balancers[i];
		char *phase = text_printable(b->phase_name, TEXT_LINE);

		for (n = 1; i + n < status->balancers_n; n++)
			if (strcmp(status->balancers[i + n].phase_name, b->phase_name) != 0)
				break;
		if (!b->converged)
			fprintf(out, ", %zu %s", n, phase);
		free(phase);
	}
}

void status_print_summary(const struct status *status, FILE *out)
{
	size_t invalid = status_count_invalid(status), degraded = 0;

	for (size_t i = 0; i < status->balancers_n; i++)
		degraded += status->balancers[i].converged && !balancer_is_well(&status->balancers[i]);

	if (!status->ready)
		fputs("apilbd has just started and still reads its specs; ", out);
	if (status->balancers_n == 0)
		fputs("no balancers", out);
	else
		fprintf(out, "%zu of %zu balancer%s converged", status_count_converged(status),
			status->balancers_n, status->balancers_n == 1 ? "" : "s");
	print_phase_counts(status, out);
	if (degraded > 0)
		fprintf(out, ", %zu with servers down", degraded);
	if (invalid > 0)
		fprintf(out, "; %zu spec%s invalid", invalid, invalid == 1 ? " is" : "s are");
	putc('\n', out);
}

void status_print_missing(const struct status *status, FILE *out)
{
	static const struct style plain;

	if (!status->ready)
		fputs("  apilbd still reads its specs\n", out);
	for (size_t i = 0; i < status->balancers_n; i++) {
		const struct balancer *b = &status->balancers[i];

		char *why = why_text(b);

		if (!b->converged)
			print_escaped(&plain, out, COLOUR_NONE,
				      xasprintf("  %s: %s%s%s", b->id, b->phase_name, *why ? ": " : "", why));
		free(why);
	}
	for (size_t i = 0; i < status->specs_n; i++)
		if (!status->specs[i].valid)
			print_escaped(&plain, out, COLOUR_NONE,
				      xasprintf("  spec %s is invalid", status->specs[i].name));
}
