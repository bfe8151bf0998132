#include "common/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

static int check_kind(const struct stat *st, const char *path, struct err *err)
{
	if (S_ISREG(st->st_mode))
		return 0;
	return err_set(err, ERR_PERMANENT, "%s: %s", path,
		       S_ISDIR(st->st_mode) ? strerror(EISDIR) : "not a file");
}

static int check_access(const struct stat *st, const char *path, enum secret_kind kind, struct err *err)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(err, ERR_PERMANENT,
			       "%s: belongs to user %u, not to root or to user %u, who apilbd runs as", path,
			       (unsigned)st->st_uid, (unsigned)geteuid());
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, ERR_PERMANENT, "%s: others may write to it: chmod go-w", path);
	if (kind == SECRET_PASSWORD && st->st_mode & S_IROTH)
		return err_set(err, ERR_PERMANENT,
			       "%s: everybody may read it, so it is not taken for a password: chmod o-rwx",
			       path);
	return 0;
}

/* Reads one byte more than is allowed, to find out whether the file is too large. */
static ssize_t read_all(int fd, char *data)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n > 0 && len <= SECRET_FILE_MAX_BYTES) {
		n = read(fd, data + len, SECRET_FILE_MAX_BYTES + 1 - len);
		if (n > 0)
			len += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	return n < 0 ? -1 : (ssize_t)len;
}

/* Cuts off the line end; anything behind it is an error. */
static int check_line(char *data, size_t len, const char *path, struct err *err)
{
	if (len > 0 && data[len - 1] == '\n')
		data[--len] = '\0';
	if (len > 0 && data[len - 1] == '\r')
		data[--len] = '\0';
	if (len == 0)
		return err_set(err, ERR_PERMANENT, "%s: is empty", path);
	if (strcspn(data, "\r\n") < len)
		return err_set(err, ERR_PERMANENT,
			       "%s: has more than one line: it must hold the password, and nothing else",
			       path);
	return 0;
}

static int take(int fd, const char *path, enum secret_kind kind, char *data, struct err *err)
{
	ssize_t len = read_all(fd, data);

	if (len < 0)
		return err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
	if (len > SECRET_FILE_MAX_BYTES)
		return err_set(err, ERR_PERMANENT, "%s: larger than %d bytes", path, SECRET_FILE_MAX_BYTES);
	if (strlen(data) < (size_t)len)
		return err_set(err, ERR_PERMANENT, "%s: is not a text: it has a NUL in it", path);
	return kind == SECRET_PASSWORD ? check_line(data, (size_t)len, path, err) : 0;
}

int secret_file_read(const char *path, enum secret_kind kind, bool careful, char **text, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *data = xcalloc(1, SECRET_FILE_MAX_BYTES + 2);
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		rc = err_set(err, ERR_PERMANENT, "%s: %s", path, strerror(errno));
	else if (check_kind(&st, path, err) < 0 || (careful && check_access(&st, path, kind, err) < 0))
		rc = -1;
	else
		rc = take(fd, path, kind, data, err);
	if (rc == 0)
		*text = xstrdup(data);
	if (fd >= 0)
		close(fd);
	explicit_bzero(data, SECRET_FILE_MAX_BYTES + 2);
	free(data);
	return rc;
}
