#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

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
