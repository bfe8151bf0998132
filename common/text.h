/*
 * Text for people: what is safe to show on a terminal, and how wide it is.
 *
 * Names and messages come from files, engines and hosts that anybody may have
 * a hand in; shown raw, an escape sequence in one of them could repaint the
 * screen of whoever looks. UTF-8 is RFC 3629's.
 */
#ifndef APILB_TEXT_H
#define APILB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The result of text_decode for a byte that begins no character. */
#define TEXT_INVALID UINT32_MAX

/* The first character of the len > 0 bytes at s. Returns how many bytes it takes: 1 to 4. */
size_t text_decode(const char *s, size_t len, uint32_t *character);

/*
 * These are not printable: control characters, marks that change the direction
 * of writing, invisible characters, and bytes that are not UTF-8. In a
 * TEXT_BLOCK, newlines and tabs are printable.
 */
enum text_shape { TEXT_LINE, TEXT_BLOCK };

bool text_is_printable(const char *s, enum text_shape shape);
/* A copy in which characters that are not printable are escaped as in JSON ("\u001b", "\ufffd"), so that JSON
 * text keeps its value. The caller frees. */
char *text_printable(const char *s, enum text_shape shape);

/*
 * A JSON string; NULL gives null. Bytes that are not UTF-8 become U+FFFD: json-c
 * would pass them on, and a strict reader would refuse the whole document (RFC
 * 8259, section 8.1).
 */
struct json_object;
struct json_object *text_json(const char *s);

/* Whether both are the same text; NULL is the same as NULL only. */
bool text_equal(const char *a, const char *b);

/* The width in characters; a character that takes two cells of a terminal, or none, counts as one. */
size_t text_width(const char *s);

/* A copy of at most `width` characters (at least 4); a text that was cut ends in "...". The caller frees. */
char *text_shorten(const char *s, size_t width);

/* How many characters must be added, dropped or replaced to make one of the other (Levenshtein), to find what
 * was meant by a mistyped word. Case does not count; nor does what is beyond the first 40 bytes. */
unsigned text_distance(const char *a, const char *b);

/* A stream that writes to memory. After text_close, *text is complete, ends in a NUL, and belongs to the
 * caller. */
FILE *text_open(char **text, size_t *len);
void text_close(FILE *stream);

#endif
