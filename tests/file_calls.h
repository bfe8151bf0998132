/*
 * The functions of the C library that ask a file system about a path: each in the
 * place of the library's own, which it calls after file_call(). Definitions, so
 * for one file of a program or preloaded library, which has file_call().
 */
#ifndef APILB_TESTS_FILE_CALLS_H
#define APILB_TESTS_FILE_CALLS_H

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* path is below the directory that is open as `at`, if it is not absolute. */
void file_call(const char *call, int at, const char *path);

#define NEXT(type, name, parameters)   \
	static type(*next) parameters; \
	if (!next)                     \
	*(void **)&next = dlsym(RTLD_NEXT, #name)

#define CALL_AT(dir, type, name, parameters, arguments) \
	type name parameters                            \
	{                                               \
		NEXT(type, name, parameters);           \
		file_call(#name, dir, path);            \
		return next arguments;                  \
	}
#define CALL(...) CALL_AT(AT_FDCWD, __VA_ARGS__)

/* What open(2) is called with flags that the compiler does not know. */
int __open_2(const char *path, int flags);

CALL(int, stat, (const char *path, struct stat *st), (path, st))
CALL(int, lstat, (const char *path, struct stat *st), (path, st))
CALL_AT(at, int, fstatat, (int at, const char *path, struct stat *st, int flags), (at, path, st, flags))
CALL_AT(at, int, statx, (int at, const char *path, int flags, unsigned mask, struct statx *st),
	(at, path, flags, mask, st))
CALL(int, access, (const char *path, int mode), (path, mode))
CALL_AT(at, int, faccessat, (int at, const char *path, int mode, int flags), (at, path, mode, flags))
CALL(ssize_t, readlink, (const char *path, char *to, size_t size), (path, to, size))
CALL_AT(at, ssize_t, readlinkat, (int at, const char *path, char *to, size_t size), (at, path, to, size))
CALL(char *, realpath, (const char *path, char *to), (path, to))
CALL(DIR *, opendir, (const char *path), (path))
CALL(FILE *, fopen, (const char *path, const char *mode), (path, mode))
CALL(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), (fd, path, mask))
CALL_AT(at, int, name_to_handle_at,
	(int at, const char *path, struct file_handle *handle, int *mount, int flags),
	(at, path, handle, mount, flags))
CALL(int, unlink, (const char *path), (path))
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode))
CALL(int, __open_2, (const char *path, int flags), (path, flags))

#undef CALL
#undef CALL_AT

static mode_t file_mode(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	NEXT(int, open, (const char *path, int flags, mode_t mode));
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = file_mode(flags, args);
	va_end(args);
	file_call("open", AT_FDCWD, path);
	return next(path, flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
	NEXT(int, openat, (int at, const char *path, int flags, mode_t mode));
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = file_mode(flags, args);
	va_end(args);
	file_call("openat", at, path);
	return next(at, path, flags, mode);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
	NEXT(int, connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t len));
	const struct sockaddr_un *to = address.__sockaddr_un__;
	const char *path = to->sun_path;

	if (to->sun_family == AF_UNIX && len > offsetof(struct sockaddr_un, sun_path) && *path)
		file_call("connect", AT_FDCWD, path);
	return next(fd, address, len);
}

#undef NEXT

#endif
