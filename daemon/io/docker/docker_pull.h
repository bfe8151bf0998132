/*
 * What the engine streams while it pulls an image: a JSON object a line, summed
 * up for people. Used by docker.c alone.
 * Source: Docker Engine API 1.41, POST /images/create.
 */
#ifndef APILB_IO_DOCKER_PULL_H
#define APILB_IO_DOCKER_PULL_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/*
 * "registry:5000/a/b:tag" gives "registry:5000/a/b" and "tag"; a digest goes before a tag, and
 * no tag means latest, since the engine would pull all tags otherwise. The caller frees both.
 */
void image_ref_split(const char *ref, char **name, char **tag);

/* How long all of it may take; beside that the engine may not be silent for long. A variable so that a test
 * need not wait for it. */
#define PULL_LIMIT_MS (30 * 60 * 1000)
extern int64_t pull_limit_ms;

struct pull;
struct pull *pull_new(const char *ref);
void pull_free(struct pull *pull); /* NULL is fine */

/* Bytes of the stream, cut anywhere. Returns "pulling haproxy:3.0: 2/5 layers, 12.3 MB of 40.1 MB" when it
 * reads differently from the last time, else NULL; valid until the next call. */
const char *pull_feed(struct pull *pull, const char *data, size_t len);

/* After the end of the stream: 0, or the error that was in it. */
int pull_result(struct pull *pull, struct err *err);

/* The stream was given up: adds to the error how far it was, and what to look at. */
void pull_explain(const struct pull *pull, struct err *err);

#endif
