/*
 * The progress that the engine streams while it pulls an image, one JSON object a line: summed up for people.
 * Used by docker.c alone.
 * Source: Docker Engine API 1.41, POST /images/create.
 */
#ifndef APILB_IO_DOCKER_PULL_H
#define APILB_IO_DOCKER_PULL_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/*
 * "registry:5000/a/b:tag" gives "registry:5000/a/b" and "tag". Where ref has a digest, *tag is the digest;
 * where it has neither, *tag is "latest", since the engine would pull all tags otherwise. The caller frees
 * both.
 */
void image_ref_split(const char *ref, char **name, char **tag);

/* How long a whole pull may take; docker.c limits the engine's silence as well. A variable so that a test can
 * shorten it. */
#define PULL_LIMIT_MS (30 * 60 * 1000)
extern int64_t pull_limit_ms;

struct pull;
struct pull *pull_new(const char *ref);
void pull_free(struct pull *pull); /* NULL is fine */

/* Takes bytes of the stream, cut anywhere. Returns "pulling haproxy:3.0: 2/5 layers, 12.3 MB of 40.1 MB",
 * valid until the next call, when this text has changed; else NULL. */
const char *pull_feed(struct pull *pull, const char *data, size_t len);

/* After the end of the stream: 0, or -1 with the error that the engine reported in it. */
int pull_result(struct pull *pull, struct err *err);

/* For a pull that was given up: adds to the error how far the pull had come, and where to look. */
void pull_explain(const struct pull *pull, struct err *err);

#endif
