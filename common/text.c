#include "common/text.h"

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
	{0x00, 0x1f},     /* C0: among them ESC */
	{0x7f, 0x9f},     /* DEL, and C1: among them the one-character CSI */
	{0x200e, 0x200f}, /* marks of direction, and below their embeddings, overrides and isolates */
	{0x2028, 0x202e}, /* also the two Unicode line ends */
	{0x2066, 0x2069}, /* */
	{0xfeff, 0xfeff}, /* byte order mark: seen by nobody */
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
	else
		fprintf(out, "\\u%04x", (unsigned)(character == TEXT_INVALID ? 0xfffd : character));
}

char *text_printable(const char *s, enum text_shape shape)
{
	size_t left = strlen(s), len;
	char *text;
	FILE *out = text_open(&text, &len);

	while (left > 0) {
		uint32_t c;
		size_t n = text_decode(s, left, &c);

		if ((shape == TEXT_BLOCK && (c == '\n' || c == '\t')) || !is_unsafe(c))
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

/* Bytes that the first `width` characters take. */
static size_t prefix_bytes(const char *s, size_t width)
{
	size_t left = strlen(s), used = 0;
	uint32_t c;

	while (left > used && width-- > 0)
		used += text_decode(s + used, left - used, &c);
	return used;
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
