/*
 * What an instance is made of; nobody but the files of this folder includes
 * this. instance.c has its runs, instance_change.c its revisions and its part
 * in rollouts, instance_record.c what the store has of it.
 */
#ifndef APILB_INSTANCE_INTERNAL_H
#define APILB_INSTANCE_INTERNAL_H

#include "daemon/core/memory/memory.h"
#include "daemon/core/servers.h"
#include "daemon/instance/instance.h"

/* What else outlives the process: not what another part has already. */
struct instance_record {
	char *host_json; /* spec_host_to_json: how to reach it; holds secrets */
	char *container_id;
	char *image;
	int64_t changed_at_ms;
	char *next_version; /* `said` of what waits for its turn (struct wanted); NULL: nothing */
	enum unit_state unit_state;
	bool served; /* it had a server that was up before the change */
	char *in_force,
		*former; /* revisions as the store has them, until they are recalled; they hold secrets */
};

struct instance {
	struct instance_identity identity;
	struct instance_revision revision;
	struct instance_verdict verdict;
	struct instance_record record;
	struct observed_instance observed; /* of the last run */
	struct servers servers;            /* how HAProxy has seen them, over many runs */
	struct memory memory;              /* what runs have learned */

	/*
	 * What is in force is not mere record: its host was seen to have it, or to have
	 * nothing that serves, or its turn came, since the start. Until then
	 * the host is asked first (core/first_look.h).
	 */
	bool proven;
	bool left_alone;
	bool kept;               /* no spec wants it any more, but that one's changes are paused */
	bool had_to_stay;        /* in the last run */
	bool edited_later;       /* while it was left out of the rollout */
	bool recalled_otherwise; /* what the store has of the memory was corrected, or not believed */
	char *drop_id; /* nothing is in force: this container, which `state` names, goes as well; NULL: none
			*/
	char *told_drift; /* the last that was told, so that each is told once */
};

/* In place of what *to is, which may be the same. */
void instance_set_text(char **to, const char *text);
/* It is called as this version says. */
void instance_take_name(struct instance *instance, const struct wanted *wanted);
/* The record says that its host is just being brought to what is in force. */
bool instance_is_under_way(const struct instance *instance);

#endif
