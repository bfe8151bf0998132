#include "daemon/core/found.h"

#include <string.h>

typedef bool relation(const struct found *found, const struct found_peer *peer);

static bool is_its_own(const struct found *found, const struct found_peer *peer)
{
	return found->stray_of && strcmp(found->stray_of, peer->id) == 0;
}

static bool listens_there(const struct found *found, const struct found_peer *peer)
{
	return !found->stray_of && found->binds[0] && strcmp(found->binds, peer->binds) == 0;
}

static bool takes_an_address(const struct found *found, const struct found_peer *peer)
{
	return !found->stray_of && peer->takes_address;
}

static bool is_of_its_spec(const struct found *found, const struct found_peer *peer)
{
	return !found->stray_of && strcmp(found->spec, peer->spec) == 0;
}

/*
 * The relation by which a peer takes the container's place: the first that holds for any peer.
 * NULL: none does.
 */
static relation *place_of(const struct found *found, const struct found_peer *peers, size_t n)
{
	static relation *const relations[] = {is_its_own, listens_there, takes_an_address, is_of_its_spec};

	for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++)
		for (size_t j = 0; j < n; j++)
			if (relations[i](found, &peers[j]))
				return relations[i];
	return NULL;
}

/*
 * Some of the peers that may take its place may be without servers for weeks, but all must be as
 * wanted.
 */
static enum found_fate fate_among(const struct found *found, const struct found_peer *peers, size_t n,
				  relation *in_place)
{
	bool serve = found->serves_nobody, unchecked = false;

	for (size_t i = 0; i < n; i++) {
		if (!in_place(found, &peers[i]))
			continue;
		if (!peers[i].as_wanted)
			return FOUND_STAYS;
		unchecked |= peers[i].unchecked;
		serve |= peers[i].servers_up > 0;
	}
	if (unchecked)
		return FOUND_LINGERS;
	return serve ? FOUND_DRAINS : FOUND_STAYS;
}

enum found_fate found_fate(const struct found *found, const struct found_peer *peers, size_t n)
{
	relation *in_place = place_of(found, peers, n);

	if (!found->up)
		return FOUND_STOPS;
	if (found->drains)
		return FOUND_DRAINS;
	if (!in_place)
		return found->succeeded ? FOUND_DRAINS : FOUND_STOPS;
	return fate_among(found, peers, n, in_place);
}

bool found_stays(enum found_fate fate)
{
	return fate == FOUND_STAYS || fate == FOUND_LINGERS;
}

int64_t found_drain_ms(const struct found *found, const struct found_peer *peers, size_t n,
		       int64_t elsewhere_ms)
{
	int64_t longest_ms = 0;

	for (size_t i = 0; i < n; i++)
		if ((is_its_own(found, &peers[i]) || is_of_its_spec(found, &peers[i])) &&
		    peers[i].drain_ms > longest_ms)
			longest_ms = peers[i].drain_ms;
	if (longest_ms == 0)
		longest_ms = elsewhere_ms;
	return longest_ms ? longest_ms : FOUND_DRAIN_MS;
}
