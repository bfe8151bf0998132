/* Specs that are read by the client itself: files, directories, standard input. */
#ifndef APILB_CTL_SPEC_FILE_H
#define APILB_CTL_SPEC_FILE_H

#include <stddef.h>

#include "common/err.h"
#include "daemon/core/spec.h"

struct spec_list {
	struct spec **specs; /* those that are valid */
	size_t n;
	struct spec_errors errors; /* of the others, and of their reading */
};

/*
 * Reads and parses `path`: a file whatever its name, a directory's specs in the order of their names, or "-".
 * What is wrong goes into list->errors, as the daemon with the same environment and an empty store would say
 * it.
 */
void spec_list_add(struct spec_list *list, const char *path);
void spec_list_clear(struct spec_list *list);

/* A line an error, to stderr. */
void spec_list_print_errors(const struct spec_list *list);

#endif
