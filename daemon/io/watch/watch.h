/*
 * The spec directory: what its files hold, and word when that changes.
 *
 * inotify on the directory itself and on its parent (so that a directory that
 * is moved away, unmounted or made anew is noticed), settled for a short while
 * so that an editor's half-written file is read once, when it is whole; and a
 * full look, between watch_begin and watch_end, which also sets watches anew: inotify
 * can lose events, and does not tell of a mount over the directory, of a
 * parent made later, or of a change in the target of a link that leads out of
 * the directory. So look regularly too; watch_settling finds out
 * whether anything of the last look has changed, told or not.
 */
#ifndef APILB_IO_WATCH_H
#define APILB_IO_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/err.h"
#include "common/file.h"

struct event_base;
struct watch;

/* The directory must have been quiet for so long; but a busy one is looked at after the second time. */
#define WATCH_SETTLE_MS 100
#define WATCH_SETTLE_MAX_MS 1000

/* A file of this name in a directory without specs says that this is meant. */
#define WATCH_EMPTY_MARKER ".empty"

/* A file that is a spec by its name. Either text, or why it could not be read. */
struct watch_file {
	char *name; /* the spec's name */
	char *path;
	char *text; /* NULL when it cannot be read; not NUL terminated content counts by len; holds secrets */
	size_t len;
	char *error; /* "is a FIFO, not a regular file", "permission denied", "is larger than 4 MiB" ... */
	struct file_stamp stamp;
};

struct watch_listing {
	struct watch_file *files; /* in order of path */
	size_t n;
	char **misnamed; /* what looks like a spec and is none by its name: "PATH is not read: WHY"; in order
			  */
	size_t misnamed_n;
	struct err err; /* the directory itself cannot be read; else its kind is ERR_NONE, and: */
	dev_t dev;      /* which directory it is */
	ino_t ino;
	bool said_empty; /* it holds WATCH_EMPTY_MARKER */
	struct file_stamp stamp;
};

/*
 * changed: something may have changed; look. From the event
 * loop only; the callback may free the watch. base may be NULL: no watching.
 */
struct watch *watch_new(struct event_base *base, const char *dir, void (*changed)(void *arg), void *arg);
void watch_free(struct watch *watch); /* NULL is fine */

/*
 * True when something has changed since the last look began and has not settled yet: a look now could
 * find a file half written, which no reader can see for sure. changed comes
 * within WATCH_SETTLE_MAX_MS, so a look that is merely due can wait for it. Costs a
 * stat(2) a file. Before the first look all that has changed just before the watch began counts. Without a
 * base always false.
 */
bool watch_settling(struct watch *watch);

/* A file elsewhere that belongs to what the last look found, such as a CA that a spec names, as it was just
 * before it was read (file_stamp_keep): counts as one of the directory's until the next look. */
void watch_follow(struct watch *watch, const char *path, const struct file_stamp *stamp);

/* Why changes go unnoticed between looks (inotify's limits), or NULL. For a warning. */
const char *watch_trouble(const struct watch *watch);

/* A look begins: what changes from now on is told. */
void watch_begin(struct watch *watch);

/* One more file has been read; texts that are not dropped stay in memory. False: the rest of them is not
 * read.
 */
typedef bool watch_each_cb(void *arg, struct watch_file *file);

/*
 * Reads the directory, without ever blocking on a FIFO or device, one file after the other in order of path.
 * Needs no watch, and may be done beside the loop. known: base names of the files that were there before,
 * then NULL; or NULL. each may be NULL. Two files that give the same spec name (a.yaml, a.yml) both come, the
 * caller decides.
 */
void watch_read(const char *dir, const char *const *known, struct watch_listing *listing, watch_each_cb *each,
		void *arg);
void watch_drop_text(struct watch_file *file); /* wipes it */

/*
 * What was read since watch_begin. -1: the
 * directory itself cannot be read (gone, unmounted, no permission): nothing is known,
 * which is not the same as empty. A directory that holds no spec counts as gone, too, when
 * it is another one (by device and inode) than the one that held some, unless it says that it is meant
 * to be empty: that is how an unmounted directory looks.
 */
int watch_end(struct watch *watch, const struct watch_listing *listing, struct err *err);
/* What watch_end has let pass is what counts from now on: this is the directory that last held specs, or none
 * did. A listing of errors only changes nothing. Not for a listing that another is to replace. */
void watch_accept(struct watch *watch, const struct watch_listing *listing);
void watch_listing_clear(struct watch_listing *listing);

/*
 * Which directory last held specs, as a text to be kept; NULL: none of them is left, or none was seen. And
 * what was kept by an earlier life, whose specs are still in force ("": which one it was is not known),
 * before the first look.
 */
const char *watch_place(const struct watch *watch);
void watch_expect(struct watch *watch, const char *place);

/* Whether something in the directory has changed within the last WATCH_SETTLE_MS; for who has not watched it
 * yet. */
bool watch_is_busy(const char *dir);

#endif
