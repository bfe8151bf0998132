#include "tests/golden.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/spec/yaml_tree.h"

#define MAX_BYTES (1 << 20)

static const char *subject, *case_files;
static golden_answer *answer_of;
static struct dirent **cases;

static char *dir_of(const struct dirent *entry)
{
	return xasprintf(TOP_SRCDIR "/tests/cases/%s/%s", subject, entry->d_name);
}

char *golden_read(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name), *text = NULL;
	struct err err;

	if (file_read(path, MAX_BYTES, &text, &err) < 0)
		text = NULL;
	free(path);
	return text;
}

struct yaml_tree *golden_tree(const char *dir, const char *name)
{
	static const struct yaml_limits limits = {.max_bytes = 1 << 16, .max_values = 4096, .max_depth = 8};
	char *text = golden_read(dir, name);
	struct yaml_tree *tree;
	struct err err;

	ck_assert_msg(text, "%s has no %s", dir, name);
	tree = yaml_tree_parse(text, strlen(text), &limits, NULL, NULL, &err);
	ck_assert_msg(tree, "%s: %s", dir, err.message);
	free(text);
	return tree;
}

bool golden_is_one_of(const char *keys, const char *key)
{
	size_t len = strlen(key);

	for (const char *at = keys; *at; at += strspn(at, ", ")) {
		size_t n = strcspn(at, ",");

		if (n == len && strncmp(at, key, len) == 0)
			return true;
		at += n;
	}
	return false;
}

void golden_only(const struct yaml_value *map, const char *keys)
{
	ck_assert_msg(map->kind == YAML_MAP && !map->null, "line %zu: this is a map with the keys %s",
		      map->line, keys);
	for (size_t i = 0; i < map->n; i++) {
		const struct yaml_pair *pair = &map->pairs[i];

		ck_assert_msg(golden_is_one_of(keys, pair->key->text),
			      "line %zu: unknown key \"%s\"; there are: %s", pair->key->line, pair->key->text,
			      keys);
		ck_assert_msg(pair->first_line == 0, "line %zu: \"%s\" stands in line %zu already",
			      pair->key->line, pair->key->text, pair->first_line);
	}
}

bool golden_flag(const struct yaml_value *map, const char *key)
{
	const struct yaml_value *value = yaml_map_get(map, key);
	const char *text = value && value->kind == YAML_TEXT && !value->null ? value->text : "";

	ck_assert_msg(!value || strcmp(text, "yes") == 0 || strcmp(text, "no") == 0,
		      "line %zu: %s is yes or no", value ? value->line : 0, key);
	return strcmp(text, "yes") == 0;
}

static void set_word(const struct golden_word *words, size_t n, const char *word, size_t line)
{
	size_t i = 0;

	while (i < n && strcmp(words[i].word, word) != 0)
		i++;
	ck_assert_msg(i < n, "line %zu: nothing can be \"%s\" here", line, word);
	ck_assert_msg(!*words[i].is, "line %zu: it is \"%s\" already", line, word);
	*words[i].is = true;
}

void golden_words(const struct yaml_value *map, const struct golden_word *words, size_t n)
{
	const struct yaml_value *is = yaml_map_get(map, "is");
	char *given, *rest, *word;

	if (!is)
		return;
	ck_assert_msg(is->kind == YAML_TEXT && !is->null, "line %zu: \"is\" has words", is->line);
	given = rest = xstrdup(is->text);
	while ((word = strsep(&rest, " ")) != NULL)
		if (*word)
			set_word(words, n, word, is->line);
	free(given);
}

static void update(const char *dir, const char *text)
{
	char *path = xasprintf("%s/expected.txt", dir);
	FILE *file = fopen(path, "w");

	ck_assert_msg(file && fputs(text, file) >= 0 && fclose(file) == 0, "%s cannot be written", path);
	free(path);
}

static void check_files(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	ck_assert_ptr_nonnull(dir);
	while (case_files && (entry = readdir(dir)) != NULL)
		ck_assert_msg(entry->d_name[0] == '.' || strcmp(entry->d_name, "expected.txt") == 0 ||
				      golden_is_one_of(case_files, entry->d_name),
			      "%s: nobody reads %s; there may be: %s", path, entry->d_name, case_files);
	closedir(dir);
}

START_TEST(a_case)
{
	char *dir = dir_of(cases[_i]), *got = answer_of(dir), *expected;

	check_files(dir);
	ck_assert_msg(*got, "%s: nothing follows", dir);
	if (getenv("APILB_UPDATE_CASES"))
		update(dir, got);
	expected = golden_read(dir, "expected.txt");
	ck_assert_msg(text_equal(expected, got), "%s\n-- expected\n%s-- is\n%s", dir,
		      expected ? expected : "(no expected.txt)\n", got);
	free(expected);
	free(got);
	free(dir);
}
END_TEST

static int is_case(const struct dirent *entry)
{
	char *path = dir_of(entry);
	struct stat st;
	bool is = entry->d_name[0] != '.' && stat(path, &st) == 0 && S_ISDIR(st.st_mode);

	free(path);
	return is;
}

void golden_add(Suite *suite, const char *of, const char *files, golden_answer *answer)
{
	char *dir = xasprintf(TOP_SRCDIR "/tests/cases/%s", of);
	TCase *tc = tcase_create("cases");
	int n;

	subject = of;
	case_files = files;
	answer_of = answer;
	n = scandir(dir, &cases, is_case, alphasort);
	if (n <= 0) {
		fprintf(stderr, "no cases in %s\n", dir);
		exit(EXIT_FAILURE);
	}
	free(dir);
	tcase_add_loop_test(tc, a_case, 0, n);
	suite_add_tcase(suite, tc);
}
