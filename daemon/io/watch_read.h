/* Reading the spec directory, without watching. Internal to watch.c. */
#ifndef APILB_IO_WATCH_READ_H
#define APILB_IO_WATCH_READ_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/err.h"
#include "daemon/io/watch.h"

/* Which directory a path led to. */
struct watch_identity {
	bool known;
	dev_t dev;
	ino_t ino;
	bool said_empty; /* it holds WATCH_EMPTY_MARKER */
};

int watch_read_dir(const char *dir, struct watch_listing *listing, struct watch_identity *identity,
		   struct err *err);

#endif
