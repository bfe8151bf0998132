/* The thread's half of the watch: everything that it asks of the file system, except reading the specs. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "common/mem.h"
#include "daemon/io/watch/watch.h"

/* IN_MODIFY as well as IN_CLOSE_WRITE: while a file is being written the directory does not settle. */
#define DIR_EVENTS                                                                                      \
	(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define PARENT_EVENTS (IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB | IN_ONLYDIR)

static void set_trouble(struct watch_view *view, const char *what)
{
	free(view->trouble);
	view->trouble = xasprintf("%s: %s%s; changes are seen at the next regular look only", what,
				  strerror(errno), errno == ENOSPC ? " (fs.inotify.max_user_watches)" : "");
}

/*
 * Watches the directory that is at path now. For the same directory as before,
 * inotify returns the same watch descriptor; for another directory it returns a
 * new one, and the former watch is removed.
 */
static void rewatch(struct watch_view *view, int *wd, const char *path, uint32_t events)
{
	int now = inotify_add_watch(view->inotify, path, events);

	if (now < 0 && errno != ENOENT && errno != ENOTDIR && errno != EACCES)
		set_trouble(view, path);
	if (*wd >= 0 && *wd != now)
		inotify_rm_watch(view->inotify, *wd);
	*wd = now;
}

static void rewatch_all(struct watch_view *view)
{
	if (view->inotify < 0)
		return;
	FREE(view->trouble);
	rewatch(view, &view->parent_wd, view->parent, PARENT_EVENTS);
	rewatch(view, &view->dir_wd, view->dir, DIR_EVENTS);
}

static bool is_young(struct watch_view *view, const char *path)
{
	struct file_stamp stamp = file_stamp(path);
	int64_t age_ms = file_stamp_age_ms(&stamp);

	atomic_fetch_add(&view->answered_n, 1);
	return age_ms >= 0 && age_ms < WATCH_SETTLE_MS;
}

/* True when the directory, or a file in it, has changed within WATCH_SETTLE_MS: without relying on events. */
static bool is_directory_young(struct watch_view *view)
{
	const char *path = view->dir;
	bool young = is_young(view, path);
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && !young && (entry = readdir(dir)) != NULL) {
		char *file = xasprintf("%s/%s", path, entry->d_name);

		/* Names with a dot are not specs, but editors' own files. */
		young = entry->d_name[0] != '.' && is_young(view, file);
		free(file);
	}
	if (dir)
		closedir(dir);
	return young;
}

/* The same, for followed files elsewhere as well, of which inotify does not tell. */
static bool is_anything_young(struct watch_view *view)
{
	for (size_t i = 0; i < view->followed_n; i++)
		if (is_young(view, view->followed[i].path))
			return true;
	return is_directory_young(view);
}

bool watch_has_changed(struct watch_view *view)
{
	for (size_t i = 0; i < view->followed_n; i++) {
		struct file_stamp stamp = file_stamp(view->followed[i].path);

		atomic_fetch_add(&view->answered_n, 1);
		if (!file_stamp_equal(&stamp, &view->followed[i].stamp))
			return true;
	}
	return false;
}

void watch_ask(void *arg, const atomic_bool *stop)
{
	struct watch_view *view = arg;

	(void)stop;
	rewatch_all(view);
	view->changed = watch_has_changed(view);
	view->young = is_anything_young(view);
}

void watch_follow(struct watch_view *view, const char *path, const struct file_stamp *stamp)
{
	view->followed = xgrow(view->followed, view->followed_n, sizeof(*view->followed));
	view->followed[view->followed_n++] = (struct watch_followed){.path = xstrdup(path), .stamp = *stamp};
}

void watch_follow_listing(struct watch_view *view, const struct watch_listing *listing)
{
	for (size_t i = 0; i < view->followed_n; i++)
		free(view->followed[i].path);
	FREE(view->followed);
	view->followed_n = 0;
	watch_follow(view, view->dir, &listing->stamp);
	for (size_t i = 0; i < listing->n; i++)
		watch_follow(view, listing->files[i].path, &listing->files[i].stamp);
}
