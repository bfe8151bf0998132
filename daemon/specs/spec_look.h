/*
 * * One look at the spec directory: reads its files, and judges whether each is a
 * good spec by itself. There may be many files, each as much work as the limits of
 * a spec allow, so this is done beside the loop (io/background.h): the look is
 * given copies of the former verdicts, and shares nothing with anybody until it is
 * done. specs_update_files then takes in its findings.
 *
 * Only the text that is being read is in memory, and those texts whose versions
 * may be put in force.
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
	bool stands; /* the verdict of the look before still holds; the other members are empty */
	struct verdict verdict;
	struct spec *spec;         /* valid by itself; NULL: errors says why it is not, or */
	struct spec_errors errors; /* why the file cannot be read */
};

struct spec_look {
	char *dir;
	bool have_agent;           /* SSH_AUTH_SOCK is set */
	struct spec_known *known;  /* private */
	struct words *recorded;    /* private */
	struct named_files *named; /* the named files that were read for this look */
	struct watch_view *view;   /* lent by the watch; NULL: nothing is watched */
	bool changed;              /* at the end of the look some file was not as it was read any more */
	struct watch_listing listing;
	struct spec_finding *findings; /* one for each file of the listing; emptied by specs_update_files */
	size_t findings_n;
};

/* Takes `named` over. */
struct spec_look *spec_look_new(const char *dir, bool have_agent, struct named_files *named);
void spec_look_free(struct spec_look *look); /* NULL is fine */

/* The newest version of a file at the look before: it was put in force, it clashed with other specs, or it
 * was wrong by itself. */
enum spec_came { SPEC_CAME_IN_FORCE, SPEC_CAME_CLASHING, SPEC_CAME_WRONG };

/* Before the look is read: tells it of the file that gives this spec name, and its verdict. Everything is
 * copied. */
void spec_look_know(struct spec_look *look, const char *name, const char *path, const struct verdict *verdict,
		    enum spec_came came);
/* Before the look is read: containers of this spec are recorded. May be called more than once for a spec. */
void spec_look_record(struct spec_look *look, const char *name);

/* Reads and judges all of the directory; its argument is the look. If the directory cannot be read, the
 * listing says why. The look's view then follows the files that were read. */
background_work spec_look_read;
/* Judges the next file, for callers that read the files themselves. */
void spec_look_judge(struct spec_look *look, struct watch_file *file);

#endif
