#include "daemon/io/watch_read.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/core/spec.h"

/* A file that changes while it is read is read again, so often. */
#define READ_ATTEMPTS 3

enum outcome { READ_DONE, READ_FAILED, READ_CHANGED, READ_VANISHED };

static const char *kind_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "a directory";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
	case S_IFBLK:
		return "a device";
	default:
		return "something else";
	}
}

static enum outcome fail(struct watch_file *file, char *message)
{
	file->error = message;
	return READ_FAILED;
}

/* The file cannot be looked at. */
static enum outcome fail_errno(struct watch_file *file, int dir, const char *name)
{
	char target[256];
	ssize_t len;

	if (errno != ENOENT)
		return fail(file, xasprintf("cannot be read: %s", strerror(errno)));
	len = readlinkat(dir, name, target, sizeof(target) - 1);
	if (len < 0)
		return READ_VANISHED;
	target[len] = '\0';
	return fail(file, xasprintf("is a dangling link: %s does not exist", target));
}

static bool same_content(const struct stat *a, const struct stat *b)
{
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum outcome read_all(int fd, struct watch_file *file, size_t size)
{
	/* One byte more than there should be, to see whether the file grows. */
	char *text = xcalloc(1, size + 1);
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len < size + 1) {
		n = read(fd, text + len, size + 1 - len);
		if (n > 0)
			len += n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	file->text = text;
	file->len = len;
	if (n < 0)
		return fail(file, xasprintf("cannot be read: %s", strerror(errno)));
	return len == size ? READ_DONE : READ_CHANGED;
}

static enum outcome read_open(int fd, struct watch_file *file)
{
	struct stat before, after;
	enum outcome outcome;

	if (fstat(fd, &before) < 0)
		return fail(file, xasprintf("cannot be read: %s", strerror(errno)));
	/* Again, on what was really opened. */
	if (!S_ISREG(before.st_mode))
		return fail(file, xasprintf("is %s, not a regular file", kind_name(before.st_mode)));
	if (before.st_size > (off_t)SPEC_MAX_BYTES)
		return fail(file, xasprintf("is larger than %u MiB", SPEC_MAX_BYTES >> 20));
	outcome = read_all(fd, file, before.st_size);
	if (outcome == READ_DONE && (fstat(fd, &after) < 0 || !same_content(&before, &after)))
		return READ_CHANGED;
	return outcome;
}

static void drop_text(struct watch_file *file)
{
	if (file->text)
		explicit_bzero(file->text, file->len);
	FREE(file->text);
	file->len = 0;
}

static enum outcome read_file(int dir, const char *name, struct watch_file *file)
{
	enum outcome outcome;
	struct stat st;
	int fd;

	/* To open a FIFO or a device would already be felt at its other end. */
	if (fstatat(dir, name, &st, 0) < 0)
		return fail_errno(file, dir, name);
	file->stamp = file_stamp_of(&st);
	if (!S_ISREG(st.st_mode))
		return fail(file, xasprintf("is %s, not a regular file", kind_name(st.st_mode)));
	fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return fail_errno(file, dir, name);
	outcome = read_open(fd, file);
	close(fd);
	if (outcome != READ_DONE)
		drop_text(file);
	return outcome;
}

static void file_clear(struct watch_file *file)
{
	drop_text(file);
	free(file->error);
	free(file->name);
	free(file->path);
}

static void add_file(struct watch_listing *listing, int dir, const char *dir_path, const char *name)
{
	struct watch_file file = {.name = spec_name_from_file(name)};
	enum outcome outcome = READ_CHANGED;

	if (!file.name)
		return;
	file.path = xasprintf("%s/%s", dir_path, name);
	for (int i = 0; i < READ_ATTEMPTS && outcome == READ_CHANGED; i++)
		outcome = read_file(dir, name, &file);
	if (outcome == READ_CHANGED)
		file.error = xstrdup("is being written: it changes while it is read");
	/* It was in the list: whoever replaces it may have removed it first, as git does. If it stays away,
	 * that is told, and looked at again. */
	if (outcome == READ_VANISHED)
		file.error = xstrdup("is being replaced or removed: it was there a moment ago");
	listing->files = xreallocarray(listing->files, listing->n + 1, sizeof(file));
	listing->files[listing->n++] = file;
}

static void add_misnamed(struct watch_listing *listing, const char *dir_path, const char *name)
{
	const char *mistake = spec_name_mistake(name);

	if (!mistake)
		return;
	listing->misnamed =
		xreallocarray(listing->misnamed, listing->misnamed_n + 1, sizeof(*listing->misnamed));
	listing->misnamed[listing->misnamed_n++] =
		xasprintf("%s/%s is not read: %s", dir_path, name, mistake);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct watch_file *)a)->path, ((const struct watch_file *)b)->path);
}

struct names {
	char **v;
	size_t n;
};

static int list_names(DIR *dir, struct names *names)
{
	struct dirent *entry;

	/* errno is how readdir(3) tells an error from the end. */
	while (errno = 0, (entry = readdir(dir))) {
		/* Room doubles: it is full when the number is a power of two. */
		if ((names->n & (names->n - 1)) == 0)
			names->v = xreallocarray(names->v, names->n ? 2 * names->n : 1, sizeof(*names->v));
		names->v[names->n++] = xstrdup(entry->d_name);
	}
	return errno ? -1 : 0;
}

/*
 * A file that is replaced (rename(2)) while its directory is listed may be in
 * the list neither as what it was nor as what it is: btrfs lists what was there
 * when the listing began, and the new one was not. What is missing is taken for
 * removed, so there are two lists, and what is in either of them is looked at.
 */
static int list_twice(DIR *dir, struct names *names)
{
	if (list_names(dir, names) < 0)
		return -1;
	rewinddir(dir);
	return list_names(dir, names);
}

static void names_clear(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->v[i]);
	free(names->v);
}

static void add_all(struct watch_listing *listing, int dir, const char *path, const struct names *names)
{
	if (names->n)
		qsort(names->v, names->n, sizeof(*names->v), by_text);
	for (size_t i = 0; i < names->n; i++) {
		if (i > 0 && strcmp(names->v[i], names->v[i - 1]) == 0)
			continue;
		add_file(listing, dir, path, names->v[i]);
		add_misnamed(listing, path, names->v[i]);
	}
}

static int read_entries(DIR *dir, const char *path, struct watch_listing *listing,
			struct watch_identity *identity)
{
	struct names names = {0};
	struct stat st;
	int rc = list_twice(dir, &names);

	if (rc == 0)
		add_all(listing, dirfd(dir), path, &names);
	names_clear(&names);
	if (rc < 0 || fstat(dirfd(dir), &st) < 0)
		return -1;
	if (st.st_nlink == 0) {
		/* Removed while we looked: it is empty because it is gone. */
		errno = ENOENT;
		return -1;
	}
	identity->known = true;
	identity->dev = st.st_dev;
	identity->ino = st.st_ino;
	identity->said_empty = faccessat(dirfd(dir), WATCH_EMPTY_MARKER, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	return 0;
}

/* qsort takes no NULL, not even for nothing. */
static void sort(struct watch_listing *listing)
{
	if (listing->n)
		qsort(listing->files, listing->n, sizeof(*listing->files), by_path);
	if (listing->misnamed_n)
		qsort(listing->misnamed, listing->misnamed_n, sizeof(*listing->misnamed), by_text);
}

int watch_read_dir(const char *path, struct watch_listing *listing, struct watch_identity *identity,
		   struct err *err)
{
	DIR *dir;
	int rc;

	memset(listing, 0, sizeof(*listing));
	dir = opendir(path);
	rc = dir ? read_entries(dir, path, listing, identity) : -1;
	if (rc < 0) {
		err_set(err, ERR_PERMANENT, "spec directory %s cannot be read: %s", path, strerror(errno));
		watch_listing_clear(listing);
	} else {
		sort(listing);
	}
	if (dir)
		closedir(dir);
	return rc;
}

void watch_listing_clear(struct watch_listing *listing)
{
	for (size_t i = 0; i < listing->n; i++)
		file_clear(&listing->files[i]);
	free(listing->files);
	for (size_t i = 0; i < listing->misnamed_n; i++)
		free(listing->misnamed[i]);
	free(listing->misnamed);
	memset(listing, 0, sizeof(*listing));
}
