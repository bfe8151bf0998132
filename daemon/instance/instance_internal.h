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

/* Columns of the row in the store that no other part has. */
struct instance_record {
	char *host_json; /* spec_host_to_json: how to reach it; holds secrets */
	char *container_id;
	char *image;
	int64_t changed_at_ms;
	char *next_version; /* `said` of the next revision (struct wanted); NULL: there is none */
	enum unit_state unit_state;
	bool served; /* a server of the balancer was up before the change */
	/* Revisions as the store has them, until instance_recall; they hold secrets. */
	char *in_force, *former;
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
	bool left_alone;         /* see instance_is_left_alone */
	char *silent_because;    /* why no spec says whether the balancer is wanted; NULL: one does, or has */
	bool kept;               /* no spec wants the balancer any more, but its spec is paused */
	bool had_to_stay;        /* in the last run */
	bool edited_later;       /* its spec was edited while the balancer was left out of the rollout */
	bool recalled_otherwise; /* the store's text of the memory was corrected, or not believed */
	/* Without a revision in force: this container, which `state` names, is removed as well; NULL: none.
	 */
	char *drop_id;
	char *told_drift; /* the last drift that was told, so that each is told once */
};

/* A copy of the text takes the place of *to. They may be the same pointer. */
void instance_set_text(char **to, const char *text);
/* The balancer takes over the id, spec and index of this version. */
void instance_take_name(struct instance *instance, const struct wanted *wanted);
/* The record says that the host is just being brought to what is in force. */
bool instance_is_under_way(const struct instance *instance);

#endif
