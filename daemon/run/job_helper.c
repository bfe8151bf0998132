/*
 * Applying: the steps that need a helper, a temporary container of the wanted
 * image. Helpers carry files to the host, check a config, and rehearse.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/mem.h"
#include "daemon/core/container_name.h"
#include "daemon/core/memory/accepted.h"
#include "daemon/io/archive.h"
#include "daemon/run/job_internal.h"

/* A file NAME is written as .NAME.apilb-new; when all of it is there it gets the name NAME as well, and keeps
 * both. */
#define UNFINISHED ".apilb-new"

/*
 * The entries of a tar that is unpacked into one of the helper's mounts. One tar
 * for "/" cannot serve all mounts: Podman would write beside them.
 */
struct parcel {
	struct archive_entry_spec *entries;
	size_t n;
};

/* path is taken over. */
static struct archive_entry_spec *pack(struct parcel *parcel, char *path, unsigned mode)
{
	struct archive_entry_spec *entry;

	parcel->entries = xreallocarray(parcel->entries, parcel->n + 1, sizeof(*parcel->entries));
	entry = &parcel->entries[parcel->n++];
	*entry = (struct archive_entry_spec){.path = path, .mode = mode};
	return entry;
}

/*
 * Packs a file so that the host gets all of it or nothing. The engine unpacks one
 * entry after the other, and stops at the first that fails (no space, half a
 * request). So the text is written under a name that nobody reads, and the next
 * entry adds the real name, as a hard link. dir: "", or ends in a slash.
 */
static void pack_file(struct parcel *parcel, const char *dir, const char *name, unsigned mode,
		      const char *text, size_t len)
{
	struct archive_entry_spec *entry = pack(parcel, xasprintf("%s.%.200s" UNFINISHED, dir, name), mode);
	const char *unfinished = entry->path;

	entry->data = text;
	entry->len = len;
	pack(parcel, xasprintf("%s%s", dir, name), mode)->link = unfinished;
}

static void send_parcel(struct job *job, struct job_target *target, const char *mount, struct parcel *parcel,
			docker_cb *cb)
{
	char *helper = container_helper_name(target->order.name);
	char *tar;
	size_t len;

	archive_pack(parcel->entries, parcel->n, time(NULL), &tar, &len);
	docker_put_archive(job->docker, helper, mount, tar, len, cb, job);
	for (size_t i = 0; i < parcel->n; i++)
		free((char *)parcel->entries[i].path);
	free(parcel->entries);
	free(tar);
	free(helper);
}

/* Puts the text into the helper's own "/", so that it is gone when the helper is removed. */
static void put_checked_config(struct job *job, struct job_target *target, const char *text)
{
	struct parcel parcel = {0};
	struct archive_entry_spec *entry = pack(&parcel, xstrdup(CHECKED_CONFIG), CONFIG_MODE);

	entry->data = text;
	entry->len = strlen(text);
	send_parcel(job, target, "/", &parcel, job_on_step);
}

/* Puts the files that the config refers to into the balancer's own directory, which is `dir` in `mount`. If
 * dir is not "", the directory itself is made first. */
static void put_companions(struct job *job, struct job_target *target, const char *mount, const char *dir)
{
	const struct wanted *wanted = target->order.wanted;
	struct parcel parcel = {0};
	struct archive_entry_spec *entry;

	if (*dir) {
		entry = pack(&parcel, xstrdup(dir), job_run_dir_mode(job));
		entry->uid = WANTED_UID;
		entry->gid = WANTED_UID;
	}
	for (size_t i = 0; i < wanted->files_n; i++)
		pack_file(&parcel, dir, wanted->files[i].name, COMPANION_MODE, wanted->files[i].text,
			  wanted->files[i].len);
	FREE(target->memory.companions_seen);
	send_parcel(job, target, mount, &parcel, job_on_step);
}

void job_remove_helper(struct job *job, struct job_target *target, const struct action *action)
{
	char *name = container_helper_name(target->order.name);

	(void)action;
	docker_remove(job->docker, name, true, job_on_step, job);
	free(name);
}

void job_create_from(struct job *job, const char *name, const char *image_id, struct json_object *request,
		     docker_cb *cb)
{
	json_add_text(request, "Image", image_id);
	docker_create(job->docker, name, request, cb, job);
	json_object_put(request);
}

/* check-config: runs haproxy -c in a helper */

void job_create_checker(struct job *job, struct job_target *target, const struct action *action)
{
	job_create_from(job, action->container, action->image_id, wanted_checker_create(target->order.wanted),
			job_on_step);
}

void job_put_candidate(struct job *job, struct job_target *target, const struct action *action)
{
	(void)action;
	put_checked_config(job, target, target->order.wanted->config);
}

/*
 * The check must find the files that the config refers to, at the paths that the
 * balancer will use. So the files are on the host before the config is; no
 * HAProxy reads them until a config names them.
 */
void job_put_companions(struct job *job, struct job_target *target, const struct action *action)
{
	char *mount = xasprintf(HAPROXY_RUN_DIR "/%s", target->order.name);

	(void)action;
	put_companions(job, target, mount, "");
	free(mount);
}

/* rehearse: runs a HAProxy that only checks the servers */

void job_create_rehearsal(struct job *job, struct job_target *target, const struct action *action)
{
	char token[TOKEN_HEX_SIZE];

	job_make_token(token);
	job_create_from(job, action->container, action->image_id,
			wanted_rehearsal_create(target->order.wanted, token), job_on_step);
}

void job_put_rehearsal(struct job *job, struct job_target *target, const struct action *action)
{
	char *text = haproxy_render_rehearsal(&target->order.wanted->instance);

	(void)action;
	put_checked_config(job, target, text);
	free(text);
}

static void on_verdict(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	int64_t code = err ? 0 : json_number_in(reply->json, "StatusCode", 0, INT64_MAX, -1);
	struct err refused;

	if (code < 0) {
		err_set(&refused, ERR_TRANSIENT, "the engine does not say how the check of the config ended");
		job_action_failed(job, &refused);
		return;
	}
	if (code != 0) {
		refused_note(&target->memory.refused, target->order.wanted->version);
		err_set(&refused, ERR_PERMANENT, "HAProxy of %s refuses the config (it has not been written)",
			target->order.wanted->instance.image);
		job_action_failed(job, &refused);
		return;
	}
	job_on_step(job, reply, err);
}

void job_wait_for_verdict(struct job *job, struct job_target *target, const struct action *action)
{
	docker_wait(job->docker, action->container, haproxy_look_up_max_s(&target->order.wanted->instance),
		    on_verdict, job);
}

/* If the image had to be pulled, its ID is known only now. */
static void on_checker(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	const char *image = err ? NULL : json_text(reply->json, "Image", NULL);

	if (image)
		accepted_add(&target->memory.accepted, image, target->order.wanted->config_sha256);
	job_on_step(job, reply, err);
}

void job_note_image(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_inspect(job->docker, action->container, on_checker, job);
}

/* write-config: puts the files on the host through a helper that is never started */

void job_create_helper(struct job *job, struct job_target *target, const struct action *action)
{
	char *name = container_helper_name(target->order.name);

	(void)action;
	job_create_from(job, name, job_image_id(target), wanted_helper_create(target->order.wanted),
			job_on_step);
	free(name);
}

void job_put_run_dir(struct job *job, struct job_target *target, const struct action *action)
{
	char *dir = xasprintf("%s/", target->order.name);

	(void)action;
	put_companions(job, target, HELPER_RUN_DIR, dir);
	free(dir);
}

static bool is_generation(const char *config, const char *generation)
{
	return generation[0] && strcmp(haproxy_description_of(config).generation, generation) == 0;
}

static bool ran(const struct observed_container *container)
{
	return container &&
	       (container->status == CONTAINER_EXITED || container->status == CONTAINER_RESTARTING);
}

bool job_revives_former(const struct job *job, const struct job_target *target, const struct action *action)
{
	const struct observed_container *current = target->result.observed.current;

	(void)job;
	return action->kind == ACTION_AWAIT && ran(current) && strcmp(action->container, current->id) == 0 &&
	       target->order.former && current->container_sha256 &&
	       strcmp(target->order.former->container_sha256, current->container_sha256) == 0;
}

/* The config that HAProxy has loaded, or had loaded before it stopped; NULL: its text is not known. The text
 * comes from the file, as it was observed, or from the former version of this balancer or of the one whose
 * config file it shares (order.displaced). */
static const char *former_text(const struct job *job, const struct job_target *target,
			       const struct action *action)
{
	const struct observed_instance *observed = &target->result.observed;
	const char *known = target->order.former ? target->order.former->config : NULL;

	if (job_revives_former(job, target, action))
		return known;
	if (target->order.displaced && observed->stats != STATS_ANSWERED)
		return target->order.displaced->config;
	if (observed->stats != STATS_ANSWERED)
		return NULL;
	if (observed->config && is_generation(observed->config, observed->loaded.generation))
		return observed->config;
	return known && is_generation(known, observed->loaded.generation) ? known : NULL;
}

/* The actions between the writing of the config and the proof that HAProxy takes it: if one of them fails,
 * the former config is put back. */
static bool is_before_proof(const struct action *action)
{
	return action->kind == ACTION_CREATE || action->kind == ACTION_START ||
	       action->kind == ACTION_RELOAD || action->kind == ACTION_AWAIT;
}

bool job_has_former(const struct job *job, const struct job_target *target, const struct action *action)
{
	const char *text = is_before_proof(action) ? former_text(job, target, action) : NULL;

	return text && strcmp(text, target->order.wanted->config) != 0;
}

/* The config itself. */

static const char *text_in_hand(const struct job *job, const struct job_target *target)
{
	return job->undoing ? former_text(job, target, job_action(job)) : target->order.wanted->config;
}

static const char *config_name(const struct job_target *target)
{
	return strrchr(target->order.wanted->instance.config_path, '/') + 1;
}

/*
 * If all of the text was written, only the link has failed: the file system has
 * no hard links, and the engine has removed the former file already. Then the
 * text is written under the real name.
 */
static void on_unfinished(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	const char *text = text_in_hand(job, target);
	struct host_file unfinished = {0};
	struct parcel parcel = {0};
	struct archive_entry_spec *entry;
	struct err failure = job->failure;

	if (!err && reply->status != 404)
		host_file_stat(&unfinished, reply->path_stat);
	if (unfinished.kind == HOST_FILE_REGULAR && unfinished.size == (int64_t)strlen(text)) {
		entry = pack(&parcel, xstrdup(config_name(target)), CONFIG_MODE);
		entry->data = text;
		entry->len = strlen(text);
		send_parcel(job, target, HELPER_CONFIG_DIR, &parcel, job_on_step);
	} else {
		job_action_failed(job, err && !docker_usable(job->docker) ? err : &failure);
	}
	host_file_clear(&unfinished);
}

static void on_config_put(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	char *helper, *path;

	if (!err || !docker_usable(job->docker)) {
		job_on_step(job, reply, err);
		return;
	}
	if (!job->undoing)
		job->failure = *err;
	helper = container_helper_name(target->order.name);
	path = xasprintf(HELPER_CONFIG_DIR "/.%.200s" UNFINISHED, config_name(target));
	docker_head_archive(job->docker, helper, path, on_unfinished, job);
	free(helper);
	free(path);
}

static void put_config(struct job *job, struct job_target *target)
{
	const char *text = text_in_hand(job, target);
	struct parcel parcel = {0};

	/* Whatever comes of this, the file must be read again. */
	memory_doubt_config(&target->memory);
	pack_file(&parcel, "", config_name(target), CONFIG_MODE, text, strlen(text));
	send_parcel(job, target, HELPER_CONFIG_DIR, &parcel, on_config_put);
}

void job_put_config(struct job *job, struct job_target *target, const struct action *action)
{
	(void)action;
	put_config(job, target);
}

void job_put_former(struct job *job, struct job_target *target, const struct action *action)
{
	(void)action;
	put_config(job, target);
}
