/* The settings file. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/settings/settings.h"
#include "tests/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char program[] = "apilbd", option[] = "--config";
	int fd = memfd_create("settings", MFD_CLOEXEC);
	char *path = xasprintf("/proc/self/fd/%d", fd);
	char *argv[] = {program, option, path, NULL};
	struct settings settings;
	struct err err = {0};

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	if (settings_parse(&settings, 3, argv, &err) == 0) {
		require(settings.resync_ms >= SETTINGS_MIN_RESYNC_MS && settings.concurrency > 0 &&
			settings.concurrency <= SETTINGS_MAX_CONCURRENCY);
		require(*settings.spec_dir && *settings.state_dir && *settings.socket && *settings.owner);
		settings_clear(&settings);
	} else {
		require(err.kind == ERR_SPEC && *err.message);
	}
	free(path);
	close(fd);
	return 0;
}
