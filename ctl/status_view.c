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

/* "2/3": two of three are up; "?/3": nobody knows how many are up; "-": there is no list. */
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
	if (b->none_up)
		return COLOUR_ALARM;
	if (b->servers_up == b->servers_known)
		return COLOUR_NONE;
	return b->servers_up == 0 ? COLOUR_RED : COLOUR_YELLOW;
}

static bool is_down(struct json_object *server)
{
	return strcmp(json_text(server, "state", "unknown"), "down") == 0;
}

static bool is_draining(struct json_object *server)
{
	return is_down(server) && json_flag(server, "draining");
}

static bool is_cut_off(struct json_object *server)
{
	return is_down(server) && !is_draining(server);
}

/* "down: 10.0.0.1:6443 (connection refused), 10.0.0.2:6443"; nothing when none are. */
static bool print_servers(const struct balancer *b, bool (*is)(struct json_object *server),
			  const char *before, FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < b->servers; i++) {
		struct json_object *server = json_item(b->servers_list, i);
		const char *why = json_text(server, "why", NULL);

		if (!is(server))
			continue;
		fprintf(out, "%s%s", any ? ", " : before, json_text(server, "address", "-"));
		if (why)
			fprintf(out, " (%s)", why);
		any = true;
	}
	return any;
}

/* The error "10.0.0.5 port 22: timed out" need not name the balancer's own host, but must name another one,
 * such as a jump host. */
static const char *skip_own_port(const struct balancer *b, const char *text)
{
	const char *port = strstr(text, " port "), *colon = strstr(text, ": ");

	if (!port || !colon || port > colon || memchr(text, ' ', (size_t)(port - text)))
		return text;
	return memmem(b->host, strlen(b->host), text, (size_t)(port - text)) ? colon + 2 : text;
}

/* The cause comes first, since a terminal cuts off the end; the host has a column of its own. */
static const char *cause_of(const struct balancer *b)
{
	size_t len = strlen(b->host);

	if (strncmp(b->error, b->host, len) != 0 || strncmp(b->error + len, ": ", 2) != 0)
		return b->error;
	return skip_own_port(b, b->error + len + 2);
}

/* Whether clients notice. Nobody knows if the host cannot be reached. */
static void print_serving(const struct balancer *b, FILE *out)
{
	if (!*b->serves || strcmp(b->phase_name, "unreachable") == 0)
		return;
	/* The former version may have other servers than the wanted one: nothing is known of these. */
	if (b->servers_up == 0 && b->servers_known == 0 && strcmp(b->serves, "former") == 0)
		fputs("; the former version goes on running", out);
	if (b->servers_up == 0)
		return;
	fprintf(out, "; %s goes on serving (%zu/%zu servers up)",
		strcmp(b->serves, "former") == 0 ? "the former version" : "it", b->servers_up, b->servers);
}

/* A balancer that sees no server up is broken, even if it has converged. */
static bool print_down(const struct balancer *b, FILE *out)
{
	bool any;

	if (b->none_up)
		return print_servers(b, is_down,
				     b->untested ? "NO SERVER UP, traffic goes to all of them untested: "
						 : "NO SERVER UP: ",
				     out);
	if (b->error || b->progress)
		return false;
	any = print_servers(b, is_cut_off, "down: ", out);
	return print_servers(b, is_draining, any ? "; draining: " : "draining: ", out) || any;
}

/* Which servers are down, if nothing else is wrong or no server is up; then what went wrong, and what is
 * being done. */
static char *why_text(const struct balancer *b)
{
	size_t len;
	char *text;
	FILE *out = text_open(&text, &len);
	const char *before = print_down(b, out) ? "; " : "";

	if (b->error) {
		fprintf(out, "%s%s", before, cause_of(b));
		print_serving(b, out);
	}
	if (b->progress)
		fprintf(out, "%s%s", b->error ? "; now: " : before, b->progress);
	text_close(out);
	return text;
}

static const char *age_text(const struct balancer *b, int64_t now_ms, char *buf, size_t size)
{
	if (b->changed_ms < 0)
		return "-";
	/* If the host's clock is ahead, the age is 0, not negative. */
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
		[WHY] = {why, b->none_up ? COLOUR_ALARM : COLOUR_NONE},
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

static void print_troubles(const struct status *status, const struct style *style, FILE *out)
{
	size_t n = json_length(status->troubles);

	for (size_t i = 0; i < n; i++) {
		const char *text = json_item_text(status->troubles, i);

		print_escaped(style, out, COLOUR_RED, xasprintf("APILBD IN TROUBLE: %s", text ? text : "-"));
	}
}

static void print_invalid(const struct spec_status *spec, const struct style *style, FILE *out)
{
	size_t n = json_length(spec->errors);

	print_escaped(
		style, out, COLOUR_RED,
		xasprintf("INVALID SPEC %s: its last good version, if any, stays in force", spec->name));
	for (size_t i = 0; i < n; i++)
		print_escaped(style, out, COLOUR_NONE, error_text(spec, json_item(spec->errors, i)));
}

static void print_alarm(const struct status *status, const struct style *style, FILE *out)
{
	size_t n = status_count_none_up(status);

	if (n > 0)
		print_escaped(
			style, out, COLOUR_ALARM,
			xasprintf("NO SERVER UP: %zu of %zu balancer%s see%s no API server that passes its "
				  "check",
				  n, status->balancers_n, status->balancers_n == 1 ? "" : "s",
				  n == 1 ? "s" : ""));
}

static void print_warnings(const struct status *status, const struct style *style, FILE *out)
{
	size_t n = json_length(status->warnings);

	for (size_t i = 0; i < n; i++) {
		const char *text = json_item_text(status->warnings, i);

		print_escaped(style, out, COLOUR_YELLOW, xasprintf("WARNING: %s", text ? text : "-"));
	}
}

/* "3 of 20 hosts are done" */
static char *done_text(const struct rollout_status *rollout)
{
	if (rollout->total == 0)
		return xstrdup("no change is held");
	return xasprintf("%zu of %zu host%s done", rollout->done, rollout->total,
			 rollout->total == 1 ? " is" : "s are");
}

/* What a person who did not stop the rollout has to know, and what to do. */
static char *stopped_text(const struct spec_status *spec, const char *done)
{
	const struct rollout_status *rollout = &spec->rollout;
	bool halted = strcmp(rollout->phase, "halted") == 0;

	if (strcmp(rollout->phase, "paused") == 0)
		return xasprintf(
			"PAUSED: changes of %s are held, repairs go on (%s); `apilbctl resume %s` goes on",
			spec->name, done, spec->name);
	return xasprintf("ROLLOUT %s: %s, %s: %s; `apilbctl resume %s` %s, a new edit starts over",
			 halted ? "HALTED" : "REVERTED", spec->name, done, rollout->why, spec->name,
			 halted ? "goes on" : "tries it again");
}

static void print_rollout(const struct spec_status *spec, const struct style *style, FILE *out)
{
	const struct rollout_status *rollout = &spec->rollout;
	bool loud = rollout->stopped && strcmp(rollout->phase, "paused") != 0;
	char *done;

	if (!rollout->phase)
		return;
	done = done_text(rollout);
	print_escaped(style, out, loud ? COLOUR_ALARM : COLOUR_YELLOW,
		      rollout->stopped ? stopped_text(spec, done)
				       : xasprintf("ROLLOUT of %s: %s", spec->name, done));
	free(done);
}

void status_print_errors(const struct status *status, const struct style *style, FILE *out)
{
	print_alarm(status, style, out);
	print_troubles(status, style, out);
	for (size_t i = 0; i < status->specs_n; i++)
		if (!status->specs[i].valid)
			print_invalid(&status->specs[i], style, out);
	for (size_t i = 0; i < status->specs_n; i++)
		print_rollout(&status->specs[i], style, out);
	print_warnings(status, style, out);
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

/* If no balancer verifies certificates, that is how the fleet was set up; if some do, the others may have
 * been forgotten. */
static void print_trusting(const struct status *status, FILE *out)
{
	size_t verifies = 0, trusting = 0;

	for (size_t i = 0; i < status->balancers_n; i++) {
		verifies += status->balancers[i].verifies;
		trusting += status->balancers[i].trusting;
	}
	if (verifies > 0 && trusting > 0)
		fprintf(out, "; %zu, unlike the others, %s no CA to verify API servers with", trusting,
			trusting == 1 ? "has" : "have");
}

static void print_unguarded(const struct status *status, FILE *out)
{
	size_t n = 0;

	for (size_t i = 0; i < status->balancers_n; i++)
		n += status->balancers[i].unguarded;
	if (n > 0)
		fprintf(out,
			"; %zu %s an HAProxy without Lua: connections to an API server that hangs end "
			"later, and one that only DNS knows is lost at a start while DNS is down",
			n, n == 1 ? "has" : "have");
}

void status_print_summary(const struct status *status, FILE *out)
{
	size_t invalid = status_count_invalid(status), none_up = status_count_none_up(status), degraded = 0;

	for (size_t i = 0; i < status->balancers_n; i++)
		degraded += status->balancers[i].converged && !status->balancers[i].none_up &&
			    !balancer_is_well(&status->balancers[i]);

	if (!status->ready)
		fputs("apilbd has just started and still reads its specs; ", out);
	if (status->balancers_n == 0)
		fputs("no balancers", out);
	else
		fprintf(out, "%zu of %zu balancer%s converged", status_count_converged(status),
			status->balancers_n, status->balancers_n == 1 ? "" : "s");
	print_phase_counts(status, out);
	if (none_up > 0)
		fprintf(out, ", %zu with NO SERVER UP", none_up);
	if (degraded > 0)
		fprintf(out, ", %zu with servers down", degraded);
	if (invalid > 0)
		fprintf(out, "; %zu spec%s invalid", invalid, invalid == 1 ? " is" : "s are");
	print_trusting(status, out);
	print_unguarded(status, out);
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
	for (size_t i = 0; i < status->specs_n; i++) {
		const struct spec_status *spec = &status->specs[i];

		if (!spec->valid)
			print_escaped(&plain, out, COLOUR_NONE,
				      xasprintf("  spec %s is invalid", spec->name));
		if (spec->rollout.phase && !spec->rollout.stopped)
			print_escaped(&plain, out, COLOUR_NONE,
				      xasprintf("  the rollout of %s: %zu of %zu hosts are done", spec->name,
						spec->rollout.done, spec->rollout.total));
	}
}
