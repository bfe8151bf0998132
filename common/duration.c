#include "common/duration.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Magnitudes go up to 2^63, so that the smallest int64_t can be written too. */
#define MAX_MAGNITUDE ((uint64_t)1 << 63)
#define NS_PER_MS 1000000

struct unit {
	const char *name;
	uint64_t ns;
};

static const struct unit units[] = {
	{"ns", 1},           {"us", 1000},      {"\xc2\xb5s", 1000}, /* U+00B5, micro sign */
	{"\xce\xbcs", 1000},                                         /* U+03BC, Greek letter mu */
	{"ms", NS_PER_MS},   {"s", 1000000000}, {"m", 60000000000},  {"h", 3600000000000},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int refuse(struct err *err, const char *why)
{
	return err_set(
		err, ERR_SPEC,
		"must be a duration such as \"30s\", \"1m30s\" or \"250ms\" (units ns, us, ms, s, m, h): %s",
		why);
}

/* Reads the digits at *p; false if the number does not fit. */
static bool read_whole(const char **p, uint64_t *value)
{
	for (*value = 0; is_digit(**p); (*p)++) {
		if (*value > MAX_MAGNITUDE / 10)
			return false;
		*value = *value * 10 + (uint64_t)(**p - '0');
		if (*value > MAX_MAGNITUDE)
			return false;
	}
	return true;
}

/* Reads the digits after the point, as value / scale. Digits that no longer fit are skipped. */
static void read_fraction(const char **p, uint64_t *value, double *scale)
{
	bool full = false;

	*value = 0;
	*scale = 1;
	for (; is_digit(**p); (*p)++) {
		uint64_t next;

		if (full)
			continue;
		full = *value > (MAX_MAGNITUDE - 1) / 10;
		if (full)
			continue;
		next = *value * 10 + (uint64_t)(**p - '0');
		full = next > MAX_MAGNITUDE;
		if (full)
			continue;
		*value = next;
		*scale *= 10;
	}
}

/* Everything up to the next number is the unit. */
static const struct unit *read_unit(const char **p)
{
	size_t len = strcspn(*p, ".0123456789");

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strlen(units[i].name) == len && memcmp(units[i].name, *p, len) == 0) {
			*p += len;
			return &units[i];
		}
	}
	return NULL;
}

/* Reads one number with its unit, such as "1.5h". */
static int read_part(const char **p, uint64_t *ns, struct err *err)
{
	const char *start = *p;
	const struct unit *unit;
	uint64_t fraction = 0;
	double scale = 1;
	bool digits;

	if (!read_whole(p, ns))
		return refuse(err, "too long");
	digits = *p != start;
	if (**p == '.') {
		const char *point = ++*p;

		read_fraction(p, &fraction, &scale);
		digits = digits || *p != point;
	}
	if (!digits)
		return refuse(err, "a number is missing");
	if (!**p || **p == '.')
		return refuse(err, "a unit is missing");
	unit = read_unit(p);
	if (!unit)
		return refuse(err, "unknown unit");
	if (*ns > MAX_MAGNITUDE / unit->ns)
		return refuse(err, "too long");
	*ns *= unit->ns;
	*ns += (uint64_t)((double)fraction * ((double)unit->ns / scale));
	return *ns > MAX_MAGNITUDE ? refuse(err, "too long") : 0;
}

int duration_parse(const char *text, int64_t *ns, struct err *err)
{
	bool negative = *text == '-';
	uint64_t total = 0;

	if (*text == '-' || *text == '+')
		text++;
	if (!*text)
		return refuse(err, "nothing is given");
	if (strcmp(text, "0") == 0) {
		*ns = 0;
		return 0;
	}
	while (*text) {
		uint64_t part;

		if (read_part(&text, &part, err) < 0)
			return -1;
		if (part > MAX_MAGNITUDE - total)
			return refuse(err, "too long");
		total += part;
	}
	if (!negative && total == MAX_MAGNITUDE)
		return refuse(err, "too long");
	*ns = negative ? (int64_t)(0 - total) : (int64_t)total;
	return 0;
}

int duration_parse_ms(const char *text, int64_t *ms, struct err *err)
{
	int64_t ns;

	if (duration_parse(text, &ns, err) < 0)
		return -1;
	*ms = ns / NS_PER_MS;
	if (ns % NS_PER_MS)
		*ms += ns < 0 ? -1 : 1;
	return 0;
}

const char *duration_human(int64_t ms, char *buf, unsigned long size)
{
	static const struct {
		uint64_t ms;
		char name;
	} steps[] = {{86400000, 'd'}, {3600000, 'h'}, {60000, 'm'}, {1000, 's'}};
	const char *sign = ms < 0 ? "-" : "";
	uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	size_t i = 0;
	uint64_t first, second;

	if (left < 1000) {
		snprintf(buf, size, left ? "%s%dms" : "%s%ds", sign, (int)left);
		return buf;
	}
	while (left < steps[i].ms)
		i++;
	first = left / steps[i].ms;
	second = i + 1 < sizeof(steps) / sizeof(steps[0]) ? left % steps[i].ms / steps[i + 1].ms : 0;
	if (second)
		snprintf(buf, size, "%s%llu%c%llu%c", sign, (unsigned long long)first, steps[i].name,
			 (unsigned long long)second, steps[i + 1].name);
	else
		snprintf(buf, size, "%s%llu%c", sign, (unsigned long long)first, steps[i].name);
	return buf;
}
