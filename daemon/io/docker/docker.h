/*
 * The Docker Engine API, 1.38 to 1.44 (negotiated), over a stream.
 * Source: https://docs.docker.com/engine/api/v1.41/
 *
 * Each endpoint has one function, and all answer through one callback type. An
 * error reply becomes a struct err with the engine's own message and no HTTP in
 * it. Podman's service speaks the same API.
 */
#ifndef APILB_IO_DOCKER_H
#define APILB_IO_DOCKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/*
 * Limits of replies. A sane host stays far below them; a broken or hostile one must not cost the daemon
 * memory, or other hosts their turn. A reply beyond its limit is an error (ERR_PERMANENT) that says so, and
 * which command shows it on the host. The connection stays usable, except after a list or a pull that is too
 * long.
 */
#define DOCKER_MAX_WORD_BYTES (64u << 10) /* errors, and short replies: ping, create, exec, wait */
#define DOCKER_MAX_WORD_VALUES 1000
#define DOCKER_MAX_DETAILS_BYTES (512u << 10) /* inspect: of a container, of an image */
#define DOCKER_MAX_DETAILS_VALUES 4000
#define DOCKER_MAX_LISTED 5000             /* containers in a list */
#define DOCKER_MAX_ENTRY_BYTES (64u << 10) /* one container's entry in a list */
#define DOCKER_MAX_ENTRY_VALUES 1000
#define DOCKER_MAX_FILE_BYTES (5u << 20) /* archive GET: the tar of a file of HOST_FILE_MAX_BYTES fits */
#define DOCKER_MAX_LOG_BYTES (1u << 20)
#define DOCKER_MAX_PULL_BYTES (64u << 20) /* progress of a pull that takes half an hour */
#define DOCKER_MAX_DEPTH 16

struct bufferevent;
struct json_object;
struct docker;
struct docker_call;

#define DOCKER_API_MIN "1.38"
/* Docker 29 refuses any older version. */
#define DOCKER_API_MAX "1.44"

/* Valid only within the callback; to keep a JSON object, call json_object_get() on it. */
struct docker_reply {
	int status;               /* HTTP status: 404 of an inspect is no error, see docker_cb */
	struct json_object *json; /* NULL when the body is not JSON */
	const char *body;
	size_t body_len;
	const char
		*path_stat; /* archive HEAD and GET: decoded X-Docker-Container-Path-Stat JSON, else NULL */
};

/*
 * Comes exactly once, never from within the call that began it, not after docker_cancel or docker_free. The
 * callback may send, cancel, or free the engine's connection.
 *
 * err is NULL on 2xx, on 304 (the container is in that state already), and, for inspect, head, get and remove
 * calls, on 404 (no such container, image or file: reply->status tells). Kinds of errors: ERR_CONFLICT (409
 * of create and rename: another container has the name), ERR_TRANSIENT (no reply, timeout, 5xx, garbage, 409
 * of any other call: the state has changed meanwhile), ERR_PERMANENT (any other status, and replies that are
 * too large). The message is "create container NAME: <engine's message>".
 *
 * reply is NULL only when none came. It may come together with an error: reply->status then tells more (404
 * of a create: the image is missing).
 */
typedef void docker_cb(void *arg, const struct docker_reply *reply, const struct err *err);

struct docker *docker_new(struct bufferevent *stream); /* takes the stream over */
void docker_free(struct docker *docker);               /* NULL is fine */
bool docker_usable(const struct docker *docker);
/* True once the engine has answered more than the ping, even if the connection has been lost since. */
bool docker_is_of_use(const struct docker *docker);
void docker_cancel(struct docker_call *call);

/* Requests since the process began, and those of them that can change a host: for the metrics, and for the
 * promise that nothing is changed on hosts that are as wanted. */
struct docker_counters {
	uint64_t requests;
	uint64_t mutating;
};
extern struct docker_counters docker_counters;

/* Must be the first call: negotiates the API version (GET /_ping, Api-Version header). ERR_PERMANENT when the
 * engine is too old. */
struct docker_call *docker_ping(struct docker *d, docker_cb *cb, void *arg);

/* One container of the list. entry is valid only within the callback, which must not call any docker_
 * function. */
typedef void docker_entry_cb(void *arg, struct json_object *entry);
/*
 * Lists all containers, running or not, that carry the label ("io.apilb.owner=apilb"). Each goes to entry as
 * it arrives; cb comes at the end, its reply without json. After an error the list was not complete.
 */
struct docker_call *docker_list(struct docker *d, const char *label, docker_entry_cb *entry, docker_cb *cb,
				void *arg);
struct docker_call *docker_inspect(struct docker *d, const char *id_or_name, docker_cb *cb, void *arg);
struct docker_call *docker_create(struct docker *d, const char *name, struct json_object *config,
				  docker_cb *cb, void *arg);
struct docker_call *docker_start(struct docker *d, const char *id, docker_cb *cb, void *arg);
/* Waits until the container has ended, at most for the request's deadline and extra_s more. reply->json is
 * { "StatusCode": EXIT CODE }. */
struct docker_call *docker_wait(struct docker *d, const char *id, int extra_s, docker_cb *cb, void *arg);
/* timeout_s: how long the engine waits before it kills; the request's deadline is longer by as much. */
struct docker_call *docker_stop(struct docker *d, const char *id, int timeout_s, docker_cb *cb, void *arg);
struct docker_call *docker_kill(struct docker *d, const char *id, const char *signal, docker_cb *cb,
				void *arg);
/*
 * Run a command in the container, as the container's user: docker_exec_create prepares it, and its reply has
 * the "Id" that docker_exec_start takes. docker_exec_start does not wait for the command's end. command ends
 * with NULL.
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

/* The progress of a pull in words, for people: layers and bytes, summed up. */
typedef void docker_progress_cb(void *arg, const char *text);
/* No tag means latest. An error that the engine reports within its progress stream, after status 200, is an
 * error here. */
struct docker_call *docker_pull(struct docker *d, const char *ref, docker_progress_cb *progress,
				docker_cb *cb, void *arg);

/* tar: an uncompressed archive, copied. path: the directory in the container where it is unpacked. */
struct docker_call *docker_put_archive(struct docker *d, const char *id, const char *path, const void *tar,
				       size_t len, docker_cb *cb, void *arg);
/* The reply's body is a tar archive (see archive.h). */
struct docker_call *docker_get_archive(struct docker *d, const char *id, const char *path, docker_cb *cb,
				       void *arg);
struct docker_call *docker_head_archive(struct docker *d, const char *id, const char *path, docker_cb *cb,
					void *arg);

/* The last `lines` lines of stdout and stderr. The reply's body is plain text, without engine frames. */
struct docker_call *docker_logs(struct docker *d, const char *id, int lines, docker_cb *cb, void *arg);

#endif
