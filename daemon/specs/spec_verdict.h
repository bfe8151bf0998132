/*
 * A verdict records what the parser's result for a spec's text followed from: the
 * text, the files that it names, and whether containers of the spec are recorded.
 * While these are unchanged the text need not be parsed again: to parse a large
 * text takes long.
 */
#ifndef APILB_SPEC_VERDICT_H
#define APILB_SPEC_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/hash.h"
#include "daemon/core/spec/spec.h"
#include "daemon/specs/named_files.h"

struct verdict {
	char text_sha256[SHA256_HEX_SIZE]; /* of the spec's text; "": there is no verdict */
	struct spec_source *read;          /* the named files: sha256 of the content, or of the error */
	size_t read_n;
	bool asked;    /* the parser asked whether containers are recorded */
	bool recorded; /* the answer */
};

void verdict_clear(struct verdict *verdict);
void verdict_copy(struct verdict *to, const struct verdict *from); /* `to` must be empty */

/* What the parser may ask about while it parses a text. */
struct verdict_context {
	const char *name; /* the spec's */
	bool have_agent;
	struct named_files *named;
	int (*read_file)(void *arg, const char *path, char **text, struct err *err); /* arg is `named` */
	bool (*has_recorded)(void *arg, const char *name);
	void *arg;
	bool recalled; /* see struct spec_context */
};

/* Calls spec_parse, and records its verdict. */
struct spec *verdict_parse(struct verdict *verdict, const struct verdict_context *context, const char *path,
			   const char *text, size_t len, struct spec_errors *errors);

/* True when verdict_parse would have the same result again. valid: the result was a spec. */
bool verdict_stands(const struct verdict *verdict, const struct verdict_context *context, const char *text,
		    size_t len, bool valid);

#endif
