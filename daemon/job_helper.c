/*
 * Applying: what goes through a helper, a container of the wanted image that is
 * there only for this: files for the host, and the check of a config.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "common/mem.h"
#include "daemon/core/accepted.h"
#include "daemon/core/container_name.h"
#include "daemon/io/archive.h"
#include "daemon/job_internal.h"

/* Entries into one of the helper's mounts. Not all at once through "/": Podman would write beside the
 * mounts. */
static void put_entries(struct job *job, struct job_target *target, const char *mount,
			const struct archive_entry_spec *entries, size_t n)
{
	char *helper = container_helper_name(target->name);
	char *tar;
	size_t len;

	archive_pack(entries, n, time(NULL), &tar, &len);
	docker_put_archive(job->docker, helper, mount, tar, len, job_on_step, job);
	free(tar);
	free(helper);
}

static void put_entry(struct job *job, struct job_target *target, const char *mount,
		      const struct archive_entry_spec *entry)
{
	put_entries(job, target, mount, entry, 1);
}

/* The files that the config refers to, in the balancer's own directory, which is in `mount` under `dir`; and
 * that directory itself before them, if it is given. */
static void put_beside(struct job *job, struct job_target *target, const char *mount, const char *dir)
{
	const struct wanted *wanted = target->wanted;
	struct archive_entry_spec *entries = xcalloc(wanted->files_n + 1, sizeof(*entries));
	char **paths = xcalloc(wanted->files_n + 1, sizeof(*paths));
	size_t n = 0;

	if (*dir) {
		paths[n] = xstrdup(dir);
		entries[n] = (struct archive_entry_spec){
			.path = paths[n], .mode = RUN_DIR_MODE, .uid = WANTED_UID, .gid = WANTED_UID};
		n++;
	}
	for (size_t i = 0; i < wanted->files_n; i++, n++) {
		const struct haproxy_file *file = &wanted->files[i];

		paths[n] = xasprintf("%s%s", dir, file->name);
		entries[n] = (struct archive_entry_spec){
			.path = paths[n], .mode = BESIDE_MODE, .data = file->text, .len = file->len};
	}
	put_entries(job, target, mount, entries, n);
	for (size_t i = 0; i < n; i++)
		free(paths[i]);
	free(paths);
	free(entries);
}

void job_remove_helper(struct job *job, struct job_target *target, const struct action *action)
{
	char *name = container_helper_name(target->name);

	(void)action;
	docker_remove(job->docker, name, true, job_on_step, job);
	free(name);
}

/* From this very image, where its name may mean another by now, or nothing. Takes the request over. */
static void create_from(struct job *job, const char *name, const char *image_id, struct json_object *request)
{
	if (image_id)
		json_object_object_add(request, "Image", json_object_new_string(image_id));
	docker_create(job->docker, name, request, job_on_step, job);
	json_object_put(request);
}

/* check-config: haproxy -c in a container that is there for nothing else */

void job_create_checker(struct job *job, struct job_target *target, const struct action *action)
{
	create_from(job, action->container, action->image_id, wanted_checker_create(target->wanted));
}

void job_put_candidate(struct job *job, struct job_target *target, const struct action *action)
{
	const struct archive_entry_spec entry = {
		.path = CHECKED_CONFIG,
		.mode = CONFIG_MODE,
		.data = target->wanted->config,
		.len = target->wanted->config_len,
	};

	(void)action;
	put_entry(job, target, "/", &entry);
}

/*
 * Whoever checks the config has to find what it refers to, where the balancer
 * will: so that is on the host before the config is. Nobody looks at it until
 * a config names it.
 */
void job_put_beside(struct job *job, struct job_target *target, const struct action *action)
{
	char *mount = xasprintf(HAPROXY_RUN_DIR "/%s", target->name);

	(void)action;
	put_beside(job, target, mount, "");
	free(mount);
}

/* rehearse: a HAProxy that only checks servers */

void job_create_rehearsal(struct job *job, struct job_target *target, const struct action *action)
{
	char token[TOKEN_HEX_SIZE];

	job_make_token(token);
	create_from(job, action->container, action->image_id, wanted_rehearsal_create(target->wanted, token));
}

void job_put_rehearsal(struct job *job, struct job_target *target, const struct action *action)
{
	char *text = haproxy_render_rehearsal(&target->wanted->instance);
	const struct archive_entry_spec entry = {
		.path = CHECKED_CONFIG, .mode = CONFIG_MODE, .data = text, .len = strlen(text)};

	(void)action;
	put_entry(job, target, "/", &entry);
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
		memcpy(target->refused, target->wanted->version, sizeof(target->refused));
		err_set(&refused, ERR_PERMANENT, "HAProxy of %s refuses the config (it has not been written)",
			target->wanted->instance.image);
		job_action_failed(job, &refused);
		return;
	}
	job_on_step(job, reply, err);
}

void job_wait_for_verdict(struct job *job, struct job_target *target, const struct action *action)
{
	docker_wait(job->docker, action->container, haproxy_look_up_max_s(&target->wanted->instance),
		    on_verdict, job);
}

/* Which image it was is known only now, when it had to be pulled. */
static void on_checker(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct job *job = arg;
	struct job_target *target = job_current(job);
	const char *image = err ? NULL : json_text(reply->json, "Image", NULL);

	if (image)
		accepted_add(&target->accepted, image, target->wanted->config_sha256);
	job_on_step(job, reply, err);
}

void job_note_image(struct job *job, struct job_target *target, const struct action *action)
{
	(void)target;
	docker_inspect(job->docker, action->container, on_checker, job);
}

/* write-config: a container that is never started carries the files */

void job_create_helper(struct job *job, struct job_target *target, const struct action *action)
{
	const struct observed_container *current = target->observed.current;
	char *name = container_helper_name(target->name);

	(void)action;
	/* It never runs: any image does, and the balancer's is there. */
	create_from(job, name, current ? observed_image_id(current) : NULL,
		    wanted_helper_create(target->wanted));
	free(name);
}

void job_put_run_dir(struct job *job, struct job_target *target, const struct action *action)
{
	char *dir = xasprintf("%s/", target->name);

	(void)action;
	put_beside(job, target, HELPER_RUN_DIR, dir);
	free(dir);
}

void job_put_config(struct job *job, struct job_target *target, const struct action *action)
{
	const struct wanted *wanted = target->wanted;
	const struct archive_entry_spec entry = {
		.path = strrchr(wanted->instance.config_path, '/') + 1,
		.mode = CONFIG_MODE,
		.data = wanted->config,
		.len = wanted->config_len,
	};

	(void)action;
	/* Whatever it was before: it is to be read again. */
	target->config_size = -1;
	put_entry(job, target, HELPER_CONFIG_DIR, &entry);
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
	const struct observed_container *current = target->observed.current;

	(void)job;
	return action->kind == ACTION_AWAIT && ran(current) && strcmp(action->container, current->id) == 0 &&
	       target->former && current->container_sha256 &&
	       strcmp(target->former->container_sha256, current->container_sha256) == 0;
}

/* The text of the version before; NULL: not known. It is in the file at the look, or what was in force before
 * the change; the one that HAProxy has loaded, or, when it does not run, had. */
static const char *former_text(const struct job *job, const struct job_target *target,
			       const struct action *action)
{
	const struct observed_instance *observed = &target->observed;
	const char *known = target->former ? target->former->config : NULL;

	if (job_revives_former(job, target, action))
		return known;
	if (target->displaced && observed->stats != STATS_ANSWERED)
		return target->displaced->config;
	if (observed->stats != STATS_ANSWERED)
		return NULL;
	if (observed->config && is_generation(observed->config, observed->loaded.generation))
		return observed->config;
	return known && is_generation(known, observed->loaded.generation) ? known : NULL;
}

/* What comes between the writing and the proof: if it fails, nobody has loaded the new version. */
static bool is_before_proof(const struct action *action)
{
	return action->kind == ACTION_CREATE || action->kind == ACTION_START ||
	       action->kind == ACTION_RELOAD || action->kind == ACTION_AWAIT;
}

bool job_has_former(const struct job *job, const struct job_target *target, const struct action *action)
{
	const char *text = is_before_proof(action) ? former_text(job, target, action) : NULL;

	return text && strcmp(text, target->wanted->config) != 0;
}

void job_put_former(struct job *job, struct job_target *target, const struct action *action)
{
	const char *text = former_text(job, target, action);
	const struct archive_entry_spec entry = {
		.path = strrchr(target->wanted->instance.config_path, '/') + 1,
		.mode = CONFIG_MODE,
		.data = text,
		.len = strlen(text),
	};

	target->config_size = -1;
	put_entry(job, target, HELPER_CONFIG_DIR, &entry);
}
