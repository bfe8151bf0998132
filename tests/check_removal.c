/*
 * May this container go? By example: tests/cases/removal.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/removal.h"
#include "daemon/core/spec/yaml_tree.h"
#include "tests/golden.h"
#include "tests/suite.h"

/* Reading a case. What it does not know it refuses. */

static const char *text_of(const struct yaml_value *map, const char *key)
{
	const struct yaml_value *value = yaml_map_get(map, key);

	ck_assert_msg(!value || (value->kind == YAML_TEXT && !value->null), "line %zu: %s is a text",
		      value ? value->line : 0, key);
	return value ? value->text : NULL;
}

static size_t number_of(const struct yaml_value *list)
{
	ck_assert_msg(!list || list->kind == YAML_LIST, "line %zu: this is a list", list ? list->line : 0);
	return list ? list->n : 0;
}

static char *or_made(const char *given, char *made)
{
	if (given) {
		free(made);
		return xstrdup(given);
	}
	return made;
}

static void read_is(struct claim *claim, const struct yaml_value *given)
{
	bool up = false;
	const struct golden_word words[] = {
		{"wanted", &claim->wanted},
		{"waits", &claim->waits},
		{"unasked", &claim->unasked},
		{"seen", &claim->seen},
		{"made", &claim->made},
		{"converged", &claim->converged},
		{"answers", &claim->answers},
		{"fallback", &claim->fallback},
		{"up", &up},
	};

	golden_words(given, words, sizeof(words) / sizeof(words[0]));
	claim->servers_up = up;
}

/* All but name, spec and host follows from these when it is not given. */
static void read_claim(struct claim *claim, const struct yaml_value *given)
{
	const char *name = text_of(given, "name"), *spec = text_of(given, "spec"),
		   *host = text_of(given, "host");

	golden_only(given, "name, spec, host, id, container, takes_over, binds, is");
	ck_assert_msg(name && spec && host, "line %zu: a balancer has name, spec and host", given->line);
	*claim = (struct claim){.host_url = host, .engine = "", .name = name, .spec = spec};
	claim->id = or_made(text_of(given, "id"), xasprintf("%s/%s", spec, name));
	claim->container_id = text_of(given, "container");
	claim->takes_over = text_of(given, "takes_over");
	claim->binds = text_of(given, "binds");
	read_is(claim, given);
}

static bool leaves(const struct claim *claim)
{
	return !claim->wanted && !claim->waits && !claim->unasked;
}

static void print(FILE *out, const char *what, enum removal_verdict verdict)
{
	fprintf(out, "%s: %s: %s\n", what, verdict == REMOVAL_ALLOWED ? "goes" : "stays",
		removal_why(verdict));
}

/* newcomer: NULL: nobody asks whether to wait for it. */
static void print_container(FILE *out, const struct removal *removal, const struct yaml_value *given,
			    const struct yaml_value *newcomer)
{
	const struct removal_container container = {
		.id = text_of(given, "id"),
		.name = text_of(given, "name"),
		.instance = text_of(given, "of"),
		.spec = text_of(given, "spec"),
		.binds = text_of(given, "binds"),
		.idle = golden_flag(given, "idle"),
	};
	char *what = xasprintf("container %s (%s)", container.name, container.id);
	bool relieved = newcomer && removal_is_relieved(removal, &container, text_of(newcomer, "spec"),
							text_of(newcomer, "binds"));

	golden_only(given, "id, name, of, spec, binds, idle");
	ck_assert_msg(container.id && container.name, "line %zu: a container has id and name", given->line);
	print(out, what, removal_of_container(removal, &container));
	if (newcomer)
		fprintf(out, "  the newcomer %s\n", relieved ? "has to serve before" : "waits for nothing");
	free(what);
}

static void print_balancer(FILE *out, const struct removal *removal, const struct claim *claim)
{
	char *what = xasprintf("balancer %s on %s", claim->id, claim->host_url);

	print(out, what, removal_of_balancer(removal, claim));
	free(what);
}

/* All is another's, and there is more of it. */
static void tell_otherwise(struct removal *removal, const struct claim *claims, size_t n)
{
	removal_begin(removal);
	removal_nothing_read(removal);
	removal_put_silent(removal);
	removal_put_heard(removal, "two");
	for (size_t i = 0; i < n; i++) {
		struct claim other = claims[(i + 1) % n];

		other.wanted = !other.wanted;
		removal_put(removal, &claims[i], &other);
		removal_put(removal, &claims[i].name, &claims[i]);
	}
	removal_end(removal);
}

static void tell(struct removal *removal, const struct yaml_value *root, const struct claim *claims, size_t n)
{
	const struct yaml_value *heard = yaml_map_get(root, "heard");

	removal_begin(removal);
	if (golden_flag(root, "nothing_read"))
		removal_nothing_read(removal);
	if (heard)
		removal_put_silent(removal);
	for (size_t i = 0; i < number_of(heard); i++) {
		ck_assert_int_eq(heard->items[i]->kind, YAML_TEXT);
		removal_put_heard(removal, heard->items[i]->text);
	}
	for (size_t i = 0; i < n; i++)
		removal_put(removal, &claims[i], &claims[i]);
	removal_end(removal);
}

/* used: the table was told something else before, which does not count any more. */
static char *answers_to(const struct yaml_value *root, bool used)
{
	const struct yaml_value *balancers = yaml_map_get(root, "balancers");
	const struct yaml_value *containers = yaml_map_get(root, "containers");
	size_t n = number_of(balancers), len;
	struct claim *claims = xcalloc(n + 1, sizeof(*claims));
	struct removal *removal = removal_new();
	char *text;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < n; i++)
		read_claim(&claims[i], balancers->items[i]);
	if (used)
		tell_otherwise(removal, claims, n);
	tell(removal, root, claims, n);
	for (size_t i = 0; i < n; i++)
		if (leaves(&claims[i]))
			print_balancer(out, removal, &claims[i]);
	for (size_t i = 0; i < number_of(containers); i++)
		print_container(out, removal, containers->items[i], yaml_map_get(root, "newcomer"));
	fclose(out);
	removal_free(removal);
	for (size_t i = 0; i < n; i++)
		free((char *)claims[i].id);
	free(claims);
	return text;
}

static char *answer_to(const char *dir)
{
	struct yaml_tree *known = golden_tree(dir, "known.yaml");
	const struct yaml_value *root = yaml_tree_root(known), *newcomer = yaml_map_get(root, "newcomer");
	char *answer, *again;

	golden_only(root, "nothing_read, heard, balancers, containers, newcomer");
	if (newcomer)
		golden_only(newcomer, "spec, binds");
	answer = answers_to(root, false);
	again = answers_to(root, true);
	ck_assert_str_eq(answer, again);
	free(again);
	yaml_tree_free(known);
	return answer;
}

/* Every word that the header promises is there, and no two verdicts read the same. */
START_TEST(words)
{
	for (int a = 0; a < REMOVAL_VERDICTS; a++) {
		ck_assert_ptr_nonnull(removal_why(a));
		for (int b = 0; b < a; b++)
			ck_assert_str_ne(removal_why(a), removal_why(b));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("removal");
	TCase *tc = tcase_create("words");

	golden_add(suite, "removal", "known.yaml", answer_to);
	tcase_add_test(tc, words);
	suite_add_tcase(suite, tc);
	return suite_run(suite);
}
