/*
 * The errors of one file while it is being read: knows where in the document
 * the reader is, keeps the first SPEC_MAX_ERRORS, and knows whether there are more.
 */
#ifndef APILB_CORE_SPEC_REPORT_H
#define APILB_CORE_SPEC_REPORT_H

#include "daemon/core/spec/spec.h"
#include "daemon/core/spec/yaml_tree.h"

/* A key, or the place in a list. Most steps are never shown, so they are put in words only for an error. */
struct report_step {
	const char *key; /* not owned: it stays until report_up */
	size_t index;
};

/* The document's levels, and what a merged host may add. */
#define REPORT_MAX_STEPS (SPEC_MAX_DEPTH + 16)

struct report {
	const char *file;
	struct spec_errors errors;
	bool more;     /* than are kept */
	bool recalled; /* see struct spec_context */
	struct report_step steps[REPORT_MAX_STEPS];
	size_t depth;
};

/* No more errors are kept: it is not worth the time to look for any. */
bool report_is_full(const struct report *report);

/* One step down; the result is for report_up, which goes back to where the reader was. */
size_t report_key(struct report *report, const char *key);
size_t report_index(struct report *report, size_t index);
void report_up(struct report *report, size_t before);

/* An error in the document at `at`, with the current path. */
void report_at(struct report *report, const struct yaml_value *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The same for what a value is by itself. A value that several aliases stand
 * for is reported once; marked, it is not missed by later rules either.
 */
void report_value(struct report *report, struct yaml_value *value, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Moves the errors to the end of `to`, in the order of the text. */
void report_finish(struct report *report, struct spec_errors *to);

#endif
