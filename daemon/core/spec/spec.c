#include "daemon/core/spec/spec.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#include "common/mem.h"
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/host_file.h"
#include "daemon/core/spec/spec_fields.h"
#include "daemon/core/spec/spec_fleet.h"
#include "daemon/core/spec/spec_health.h"
#include "daemon/core/spec/spec_host.h"
#include "daemon/core/spec/spec_schema.h"
#include "daemon/core/spec/spec_sharers.h"
#include "daemon/core/spec/spec_state.h"
#include "daemon/core/spec/spec_syntax.h"
#include "daemon/core/spec/yaml_tree.h"

/* The SSH settings that instances give for an address, for entries of `state` that give fewer. */
struct known_host {
	UT_hash_handle hh;
	char *address;
	struct yaml_value *ssh;
};

/* One document on its way to a struct spec. */
struct reader {
	struct spec *spec;
	const struct spec_context *context;
	struct yaml_value *root;
	struct yaml_value *top_ssh;
	struct known_host *known;
	struct spec_files *files;
	struct report *report;
	struct spec_merge merge;
};

static bool merged_too_large(struct reader *r, const struct yaml_value *at)
{
	size_t factor = r->context->recalled ? SPEC_RECALLED_TIMES : 1;

	if (r->merge.bytes <= factor * SPEC_MAX_MERGED_BYTES &&
	    r->merge.items <= factor * SPEC_MAX_MERGED_ITEMS)
		return false;
	report_at(r->report, at,
		  "too large: the values that instances share may take at most %u MiB and %u list items in "
		  "total",
		  SPEC_MAX_MERGED_BYTES >> 20, SPEC_MAX_MERGED_ITEMS);
	return true;
}

/* Whether to read the next item. */
static bool has_room(struct reader *r, const struct yaml_value *at)
{
	return !report_is_full(r->report) && !merged_too_large(r, at);
}

static void remember_host(struct reader *r, const struct spec_instance *instance,
			  const struct yaml_value *map)
{
	const struct ssh_settings *ssh = instance->host.ssh;
	struct known_host *known;

	if (!ssh || !ssh->address)
		return;
	HASH_FIND_STR(r->known, ssh->address, known);
	if (known)
		return;
	known = xcalloc(1, sizeof(*known));
	known->address = xstrdup(ssh->address);
	known->ssh = spec_host_own_ssh(map);
	HASH_ADD_KEYPTR(hh, r->known, known->address, strlen(known->address), known);
}

static void forget_hosts(struct reader *r)
{
	struct known_host *known, *tmp;

	HASH_ITER (hh, r->known, known, tmp) {
		HASH_DEL(r->known, known);
		free(known->address);
		free(known);
	}
}

/* A spec from the store is not judged by size: it serves already. */
static void check_size(struct reader *r, const struct spec_instance *instance, const struct yaml_value *at)
{
	size_t most;

	if (r->context->recalled || r->report->errors.n > 0)
		return;
	most = haproxy_most_bytes(instance);
	if (most > HOST_FILE_MAX_BYTES)
		report_at(r->report, at,
			  "its HAProxy config may take %zu KiB, and at most %zu are allowed: give it fewer "
			  "servers by name, or less extraConfig",
			  most >> 10, HOST_FILE_MAX_BYTES >> 10);
}

/* flexkube's propagateInstance: the instance's value, else the top level's, else the default. */
static void read_instance(struct reader *r, struct spec_instance *instance, struct yaml_value *map)
{
	struct spec_layers layers = {{map, r->root}};

	instance->line = map->line;
	instance->column = map->column;
	r->merge.at = map;
	spec_health_check(r->files, map, r->report);
	fields_fill(&spec_instance_fields, instance, &layers, &r->merge);
	spec_health_finish(r->files, &instance->health_check, &layers, &r->merge);
	spec_host_merge(&instance->host, map, NULL, r->top_ssh, r->context, &r->merge);
	if (instance->host.label && instance->name)
		instance->id = xasprintf("%s/%s/%s", r->spec->name, instance->host.label, instance->name);
	remember_host(r, instance, map);
	check_size(r, instance, map);
}

static void read_instances(struct reader *r, const struct yaml_value *list)
{
	size_t before = report_key(r->report, "apiLoadBalancers");

	r->spec->instances = xcalloc(list->n, sizeof(*r->spec->instances));
	for (size_t i = 0; i < list->n && has_room(r, list); i++) {
		struct yaml_value *map = list->items[i];
		struct spec_instance *instance = &r->spec->instances[r->spec->instances_n];
		size_t item;

		if (map->kind != YAML_MAP)
			continue;
		r->spec->instances_n++;
		instance->index = i;
		item = report_index(r->report, i);
		read_instance(r, instance, map);
		report_up(r->report, item);
	}
	report_up(r->report, before);
}

/*
 * The SSH settings of the instance with the same address, which fill in what the entry leaves out,
 * such as the key. NULL: no instance has them.
 */
static struct yaml_value *known_ssh(const struct reader *r, struct yaml_value *entry)
{
	const struct yaml_value *address = given(spec_host_own_ssh(entry), "address");
	struct known_host *known;
	struct err err;
	char *text;

	if (!address)
		address = given(r->top_ssh, "address");
	if (!address || address->marked || address_parse(address->text, &text, &err) < 0)
		return NULL;
	HASH_FIND_STR(r->known, text, known);
	free(text);
	return known ? known->ssh : NULL;
}

static void read_files(struct spec_state_entry *entry, const struct yaml_value *files)
{
	if (!files || files->kind != YAML_MAP)
		return;
	entry->files = xcalloc(files->n, sizeof(*entry->files));
	for (size_t i = 0; i < files->n; i++)
		entry->files[entry->files_n++] = xstrdup(files->pairs[i].key->text);
}

/* flexkube keeps entries of containers that are gone, without an ID. */
static bool has_container(const struct yaml_value *entry)
{
	return given(given(given(entry, "container"), "status"), "id") != NULL;
}

static bool hands_over(const struct yaml_value *entry)
{
	return has_container(entry) || given(entry, "configFiles") != NULL;
}

static void state_entry_clear(struct spec_state_entry *entry)
{
	for (size_t i = 0; i < entry->files_n; i++)
		free(entry->files[i]);
	free(entry->files);
	free(entry->key);
	spec_host_clear(&entry->host);
	fields_clear(&spec_state_entry_fields, entry);
}

static void read_state_entry(struct reader *r, const char *key, struct yaml_value *map)
{
	struct spec_state_entry *entry = &r->spec->state[r->spec->state_n++];
	struct spec_layers layers = {{map}};

	entry->key = xstrdup(key);
	read_files(entry, given(map, "configFiles"));
	r->merge.at = map;
	fields_fill(&spec_state_entry_fields, entry, &layers, &r->merge);
	spec_host_merge(&entry->host, map, known_ssh(r, map), r->top_ssh, r->context, &r->merge);
}

/*
 * An entry without a container only says where, and under which name, its files are. No connection
 * is made for it, so a missing image or password is no error.
 */
static void read_files_only(struct reader *r, const char *key, struct yaml_value *map)
{
	struct spec_state_entry *entry = &r->spec->state[r->spec->state_n];
	struct report dropped = {.file = r->report->file};

	r->merge.report = &dropped;
	read_state_entry(r, key, map);
	r->merge.report = r->report;
	spec_errors_clear(&dropped.errors);
	if (entry->host.label) {
		if (!entry->name)
			entry->name = xstrdup("");
		return;
	}
	state_entry_clear(entry);
	*entry = (struct spec_state_entry){0};
	r->spec->state_n--;
}

static void read_state(struct reader *r, const struct yaml_value *state)
{
	size_t before = report_key(r->report, "state");

	r->spec->state = xcalloc(state->n, sizeof(*r->spec->state));
	for (size_t i = 0; i < state->n && has_room(r, state); i++) {
		const struct yaml_pair *pair = &state->pairs[i];
		size_t item;

		if (pair->first_line || !hands_over(pair->value))
			continue;
		if (!has_container(pair->value)) {
			read_files_only(r, pair->key->text, pair->value);
			continue;
		}
		item = report_key(r->report, pair->key->text);
		read_state_entry(r, pair->key->text, pair->value);
		report_up(r->report, item);
	}
	report_up(r->report, before);
}

static bool has_recorded(const struct spec_context *context)
{
	return context->has_recorded && context->has_recorded(context->arg);
}

/*
 * An empty list removes everything, so the file must say it explicitly: a file
 * that was cut short, or a state file in the wrong directory, does not.
 */
static void check_empty(struct reader *r, const struct yaml_value *list, const struct yaml_value *state)
{
	size_t before = report_key(r->report, "apiLoadBalancers");
	const struct yaml_value *at = list ? list : r->root;

	if (!value_given(state) && !has_recorded(r->context))
		report_at(r->report, at, "at least one load balancer must be defined if state is empty");
	else if (!list || list->null)
		report_at(r->report, at,
			  "the list of load balancers is missing; to remove them all, write "
			  "\"apiLoadBalancers: []\"");
	report_up(r->report, before);
}

static void on_clash(void *arg, const struct spec *spec, const struct spec_instance *instance,
		     const struct spec *other, const char *what)
{
	struct reader *r = arg;
	const struct yaml_value *list = given(r->root, "apiLoadBalancers");
	size_t before = report_key(r->report, "apiLoadBalancers");

	(void)spec;
	(void)other;
	report_index(r->report, instance->index);
	report_at(r->report, list->items[instance->index], "%s", what);
	report_up(r->report, before);
}

static void check_clashes(struct reader *r)
{
	struct spec_claims *claims = spec_claims_new();

	spec_claims_add(claims, r->spec, on_clash, r);
	spec_claims_free(claims);
}

static void read_rollout(struct reader *r)
{
	struct spec_layers layers = {{given(r->root, "rollout")}};

	r->merge.at = r->root;
	fields_fill(&spec_rollout_fields, &r->spec->rollout, &layers, &r->merge);
}

static void read_document(struct reader *r)
{
	const struct yaml_value *list = yaml_map_get(r->root, "apiLoadBalancers");
	const struct yaml_value *state = given(r->root, "state");

	r->top_ssh = given(r->root, "ssh");
	fields_check(&spec_document_fields, r->root, r->report);
	read_rollout(r);
	spec_health_check(r->files, r->root, r->report);
	if (!list || list->null || (list->kind == YAML_LIST && list->n == 0))
		check_empty(r, list, state);
	else if (list->kind == YAML_LIST)
		read_instances(r, list);
	if (state && state->kind == YAML_MAP)
		read_state(r, state);
	check_clashes(r);
}

/* The base name; where a spec directory would not accept that, with '_' for other characters. */
static char *name_of(const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;
	char *name = spec_name_from_file(base);

	if (!name) {
		name = xstrdup(*base ? base : "spec");
		for (char *p = name; *p; p++)
			if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
			      (*p >= '0' && *p <= '9') || strchr("._-", *p)))
				*p = '_';
	}
	return name;
}

static void read_tree(struct reader *r, const struct yaml_tree *tree)
{
	r->root = yaml_tree_root(tree);
	if (r->root->null)
		report_value(r->report, r->root, "the document is empty: a map must be given");
	else if (r->root->kind != YAML_MAP)
		report_value(r->report, r->root, "the document must be a map");
	else
		read_document(r);
}

struct spec *spec_parse(const char *file, const char *text, size_t len, const struct spec_context *context,
			struct spec_errors *errors)
{
	static const struct yaml_limits today = {SPEC_MAX_BYTES, SPEC_MAX_NODES, SPEC_MAX_DEPTH};
	static const struct yaml_limits recalled = {(size_t)SPEC_RECALLED_TIMES * SPEC_MAX_BYTES,
						    (size_t)SPEC_RECALLED_TIMES * SPEC_MAX_NODES,
						    SPEC_MAX_DEPTH};
	struct report *report;
	struct reader r = {.context = context};
	struct yaml_tree *tree;
	size_t line, column;
	struct err err;

	tree = yaml_tree_parse(text, len, context->recalled ? &recalled : &today, &line, &column, &err);
	if (!tree) {
		spec_errors_add(errors, file, line, column, "", "%s", err.message);
		return NULL;
	}
	report = xcalloc(1, sizeof(*report));
	report->file = file;
	report->recalled = context->recalled;
	r.report = r.merge.report = report;
	r.spec = xcalloc(1, sizeof(*r.spec));
	r.spec->file = xstrdup(file);
	r.spec->name = name_of(file);
	r.files = spec_files_new(context);
	read_tree(&r, tree);
	r.spec->sources = spec_files_sources(r.files, &r.spec->sources_n);
	spec_files_free(r.files);
	forget_hosts(&r);
	yaml_tree_free(tree);
	if (report->errors.n) {
		spec_free(r.spec);
		r.spec = NULL;
	} else {
		spec_state_match(r.spec);
		spec_count_sharers(&r.spec, 1);
	}
	report_finish(report, errors);
	free(report);
	return r.spec;
}

void spec_free(struct spec *spec)
{
	if (!spec)
		return;
	for (size_t i = 0; i < spec->instances_n; i++)
		spec_instance_clear(&spec->instances[i]);
	for (size_t i = 0; i < spec->state_n; i++)
		state_entry_clear(&spec->state[i]);
	for (size_t i = 0; i < spec->sources_n; i++)
		free(spec->sources[i].path);
	free(spec->sources);
	free(spec->instances);
	free(spec->state);
	free(spec->name);
	free(spec->file);
	free(spec);
}

/*
 * host.engine is a field of the instance (`runtime`) and of the host: the first copy is freed
 * before the second is made.
 */
void spec_instance_copy(struct spec_instance *to, const struct spec_instance *from)
{
	*to = (struct spec_instance){.index = from->index,
				     .line = from->line,
				     .column = from->column,
				     .id = xstrdup(from->id),
				     .sharers = from->sharers};
	fields_copy(&spec_instance_fields, to, from);
	FREE(to->host.engine);
	spec_host_copy(&to->host, &from->host);
}

bool spec_instance_equal(const struct spec_instance *a, const struct spec_instance *b)
{
	return a->index == b->index && strcmp(a->id, b->id) == 0 &&
	       spec_check_interval_ms(a) == spec_check_interval_ms(b) &&
	       fields_equal(&spec_instance_fields, a, b) && spec_host_equal(&a->host, &b->host);
}

void spec_instance_clear(struct spec_instance *instance)
{
	FREE(instance->id);
	spec_host_clear(&instance->host);
	fields_clear(&spec_instance_fields, instance);
}

static const char *const endings[] = {".yaml", ".yml"};
#define N_ENDINGS (sizeof(endings) / sizeof(endings[0]))

char *spec_name_from_file(const char *basename)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
	size_t len = strlen(basename);

	if (basename[0] == '.' || strspn(basename, allowed) != len)
		return NULL;
	for (size_t i = 0; i < N_ENDINGS; i++) {
		size_t ending = strlen(endings[i]);

		if (len > ending && strcmp(basename + len - ending, endings[i]) == 0)
			return xstrndup(basename, len - ending);
	}
	return NULL;
}

const char *spec_name_mistake(const char *basename)
{
	size_t len = strlen(basename), txt = strlen(".txt");
	char *name = spec_name_from_file(basename);
	bool is_spec = name != NULL, is_text;

	free(name);
	if (is_spec || basename[0] == '.')
		return NULL;
	is_text = len > txt && strcasecmp(basename + len - txt, ".txt") == 0;
	if (is_text)
		len -= txt;
	for (size_t i = 0; i < N_ENDINGS; i++) {
		size_t ending = strlen(endings[i]);

		if (len <= ending || strncasecmp(basename + len - ending, endings[i], ending) != 0)
			continue;
		if (is_text || strncmp(basename + len - ending, endings[i], ending) != 0)
			return "a spec's name ends in .yaml or .yml, in small letters";
		return "a spec's name is made of letters, digits, \".\", \"_\" and \"-\"";
	}
	return NULL;
}
