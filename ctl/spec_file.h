/* Specs that are read by the client itself: files, directories, standard input. */
#ifndef APILB_CTL_SPEC_FILE_H
#define APILB_CTL_SPEC_FILE_H

#include <stddef.h>

#include "common/err.h"
#include "daemon/core/spec/spec.h"

struct spec_list {
	struct spec **specs; /* those that are valid */
	size_t n;
	struct spec_errors errors; /* of specs that are not valid, or cannot be read */
};

/*
 * Reads and parses `path`: a file of any name, all specs of a directory in the
 * order of their names, or "-". Errors go into list->errors, as a daemon with
 * the same environment and an empty store would report them.
 */
void spec_list_add(struct spec_list *list, const char *path);
void spec_list_clear(struct spec_list *list);

/* Prints each error as a line on stderr. */
void spec_list_print_errors(const struct spec_list *list);

#endif
