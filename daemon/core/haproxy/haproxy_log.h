/*
 * What HAProxy said: the lines of a container's log that explain a failure.
 */
#ifndef APILB_CORE_HAPROXY_LOG_H
#define APILB_CORE_HAPROXY_LOG_H

#include <stddef.h>

/*
 * The last lines marked [ALERT] of the log's tail, or else its last lines,
 * joined by "; ", at most size - 1 bytes. Empty when the log is.
 */
void haproxy_log_reason(const char *log, char *out, size_t size);

#endif
