#include "daemon/core/diff.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define CONTEXT 3
#define MAX_LINES 2000

struct lines {
	const char **v;
	size_t *len;
	size_t n;
};

static struct lines split(const char *text)
{
	struct lines lines = {0};

	while (*text) {
		size_t len = strcspn(text, "\n");

		lines.v = xreallocarray(lines.v, lines.n + 1, sizeof(*lines.v));
		lines.len = xreallocarray(lines.len, lines.n + 1, sizeof(*lines.len));
		lines.v[lines.n] = text;
		lines.len[lines.n++] = len;
		text += len + (text[len] == '\n');
	}
	return lines;
}

static bool same(const struct lines *a, size_t i, const struct lines *b, size_t j)
{
	return a->len[i] == b->len[j] && memcmp(a->v[i], b->v[j], a->len[i]) == 0;
}

/* One line of the result: ' ', '-' or '+'. */
struct edit {
	char mark;
	size_t line; /* index in the old text for ' ' and '-', in the new text for '+' */
};

/* length[i][j] of the longest common subsequence of a from i and b from j. */
static unsigned short *common_lengths(const struct lines *a, const struct lines *b)
{
	size_t width = b->n + 1;
	unsigned short *length = xcalloc((a->n + 1) * width, sizeof(*length));

	for (size_t i = a->n; i-- > 0;)
		for (size_t j = b->n; j-- > 0;) {
			unsigned short down = length[(i + 1) * width + j], right = length[i * width + j + 1];

			length[i * width + j] = same(a, i, b, j) ? length[(i + 1) * width + j + 1] + 1
						: down > right   ? down
								 : right;
		}
	return length;
}

static struct edit *compare(const struct lines *a, const struct lines *b, size_t *n)
{
	bool small = a->n <= MAX_LINES && b->n <= MAX_LINES;
	unsigned short *length = small ? common_lengths(a, b) : NULL;
	struct edit *edits = xcalloc(a->n + b->n, sizeof(*edits));
	size_t i = 0, j = 0, width = b->n + 1;

	*n = 0;
	while (i < a->n || j < b->n) {
		if (small && i < a->n && j < b->n && same(a, i, b, j)) {
			edits[(*n)++] = (struct edit){' ', i++};
			j++;
		} else if (i < a->n && (j == b->n || !small ||
					length[(i + 1) * width + j] >= length[i * width + j + 1])) {
			edits[(*n)++] = (struct edit){'-', i++};
		} else {
			edits[(*n)++] = (struct edit){'+', j++};
		}
	}
	free(length);
	return edits;
}

/* The end of the hunk whose first change is at `at`. Changes share a hunk if their contexts touch. */
static size_t hunk_end(const struct edit *edits, size_t n, size_t at)
{
	size_t last = at;

	for (size_t i = at; i < n && i <= last + 2 * CONTEXT + 1; i++)
		if (edits[i].mark != ' ')
			last = i;
	return last + 1 + CONTEXT < n ? last + 1 + CONTEXT : n;
}

static void print_hunk(FILE *out, const struct edit *edits, size_t begin, size_t end, size_t old_line,
		       size_t new_line, const struct lines *a, const struct lines *b)
{
	size_t old_n = 0, new_n = 0;

	for (size_t i = begin; i < end; i++) {
		old_n += edits[i].mark != '+';
		new_n += edits[i].mark != '-';
	}
	fprintf(out, "@@ -%zu,%zu +%zu,%zu @@\n", old_line + (old_n > 0), old_n, new_line + (new_n > 0),
		new_n);
	for (size_t i = begin; i < end; i++) {
		const struct lines *from = edits[i].mark == '+' ? b : a;

		fprintf(out, "%c%.*s\n", edits[i].mark, (int)from->len[edits[i].line],
			from->v[edits[i].line]);
	}
}

char *diff_unified(const char *from, const char *to, const char *from_name, const char *to_name)
{
	struct lines a, b;
	struct edit *edits;
	size_t n, old_line = 0, new_line = 0, text_len, done = 0;
	char *text = NULL;
	FILE *out;

	if (strcmp(from, to) == 0)
		return NULL;
	a = split(from);
	b = split(to);
	edits = compare(&a, &b, &n);
	out = open_memstream(&text, &text_len);
	if (!out)
		abort();
	fprintf(out, "--- %s\n+++ %s\n", from_name, to_name);
	for (size_t at = 0; at < n; at++) {
		size_t begin, end;

		if (edits[at].mark == ' ')
			continue;
		begin = at > done + CONTEXT ? at - CONTEXT : done;
		end = hunk_end(edits, n, at);
		for (; done < begin; done++, old_line++, new_line++)
			; /* between two hunks the texts are the same */
		print_hunk(out, edits, begin, end, old_line, new_line, &a, &b);
		for (; done < end; done++) {
			old_line += edits[done].mark != '+';
			new_line += edits[done].mark != '-';
		}
		at = end - 1;
	}
	fclose(out);
	free(a.v);
	free(a.len);
	free(b.v);
	free(b.len);
	free(edits);
	return text;
}
