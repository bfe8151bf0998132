#include "daemon/specs/named_files.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/hash.h"
#include "daemon/core/spec/certificates.h"

struct named_file {
	UT_hash_handle hh;
	char *path;
	char *text; /* NULL: the file cannot be read, and err says why */
	struct err err;
	struct file_stamp stamp;
};

struct named_files {
	struct store *store;
	struct named_file *by_path;
};

struct named_files *named_files_new(struct store *store)
{
	struct named_files *files = xcalloc(1, sizeof(*files));

	files->store = store;
	return files;
}

void named_files_free(struct named_files *files)
{
	struct named_file *file, *tmp;

	if (!files)
		return;
	HASH_ITER (hh, files->by_path, file, tmp) {
		HASH_DEL(files->by_path, file);
		free(file->path);
		free(file->text);
		free(file);
	}
	free(files);
}

void named_files_each(const struct named_files *files,
		      void (*each)(void *arg, const char *path, const struct file_stamp *stamp), void *arg)
{
	for (const struct named_file *file = files->by_path; file; file = file->hh.next)
		each(arg, file->path, &file->stamp);
}

/* The file, if this look has read it; else NULL. */
static struct named_file *find(const struct named_files *files, const char *path)
{
	struct named_file *file;

	HASH_FIND_STR(files->by_path, path, file);
	return file;
}

static const struct named_file *file_at(struct named_files *files, const char *path)
{
	struct named_file *file = find(files, path);

	if (file)
		return file;
	file = xcalloc(1, sizeof(*file));
	file->path = xstrdup(path);
	file->stamp = file_stamp(path);
	file_stamp_keep(&file->stamp);
	file_read(path, CERTIFICATES_MAX_BYTES, &file->text, &file->err);
	HASH_ADD_KEYPTR(hh, files->by_path, file->path, strlen(file->path), file);
	return file;
}

int named_files_read(void *arg, const char *path, char **text, struct err *err)
{
	const struct named_file *file = file_at(arg, path);

	if (!file->text) {
		*err = file->err;
		return -1;
	}
	*text = xstrdup(file->text);
	return 0;
}

/* The file's name in the store. */
static char *key_of(const char *path)
{
	return xasprintf("file %s", path);
}

int named_files_recall(void *arg, const char *path, char **text, struct err *err)
{
	struct named_files *files = arg;
	char *key = key_of(path);

	*text = files->store ? store_get_meta(files->store, key) : NULL;
	free(key);
	return *text ? 0 : err_set(err, ERR_PERMANENT, "%s: its content was not stored", path);
}

static bool is_unchanged(const struct named_file *file, const struct spec_source *source)
{
	const char *found = file->text ? file->text : file->err.message;
	char sha256[SHA256_HEX_SIZE];

	sha256_hex(found, strlen(found), sha256);
	return strcmp(sha256, source->sha256) == 0;
}

bool named_files_unchanged(struct named_files *files, const struct spec_source *sources, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_unchanged(file_at(files, sources[i].path), &sources[i]))
			return false;
	return true;
}

static void remember(struct named_files *files, const struct named_file *file)
{
	char *key = key_of(file->path);
	char *known = store_get_meta(files->store, key);

	if (file->text && !text_equal(known, file->text))
		store_put_meta(files->store, key, file->text);
	free(known);
	free(key);
}

void named_files_remember(struct named_files *files, const struct spec *spec)
{
	for (size_t i = 0; files->store && i < spec->sources_n; i++) {
		const struct named_file *file = find(files, spec->sources[i].path);

		if (file)
			remember(files, file);
	}
}

struct forgetting {
	struct store *store;
	const struct words *named;
};

static void forget(void *arg, const char *path)
{
	const struct forgetting *forgetting = arg;
	char *key = words_have(forgetting->named, path) ? NULL : key_of(path);

	if (key)
		store_put_meta(forgetting->store, key, NULL);
	free(key);
}

void named_files_forget(struct named_files *files, const struct words *released, const struct words *named)
{
	struct forgetting forgetting = {files->store, named};

	if (files->store)
		words_each(released, forget, &forgetting);
}
