/* Conflicts: describes somebody else's container or file in our way, and how to resolve it. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/names.h"
#include "daemon/core/plan/plan_internal.h"
#include "daemon/core/spec/spec_state.h"

/*
 * A line for people to copy into the spec, by which it takes over a container or a file. id: the
 * container's; file: a path; NULL: none.
 */
static char *state_line(const struct wanted *wanted, const char *name, const char *id, const char *file)
{
	const struct spec_instance *instance = &wanted->instance;
	const struct ssh_settings *ssh = instance->host.ssh;
	char *host = ssh ? xasprintf("{ssh: {address: \"%s\", port: %u}}", ssh->address, ssh->port)
			 : xstrdup("{direct: {}}");
	char *status = id ? xasprintf(", status: {id: \"%s\"}", id) : xstrdup("");
	char *files = file ? xasprintf(", configFiles: {\"%s\": \"\"}", file) : xstrdup("");
	char *line = xasprintf("\"%zu\": {container: {config: {name: \"%s\", image: \"%s\"}%s}, host: %s%s}",
			       instance->index, name, instance->image, status, host, files);

	free(host);
	free(status);
	free(files);
	return line;
}

void plan_container_conflict(const struct wanted *wanted, const struct observed_container *container,
			     struct err *err)
{
	char *line;

	if (container->owner) {
		err_set(err, ERR_CONFLICT,
			"container %s (%.12s) on the host is another daemon's (" LABEL_OWNER
			"=%s): have it removed there, or give this instance another name",
			container->name, container->id, container->owner);
		return;
	}
	line = state_line(wanted, container->name, container->id, NULL);
	err_set(err, ERR_CONFLICT,
		"container %s (%.12s) on the host is not ours (it has no " LABEL_OWNER
		" label): remove or rename it, give this instance another name, or have it taken over by "
		"writing, under the spec's `state:`, %s",
		container->name, container->id, line);
	free(line);
}

/* Whether the container that is taken over uses the file. */
static bool comes_with_container(const struct wanted *wanted, const struct observed_container *current)
{
	return current && wanted->adopt_id && spec_state_means(wanted->adopt_id, current->id) &&
	       observed_mounts_path(current, wanted->instance.config_path);
}

bool plan_file_conflict(const struct wanted *wanted, const struct observed_instance *observed,
			struct err *err)
{
	const char *path = wanted->instance.config_path;
	/*
	 * Debian's haproxy package, which many have, uses the default path, too; flexkube has
	 * chosen it.
	 */
	const char *hint = strcmp(path, SPEC_DEFAULT_CONFIG_PATH) == 0
				   ? " (it is the default path, and that of Debian's haproxy package, too)"
				   : "";
	bool ours = observed->file_is_ours || wanted->takes_file_over ||
		    comes_with_container(wanted, observed->current);
	char *objection = host_file_objection(&observed->file, wanted->owner, ours);
	char *line;

	if (!objection)
		return false;
	if (observed->file.kind == HOST_FILE_DIRECTORY) {
		err_set(err, ERR_CONFLICT,
			"%s on the host %s, where the config is to be: move it away, or give this instance "
			"another hostConfigPath",
			path, objection);
	} else {
		line = state_line(wanted, wanted->instance.name, NULL, path);
		err_set(err, ERR_CONFLICT,
			"%s on the host %s, and is left alone: move it away, give this instance another "
			"hostConfigPath%s, or have it taken over by writing, under the spec's `state:`, %s",
			path, objection, hint, line);
		free(line);
	}
	free(objection);
	return true;
}
