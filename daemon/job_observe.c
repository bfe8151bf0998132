/* Observing: config file and HAProxy of one target, a request at a time. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "daemon/clock.h"
#include "daemon/core/accepted.h"
#include "daemon/core/haproxy.h"
#include "daemon/io/archive.h"
#include "daemon/job_internal.h"

#define MAX_CONFIG_BYTES (1u << 20)
#define STATS_TIMEOUT_MS 5000
/* A HAProxy that has just started is given this many looks before its silence counts. */
#define EARLY_LOOKS 3
/* One that ran for longer may be short of CPU, or its socket of places: connections are worth this patience.
 */
#define SILENT_LONG_MS 60000

/* config: the file on the host, seen through a container that mounts it as we would */

static bool sees_the_file(const struct job_target *target, const struct observed_container *container)
{
	return job_is_ours(target, container) && container->status != CONTAINER_DEAD &&
	       observed_mounts_as(container, target->wanted->create);
}

static const struct observed_container *config_view(const struct job_target *target)
{
	const struct observed_instance *observed = &target->observed;

	if (sees_the_file(target, observed->current))
		return observed->current;
	return sees_the_file(target, observed->next) ? observed->next : NULL;
}

enum {
	CONFIG_HEAD,
	CONFIG_GET,
	CONFIG_DONE, /* from here on one for each of the files beside it */
};

static void on_config_get(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	struct observed_instance *observed = &target->observed;
	struct err bad;
	size_t len;

	if (err) {
		/* Size and time are of a text that nobody has read. */
		target->config_size = -1;
		job_request_failed(job, err);
		return;
	}
	job->step = CONFIG_DONE;
	observed->config_known = true;
	observed->config_exists = reply->status != 404;
	if (observed->config_exists && archive_first_file(reply->body, reply->body_len, MAX_CONFIG_BYTES,
							  &observed->config, &len, &bad) != 0) {
		/* A directory, say: not the file that we want, whatever it is. */
		observed->config_exists = false;
	}
	if (observed->config_exists) {
		sha256_hex(observed->config, len, observed->config_sha256);
		memcpy(target->config_sha256, observed->config_sha256, SHA256_HEX_SIZE);
	} else {
		target->config_size = -1;
	}
	job_run(job);
}

/* Go's os.FileMode: the permission bits are the lowest nine. */
static bool has_mode(struct json_object *stat, int64_t wanted)
{
	return (json_number_in(stat, "mode", 0, UINT32_MAX, wanted) & 0777) == wanted;
}

/* Whether size and mtime are those of the last reading. Keeps what they are now. */
static bool is_unchanged(struct job_target *target, struct json_object *stat)
{
	int64_t size = json_number_in(stat, "size", 0, INT64_MAX, -1);
	const char *mtime = json_text(stat, "mtime", NULL);
	bool same = size >= 0 && mtime && target->config_size == size && target->config_mtime &&
		    strcmp(target->config_mtime, mtime) == 0;

	target->observed.config_mode = !has_mode(stat, CONFIG_MODE);
	target->config_size = mtime ? size : -1;
	free(target->config_mtime);
	target->config_mtime = xstrdup(mtime);
	return same && target->config_sha256[0] != '\0';
}

static void on_config_head(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);

	/* An engine that cannot mount a file which is gone says so with an error (and leaves a directory
	 * there). */
	if (err && !(target->wanted->mounts_file && docker_usable(job->docker))) {
		job_request_failed(job, err);
		return;
	}
	job->step = CONFIG_GET;
	if (err || reply->status == 404) {
		target->observed.config_known = true;
		target->config_size = -1;
		job->step = CONFIG_DONE;
	} else if (json_number(reply->path_stat, "size") > MAX_CONFIG_BYTES) {
		/* Not the file that we want, whatever it is: it need not be read to see that. */
		target->observed.config_known = true;
		target->config_size = -1;
		job->step = CONFIG_DONE;
	} else if (is_unchanged(target, reply->path_stat) && !job->options.observe_only) {
		target->observed.config_known = target->observed.config_exists = true;
		memcpy(target->observed.config_sha256, target->config_sha256, SHA256_HEX_SIZE);
		job->step = CONFIG_DONE;
	}
	job_run(job);
}

/* The files beside the config: their names tell their content, so a look at the size is enough to see damage.
 */

static bool is_as_written(const struct haproxy_file *file, struct json_object *stat)
{
	return has_mode(stat, BESIDE_MODE) &&
	       json_number_in(stat, "size", 0, INT64_MAX, -1) == (int64_t)file->len;
}

static void on_beside_head(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	const struct haproxy_file *file = &target->wanted->files[job->step - CONFIG_DONE];
	bool is_there = !err && reply->status != 404;

	/* An engine that cannot mount a directory which is gone says so with an error. */
	if (err && !docker_usable(job->docker)) {
		job_request_failed(job, err);
		return;
	}
	if (!target->observed.lost_file && (!is_there || !is_as_written(file, reply->path_stat)))
		target->observed.lost_file =
			xasprintf("%s is %s", file->name, is_there ? "not as it was written" : "missing");
	job->step++;
	job_run(job);
}

/* They are of interest while the config names them: with another one they are written anyway. */
static enum step look_beside(struct job *job, struct job_target *target,
			     const struct observed_container *view)
{
	const struct wanted *wanted = target->wanted;
	size_t i = (size_t)(job->step - CONFIG_DONE);
	char *path;

	if (i >= wanted->files_n || !target->observed.config_exists ||
	    strcmp(target->observed.config_sha256, wanted->config_sha256) != 0)
		return STEP_NEXT;
	path = haproxy_file_path(target->name, wanted->files[i].name);
	docker_head_archive(job->docker, view->id, path, on_beside_head, job);
	free(path);
	return STEP_WAIT;
}

enum step job_look_at_config(struct job *job, struct job_target *target)
{
	const struct observed_container *view = target->wanted ? config_view(target) : NULL;

	if (!view)
		return STEP_NEXT;
	if (job->step >= CONFIG_DONE)
		return look_beside(job, target, view);
	if (job->step == CONFIG_HEAD)
		docker_head_archive(job->docker, view->id, target->wanted->config_in_container,
				    on_config_head, job);
	else
		docker_get_archive(job->docker, view->id, target->wanted->config_in_container, on_config_get,
				   job);
	return STEP_WAIT;
}

bool job_needs_former_config(const struct job_target *target)
{
	const struct observed_instance *observed = &target->observed;

	return target->wanted && observed->config_exists && !observed->config && observed->current &&
	       observed->stats == STATS_ANSWERED;
}

enum step job_read_config(struct job *job, struct job_target *target)
{
	docker_get_archive(job->docker, target->observed.current->id, target->wanted->config_in_container,
			   on_config_get, job);
	return STEP_WAIT;
}

/* stats: what the running HAProxy itself says; and where it says nothing, why */

enum { STATS_LOOK_DIR, STATS_OPEN, STATS_LOOK_SOCKET, STATS_DONE };

static void stats_silent(struct job *job, const struct err *err)
{
	struct observed_instance *observed = &job_current(job)->observed;

	free(observed->stats_error);
	observed->stats = STATS_FAILED;
	observed->stats_error = xasprintf("stats socket: %s", err->message);
	job->step = STATS_LOOK_SOCKET;
	job_run(job);
}

static void on_stats(void *arg, const char *text, size_t len, const struct err *err)
{
	struct job *job = arg;
	struct observed_instance *observed = &job_current(job)->observed;
	const struct spec_health_check *health = &job_current(job)->wanted->instance.health_check;

	(void)len;
	job->query = NULL;
	if (err) {
		stats_silent(job, err);
		return;
	}
	observed_stats_parse(observed, text);
	if (health->ca)
		observed_stats_suspect_certificates(observed, haproxy_name_in_certificates(health));
	observed->asked_at_ms = clock_now_ms();
	job->step = STATS_DONE;
	job_run(job);
}

static void on_stats_open(void *arg, struct bufferevent *stream, const struct err *err)
{
	struct job *job = arg;

	job->opening = NULL;
	if (err) {
		stats_silent(job, err);
		return;
	}
	job->query = haproxy_query(stream, "show info;show stat", STATS_TIMEOUT_MS, on_stats, job);
}

static void on_stats_dir(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct observed_instance *observed = &job_current(job)->observed;

	/* An engine that cannot mount a directory which is gone says so with an error. */
	if (err && !docker_usable(job->docker)) {
		job_request_failed(job, err);
		return;
	}
	job->step = STATS_OPEN;
	if (err || reply->status == 404) {
		observed->stats = STATS_DIR_MISSING;
		job->step = STATS_DONE;
	} else if (!has_mode(reply->path_stat, RUN_DIR_MODE)) {
		observed->stats = STATS_DIR_MODE;
		job->step = STATS_DONE;
	}
	job_run(job);
}

static void on_stats_socket(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	if (err) {
		job_request_failed(job, err);
		return;
	}
	if (reply->status == 404)
		job_current(job)->observed.stats = STATS_NO_SOCKET;
	job->step = STATS_DONE;
	job_run(job);
}

/* Who is asked: the balancer, or the successor that is all that runs of it. NULL: nobody. */
static const struct observed_container *answerer(const struct job_target *target)
{
	const struct observed_container *asked = observed_answerer(&target->observed);

	if (!target->wanted || !job_is_ours(target, asked) || !asked->token[0])
		return NULL;
	/* One that is paused does not answer, but whether it could can be seen. */
	return asked->status == CONTAINER_RUNNING || asked->status == CONTAINER_PAUSED ? asked : NULL;
}

static void note_silence(struct job_target *target)
{
	struct observed_instance *observed = &target->observed;
	int64_t now = clock_monotonic_ms();

	if (observed->stats != STATS_FAILED)
		target->silent_since_ms = 0;
	else if (target->silent_since_ms == 0)
		target->silent_since_ms = now;
	observed->silent_long =
		target->silent_since_ms != 0 && now - target->silent_since_ms >= SILENT_LONG_MS;
}

/* The same container, not restarted since it was last seen to be right. */
static bool ran_before(const struct job_target *target, const struct observed_container *asked)
{
	return target->known_id && strcmp(target->known_id, asked->id) == 0 && target->known_started_at &&
	       asked->started_at && strcmp(target->known_started_at, asked->started_at) == 0;
}

enum step job_ask_haproxy(struct job *job, struct job_target *target)
{
	struct observed_instance *observed = &target->observed;
	const struct observed_container *asked = answerer(target);
	char *path;

	if (!asked)
		return STEP_NEXT;
	if (asked->status == CONTAINER_PAUSED && job->step == STATS_OPEN)
		job->step = STATS_LOOK_SOCKET;
	path = haproxy_socket_path(target->name, asked->token);
	switch (job->step) {
	case STATS_OPEN:
		job->opening =
			job->options.open(job->options.arg, path, STATS_TIMEOUT_MS, on_stats_open, job);
		break;
	case STATS_LOOK_DIR:
		*strrchr(path, '/') = '\0';
		docker_head_archive(job->docker, asked->id, path, on_stats_dir, job);
		break;
	case STATS_LOOK_SOCKET:
		docker_head_archive(job->docker, asked->id, path, on_stats_socket, job);
		break;
	default:
		/* Before it is called missing: HAProxy opens it a moment after its start. */
		if (asked->status == CONTAINER_RUNNING &&
		    (observed->stats == STATS_NO_SOCKET || observed->stats == STATS_FAILED) &&
		    job->looks <= EARLY_LOOKS && !ran_before(target, asked))
			observed->stats = STATS_EARLY;
		note_silence(target);
		free(path);
		return STEP_NEXT;
	}
	free(path);
	return STEP_WAIT;
}

/* image: asked for only when there is something to do. The wanted one, or the one of the container that
 * stays. */

static void on_image(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	struct observed_instance *observed = &target->observed;
	const char *id;

	if (err) {
		job_request_failed(job, err);
		return;
	}
	observed->image_known = true;
	observed->image_present = reply->status != 404;
	id = observed->image_present ? json_text(reply->json, "Id", NULL) : NULL;
	if (id)
		observed->config_accepted = accepted_has(target->accepted, id, target->wanted->config_sha256);
	job_run(job);
}

enum step job_look_at_image(struct job *job, struct job_target *target)
{
	const struct observed_container *current = target->observed.current;
	const char *image =
		current && !plan_makes_container(&target->plan) ? observed_image_id(current) : NULL;

	docker_image_inspect(job->docker, image ? image : target->wanted->instance.image, on_image, job);
	return STEP_WAIT;
}
