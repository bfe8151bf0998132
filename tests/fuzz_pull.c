/* The progress of a pull, cut into pieces of the first byte's size, and an image's name. */
#include "daemon/io/docker/docker_pull.h"
#include "tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = 1 + fuzz_choice(&data, &size);
	char *text = fuzz_text(data, size), *name, *tag;
	struct pull *pull = pull_new("haproxy:3.2");
	struct err err = {0};

	for (size_t at = 0; at < size; at += piece) {
		const char *said =
			pull_feed(pull, (const char *)data + at, piece < size - at ? piece : size - at);

		require(!said || strncmp(said, "pulling haproxy:3.2", 19) == 0);
	}
	require((pull_result(pull, &err) == 0) == (err.kind == ERR_NONE));
	pull_free(pull);
	image_ref_split(text, &name, &tag);
	require(*tag && strlen(name) <= strlen(text));
	free(tag);
	free(name);
	free(text);
	return 0;
}
