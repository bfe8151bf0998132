/*
 * A mount that hangs, for the program that this is preloaded into (LD_PRELOAD):
 * each system call that has to ask its file system about a path waits until the
 * mount answers again, as one to a network mount whose server is gone does.
 * What is open already is not followed.
 *
 * Environment:
 *   APILB_HUNG=DIR          all that is below this directory, and itself
 *   APILB_HUNG_WHILE=FILE   hangs as long as this file is there
 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdbool.h>
#include <sys/syscall.h>

#include "tests/file_calls.h"

#define INTERVAL_US 10000

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* Where a link leads is not asked of the mount on which the link lies. */
static bool leads_below(const char *path, const char *dir)
{
	char target[PATH_MAX];
	ssize_t len = syscall(SYS_readlink, path, target, sizeof(target) - 1);

	if (len < 0)
		return false;
	target[len] = '\0';
	return is_below(target, dir);
}

void file_call(const char *call, int at, const char *name)
{
	const char *dir = getenv("APILB_HUNG"), *file = getenv("APILB_HUNG_WHILE");
	char link[32], path[PATH_MAX], whole[2 * PATH_MAX];
	ssize_t len = 0;

	(void)call;
	if (!dir || !file)
		return;
	if (at != AT_FDCWD && *name != '/') {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", at);
		len = syscall(SYS_readlink, link, path, sizeof(path) - 1);
	}
	path[len > 0 ? len : 0] = '\0';
	snprintf(whole, sizeof(whole), "%s%s%s", path, *path ? "/" : "", name);
	while ((is_below(whole, dir) || leads_below(whole, dir)) && syscall(SYS_access, file, F_OK) == 0)
		usleep(INTERVAL_US);
}
