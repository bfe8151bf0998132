#include "daemon/core/spec_fleet.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"

/* Something on a host that only one instance can have. */
struct claim {
	UT_hash_handle hh;
	const struct spec *spec;
	const struct spec_instance *instance;
	char *key;
};

struct search {
	struct claim *claims;
	const struct spec *spec;
	const struct spec_instance *instance;
	spec_clash_fn *clash;
	void *arg;
};

static const struct claim *find(const struct search *s, const char *key)
{
	struct claim *claim;

	HASH_FIND_STR(s->claims, key, claim);
	/* An instance may well listen on one port of several addresses. */
	return claim && claim->instance != s->instance ? claim : NULL;
}

/* The first one keeps it. Takes the key. */
static void claim_key(struct search *s, char *key)
{
	struct claim *claim;

	HASH_FIND_STR(s->claims, key, claim);
	if (claim) {
		free(key);
		return;
	}
	claim = xcalloc(1, sizeof(*claim));
	*claim = (struct claim){.spec = s->spec, .instance = s->instance, .key = key};
	HASH_ADD_KEYPTR(hh, s->claims, claim->key, strlen(claim->key), claim);
}

static void report_clash(const struct search *s, const struct claim *other, const char *what)
{
	char *message =
		xasprintf("%s on host %s is already taken by apiLoadBalancers[%zu] (%s) of %s, line %zu",
			  what, s->instance->host.label, other->instance->index, other->instance->id,
			  other->spec->file, other->instance->line);

	s->clash(s->arg, s->spec, s->instance, message);
	free(message);
}

/* Takes the key and what it is for. */
static void claim_or_report(struct search *s, char *key, char *what)
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
 * A wildcard clashes with every address of its family, so every bind also
 * claims "any", which a wildcard asks for, and a wildcard "all", which every
 * other bind asks for.
 */
static void check_bind(struct search *s, const struct spec_bind *bind)
{
	const struct spec_instance *i = s->instance;
	char *own = bind_key(i, bind, is_wildcard(bind) ? "all" : bind->ip);
	char *any = bind_key(i, bind, "any");
	char *asked = is_wildcard(bind) ? xstrdup(any) : bind_key(i, bind, "all");
	const struct claim *other = find(s, own);

	if (!other)
		other = find(s, asked);
	if (other) {
		char *what = xasprintf(bind->ipv6 ? "bindAddress [%s]:%u" : "bindAddress %s:%u", bind->ip,
				       bind->port);

		report_clash(s, other, what);
		free(what);
	}
	free(asked);
	claim_key(s, own);
	claim_key(s, any);
}

static void check_instance(struct search *s)
{
	const struct spec_instance *i = s->instance;

	/* Its host or name is wrong, and was reported. */
	if (!i->id)
		return;
	claim_or_report(s, xasprintf("name %s %s", i->host.label, i->name),
			xasprintf("container name %s", i->name));
	if (i->config_path)
		claim_or_report(s, xasprintf("path %s %s", i->host.label, i->config_path),
				xasprintf("hostConfigPath %s", i->config_path));
	for (size_t b = 0; b < i->binds_n; b++)
		check_bind(s, &i->binds[b]);
}

void spec_find_clashes(const struct spec *const *specs, size_t n, spec_clash_fn *clash, void *arg)
{
	struct search s = {.clash = clash, .arg = arg};
	struct claim *claim, *tmp;

	for (size_t i = 0; i < n; i++) {
		s.spec = specs[i];
		for (size_t j = 0; j < specs[i]->instances_n; j++) {
			s.instance = &specs[i]->instances[j];
			check_instance(&s);
		}
	}
	HASH_ITER (hh, s.claims, claim, tmp) {
		HASH_DEL(s.claims, claim);
		free(claim->key);
		free(claim);
	}
}

static void add_error(void *arg, const struct spec *spec, const struct spec_instance *instance,
		      const char *what)
{
	char *path = xasprintf("apiLoadBalancers[%zu]", instance->index);

	spec_errors_add(arg, spec->file, instance->line, instance->column, path, "%s", what);
	free(path);
}

static int by_file(const void *a, const void *b)
{
	const struct spec *const *x = a, *const *y = b;

	return strcmp((*x)->file, (*y)->file);
}

/* prod.yaml and prod.yml: their instances would have the same ids. */
static void check_names(const struct spec *const *specs, size_t n, struct spec_errors *errors)
{
	struct claim *names = NULL, *claim, *tmp;

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
	size_t before = errors->n;

	if (n)
		memcpy(sorted, specs, n * sizeof(const struct spec *));
	qsort(sorted, n, sizeof(const struct spec *), by_file);
	check_names(sorted, n, errors);
	spec_find_clashes(sorted, n, add_error, errors);
	free(sorted);
	return errors->n - before;
}
