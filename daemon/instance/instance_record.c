/* What the store has of a balancer: a row of it becomes the parts of an instance, and they a row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/instance/instance_internal.h"
#include "daemon/io/clock.h"

/* From a row to the parts, each of which takes over its columns. */

static void take(char **to, char **from)
{
	*to = *from;
	*from = NULL;
}

static void take_identity(struct instance_identity *identity, struct store_instance *row)
{
	identity->id = xasprintf("%s/%s/%s", row->spec, row->host_url, row->name);
	take(&identity->spec, &row->spec);
	take(&identity->host_url, &row->host_url);
	take(&identity->engine, &row->engine);
	take(&identity->name, &row->name);
}

/* An unknown number, a newer one or nonsense, counts as no part in a rollout: that ends, whatever its host
 * does. */
static enum unit_state unit_state_of(int stored)
{
	return stored >= 0 && stored < UNIT_STATES ? (enum unit_state)stored : UNIT_OUT;
}

static void take_record(struct instance_record *record, struct store_instance *row)
{
	take(&record->host_json, &row->host_json);
	take(&record->container_id, &row->container_id);
	take(&record->image, &row->image);
	take(&record->next_version, &row->next_version);
	take(&record->in_force, &row->in_force);
	take(&record->former, &row->former);
	record->changed_at_ms = row->changed_at_ms;
	record->unit_state = unit_state_of(row->rollout);
	record->served = row->served;
}

/* An unknown kind of error, a newer one or nonsense, counts as one that is retried at each resync. */
static void recall_error(struct instance_verdict *verdict, const struct store_instance *row)
{
	bool known = row->error_kind >= 0 && row->error_kind < ERR_KINDS;

	verdict->err_since_ms = row->error_since_ms;
	verdict->attempts = row->attempts;
	if (row->error_message)
		err_set(&verdict->err, known ? (enum err_kind)row->error_kind : ERR_PERMANENT, "%s",
			row->error_message);
}

/* True when not all of it could be believed: then the store has it otherwise. */
static bool recall_json(struct memory *memory, const char *json)
{
	const struct silence_clock now = {.ms = clock_ms(), .unix_ms = clock_now_ms()};
	char *believed;
	bool differs;

	memory_recall(memory, json, now);
	believed = memory_to_json(memory);
	differs = !text_equal(believed, json);
	free(believed);
	return differs;
}

static void take_memory(struct instance *instance, struct store_instance *row)
{
	struct memory *memory = &instance->memory;

	memory_init(memory);
	instance->recalled_otherwise = recall_json(memory, row->memory);
	take(&memory->config_path, &row->config_path);
	take(&memory->config_mtime, &row->config_mtime);
	take(&memory->accepted, &row->accepted);
	memory->config_size = row->config_size;
	snprintf(memory->config_sha256, SHA256_HEX_SIZE, "%s", row->config_sha256 ? row->config_sha256 : "");
	if (!row->error_message || row->error_kind == ERR_UNREACHABLE)
		memory_know(memory, row->container_id);
}

struct instance *instance_new(struct store_instance *row)
{
	struct instance *instance = xcalloc(1, sizeof(*instance));

	instance->verdict.phase = PHASE_PENDING;
	instance->left_alone = true;
	recall_error(&instance->verdict, row);
	take_memory(instance, row);
	take_identity(&instance->identity, row);
	take_record(&instance->record, row);
	store_instance_clear(row);
	memset(row, 0, sizeof(*row));
	return instance;
}

struct instance *instance_new_at(const struct spec_host *host, const char *spec, const char *name,
				 const char *image)
{
	struct store_instance row = {
		.host_url = xstrdup(host->url),
		.engine = xstrdup(host->engine),
		.name = xstrdup(name),
		.spec = xstrdup(spec),
		.host_json = spec_host_to_json(host),
		.image = xstrdup(image),
		.config_size = -1,
	};

	return instance_new(&row);
}

static void identity_clear(struct instance_identity *identity)
{
	free(identity->id);
	free(identity->spec);
	free(identity->host_url);
	free(identity->engine);
	free(identity->name);
}

static void record_clear(struct instance_record *record)
{
	secret_free(record->host_json);
	free(record->container_id);
	free(record->image);
	free(record->next_version);
	secret_free(record->in_force);
	secret_free(record->former);
}

static void revision_clear(struct instance_revision *revision)
{
	wanted_unref(revision->in_force);
	wanted_unref(revision->next);
	wanted_unref(revision->former);
}

void instance_free(struct instance *instance)
{
	if (!instance)
		return;
	identity_clear(&instance->identity);
	revision_clear(&instance->revision);
	record_clear(&instance->record);
	free(instance->verdict.progress);
	observed_instance_clear(&instance->observed);
	servers_clear(&instance->servers);
	memory_clear(&instance->memory);
	free(instance->drop_id);
	free(instance->told_drift);
	free(instance->silent_because);
	free(instance);
}

/* The revisions: to read them takes the owner and the host. */

static int wanted_of(struct wanted **to, const struct instance *instance, const char *owner,
		     const struct spec_host *host, const char *json, struct err *err)
{
	struct spec_instance stored;

	if (!json)
		return 0;
	if (spec_instance_from_json(&stored, host, json, err) < 0)
		return -1;
	/* The name is part of the row's key. */
	free(stored.name);
	stored.name = xstrdup(instance->identity.name);
	*to = wanted_new(owner, instance->identity.spec, &stored, NULL);
	spec_instance_clear(&stored);
	return 0;
}

int instance_recall(struct instance *instance, const char *owner, const struct spec_host *host,
		    struct err *err)
{
	struct instance_revision *revision = &instance->revision;
	struct instance_record *record = &instance->record;
	int rc = 0;

	if (wanted_of(&revision->in_force, instance, owner, host, record->in_force, err) < 0 ||
	    wanted_of(&revision->former, instance, owner, host, record->former, err) < 0)
		rc = -1;
	if (revision->in_force) {
		instance_take_name(instance, revision->in_force);
		/* The next revision is what is in force by the record: the host had something else. */
		revision->as_found = text_equal(record->next_version, revision->in_force->said);
		if (revision->as_found)
			revision->next = wanted_ref(revision->in_force);
	} else {
		/* A balancer on its way out goes by the id that its container's label has. */
		if (revision->former)
			instance_take_name(instance, revision->former);
		FREE(record->next_version);
		record->unit_state = UNIT_OUT;
	}
	/* From here on the row is written from the revisions. */
	secret_free(record->in_force);
	secret_free(record->former);
	record->in_force = record->former = NULL;
	return rc;
}

/* From the parts to a row. */

static char *json_of(const struct wanted *wanted)
{
	return wanted ? spec_instance_to_json(&wanted->instance) : NULL;
}

void instance_store(const struct instance *instance, struct store *store)
{
	const struct instance_identity *identity = &instance->identity;
	const struct instance_revision *revision = &instance->revision;
	const struct instance_verdict *verdict = &instance->verdict;
	const struct instance_record *record = &instance->record;
	const struct memory *memory = &instance->memory;
	const struct store_instance row = {
		.host_url = identity->host_url,
		.engine = identity->engine,
		.name = identity->name,
		.spec = identity->spec,
		.host_json = record->host_json,
		.container_id = record->container_id,
		.image = record->image,
		.config_path = memory->config_path,
		.config_sha256 = memory->config_sha256[0] ? (char *)memory->config_sha256 : NULL,
		.config_size = memory->config_size,
		.config_mtime = memory->config_mtime,
		.accepted = memory->accepted,
		.memory = memory_to_json(memory),
		.changed_at_ms = record->changed_at_ms,
		.error_kind = verdict->err.kind,
		.error_message = verdict->err.kind != ERR_NONE ? (char *)verdict->err.message : NULL,
		.error_since_ms = verdict->err_since_ms,
		.attempts = verdict->attempts,
		.in_force = json_of(revision->in_force),
		.former = json_of(revision->former),
		.next_version = record->next_version,
		.rollout = record->unit_state,
		.served = record->served,
	};

	store_put_instance(store, &row);
	free(row.memory);
	secret_free(row.in_force);
	secret_free(row.former);
}

void instance_erase(const struct instance *instance, struct store *store)
{
	const struct instance_identity *identity = &instance->identity;

	store_delete_instance(store, identity->host_url, identity->engine, identity->name);
}

void instance_move(struct instance *instance, const struct spec_host *host, struct store *store)
{
	/* The URL is part of the row's key, and the user is part of the URL. */
	instance_erase(instance, store);
	secret_free(instance->record.host_json);
	instance->record.host_json = spec_host_to_json(host);
	instance_set_text(&instance->identity.host_url, host->url);
	instance_store(instance, store);
}
