#include "tests/temp.h"

#include <ftw.h>
#include <sys/mount.h>

char temp_dir[64];

void temp_make(void)
{
	strcpy(temp_dir, "/tmp/apilb-check-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(temp_dir));
}

static int temp_remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void temp_remove(void)
{
	/* What a test mounted, and a failed one left. */
	char *mounted = xasprintf("%s/mnt", temp_dir);

	while (umount2(mounted, MNT_DETACH) == 0)
		;
	free(mounted);
	nftw(temp_dir, temp_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

char *temp_path(const char *name)
{
	return xasprintf("%s/%s", temp_dir, name);
}

void write_file(const char *path, const void *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	close(fd);
}

void write_text(const char *path, const char *text)
{
	write_file(path, text, strlen(text));
}
