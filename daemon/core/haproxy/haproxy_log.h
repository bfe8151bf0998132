/* The lines of a container's log that explain a failure. */
#ifndef APILB_CORE_HAPROXY_LOG_H
#define APILB_CORE_HAPROXY_LOG_H

#include <stddef.h>

/*
 * The last lines of `log` that are marked [ALERT], else its last lines, joined
 * by "; ", each once, cut to size - 1 bytes. Empty if the log is.
 */
void haproxy_log_reason(const char *log, char *out, size_t size);

#endif
