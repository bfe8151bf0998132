/*
 * The spec directory: reads its files, and tells when they change.
 *
 * The directory's file system may hang, as a network mount does whose server is gone. So this module has two
 * halves. On the loop is `struct watch`, which never touches the file system: it takes the events of inotify,
 * and waits until the directory has been quiet for a moment, so that a file that an editor is just writing is
 * read once, when it is complete. Beside the loop (io/background.h) is everything that touches the file
 * system: it sets the inotify watches, finds out whether files have changed since they were read, and reads
 * them. The thread's data is a `struct watch_view`, which the watch lends to it.
 *
 * inotify watches the directory itself, and its parent, so that a directory that is moved away, unmounted or
 * made anew is noticed. inotify can lose events, and does not tell of a mount over the directory, of a parent
 * made later, of changes in a link's target outside of the directory, or of changes that another machine
 * makes on a network mount. So the caller must also look regularly; watch_ask finds out whether anything has
 * changed since the last look, without relying on events.
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

/* The directory has settled when it has been quiet for WATCH_SETTLE_MS; a directory that is never quiet is
 * read after WATCH_SETTLE_MAX_MS all the same. */
#define WATCH_SETTLE_MS 100
#define WATCH_SETTLE_MAX_MS 1000

/* A file of this name says that the directory is meant to hold no specs. */
#define WATCH_EMPTY_MARKER ".empty"

/* A file whose name is a spec's. */
struct watch_file {
	char *name; /* the spec's name */
	char *path;
	char *text; /* of len bytes, may hold NULs and secrets; NULL: dropped, or the file cannot be read */
	size_t len;
	char *error; /* why the file cannot be read: "is a FIFO, not a regular file", ...; NULL: it can */
	struct file_stamp stamp;
};

struct watch_listing {
	struct watch_file *files; /* in order of path */
	size_t n;
	char **misnamed; /* warnings of files that seem to be meant as specs: "PATH is not read: WHY"; in
			    order */
	size_t misnamed_n;
	struct err err;  /* why the directory itself cannot be read; kind ERR_NONE: it can, and: */
	char *place;     /* which directory it is, as a text; "": its file system does not tell (FUSE, 9p) */
	bool said_empty; /* it holds WATCH_EMPTY_MARKER */
	struct file_stamp stamp;
};

/* On the loop. */

/*
 * changed comes from the event loop when something may have changed, and the
 * directory has settled: it is time to look. The callback may free the watch.
 * base may be NULL: then nothing is watched.
 */
struct watch *watch_new(struct event_base *base, const char *dir, void (*changed)(void *arg), void *arg);
void watch_free(struct watch *watch); /* NULL is fine */

/* True while the directory has not settled since the last event (up to this moment) or watch_settle: a look
 * now could read a half-written file, which cannot be told from a complete one. changed comes within
 * WATCH_SETTLE_MAX_MS. */
bool watch_settling(struct watch *watch);
/* A change was found without an event: the directory must settle as after an event. */
void watch_settle(struct watch *watch);
/* False: the directory has been changing for WATCH_SETTLE_MAX_MS, so a look waits no longer. */
bool watch_is_patient(const struct watch *watch);
/* True when the directory has settled after a change, and no look has begun since. */
bool watch_has_settled(const struct watch *watch);
/* A look begins: it reads all changes until now; only later ones make the directory settle again. */
void watch_begin(struct watch *watch);

/* Why changes are not noticed between regular looks (a limit of inotify), for a warning; NULL: they are. */
const char *watch_trouble(const struct watch *watch);

/*
 * Judges what was read. -1: the directory itself could not be read (it is gone or unmounted, or permission is
 * denied): nothing is known of its specs, which is not the same as no specs. A directory without specs counts
 * as unmounted, too, if it is not the directory that last held specs, unless it holds WATCH_EMPTY_MARKER.
 */
int watch_end(const struct watch *watch, const struct watch_listing *listing, struct err *err);
/* Accepts a listing that watch_end has let pass: from now on its directory is the one that last held specs,
 * or, if it holds none, no directory did. A listing in which no file could be read changes nothing. Not to be
 * called for a listing that is dropped for another look. */
void watch_accept(struct watch *watch, const struct watch_listing *listing);

/*
 * watch_place: which directory last held specs, as a text for the store; NULL: none did. watch_expect: the
 * text that the daemon stored before its restart, if specs from then are in force; "": it is not known. To be
 * called before the first look.
 */
const char *watch_place(const struct watch *watch);
void watch_expect(struct watch *watch, const char *place);
/* True when both texts surely name the same directory; "" names none. */
bool watch_place_is(const char *before, const char *now);

/* Beside the loop. */

struct watch_followed {
	char *path;
	struct file_stamp stamp;
};

/* Belongs to the watch, except while it is lent to a thread. */
struct watch_view {
	char *dir, *parent;
	int inotify; /* a duplicate of the watch's descriptor; -1: nothing is watched */
	int dir_wd, parent_wd;
	char *trouble;
	struct watch_followed *followed; /* all files that the last look has read, and the directory */
	size_t followed_n;
	atomic_size_t answered_n; /* files that the file system has answered for: the loop may read this at
				     any time */
	bool changed;             /* set by watch_ask: something has changed since it was read */
	bool young; /* set by watch_ask: something has changed within the last WATCH_SETTLE_MS */
};

/* Lends the view to a thread; it must not be lent already. A thread that hangs may keep it for ever. */
struct watch_view *watch_lend(struct watch *watch);
void watch_take_back(struct watch *watch, struct watch_view *view);

/* A background_work. Sets the inotify watches that are missing, or whose directory has been replaced by
 * another of the same name. Then finds out whether anything has changed since it was read, and how recently,
 * by one or two stat(2) a file. */
void watch_ask(void *view, const atomic_bool *stop);

/*
 * Reads the directory's files, one after the other in order of path, without ever blocking on a FIFO or
 * device. known: the base names of the files of the look before, then NULL; or NULL. If two files give the
 * same spec name (a.yaml, a.yml), both are read, and the caller decides.
 *
 * each, unless NULL, comes for every file that has been read. Texts that it does not drop stay in memory. It
 * returns false to stop reading.
 */
typedef bool watch_each_cb(void *arg, struct watch_file *file);
void watch_read(const char *dir, const char *const *known, struct watch_listing *listing, watch_each_cb *each,
		void *arg);
void watch_drop_text(struct watch_file *file); /* wipes it */
void watch_listing_clear(struct watch_listing *listing);

/* From now on the view follows the files of this listing, and no others. */
void watch_follow_listing(struct watch_view *view, const struct watch_listing *listing);
/* Also follow a file elsewhere, such as a CA that a spec names. stamp: taken just before it was read
 * (file_stamp_keep). */
void watch_follow(struct watch_view *view, const char *path, const struct file_stamp *stamp);
/* True when a followed file has changed since it was read. */
bool watch_has_changed(struct watch_view *view);

#endif
