#include "daemon/core/removal.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"
#include "daemon/core/spec_state.h"

/* Claims that have a word in common: a name, an id, a place. */
struct group {
	char *word;
	const struct claim **claims;
	size_t n;
	UT_hash_handle hh;
};

struct entry {
	struct claim claim; /* its strings are our own */
	struct entry *next;
};

struct silent {
	char *spec;
	UT_hash_handle hh;
};

struct removal {
	bool nothing_read;
	struct silent *silent;
	struct entry *entries;
	struct group *by_id, *by_container, *by_place;
	struct group *doubtful; /* by name: nobody knows yet which container they stand for */
	struct group *adopters; /* that take a container over: all under one word, for they are few */
};

/* The table. */

static void join(struct group **groups, const char *word, const struct claim *claim)
{
	struct group *group;

	HASH_FIND_STR(*groups, word, group);
	if (!group) {
		group = xcalloc(1, sizeof(*group));
		group->word = xstrdup(word);
		HASH_ADD_KEYPTR(hh, *groups, group->word, strlen(group->word), group);
	}
	/* Room doubles: it is full when the number is a power of two. */
	if ((group->n & (group->n - 1)) == 0)
		group->claims = xreallocarray(group->claims, group->n ? 2 * group->n : 1, sizeof(claim));
	group->claims[group->n++] = claim;
}

static void groups_free(struct group **groups)
{
	struct group *group, *tmp;

	HASH_ITER (hh, *groups, group, tmp) {
		HASH_DELETE(hh, *groups, group);
		free(group->word);
		free(group->claims);
		free(group);
	}
}

static bool has_future(const struct claim *claim)
{
	return claim->wanted || claim->waits;
}

static bool may_be_twin(const struct claim *claim)
{
	return has_future(claim) && (!claim->seen || !claim->made);
}

/* Those of a spec on a machine: what may take each other's place. */
static char *place_of(const struct claim *claim)
{
	return xasprintf("%s\n%s\n%s", claim->host_url, claim->engine, claim->spec);
}

struct removal *removal_new(void)
{
	return xcalloc(1, sizeof(struct removal));
}

static void claim_clear(struct claim *claim)
{
	free((char *)claim->host_url);
	free((char *)claim->engine);
	free((char *)claim->name);
	free((char *)claim->id);
	free((char *)claim->spec);
	free((char *)claim->container_id);
	free((char *)claim->takes_over);
}

void removal_free(struct removal *removal)
{
	struct silent *silent, *tmp;
	struct entry *entry;

	if (!removal)
		return;
	groups_free(&removal->doubtful);
	groups_free(&removal->by_id);
	groups_free(&removal->by_container);
	groups_free(&removal->by_place);
	groups_free(&removal->adopters);
	HASH_ITER (hh, removal->silent, silent, tmp) {
		HASH_DELETE(hh, removal->silent, silent);
		free(silent->spec);
		free(silent);
	}
	while ((entry = removal->entries) != NULL) {
		removal->entries = entry->next;
		claim_clear(&entry->claim);
		free(entry);
	}
	free(removal);
}

void removal_add(struct removal *removal, const struct claim *claim)
{
	struct entry *entry = xcalloc(1, sizeof(*entry));
	struct claim *own = &entry->claim;
	char *place = place_of(claim);

	*own = *claim;
	own->host_url = xstrdup(claim->host_url);
	own->engine = xstrdup(claim->engine);
	own->name = xstrdup(claim->name);
	own->id = xstrdup(claim->id);
	own->spec = xstrdup(claim->spec);
	own->container_id = xstrdup(claim->container_id);
	own->takes_over = xstrdup(claim->takes_over);
	entry->next = removal->entries;
	removal->entries = entry;
	/* Of the many that may share a name only these are asked. */
	if (may_be_twin(own))
		join(&removal->doubtful, own->name, own);
	join(&removal->by_id, own->id, own);
	join(&removal->by_place, place, own);
	if (own->container_id)
		join(&removal->by_container, own->container_id, own);
	if (own->takes_over)
		join(&removal->adopters, "", own);
	free(place);
}

void removal_nothing_read(struct removal *removal)
{
	removal->nothing_read = true;
}

void removal_add_silent(struct removal *removal, const char *spec)
{
	struct silent *silent;

	HASH_FIND_STR(removal->silent, spec, silent);
	if (silent)
		return;
	silent = xcalloc(1, sizeof(*silent));
	silent->spec = xstrdup(spec);
	HASH_ADD_KEYPTR(hh, removal->silent, silent->spec, strlen(silent->spec), silent);
}

/* The rules. Each is asked of the claims that a word leads to. */

typedef bool rule(const struct claim *claim, const void *about);

static bool any(struct group *groups, const char *word, rule *holds, const void *about)
{
	struct group *group = NULL;

	if (word)
		HASH_FIND_STR(groups, word, group);
	for (size_t i = 0; group && i < group->n; i++)
		if (holds(group->claims[i], about))
			return true;
	return false;
}

/* One that has got another name by hand is not what the balancer looks for any more: that one is made anew.
 */
static bool stands_for(const struct claim *claim, const void *about)
{
	const struct removal_container *container = about;

	return claim->wanted && strcmp(claim->name, container->name) == 0;
}

static bool takes_over(const struct claim *claim, const void *about)
{
	const struct removal_container *container = about;

	return claim->wanted && spec_state_means(claim->takes_over, container->id);
}

/*
 * The same name, by another address: it may be this very container, and nobody
 * knows before it has been seen. A mistyped address never is.
 */
static bool is_unseen_twin(const struct claim *claim, const void *about)
{
	const struct claim *leaving = about;

	return may_be_twin(claim) && (!claim->seen || strcmp(claim->spec, leaving->spec) == 0);
}

/* It is as wanted and serves, or serves no worse than the one that leaves. */
static bool is_proven(const struct claim *claim, const struct claim *leaving)
{
	return claim->wanted && claim->converged &&
	       (claim->servers_up > 0 || (leaving->answers && leaving->servers_up == 0));
}

/* What may take its place, under a new name, say: until that serves, this one does. */
static bool is_unproven_peer(const struct claim *claim, const void *about)
{
	return has_future(claim) && !is_proven(claim, about);
}

enum removal_verdict removal_of_balancer(const struct removal *removal, const struct claim *leaving)
{
	char *place = place_of(leaving);
	bool peer = any(removal->by_place, place, is_unproven_peer, leaving);

	free(place);
	if (any(removal->doubtful, leaving->name, is_unseen_twin, leaving))
		return REMOVAL_TWIN;
	return peer ? REMOVAL_PEER : REMOVAL_ALLOWED;
}

/* One that leaves has no claim on what was made for it, whatever that is called by now; unless it has to
 * stay. */
static bool keeps(const struct claim *claim, const void *about)
{
	return claim->wanted || claim->unasked || removal_of_balancer(about, claim) != REMOVAL_ALLOWED;
}

bool removal_is_wanted(const struct removal *removal, const struct removal_container *container)
{
	return any(removal->by_container, container->id, stands_for, container) ||
	       any(removal->adopters, "", takes_over, container);
}

static bool is_silent(const struct removal *removal, const char *spec)
{
	struct silent *silent = NULL;

	if (spec)
		HASH_FIND_STR(removal->silent, spec, silent);
	return removal->nothing_read || silent;
}

enum removal_verdict removal_of_container(const struct removal *removal,
					  const struct removal_container *container)
{
	if (is_silent(removal, container->spec))
		return REMOVAL_SPEC_SILENT;
	if (removal_is_wanted(removal, container))
		return REMOVAL_WANTED;
	if (any(removal->by_id, container->instance, keeps, removal))
		return REMOVAL_CLAIMED;
	return REMOVAL_ALLOWED;
}

const char *removal_why(enum removal_verdict verdict)
{
	static const char *const words[REMOVAL_VERDICTS] = {
		[REMOVAL_ALLOWED] = "nothing needs it",
		[REMOVAL_SPEC_SILENT] = "nobody knows yet what its spec wants",
		[REMOVAL_WANTED] = "a balancer that is wanted stands for it",
		[REMOVAL_CLAIMED] = "the balancer that it was made for may need it",
		[REMOVAL_TWIN] =
			"one of the same name has not been seen yet, and may be this one by another address",
		[REMOVAL_PEER] = "what takes its place does not serve yet",
	};

	return words[verdict];
}
