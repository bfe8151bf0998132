/*
 * Looks at the path where a config is to be written, through a helper that is
 * never started. It is needed if no container of the balancer shows this path:
 * then a file there may be somebody else's.
 */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/container_name.h"
#include "daemon/io/archive.h"
#include "daemon/run/job_internal.h"

/* True when a container of ours, whatever its name, was made by the same request as the wanted container:
 * then it mounts this file, so the file is ours. */
static bool label_says(const struct job *job, const struct wanted *wanted)
{
	for (const struct listed *listed = job_first_listed(job); listed; listed = listed->next)
		if (listed->container->container_sha256 &&
		    strcmp(listed->container->container_sha256, wanted->container_sha256) == 0)
			return true;
	return false;
}

bool job_knows_file(const struct job *job, const struct job_target *target)
{
	return target->memory.config_sha256[0] || target->order.displaced ||
	       label_says(job, target->order.wanted);
}

typedef void look_fn(struct job *job, const char *helper, const char *path, docker_cb *cb);

static void head(struct job *job, const char *helper, const char *path, docker_cb *cb)
{
	docker_head_archive(job->docker, helper, path, cb, job);
}

static void get(struct job *job, const char *helper, const char *path, docker_cb *cb)
{
	docker_get_archive(job->docker, helper, path, cb, job);
}

static void look(struct job *job, struct job_target *target, look_fn *how, docker_cb *cb)
{
	char *helper = container_helper_name(target->order.name);
	char *path =
		xasprintf(HELPER_CONFIG_DIR "%s", strrchr(target->order.wanted->instance.config_path, '/'));

	how(job, helper, path, cb);
	free(helper);
	free(path);
}

static void take_stat(struct job_target *target, const struct docker_reply *reply)
{
	struct host_file *file = &target->result.observed.file;

	host_file_stat(file, reply->path_stat);
	if (reply->status == 404)
		file->kind = HOST_FILE_MISSING;
}

/* True when the file's text, or the directory's content, decides whether the path may be written. */
static bool is_to_be_read(const struct job_target *target)
{
	const struct observed_instance *observed = &target->result.observed;
	struct err err;

	if (observed->file.kind == HOST_FILE_DIRECTORY)
		return target->order.wanted->mounts_file && observed->file_is_ours;
	return host_file_is_readable(&observed->file) && observed->file.size != 0 &&
	       plan_file_conflict(target->order.wanted, observed, &err);
}

static void take_text(struct job_target *target, const struct docker_reply *reply)
{
	struct host_file *file = &target->result.observed.file;
	struct err err;

	if (reply->status == 404)
		file->kind = HOST_FILE_MISSING;
	else if (file->kind == HOST_FILE_DIRECTORY &&
		 archive_is_empty_directory(reply->body, reply->body_len))
		file->kind = HOST_FILE_EMPTY_DIRECTORY;
	else if (file->kind == HOST_FILE_REGULAR &&
		 archive_first_file(reply->body, reply->body_len, HOST_FILE_MAX_BYTES, &file->text,
				    &file->len, &err) != 0)
		/* The path has become something else meanwhile: without a text it does not count as ours. */
		FREE(file->text);
}

/* Before a file is overwritten: the last chance to see whose it is. */

static void judge(struct job *job)
{
	struct job_target *target = job_current(job);
	struct err conflict;

	job->in_conflict = plan_file_conflict(target->order.wanted, &target->result.observed, &conflict);
	if (job->in_conflict) {
		job_action_failed(job, &conflict);
		return;
	}
	job->step++;
	job_run(job);
}

static void on_place_head(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);

	if (err) {
		job_action_failed(job, err);
		return;
	}
	take_stat(target, reply);
	job->step++;
	if (is_to_be_read(target))
		job_run(job);
	else
		judge(job);
}

static void on_place_get(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;

	if (err) {
		job_action_failed(job, err);
		return;
	}
	take_text(job_current(job), reply);
	judge(job);
}

void job_look_at_place(struct job *job, struct job_target *target, const struct action *action)
{
	(void)action;
	look(job, target, head, on_place_head);
}

void job_read_place(struct job *job, struct job_target *target, const struct action *action)
{
	(void)action;
	look(job, target, get, on_place_get);
}

bool job_has_seen_place(const struct job_target *target)
{
	return target->result.observed.config_known;
}

/*
 * For `apilbctl plan`, which must say what a run would find: if no container of
 * the balancer shows the file, a helper is made to look at it, and removed at
 * once. Without the image no helper can be made, and the file stays unknown.
 *
 * A run does the same if the engine answers with errors about a file that the
 * balancer's container mounts: the file may be gone, or the engine may have
 * another trouble, and the helper tells these apart.
 */

/* Steps of the phase `plan`; its other steps come before PLAN_HEAD. */
enum { PLAN_CREATE, PLAN_HEAD = 100, PLAN_GET, PLAN_REMOVE, PLAN_LOOKED };

static void plan_step(struct job *job, int step)
{
	job->step = step;
	job_run(job);
}

static void looked(struct job *job)
{
	struct job_target *target = job_current(job);
	struct observed_instance *observed = &target->result.observed;
	const struct host_file *file = &observed->file;

	if (observed->config_in_doubt && file->kind == HOST_FILE_UNKNOWN) {
		err_set(&target->result.err, ERR_TRANSIENT,
			"the engine cannot look at %s through any container: it answers with errors",
			target->order.wanted->instance.config_path);
	} else if (observed->config_in_doubt) {
		observed->config_known = true;
		observed->config_exists = file->text != NULL;
		observed->config_mode_wrong = file->mode >= 0 && file->mode != CONFIG_MODE;
		if (file->text) {
			observed->config = xcalloc(1, file->len + 1);
			memcpy(observed->config, file->text, file->len);
			sha256_hex(file->text, file->len, observed->config_sha256);
		}
	}
	plan_step(job, PLAN_LOOKED);
}

static void on_plan_look(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	struct host_file *file = &target->result.observed.file;

	if (err && !docker_usable(job->docker)) {
		job_request_failed(job, err);
	} else if (job->step < PLAN_HEAD) {
		/* Without the config's directory the helper cannot be made: then there is no file either. */
		if (err)
			looked(job);
		else
			plan_step(job, PLAN_HEAD);
	} else if (job->step == PLAN_HEAD) {
		if (!err)
			take_stat(target, reply);
		plan_step(job, host_file_is_readable(file) || is_to_be_read(target) ? PLAN_GET : PLAN_REMOVE);
	} else if (job->step == PLAN_GET) {
		if (!err)
			take_text(target, reply);
		plan_step(job, PLAN_REMOVE);
	} else {
		looked(job);
	}
}

bool job_needs_look_for_plan(const struct job *job, const struct job_target *target)
{
	const struct observed_instance *observed = &target->result.observed;

	if (job->step >= PLAN_HEAD)
		return job->step != PLAN_LOOKED;
	return (job->options.observe_only || observed->config_in_doubt) && target->order.wanted &&
	       plan_writes_file(&target->result.plan) && !observed->config_known && !observed->helper &&
	       observed->image_present;
}

enum step job_look_for_plan(struct job *job, struct job_target *target)
{
	char *helper = container_helper_name(target->order.name);

	if (job->step < PLAN_HEAD)
		job_create_from(job, helper, job_image_id(target), wanted_looker_create(target->order.wanted),
				on_plan_look);
	else if (job->step == PLAN_HEAD)
		look(job, target, head, on_plan_look);
	else if (job->step == PLAN_GET)
		look(job, target, get, on_plan_look);
	else
		docker_remove(job->docker, helper, true, on_plan_look, job);
	free(helper);
	return STEP_WAIT;
}
