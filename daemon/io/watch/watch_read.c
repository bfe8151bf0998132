/* Reads the spec directory. */
#include "daemon/io/watch/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/core/spec/spec.h"

/* How often a file is read that changes while it is read. */
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

/* Words an error of stat(2) or open(2). */
static enum outcome fail_errno(struct watch_file *file, int dir, const char *name)
{
	char target[256];
	ssize_t len;

	if (errno == EACCES)
		return fail(file,
			    xasprintf("cannot be read: Permission denied: apilbd runs as user id %u and "
				      "group id %u, which must be able to (chgrp, chmod g+r)",
				      (unsigned)geteuid(), (unsigned)getegid()));
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
	/* Reads one byte more than the file should have, to see whether it grows. */
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
	/* Checked again, of the file that was really opened. */
	if (!S_ISREG(before.st_mode))
		return fail(file, xasprintf("is %s, not a regular file", kind_name(before.st_mode)));
	if (before.st_size > (off_t)SPEC_MAX_BYTES)
		return fail(file, xasprintf("is larger than %u MiB", SPEC_MAX_BYTES >> 20));
	outcome = read_all(fd, file, before.st_size);
	if (outcome == READ_DONE && (fstat(fd, &after) < 0 || !same_content(&before, &after)))
		return READ_CHANGED;
	return outcome;
}

void watch_drop_text(struct watch_file *file)
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

	/* Checked before opening: to open a FIFO or a device would already be noticed at its other end. */
	if (fstatat(dir, name, &st, 0) < 0)
		return fail_errno(file, dir, name);
	file->stamp = file_stamp_of(&st);
	file_stamp_keep(&file->stamp);
	if (!S_ISREG(st.st_mode))
		return fail(file, xasprintf("is %s, not a regular file", kind_name(st.st_mode)));
	fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return fail_errno(file, dir, name);
	outcome = read_open(fd, file);
	close(fd);
	if (outcome != READ_DONE)
		watch_drop_text(file);
	return outcome;
}

static void file_clear(struct watch_file *file)
{
	watch_drop_text(file);
	free(file->error);
	free(file->name);
	free(file->path);
}

/* A directory that is being read. */
struct reading {
	const char *path;
	DIR *dir;
	struct watch_listing *listing;
	char **names;
	size_t names_n;
};

static void add_file(const struct reading *reading, const char *name)
{
	struct watch_listing *listing = reading->listing;
	struct watch_file file = {.name = spec_name_from_file(name)};
	enum outcome outcome = READ_CHANGED;

	if (!file.name)
		return;
	file.path = xasprintf("%s/%s", reading->path, name);
	for (int i = 0; i < READ_ATTEMPTS && outcome == READ_CHANGED; i++)
		outcome = read_file(dirfd(reading->dir), name, &file);
	if (outcome == READ_CHANGED)
		file.error = xstrdup("is being written: it changes while it is read");
	/* The file was in the list. Some programs, such as git, remove a file before they write the new one:
	 * so it does not count as removed yet. If it stays away, an event makes us look again. */
	if (outcome == READ_VANISHED)
		file.error = xstrdup("is being replaced or removed: it was there a moment ago");
	listing->files = xgrow(listing->files, listing->n, sizeof(file));
	listing->files[listing->n++] = file;
}

static void add_misnamed(const struct reading *reading, const char *name)
{
	struct watch_listing *listing = reading->listing;
	const char *mistake = spec_name_mistake(name);

	if (!mistake)
		return;
	listing->misnamed =
		xreallocarray(listing->misnamed, listing->misnamed_n + 1, sizeof(*listing->misnamed));
	listing->misnamed[listing->misnamed_n++] =
		xasprintf("%s/%s is not read: %s", reading->path, name, mistake);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void note_name(struct reading *reading, const char *name)
{
	reading->names = xgrow(reading->names, reading->names_n, sizeof(*reading->names));
	reading->names[reading->names_n++] = xstrdup(name);
}

static int list_names(struct reading *reading, DIR *dir)
{
	struct dirent *entry;

	/* readdir(3) tells an error from the end by errno only. */
	while (errno = 0, (entry = readdir(dir)))
		note_name(reading, entry->d_name);
	return errno ? -1 : 0;
}

/* Lists the same directory once more. It is opened again, since rewinddir(3) repeats the first list on some
 * versions of btrfs. */
static int list_again(struct reading *reading)
{
	int fd = openat(dirfd(reading->dir), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int rc, error;

	if (!dir) {
		error = errno;
		if (fd >= 0)
			close(fd);
		errno = error;
		return -1;
	}
	rc = list_names(reading, dir);
	error = errno;
	closedir(dir);
	errno = error;
	return rc;
}

/*
 * A file that is replaced by rename(2) while its directory is listed may be
 * missing from the list: btrfs lists the entries from when the listing began, and
 * the new entry was not among them. A missing file would count as removed. So the
 * directory is listed twice, all names of both lists are read, and each known file
 * is also asked for by its name. Only ENOENT means that it is missing: any other
 * error becomes the error of the file.
 */
static int list_all(struct reading *reading, const char *const *known)
{
	struct stat st;

	if (list_names(reading, reading->dir) < 0 || list_again(reading) < 0)
		return -1;
	for (; known && *known; known++)
		if (fstatat(dirfd(reading->dir), *known, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			note_name(reading, *known);
	if (reading->names_n)
		qsort(reading->names, reading->names_n, sizeof(*reading->names), by_text);
	return 0;
}

/*
 * The handle that the kernel makes for NFS (name_to_handle_at(2)), if it holds a
 * generation, or is what an NFS server gave out. On other file systems the handle
 * may be no more than the inode's number: on FUSE that of every root is the same.
 */
static bool handle_is_telling(int dir)
{
	static const long kinds[] = {EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,
				     TMPFS_MAGIC,      F2FS_SUPER_MAGIC, NFS_SUPER_MAGIC};
	struct statfs fs;

	if (fstatfs(dir, &fs) < 0)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((long)fs.f_type == kinds[i])
			return true;
	return false;
}

static void handle_of(int dir, char hex[static 2 * MAX_HANDLE_SZ + 1])
{
	union {
		struct file_handle head;
		unsigned char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} handle = {.head = {.handle_bytes = MAX_HANDLE_SZ}};
	int mount_id;

	*hex = '\0';
	if (!handle_is_telling(dir) ||
	    name_to_handle_at(dir, "", &handle.head, &mount_id, AT_EMPTY_PATH) != 0)
		return;
	for (unsigned i = 0; i < handle.head.handle_bytes; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", handle.bytes[sizeof(handle.head) + i]);
}

/*
 * Which directory it is. The numbers of device and inode are given out again,
 * often at once (ext4: mkdir after rmdir; tmpfs, FUSE: any mount after another).
 * What differs then is the generation in the handle, and the time of birth. Where
 * there is neither, nobody can tell: "".
 */
static char *place_of(int dir, const struct stat *st)
{
	char handle[2 * MAX_HANDLE_SZ + 1];
	struct statx birth;

	handle_of(dir, handle);
	if (statx(dir, "", AT_EMPTY_PATH, STATX_BTIME, &birth) < 0 || !(birth.stx_mask & STATX_BTIME))
		birth.stx_btime = (struct statx_timestamp){0};
	if (!*handle && birth.stx_btime.tv_sec == 0 && birth.stx_btime.tv_nsec == 0)
		return xstrdup("");
	return xasprintf("%ju:%ju %s %lld.%09u", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino, handle,
			 (long long)birth.stx_btime.tv_sec, birth.stx_btime.tv_nsec);
}

/* Notes which directory was read, and checks that it has not been removed. */
static int identify(const struct reading *reading)
{
	struct watch_listing *listing = reading->listing;
	struct stat st;

	if (fstat(dirfd(reading->dir), &st) < 0)
		return -1;
	if (st.st_nlink == 0) {
		/* The directory was removed meanwhile: it is empty because it is gone. */
		errno = ENOENT;
		return -1;
	}
	listing->place = place_of(dirfd(reading->dir), &st);
	listing->said_empty =
		faccessat(dirfd(reading->dir), WATCH_EMPTY_MARKER, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	return 0;
}

static void read_files(const struct reading *reading, watch_each_cb *each, void *arg)
{
	struct watch_listing *listing = reading->listing;
	bool go_on = true;

	for (size_t i = 0; i < reading->names_n && go_on; i++) {
		size_t before = listing->n;

		if (i > 0 && strcmp(reading->names[i], reading->names[i - 1]) == 0)
			continue;
		add_file(reading, reading->names[i]);
		add_misnamed(reading, reading->names[i]);
		if (each && listing->n > before)
			go_on = each(arg, &listing->files[before]);
	}
}

static int read_dir(struct reading *reading, const char *const *known, watch_each_cb *each, void *arg)
{
	int rc;

	reading->dir = opendir(reading->path);
	if (!reading->dir)
		return -1;
	rc = list_all(reading, known);
	if (rc == 0)
		read_files(reading, each, arg);
	if (rc == 0)
		rc = identify(reading);
	return rc;
}

void watch_read(const char *path, const char *const *known, struct watch_listing *listing,
		watch_each_cb *each, void *arg)
{
	struct reading reading = {.path = path, .listing = listing};
	struct file_stamp stamp = file_stamp(path);

	memset(listing, 0, sizeof(*listing));
	file_stamp_keep(&stamp);
	if (read_dir(&reading, known, each, arg) < 0) {
		int error = errno;

		watch_listing_clear(listing);
		err_set(&listing->err, ERR_PERMANENT, "spec directory %s cannot be read: %s", path,
			strerror(error));
	}
	listing->stamp = stamp;
	if (reading.dir)
		closedir(reading.dir);
	for (size_t i = 0; i < reading.names_n; i++)
		free(reading.names[i]);
	free(reading.names);
}

void watch_listing_clear(struct watch_listing *listing)
{
	for (size_t i = 0; i < listing->n; i++)
		file_clear(&listing->files[i]);
	free(listing->files);
	for (size_t i = 0; i < listing->misnamed_n; i++)
		free(listing->misnamed[i]);
	free(listing->misnamed);
	free(listing->place);
	memset(listing, 0, sizeof(*listing));
}
