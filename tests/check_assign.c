/*
 * Who gets what? By example: tests/cases/assign.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/assign.h"
#include "daemon/core/spec/yaml_tree.h"
#include "tests/golden.h"
#include "tests/suite.h"

/* Of each list of a case. */
#define MAX_ITEMS 32

/* A case. Strings are the tree's. */
struct scene {
	const struct yaml_value *specs;
	bool nothing_read;
	struct assign_wish wishes[MAX_ITEMS];
	struct assign_leftover leftovers[MAX_ITEMS];
	const char *leftover_ids[MAX_ITEMS], *leftover_specs[MAX_ITEMS];
	struct assign_known known[MAX_ITEMS];
	struct assign_world world;
};

/* Reading a case. What it does not know it refuses. */

static const char *text_of(const struct yaml_value *map, const char *key)
{
	const struct yaml_value *value = yaml_map_get(map, key);

	ck_assert_msg(value && value->kind == YAML_TEXT && !value->null, "line %zu: %s is missing", map->line,
		      key);
	return value->text;
}

static size_t count(const struct yaml_value *list)
{
	ck_assert_msg(!list || (list->kind == YAML_LIST && list->n <= MAX_ITEMS),
		      "line %zu: this is a list of at most %d", list->line, MAX_ITEMS);
	return list ? list->n : 0;
}

static void read_spec(const struct yaml_value *spec, bool *paused, bool *silent, bool *faulty)
{
	const struct golden_word words[] = {{"paused", paused}, {"silent", silent}, {"faulty", faulty}};

	golden_only(spec, "name, is, wants, leaves");
	*paused = *silent = *faulty = false;
	golden_words(spec, words, 3);
	ck_assert_msg(!*silent || (!yaml_map_get(spec, "wants") && !yaml_map_get(spec, "leaves")),
		      "line %zu: one that is silent says nothing", spec->line);
}

static void add_spec(struct scene *scene, const struct yaml_value *spec)
{
	const struct yaml_value *wants = yaml_map_get(spec, "wants"), *leaves = yaml_map_get(spec, "leaves");
	const char *name = text_of(spec, "name");
	bool paused, silent, faulty;

	read_spec(spec, &paused, &silent, &faulty);
	for (size_t i = 0; i < count(wants); i++) {
		ck_assert_uint_lt(scene->world.wishes_n, MAX_ITEMS);
		golden_only(wants->items[i], "host, name, version");
		scene->wishes[scene->world.wishes_n++] = (struct assign_wish){
			.host = text_of(wants->items[i], "host"),
			.name = text_of(wants->items[i], "name"),
			.version = text_of(wants->items[i], "version"),
			.spec = name,
			.paused = paused,
			.faulty = faulty,
		};
	}
	for (size_t i = 0; i < count(leaves); i++) {
		size_t at = scene->world.leftovers_n++;

		ck_assert_uint_lt(at, MAX_ITEMS);
		golden_only(leaves->items[i], "host, name, container");
		scene->leftover_ids[at] = text_of(leaves->items[i], "container");
		scene->leftover_specs[at] = name;
		scene->leftovers[at] = (struct assign_leftover){
			.host = text_of(leaves->items[i], "host"),
			.name = text_of(leaves->items[i], "name"),
			.paused = paused,
		};
	}
}

static void add_known(struct scene *scene, const struct yaml_value *given)
{
	struct assign_known *known = &scene->known[scene->world.known_n++];
	const struct golden_word words[] = {{"made", &known->made},
					    {"as_found", &known->as_found},
					    {"unasked", &known->unasked},
					    {"busy", &known->busy}};
	bool faulty;

	golden_only(given, "host, name, spec, version, is");
	*known = (struct assign_known){.host = text_of(given, "host"), .name = text_of(given, "name")};
	if (yaml_map_get(given, "version"))
		known->version = text_of(given, "version");
	golden_words(given, words, 4);
	for (size_t i = 0; i < count(scene->specs); i++)
		if (strcmp(text_of(scene->specs->items[i], "name"), text_of(given, "spec")) == 0)
			read_spec(scene->specs->items[i], &known->paused, &known->silent, &faulty);
	known->silent |= scene->nothing_read;
}

static void read_scene(struct scene *scene, const struct yaml_value *root)
{
	const struct yaml_value *known = yaml_map_get(root, "known");

	golden_only(root, "nothing_read, specs, known");
	*scene = (struct scene){
		.specs = yaml_map_get(root, "specs"),
		.nothing_read = golden_flag(root, "nothing_read"),
	};
	scene->world = (struct assign_world){
		.wishes = scene->wishes, .leftovers = scene->leftovers, .known = scene->known};
	for (size_t i = 0; i < count(scene->specs); i++)
		add_spec(scene, scene->specs->items[i]);
	for (size_t i = 0; i < count(known); i++)
		add_known(scene, known->items[i]);
}

/* The decisions, a line each. */

static const char *assign_why(enum assign_why why)
{
	static const char *const words[ASSIGN_WHYS] = {
		[ASSIGN_NOT_HELD] = "nothing holds it",
		[ASSIGN_TURN] = "what is in force changes host by host",
		[ASSIGN_PAUSED] = "changes of its spec are paused",
		[ASSIGN_HOST_WAITS] = "it is new, and another change of its spec on this host waits",
		[ASSIGN_AS_FOUND] = "its host has another version than the store knows, which stays until it "
				    "is its turn to change",
		[ASSIGN_FAULTY] = "its host has another version than the store knows, and the newest one of "
				  "the spec is not valid",
	};

	return words[why];
}

static void print_wish(FILE *out, const struct scene *scene, const struct assign_decision *decision)
{
	const struct assign_wish *wish = &scene->wishes[decision->wish];

	fprintf(out, "%s/%s: ", wish->host, wish->name);
	if (decision->kind == ASSIGN_PUT_IN_FORCE)
		fprintf(out, "in force: version %s of %s\n", wish->version, wish->spec);
	else
		fprintf(out, "held: version %s of %s: %s\n", wish->version, wish->spec,
			assign_why(decision->why));
}

static void print_reach(FILE *out, const struct scene *scene, const struct assign_decision *decision)
{
	size_t i = decision->leftover;

	if (i == ASSIGN_NONE)
		fprintf(out, "%s: reached as %s says\n", scene->wishes[decision->wish].host,
			scene->wishes[decision->wish].spec);
	else
		fprintf(out, "%s: reached as the state of %s says\n", scene->leftovers[i].host,
			scene->leftover_specs[i]);
}

static void print_leftover(FILE *out, const struct scene *scene, const struct assign_decision *decision)
{
	size_t i = decision->leftover;

	fprintf(out, "%s/%s: container %s goes, as the state of %s says\n", scene->leftovers[i].host,
		scene->leftovers[i].name, scene->leftover_ids[i], scene->leftover_specs[i]);
}

static void print_known(FILE *out, const struct scene *scene, const struct assign_decision *decision)
{
	static const char *const words[ASSIGN_KINDS] = {
		[ASSIGN_KEEP] = "kept, while its spec is paused",
		[ASSIGN_LEAVE] = "left alone: nobody knows what its spec wants",
		[ASSIGN_REMOVE] = "goes",
		[ASSIGN_FORGET] = "forgotten: nothing was ever done for it",
	};
	const struct assign_known *known = &scene->known[decision->known];

	fprintf(out, "%s/%s: %s\n", known->host, known->name, words[decision->kind]);
}

typedef void print(FILE *out, const struct scene *scene, const struct assign_decision *decision);

static char *decided(const struct scene *scene, const struct assign_decision *decisions, size_t n)
{
	static print *const prints[ASSIGN_KINDS] = {
		[ASSIGN_REACH] = print_reach,  [ASSIGN_PUT_IN_FORCE] = print_wish,
		[ASSIGN_HOLD] = print_wish,    [ASSIGN_KEEP] = print_known,
		[ASSIGN_LEAVE] = print_known,  [ASSIGN_REMOVE] = print_known,
		[ASSIGN_FORGET] = print_known, [ASSIGN_REMOVE_CONTAINER] = print_leftover,
	};
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < n; i++)
		prints[decisions[i].kind](out, scene, &decisions[i]);
	fclose(out);
	return text;
}

/* What the header promises, whatever the case. */
static void check_promises(const struct scene *scene, const struct assign_decision *decisions, size_t n)
{
	unsigned wishes[MAX_ITEMS] = {0}, leftovers[MAX_ITEMS] = {0}, known[MAX_ITEMS] = {0};

	for (size_t i = 0; i < n; i++) {
		const struct assign_decision *decision = &decisions[i];
		bool held = decision->kind == ASSIGN_HOLD;

		ck_assert_int_eq(held, decision->why != ASSIGN_NOT_HELD);
		if (decision->kind == ASSIGN_REACH)
			continue;
		if (decision->wish != ASSIGN_NONE)
			ck_assert_uint_eq(++wishes[decision->wish], 1);
		if (decision->leftover != ASSIGN_NONE)
			ck_assert_uint_eq(++leftovers[decision->leftover], 1);
		if (decision->known != ASSIGN_NONE)
			ck_assert_uint_eq(++known[decision->known], 1);
	}
	for (size_t i = 0; i < scene->world.known_n; i++)
		ck_assert_uint_eq(known[i], 1);
}

static char *answer_to(const char *dir)
{
	struct yaml_tree *world = golden_tree(dir, "world.yaml");
	struct scene scene;
	struct assign_decision *decisions;
	char *text;
	size_t n;

	read_scene(&scene, yaml_tree_root(world));
	decisions = assign(&scene.world, &n);
	check_promises(&scene, decisions, n);
	text = decided(&scene, decisions, n);
	free(decisions);
	yaml_tree_free(world);
	return text;
}

/* Every word that the header promises is there, and no two reasons read the same. */
START_TEST(words)
{
	for (int a = 0; a < ASSIGN_WHYS; a++) {
		ck_assert_ptr_nonnull(assign_why(a));
		for (int b = 0; b < a; b++)
			ck_assert_str_ne(assign_why(a), assign_why(b));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("assign");
	TCase *tc = tcase_create("words");

	golden_add(suite, "assign", "world.yaml", answer_to);
	tcase_add_test(tc, words);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
