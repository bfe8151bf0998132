/*
 * Measures the longest turn of an event loop that it is preloaded into
 * (LD_PRELOAD): the CPU time of the thread between two calls of epoll_wait(2),
 * so a busy machine changes nothing.
 *
 * Environment:
 *   APILB_TURNS=FILE   after each turn that is longer than all before it, its CPU time is
 *                      written there, in microseconds. Remove the file, and measuring begins anew.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static long long longest_us;

static long long cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void note_turn(long long us)
{
	const char *path = getenv("APILB_TURNS");
	FILE *out;

	if (!path)
		return;
	if (access(path, F_OK) != 0)
		longest_us = -1;
	if (us <= longest_us || !(out = fopen(path, "we")))
		return;
	longest_us = us;
	fprintf(out, "%lld\n", us);
	fclose(out);
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	static __typeof__(epoll_wait) *next;
	static long long woke_us;
	int n;

	if (!next)
		next = (__typeof__(epoll_wait) *)dlsym(RTLD_NEXT, "epoll_wait");
	/* What comes before the first turn keeps nobody waiting. */
	if (woke_us)
		note_turn(cpu_us() - woke_us);
	n = next(fd, events, max, timeout);
	woke_us = cpu_us();
	return n;
}
