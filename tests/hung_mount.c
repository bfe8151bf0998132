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
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

static void reach(int at, const char *name)
{
	const char *dir = getenv("APILB_HUNG"), *file = getenv("APILB_HUNG_WHILE");
	char link[32], path[PATH_MAX], whole[2 * PATH_MAX];
	ssize_t len = 0;

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

/* The function of this name behind ours. */
#define NEXT(name)                     \
	static __typeof__(&name) next; \
	if (!next)                     \
	next = (__typeof__(next))dlsym(RTLD_NEXT, #name)

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	NEXT(open);
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	reach(AT_FDCWD, path);
	return next(path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
	NEXT(openat);
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	reach(at, path);
	return next(at, path, flags, mode);
}

/* What open(2) is called with flags that the compiler does not know. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
	NEXT(__open_2);
	reach(AT_FDCWD, path);
	return next(path, flags);
}

DIR *opendir(const char *path)
{
	NEXT(opendir);
	reach(AT_FDCWD, path);
	return next(path);
}

int stat(const char *path, struct stat *st)
{
	NEXT(stat);
	reach(AT_FDCWD, path);
	return next(path, st);
}

int lstat(const char *path, struct stat *st)
{
	NEXT(lstat);
	reach(AT_FDCWD, path);
	return next(path, st);
}

int fstatat(int at, const char *path, struct stat *st, int flags)
{
	NEXT(fstatat);
	reach(at, path);
	return next(at, path, st, flags);
}

int access(const char *path, int mode)
{
	NEXT(access);
	reach(AT_FDCWD, path);
	return next(path, mode);
}

int faccessat(int at, const char *path, int mode, int flags)
{
	NEXT(faccessat);
	reach(at, path);
	return next(at, path, mode, flags);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	NEXT(inotify_add_watch);
	reach(AT_FDCWD, path);
	return next(fd, path, mask);
}
