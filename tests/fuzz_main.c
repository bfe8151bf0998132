/*
 * A main for fuzz targets where there is no libFuzzer: runs the target over
 * each file given, and over all files of each directory given. Without
 * arguments, as `make check` calls it, over the target's seed corpus.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t size = 0;
	int failed;

	if (!file) {
		perror(path);
		return -1;
	}
	while (!feof(file) && !ferror(file)) {
		data = xrealloc(data, size + 65536);
		size += fread(data + size, 1, 65536, file);
	}
	failed = ferror(file);
	fclose(file);
	/* Exactly as large as the input, so that a checker sees any read behind its end. */
	data = xrealloc(data, size);
	if (!failed)
		LLVMFuzzerTestOneInput(data, size);
	free(data);
	return failed ? -1 : 1;
}

/* Returns how many inputs were run, or -1. */
static int run_path(const char *path)
{
	struct dirent *entry;
	struct stat st;
	int total = 0;
	DIR *dir;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return run_file(path);
	dir = opendir(path);
	while (dir && total >= 0 && (entry = readdir(dir))) {
		char *inside;
		int n;

		if (entry->d_name[0] == '.')
			continue;
		inside = xasprintf("%s/%s", path, entry->d_name);
		n = run_path(inside);
		total = n < 0 ? -1 : total + n;
		free(inside);
	}
	if (!dir)
		perror(path);
	else
		closedir(dir);
	return dir ? total : -1;
}

/* "…/fuzz_spec" -> the corpus "spec". */
static char *own_corpus(const char *program)
{
	const char *name = strstr(program, "fuzz_");

	while (name && strstr(name + 1, "fuzz_"))
		name = strstr(name + 1, "fuzz_");
	return xasprintf(TOP_SRCDIR "/tests/corpus/%s", name ? name + strlen("fuzz_") : "");
}

int main(int argc, char **argv)
{
	char *corpus = own_corpus(argv[0]);
	int total = 0;

	if (argc < 2)
		total = run_path(corpus);
	for (int i = 1; i < argc && total >= 0; i++) {
		int n = run_path(argv[i]);

		total = n < 0 ? -1 : total + n;
	}
	free(corpus);
	if (total <= 0) {
		fprintf(stderr, "no inputs, or not all of them could be read\n");
		return EXIT_FAILURE;
	}
	printf("%d inputs\n", total);
	return EXIT_SUCCESS;
}
