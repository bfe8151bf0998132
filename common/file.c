#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/mem.h"

/* A change within so short a time of another one need not show in the file's times. */
#define STAMP_GRAIN_MS 50

static int check_kind(int fd, const char *path, size_t max, size_t *size, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, ERR_SPEC, "%s cannot be read: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_SPEC, "%s is not a regular file", path);
	if ((size_t)st.st_size > max)
		return err_set(err, ERR_SPEC, "%s is larger than %zu KiB", path, max >> 10);
	*size = (size_t)st.st_size;
	return 0;
}

static int read_all(int fd, const char *path, size_t size, char **text, struct err *err)
{
	char *data = xcalloc(1, size + 1);
	size_t len = 0;
	ssize_t n = 1;

	while (len < size && n > 0) {
		n = read(fd, data + len, size - len);
		if (n > 0)
			len += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	if (n < 0) {
		free(data);
		return err_set(err, ERR_SPEC, "%s cannot be read: %s", path, strerror(errno));
	}
	*text = data;
	return 0;
}

static int check_owner(const struct stat *st, const char *path, struct err *err)
{
	if (st->st_uid == geteuid() || st->st_uid == 0)
		return 0;
	return err_set(err, ERR_PERMANENT,
		       "%s belongs to user id %ld, and apilbd runs as user id %ld: give it to that one, or "
		       "run apilbd as the other",
		       path, (long)st->st_uid, (long)geteuid());
}

static int check_own(const struct stat *st, const char *path, struct err *err)
{
	if (S_ISLNK(st->st_mode))
		return err_set(err, ERR_PERMANENT,
			       "%s is a symbolic link: put the file itself there, or nothing", path);
	if (!S_ISREG(st->st_mode))
		return err_set(err, ERR_PERMANENT, "%s is not a regular file: move it away", path);
	if (st->st_nlink > 1)
		return err_set(
			err, ERR_PERMANENT,
			"%s has a second name (a hard link), so what is written there shows elsewhere: "
			"put a copy in its place",
			path);
	return check_owner(st, path, err);
}

int file_open_own(const char *path, int flags, struct err *err)
{
	int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0600);
	int rc, error = errno;
	struct stat st;

	if (fd >= 0) {
		rc = fstat(fd, &st) < 0 ? err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno))
					: check_own(&st, path, err);
		if (rc == 0)
			return fd;
		close(fd);
		errno = EINVAL; /* our own check has refused the file, no system call */
		return -1;
	}
	err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(error));
	/* A link, a socket, a directory: say which. */
	if (error == ELOOP || error == ENXIO || error == EISDIR)
		file_check_own(path, err);
	errno = error;
	return -1;
}

int file_check_own(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
	return check_own(&st, path, err);
}

int file_check_own_dir(const char *path, struct err *err)
{
	struct stat st, link;

	if (stat(path, &st) < 0 || lstat(path, &link) < 0)
		return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_PERMANENT, "%s: it or a part of its path is not a directory", path);
	if (check_owner(&st, path, err) < 0 || check_owner(&link, path, err) < 0)
		return -1;
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(
			err, ERR_PERMANENT,
			"%s can be written by others (mode %04o): chmod 0700 it, and see what is in it", path,
			st.st_mode & 07777u);
	return 0;
}

int file_read(const char *path, size_t max, char **text, struct err *err)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	size_t size = 0;
	int rc;

	if (fd < 0)
		return err_set(err, ERR_SPEC, "%s cannot be read: %s", path, strerror(errno));
	rc = check_kind(fd, path, max, &size, err);
	if (rc == 0)
		rc = read_all(fd, path, size, text, err);
	close(fd);
	return rc;
}

struct file_stamp file_stamp_of(const struct stat *st)
{
	return (struct file_stamp){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.modified = st->st_mtim,
		.changed = st->st_ctim,
	};
}

struct file_stamp file_stamp(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? file_stamp_of(&st) : (struct file_stamp){0};
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed);
}

int64_t file_stamp_age_ms(const struct file_stamp *stamp)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - stamp->changed.tv_sec) * 1000 + (now.tv_nsec - stamp->changed.tv_nsec) / 1000000;
}

void file_stamp_keep(struct file_stamp *stamp)
{
	int64_t age_ms = file_stamp_age_ms(stamp);

	/* No file has this size. */
	if (age_ms >= 0 && age_ms < STAMP_GRAIN_MS)
		stamp->size = -1;
}

void file_hold_standard(void)
{
	/* open(2) takes the lowest number that is free. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			return;
}
