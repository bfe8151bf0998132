/*
 * Work that takes long, in a thread of its own, so that the loop goes on
 * meanwhile. The only thread there is beside the loop's.
 *
 * The work is a function of what it is given: from background_start to `done`
 * (or to the return of background_cancel) what `material` leads to is the thread's
 * alone. So there is no lock, and nothing to lock.
 */
#ifndef APILB_IO_BACKGROUND_H
#define APILB_IO_BACKGROUND_H

#include <stdatomic.h>
#include <stdbool.h>

struct background;
struct event_base;

/* Runs in the thread. Where it can, it looks whether it is to stop, and then returns soon: nobody wants what
 * comes of it. */
typedef void background_work(void *material, const atomic_bool *stop);

/*
 * done comes once, from the event loop, when the work has returned; by then the background is freed. Where no
 * thread or descriptor is left, the work is done in background_start.
 */
struct background *background_start(struct event_base *base, background_work *work, void *material,
				    void (*done)(void *arg), void *arg);
/*
 * Waits until the work has returned; done does not come. False: it has not for BACKGROUND_PATIENCE_MS,
 * because a file system hangs, say. Then the thread is left to itself, and the material stays its own: for
 * who ends. NULL is fine.
 */
#define BACKGROUND_PATIENCE_MS 1000
bool background_cancel(struct background *background);
/* A thread was left to itself: the process is to end with _exit(2), which takes nothing from under it. */
bool background_is_left(void);

#endif
