#include "daemon/specs/spec_admission.h"

#include <utlist.h>

static void release(struct spec_claims *claims, const struct spec *spec)
{
	if (spec)
		spec_claims_remove(claims, spec);
}

static bool claim_for(struct spec_claims *claims, struct admission *one)
{
	spec_errors_clear(one->errors);
	one->in = spec_claims_add(claims, one->candidate, spec_clash_error, one->errors) == 0;
	if (!one->in)
		release(claims, one->candidate);
	return one->in;
}

struct eviction {
	struct admission *by_candidate;
	struct admission *in_the_way;
};

static void on_taken(void *arg, const struct spec *spec, const struct spec_instance *instance,
		     const struct spec *other, const char *what)
{
	struct eviction *eviction = arg;
	struct admission *one;

	(void)spec;
	(void)instance;
	(void)what;
	HASH_FIND_PTR(eviction->by_candidate, &other, one);
	if (one)
		eviction->in_the_way = one;
}

/* The new version of this spec was refused, so the version in force claims again. If a candidate has claimed
 * something that only the new version would have released, the candidate is returned, to be evicted. */
static struct admission *take_back(struct spec_claims *claims, const struct spec *spec,
				   struct admission *by_candidate)
{
	struct eviction eviction = {.by_candidate = by_candidate};

	spec_claims_add(claims, spec, on_taken, &eviction);
	if (eviction.in_the_way)
		release(claims, spec);
	return eviction.in_the_way;
}

/* An instance may move from one file to another, or two files may swap instances: so all candidates claim at
 * once. If a candidate does not fit, its version in force claims again, and a candidate that has claimed
 * anything of that version is refused as well. */
static void admit_together(struct spec_claims *claims, struct admission *all, size_t n)
{
	struct admission *by_candidate = NULL, *refused = NULL, *one, *evicted;

	for (size_t i = 0; i < n; i++) {
		release(claims, all[i].in_force);
		one = &all[i];
		HASH_ADD_PTR(by_candidate, candidate, one);
	}
	for (size_t i = 0; i < n; i++)
		if (!claim_for(claims, &all[i]))
			LL_PREPEND(refused, &all[i]);
	while ((one = refused) != NULL) {
		LL_DELETE(refused, one);
		while (one->in_force && (evicted = take_back(claims, one->in_force, by_candidate)) != NULL) {
			release(claims, evicted->candidate);
			evicted->in = false;
			LL_PREPEND(refused, evicted);
		}
	}
	HASH_CLEAR(hh, by_candidate);
}

/* A refused candidate may fit now, since the candidate that it clashed with was refused, too. */
static bool admit_alone(struct spec_claims *claims, struct admission *one)
{
	release(claims, one->in_force);
	if (!claim_for(claims, one) && one->in_force)
		spec_claims_add(claims, one->in_force, NULL, NULL);
	return one->in;
}

void spec_admit(struct spec_claims *claims, struct admission *all, size_t n)
{
	bool progress;

	admit_together(claims, all, n);
	do {
		progress = false;
		for (size_t i = 0; i < n; i++)
			if (!all[i].in)
				progress |= admit_alone(claims, &all[i]);
	} while (progress);
}
