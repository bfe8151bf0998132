#include "daemon/core/spec/yaml_tree.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <yaml.h>

#include "common/mem.h"
#include "daemon/core/spec/yaml_map.h"

/*
 * For each %TAG directive libyaml searches all earlier ones. Nobody needs any,
 * and a file of them must not keep us busy for hours.
 */
#define MAX_DIRECTIVES 16
/* More than any person or template writes. */
#define MAX_ANCHORS 10000

struct anchor {
	UT_hash_handle hh;
	struct yaml_value *value;
	char name[];
};

struct yaml_tree {
	struct yaml_value *all;
	struct yaml_value *root;
};

/* A list or map that is still open. */
struct frame {
	struct yaml_value *value;
	struct yaml_value *key; /* the key whose value comes next */
};

struct builder {
	struct yaml_tree *tree;
	const struct yaml_limits *limits;
	struct anchor *anchors;
	struct frame *stack;
	unsigned depth;
	size_t values; /* counted as if every alias were copied out */
	const yaml_event_t *event;
	size_t line, column; /* of the error */
	struct err *err;
};

static int refuse(struct builder *b, const yaml_mark_t *mark, const char *message)
{
	b->line = mark->line + 1;
	b->column = mark->column + 1;
	return err_set(b->err, ERR_SPEC, "%s", message);
}

static int too_large(struct builder *b)
{
	refuse(b, &b->event->start_mark, "");
	return err_set(b->err, ERR_SPEC,
		       "too many values: at most %zu are allowed, after aliases are followed",
		       b->limits->max_values);
}

static int too_deep(struct builder *b)
{
	refuse(b, &b->event->start_mark, "");
	return err_set(b->err, ERR_SPEC, "nested too deeply: at most %u levels are allowed",
		       b->limits->max_depth);
}

static struct yaml_value *new_value(struct builder *b, enum yaml_kind kind)
{
	struct yaml_value *value = xcalloc(1, sizeof(*value));

	value->kind = kind;
	value->line = b->event->start_mark.line + 1;
	value->column = b->event->start_mark.column + 1;
	value->size = 1;
	value->height = 1;
	value->next = b->tree->all;
	b->tree->all = value;
	b->values++;
	return value;
}

/* A later anchor of the same name replaces the earlier one. */
static int set_anchor(struct builder *b, const yaml_char_t *name, struct yaml_value *value)
{
	struct anchor *anchor;
	size_t len;

	if (!name)
		return 0;
	len = strlen((const char *)name);
	HASH_FIND(hh, b->anchors, name, len, anchor);
	if (!anchor && HASH_COUNT(b->anchors) == MAX_ANCHORS) {
		refuse(b, &b->event->start_mark, "");
		return err_set(b->err, ERR_SPEC, "too many anchors: at most %d are allowed", MAX_ANCHORS);
	}
	if (!anchor) {
		anchor = xcalloc(1, sizeof(*anchor) + len + 1);
		memcpy(anchor->name, name, len);
		HASH_ADD_KEYPTR(hh, b->anchors, anchor->name, len, anchor);
	}
	anchor->value = value;
	return 0;
}

static int append(struct builder *b, struct yaml_value *value);

static int append_to_map(struct builder *b, struct frame *top, struct yaml_value *value)
{
	struct yaml_value *map = top->value;

	if (!top->key) {
		if (value->kind != YAML_TEXT) {
			b->line = value->line;
			b->column = value->column;
			return err_set(b->err, ERR_SPEC, "a key must be plain text, not a list or a map");
		}
		top->key = value;
		return 0;
	}
	map->pairs = xgrow(map->pairs, map->n, sizeof(*map->pairs));
	map->pairs[map->n++] = (struct yaml_pair){.key = top->key, .value = value};
	top->key = NULL;
	return 0;
}

/* Adds a complete value to the open list or map, or makes it the root. */
static int append(struct builder *b, struct yaml_value *value)
{
	struct frame *top;

	value->complete = true;
	if (b->values > b->limits->max_values)
		return too_large(b);
	if (b->depth == 0) {
		b->tree->root = value;
		return 0;
	}
	top = &b->stack[b->depth - 1];
	top->value->size += value->size;
	if (top->value->height <= value->height)
		top->value->height = value->height + 1;
	if (top->value->kind == YAML_MAP)
		return append_to_map(b, top, value);
	top->value->items = xgrow(top->value->items, top->value->n, sizeof(*top->value->items));
	top->value->items[top->value->n++] = value;
	return 0;
}

static int open_value(struct builder *b, enum yaml_kind kind, const yaml_char_t *anchor)
{
	struct yaml_value *value;

	if (b->depth == b->limits->max_depth)
		return too_deep(b);
	value = new_value(b, kind);
	if (set_anchor(b, anchor, value) < 0)
		return -1;
	b->stack[b->depth++] = (struct frame){.value = value};
	return 0;
}

static int close_value(struct builder *b)
{
	struct yaml_value *value = b->stack[--b->depth].value;
	const struct yaml_value *wrong = value->kind == YAML_MAP ? yaml_map_finish(value, b->err) : NULL;

	if (wrong) {
		b->line = wrong->line;
		b->column = wrong->column;
		return -1;
	}
	return append(b, value);
}

/* Tags that YAML defines change nothing that the text would not mean without them. */
static bool tag_is(const yaml_char_t *tag, const char *name)
{
	return tag && strcmp((const char *)tag, name) == 0;
}

static int check_tag(struct builder *b, const yaml_char_t *tag, const char *const *known)
{
	if (!tag || tag_is(tag, "!"))
		return 0;
	for (; *known; known++)
		if (tag_is(tag, *known))
			return 0;
	return refuse(b, &b->event->start_mark,
		      "this tag has no meaning here (a text that begins with \"!\" must be quoted)");
}

static bool is_null(const struct yaml_value *value)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

	for (size_t i = 0; value->plain && i < sizeof(nulls) / sizeof(nulls[0]); i++)
		if (strcmp(value->text, nulls[i]) == 0)
			return true;
	return false;
}

static int on_scalar(struct builder *b)
{
	static const char *const tags[] = {YAML_STR_TAG,  YAML_INT_TAG,  YAML_FLOAT_TAG,
					   YAML_BOOL_TAG, YAML_NULL_TAG, NULL};
	const char *text = (const char *)b->event->data.scalar.value;
	const yaml_char_t *tag = b->event->data.scalar.tag;
	size_t len = b->event->data.scalar.length;
	struct yaml_value *value;

	if (check_tag(b, tag, tags) < 0)
		return -1;
	if (memchr(text, '\0', len))
		return refuse(b, &b->event->start_mark, "a text must not contain a NUL character");
	value = new_value(b, YAML_TEXT);
	value->text = xstrndup(text, len);
	value->plain =
		tag ? !tag_is(tag, "!") && !tag_is(tag, YAML_STR_TAG) : b->event->data.scalar.plain_implicit;
	value->folded = b->event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
			b->event->start_mark.line != b->event->end_mark.line;
	value->null = is_null(value) || tag_is(tag, YAML_NULL_TAG);
	if (set_anchor(b, b->event->data.scalar.anchor, value) < 0)
		return -1;
	return append(b, value);
}

/* The message does not name the anchor: it may be a password that somebody forgot to quote. */
static int on_alias(struct builder *b)
{
	const yaml_char_t *name = b->event->data.alias.anchor;
	const struct yaml_value *value;
	struct anchor *anchor;

	HASH_FIND(hh, b->anchors, name, strlen((const char *)name), anchor);
	if (!anchor)
		return refuse(
			b, &b->event->start_mark,
			"an alias to an anchor that is not defined above (a text that begins with \"*\" "
			"must be quoted)");
	value = anchor->value;
	if (!value->complete)
		return refuse(b, &b->event->start_mark, "an alias inside the value that it stands for");
	if (b->depth + value->height > b->limits->max_depth + 1)
		return too_deep(b);
	b->values += value->size;
	return append(b, anchor->value);
}

static int on_list_start(struct builder *b)
{
	static const char *const tags[] = {YAML_SEQ_TAG, NULL};

	if (check_tag(b, b->event->data.sequence_start.tag, tags) < 0)
		return -1;
	return open_value(b, YAML_LIST, b->event->data.sequence_start.anchor);
}

static int on_map_start(struct builder *b)
{
	static const char *const tags[] = {YAML_MAP_TAG, NULL};

	if (check_tag(b, b->event->data.mapping_start.tag, tags) < 0)
		return -1;
	return open_value(b, YAML_MAP, b->event->data.mapping_start.anchor);
}

static int on_document_start(struct builder *b)
{
	if (!b->tree->root)
		return 0;
	return refuse(b, &b->event->start_mark, "a second document begins here: one file is one document");
}

static int (*const handlers[])(struct builder *b) = {
	[YAML_DOCUMENT_START_EVENT] = on_document_start,
	[YAML_ALIAS_EVENT] = on_alias,
	[YAML_SCALAR_EVENT] = on_scalar,
	[YAML_SEQUENCE_START_EVENT] = on_list_start,
	[YAML_SEQUENCE_END_EVENT] = close_value,
	[YAML_MAPPING_START_EVENT] = on_map_start,
	[YAML_MAPPING_END_EVENT] = close_value,
};

/* For bytes that are no UTF-8, libyaml gives an offset, but no line. */
static void find_byte(struct builder *b, const char *text, size_t offset)
{
	b->line = 1;
	b->column = 1;
	for (size_t i = 0; i < offset; i++) {
		if (text[i] == '\n') {
			b->line++;
			b->column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			b->column++;
		}
	}
}

/* Whether the line of the error is indented with a tab, which an editor shows as blanks. */
static bool is_at_tab(const struct builder *b, const char *text, size_t len)
{
	const char *end = text + len;

	for (size_t line = 1; text && line < b->line; line++) {
		text = memchr(text, '\n', (size_t)(end - text));
		if (text)
			text++;
	}
	for (; text && text < end && strchr(" \t-", *text) && *text; text++)
		if (*text == '\t')
			return true;
	return false;
}

/*
 * Whether a text was meant that begins like an alias, an anchor, a tag or a reserved character
 * ("*:6443", "@home").
 */
static bool needs_quotes(const yaml_parser_t *parser)
{
	static const char *const contexts[] = {"while scanning an alias", "while scanning an anchor",
					       "while parsing a tag", "while scanning a tag"};

	for (size_t i = 0; parser->context && i < sizeof(contexts) / sizeof(contexts[0]); i++)
		if (strcmp(parser->context, contexts[i]) == 0)
			return true;
	return strcmp(parser->problem, "found character that cannot start any token") == 0;
}

static int refuse_syntax(struct builder *b, const yaml_parser_t *parser, const char *text, size_t len)
{
	const char *problem = parser->problem ? parser->problem : "cannot be read";

	if (parser->error == YAML_READER_ERROR) {
		find_byte(b, text, parser->problem_offset < len ? parser->problem_offset : len);
		return err_set(b->err, ERR_SPEC, "not UTF-8 text: %s", problem);
	}
	refuse(b, &parser->problem_mark, "");
	if (strstr(problem, "character") && is_at_tab(b, text, len))
		return err_set(b->err, ERR_SPEC, "not valid YAML: a tab: YAML wants spaces");
	if (needs_quotes(parser))
		return err_set(b->err, ERR_SPEC,
			       "not valid YAML: a text that begins with this character must be quoted");
	if (strcmp(problem, "mapping values are not allowed in this context") == 0)
		problem =
			"a \":\" that may not stand here: is this line indented too far, is a blank missing "
			"behind a \":\" further up, or must a text with \": \" be quoted?";
	if (!parser->context)
		return err_set(b->err, ERR_SPEC, "not valid YAML: %s", problem);
	return err_set(b->err, ERR_SPEC, "not valid YAML: %s, %s that begins at line %zu, column %zu",
		       problem, parser->context, parser->context_mark.line + 1,
		       parser->context_mark.column + 1);
}

static int read_events(struct builder *b, yaml_parser_t *parser, const char *text, size_t len)
{
	yaml_event_type_t type;
	yaml_event_t event;
	int rc;

	do {
		if (!yaml_parser_parse(parser, &event))
			return refuse_syntax(b, parser, text, len);
		type = event.type;
		b->event = &event;
		rc = type < sizeof(handlers) / sizeof(handlers[0]) && handlers[type] ? handlers[type](b) : 0;
		yaml_event_delete(&event);
	} while (rc == 0 && type != YAML_STREAM_END_EVENT);
	return rc;
}

static int check_bytes(struct builder *b, const char *text, size_t len)
{
	size_t directives = 0, line = 1;

	if (len > b->limits->max_bytes)
		return err_set(b->err, ERR_SPEC, "the file is too large: at most %zu MiB are allowed",
			       b->limits->max_bytes >> 20);
	for (const char *p = text, *end = text + len; p && p < end; line++) {
		if (*p == '%' && ++directives > MAX_DIRECTIVES) {
			b->line = line;
			b->column = 1;
			return err_set(b->err, ERR_SPEC, "too many lines begin with \"%%\": at most %d may",
				       MAX_DIRECTIVES);
		}
		p = memchr(p, '\n', (size_t)(end - p));
		p = p ? p + 1 : NULL;
	}
	return 0;
}

/*
 * Some editors write a byte order mark at the beginning. libyaml would count it as a column, and
 * take the first key for indented.
 */
static size_t byte_order_mark(const char *text, size_t len)
{
	return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static int build(struct builder *b, const char *text, size_t len)
{
	size_t mark = byte_order_mark(text, len);
	yaml_parser_t parser;
	int rc;

	if (check_bytes(b, text, len) < 0)
		return -1;
	if (!yaml_parser_initialize(&parser))
		abort(); /* out of memory */
	/* Else libyaml would read UTF-16 as well. */
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text + mark, len - mark);
	rc = read_events(b, &parser, text + mark, len - mark);
	yaml_parser_delete(&parser);
	if (rc == 0 && !b->tree->root)
		rc = err_set(b->err, ERR_SPEC, "the file is empty: a YAML document must be given");
	return rc;
}

struct yaml_tree *yaml_tree_parse(const char *text, size_t len, const struct yaml_limits *limits,
				  size_t *line, size_t *column, struct err *err)
{
	struct builder b = {.limits = limits, .err = err};
	struct anchor *anchor, *tmp;

	b.tree = xcalloc(1, sizeof(*b.tree));
	b.stack = xcalloc(limits->max_depth, sizeof(*b.stack));
	if (build(&b, text, len) < 0) {
		*line = b.line;
		*column = b.column;
		yaml_tree_free(b.tree);
		b.tree = NULL;
	}
	HASH_ITER (hh, b.anchors, anchor, tmp) {
		HASH_DEL(b.anchors, anchor);
		free(anchor);
	}
	free(b.stack);
	return b.tree;
}

void yaml_tree_free(struct yaml_tree *tree)
{
	struct yaml_value *value, *next;

	for (value = tree ? tree->all : NULL; value; value = next) {
		next = value->next;
		secret_free(value->text);
		free(value->items);
		free(value->pairs);
		free(value);
	}
	free(tree);
}

struct yaml_value *yaml_tree_root(const struct yaml_tree *tree)
{
	return tree->root;
}
