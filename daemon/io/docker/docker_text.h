/* The encodings of what an engine answers. Pure. Callers free. */
#ifndef APILB_IO_DOCKER_TEXT_H
#define APILB_IO_DOCKER_TEXT_H

#include <stddef.h>

/* Docker's base64 is the common one, Podman's is for URLs (RFC 4648, 4 and 5). What is neither gives "". */
char *base64_text(const char *encoded);

/*
 * The output of a container without a terminal comes in frames, "Stream format" in the API's
 * description: 1 byte stream (0..2), 3 bytes zero, 4 bytes length, big-endian. With a terminal it comes
 * as it is, and no text begins with such bytes. What is in them, with a NUL behind it.
 */
char *log_text(const char *body, size_t body_len, size_t *len);

/* For logs and tables: no control characters, nor blanks at its end. */
char *one_line(const char *message);

#endif
