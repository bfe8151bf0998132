#include "daemon/core/spec/spec_fleet.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "common/mem.h"

/* The claim of one instance to one key. */
struct claim {
	struct claim *prev, *next; /* claims to the same key */
	struct claim *more;        /* next claim of the same spec */
	struct claimed *key;
	const struct spec *spec;
	const struct spec_instance *instance;
};

/* Something that a host has only once, and the claims to it, the earliest first. */
struct claimed {
	UT_hash_handle hh;
	struct claim *holders;
	char key[];
};

/* A spec and all its claims. */
struct claimant {
	UT_hash_handle hh;
	const struct spec *spec;
	struct claim *claims;
};

struct spec_claims {
	struct claimed *keys;
	struct claimant *specs;
};

/* The instance whose claims are being checked and added. */
struct search {
	struct spec_claims *claims;
	struct claimant *claimant;
	const struct spec_instance *instance;
	spec_clash_fn *clash;
	void *arg;
	size_t clashes;
};

/* A claim of another instance to this key. */
static const struct claim *find(const struct search *s, const char *key)
{
	struct claimed *claimed;
	struct claim *claim;

	HASH_FIND_STR(s->claims->keys, key, claimed);
	if (!claimed)
		return NULL;
	/* One instance may listen on the same port of several addresses. */
	DL_FOREACH (claimed->holders, claim)
		if (claim->instance != s->instance)
			return claim;
	return NULL;
}

/* Claims the key, which it frees. */
static void claim_key(struct search *s, char *key)
{
	struct claimed *claimed;
	struct claim *claim = xcalloc(1, sizeof(*claim));

	HASH_FIND_STR(s->claims->keys, key, claimed);
	if (!claimed) {
		claimed = xcalloc(1, sizeof(*claimed) + strlen(key) + 1);
		strcpy(claimed->key, key);
		HASH_ADD_STR(s->claims->keys, key, claimed);
	}
	free(key);
	*claim = (struct claim){.key = claimed, .spec = s->claimant->spec, .instance = s->instance};
	DL_APPEND(claimed->holders, claim);
	LL_PREPEND2(s->claimant->claims, claim, more);
}

static void report(struct search *s, const struct claim *other, char *message)
{
	s->clashes++;
	if (s->clash)
		s->clash(s->arg, s->claimant->spec, s->instance, other->spec, message);
	free(message);
}

static void report_clash(struct search *s, const struct claim *other, const char *what)
{
	report(s, other,
	       xasprintf("%s on host %s is already taken by apiLoadBalancers[%zu] (%s) of %s, line %zu", what,
			 s->instance->host.label, other->instance->index, other->instance->id,
			 other->spec->file, other->instance->line));
}

/* Claims the key; reports another claim to it, which `what` names. Frees both texts. */
static void claim_unique(struct search *s, char *key, char *what)
{
	const struct claim *other = find(s, key);

	if (other)
		report_clash(s, other, what);
	claim_key(s, key);
	free(what);
}

static bool is_wildcard(const struct spec_bind *bind)
{
	return strcmp(bind->ip, "*") == 0 || strcmp(bind->ip, "0.0.0.0") == 0 || strcmp(bind->ip, "::") == 0;
}

static char *bind_key(const struct spec_instance *instance, const struct spec_bind *bind, const char *ip)
{
	return xasprintf("bind %d %s %u %s", bind->ipv6, instance->host.label, bind->port, ip);
}

/*
 * An IPv6 wildcard listens on the IPv4 side of its port as well (bindv6only is 0 on Linux), unless
 * the instance has an IPv4 bind of that port itself (haproxy.c, needs_v6only).
 */
static bool takes_ipv4_too(const struct spec_instance *instance, const struct spec_bind *bind)
{
	if (!bind->ipv6 || !is_wildcard(bind))
		return false;
	for (size_t i = 0; i < instance->binds_n; i++)
		if (!instance->binds[i].ipv6 && instance->binds[i].port == bind->port)
			return false;
	return true;
}

/*
 * A wildcard clashes with every address of its family. So every bind also
 * claims "any", and a wildcard looks for that; a wildcard claims "all", and
 * every other bind looks for that. shown: the bind as the spec gives it, for
 * the message.
 */
static void claim_address(struct search *s, const struct spec_bind *bind, const struct spec_bind *shown)
{
	const struct spec_instance *i = s->instance;
	char *own = bind_key(i, bind, is_wildcard(bind) ? "all" : bind->ip);
	char *any = bind_key(i, bind, "any");
	char *asked = is_wildcard(bind) ? xstrdup(any) : bind_key(i, bind, "all");
	const struct claim *other = find(s, own);

	if (!other)
		other = find(s, asked);
	if (other) {
		char *what = xasprintf(shown->ipv6 ? "bindAddress [%s]:%u" : "bindAddress %s:%u", shown->ip,
				       shown->port);

		report_clash(s, other, what);
		free(what);
	}
	free(asked);
	claim_key(s, own);
	claim_key(s, any);
}

static void claim_bind(struct search *s, const struct spec_bind *bind)
{
	static char any_ipv4[] = "0.0.0.0";
	const struct spec_bind ipv4 = {.ip = any_ipv4, .port = bind->port};

	claim_address(s, bind, bind);
	if (takes_ipv4_too(s->instance, bind))
		claim_address(s, &ipv4, bind);
}

/* apilbd has one connection to a host, so all instances must agree on how to make it. */
static void claim_host(struct search *s)
{
	const struct spec_host *host = &s->instance->host;
	char *key = xasprintf("host %s %s", host->label, host->engine);
	const struct claim *other = find(s, key);

	if (other && !spec_host_equal(&other->instance->host, host))
		report(s, other,
		       xasprintf("another instance reaches the same host %s with other ssh settings "
				 "(%s:%zu): make them the same",
				 host->label, other->spec->file, other->instance->line));
	claim_key(s, key);
}

static void claim_instance(struct search *s)
{
	const struct spec_instance *i = s->instance;

	/* Without an id the host or name is wrong, which was reported. */
	if (!i->id)
		return;
	claim_host(s);
	claim_unique(s, xasprintf("name %s %s", i->host.label, i->name),
		     xasprintf("container name %s", i->name));
	if (i->config_path)
		claim_unique(s, xasprintf("path %s %s", i->host.label, i->config_path),
			     xasprintf("hostConfigPath %s", i->config_path));
	for (size_t b = 0; b < i->binds_n; b++)
		claim_bind(s, &i->binds[b]);
}

struct spec_claims *spec_claims_new(void)
{
	return xcalloc(1, sizeof(struct spec_claims));
}

size_t spec_claims_add(struct spec_claims *claims, const struct spec *spec, spec_clash_fn *clash, void *arg)
{
	struct search s = {.claims = claims, .clash = clash, .arg = arg};

	s.claimant = xcalloc(1, sizeof(*s.claimant));
	s.claimant->spec = spec;
	HASH_ADD_PTR(claims->specs, spec, s.claimant);
	for (size_t i = 0; i < spec->instances_n && s.clashes < SPEC_MAX_ERRORS; i++) {
		s.instance = &spec->instances[i];
		claim_instance(&s);
	}
	return s.clashes;
}

static void claim_free(struct spec_claims *claims, struct claim *claim)
{
	struct claimed *key = claim->key;

	DL_DELETE(key->holders, claim);
	if (!key->holders) {
		HASH_DEL(claims->keys, key);
		free(key);
	}
	free(claim);
}

static void claimant_free(struct spec_claims *claims, struct claimant *claimant)
{
	struct claim *claim, *next;

	LL_FOREACH_SAFE2(claimant->claims, claim, next, more)
	claim_free(claims, claim);
	HASH_DEL(claims->specs, claimant);
	free(claimant);
}

void spec_claims_remove(struct spec_claims *claims, const struct spec *spec)
{
	struct claimant *claimant;

	HASH_FIND_PTR(claims->specs, &spec, claimant);
	if (claimant)
		claimant_free(claims, claimant);
}

void spec_claims_free(struct spec_claims *claims)
{
	struct claimant *claimant, *tmp;

	if (!claims)
		return;
	HASH_ITER (hh, claims->specs, claimant, tmp)
		claimant_free(claims, claimant);
	free(claims);
}

void spec_clash_error(void *arg, const struct spec *spec, const struct spec_instance *instance,
		      const struct spec *other, const char *what)
{
	char *path = xasprintf("apiLoadBalancers[%zu]", instance->index);

	(void)other;
	spec_errors_add(arg, spec->file, instance->line, instance->column, path, "%s", what);
	free(path);
}

static int by_file(const void *a, const void *b)
{
	const struct spec *const *x = a, *const *y = b;

	return strcmp((*x)->file, (*y)->file);
}

/* Of prod.yaml and prod.yml only one can be in force: their instances would have the same ids. */
static void check_names(const struct spec *const *specs, size_t n, struct spec_errors *errors)
{
	struct claimant *names = NULL, *claim, *tmp;

	for (size_t i = 0; i < n; i++) {
		HASH_FIND_STR(names, specs[i]->name, claim);
		if (claim) {
			spec_errors_add(errors, specs[i]->file, 0, 0, "",
					"the spec name \"%s\" is already taken by %s", specs[i]->name,
					claim->spec->file);
			continue;
		}
		claim = xcalloc(1, sizeof(*claim));
		claim->spec = specs[i];
		HASH_ADD_KEYPTR(hh, names, specs[i]->name, strlen(specs[i]->name), claim);
	}
	HASH_ITER (hh, names, claim, tmp) {
		HASH_DEL(names, claim);
		free(claim);
	}
}

size_t spec_check_fleet(const struct spec *const *specs, size_t n, struct spec_errors *errors)
{
	const struct spec **sorted = xreallocarray(NULL, n, sizeof(const struct spec *));
	struct spec_claims *claims = spec_claims_new();
	size_t before = errors->n;

	if (n)
		memcpy(sorted, specs, n * sizeof(const struct spec *));
	qsort(sorted, n, sizeof(const struct spec *), by_file);
	check_names(sorted, n, errors);
	for (size_t i = 0; i < n; i++)
		spec_claims_add(claims, sorted[i], spec_clash_error, errors);
	spec_claims_free(claims);
	free(sorted);
	return errors->n - before;
}
