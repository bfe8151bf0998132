#include "daemon/core/removal.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "common/mem.h"
#include "common/text.h"
#include "common/words.h"
#include "daemon/core/spec/spec_state.h"

/* Claims that share a word: a name, an id, a place. */
struct group {
	char *word;
	LIST_HEAD(, membership) members;
	UT_hash_handle hh;
};

/* A claim's membership of a group; group NULL: of none. */
struct membership {
	struct group *group;
	const struct claim *claim;
	LIST_ENTRY(membership) entry;
};

/* How claims are found. */
enum index {
	BY_ID,
	BY_CONTAINER,
	BY_PLACE,
	BY_BINDS, /* for a balancer that takes the place of one of another spec */
	DOUBTFUL, /* by name: claims of which nobody knows yet which container is theirs */
	ADOPTERS, /* claims that take over a container; they are few, so all have one word */
	INDEXES
};

struct entry {
	const void *who;
	struct claim claim; /* its strings are owned by the entry */
	struct membership memberships[INDEXES];
	unsigned round; /* the last round in which it was told */
	UT_hash_handle hh;
};

struct removal {
	bool nothing_read;
	bool silent; /* some spec is */
	unsigned round;
	size_t told;         /* number of entries told in this round */
	struct words *heard; /* specs, if one is silent */
	struct entry *entries;
	struct group *groups[INDEXES];
};

static void join(struct removal *removal, struct entry *entry, enum index index, const char *word)
{
	struct membership *membership = &entry->memberships[index];
	struct group *group;

	HASH_FIND_STR(removal->groups[index], word, group);
	if (!group) {
		group = xcalloc(1, sizeof(*group));
		group->word = xstrdup(word);
		HASH_ADD_KEYPTR(hh, removal->groups[index], group->word, strlen(group->word), group);
	}
	*membership = (struct membership){.group = group, .claim = &entry->claim};
	LIST_INSERT_HEAD(&group->members, membership, entry);
}

static void part(struct removal *removal, struct entry *entry)
{
	for (int i = 0; i < INDEXES; i++) {
		struct membership *membership = &entry->memberships[i];
		struct group *group = membership->group;

		if (!group)
			continue;
		LIST_REMOVE(membership, entry);
		membership->group = NULL;
		if (!LIST_EMPTY(&group->members))
			continue;
		HASH_DELETE(hh, removal->groups[i], group);
		free(group->word);
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

/* A spec on a machine: its balancers there may take each other's place. */
static char *place_of(const struct claim *claim)
{
	return xasprintf("%s\n%s\n%s", claim->host_url, claim->engine, claim->spec);
}

/* NULL: unknown. */
static char *binds_of(const struct claim *claim)
{
	return claim->binds ? xasprintf("%s\n%s\n%s", claim->host_url, claim->engine, claim->binds) : NULL;
}

/* The strings of a claim, which are compared, copied and freed in the same way. */
static const size_t strings[] = {
	offsetof(struct claim, host_url),     offsetof(struct claim, engine),
	offsetof(struct claim, name),         offsetof(struct claim, id),
	offsetof(struct claim, spec),         offsetof(struct claim, binds),
	offsetof(struct claim, container_id), offsetof(struct claim, takes_over),
};
#define STRINGS (sizeof(strings) / sizeof(strings[0]))

static const char **string_of(struct claim *claim, size_t i)
{
	return (const char **)((char *)claim + strings[i]);
}

static const char *text_of(const struct claim *claim, size_t i)
{
	return *string_of((struct claim *)claim, i);
}

static bool same_claim(const struct claim *a, const struct claim *b)
{
	for (size_t i = 0; i < STRINGS; i++)
		if (!text_equal(text_of(a, i), text_of(b, i)))
			return false;
	return a->wanted == b->wanted && a->waits == b->waits && a->unasked == b->unasked &&
	       a->seen == b->seen && a->made == b->made && a->converged == b->converged &&
	       a->answers == b->answers && a->servers_up == b->servers_up && a->fallback == b->fallback;
}

static void set_claim(struct removal *removal, struct entry *entry, const struct claim *claim)
{
	struct claim *own = &entry->claim;
	char *place = place_of(claim), *binds = binds_of(claim);

	*own = *claim;
	for (size_t i = 0; i < STRINGS; i++)
		*string_of(own, i) = xstrdup(text_of(claim, i));
	/* Many claims may share a name; only these need to be asked. */
	if (may_be_twin(own))
		join(removal, entry, DOUBTFUL, own->name);
	join(removal, entry, BY_ID, own->id);
	join(removal, entry, BY_PLACE, place);
	if (binds)
		join(removal, entry, BY_BINDS, binds);
	if (own->container_id)
		join(removal, entry, BY_CONTAINER, own->container_id);
	if (own->takes_over)
		join(removal, entry, ADOPTERS, "");
	free(place);
	free(binds);
}

static void clear_claim(struct removal *removal, struct entry *entry)
{
	part(removal, entry);
	for (size_t i = 0; i < STRINGS; i++)
		free((char *)text_of(&entry->claim, i));
	entry->claim = (struct claim){0};
}

static void entry_free(struct removal *removal, struct entry *entry)
{
	clear_claim(removal, entry);
	HASH_DELETE(hh, removal->entries, entry);
	free(entry);
}

struct removal *removal_new(void)
{
	return xcalloc(1, sizeof(struct removal));
}

void removal_free(struct removal *removal)
{
	struct entry *entry, *tmp;

	if (!removal)
		return;
	HASH_ITER (hh, removal->entries, entry, tmp)
		entry_free(removal, entry);
	words_clear(&removal->heard);
	free(removal);
}

void removal_begin(struct removal *removal)
{
	removal->round++;
	removal->told = 0;
	removal->nothing_read = removal->silent = false;
	words_clear(&removal->heard);
}

void removal_put(struct removal *removal, const void *who, const struct claim *claim)
{
	struct entry *entry;

	HASH_FIND_PTR(removal->entries, &who, entry);
	if (!entry) {
		entry = xcalloc(1, sizeof(*entry));
		entry->who = who;
		HASH_ADD_PTR(removal->entries, who, entry);
		set_claim(removal, entry, claim);
	} else if (!same_claim(&entry->claim, claim)) {
		clear_claim(removal, entry);
		set_claim(removal, entry, claim);
	}
	removal->told += entry->round != removal->round;
	entry->round = removal->round;
}

void removal_end(struct removal *removal)
{
	struct entry *entry, *tmp;

	if (removal->told == HASH_COUNT(removal->entries))
		return;
	HASH_ITER (hh, removal->entries, entry, tmp)
		if (entry->round != removal->round)
			entry_free(removal, entry);
}

void removal_nothing_read(struct removal *removal)
{
	removal->nothing_read = true;
}

void removal_put_silent(struct removal *removal)
{
	removal->silent = true;
}

void removal_put_heard(struct removal *removal, const char *spec)
{
	words_add(&removal->heard, spec);
}

/* The rules. `any` asks a rule about each claim of a group. */

typedef bool rule(const struct claim *claim, const void *about);

static bool any(const struct removal *removal, enum index index, const char *word, rule *holds,
		const void *about)
{
	struct group *group = NULL;
	struct membership *membership;

	if (word)
		HASH_FIND_STR(removal->groups[index], word, group);
	if (group)
		LIST_FOREACH (membership, &group->members, entry)
			if (holds(membership->claim, about))
				return true;
	return false;
}

/*
 * The claim's balancer is wanted and this is its container. If somebody has renamed the container,
 * the balancer does not look for it any more, and gets a new one.
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
 * A balancer of the same name at another address: both addresses may be one
 * machine, and the container this balancer's. Nobody knows before its host was
 * reached. Once an attempt to reach it has failed, that counts only within a
 * spec: the address may be mistyped.
 */
static bool is_unseen_twin(const struct claim *claim, const void *about)
{
	const struct claim *leaving = about;

	return may_be_twin(claim) && (!claim->seen || strcmp(claim->spec, leaving->spec) == 0);
}

/* At the last look no server was up, and none is used unchecked. The servers may be back by now. */
static bool serves_nobody(const struct claim *claim)
{
	return claim->answers && claim->servers_up == 0 && !claim->fallback;
}

/* The balancer is as wanted and serves, or serves no worse than the one to be removed. */
static bool is_proven(const struct claim *claim, const struct claim *leaving)
{
	return claim->wanted && claim->converged && (claim->servers_up > 0 || serves_nobody(leaving));
}

/*
 * A balancer that may take the place of the one to be removed, say under a new name or from another
 * spec: until it serves, the other one does.
 */
static bool is_unproven_peer(const struct claim *claim, const void *about)
{
	return has_future(claim) && !is_proven(claim, about);
}

enum removal_verdict removal_of_balancer(const struct removal *removal, const struct claim *leaving)
{
	char *place = place_of(leaving), *binds = binds_of(leaving);
	bool peer = any(removal, BY_PLACE, place, is_unproven_peer, leaving) ||
		    any(removal, BY_BINDS, binds, is_unproven_peer, leaving);

	free(place);
	free(binds);
	if (any(removal, DOUBTFUL, leaving->name, is_unseen_twin, leaving))
		return REMOVAL_TWIN;
	return peer ? REMOVAL_PEER : REMOVAL_ALLOWED;
}

static bool leaves(const struct claim *claim, const void *about)
{
	(void)about;
	return !claim->wanted;
}

/* The balancer that will listen. */
struct relief {
	const char *spec, *binds;
};

static bool is_relieved(const struct claim *claim, const void *about)
{
	const struct relief *relief = about;

	return !claim->wanted && !serves_nobody(claim) &&
	       (claim->binds ? strcmp(claim->binds, relief->binds) == 0
			     : strcmp(claim->spec, relief->spec) == 0);
}

bool removal_is_relieved(const struct removal *removal, const struct removal_container *container,
			 const char *spec, const char *binds)
{
	const struct relief relief = {.spec = spec, .binds = binds};

	if (container->idle)
		return false;
	if (container->binds)
		return strcmp(container->binds, binds) == 0;
	if (any(removal, BY_CONTAINER, container->id, leaves, NULL))
		return any(removal, BY_CONTAINER, container->id, is_relieved, &relief);
	return text_equal(container->spec, spec);
}

static bool has_to_stay(const struct claim *claim, const void *about)
{
	return !claim->wanted && (claim->unasked || removal_of_balancer(about, claim) != REMOVAL_ALLOWED);
}

/*
 * Whether the claim protects containers that were made for its balancer, whatever their names are
 * now: if it is wanted, or has to stay itself.
 */
static bool keeps(const struct claim *claim, const void *about)
{
	return claim->wanted || has_to_stay(claim, about);
}

bool removal_is_wanted(const struct removal *removal, const struct removal_container *container)
{
	return any(removal, BY_CONTAINER, container->id, stands_for, container) ||
	       any(removal, ADOPTERS, "", takes_over, container);
}

static bool is_silent(const struct removal *removal, const char *spec)
{
	return removal->nothing_read || (spec && removal->silent && !words_have(removal->heard, spec));
}

enum removal_verdict removal_of_container(const struct removal *removal,
					  const struct removal_container *container)
{
	if (is_silent(removal, container->spec))
		return REMOVAL_SPEC_SILENT;
	if (removal_is_wanted(removal, container))
		return REMOVAL_WANTED;
	/*
	 * The second rule is for a container with an old label, from when the balancer's host had
	 * another name in the spec.
	 */
	if (any(removal, BY_ID, container->instance, keeps, removal) ||
	    any(removal, BY_CONTAINER, container->id, has_to_stay, removal))
		return REMOVAL_CLAIMED;
	return REMOVAL_ALLOWED;
}

const char *removal_why(enum removal_verdict verdict)
{
	static const char *const words[REMOVAL_VERDICTS] = {
		[REMOVAL_ALLOWED] = "nothing needs it",
		[REMOVAL_SPEC_SILENT] = "nobody knows yet what its spec wants",
		[REMOVAL_WANTED] = "a wanted balancer uses it",
		[REMOVAL_CLAIMED] = "the balancer that it was made for may need it",
		[REMOVAL_TWIN] = ("a balancer of the same name at another address or engine, not seen yet, "
				  "may be this one"),
		[REMOVAL_PEER] = "the balancer that takes its place does not serve yet",
	};

	return words[verdict];
}
