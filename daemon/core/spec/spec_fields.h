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

/* What is done with a member of a struct, or with one element of a list. */
struct spec_storage {
	size_t size;
	/* text has passed the type's check; the member holds nothing yet */
	void (*store)(void *member, const char *text);
	void (*copy)(void *to, const void *from);
	void (*clear)(void *member);
	bool (*equal)(const void *a, const void *b);
	/* The text that `store` would take; NULL: not given. The caller frees. */
	char *(*text)(const void *member);
};

enum spec_shape {
	SHAPE_TEXT,
	SHAPE_LIST,         /* of texts; the member is a pointer to elements, and there is a count */
	SHAPE_TEXT_OR_LIST, /* a single text is a list of one */
	SHAPE_GROUP,        /* a map whose fields lie in the same struct, from the row's offset on */
	SHAPE_POINTER,      /* a map with a struct of its own, pointed to; NULL: not given */
	/* Checked only; whoever needs them reads the tree. */
	SHAPE_MAP,
	SHAPE_MAPS,     /* a list of maps */
	SHAPE_TEXT_MAP, /* any keys, each with a text */
	SHAPE_MAP_MAP,  /* any keys, each with a map */
	SHAPES
};

struct spec_type {
	enum spec_shape shape;
	/* Sets err to words that follow the path: "must be ...". */
	int (*check)(const char *text, struct err *err);
	bool unquoted;                      /* a number or truth value: in quotes it would be a text */
	const struct spec_storage *storage; /* NULL: checked, not kept */
};

/* The check of what was in force once, and comes from the store. */
int type_check_recalled(const struct spec_type *type, const char *text, struct err *err);

struct spec_fields;

struct spec_field {
	const char *key;
	const struct spec_type *type;
	size_t offset;
	size_t count_offset;              /* of a list's count */
	const struct spec_fields *fields; /* of the map, or of each of the maps */
	const char *fallback; /* the default, as it would be written, a list's with blanks; NULL: none */
	const char *missing;  /* the error when it is given nowhere; NULL: it may be missing */
	const char *rival;    /* key of the other way to say the same; not both in one map */
	bool repeats;         /* a list may hold the same twice */
};

struct spec_fields {
	const struct spec_field *v;
	size_t n;
	size_t size;                     /* of the struct, for SHAPE_POINTER */
	const struct spec_fields *above; /* a key of these may have been put too low; NULL: none */
};

/* Maps, the most specific first, that are merged field by field. Any of them may be NULL. */
#define SPEC_MAX_LAYERS 3
struct spec_layers {
	struct yaml_value *map[SPEC_MAX_LAYERS];
};

/* The maps that the layers have under this key. */
struct spec_layers layers_under(const struct spec_layers *layers, const char *key);
/* The most specific of them; NULL: there is none. */
const struct yaml_value *layers_first(const struct spec_layers *layers);
/* One of them is no map at all, which was reported: what it lacks is not worth a second error. */
bool layers_broken(const struct spec_layers *layers);
/* Whether anything is there: an empty text or list, or null, counts as not given, an empty map as given. */
bool value_given(const struct yaml_value *value);
struct yaml_value *given(const struct yaml_value *map, const char *key);

struct spec_merge {
	struct report *report;
	const struct yaml_value *at; /* where errors about what is missing are placed */
	size_t bytes, items;         /* copied so far, from values that many instances share */
};

/*
 * Fills the struct at `base`, which is zeroed, from the first layer that gives
 * each field, else from its default. Values that were reported as wrong are
 * left out, and not missed. Reports required fields that no layer gives.
 */
void fields_fill(const struct spec_fields *fields, void *base, const struct spec_layers *layers,
		 struct spec_merge *merge);

/* Reports everything that is wrong with the map by itself: see spec_check.c. */
void fields_check(const struct spec_fields *fields, struct yaml_value *map, struct report *report);

void fields_copy(const struct spec_fields *fields, void *to, const void *from);
void fields_clear(const struct spec_fields *fields, void *base);
bool fields_equal(const struct spec_fields *fields, const void *a, const void *b);

/* For what goes through a table and its struct together. */
bool field_is_kept(const struct spec_field *f); /* it has a member */
void *field_member(const void *base, const struct spec_field *f);
void *field_pointer(const void *base, const struct spec_field *f);
void field_set_pointer(void *base, const struct spec_field *f, void *p);
size_t field_count(const void *base, const struct spec_field *f); /* of a list */
void field_set_list(void *base, const struct spec_field *f, void *elements, size_t n);
/* Where it has one: of a list the words of its text. */
void field_store_fallback(const struct spec_field *f, void *base);

/* For the store: all that is kept. */
struct json_object *fields_to_json(const struct spec_fields *fields, const void *base);
/* base is zeroed; on failure, what it holds must still be cleared. */
int fields_from_json(const struct spec_fields *fields, void *base, struct json_object *json, struct err *err);

#endif
