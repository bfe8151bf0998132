/*
 * A clock that turns by itself when there is nothing else to do.
 *
 * Linked into a test program it takes the place of the C library's
 * clock_gettime and epoll_wait, for libevent, too: when the loop would sleep
 * until its next timer, the clock is there at once. So minutes of backoff,
 * timeouts and drains pass in no time, always the same, however busy the
 * machine is. A loop that would sleep for ever is a test that waits for
 * nothing: the program ends with a message.
 */
#ifndef APILB_TESTS_TURNED_CLOCK_H
#define APILB_TESTS_TURNED_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Since the program's start. */
int64_t turned_clock_ms(void);
void turned_clock_turn(int64_t ms);
/* Back to the start, when no event loop knows of it any more: Check, which measures each test with this
 * clock, cannot count the hours of all of them. */
void turned_clock_begin(void);
/* Called where a thread was to begin, before its work is done at once. NULL: nothing. */
extern void (*turned_clock_instead_of_thread)(void);
/* The next thread begins, and does nothing until it goes on. Another one meanwhile ends the program: there is
 * to be one at most. */
extern bool turned_clock_thread_hangs;
bool turned_clock_is_thread_hung(void);
void turned_clock_thread_goes_on(void);
/* Neither of them is for so many threads before. */
extern unsigned turned_clock_threads_before;

#endif
