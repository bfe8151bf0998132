#include "daemon/core/assign.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"
#include "common/text.h"
#include "common/words.h"

/*
 * A container's name on a host: wishes, leftovers and known balancers with the same place belong
 * together.
 */
struct place {
	char *key;
	const struct assign_known *known; /* NULL: none */
	bool taken;                       /* a wish or a leftover has it */
	UT_hash_handle hh;
};

struct assignment {
	const struct assign_world *world;
	struct place *places;
	struct place **wished, **known; /* of the world's arrays, in their order */
	struct words *reached;          /* hosts */
	struct words *waiting;          /* specs on hosts, where a change is held */
	struct assign_decision *decisions;
	size_t n;
};

/* A key of two parts, neither of which contains a line feed. */
static char *key_of(const char *a, const char *b)
{
	return xasprintf("%s\n%s", a, b);
}

static void note_waiting(struct assignment *all, const struct assign_wish *wish)
{
	char *key = key_of(wish->host, wish->spec);

	words_add(&all->waiting, key);
	free(key);
}

static bool is_waiting(const struct assignment *all, const struct assign_wish *wish)
{
	char *key = key_of(wish->host, wish->spec);
	bool waits = words_have(all->waiting, key);

	free(key);
	return waits;
}

static struct place *place_at(struct assignment *all, const char *host, const char *name)
{
	char *key = key_of(host, name);
	struct place *place;

	HASH_FIND_STR(all->places, key, place);
	if (place) {
		free(key);
		return place;
	}
	place = xcalloc(1, sizeof(*place));
	place->key = key;
	HASH_ADD_KEYPTR(hh, all->places, place->key, strlen(place->key), place);
	return place;
}

static void places_free(struct assignment *all)
{
	struct place *place, *tmp;

	HASH_ITER (hh, all->places, place, tmp) {
		HASH_DELETE(hh, all->places, place);
		free(place->key);
		free(place);
	}
	free(all->wished);
	free(all->known);
}

/* Adds a decision; the caller sets wish or leftover. known: the balancer in that place; NULL: none. */
static struct assign_decision *decide(struct assignment *all, enum assign_kind kind,
				      const struct assign_known *known)
{
	struct assign_decision *decision = &all->decisions[all->n++];

	*decision = (struct assign_decision){
		.kind = kind,
		.wish = ASSIGN_NONE,
		.leftover = ASSIGN_NONE,
		.known = known ? (size_t)(known - all->world->known) : ASSIGN_NONE,
	};
	return decision;
}

/* Wishes. */

static bool is_new(const struct assign_known *known)
{
	return !known || !known->version || !known->made;
}

static enum assign_why held_because(const struct assignment *all, const struct assign_wish *wish,
				    const struct assign_known *known)
{
	if (known && known->as_found)
		return wish->faulty ? ASSIGN_FAULTY : ASSIGN_AS_FOUND;
	if (known && text_equal(known->version, wish->version))
		return ASSIGN_NOT_HELD;
	if (wish->paused)
		return ASSIGN_PAUSED;
	if (!is_new(known))
		return ASSIGN_TURN;
	/* It may need a port or a path that the held change gives up. */
	return is_waiting(all, wish) ? ASSIGN_HOST_WAITS : ASSIGN_NOT_HELD;
}

static void take_wish(struct assignment *all, size_t i, struct place *place)
{
	const struct assign_wish *wish = &all->world->wishes[i];
	enum assign_why why = held_because(all, wish, place->known);
	struct assign_decision *decision;

	if (words_add(&all->reached, wish->host))
		decide(all, ASSIGN_REACH, NULL)->wish = i;
	decision = decide(all, why == ASSIGN_NOT_HELD ? ASSIGN_PUT_IN_FORCE : ASSIGN_HOLD, place->known);
	decision->wish = i;
	decision->why = why;
	if (why != ASSIGN_NOT_HELD)
		note_waiting(all, wish);
	place->taken = true;
}

/* Balancers that exist come first: a new one on their host may have to wait for them. */
static void take_wishes(struct assignment *all, bool new_ones)
{
	for (size_t i = 0; i < all->world->wishes_n; i++) {
		struct place *place = all->wished[i];

		if (!place->taken && is_new(place->known) == new_ones)
			take_wish(all, i, place);
	}
}

/* Leftovers. (In flexkube, too, an entry of `state` without an instance means: remove the container.) */

static void take_leftover(struct assignment *all, size_t i)
{
	const struct assign_leftover *leftover = &all->world->leftovers[i];
	struct place *place = place_at(all, leftover->host, leftover->name);

	if (leftover->paused)
		return;
	if (words_add(&all->reached, leftover->host))
		decide(all, ASSIGN_REACH, NULL)->leftover = i;
	/*
	 * A balancer in force is removed as a balancer, if at all. One that is only known from the
	 * store was wanted before the restart, and no spec wants it any more.
	 */
	if (place->taken || (place->known && place->known->version && !place->known->unasked))
		return;
	decide(all, ASSIGN_REMOVE_CONTAINER, place->known)->leftover = i;
	place->taken = true;
}

/* Balancers that no spec in force names any more. */

static enum assign_kind fate_of(const struct assign_known *known)
{
	if (known->silent)
		return ASSIGN_LEAVE;
	if (known->version && known->paused)
		return ASSIGN_KEEP;
	return known->made || known->busy ? ASSIGN_REMOVE : ASSIGN_FORGET;
}

static void take_unwanted(struct assignment *all)
{
	for (size_t i = 0; i < all->world->known_n; i++) {
		const struct assign_known *known = &all->world->known[i];

		if (!all->known[i]->taken)
			decide(all, fate_of(known), known);
	}
}

static void find_places(struct assignment *all)
{
	const struct assign_world *world = all->world;

	all->wished = xcalloc(world->wishes_n + 1, sizeof(struct place *));
	all->known = xcalloc(world->known_n + 1, sizeof(struct place *));
	for (size_t i = 0; i < world->wishes_n; i++)
		all->wished[i] = place_at(all, world->wishes[i].host, world->wishes[i].name);
	for (size_t i = 0; i < world->known_n; i++) {
		all->known[i] = place_at(all, world->known[i].host, world->known[i].name);
		all->known[i]->known = &world->known[i];
	}
}

struct assign_decision *assign(const struct assign_world *world, size_t *n)
{
	struct assignment all = {.world = world};
	/* Each wish and leftover may add an ASSIGN_REACH. */
	size_t room = 2 * (world->wishes_n + world->leftovers_n) + world->known_n;

	all.decisions = xcalloc(room + 1, sizeof(*all.decisions));
	find_places(&all);
	take_wishes(&all, false);
	take_wishes(&all, true);
	for (size_t i = 0; i < world->leftovers_n; i++)
		take_leftover(&all, i);
	take_unwanted(&all);
	words_clear(&all.reached);
	words_clear(&all.waiting);
	places_free(&all);
	*n = all.n;
	return all.decisions;
}
