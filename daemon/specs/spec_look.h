/*
 * One look at the spec directory: what is in its files, and whether each is a
 * good spec by itself. A file can be as much work as the limits of a spec allow
 * and there can be many, so this is done beside the loop (io/background.h): the
 * look is told beforehand what was found before, and shares nothing with
 * anybody until it is done. specs_update_files then takes in what it has found.
 *
 * One text at a time is in memory, and the texts of what may come in force.
 */
#ifndef APILB_SPEC_LOOK_H
#define APILB_SPEC_LOOK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/spec/spec.h"
#include "daemon/io/background.h"
#include "daemon/io/watch/watch.h"
#include "daemon/specs/spec_verdict.h"

/* What was found in one file. */
struct spec_finding {
	bool stands; /* it was judged before, and would be judged the same again; else: */
	struct verdict verdict;
	struct spec *spec;         /* valid by itself; or NULL, and */
	struct spec_errors errors; /* what is wrong with it, or why it cannot be read */
};

struct spec_look {
	char *dir;
	bool have_agent;          /* SSH_AUTH_SOCK is set */
	struct spec_known *known; /* private, like the next */
	struct words *recorded;
	struct named_files *named; /* that were read for it */
	struct watch_view *view;   /* lent; NULL: nobody watches */
	bool changed;              /* something was not as it was read any more, at the end */
	atomic_size_t read_n;      /* files so far: meanwhile, too, and for anybody to see */
	struct watch_listing listing;
	struct spec_finding
		*findings; /* of each file of the listing; what specs_update_files takes is gone from here */
	size_t findings_n;
};

/* named becomes the look's. */
struct spec_look *spec_look_new(const char *dir, bool have_agent, struct named_files *named);
void spec_look_free(struct spec_look *look); /* NULL is fine */

/* What came of the newest version of a file at the look before. */
enum spec_came { SPEC_CAME_IN_FORCE, SPEC_CAME_BESIDE, SPEC_CAME_WRONG };

/* Beforehand: the file that gave this name, and what came of it; BESIDE: it is good, but clashes with others.
 * All is copied. */
void spec_look_know(struct spec_look *look, const char *name, const char *path, const struct verdict *verdict,
		    enum spec_came came);
/* Beforehand: containers of this spec are recorded. May be said more than once. */
void spec_look_record(struct spec_look *look, const char *name);

/* All of the directory; arg is the look. Where it cannot be read, the listing says why. What was read is what
 * its view follows. */
background_work spec_look_read;
/* Its next file, for who reads by himself. */
void spec_look_judge(struct spec_look *look, struct watch_file *file);

#endif
