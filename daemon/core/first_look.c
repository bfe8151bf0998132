#include "daemon/core/first_look.h"

#include <string.h>

/*
 * The config that the running HAProxy has loaded, else the hash of the file, which somebody may
 * have edited. NULL: unknown. *config_of_version: what to compare it with.
 */
static const char *found_config(const struct observed_instance *observed, const struct wanted *version,
				const char **config_of_version)
{
	if (observed->stats == STATS_ANSWERED && observed->loaded.generation[0]) {
		*config_of_version = version->description.generation;
		return observed->loaded.generation;
	}
	*config_of_version = version->config_sha256;
	return observed->config_known && observed->config_exists ? observed->config_sha256 : NULL;
}

static bool has_container_of(const struct observed_instance *observed, const struct wanted *version)
{
	const char *hash = observed->current->container_sha256;

	return hash && strcmp(hash, version->container_sha256) == 0;
}

/*
 * Whether the host has this version. If its config is unknown, the container decides, but only
 * where it differs from the container of `unless`. NULL: then no.
 */
static bool has(const struct observed_instance *observed, const struct wanted *version,
		const struct wanted *unless)
{
	const char *config_of_version;
	const char *config = found_config(observed, version, &config_of_version);

	if (!has_container_of(observed, version))
		return false;
	return config ? strcmp(config, config_of_version) == 0
		      : unless && !has_container_of(observed, unless);
}

/*
 * Whether the host has another version of ours. A file or a container that somebody has made by
 * hand is drift instead.
 */
static bool is_another_version(const struct observed_instance *observed, const struct wanted *in_force)
{
	return observed->current->container_sha256 &&
	       (!has_container_of(observed, in_force) ||
		(observed->stats == STATS_ANSWERED && observed->loaded.generation[0]));
}

static bool serves(const struct observed_instance *observed)
{
	return observed->current->status == CONTAINER_RUNNING &&
	       !(observed_is_silent(observed) && observed->successor_due);
}

enum first_look first_look(const struct wanted *in_force, const struct wanted *next, bool under_way,
			   const struct observed_instance *observed)
{
	const struct observed_container *current = observed->current;

	if (!current || !current->owner || strcmp(current->owner, in_force->owner) != 0)
		return LOOK_KEEP;
	if (next && has(observed, next, in_force))
		return LOOK_ADOPT;
	if (under_way || has(observed, in_force, NULL) || !serves(observed) ||
	    !is_another_version(observed, in_force))
		return LOOK_KEEP;
	return LOOK_LEAVE;
}
