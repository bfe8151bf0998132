/*
 * Reads the settings again, for SIGHUP.
 *
 * The settings file may lie on a mount that hangs, so a thread reads it (io/background.h), and there is at
 * most one such thread. A file that does not answer leaves the settings as they are until it does.
 */
#ifndef APILB_RELOAD_H
#define APILB_RELOAD_H

#include "common/err.h"

/* The file hangs if it has not been read for RELOAD_PATIENCE_MS. */
#define RELOAD_PATIENCE_MS 5000

struct event_base;
struct reload;
struct settings;

/*
 * Comes from the event loop. err NULL: the settings have been taken over; restart names those that differ and
 * take a restart, or is NULL. err: they are as they were. After an error because the file hangs, the callback
 * comes once more when the file has answered.
 */
typedef void reload_cb(void *arg, const char *restart, const struct err *err);

/* settings and argv outlive the reload. */
struct reload *reload_new(struct event_base *base, struct settings *settings, int argc, char **argv,
			  reload_cb *told, void *arg);
/* What the file holds now will be told. While a reading is under way, one answer is told for both, of a new
 * reading. */
void reload_begin(struct reload *reload);
/* A thread that hangs goes on (see background_is_left). NULL is fine. */
void reload_free(struct reload *reload);

#endif
