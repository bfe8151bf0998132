/*
 * The spec directory: what its files hold, and word when that changes.
 *
 * Its file system may hang, as that of a network mount does whose server is gone. So there are two
 * halves. On the loop is `struct watch`: events of inotify, and the time that it
 * takes them to settle, so that an editor's half-written file is read once, when it is whole. It never asks
 * the file system. Beside the loop (io/background.h) is all that does: watches are set, files compared with
 * what was read of them, and read. What such a thread needs, and finds, is a `struct watch_view`, which the
 * watch lends it.
 *
 * inotify watches the directory itself and its parent (so that a directory that
 * is moved away, unmounted or made anew is noticed). It can lose events, and does not tell of a mount over
 * the directory, of a parent made later, of a change in the target of a link that leads out of the directory,
 * or of what another machine does on a network mount. So look regularly too; watch_ask finds out whether
 * anything of the last look has changed, told or not.
 */
#ifndef APILB_IO_WATCH_H
#define APILB_IO_WATCH_H

#include <stdatomic.h>
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

/* On the loop. */

/*
 * changed: something may have changed, and has settled; look. From the event
 * loop only; the callback may free the watch. base may be NULL: no watching.
 */
struct watch *watch_new(struct event_base *base, const char *dir, void (*changed)(void *arg), void *arg);
void watch_free(struct watch *watch); /* NULL is fine */

/* True when something was told (also until this very moment, or by watch_settle) and has not settled yet: a
 * look now could find a file half written, which no reader can see for sure. changed comes within
 * WATCH_SETTLE_MAX_MS. */
bool watch_settling(struct watch *watch);
/* Something was found to have changed: it settles as if it had been told. */
void watch_settle(struct watch *watch);
/* What changes does so for less than WATCH_SETTLE_MAX_MS: a look can wait for it. */
bool watch_is_patient(const struct watch *watch);
/* A look begins: what settles is read by it, and what changes from now on is told anew. */
void watch_begin(struct watch *watch);

/* Why changes go unnoticed between looks (inotify's limits), or NULL. For a warning. */
const char *watch_trouble(const struct watch *watch);

/*
 * What was read. -1: the
 * directory itself cannot be read (gone, unmounted, no permission): nothing is known,
 * which is not the same as empty. A directory that holds no spec counts as gone, too, when
 * it is another one (by device and inode) than the one that held some, unless it says that it is meant
 * to be empty: that is how an unmounted directory looks.
 */
int watch_end(const struct watch *watch, const struct watch_listing *listing, struct err *err);
/* What watch_end has let pass is what counts from now on: this is the directory that last held specs, or none
 * did. A listing of errors only changes nothing. Not for a listing that another is to replace. */
void watch_accept(struct watch *watch, const struct watch_listing *listing);

/*
 * Which directory last held specs, as a text to be kept; NULL: none of them is left, or none was seen. And
 * what was kept by an earlier life, whose specs are still in force ("": which one it was is not known),
 * before the first look.
 */
const char *watch_place(const struct watch *watch);
void watch_expect(struct watch *watch, const char *place);

/* Beside the loop. */

struct watch_followed {
	char *path;
	struct file_stamp stamp;
};

/* The watch's, but for the time that it is lent to a thread. */
struct watch_view {
	char *dir, *parent;
	int inotify; /* a descriptor of its own; -1: no watching */
	int dir_wd, parent_wd;
	char *trouble;
	struct watch_followed *followed; /* all that was read in the last look */
	size_t followed_n;
	bool changed; /* watch_ask: it is not what was read any more */
	bool young;   /* watch_ask: something has changed within the last WATCH_SETTLE_MS */
};

/* Not while it is lent. The thread that has it for good, because it hangs, may keep it. */
struct watch_view *watch_lend(struct watch *watch);
void watch_take_back(struct watch *watch, struct watch_view *view);

/* Sets missing watches, and those of what has come to stand under the same name; from then on inotify tells.
 * Then finds out whether something has changed, told or not, since it was read, and how lately. Costs a
 * stat(2) or two a file. A background_work. */
void watch_ask(void *view, const atomic_bool *stop);

/*
 * Reads the directory, without ever blocking on a FIFO or device, one file after the other in order of path.
 * known: base names of the files that were there before,
 * then NULL; or NULL. each may be NULL. Two files that give the same spec name (a.yaml, a.yml) both come, the
 * caller decides.
 */
/* One more file has been read; texts that are not dropped stay in memory. False: the rest of them is not
 * read.
 */
typedef bool watch_each_cb(void *arg, struct watch_file *file);
void watch_read(const char *dir, const char *const *known, struct watch_listing *listing, watch_each_cb *each,
		void *arg);
void watch_drop_text(struct watch_file *file); /* wipes it */
void watch_listing_clear(struct watch_listing *listing);

/* From now on what was read now counts, and nothing else. */
void watch_follow_listing(struct watch_view *view, const struct watch_listing *listing);
/* And a file elsewhere that belongs to it, such as a CA that a spec names, as it was just
 * before it was read (file_stamp_keep). */
void watch_follow(struct watch_view *view, const char *path, const struct file_stamp *stamp);
/* Something is not what was read. */
bool watch_has_changed(const struct watch_view *view);

#endif
