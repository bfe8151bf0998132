/* What others are shown of a balancer, and what they ask. */
#include <string.h>

#include "daemon/core/spec/spec_state.h"
#include "daemon/instance/instance_internal.h"

/* Its parts. */

const struct instance_identity *instance_identity(const struct instance *instance)
{
	return &instance->identity;
}

const struct instance_revision *instance_revision(const struct instance *instance)
{
	return &instance->revision;
}

const struct instance_verdict *instance_verdict(const struct instance *instance)
{
	return &instance->verdict;
}

const struct observed_instance *instance_observed(const struct instance *instance)
{
	return &instance->observed;
}

/* Questions. */

bool instance_is_left_alone(const struct instance *instance)
{
	return instance->left_alone;
}

bool instance_was_reached(const struct instance *instance)
{
	return instance->memory.config_path != NULL;
}

bool instance_is_forgettable(const struct instance *instance)
{
	return !instance->revision.in_force && !instance->left_alone && !instance->drop_id &&
	       !instance_was_reached(instance);
}

bool instance_awaits_look(const struct instance *instance)
{
	return instance->revision.in_force && !instance->left_alone && !instance->proven &&
	       !instance->revision.as_found;
}

bool instance_had_to_stay(const struct instance *instance)
{
	return instance->had_to_stay;
}

bool instance_sees_no_server(const struct instance *instance)
{
	return instance->revision.in_force && instance->servers.none_up;
}

int64_t instance_silent_until_ms(const struct instance *instance)
{
	const struct silence *silence = &instance->memory.silence;

	return silence->run ? silence->due.ms : 0;
}

/*
 * The container that `state` hands it, as long as it may need that. Once it is as
 * wanted it needs no other container, but for the connections of the one that it
 * succeeded.
 */
static const char *taken_over(const struct instance *instance)
{
	const char *adopt_id = instance->revision.in_force ? instance->revision.in_force->adopt_id : NULL;
	const struct draining *draining = &instance->memory.draining;

	if (!adopt_id || instance->verdict.phase != PHASE_CONVERGED)
		return adopt_id;
	for (size_t i = 0; i < draining->n; i++)
		if (spec_state_means(adopt_id, draining->v[i].id))
			return draining->v[i].id;
	return NULL;
}

/* Of the newest revision that is known. */
const char *instance_binds(const struct instance *instance)
{
	const struct instance_revision *revision = &instance->revision;
	const struct wanted *coming = revision->in_force ? revision->in_force : revision->next;
	const struct wanted *any = coming ? coming : revision->former;

	return any ? any->description.binds : NULL;
}

struct claim instance_claim(const struct instance *instance, bool ahead)
{
	const struct instance_identity *identity = &instance->identity;

	return (struct claim){
		.host_url = identity->host_url,
		.engine = identity->engine,
		.name = identity->name,
		.id = identity->id,
		.spec = identity->spec,
		.binds = instance_binds(instance),
		.container_id = instance->record.container_id,
		.takes_over = taken_over(instance),
		.wanted = instance->revision.in_force && !(ahead && instance->kept),
		.waits = instance->revision.next != NULL,
		.unasked = instance->left_alone,
		.seen = instance->verdict.observed_at_ms != 0,
		.made = instance_was_reached(instance),
		.converged = instance->verdict.phase == PHASE_CONVERGED,
		.answers = instance->observed.stats == STATS_ANSWERED && instance->observed.servers_n > 0 &&
			   !observed_is_unchecked(&instance->observed),
		.servers_up = observed_servers_in(&instance->observed, SERVER_UP),
		.fallback = instance->observed.fallback,
	};
}

enum phase instance_phase(const struct instance *instance, const struct hold *hold)
{
	bool waits = instance->revision.next || instance->kept;

	if (!waits || (instance->verdict.phase != PHASE_CONVERGED &&
		       !(instance->left_alone && instance->verdict.phase == PHASE_PENDING)))
		return instance->verdict.phase;
	return hold && hold->stopped ? PHASE_PAUSED : PHASE_PENDING;
}

const char *instance_held_because(const struct instance *instance, const struct hold *hold)
{
	if (instance->silent_because)
		return instance->silent_because;
	if (!instance->revision.next && !instance->kept)
		return NULL;
	return hold ? hold->why : "it waits for its turn";
}

/* "failed" leaves open whether clients notice. */
static enum serves what_serves(const struct instance *instance)
{
	const struct observed_instance *observed = &instance->observed;

	if (observed->stats != STATS_ANSWERED || !instance->revision.in_force)
		return SERVES_UNKNOWN;
	return strcmp(observed->loaded.generation, instance->revision.in_force->description.generation) == 0
		       ? SERVES_WANTED
		       : SERVES_FORMER;
}

struct status_instance instance_status(const struct instance *instance, const struct hold *hold,
				       int64_t next_run_ms)
{
	const struct observed_container *container = instance->observed.current;
	const struct wanted *wanted = instance->revision.in_force;

	return (struct status_instance){
		.id = instance->identity.id,
		.spec = instance->identity.spec,
		.host = instance->identity.host_url,
		.name = instance->identity.name,
		.index = instance->identity.index,
		.phase = instance_phase(instance, hold),
		.progress = instance->verdict.progress ? instance->verdict.progress
						       : instance_held_because(instance, hold),
		.container_id = container ? container->id : instance->record.container_id,
		.image = container ? container->image
			 : wanted  ? wanted->instance.image
				   : instance->record.image,
		.container_status = container ? container->status : CONTAINER_UNKNOWN,
		.draining = instance->observed.old_n,
		.config_path = wanted ? wanted->instance.config_path : instance->memory.config_path,
		.config_sha256 = instance->memory.config_sha256[0] ? instance->memory.config_sha256 : NULL,
		.wanted_servers = wanted ? wanted->instance.servers : NULL,
		.loaded = instance->observed.loaded.generation[0] ? &instance->observed.loaded : NULL,
		.health_check = wanted ? &wanted->instance.health_check : NULL,
		.wanted_servers_n = wanted ? wanted->instance.servers_n : 0,
		.servers = instance->observed.servers,
		.servers_n = instance->observed.servers_n,
		.servers_known = &instance->servers,
		.fallback = instance->observed.fallback,
		.serves = what_serves(instance),
		.error = &instance->verdict.err,
		.error_since_ms = instance->verdict.err_since_ms,
		.attempts = instance->verdict.attempts,
		.observed_at_ms = instance->verdict.observed_at_ms,
		.changed_at_ms = instance->record.changed_at_ms,
		.next_run_at_ms = next_run_ms,
	};
}
