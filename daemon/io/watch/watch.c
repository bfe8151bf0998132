#include "daemon/io/watch/watch.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/text.h"
#include "daemon/io/clock.h"

/* The kernel adds these by itself. IN_IGNORED and IN_UNMOUNT end a watch. */
#define LOST_EVENTS (IN_Q_OVERFLOW | IN_UNMOUNT | IN_IGNORED)

struct watch {
	char *dir, *parent, *base_name;
	void (*changed)(void *arg);
	void *arg;
	int inotify;           /* -1: nothing is watched */
	int dir_wd, parent_wd; /* copied from the view when it was last taken back */
	struct event *readable;
	struct event *settle;
	int64_t unsettled_since_ms; /* time of the first change since the last look began, or since a rest of
				       WATCH_SETTLE_MAX_MS; -1: none */
	int64_t changed_ms;         /* time of the last change */
	struct watch_view *view;    /* NULL: it is lent */
	char *trouble;
	char *place; /* the directory that last held specs, see watch_place(); NULL: none did */
};

static bool is_settling(const struct watch *watch)
{
	return watch->settle && event_pending(watch->settle, EV_TIMEOUT, NULL);
}

bool watch_is_patient(const struct watch *watch)
{
	return watch->unsettled_since_ms < 0 || clock_ms() < watch->unsettled_since_ms + WATCH_SETTLE_MAX_MS;
}

void watch_settle(struct watch *watch)
{
	int64_t now = clock_ms(), left;
	struct timeval delay;

	if (!watch->settle)
		return;
	if (watch->unsettled_since_ms < 0)
		watch->unsettled_since_ms = now;
	watch->changed_ms = now;
	left = watch->unsettled_since_ms + WATCH_SETTLE_MAX_MS - now;
	delay = clock_timeval(left < WATCH_SETTLE_MS ? left : WATCH_SETTLE_MS);
	event_add(watch->settle, &delay);
}

/* The changes before are over, though no look may have been possible since: this one has all its time to
 * settle. Only events tell so, since who asks a slow directory may learn of each change late. */
static void on_event(struct watch *watch)
{
	if (!is_settling(watch) && clock_ms() >= watch->changed_ms + WATCH_SETTLE_MAX_MS)
		watch->unsettled_since_ms = -1;
	watch_settle(watch);
}

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct watch *watch = arg;

	(void)fd;
	(void)what;
	watch->changed(watch->arg);
}

/* Does this event matter? Most events of the parent do not. */
static bool matters(const struct watch *watch, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	/* IN_IGNORED: the watch has ended. Another event has told why, unless we have removed the watch. */
	if (event->wd == watch->dir_wd)
		return !(event->mask & IN_IGNORED);
	/* A watch that was removed; or, while the view is lent, a new one whose number only the view has. */
	if (event->wd != watch->parent_wd)
		return watch->view == NULL;
	return (event->mask & LOST_EVENTS) || (event->len && strcmp(event->name, watch->base_name) == 0);
}

static void read_events(struct watch *watch)
{
	_Alignas(struct inotify_event) char buf[4096 + NAME_MAX];
	ssize_t len;

	while ((len = read(watch->inotify, buf, sizeof(buf))) > 0) {
		const struct inotify_event *event;

		for (char *p = buf; p < buf + len; p += sizeof(*event) + event->len) {
			event = (const struct inotify_event *)p;
			if (matters(watch, event))
				on_event(watch);
		}
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_events(arg);
}

/* The view has copies of everything, since a thread that hangs may keep it for ever. */
static struct watch_view *view_new(const struct watch *watch)
{
	struct watch_view *view = xcalloc(1, sizeof(*view));

	view->dir = xstrdup(watch->dir);
	view->parent = xstrdup(watch->parent);
	view->inotify = watch->inotify < 0 ? -1 : fcntl(watch->inotify, F_DUPFD_CLOEXEC, 0);
	view->dir_wd = view->parent_wd = -1;
	return view;
}

static void view_free(struct watch_view *view)
{
	if (!view)
		return;
	if (view->inotify >= 0)
		close(view->inotify);
	for (size_t i = 0; i < view->followed_n; i++)
		free(view->followed[i].path);
	free(view->followed);
	free(view->trouble);
	free(view->dir);
	free(view->parent);
	free(view);
}

struct watch *watch_new(struct event_base *base, const char *dir, void (*changed)(void *arg), void *arg)
{
	struct watch *watch = xcalloc(1, sizeof(*watch));
	char *copy = xstrdup(dir);

	watch->dir = xstrdup(dir);
	watch->parent = xstrdup(dirname(copy));
	strcpy(copy, dir);
	watch->base_name = xstrdup(basename(copy));
	free(copy);
	watch->changed = changed;
	watch->arg = arg;
	watch->dir_wd = watch->parent_wd = -1;
	watch->unsettled_since_ms = -1;
	watch->inotify = base ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1;
	watch->view = view_new(watch);
	if (!base)
		return watch;
	watch->settle = evtimer_new(base, on_settled, watch);
	if (watch->view->inotify < 0) {
		watch->trouble =
			xasprintf("inotify: %s%s; changes are seen at the next regular look only",
				  strerror(errno), errno == EMFILE ? " (fs.inotify.max_user_instances)" : "");
		return watch;
	}
	watch->readable = event_new(base, watch->inotify, EV_READ | EV_PERSIST, on_readable, watch);
	event_add(watch->readable, NULL);
	return watch;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	if (watch->readable)
		event_free(watch->readable);
	if (watch->settle)
		event_free(watch->settle);
	if (watch->inotify >= 0)
		close(watch->inotify);
	view_free(watch->view);
	free(watch->trouble);
	free(watch->place);
	free(watch->dir);
	free(watch->parent);
	free(watch->base_name);
	free(watch);
}

bool watch_settling(struct watch *watch)
{
	/* Events count that have come since the loop last read them. */
	if (watch->inotify >= 0)
		read_events(watch);
	return is_settling(watch);
}

bool watch_has_settled(const struct watch *watch)
{
	return watch->unsettled_since_ms >= 0 && !is_settling(watch);
}

void watch_begin(struct watch *watch)
{
	if (watch->inotify >= 0)
		read_events(watch);
	if (watch->settle)
		event_del(watch->settle);
	watch->unsettled_since_ms = -1;
}

struct watch_view *watch_lend(struct watch *watch)
{
	struct watch_view *view = watch->view;

	watch->view = NULL;
	return view;
}

void watch_take_back(struct watch *watch, struct watch_view *view)
{
	/* Events of watches that the thread has set: read them before their numbers are known here, so that
	 * all of them count. */
	if (watch->inotify >= 0)
		read_events(watch);
	watch->view = view;
	watch->dir_wd = view->dir_wd;
	watch->parent_wd = view->parent_wd;
	if (view->inotify < 0)
		return;
	free(watch->trouble);
	watch->trouble = xstrdup(view->trouble);
}

const char *watch_trouble(const struct watch *watch)
{
	return watch->trouble;
}

const char *watch_place(const struct watch *watch)
{
	return watch->place;
}

void watch_expect(struct watch *watch, const char *place)
{
	free(watch->place);
	watch->place = xstrdup(place);
}

/* A directory in which no file can be read may not be the one that is meant. */
static bool holds_a_spec(const struct watch_listing *listing)
{
	for (size_t i = 0; i < listing->n; i++)
		if (!listing->files[i].error)
			return true;
	return false;
}

bool watch_place_is(const char *before, const char *now)
{
	return *before && strcmp(before, now) == 0;
}

static int check_place(const struct watch *watch, const struct watch_listing *listing, struct err *err)
{
	const char *none = listing->n > 0 ? "holds no spec that can be read" : "holds no spec";

	if (holds_a_spec(listing) || !watch->place || watch_place_is(watch->place, listing->place) ||
	    listing->said_empty)
		return 0;
	return err_set(err, ERR_PERMANENT,
		       "spec directory %s %s%s%s: not mounted? Nothing is removed. Put the specs back; or, "
		       "if all are meant to go: touch %s/" WATCH_EMPTY_MARKER,
		       watch->dir, *listing->place ? "is another one than before and " : "", none,
		       *listing->place
			       ? ""
			       : ", and its file system does not tell whether it is the one that held them",
		       watch->dir);
}

void watch_accept(struct watch *watch, const struct watch_listing *listing)
{
	if (listing->n > 0 && !holds_a_spec(listing))
		return;
	FREE(watch->place);
	if (listing->n > 0)
		watch->place = xstrdup(listing->place);
}

int watch_end(const struct watch *watch, const struct watch_listing *listing, struct err *err)
{
	if (listing->err.kind != ERR_NONE) {
		*err = listing->err;
		return -1;
	}
	return check_place(watch, listing, err);
}
