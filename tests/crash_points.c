/*
 * Kills the program that it is preloaded into (LD_PRELOAD) at a chosen point,
 * so that a test can end a daemon at every point where the world outside may
 * have changed, without a line of test code in the daemon.
 *
 * A point is a system call that others see:
 *   - bytes sent to the engine: writev(2), write(2), send(2), sendmsg(2) on a
 *     Unix socket whose other end is called ...docker.sock;
 *   - the first page of a commit: pwrite(2) after anything that was none. Before
 *     it nothing of the transaction is in the file; after it, a part of it is;
 *   - the end of a commit: fdatasync(2), fsync(2).
 *
 * Environment:
 *   APILB_CRASH_AT=N:before, N:after   raise SIGKILL at point N; the first is 1.
 *                                      A run that has no such point goes to its end
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static const char engine_name[] = "docker.sock";

static long points, wanted;
static bool wanted_after, in_commit;

__attribute__((constructor)) static void read_environment(void)
{
	const char *at = getenv("APILB_CRASH_AT");

	if (at) {
		wanted = atol(at);
		wanted_after = strstr(at, ":after") != NULL;
	}
}

static void before_point(void)
{
	points++;
	if (points == wanted && !wanted_after)
		raise(SIGKILL);
}

static void after_point(void)
{
	if (points == wanted && wanted_after)
		raise(SIGKILL);
}

static bool is_engine(int fd)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);
	size_t path_len;

	memset(&peer, 0, sizeof(peer));
	if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0 || peer.sun_family != AF_UNIX)
		return false;
	path_len = strnlen(peer.sun_path, sizeof(peer.sun_path));
	return path_len >= strlen(engine_name) &&
	       strncmp(peer.sun_path + path_len - strlen(engine_name), engine_name, strlen(engine_name)) == 0;
}

/* The function of this name behind ours. */
#define NEXT(name)                     \
	static __typeof__(&name) next; \
	if (!next)                     \
	next = (__typeof__(next))dlsym(RTLD_NEXT, #name)

/* The rest of such a function: a point around the call, if it is one. */
#define CALL(is_point, type, ...)   \
	bool point = (is_point);    \
	type result;                \
	if (point)                  \
		before_point();     \
	result = next(__VA_ARGS__); \
	if (point)                  \
		after_point();      \
	return result

ssize_t write(int fd, const void *data, size_t len)
{
	NEXT(write);
	CALL(is_engine(fd), ssize_t, fd, data, len);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
	NEXT(writev);
	CALL(is_engine(fd), ssize_t, fd, parts, n);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
	NEXT(send);
	CALL(is_engine(fd), ssize_t, fd, data, len, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	NEXT(sendmsg);
	CALL(is_engine(fd), ssize_t, fd, message, flags);
}

static bool begins_commit(void)
{
	bool begins = !in_commit;

	in_commit = true;
	return begins;
}

static bool ends_commit(void)
{
	in_commit = false;
	return true;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	NEXT(pwrite);
	CALL(begins_commit(), ssize_t, fd, data, len, at);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at)
{
	NEXT(pwrite64);
	CALL(begins_commit(), ssize_t, fd, data, len, at);
}

int fdatasync(int fd)
{
	NEXT(fdatasync);
	CALL(ends_commit(), int, fd);
}

int fsync(int fd)
{
	NEXT(fsync);
	CALL(ends_commit(), int, fd);
}
