/*
 * One YAML document -> a tree of values that know their line and column.
 *
 * Built on libyaml's events. Aliases are followed: an aliased value is one node
 * that several parents point to, so memory is bounded by the text, and the size
 * that the tree would have with every alias copied out is bounded by
 * max_values. Merge keys (<<) are resolved as Go's YAML library does: a map's
 * own keys win, and of several merged maps the first. No input makes the parser
 * recurse, and every step is bounded by the limits.
 */
#ifndef APILB_CORE_YAML_TREE_H
#define APILB_CORE_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP, YAML_KINDS };

struct yaml_value;

struct yaml_pair {
	struct yaml_value *key; /* always YAML_TEXT */
	struct yaml_value *value;
	size_t first_line; /* the line of the same key further up in this map; 0: this is the first */
};

struct yaml_value {
	enum yaml_kind kind;
	size_t line, column; /* from 1 */
	/*
	 * YAML_TEXT: the text as written, without NUL characters. `plain`: it was written without
	 * quotes, so it may be meant as a number, a truth value or null.
	 */
	char *text;
	bool plain;
	bool folded; /* without quotes, over several lines */
	bool null;
	struct yaml_value **items; /* YAML_LIST */
	struct yaml_pair *pairs;   /* YAML_MAP; merged ones last */
	size_t n;
	/* For the reader of the tree; false at first. A value with several parents has one mark. */
	bool marked;
	/* For the parser: size and height with every alias copied out. */
	size_t size;
	unsigned height;
	bool complete;
	struct yaml_value *next;
};

struct yaml_limits {
	size_t max_bytes;
	size_t max_values;
	unsigned max_depth;
};

struct yaml_tree;

/*
 * Returns the tree; or NULL after setting err, *line and *column (0: not
 * known). Messages never quote the document: it may hold secrets.
 */
struct yaml_tree *yaml_tree_parse(const char *text, size_t len, const struct yaml_limits *limits,
				  size_t *line, size_t *column, struct err *err);
/* Wipes all texts. NULL is fine. */
void yaml_tree_free(struct yaml_tree *tree);

/* Owned by the tree, like everything below it. Never NULL. */
struct yaml_value *yaml_tree_root(const struct yaml_tree *tree);

/* The value; NULL if map is NULL, not a map, or has no such key. */
struct yaml_value *yaml_map_get(const struct yaml_value *map, const char *key);

#endif
