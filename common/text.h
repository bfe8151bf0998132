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

/* What text_decode says of a byte that begins no character. */
#define TEXT_INVALID UINT32_MAX

/* The first character of the len > 0 bytes at s. Returns how many bytes it takes: 1 to 4. */
size_t text_decode(const char *s, size_t len, uint32_t *character);

/*
 * What is not printable here: control characters, marks that turn the direction
 * of writing, characters that nobody sees, and bytes that are no UTF-8. In a
 * TEXT_BLOCK newlines and tabs are.
 */
enum text_shape { TEXT_LINE, TEXT_BLOCK };

bool text_is_printable(const char *s, enum text_shape shape);
/* What is not printable is escaped as JSON would ("\u001b", "\ufffd"), so that JSON text stays the same
 * value. The caller frees. */
char *text_printable(const char *s, enum text_shape shape);

/*
 * A JSON string; NULL gives null. Bytes that are no UTF-8 become U+FFFD: json-c
 * passes them on, and a strict reader then refuses the whole document (RFC 8259, section 8.1).
 */
struct json_object;
struct json_object *text_json(const char *s);

/* In characters; those that take two cells, or none, count as one. */
size_t text_width(const char *s);

/* At most `width` characters (4 at least), "..." being the last three of what was cut. The caller frees. */
char *text_shorten(const char *s, size_t width);

/* How many characters must be added, dropped or replaced to make one of the other (Levenshtein), to find what
 * was meant by a mistyped word. Case does not count; nor does what is beyond the first 40 bytes. */
unsigned text_distance(const char *a, const char *b);

/* A stream that writes to memory. After text_close *text is complete, ends in a NUL, and is the caller's. */
FILE *text_open(char **text, size_t *len);
void text_close(FILE *stream);

#endif
