#include "tests/turned_clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* It begins at some time that is not zero, on a day like any other: 2026-01-01. */
#define MONOTONIC_BEGIN_MS 1000000
#define REAL_BEGIN_S 1767225600

static int64_t turned_ms;
void (*turned_clock_instead_of_thread)(void);
bool turned_clock_thread_hangs;
unsigned turned_clock_threads_before;
static void *(*hung_start)(void *);
static void *hung_arg;

int64_t turned_clock_ms(void)
{
	return turned_ms;
}

void turned_clock_turn(int64_t ms)
{
	turned_ms += ms;
}

void turned_clock_begin(void)
{
	turned_ms = 0;
}

/* Those two of the C library. What it does itself, such as making temporary names, has the machine's clock.
 */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int64_t ms = turned_ms;

	if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)
		ms += (int64_t)REAL_BEGIN_S * 1000;
	else if (id == CLOCK_MONOTONIC || id == CLOCK_MONOTONIC_COARSE || id == CLOCK_BOOTTIME)
		ms += MONOTONIC_BEGIN_MS;
	else
		return (int)syscall(SYS_clock_gettime, id, ts);
	*ts = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	return 0;
}

int epoll_wait(int fd, struct epoll_event *events, int n, int timeout)
{
	int ready = (int)syscall(SYS_epoll_pwait, fd, events, n, 0, NULL, 0);

	if (ready != 0 || timeout == 0)
		return ready;
	if (timeout < 0) {
		fprintf(stderr, "the loop waits for what never comes\n");
		abort();
	}
	turned_ms += timeout;
	return 0;
}

bool turned_clock_is_thread_hung(void)
{
	return hung_start != NULL;
}

void turned_clock_thread_goes_on(void)
{
	void *(*start)(void *) = hung_start;

	hung_start = NULL;
	start(hung_arg);
}

/* A thread would have the machine's time, and the loop turn the clock meanwhile: what is done beside the loop
 * is done at once (io/background.h). */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *arg)
{
	(void)attributes;
	if (hung_start) {
		fprintf(stderr, "a thread beside one that hangs\n");
		abort();
	}
	if (turned_clock_threads_before > 0) {
		turned_clock_threads_before--;
		return EAGAIN;
	}
	if (turned_clock_thread_hangs) {
		turned_clock_thread_hangs = false;
		hung_start = start;
		hung_arg = arg;
		*thread = pthread_self();
		return 0;
	}
	if (turned_clock_instead_of_thread)
		turned_clock_instead_of_thread();
	return EAGAIN;
}
