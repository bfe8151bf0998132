/* Observing: looks at the config file and asks the HAProxy of one target, one request at a time. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/memory/accepted.h"
#include "daemon/core/plan/difference.h"
#include "daemon/io/archive.h"
#include "daemon/io/clock.h"
#include "daemon/run/job_internal.h"

/*
 * How long a HAProxy may take to answer. Most answer at once; one that is short of CPU time needs longer, and
 * the other balancers of the host wait for it.
 */
#define STATS_TIMEOUT_MS 5000
/*
 * Many silent balancers must not hold up a host: in one look the full timeout is given to one HAProxy that is
 * known to be silent, and to the others until they have taken STATS_PATIENCE_MS together. After that each
 * gets STATS_HURRY_MS, and a HAProxy that was not known to be silent does not count as silent for missing
 * that.
 */
#define STATS_PATIENCE_MS 10000
#define STATS_HURRY_MS 1000

/* config: looks at the file on the host, through a container that mounts it as ours would */

/* A container that was made for another file in the same directory shows this file as well, but not whose the
 * file is. */
static bool sees_the_file(const struct job_target *target, const struct observed_container *container)
{
	return job_is_ours(target, container) && container->status != CONTAINER_DEAD &&
	       difference_mounts_as(container, target->order.wanted->create) &&
	       observed_is_told(container, target->order.wanted->config_in_container);
}

static const struct observed_container *config_view(const struct job_target *target)
{
	const struct observed_instance *observed = &target->result.observed;

	if (sees_the_file(target, observed->current))
		return observed->current;
	return sees_the_file(target, observed->next) ? observed->next : NULL;
}

enum {
	CONFIG_HEAD,
	CONFIG_HEAD_AGAIN, /* CONFIG_HEAD was answered with an error */
	CONFIG_GET,
	CONFIG_DONE, /* from here on two steps for each file that the config refers to: HEAD and GET */
};

static void config_done(struct job *job, bool exists)
{
	struct observed_instance *observed = &job_current(job)->result.observed;

	observed->config_known = true;
	observed->config_exists = exists;
	job->step = CONFIG_DONE;
	job_run(job);
}

/* Remembers the file's size and time only now that its text was read: else the next look must read it. */
static void take_config(struct job_target *target, size_t len, const char *path_stat)
{
	struct observed_instance *observed = &target->result.observed;
	struct host_file as_read = {0};
	const struct host_file *file;

	sha256_hex(observed->config, len, observed->config_sha256);
	host_file_stat(&as_read, path_stat);
	file = as_read.mtime ? &as_read : &observed->file;
	memory_read_config(&target->memory, observed->config_sha256, file->size, file->mtime);
	host_file_clear(&as_read);
}

static void on_config_get(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	struct observed_instance *observed = &target->result.observed;
	struct err bad = {.kind = ERR_NONE};
	size_t len;

	if (err) {
		/* The size and time that HEAD told belong to a text that was not read. */
		memory_doubt_config(&target->memory);
		job_request_failed(job, err);
		return;
	}
	memory_doubt_config(&target->memory);
	if (reply->status == 404) {
		observed->file.kind = HOST_FILE_MISSING;
	} else if (archive_first_file(reply->body, reply->body_len, HOST_FILE_MAX_BYTES, &observed->config,
				      &len, &bad) == 0) {
		take_config(target, len, reply->path_stat);
	} else if (bad.kind == ERR_TRANSIENT) {
		/* Half an answer says nothing about the file. */
		err_prefix(&bad, "read %s", target->order.wanted->instance.config_path);
		job_request_failed(job, &bad);
		return;
	} else if (archive_is_empty_directory(reply->body, reply->body_len)) {
		observed->file.kind = HOST_FILE_EMPTY_DIRECTORY;
	}
	config_done(job, observed->config != NULL);
}

/* True when size and time are still those of the text that was last read. */
static bool is_unchanged(const struct job_target *target)
{
	const struct host_file *file = &target->result.observed.file;

	return file->kind == HOST_FILE_REGULAR && memory_has_config(&target->memory, file->size, file->mtime);
}

/* An engine that mounts a missing file makes a directory in its place: such a directory is empty. */
static bool may_be_the_engines(const struct job_target *target)
{
	return target->order.wanted->mounts_file && target->result.observed.file.kind == HOST_FILE_DIRECTORY;
}

static void on_config_head(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	struct observed_instance *observed = &target->result.observed;

	/* An engine that cannot mount a missing file answers with an error (and makes a directory there). */
	if (err && !(target->order.wanted->mounts_file && docker_usable(job->docker))) {
		job_request_failed(job, err);
		return;
	}
	if (err && job->step == CONFIG_HEAD) {
		job->step = CONFIG_HEAD_AGAIN; /* ask again: any other trouble is over by then */
		job_run(job);
		return;
	}
	if (err) {
		/* A helper can tell (job_look.c). */
		memory_doubt_config(&target->memory);
		observed->config_in_doubt = true;
		job->step = CONFIG_DONE;
		job_run(job);
		return;
	}
	if (reply->status == 404) {
		memory_doubt_config(&target->memory);
		config_done(job, false);
		return;
	}
	host_file_stat(&observed->file, reply->path_stat);
	observed->config_mode_wrong = observed->file.mode >= 0 && observed->file.mode != CONFIG_MODE;
	if (is_unchanged(target) && !job->options.observe_only) {
		memcpy(observed->config_sha256, target->memory.config_sha256, SHA256_HEX_SIZE);
		config_done(job, true);
	} else if (host_file_is_readable(&observed->file) || may_be_the_engines(target)) {
		job->step = CONFIG_GET;
		job_run(job);
	} else {
		/* It is no file that we would have written: its content does not matter. */
		memory_doubt_config(&target->memory);
		config_done(job, observed->file.kind == HOST_FILE_REGULAR);
	}
}

/*
 * The files that the config refers to. Their names follow from their content, but
 * somebody on the host may have changed the content: a file is read again when its
 * time is not the one of the last reading.
 */

static const struct haproxy_file *companion_in_hand(const struct job *job)
{
	return &job->targets[job->target].order.wanted->files[(job->step - CONFIG_DONE) / 2];
}

static void companion_done(struct job *job, const char *lost)
{
	struct job_target *target = job_current(job);

	if (lost && !target->result.observed.lost_file)
		target->result.observed.lost_file = xasprintf("%s is %s", companion_in_hand(job)->name, lost);
	job->step += job->step % 2 == CONFIG_DONE % 2 ? 2 : 1;
	job_run(job);
}

static const char changed[] = "not as it was written";

static void on_companion_get(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	const struct haproxy_file *file = companion_in_hand(job);
	struct host_file is = {0};
	struct err bad;
	char *text = NULL;
	size_t len;
	bool same;

	if (err) {
		job_request_failed(job, err);
		return;
	}
	same = reply->status != 404 &&
	       archive_first_file(reply->body, reply->body_len, file->len, &text, &len, &bad) == 0 &&
	       len == file->len && memcmp(text, file->text, len) == 0;
	free(text);
	if (same) {
		host_file_stat(&is, reply->path_stat);
		memory_saw_companion(&target->memory, file->name, is.mtime);
		host_file_clear(&is);
	} else {
		FREE(target->memory.companions_seen);
	}
	companion_done(job, same ? NULL : changed);
}

static void on_companion_head(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	const struct haproxy_file *file = companion_in_hand(job);
	struct host_file is = {0};

	/* An engine that cannot mount a missing directory answers with an error. Whether the directory is
	 * missing, its stats socket tells (on_stats_dir). */
	if (err && !docker_usable(job->docker)) {
		job_request_failed(job, err);
		return;
	}
	if (err || reply->status == 404) {
		companion_done(job, err ? NULL : "missing");
		return;
	}
	host_file_stat(&is, reply->path_stat);
	if (is.kind != HOST_FILE_REGULAR || is.size != (int64_t)file->len ||
	    (is.mode >= 0 && is.mode != COMPANION_MODE)) {
		companion_done(job, changed);
	} else if (memory_has_companion(&job_current(job)->memory, file->name, is.mtime) &&
		   !job->options.observe_only) {
		companion_done(job, NULL);
	} else {
		job->step++;
		job_run(job);
	}
	host_file_clear(&is);
}

/* The files matter only if the host's file is the wanted config: if it is not, all are written anyway. */
static enum step look_at_companion(struct job *job, struct job_target *target,
				   const struct observed_container *view)
{
	const struct wanted *wanted = target->order.wanted;
	char *path;

	if ((job->step - CONFIG_DONE) / 2 >= (int)wanted->files_n || !target->result.observed.config_exists ||
	    strcmp(target->result.observed.config_sha256, wanted->config_sha256) != 0)
		return STEP_NEXT;
	path = haproxy_file_path(target->order.name, companion_in_hand(job)->name);
	if (job->step % 2 == CONFIG_DONE % 2)
		docker_head_archive(job->docker, view->id, path, on_companion_head, job);
	else
		docker_get_archive(job->docker, view->id, path, on_companion_get, job);
	free(path);
	return STEP_WAIT;
}

enum step job_look_at_config(struct job *job, struct job_target *target)
{
	const struct observed_container *view = target->order.wanted ? config_view(target) : NULL;

	target->result.observed.file_is_ours = view || (target->order.wanted && job_knows_file(job, target));
	if (!view)
		return STEP_NEXT;
	if (job->step >= CONFIG_DONE)
		return look_at_companion(job, target, view);
	if (job->step < CONFIG_GET)
		docker_head_archive(job->docker, view->id, target->order.wanted->config_in_container,
				    on_config_head, job);
	else
		docker_get_archive(job->docker, view->id, target->order.wanted->config_in_container,
				   on_config_get, job);
	return STEP_WAIT;
}

bool job_needs_former_config(const struct job_target *target)
{
	const struct observed_instance *observed = &target->result.observed;

	return target->order.wanted && observed->config_exists && !observed->config && observed->current &&
	       host_file_is_readable(&observed->file) && observed->stats == STATS_ANSWERED;
}

enum step job_read_config(struct job *job, struct job_target *target)
{
	docker_get_archive(job->docker, target->result.observed.current->id,
			   target->order.wanted->config_in_container, on_config_get, job);
	return STEP_WAIT;
}

/* stats: asks the running HAProxy; if it does not answer, finds out why */

/* If our login on the host is root, no other user needs the socket's directory, and all others are kept out:
 * they could use up the socket's connections. */
int64_t job_run_dir_mode(const struct job *job)
{
	return job->options.as_root ? RUN_DIR_MODE_PRIVATE : RUN_DIR_MODE;
}

enum { STATS_LOOK_DIR, STATS_OPEN, STATS_LOOK_SOCKET, STATS_DONE };

static void stats_silent(struct job *job, const struct err *err)
{
	struct observed_instance *observed = &job_current(job)->result.observed;

	free(observed->stats_error);
	observed->stats = STATS_FAILED;
	observed->stats_error = xasprintf("stats socket: %s", err->message);
	job->step = STATS_LOOK_SOCKET;
	job_run(job);
}

static void on_stats(void *arg, const char *text, size_t len, const struct err *err)
{
	struct job *job = arg;
	struct observed_instance *observed = &job_current(job)->result.observed;
	const struct spec_health_check *health = &job_current(job)->order.wanted->instance.health_check;

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

static int64_t stats_timeout_ms(const struct job *job)
{
	bool patient = job->known_silent ? !job->waited_for_silent : job->waited_ms < STATS_PATIENCE_MS;

	return patient ? STATS_TIMEOUT_MS : STATS_HURRY_MS;
}

/* The HAProxy may only be slow: it was given STATS_HURRY_MS, and used all of it. */
static bool was_hurried(const struct job *job, int64_t waited_ms)
{
	return !job->known_silent && stats_timeout_ms(job) == STATS_HURRY_MS && waited_ms >= STATS_HURRY_MS;
}

static void on_stats_open(void *arg, struct bufferevent *stream, const struct err *err)
{
	struct job *job = arg;

	job->opening = NULL;
	if (err) {
		stats_silent(job, err);
		return;
	}
	job->query = haproxy_query(stream, "show info;show stat", stats_timeout_ms(job), on_stats, job);
}

static void on_stats_dir(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct observed_instance *observed = &job_current(job)->result.observed;
	struct host_file dir = {0};

	/*
	 * An engine that cannot mount a missing directory answers with an error. But
	 * the error may have another reason, which must not lead to the replacement of
	 * a container: so the directory counts as missing only if the engine has an
	 * error for the socket as well.
	 */
	if (err && !docker_usable(job->docker)) {
		job_request_failed(job, err);
		return;
	}
	job->step = STATS_OPEN;
	job->dir_in_doubt = err != NULL;
	if (!err && reply->status == 404) {
		observed->stats = STATS_DIR_MISSING;
		job->step = STATS_DONE;
	} else if (!err) {
		host_file_stat(&dir, reply->path_stat);
		observed->run_dir_mode_wrong = dir.mode >= 0 && dir.mode != job_run_dir_mode(job);
		host_file_clear(&dir);
	}
	job_run(job);
}

static void on_stats_socket(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	if (err && !(job->dir_in_doubt && docker_usable(job->docker))) {
		job_request_failed(job, err);
		return;
	}
	if (err)
		job_current(job)->result.observed.stats = STATS_DIR_MISSING;
	else if (reply->status == 404)
		job_current(job)->result.observed.stats = STATS_NO_SOCKET;
	job->step = STATS_DONE;
	job_run(job);
}

/* The container whose HAProxy is asked: the current one, or the successor if nothing else of the balancer
 * runs. NULL: there is none to ask. */
static const struct observed_container *answerer(const struct job_target *target)
{
	const struct observed_container *asked = observed_answerer(&target->result.observed);

	if (!target->order.wanted || !job_is_ours(target, asked) || !asked->token[0])
		return NULL;
	/* A paused container does not answer, but its socket shows whether it could. */
	return asked->status == CONTAINER_RUNNING || asked->status == CONTAINER_PAUSED ? asked : NULL;
}

static void judge_silence(struct job *job, struct job_target *target, int64_t now)
{
	struct observed_instance *observed = &target->result.observed;
	const struct silence *silence = &target->memory.silence;

	if (job->known_silent)
		job->waited_for_silent = true;
	else
		job->waited_ms += now - job->asked.ms;
	/* A missing socket does not come back, so the first successor is due at once; not the next ones,
	 * since somebody may remove the socket again and again. */
	observed->successor_due =
		silence_is_due(silence, now) || (observed->stats == STATS_NO_SOCKET && silence->tries == 0);
	observed->silence = silence_words(silence, observed->stats_error ? observed->stats_error : "");
	/* HAProxy opens its socket a moment after its start: until then it does not count as missing or
	 * broken. */
	if (silence_is_early(silence, now))
		observed->stats = STATS_EARLY;
}

static void note_silence(struct job *job, struct job_target *target, const struct observed_container *asked)
{
	struct observed_instance *observed = &target->result.observed;
	struct silence *silence = &target->memory.silence;
	bool silent = observed_is_silent(observed);
	char *run = silence_run(asked->id, asked->started_at);
	int64_t now = clock_ms();

	if (observed->stats == STATS_ANSWERED) {
		silence_broken(silence, run, now);
	} else if (silent && was_hurried(job, now - job->asked.ms)) {
		observed->stats = STATS_EARLY;
		observed->hurried = true;
	} else if (silent) {
		silence_met(silence, run, job->asked, job->options.silent_after_ms);
		judge_silence(job, target, now);
	}
	free(run);
}

static bool is_known_silent(const struct job_target *target, const struct observed_container *asked)
{
	char *run = silence_run(asked->id, asked->started_at);
	bool known = silence_has(&target->memory.silence, run);

	free(run);
	return known;
}

enum step job_ask_haproxy(struct job *job, struct job_target *target)
{
	const struct observed_container *asked = answerer(target);
	struct observed_instance *observed = &target->result.observed;
	char *path;

	if (!target->order.wanted)
		return job_ask_leaver(job, target);
	if (!asked)
		return STEP_NEXT;
	if (asked->status == CONTAINER_PAUSED && job->step == STATS_OPEN)
		job->step = STATS_LOOK_SOCKET;
	path = haproxy_socket_path(target->order.name, asked->token);
	switch (job->step) {
	case STATS_OPEN:
		job->opening =
			job->options.open(job->options.arg, path, stats_timeout_ms(job), on_stats_open, job);
		break;
	case STATS_LOOK_DIR:
		job->asked = job_clock();
		job->known_silent = is_known_silent(target, asked);
		*strrchr(path, '/') = '\0';
		docker_head_archive(job->docker, asked->id, path, on_stats_dir, job);
		break;
	case STATS_LOOK_SOCKET:
		docker_head_archive(job->docker, asked->id, path, on_stats_socket, job);
		break;
	default:
		/* A paused HAProxy cannot answer; a missing socket will still be missing when it goes on. */
		if (asked->status == CONTAINER_RUNNING)
			note_silence(job, target, asked);
		else
			observed->successor_due = observed->stats == STATS_NO_SOCKET;
		free(path);
		return STEP_NEXT;
	}
	free(path);
	return STEP_WAIT;
}

/* image: looked at only when the plan has actions. It is the wanted image, or the image of the container that
 * stays. */

const char *job_image_id(const struct job_target *target)
{
	const struct observed_instance *observed = &target->result.observed;

	if (!observed->current || observed->image_lost || plan_makes_container(&target->result.plan))
		return NULL;
	return observed->current->image_id;
}

static void on_image(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	struct observed_instance *observed = &target->result.observed;
	const char *id;

	if (err) {
		job_request_failed(job, err);
		return;
	}
	/* Engines may drop the image of a container that still exists (containerd's image store does). */
	if (reply->status == 404 && job_image_id(target)) {
		observed->image_lost = true;
		job_run(job);
		return;
	}
	observed->image_known = true;
	observed->image_present = reply->status != 404;
	id = observed->image_present ? json_text(reply->json, "Id", NULL) : NULL;
	if (id)
		observed->config_accepted =
			accepted_has(target->memory.accepted, id, target->order.wanted->config_sha256);
	job_run(job);
}

enum step job_look_at_image(struct job *job, struct job_target *target)
{
	const char *image = job_image_id(target);

	docker_image_inspect(job->docker, image ? image : target->order.wanted->instance.image, on_image,
			     job);
	return STEP_WAIT;
}
