/*
 * Work that takes long, in a thread of its own, so that the loop goes on
 * meanwhile. The daemon has no other threads beside the loop's.
 *
 * From background_start until `done` comes, or background_cancel returns true, the
 * thread alone owns `material` and everything that it points to. So no lock is
 * needed.
 */
#ifndef APILB_IO_BACKGROUND_H
#define APILB_IO_BACKGROUND_H

#include <stdatomic.h>
#include <stdbool.h>

struct background;
struct event_base;

/* Runs in the thread. It should look at *stop now and then: when that is true nobody wants the result, and it
 * should return soon. */
typedef void background_work(void *material, const atomic_bool *stop);

/*
 * done comes once, from the event loop, when the work has returned and the background has been freed. If no
 * thread or descriptor can be had, the work is done within background_start.
 */
struct background *background_start(struct event_base *base, background_work *work, void *material,
				    void (*done)(void *arg), void *arg);
/*
 * Waits until the work has returned; done does not come. False: it has not returned within
 * BACKGROUND_PATIENCE_MS, because a file system hangs, say. Then the thread goes on, and keeps the material
 * for ever: so this is only for the end of the process. NULL is fine.
 */
#define BACKGROUND_PATIENCE_MS 1000
bool background_cancel(struct background *background);
/* The same as background_cancel, but without waiting for the work. */
bool background_leave(struct background *background);
/* A thread still runs after background_cancel: the process must end with _exit(2), which frees nothing that
 * the thread uses. */
bool background_is_left(void);

#endif
