#include "daemon/io/watch/watch.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <libgen.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"

/* IN_MODIFY as well as IN_CLOSE_WRITE: a file that is still being written keeps the settling going. */
#define DIR_EVENTS                                                                                      \
	(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define PARENT_EVENTS (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | IN_ONLYDIR)
/* The kernel adds these by itself. IN_IGNORED and IN_UNMOUNT end a watch. */
#define LOST_EVENTS (IN_Q_OVERFLOW | IN_UNMOUNT | IN_IGNORED)

struct followed {
	char *path;
	struct file_stamp stamp;
};

struct watch {
	char *dir, *parent, *base_name;
	void (*changed)(void *arg);
	void *arg;
	int inotify; /* -1: no watching */
	int dir_wd, parent_wd;
	struct event *readable;
	struct event *settle;
	int64_t settle_limit_ms;   /* when the settling that is under way ends at the latest */
	struct followed *followed; /* all that was read */
	size_t followed_n;
	char *trouble;
	char *place; /* of the directory that last held specs; NULL: there are none that it could take along
		      */
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_settling(const struct watch *watch)
{
	return watch->settle && event_pending(watch->settle, EV_TIMEOUT, NULL);
}

static void settle_on(struct watch *watch)
{
	int64_t now = now_ms(), delay = WATCH_SETTLE_MS;
	struct timeval tv;

	if (now + delay > watch->settle_limit_ms)
		delay = watch->settle_limit_ms > now ? watch->settle_limit_ms - now : 0;
	tv.tv_sec = delay / 1000;
	tv.tv_usec = delay % 1000 * 1000;
	event_add(watch->settle, &tv);
}

static void settle(struct watch *watch)
{
	if (!is_settling(watch))
		watch->settle_limit_ms = now_ms() + WATCH_SETTLE_MAX_MS;
	settle_on(watch);
}

static bool is_young(const char *path)
{
	struct file_stamp stamp = file_stamp(path);
	int64_t age_ms = file_stamp_age_ms(&stamp);

	return age_ms >= 0 && age_ms < WATCH_SETTLE_MS;
}

/* What lies elsewhere is written without a word to us; and so was all, until we watched it. */
static bool is_being_written(const struct watch *watch)
{
	if (watch->followed_n == 0)
		return watch_is_busy(watch->dir);
	for (size_t i = 0; i < watch->followed_n; i++)
		if (is_young(watch->followed[i].path))
			return true;
	return false;
}

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct watch *watch = arg;

	(void)fd;
	(void)what;
	if (now_ms() < watch->settle_limit_ms && is_being_written(watch))
		settle_on(watch);
	else
		watch->changed(watch->arg);
}

static bool has_changed(const struct watch *watch)
{
	if (watch->followed_n == 0)
		return is_being_written(watch);
	for (size_t i = 0; i < watch->followed_n; i++) {
		struct file_stamp stamp = file_stamp(watch->followed[i].path);

		if (!file_stamp_equal(&stamp, &watch->followed[i].stamp))
			return true;
	}
	return false;
}

void watch_follow(struct watch *watch, const char *path, const struct file_stamp *stamp)
{
	/* Room doubles: it is full when the number is a power of two. */
	if ((watch->followed_n & (watch->followed_n - 1)) == 0)
		watch->followed =
			xreallocarray(watch->followed, watch->followed_n ? 2 * watch->followed_n : 1,
				      sizeof(*watch->followed));
	watch->followed[watch->followed_n++] = (struct followed){.path = xstrdup(path), .stamp = *stamp};
}

static void follow_nothing(struct watch *watch)
{
	for (size_t i = 0; i < watch->followed_n; i++)
		free(watch->followed[i].path);
	FREE(watch->followed);
	watch->followed_n = 0;
}

static void set_trouble(struct watch *watch, const char *what)
{
	const char *hint = errno == ENOSPC   ? " (fs.inotify.max_user_watches)"
			   : errno == EMFILE ? " (fs.inotify.max_user_instances)"
					     : "";

	FREE(watch->trouble);
	watch->trouble = xasprintf("%s: %s%s; changes are seen at the next regular look only", what,
				   strerror(errno), hint);
}

/*
 * Watches path as it is now. The same directory gives the same descriptor
 * again; another one under the old name gives a new one, and the old is dropped.
 */
static void rewatch(struct watch *watch, int *wd, const char *path, uint32_t events)
{
	int now = inotify_add_watch(watch->inotify, path, events);

	if (now < 0 && errno != ENOENT && errno != ENOTDIR && errno != EACCES)
		set_trouble(watch, path);
	if (*wd >= 0 && *wd != now)
		inotify_rm_watch(watch->inotify, *wd);
	*wd = now;
}

/* Whatever is missing of the two watches, or has come to stand for something else. */
static void rewatch_all(struct watch *watch)
{
	if (watch->inotify < 0)
		return;
	FREE(watch->trouble);
	rewatch(watch, &watch->parent_wd, watch->parent, PARENT_EVENTS);
	rewatch(watch, &watch->dir_wd, watch->dir, DIR_EVENTS);
}

/* Does this event matter? Most of what happens in the parent does not. */
static bool matters(const struct watch *watch, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	if (event->wd == watch->dir_wd)
		return true;
	if (event->wd != watch->parent_wd)
		return false; /* a watch that we have dropped */
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
			if (!matters(watch, event))
				continue;
			settle(watch);
			/* The kernel has dropped this watch; its number may come again for another. */
			if (event->mask & IN_IGNORED)
				*(event->wd == watch->dir_wd ? &watch->dir_wd : &watch->parent_wd) = -1;
			/* At once, so that what happens in a new directory is not missed. */
			if (event->wd != watch->dir_wd || (event->mask & (LOST_EVENTS | IN_MOVE_SELF)))
				rewatch_all(watch);
		}
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_events(arg);
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
	watch->inotify = base ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1;
	if (!base)
		return watch;
	watch->settle = evtimer_new(base, on_settled, watch);
	if (watch->inotify < 0) {
		set_trouble(watch, "inotify");
		return watch;
	}
	watch->readable = event_new(base, watch->inotify, EV_READ | EV_PERSIST, on_readable, watch);
	event_add(watch->readable, NULL);
	rewatch_all(watch);
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
	follow_nothing(watch);
	free(watch->trouble);
	free(watch->place);
	free(watch->dir);
	free(watch->parent);
	free(watch->base_name);
	free(watch);
}

bool watch_is_busy(const char *path)
{
	bool busy = is_young(path);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && !busy && (entry = readdir(dir)) != NULL) {
		char *file = xasprintf("%s/%s", path, entry->d_name);

		/* No spec is called so, but what editors keep for themselves is. */
		busy = entry->d_name[0] != '.' && is_young(file);
		free(file);
	}
	if (dir)
		closedir(dir);
	return busy;
}

bool watch_settling(struct watch *watch)
{
	/* What has happened since the loop last looked counts as well. */
	if (watch->inotify >= 0)
		read_events(watch);
	if (watch->settle && !is_settling(watch) && has_changed(watch))
		settle(watch);
	return is_settling(watch);
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

static char *place_of(const struct watch_listing *listing)
{
	return xasprintf("%ju:%ju", (uintmax_t)listing->dev, (uintmax_t)listing->ino);
}

static int check_place(const struct watch *watch, const struct watch_listing *listing, struct err *err)
{
	char *place = place_of(listing);
	bool same = watch->place && strcmp(watch->place, place) == 0;

	free(place);
	if (listing->n > 0 || !watch->place || same || listing->said_empty)
		return 0;
	return err_set(err, ERR_PERMANENT,
		       "spec directory %s is another one than before and holds no spec: not mounted? "
		       "Nothing is removed. Put the specs back; or, if all are meant to go: touch "
		       "%s/" WATCH_EMPTY_MARKER,
		       watch->dir, watch->dir);
}

void watch_accept(struct watch *watch, const struct watch_listing *listing)
{
	size_t unread = 0;

	while (unread < listing->n && listing->files[unread].error)
		unread++;
	/* Names of which there are only errors do not make a directory the one that is meant. */
	if (listing->n > 0 && unread == listing->n)
		return;
	FREE(watch->place);
	if (listing->n > 0)
		watch->place = place_of(listing);
}

void watch_begin(struct watch *watch)
{
	rewatch_all(watch);
}

int watch_end(struct watch *watch, const struct watch_listing *listing, struct err *err)
{
	follow_nothing(watch);
	watch_follow(watch, watch->dir, &listing->stamp);
	if (listing->err.kind != ERR_NONE) {
		*err = listing->err;
		return -1;
	}
	for (size_t i = 0; i < listing->n; i++)
		watch_follow(watch, listing->files[i].path, &listing->files[i].stamp);
	return check_place(watch, listing, err);
}
