#include "daemon/io/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"

/* The tar is written to memory from our own entries: it can only fail for lack of memory, or by a caller's
 * mistake.
 */
static void must(struct archive *a, int result)
{
	/* libarchive warns of a name that is not ASCII, in the C locale, and writes its bytes unchanged. */
	if (result == ARCHIVE_OK || result == ARCHIVE_WARN)
		return;
	fprintf(stderr, "cannot make a tar archive: %s\n", archive_error_string(a));
	abort();
}

static void pack_entry(struct archive *a, const struct archive_entry_spec *spec, time_t mtime)
{
	struct archive_entry *entry = archive_entry_new2(a);

	archive_entry_set_pathname(entry, spec->path);
	archive_entry_set_filetype(entry, spec->data || spec->link ? AE_IFREG : AE_IFDIR);
	if (spec->link)
		archive_entry_set_hardlink(entry, spec->link);
	archive_entry_set_perm(entry, (mode_t)spec->mode);
	archive_entry_set_uid(entry, spec->uid);
	archive_entry_set_gid(entry, spec->gid);
	archive_entry_set_mtime(entry, mtime, 0);
	archive_entry_set_size(entry, spec->data ? (int64_t)spec->len : 0);
	must(a, archive_write_header(a, entry));
	if (spec->data && spec->len && archive_write_data(a, spec->data, spec->len) != (la_ssize_t)spec->len)
		must(a, ARCHIVE_FATAL);
	archive_entry_free(entry);
}

void archive_pack(const struct archive_entry_spec *entries, size_t n, time_t mtime, char **out, size_t *len)
{
	char *tar = NULL;
	size_t tar_len = 0;
	FILE *memory = open_memstream(&tar, &tar_len);
	struct archive *a = archive_write_new();

	if (!memory || !a)
		abort();
	/* Plain ustar, and pax headers only where ustar has no room (long names). */
	must(a, archive_write_set_format_pax_restricted(a));
	must(a, archive_write_open_FILE(a, memory));
	for (size_t i = 0; i < n; i++)
		pack_entry(a, &entries[i], mtime);
	must(a, archive_write_close(a));
	archive_write_free(a);
	if (fclose(memory) != 0)
		abort();
	*out = tar;
	*len = tar_len;
}

static int find_file(struct archive *a, struct archive_entry **entry, struct err *err)
{
	const char *other = NULL;
	int result;

	while ((result = archive_read_next_header(a, entry)) == ARCHIVE_OK || result == ARCHIVE_WARN) {
		if (archive_entry_filetype(*entry) == AE_IFREG && !archive_entry_hardlink(*entry))
			return 0;
		other = archive_entry_filetype(*entry) == AE_IFDIR   ? "a directory"
			: archive_entry_filetype(*entry) == AE_IFLNK ? "a symbolic link"
								     : "not a regular file";
	}
	if (result != ARCHIVE_EOF)
		return err_set(err, ERR_TRANSIENT, "not a complete tar archive: %s", archive_error_string(a));
	return err_set(err, ERR_PERMANENT, other ? "it is %s, not a file" : "the archive is empty", other);
}

static int read_file(struct archive *a, size_t size, char *data, struct err *err)
{
	la_ssize_t got = archive_read_data(a, data, size);

	if (got < 0)
		return err_set(err, ERR_TRANSIENT, "not a complete tar archive: %s", archive_error_string(a));
	if ((size_t)got != size)
		return err_set(err, ERR_TRANSIENT, "not a complete tar archive: %zd of %zu bytes", got, size);
	return 0;
}

int archive_first_file(const void *tar, size_t tar_len, size_t max, char **data, size_t *len, struct err *err)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	char *content = NULL;
	int64_t size;
	int result = -1;

	archive_read_support_format_tar(a);
	if (archive_read_open_memory(a, tar, tar_len) != ARCHIVE_OK) {
		err_set(err, ERR_TRANSIENT, "not a complete tar archive: %s", archive_error_string(a));
		goto out;
	}
	if (find_file(a, &entry, err) < 0)
		goto out;
	size = archive_entry_size(entry);
	if (size < 0 || (uint64_t)size > max) {
		err_set(err, ERR_PERMANENT, "the file has %lld bytes, more than the %zu allowed",
			(long long)size, max);
		goto out;
	}
	content = xcalloc(1, (size_t)size + 1);
	if (read_file(a, (size_t)size, content, err) < 0)
		goto out;
	*data = content;
	*len = (size_t)size;
	content = NULL;
	result = 0;
out:
	free(content);
	archive_read_free(a);
	return result;
}

bool archive_is_empty_directory(const void *tar, size_t tar_len)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	bool is;

	archive_read_support_format_tar(a);
	is = archive_read_open_memory(a, tar, tar_len) == ARCHIVE_OK &&
	     archive_read_next_header(a, &entry) == ARCHIVE_OK && archive_entry_filetype(entry) == AE_IFDIR &&
	     archive_read_next_header(a, &entry) == ARCHIVE_EOF;
	archive_read_free(a);
	return is;
}
