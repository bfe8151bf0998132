#include "common/text.h"

#include <ctype.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* RFC 3629, section 4: lead bytes, and the smallest character that may take so many bytes. */
static const struct form {
	unsigned char mask, lead;
	uint32_t least;
} forms[] = {
	{0x80, 0x00, 0},
	{0xe0, 0xc0, 0x80},
	{0xf0, 0xe0, 0x800},
	{0xf8, 0xf0, 0x10000},
};

static const struct range {
	uint32_t first, last;
} unsafe[] = {
	{0x00, 0x1f},                /* C0: among them ESC */
	{0x7f, 0x9f},                /* DEL, and C1: among them the one-character CSI */
	{0xad, 0xad},                /* the soft hyphen: shown or not */
	{0x61c, 0x61c},              /* a mark of direction */
	{0x180e, 0x180e},            /* invisible */
	{0x200b, 0x200f},            /* invisible, and marks of direction */
	{0x2028, 0x202e},            /* the two Unicode line ends; embeddings and overrides of direction */
	{0x2060, 0x206f},            /* invisible; isolates of direction */
	{0xfeff, 0xfeff},            /* byte order mark: invisible */
	{0xfff9, 0xfffb},            /* marks of annotations */
	{0xe0000, 0xe007f},          /* tags: a whole invisible alphabet */
	{TEXT_INVALID, TEXT_INVALID} /* */
};

size_t text_decode(const char *s, size_t len, uint32_t *character)
{
	const unsigned char *p = (const unsigned char *)s;

	*character = TEXT_INVALID;
	for (size_t n = 0; n < sizeof(forms) / sizeof(forms[0]); n++) {
		uint32_t c = p[0] & ~forms[n].mask;

		if ((p[0] & forms[n].mask) != forms[n].lead)
			continue;
		for (size_t i = 1; i <= n; i++) {
			if (i >= len || (p[i] & 0xc0) != 0x80)
				return 1;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < forms[n].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 1;
		*character = c;
		return n + 1;
	}
	return 1;
}

static int is_unsafe(uint32_t character)
{
	for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
		if (character >= unsafe[i].first && character <= unsafe[i].last)
			return 1;
	return 0;
}

static void escape(FILE *out, uint32_t character)
{
	if (character == '\n')
		fputs("\\n", out);
	else if (character == '\t')
		fputs("\\t", out);
	else if (character == TEXT_INVALID)
		fputs("\\ufffd", out);
	else if (character > 0xffff) /* a surrogate pair, RFC 8259, section 7 */
		fprintf(out, "\\u%04x\\u%04x", (unsigned)(0xd7c0 + (character >> 10)),
			(unsigned)(0xdc00 + (character & 0x3ff)));
	else
		fprintf(out, "\\u%04x", (unsigned)character);
}

static bool may_stay(uint32_t character, enum text_shape shape)
{
	return (shape == TEXT_BLOCK && (character == '\n' || character == '\t')) || !is_unsafe(character);
}

bool text_is_printable(const char *s, enum text_shape shape)
{
	size_t left = strlen(s);

	while (left > 0) {
		uint32_t c;
		size_t n = text_decode(s, left, &c);

		if (!may_stay(c, shape))
			return false;
		s += n;
		left -= n;
	}
	return true;
}

char *text_printable(const char *s, enum text_shape shape)
{
	size_t left = strlen(s), len;
	char *text;
	FILE *out = text_open(&text, &len);

	while (left > 0) {
		uint32_t c;
		size_t n = text_decode(s, left, &c);

		if (may_stay(c, shape))
			fwrite(s, 1, n, out);
		else
			escape(out, c);
		s += n;
		left -= n;
	}
	text_close(out);
	return text;
}

struct json_object *text_json(const char *s)
{
	size_t left = s ? strlen(s) : 0, len;
	struct json_object *json;
	char *text;
	FILE *out;

	if (!s)
		return NULL;
	out = text_open(&text, &len);
	while (left > 0) {
		uint32_t c;
		size_t n = text_decode(s, left, &c);

		if (c == TEXT_INVALID)
			fputs("\xef\xbf\xbd", out);
		else
			fwrite(s, 1, n, out);
		s += n;
		left -= n;
	}
	text_close(out);
	json = json_object_new_string_len(text, (int)len);
	free(text);
	return json;
}

/* How many bytes the first `width` characters take. */
static size_t prefix_bytes(const char *s, size_t width)
{
	size_t left = strlen(s), used = 0;
	uint32_t c;

	while (left > used && width-- > 0)
		used += text_decode(s + used, left - used, &c);
	return used;
}

bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

size_t text_width(const char *s)
{
	size_t left = strlen(s), width = 0;
	uint32_t c;

	for (; left > 0; width++) {
		size_t n = text_decode(s, left, &c);

		s += n;
		left -= n;
	}
	return width;
}

char *text_shorten(const char *s, size_t width)
{
	if (text_width(s) <= width)
		return xstrdup(s);
	return xasprintf("%.*s...", (int)prefix_bytes(s, width > 3 ? width - 3 : 1), s);
}

FILE *text_open(char **text, size_t *len)
{
	FILE *stream = open_memstream(text, len);

	if (!stream)
		abort(); /* out of memory, as in mem.c */
	return stream;
}

void text_close(FILE *stream)
{
	if (ferror(stream) | fclose(stream))
		abort();
}

#define MAX_COMPARED 40

unsigned text_distance(const char *a, const char *b)
{
	size_t a_len = strnlen(a, MAX_COMPARED), b_len = strnlen(b, MAX_COMPARED);
	unsigned row[MAX_COMPARED + 1];

	for (size_t j = 0; j <= b_len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			bool same = tolower((unsigned char)a[i - 1]) == tolower((unsigned char)b[j - 1]);
			unsigned best = diagonal + !same;

			if (best > row[j] + 1)
				best = row[j] + 1;
			if (best > row[j - 1] + 1)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[b_len];
}
