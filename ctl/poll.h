/* Asking for the status again and again: to show it, or until it is as wanted. */
#ifndef APILB_CTL_POLL_H
#define APILB_CTL_POLL_H

#include "ctl/ctl.h"
#include "ctl/status.h"

struct poll {
	const char *spec; /* NULL: all */
	/* The wait ends when this returns true; NULL: poll for ever. */
	bool (*is_over)(const struct status *status, const void *arg);
	const void *arg;
	int64_t wait_ms;
	bool watch;
};

/* Asks once. A spec that the daemon does not know is an ERR_PERMANENT. */
int status_get(struct ctl *ctl, const char *spec, struct status *status, struct err *err);

/*
 * Fills *status with the last status. Returns 0 when is_over is true, 1 when
 * wait_ms are over first, -1 after an error. The daemon must answer at first;
 * later, during a wait or on a terminal, it may go away and come back.
 */
int status_poll(struct ctl *ctl, const struct poll *poll, struct status *status, struct err *err);

#endif
