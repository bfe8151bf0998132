#include "daemon/settings/reload.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/mem.h"
#include "daemon/io/background.h"
#include "daemon/io/clock.h"
#include "daemon/settings/settings.h"

/* The thread's own: one that hangs keeps it for ever. */
struct reading {
	int argc;
	char **argv;
	struct settings fresh;
	int rc;
	struct err err;
};

struct reload {
	struct event_base *base;
	struct settings *settings;
	int argc;
	char **argv;
	reload_cb *told;
	void *arg;
	struct reading *reading; /* NULL: no reading is under way */
	struct background *thread;
	struct event *patience;
	bool hangs; /* the reading under way has been told to hang */
	bool again; /* asked for since the reading began, which may have read the former content */
};

static void read_settings(void *arg, const atomic_bool *stop)
{
	struct reading *reading = arg;

	(void)stop;
	reading->rc = settings_parse(&reading->fresh, reading->argc, reading->argv, &reading->err);
}

static void reading_free(struct reading *reading)
{
	if (reading->rc == 0)
		settings_clear(&reading->fresh);
	free(reading);
}

static void on_hangs(evutil_socket_t fd, short what, void *arg)
{
	struct reload *reload = arg;
	struct err err;

	(void)fd;
	(void)what;
	reload->hangs = true;
	err_set(&err, ERR_TRANSIENT,
		"settings file %s could not be read for %d s: does its file system hang? See its mount "
		"(findmnt); it is read as soon as it answers",
		reload->settings->config_file, RELOAD_PATIENCE_MS / 1000);
	reload->told(reload->arg, NULL, &err);
}

static void on_read(void *arg)
{
	struct reload *reload = arg;
	struct reading *reading = reload->reading;
	char *restart = NULL;

	evtimer_del(reload->patience);
	reload->reading = NULL;
	reload->thread = NULL;
	reload->hangs = false;
	if (reload->again) {
		reload_begin(reload);
	} else if (reading->rc == 0) {
		settings_take(reload->settings, &reading->fresh, &restart);
		reload->told(reload->arg, restart, NULL);
		free(restart);
	} else {
		reload->told(reload->arg, NULL, &reading->err);
	}
	reading_free(reading);
}

struct reload *reload_new(struct event_base *base, struct settings *settings, int argc, char **argv,
			  reload_cb *told, void *arg)
{
	struct reload *reload = xcalloc(1, sizeof(*reload));

	*reload = (struct reload){
		.base = base, .settings = settings, .argc = argc, .argv = argv, .told = told, .arg = arg};
	reload->patience = evtimer_new(base, on_hangs, reload);
	return reload;
}

void reload_begin(struct reload *reload)
{
	struct timeval patience = clock_timeval(reload->hangs ? 0 : RELOAD_PATIENCE_MS);

	reload->again = reload->reading != NULL;
	if (!reload->again || reload->hangs)
		evtimer_add(reload->patience, &patience);
	if (reload->again)
		return;
	reload->reading = xcalloc(1, sizeof(*reload->reading));
	*reload->reading = (struct reading){.argc = reload->argc, .argv = reload->argv};
	reload->thread = background_start(reload->base, read_settings, reload->reading, on_read, reload);
}

void reload_free(struct reload *reload)
{
	if (!reload)
		return;
	if (reload->reading && background_leave(reload->thread))
		reading_free(reload->reading);
	event_free(reload->patience);
	free(reload);
}
