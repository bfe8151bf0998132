#include "daemon/io/background.h"

#include <errno.h>
#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/mem.h"

/* Backgrounds whose threads have not returned: the threads may still use them. Listed so that they do not
 * count as leaked. */
static struct background *abandoned;

struct background {
	background_work *work;
	void *material;
	void (*done)(void *arg);
	void *arg;
	atomic_bool stop;
	pthread_t thread;
	bool threaded;
	int ended; /* an eventfd(2), readable when the work has returned; -1: descriptors have run out */
	struct event *on_ended;
	struct background *next; /* in the list of abandoned ones */
};

static void *run(void *arg)
{
	struct background *background = arg;
	const uint64_t one = 1;

	background->work(background->material, &background->stop);
	/* The first write to an eventfd never blocks. */
	if (write(background->ended, &one, sizeof(one)) != sizeof(one))
		abort();
	return NULL;
}

static void join(struct background *background)
{
	if (background->threaded)
		pthread_join(background->thread, NULL);
	event_free(background->on_ended);
	if (background->ended >= 0)
		close(background->ended);
	free(background);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
	struct background *background = arg;
	void (*done)(void *) = background->done;
	void *done_arg = background->arg;

	(void)fd;
	(void)what;
	join(background);
	done(done_arg);
}

/* All signals are blocked in the thread: the loop handles them. */
static bool start_thread(struct background *background)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&background->thread, NULL, run, background);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc == 0;
}

struct background *background_start(struct event_base *base, background_work *work, void *material,
				    void (*done)(void *arg), void *arg)
{
	struct background *background = xcalloc(1, sizeof(*background));

	background->work = work;
	background->material = material;
	background->done = done;
	background->arg = arg;
	background->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	background->on_ended = event_new(base, background->ended, EV_READ, on_ended, background);
	if (background->ended >= 0) {
		event_add(background->on_ended, NULL);
		background->threaded = start_thread(background);
	}
	if (!background->threaded) {
		work(material, &background->stop);
		event_active(background->on_ended, EV_READ, 0);
	}
	return background;
}

/* Waits for the thread. True: it has returned, or there is none. */
static bool ends_within(const struct background *background, int patience_ms)
{
	struct pollfd ended = {.fd = background->ended, .events = POLLIN};
	int n = 1;

	while (background->threaded && (n = poll(&ended, 1, patience_ms)) < 0 && errno == EINTR)
		continue;
	return n != 0;
}

static bool cancel(struct background *background, int patience_ms)
{
	if (!background)
		return true;
	atomic_store(&background->stop, true);
	if (ends_within(background, patience_ms)) {
		join(background);
		return true;
	}
	event_free(background->on_ended);
	pthread_detach(background->thread);
	background->next = abandoned;
	abandoned = background;
	return false;
}

bool background_cancel(struct background *background)
{
	return cancel(background, BACKGROUND_PATIENCE_MS);
}

bool background_leave(struct background *background)
{
	return cancel(background, 0);
}

bool background_is_left(void)
{
	return abandoned != NULL;
}
