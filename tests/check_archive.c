/* Tar archives: what is packed is what another tar reader finds, and what cannot be read is told. */
#include <archive.h>
#include <archive_entry.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/archive.h"
#include "tests/suite.h"

#define LONG_DIR "a-directory-with-a-name-that-is-rather-long-so-that-some-of-them-do-not-fit-into-ustar/"

static const struct archive_entry_spec entries[] = {
	{.path = "config/haproxy.cfg", .mode = 0640, .uid = 0, .gid = 0, .data = "global\n", .len = 7},
	{.path = "apilb/lb/", .mode = 0750, .uid = 65534, .gid = 65533},
	{.path = "apilb/lb/empty", .mode = 0604, .uid = 4000000, .gid = 1, .data = "", .len = 0},
	{.path = "nul", .mode = 0777, .data = "a\0b", .len = 3},
	{.path = LONG_DIR LONG_DIR LONG_DIR "file", .mode = 0644, .data = "x", .len = 1},
	{.path = "n\303\244me", .mode = 0644, .data = "x", .len = 1},
};
enum { N_ENTRIES = sizeof(entries) / sizeof(*entries) };

START_TEST(entries_come_out_as_they_went_in)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	char *tar, data[16];
	size_t len;

	archive_pack(entries, N_ENTRIES, 1700000000, &tar, &len);
	ck_assert_uint_eq(len % 512, 0);
	archive_read_support_format_tar(a);
	ck_assert_int_eq(archive_read_open_memory(a, tar, len), ARCHIVE_OK);
	for (size_t i = 0; i < N_ENTRIES; i++) {
		const struct archive_entry_spec *e = &entries[i];

		ck_assert_int_eq(archive_read_next_header(a, &entry), ARCHIVE_OK);
		ck_assert_str_eq(archive_entry_pathname(entry), e->path);
		ck_assert_int_eq(archive_entry_filetype(entry), e->data ? AE_IFREG : AE_IFDIR);
		ck_assert_uint_eq(archive_entry_perm(entry), e->mode);
		ck_assert_int_eq(archive_entry_uid(entry), e->uid);
		ck_assert_int_eq(archive_entry_gid(entry), e->gid);
		ck_assert_int_eq(archive_entry_mtime(entry), 1700000000);
		ck_assert_int_eq(archive_read_data(a, data, sizeof(data)), (la_ssize_t)e->len);
		if (e->len)
			ck_assert_mem_eq(data, e->data, e->len);
	}
	ck_assert_int_eq(archive_read_next_header(a, &entry), ARCHIVE_EOF);
	archive_read_free(a);
	free(tar);
}
END_TEST

START_TEST(short_names_need_no_extension)
{
	char *tar;
	size_t len;

	archive_pack(entries, 1, 1700000000, &tar, &len);
	ck_assert_mem_eq(tar + 257, "ustar", 6);
	ck_assert_int_eq(tar[156], '0'); /* a file, no pax header before it */
	free(tar);
}
END_TEST

/* Where the first file is, and how much of it may be read. */
static const struct {
	size_t first, n;
	size_t max;
	const char *data;
	size_t len;
	const char *error;
	enum err_kind kind;
} reads[] = {
	{0, 1, 100, "global\n", 7, NULL, 0},
	{0, 1, 7, "global\n", 7, NULL, 0},
	{0, 1, 6, NULL, 0, "the file has 7 bytes, more than the 6 allowed", ERR_PERMANENT},
	{1, 2, 100, "", 0, NULL, 0},
	{2, 1, 0, "", 0, NULL, 0},
	{3, 1, 100, "a\0b", 3, NULL, 0},
	{1, 1, 100, NULL, 0, "it is a directory, not a file", ERR_PERMANENT},
	{0, 0, 100, NULL, 0, "the archive is empty", ERR_PERMANENT},
};

START_TEST(the_first_file_is_read)
{
	char *tar, *data = NULL;
	size_t tar_len, len = 0;
	struct err err;
	int result;

	archive_pack(entries + reads[_i].first, reads[_i].n, 0, &tar, &tar_len);
	result = archive_first_file(tar, tar_len, reads[_i].max, &data, &len, &err);
	if (reads[_i].error) {
		ck_assert_int_eq(result, -1);
		ck_assert_str_eq(err.message, reads[_i].error);
		ck_assert_int_eq(err.kind, reads[_i].kind);
		ck_assert_ptr_null(data);
	} else {
		ck_assert_int_eq(result, 0);
		ck_assert_uint_eq(len, reads[_i].len);
		ck_assert_mem_eq(data, reads[_i].data, len + 1);
	}
	free(data);
	free(tar);
}
END_TEST

START_TEST(a_link_is_not_a_file)
{
	static const struct archive_entry_spec file = {
		.path = "haproxy.cfg", .mode = 0644, .data = "", .len = 0};
	char *tar, *data;
	size_t tar_len, len;
	unsigned sum = 0;
	struct err err;

	archive_pack(&file, 1, 0, &tar, &tar_len);
	/* Its header, turned into that of a symbolic link, with the check sum that goes with it (POSIX pax).
	 */
	tar[156] = '2';
	strcpy(tar + 157, "/etc/shadow");
	memset(tar + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)tar[i];
	for (int i = 5; i >= 0; i--, sum /= 8)
		tar[148 + i] = (char)('0' + sum % 8);
	tar[154] = '\0';
	ck_assert_int_eq(archive_first_file(tar, tar_len, 100, &data, &len, &err), -1);
	ck_assert_str_eq(err.message, "it is a symbolic link, not a file");
	free(tar);
}
END_TEST

/* Unpacked in this order: the name that counts comes when all of the text is there. */
START_TEST(a_second_name_follows_the_file)
{
	static const struct archive_entry_spec both[] = {
		{.path = "dir/.x.new", .mode = 0644, .data = "global\n", .len = 7},
		{.path = "dir/x", .mode = 0644, .link = "dir/.x.new"},
	};
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	char *tar;
	size_t len;

	archive_pack(both, 2, 1700000000, &tar, &len);
	archive_read_support_format_tar(a);
	ck_assert_int_eq(archive_read_open_memory(a, tar, len), ARCHIVE_OK);
	ck_assert_int_eq(archive_read_next_header(a, &entry), ARCHIVE_OK);
	ck_assert_str_eq(archive_entry_pathname(entry), "dir/.x.new");
	ck_assert_int_eq(archive_entry_size(entry), 7);
	ck_assert_int_eq(archive_read_next_header(a, &entry), ARCHIVE_OK);
	ck_assert_str_eq(archive_entry_pathname(entry), "dir/x");
	ck_assert_pstr_eq(archive_entry_hardlink(entry), "dir/.x.new");
	ck_assert_uint_eq(archive_entry_perm(entry), 0644);
	ck_assert_int_eq(archive_entry_size(entry), 0);
	ck_assert_int_eq(archive_read_next_header(a, &entry), ARCHIVE_EOF);
	archive_read_free(a);
	free(tar);
}
END_TEST

START_TEST(a_directory_is_empty_or_not)
{
	static const struct archive_entry_spec some[] = {
		{.path = "dir/", .mode = 0755},
		{.path = "dir/x", .mode = 0644, .data = "", .len = 0},
	};
	char *tar;
	size_t len;

	archive_pack(some, 1, 0, &tar, &len);
	ck_assert(archive_is_empty_directory(tar, len));
	for (size_t cut = 0; cut < 512; cut++)
		ck_assert(!archive_is_empty_directory(tar, cut));
	free(tar);
	archive_pack(some, 2, 0, &tar, &len);
	ck_assert(!archive_is_empty_directory(tar, len));
	free(tar);
	archive_pack(some + 1, 1, 0, &tar, &len);
	ck_assert(!archive_is_empty_directory(tar, len));
	free(tar);
}
END_TEST

START_TEST(what_is_cut_is_not_taken_for_whole)
{
	char *tar, *data;
	size_t tar_len, len;
	struct err err;

	archive_pack(entries, 1, 0, &tar, &tar_len);
	for (size_t cut = 1; cut < 512 + 7; cut++) {
		ck_assert_int_eq(archive_first_file(tar, cut, 100, &data, &len, &err), -1);
		ck_assert_msg(strstr(err.message, "not a complete tar archive: "), "%zu: %s", cut,
			      err.message);
		ck_assert_int_eq(err.kind, ERR_TRANSIENT);
	}
	free(tar);
}
END_TEST

START_TEST(garbage_is_not_an_archive)
{
	char garbage[2048], *data;
	struct err err;
	size_t len;

	memset(garbage, 'g', sizeof(garbage));
	ck_assert_int_eq(archive_first_file(garbage, sizeof(garbage), 100, &data, &len, &err), -1);
	ck_assert_msg(strstr(err.message, "not a complete tar archive: "), "%s", err.message);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("archive");
	TCase *tar = tcase_create("tar");

	tcase_add_test(tar, entries_come_out_as_they_went_in);
	tcase_add_test(tar, short_names_need_no_extension);
	tcase_add_loop_test(tar, the_first_file_is_read, 0, N(reads));
	tcase_add_test(tar, a_link_is_not_a_file);
	tcase_add_test(tar, a_second_name_follows_the_file);
	tcase_add_test(tar, a_directory_is_empty_or_not);
	tcase_add_test(tar, what_is_cut_is_not_taken_for_whole);
	tcase_add_test(tar, garbage_is_not_an_archive);
	suite_add_tcase(suite, tar);
	return suite_run(suite);
}
