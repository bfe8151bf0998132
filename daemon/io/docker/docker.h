/*
 * The Docker Engine API, 1.38 to 1.44 (negotiated), over a stream.
 * Source: https://docs.docker.com/engine/api/v1.41/
 *
 * One function an endpoint; one shape of answer. An error reply becomes an
 * error with the engine's own message and no HTTP in it. Podman's service
 * speaks the same API.
 */
#ifndef APILB_IO_DOCKER_H
#define APILB_IO_DOCKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/*
 * What a reply may be at most. A host answers with far less; one that answers with more is broken or means
 * harm, and must not cost the daemon memory, or others their turn. Such a reply is an error (ERR_PERMANENT)
 * that says so, and what to look at on the host. Only after a list or a pull that is too long is the
 * connection of no more use.
 */
#define DOCKER_MAX_WORD_BYTES (64u << 10) /* errors, and what says little: ping, create, exec, wait */
#define DOCKER_MAX_WORD_VALUES 1000
#define DOCKER_MAX_DETAILS_BYTES (512u << 10) /* inspect: of a container, of an image */
#define DOCKER_MAX_DETAILS_VALUES 4000
#define DOCKER_MAX_LISTED 5000             /* containers in a list, */
#define DOCKER_MAX_ENTRY_BYTES (64u << 10) /* and what is said of each */
#define DOCKER_MAX_ENTRY_VALUES 1000
#define DOCKER_MAX_FILE_BYTES (5u << 20) /* archive GET, as tar; more than HOST_FILE_MAX_BYTES */
#define DOCKER_MAX_LOG_BYTES (1u << 20)
#define DOCKER_MAX_PULL_BYTES (64u << 20) /* progress: half an hour of a slow registry */
#define DOCKER_MAX_DEPTH 16

struct bufferevent;
struct json_object;
struct docker;
struct docker_call;

#define DOCKER_API_MIN "1.38"
/* What Docker 29 has at least: it refuses any older version. */
#define DOCKER_API_MAX "1.44"

/* Valid only within the callback; json_object_get() what is to be kept. */
struct docker_reply {
	int status;               /* HTTP: 404 of an inspect is an answer, see below */
	struct json_object *json; /* NULL when the body is not JSON */
	const char *body;
	size_t body_len;
	const char
		*path_stat; /* archive HEAD and GET: decoded X-Docker-Container-Path-Stat JSON, else NULL */
};

/*
 * Exactly once, never from within the call, not after docker_cancel or
 * docker_free; may send, cancel, and free the engine. err is NULL on 2xx, on 304 (already so), and, for
 * inspect, head, get and remove calls, on 404 (then reply->status is 404: there is no such thing).
 * Kinds: ERR_CONFLICT (409 of create and rename: another container has the name), ERR_TRANSIENT
 * (no reply, timeout, 5xx, garbage, 409 of anything else: the state has changed meanwhile),
 * ERR_PERMANENT (the rest, and replies that are too large). The message is "create container NAME: <engine's
 * message>". reply is NULL only when there was none; with an error, its status tells more (404 of a create:
 * the image is missing).
 */
typedef void docker_cb(void *arg, const struct docker_reply *reply, const struct err *err);

struct docker *docker_new(struct bufferevent *stream); /* takes the stream over */
void docker_free(struct docker *docker);               /* NULL is fine */
bool docker_usable(const struct docker *docker);
/* It has answered more than the ping, usable or not by now. */
bool docker_is_of_use(const struct docker *docker);
void docker_cancel(struct docker_call *call);

/* Requests that can change the host, for the metrics and the "quiet" promise: counted over the process. */
struct docker_counters {
	uint64_t requests;
	uint64_t mutating;
};
extern struct docker_counters docker_counters;

/* Must come first: negotiates the API version (GET /_ping, Api-Version header). ERR_PERMANENT when the engine
 * is too old. */
struct docker_call *docker_ping(struct docker *d, docker_cb *cb, void *arg);

/* One container of the list; valid only within the callback, which may do nothing to the engine. */
typedef void docker_entry_cb(void *arg, struct json_object *entry);
/*
 * All containers, running or not, that carry the label ("io.apilb.owner=apilb"): one by one, as they arrive,
 * and then cb, whose reply has no json. After an error those that came are not all.
 */
struct docker_call *docker_list(struct docker *d, const char *label, docker_entry_cb *entry, docker_cb *cb,
				void *arg);
struct docker_call *docker_inspect(struct docker *d, const char *id_or_name, docker_cb *cb, void *arg);
struct docker_call *docker_create(struct docker *d, const char *name, struct json_object *config,
				  docker_cb *cb, void *arg);
struct docker_call *docker_start(struct docker *d, const char *id, docker_cb *cb, void *arg);
/* Until it has ended, at most for the request's deadline and extra_s: reply->json is { "StatusCode": its exit
 * code }. */
struct docker_call *docker_wait(struct docker *d, const char *id, int extra_s, docker_cb *cb, void *arg);
/* timeout_s: how long the engine waits before it kills; the request's deadline is longer. */
struct docker_call *docker_stop(struct docker *d, const char *id, int timeout_s, docker_cb *cb, void *arg);
struct docker_call *docker_kill(struct docker *d, const char *id, const char *signal, docker_cb *cb,
				void *arg);
/*
 * A command in the container, as its user. The reply of the first has the
 * command's Id for the second, which does not wait for its end. command ends with NULL.
 */
struct docker_call *docker_exec_create(struct docker *d, const char *id, const char *const *command,
				       docker_cb *cb, void *arg);
struct docker_call *docker_exec_start(struct docker *d, const char *exec_id, docker_cb *cb, void *arg);
struct docker_call *docker_unpause(struct docker *d, const char *id, docker_cb *cb, void *arg);
struct docker_call *docker_rename(struct docker *d, const char *id, const char *name, docker_cb *cb,
				  void *arg);
/* A container that is gone already is no error. */
struct docker_call *docker_remove(struct docker *d, const char *id, bool force, docker_cb *cb, void *arg);
struct docker_call *docker_image_inspect(struct docker *d, const char *ref, docker_cb *cb, void *arg);

/* Progress of a pull, for people: layer states and bytes summed up. */
typedef void docker_progress_cb(void *arg, const char *text);
/* No tag means latest. An error within the progress stream (the engine has then said 200) is an error here.
 */
struct docker_call *docker_pull(struct docker *d, const char *ref, docker_progress_cb *progress,
				docker_cb *cb, void *arg);

/* tar: an uncompressed archive, copied. path: the directory in the container under which it is unpacked. */
struct docker_call *docker_put_archive(struct docker *d, const char *id, const char *path, const void *tar,
				       size_t len, docker_cb *cb, void *arg);
/* The reply's body is a tar archive (see archive.h). */
struct docker_call *docker_get_archive(struct docker *d, const char *id, const char *path, docker_cb *cb,
				       void *arg);
struct docker_call *docker_head_archive(struct docker *d, const char *id, const char *path, docker_cb *cb,
					void *arg);

/* The last `lines` lines of stdout and stderr; body is plain text: the engine's frames are taken off. */
struct docker_call *docker_logs(struct docker *d, const char *id, int lines, docker_cb *cb, void *arg);

#endif
