/* The tail of a container's log: whatever a container has written. The first byte says how much room there
 * is. */
#include "daemon/core/haproxy/haproxy_log.h"
#include "tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t room = 1 + 4 * (size_t)fuzz_choice(&data, &size);
	char *log = fuzz_text(data, size), *out = xcalloc(1, room);

	memset(out, 'x', room);
	haproxy_log_reason(log, out, room);
	require(memchr(out, '\0', room) != NULL);
	require(!strchr(out, '\n'));
	free(out);
	free(log);
	return 0;
}
