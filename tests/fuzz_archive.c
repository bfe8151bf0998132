/* A tar from a host: what was put there instead of the config may be anything. */
#include "daemon/io/archive.h"
#include "tests/fuzz.h"

#define MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = {0};
	char *file = NULL;
	size_t len = 0;

	if (archive_first_file(data, size, MAX, &file, &len, &err) == 0)
		require(file && len <= MAX && file[len] == '\0');
	else
		require(!file && err.kind != ERR_NONE && *err.message);
	free(file);
	return 0;
}
