/*
 * The common beginning of all kinds of stream openings (internal to daemon/io): stream.c opens sockets,
 * ssh_open.c channels. stream_open_cancel() and stream_open_phase() work for both.
 */
#ifndef APILB_IO_STREAM_OPENING_H
#define APILB_IO_STREAM_OPENING_H

#include "daemon/io/stream/stream.h"

struct stream_opening {
	void (*cancel)(struct stream_opening *opening);
	const char *(*phase)(const struct stream_opening *opening);
};

#endif
