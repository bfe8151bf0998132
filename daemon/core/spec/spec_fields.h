/*
 * Tables of typed rows: what a map of the document may hold, and which member
 * of a struct each key fills. One row says everything about a field: how it is
 * checked, merged, defaulted, copied, compared, freed and stored.
 */
#ifndef APILB_CORE_SPEC_FIELDS_H
#define APILB_CORE_SPEC_FIELDS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "daemon/core/spec/spec_report.h"
#include "daemon/core/spec/yaml_tree.h"

/* The operations of one member of a struct, or of one element of a list. */
struct spec_storage {
	size_t size;
	/* text has passed the type's check; member is zeroed */
	void (*store)(void *member, const char *text);
	void (*copy)(void *to, const void *from);
	void (*clear)(void *member);
	bool (*equal)(const void *a, const void *b);
	/* The text that `store` would take, which the caller frees; NULL: the value was not given. */
	char *(*text)(const void *member);
};

enum spec_shape {
	SHAPE_TEXT,
	SHAPE_LIST,         /* of texts; the member points to the elements, and another one has their count */
	SHAPE_TEXT_OR_LIST, /* a single text is a list of one */
	SHAPE_GROUP,        /* a map whose fields lie in the same struct, from the row's offset on */
	SHAPE_POINTER,      /* a map with a struct of its own, pointed to; NULL: not given */
	/* Checked only: the tree is read where they are needed. */
	SHAPE_MAP,
	SHAPE_MAPS,     /* a list of maps */
	SHAPE_TEXT_MAP, /* any keys, each with a text */
	SHAPE_MAP_MAP,  /* any keys, each with a map */
	SHAPES
};

struct spec_type {
	enum spec_shape shape;
	/* err is worded to follow the path: "must be ...". */
	int (*check)(const char *text, struct err *err);
	bool unquoted;                      /* must not be in quotes: a number or truth value */
	const struct spec_storage *storage; /* NULL: checked only */
};

/* The check of a value from the store: without rules that may be newer than it. */
int type_check_recalled(const struct spec_type *type, const char *text, struct err *err);

struct spec_fields;

struct spec_field {
	const char *key;
	const struct spec_type *type;
	size_t offset;
	size_t count_offset;              /* offset of a list's count */
	const struct spec_fields *fields; /* rows of the map, or of each of the maps */
	const char *fallback; /* the default, as in a spec; list items separated by blanks; NULL: none */
	const char *missing;  /* the error if no layer gives it; NULL: the field is optional */
	const char *rival;    /* key of the alternative: a map may have only one of the two; NULL: none */
	bool repeats;         /* the list may hold equal items */
};

struct spec_fields {
	const struct spec_field *v;
	size_t n;
	size_t size;                     /* sizeof the struct, for SHAPE_POINTER */
	const struct spec_fields *above; /* rows of the level above, for misplaced keys; NULL: none */
};

/* Maps that are merged field by field, the most specific first. Each may be NULL. */
#define SPEC_MAX_LAYERS 3
struct spec_layers {
	struct yaml_value *map[SPEC_MAX_LAYERS];
};

/* For each layer the value under this key, or NULL. */
struct spec_layers layers_under(const struct spec_layers *layers, const char *key);
/* The most specific map; NULL: every layer is NULL. */
const struct yaml_value *layers_first(const struct spec_layers *layers);
/*
 * Whether a layer is not a map, which was reported: fields that are missing for it need no second
 * error.
 */
bool layers_broken(const struct spec_layers *layers);
/*
 * Whether the value is given: an empty text or list, or null, counts as not given, an empty map as
 * given.
 */
bool value_given(const struct yaml_value *value);
struct yaml_value *given(const struct yaml_value *map, const char *key);

struct spec_merge {
	struct report *report;
	const struct yaml_value *at; /* where an error about a missing field is placed */
	size_t bytes, items;         /* copied so far into all instances */
};

/*
 * Fills the zeroed struct at `base`: each field from the first layer that gives
 * it, else from its default. Reports required fields that no layer gives.
 * Leaves out values that were reported as wrong, and does not report them as
 * missing.
 */
void fields_fill(const struct spec_fields *fields, void *base, const struct spec_layers *layers,
		 struct spec_merge *merge);

/* Reports everything that is wrong with the map itself: see spec_check.c. */
void fields_check(const struct spec_fields *fields, struct yaml_value *map, struct report *report);

void fields_copy(const struct spec_fields *fields, void *to, const void *from);
void fields_clear(const struct spec_fields *fields, void *base);
bool fields_equal(const struct spec_fields *fields, const void *a, const void *b);

/* For code that walks through a table and its struct together. */
bool field_is_kept(const struct spec_field *f); /* the struct has a member for it */
void *field_member(const void *base, const struct spec_field *f);
void *field_pointer(const void *base, const struct spec_field *f);
void field_set_pointer(void *base, const struct spec_field *f, void *p);
size_t field_count(const void *base, const struct spec_field *f); /* of a list */
void field_set_list(void *base, const struct spec_field *f, void *elements, size_t n);
/* Stores the default of a field that has one. */
void field_store_fallback(const struct spec_field *f, void *base);

/* All kept fields as JSON, for the store. */
struct json_object *fields_to_json(const struct spec_fields *fields, const void *base);
/* base is zeroed; after a failure the caller must still clear it. */
int fields_from_json(const struct spec_fields *fields, void *base, struct json_object *json, struct err *err);

#endif
