/*
 * Collects the errors of one file while it is read: tracks the reader's path in the document, keeps
 * the first SPEC_MAX_ERRORS, and knows whether there were more.
 */
#ifndef APILB_CORE_SPEC_REPORT_H
#define APILB_CORE_SPEC_REPORT_H

#include "daemon/core/spec/spec.h"
#include "daemon/core/spec/yaml_tree.h"

/*
 * A key, or an index of a list. Most steps are never shown, so the text of a path is made only for
 * an error.
 */
struct report_step {
	const char *key; /* NULL: an index. Not owned: it must live until report_up */
	size_t index;
};

/* The levels of a document, and some for a merged host. */
#define REPORT_MAX_STEPS (SPEC_MAX_DEPTH + 16)

struct report {
	const char *file;
	struct spec_errors errors;
	bool more;     /* there were more errors than are kept */
	bool recalled; /* see struct spec_context */
	struct report_step steps[REPORT_MAX_STEPS];
	size_t depth;
};

/* Whether further errors would be dropped, so that it is not worth looking for them. */
bool report_is_full(const struct report *report);

/* One step down. Pass the result to report_up to return to the current path. */
size_t report_key(struct report *report, const char *key);
size_t report_index(struct report *report, size_t index);
void report_up(struct report *report, size_t before);

/* Adds an error at the line of `at`, with the current path. */
void report_at(struct report *report, const struct yaml_value *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Adds an error about the value itself and marks the value: one that several
 * aliases stand for is reported once, and later rules do not report it as
 * missing.
 */
void report_value(struct report *report, struct yaml_value *value, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Moves the errors to the end of `to`, in the order of the text. */
void report_finish(struct report *report, struct spec_errors *to);

#endif
