/*
 * What every kind of stream opening begins with (internal to floor 2): stream.c
 * makes sockets of them, ssh_open.c channels. Who cancels need not know which.
 */
#ifndef APILB_IO_STREAM_OPENING_H
#define APILB_IO_STREAM_OPENING_H

#include "daemon/io/stream/stream.h"

struct stream_opening {
	void (*cancel)(struct stream_opening *opening);
	const char *(*phase)(const struct stream_opening *opening);
};

#endif
