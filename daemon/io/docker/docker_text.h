/* Decoders for parts of an engine's answers. Pure. Callers free the results. */
#ifndef APILB_IO_DOCKER_TEXT_H
#define APILB_IO_DOCKER_TEXT_H

#include <stddef.h>

/* Decodes base64: Docker uses the common alphabet, Podman the one for URLs (RFC 4648, 4 and 5). Anything else
 * gives "". */
char *base64_text(const char *encoded);

/*
 * The text of a container's log, with a NUL behind it. The engine sends the output of a container without a
 * terminal in frames ("Stream format" in the API's description): 1 byte stream (0..2), 3 bytes zero, 4 bytes
 * length, big-endian, then the text. With a terminal it sends the text alone, and no text begins with such
 * bytes.
 */
char *log_text(const char *body, size_t body_len, size_t *len);

/* The message for logs and tables: without control characters, and without blanks at its end. */
char *one_line(const char *message);

#endif
