/*
 * What a spec's text was found to be, and all else that this followed from: the
 * files that it names, and whether containers of it are recorded. As long as
 * those are as they were the text need not be parsed again, which takes its
 * time for a large one.
 */
#ifndef APILB_SPEC_VERDICT_H
#define APILB_SPEC_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/hash.h"
#include "daemon/core/spec/spec.h"
#include "daemon/specs/named_files.h"

struct verdict {
	char text_sha256[SHA256_HEX_SIZE]; /* "": there is no verdict */
	struct spec_source *read;          /* sha256 of the text, or of why it could not be read */
	size_t read_n;
	bool asked, recorded; /* whether containers are recorded, if that mattered */
};

void verdict_clear(struct verdict *verdict);
void verdict_copy(struct verdict *to, const struct verdict *from); /* `to` is empty */

/* The surroundings of a text. */
struct verdict_context {
	const char *name; /* the spec's */
	bool have_agent;
	struct named_files *named;
	int (*read_file)(void *arg, const char *path, char **text, struct err *err); /* arg is `named` */
	bool (*has_recorded)(void *arg, const char *name);
	void *arg;
	bool recalled; /* see struct spec_context */
};

/* spec_parse, with the verdict that it comes to. */
struct spec *verdict_parse(struct verdict *verdict, const struct verdict_context *context, const char *path,
			   const char *text, size_t len, struct spec_errors *errors);

/* Whether verdict_parse would find the same again. valid: it found a spec. */
bool verdict_stands(const struct verdict *verdict, const struct verdict_context *context, const char *text,
		    size_t len, bool valid);

#endif
