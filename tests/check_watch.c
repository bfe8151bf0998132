/* The spec directory: real files, real inotify, and a loop that runs for a bounded time. */
#include <check.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/core/spec/spec.h"
#include "daemon/io/clock.h"
#include "daemon/io/watch/watch.h"
#include "tests/suite.h"
#include "tests/temp.h"

/* Longer than any settling; how long nothing must come for "nothing came". */
#define LIMIT_MS 60000
#define QUIET_MS (WATCH_SETTLE_MS * 3)

static struct event_base *base;
static struct watch *watch;
static char *dir;
static struct watch_listing listing;
static struct err err;
static int changes;

/* As readdir(3) on btrfs: so many listings leave out what is just being replaced. */
static const char *left_out;
static int left_out_of;
/* What was there before. */
static const char *known[3];
/* Removed as soon as it was listed: its path. */
static char *short_lived;

struct dirent *readdir(DIR *stream)
{
	static struct dirent *(*next)(DIR *);
	struct dirent *entry;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "readdir");
	entry = next(stream);
	if (entry && short_lived && strcmp(entry->d_name, strrchr(short_lived, '/') + 1) == 0) {
		ck_assert_int_eq(unlink(short_lived), 0);
		FREE(short_lived);
	}
	if (!entry || !left_out || strcmp(entry->d_name, left_out) != 0)
		return entry;
	if (--left_out_of == 0)
		left_out = NULL;
	return next(stream);
}

/* What asking for a.yaml by its name gives; 0: what is so. */
static int asking_fails;

int fstatat(int fd, const char *name, struct stat *st, int flags)
{
	static int (*next)(int, const char *, struct stat *, int);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "fstatat");
	if (!asking_fails || strcmp(name, "a.yaml") != 0)
		return next(fd, name, st, flags);
	errno = asking_fails;
	return -1;
}

/* A file system of another kind: what it says of its directories. */
static const struct file_system {
	const char *what;
	long kind;
	bool handle, generation, born;
	bool telling; /* which of two directories it is */
} file_systems[] = {
	{"FUSE", FUSE_SUPER_MAGIC, .handle = true},
	{.what = "9p", .kind = V9FS_MAGIC},
	{"FAT, whose root was never born", MSDOS_SUPER_MAGIC, .handle = true},
	{"one that nobody knows", 0x12345678, .handle = true},
	{"FUSE that tells the birth", FUSE_SUPER_MAGIC, .handle = true, .born = true, .telling = true},
	{"NFS without birth", NFS_SUPER_MAGIC, .handle = true, .generation = true, .telling = true},
	{"ext4 where a container may not ask for handles", EXT4_SUPER_MAGIC, .born = true, .telling = true},
};
static const struct file_system *lies_on;

int fstatfs(int fd, struct statfs *fs)
{
	static int (*next)(int, struct statfs *);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "fstatfs");
	if (next(fd, fs) < 0)
		return -1;
	if (lies_on)
		fs->f_type = lies_on->kind;
	return 0;
}

int name_to_handle_at(int fd, const char *name, struct file_handle *handle, int *mount, int flags)
{
	static int (*next)(int, const char *, struct file_handle *, int *, int);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "name_to_handle_at");
	if (!lies_on)
		return next(fd, name, handle, mount, flags);
	if (!lies_on->handle) {
		errno = EOPNOTSUPP;
		return -1;
	}
	/* As that of a root on FUSE: the inode, and no generation. */
	handle->handle_bytes = 12;
	memcpy(handle->f_handle,
	       lies_on->generation ? "\0\0\0\0\1\0\0\0\52\52\52\52" : "\0\0\0\0\1\0\0\0\0\0\0\0", 12);
	return 0;
}

int statx(int fd, const char *path, int flags, unsigned mask, struct statx *st)
{
	static int (*next)(int, const char *, int, unsigned, struct statx *);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "statx");
	if (next(fd, path, flags, mask, st) < 0)
		return -1;
	if (lies_on && !lies_on->born)
		st->stx_btime = (struct statx_timestamp){0};
	return 0;
}

void rewinddir(DIR *stream)
{
	(void)stream;
	ck_abort_msg("a list that is rewound may be the same list");
}

/* What a thread does in the daemon; that is no matter here. */
static const struct watch_view *ask(void)
{
	static const atomic_bool go_on;
	struct watch_view *view = watch_lend(watch);

	watch_ask(view, &go_on);
	watch_take_back(watch, view);
	return view;
}

/* Whether nobody is to look now: because of what has changed, or, when a look is due, of what is young. */
static bool settling(bool due)
{
	const struct watch_view *view = ask();

	if ((due ? view->young : view->changed) && !watch_settling(watch))
		watch_settle(watch);
	return watch_settling(watch);
}

/* The file that is being written; NULL: it matters to nobody. */
static char *written;

/* As the fleet does, which then looks. However busy the machine is: while there is patience, nobody looks at
 * a file that was written just before. */
static void on_change(void *arg)
{
	bool was_patient = watch_is_patient(watch);
	struct file_stamp stamp;

	ck_assert_ptr_eq(arg, &changes);
	if (settling(true) && was_patient)
		return;
	if (written && was_patient) {
		stamp = file_stamp(written);
		ck_assert_int_ge(file_stamp_age_ms(&stamp), WATCH_SETTLE_MS);
	}
	watch_begin(watch);
	changes++;
}

static void make_dir(void)
{
	ck_assert_int_eq(mkdir(dir, 0755), 0);
}

static void setup(void)
{
	temp_make();
	base = event_base_new();
	dir = temp_path("mnt");
	changes = 0;
	make_dir();
}

static void teardown(void)
{
	watch_listing_clear(&listing);
	watch_free(watch);
	watch = NULL;
	event_base_free(base);
	FREE(written);
	FREE(dir);
	temp_remove();
}

static char *in_dir(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static void put(const char *name, const char *text)
{
	char *path = in_dir(name);

	write_text(path, text);
	free(path);
}

static void begin(void)
{
	watch = watch_new(base, dir, on_change, &changes);
	ask();
	ck_assert_ptr_null(watch_trouble(watch));
}

static void run_for(int ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

/* Word must come, once, and then no more. */
static void assert_told(void)
{
	int64_t limit = clock_ms() + LIMIT_MS;

	while (changes == 0) {
		ck_assert_msg(clock_ms() < limit, "no word of the change");
		run_for(50);
	}
	run_for(QUIET_MS);
	ck_assert_int_eq(changes, 1);
	changes = 0;
}

static void assert_not_told(void)
{
	run_for(QUIET_MS);
	ck_assert_int_eq(changes, 0);
}

static int watch_scan(void)
{
	struct watch_view *view;

	ask();
	watch_begin(watch);
	view = watch_lend(watch);
	watch_read(dir, known, &listing, NULL, NULL);
	watch_follow_listing(view, &listing);
	watch_take_back(watch, view);
	if (watch_end(watch, &listing, &err) < 0)
		return -1;
	watch_accept(watch, &listing);
	return 0;
}

static void scan(void)
{
	watch_listing_clear(&listing);
	ck_assert_msg(watch_scan() == 0, "%s", err.message);
}

static void assert_scan_fails(const char *words)
{
	watch_listing_clear(&listing);
	memset(&err, 0, sizeof(err));
	ck_assert_int_eq(watch_scan(), -1);
	for (size_t i = 0; i < listing.n; i++)
		ck_assert_ptr_null(listing.files[i].text);
	ck_assert_msg(strstr(err.message, words) && strstr(err.message, dir), "\"%s\" lacks \"%s\"",
		      err.message, words);
}

/* The one file there is, and it cannot be read. */
static void assert_error(const char *words)
{
	scan();
	ck_assert_uint_eq(listing.n, 1);
	ck_assert_ptr_null(listing.files[0].text);
	ck_assert_ptr_nonnull(listing.files[0].error);
	ck_assert_msg(strstr(listing.files[0].error, words) != NULL, "\"%s\" lacks \"%s\"",
		      listing.files[0].error, words);
}

static void assert_text(size_t i, const char *name, const char *text)
{
	ck_assert_uint_lt(i, listing.n);
	ck_assert_str_eq(listing.files[i].name, name);
	ck_assert_ptr_null(listing.files[i].error);
	ck_assert_uint_eq(listing.files[i].len, strlen(text));
	ck_assert_mem_eq(listing.files[i].text, text, strlen(text));
}

/* Scanning. */

START_TEST(names_tell_what_is_a_spec)
{
	static const struct {
		const char *file, *name;
		const char *mistake; /* what is said of one that was perhaps meant to be one */
	} names[] = {
		{"prod.yaml", "prod", NULL},
		{"prod.yml", "prod", NULL},
		{"a.b-c_D9.yaml", "a.b-c_D9", NULL},
		{"x.yaml.yml", "x.yaml", NULL},
		{".prod.yaml", NULL, NULL},
		{"prod.yaml~", NULL, NULL},
		{".prod.yaml.swp", NULL, NULL},
		{"prod.yaml.dpkg-new", NULL, NULL},
		{"prod.YAML", NULL, "small letters"},
		{"prod.Yml", NULL, "small letters"},
		{"x.yml.txt", NULL, "small letters"},
		{"prod.yaml.bak", NULL, NULL},
		{"notes.txt", NULL, NULL},
		{".prod.YAML", NULL, NULL},
		{".YAML", NULL, NULL},
		{".txt", NULL, NULL},
		{"a b.YAML", NULL, "small letters"},
		{"prod", NULL, NULL},
		{".yaml", NULL, NULL},
		{"", NULL, NULL},
		{"a b.yaml", NULL, "letters, digits"},
		{"a/b.yaml", NULL, "letters, digits"},
		{"..data", NULL, NULL},
		{"\xc3\xa4.yaml", NULL, "letters, digits"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char *name = spec_name_from_file(names[i].file);

		if (names[i].name)
			ck_assert_str_eq(name, names[i].name);
		else
			ck_assert_msg(name == NULL, "%s", names[i].file);
		free(name);
		if (names[i].mistake)
			ck_assert_ptr_nonnull(strstr(spec_name_mistake(names[i].file), names[i].mistake));
		else
			ck_assert_msg(spec_name_mistake(names[i].file) == NULL, "%s", names[i].file);
	}
}
END_TEST

START_TEST(a_scan_reads_all_specs_in_order)
{
	char *path;

	put("b.yaml", "two");
	put("a.yml", "");
	put("a.yaml", "one");
	put("c.yaml~", "backup");
	put(".d.yaml", "hidden");
	put("README", "no spec");
	watch = watch_new(NULL, dir, NULL, NULL);
	scan();
	ck_assert_uint_eq(listing.n, 3);
	/* Two files of one name both come. */
	assert_text(0, "a", "one");
	assert_text(1, "a", "");
	assert_text(2, "b", "two");
	path = in_dir("a.yaml");
	ck_assert_str_eq(listing.files[0].path, path);
	free(path);
	ck_assert_uint_eq(listing.misnamed_n, 0);
	put("my prod.yaml", "");
	put("D.YAML", "");
	scan();
	ck_assert_uint_eq(listing.n, 3);
	ck_assert_uint_eq(listing.misnamed_n, 2);
	path = in_dir("D.YAML is not read: a spec's name ends in .yaml or .yml, in small letters");
	ck_assert_str_eq(listing.misnamed[0], path);
	free(path);
}
END_TEST

static void leave_out(int listings)
{
	put("a.yaml", "one");
	put("b.yaml", "two");
	put("C.YAML", "");
	watch = watch_new(NULL, dir, NULL, NULL);
	left_out = "a.yaml";
	left_out_of = listings;
	scan();
	ck_assert_ptr_null(left_out);
	ck_assert_uint_eq(listing.n, 2);
	ck_assert_uint_eq(listing.misnamed_n, 1);
	assert_text(0, "a", "one");
	assert_text(1, "b", "two");
}

START_TEST(a_file_that_one_listing_leaves_out_is_there)
{
	leave_out(1);
}
END_TEST

/* What was there before is asked for by its name; what is gone is gone all the same. */
START_TEST(a_file_that_all_listings_leave_out_is_there)
{
	known[0] = "gone.yaml";
	known[1] = "a.yaml";
	leave_out(2);
}
END_TEST

/* Its file system has failed, or lets nobody ask: that is not to say that it is gone. */
static const int errors[] = {EIO, ESTALE, EACCES};

START_TEST(a_file_that_cannot_be_asked_for_is_not_gone)
{
	put("a.yaml", "one");
	begin();
	known[0] = "a.yaml";
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		left_out = "a.yaml";
		left_out_of = 2;
		asking_fails = errors[i];
		assert_error(strerror(errors[i]));
		asking_fails = 0;
		scan();
		assert_text(0, "a", "one");
	}
}
END_TEST

START_TEST(a_file_that_goes_while_it_is_looked_at_may_come_again)
{
	put("a.yaml", "one");
	begin();
	short_lived = in_dir("a.yaml");
	scan();
	ck_assert_uint_eq(listing.n, 1);
	ck_assert_ptr_null(listing.files[0].text);
	ck_assert_ptr_nonnull(strstr(listing.files[0].error, "replaced or removed"));
	/* It is looked at again, without anybody's doing. */
	assert_told();
	scan();
	ck_assert_uint_eq(listing.n, 0);
}
END_TEST

START_TEST(bytes_come_as_they_are)
{
	char *path = in_dir("a.yaml");

	write_file(path, "a\0b\xff", 4);
	watch = watch_new(NULL, dir, NULL, NULL);
	scan();
	ck_assert_uint_eq(listing.files[0].len, 4);
	ck_assert_mem_eq(listing.files[0].text, "a\0b\xff", 4);
	free(path);
}
END_TEST

START_TEST(an_empty_directory_holds_nothing)
{
	watch = watch_new(NULL, dir, NULL, NULL);
	scan();
	ck_assert_uint_eq(listing.n, 0);
}
END_TEST

START_TEST(what_is_not_a_regular_file_is_not_opened)
{
	char *path = in_dir("a.yaml");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	watch = watch_new(NULL, dir, NULL, NULL);
	/* Would block for ever, were it opened as a file is. */
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	assert_error("is a FIFO, not a regular file");
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	assert_error("is a directory, not a regular file");
	rmdir(path);
	ck_assert_int_eq(symlink("/dev/zero", path), 0);
	assert_error("is a device, not a regular file");
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_error("is a socket, not a regular file");
	close(fd);
	free(path);
}
END_TEST

START_TEST(a_link_is_followed_and_a_dangling_one_named)
{
	char *link = in_dir("a.yaml"), *target = temp_path("elsewhere");

	write_text(target, "there");
	ck_assert_int_eq(symlink(target, link), 0);
	watch = watch_new(NULL, dir, NULL, NULL);
	scan();
	assert_text(0, "a", "there");
	unlink(target);
	assert_error("is a dangling link: ");
	ck_assert_ptr_nonnull(strstr(listing.files[0].error, target));
	unlink(link);
	ck_assert_int_eq(symlink("a.yaml", link), 0);
	assert_error("cannot be read: Too many levels of symbolic links");
	free(link);
	free(target);
}
END_TEST

START_TEST(four_mebibytes_are_the_limit)
{
	char *path = in_dir("a.yaml");

	put("a.yaml", "");
	watch = watch_new(NULL, dir, NULL, NULL);
	ck_assert_int_eq(truncate(path, SPEC_MAX_BYTES), 0);
	scan();
	ck_assert_uint_eq(listing.files[0].len, SPEC_MAX_BYTES);
	ck_assert_int_eq(truncate(path, SPEC_MAX_BYTES + 1), 0);
	assert_error("is larger than 4 MiB");
	free(path);
}
END_TEST

/* Runs the test's body as a user without a name: permissions count for it. */
static void as_nobody(void (*body)(void))
{
	int status;
	pid_t pid;

	ck_assert_int_eq(chmod(temp_dir, 0755), 0);
	pid = fork();
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		body();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
}

static void scan_unreadable_file(void)
{
	watch = watch_new(NULL, dir, NULL, NULL);
	if (watch_scan() < 0 || listing.n != 2 || !listing.files[0].error ||
	    strcmp(listing.files[0].error, "cannot be read: Permission denied: apilbd runs as user id 65534 "
					   "and group id 65534, which "
					   "must be able to (chgrp, chmod g+r)") != 0 ||
	    listing.files[1].error)
		_exit(1);
}

START_TEST(a_file_that_may_not_be_read_is_told)
{
	char *path = in_dir("a.yaml");

	put("a.yaml", "secret");
	put("b.yaml", "open");
	chmod(path, 0600);
	as_nobody(scan_unreadable_file);
	free(path);
}
END_TEST

static void scan_unreadable_dir(void)
{
	watch = watch_new(NULL, dir, NULL, NULL);
	if (watch_scan() == 0 || !strstr(err.message, "Permission denied"))
		_exit(1);
}

START_TEST(a_directory_that_may_not_be_read_is_not_an_empty_one)
{
	chmod(dir, 0700);
	as_nobody(scan_unreadable_dir);
}
END_TEST

START_TEST(a_directory_that_is_gone_is_not_an_empty_one)
{
	watch = watch_new(NULL, dir, NULL, NULL);
	rmdir(dir);
	assert_scan_fails("No such file or directory");
	write_text(dir, "");
	assert_scan_fails("Not a directory");
	unlink(dir);
	make_dir();
	scan();
}
END_TEST

static bool writer_stop;

/* Now a byte longer, now a byte shorter, as fast as can be. */
static void *rewrite(void *arg)
{
	for (int i = 0; !__atomic_load_n(&writer_stop, __ATOMIC_RELAXED); i++)
		ck_assert_int_eq(truncate(arg, (4 << 20) - i % 2), 0);
	return NULL;
}

START_TEST(a_file_that_changes_while_it_is_read_comes_whole_or_not)
{
	char *path = in_dir("a.yaml");
	pthread_t writer;

	put("a.yaml", "x");
	watch = watch_new(NULL, dir, NULL, NULL);
	pthread_create(&writer, NULL, rewrite, path);
	for (int i = 0; i < 200; i++) {
		scan();
		ck_assert_uint_eq(listing.n, 1);
		if (listing.files[0].error)
			ck_assert_ptr_nonnull(strstr(listing.files[0].error, "is being written"));
		else if (listing.files[0].len != 1)
			ck_assert_uint_ge(listing.files[0].len, (4 << 20) - 1);
	}
	__atomic_store_n(&writer_stop, true, __ATOMIC_RELAXED);
	pthread_join(writer, NULL);
	/* When it rests it is read. */
	scan();
	ck_assert_ptr_null(listing.files[0].error);
	free(path);
}
END_TEST

START_TEST(a_file_that_never_is_as_long_as_it_says_is_no_spec)
{
	char *link = in_dir("a.yaml");

	/* The kernel makes it up as it is read: 0 bytes long, and not empty. */
	ck_assert_int_eq(symlink("/proc/version", link), 0);
	watch = watch_new(NULL, dir, NULL, NULL);
	assert_error("is being written: it changes while it is read");
	free(link);
}
END_TEST

/* Watching. */

START_TEST(a_quiet_directory_says_nothing)
{
	put("a.yaml", "x");
	begin();
	scan();
	/* Reading is no change, and neither is what happens beside the directory. */
	char *beside = temp_path("beside");

	write_text(beside, "x");
	free(beside);
	assert_not_told();
}
END_TEST

START_TEST(a_new_changed_renamed_or_removed_file_is_told)
{
	char *a = in_dir("a.yaml"), *b = in_dir("b.yaml"), *outside = temp_path("outside");

	begin();
	put("a.yaml", "one");
	assert_told();
	put("a.yaml", "two");
	assert_told();
	rename(a, b);
	assert_told();
	chmod(b, 0600);
	assert_told();
	/* How editors and configuration management write: beside, and then over it. */
	write_text(outside, "three");
	rename(outside, b);
	assert_told();
	scan();
	assert_text(0, "b", "three");
	rename(b, outside);
	assert_told();
	rename(outside, b);
	assert_told();
	unlink(b);
	assert_told();
	free(a);
	free(b);
	free(outside);
}
END_TEST

START_TEST(many_changes_settle_into_one)
{
	begin();
	for (int i = 0; i < 200; i++) {
		char *name = xasprintf("%d.yaml", i);

		put(name, "x");
		free(name);
	}
	assert_told();
	scan();
	ck_assert_uint_eq(listing.n, 200);
}
END_TEST

#define WRITE_EVERY_MS 20

static int writes;

static void write_more(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	put("a.yaml", "x");
	writes++;
}

/* By number of writes, not by time: a busy machine makes few of them. If it stood still for so long that the
 * directory did rest, the look was right, too. */
START_TEST(a_directory_that_never_rests_is_looked_at_after_a_second)
{
	struct event *writer = event_new(base, -1, EV_PERSIST, write_more, NULL);

	written = in_dir("a.yaml");
	writes = 0;
	begin();
	event_add(writer, &(struct timeval){.tv_usec = WRITE_EVERY_MS * 1000});
	while (changes == 0) {
		run_for(50);
		ck_assert_int_le(writes, 2 * WATCH_SETTLE_MAX_MS / WRITE_EVERY_MS);
	}
	event_free(writer);
	ck_assert_int_eq(changes, 1);
}
END_TEST

START_TEST(a_file_still_being_written_is_waited_for)
{
	int fd;

	written = in_dir("a.yaml");
	begin();
	fd = open(written, O_WRONLY | O_CREAT, 0600);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(write(fd, "x", 1), 1);
		ck_assert(watch_settling(watch));
		run_for(WATCH_SETTLE_MS / 2);
		changes = 0;
	}
	ck_assert_int_eq(write(fd, "x", 1), 1);
	close(fd);
	ck_assert(watch_settling(watch));
	assert_told();
	ck_assert(!watch_settling(watch));
}
END_TEST

START_TEST(a_configmap_that_swaps_its_data_link_is_told)
{
	char *one = in_dir("..1"), *two = in_dir("..2"), *data = in_dir("..data"),
	     *fresh = in_dir("..data_tmp");
	char *link = in_dir("prod.yaml");

	mkdir(one, 0755);
	mkdir(two, 0755);
	put("..1/prod.yaml", "old");
	put("..2/prod.yaml", "new");
	ck_assert_int_eq(symlink("..1", data), 0);
	ck_assert_int_eq(symlink("..data/prod.yaml", link), 0);
	begin();
	scan();
	ck_assert_uint_eq(listing.n, 1);
	assert_text(0, "prod", "old");
	ck_assert_int_eq(symlink("..2", fresh), 0);
	ck_assert_int_eq(rename(fresh, data), 0);
	assert_told();
	scan();
	ck_assert_uint_eq(listing.n, 1);
	assert_text(0, "prod", "new");
	free(one);
	free(two);
	free(data);
	free(fresh);
	free(link);
}
END_TEST

START_TEST(a_directory_made_later_is_told)
{
	rmdir(dir);
	begin();
	assert_scan_fails("No such file");
	make_dir();
	put("a.yaml", "x");
	assert_told();
	scan();
	assert_text(0, "a", "x");
	put("b.yaml", "y");
	assert_told();
}
END_TEST

START_TEST(a_directory_whose_parent_is_made_later_is_watched_after_a_scan)
{
	char *parent = temp_path("later");

	free(dir);
	dir = xasprintf("%s/specs", parent);
	begin();
	ck_assert_int_eq(mkdir(parent, 0755), 0);
	make_dir();
	scan();
	put("a.yaml", "x");
	assert_told();
	free(parent);
}
END_TEST

START_TEST(a_directory_deleted_and_made_anew_is_told)
{
	char *a = in_dir("a.yaml");

	put("a.yaml", "x");
	begin();
	scan();
	unlink(a);
	rmdir(dir);
	assert_told();
	assert_scan_fails("No such file");
	make_dir();
	assert_told();
	put("a.yaml", "y");
	assert_told();
	scan();
	assert_text(0, "a", "y");
	free(a);
}
END_TEST

START_TEST(a_directory_moved_away_and_back_is_told)
{
	char *away = temp_path("away"), *stray = temp_path("away/b.yaml");

	put("a.yaml", "x");
	begin();
	scan();
	ck_assert_int_eq(rename(dir, away), 0);
	assert_told();
	assert_scan_fails("No such file");
	/* It is not ours while it is elsewhere. */
	write_text(stray, "y");
	assert_not_told();
	ck_assert_int_eq(rename(away, dir), 0);
	assert_told();
	scan();
	ck_assert_uint_eq(listing.n, 2);
	put("c.yaml", "z");
	assert_told();
	free(away);
	free(stray);
}
END_TEST

START_TEST(a_directory_that_is_a_link_is_told_when_it_leads_elsewhere)
{
	char *one = temp_path("one"), *two = temp_path("two"), *fresh = temp_path("fresh");

	rmdir(dir);
	mkdir(one, 0755);
	mkdir(two, 0755);
	ck_assert_int_eq(symlink("one", dir), 0);
	put("a.yaml", "x");
	begin();
	scan();
	put("a.yaml", "y");
	assert_told();
	ck_assert_int_eq(symlink("two", fresh), 0);
	ck_assert_int_eq(rename(fresh, dir), 0);
	assert_told();
	put("b.yaml", "z");
	assert_told();
	scan();
	ck_assert_uint_eq(listing.n, 1);
	assert_text(0, "b", "z");
	free(one);
	free(two);
	free(fresh);
}
END_TEST

static void mount_on_dir(void)
{
	ck_assert_msg(mount("apilb", dir, "tmpfs", 0, "size=64k") == 0, "mount: %s", strerror(errno));
}

START_TEST(an_unmounted_directory_is_told_and_is_not_an_empty_one)
{
	mount_on_dir();
	put("a.yaml", "x");
	begin();
	scan();
	ck_assert_uint_eq(listing.n, 1);
	ck_assert_int_eq(umount(dir), 0);
	assert_told();
	/* What shows is the empty directory underneath. */
	assert_scan_fails("is another one than before and holds no spec");
	assert_scan_fails("is another one than before and holds no spec");
	/* Specs in it are a new beginning. */
	put("b.yaml", "y");
	assert_told();
	scan();
	assert_text(0, "b", "y");
}
END_TEST

/* The directory underneath has one of the names, of which only an error can be said: the other file is not
 * gone. */
START_TEST(a_directory_of_errors_is_not_the_one_that_is_meant)
{
	char *a = in_dir("a.yaml");

	ck_assert_int_eq(mkfifo(a, 0600), 0);
	mount_on_dir();
	put("a.yaml", "x");
	put("b.yaml", "y");
	begin();
	scan();
	ck_assert_uint_eq(listing.n, 2);
	ck_assert_int_eq(umount(dir), 0);
	assert_scan_fails("is another one than before and holds no spec that can be read");
	unlink(a);
	assert_scan_fails("is another one than before and holds no spec: ");
	free(a);
}
END_TEST

/* Where the specs have always been, an error is that of its file. */
START_TEST(a_directory_in_which_all_files_go_wrong_is_the_same_one)
{
	char *a = in_dir("a.yaml");

	put("a.yaml", "x");
	begin();
	scan();
	ck_assert_int_eq(unlink(a), 0);
	ck_assert_int_eq(mkfifo(a, 0600), 0);
	assert_error("FIFO");
	free(a);
}
END_TEST

/* As another process would: with nothing but what the one before it kept. */
static void restart(void)
{
	char *place = xstrdup(watch_place(watch));

	ck_assert_ptr_nonnull(place);
	watch_free(watch);
	begin();
	ck_assert_ptr_null(watch_place(watch));
	watch_expect(watch, place);
	free(place);
}

START_TEST(a_directory_unmounted_while_nobody_looked_is_not_an_empty_one)
{
	mount_on_dir();
	put("a.yaml", "x");
	begin();
	scan();
	ck_assert_int_eq(umount(dir), 0);
	restart();
	assert_scan_fails("not mounted?");
	/* And so on, until somebody says what is meant. */
	restart();
	assert_scan_fails("/.empty");
	put(".empty", "");
	assert_told();
	scan();
	ck_assert_uint_eq(listing.n, 0);
	/* No specs are left that could be lost: from now on it is just a directory. */
	ck_assert_ptr_null(watch_place(watch));
	mount_on_dir();
	scan();
}
END_TEST

/* Its device and inode may be the numbers of the former one. */
static void assert_not_emptied(void)
{
	assert_scan_fails("not mounted?");
	restart();
	assert_scan_fails("not mounted?");
}

START_TEST(another_file_system_of_the_same_kind_is_not_an_emptied_directory)
{
	mount_on_dir();
	put("a.yaml", "x");
	begin();
	scan();
	ck_assert_int_eq(umount(dir), 0);
	mount_on_dir();
	assert_not_emptied();
	ck_assert_int_eq(umount(dir), 0);
}
END_TEST

START_TEST(a_directory_made_anew_is_not_an_emptied_one)
{
	char *a = in_dir("a.yaml");

	put("a.yaml", "x");
	begin();
	scan();
	ck_assert_int_eq(unlink(a), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	ck_assert_int_eq(mkdir(dir, 0755), 0);
	assert_not_emptied();
	free(a);
}
END_TEST

START_TEST(what_held_specs_nobody_knows_where_is_not_given_up_for_an_empty_directory)
{
	begin();
	watch_expect(watch, "");
	assert_scan_fails("not mounted?");
	put("a.yaml", "x");
	scan();
	ck_assert_str_ne(watch_place(watch), "");
}
END_TEST

START_TEST(files_removed_while_nobody_looked_are_an_empty_directory)
{
	char *a = in_dir("a.yaml");

	put("a.yaml", "x");
	begin();
	scan();
	unlink(a);
	restart();
	scan();
	ck_assert_uint_eq(listing.n, 0);
	free(a);
}
END_TEST

static void check_emptied_on(const struct file_system *file_system)
{
	char *a = in_dir("a.yaml");

	lies_on = file_system;
	put("a.yaml", "x");
	begin();
	scan();
	unlink(a);
	free(a);
	restart();
	if (!lies_on->telling) {
		assert_scan_fails("does not tell whether it is the one that held them: not mounted?");
		restart();
		assert_scan_fails("/.empty");
		put(".empty", "");
	}
	watch_listing_clear(&listing);
	ck_assert_msg(watch_scan() == 0, "%s: %s", lies_on->what, err.message);
	ck_assert_uint_eq(listing.n, 0);
	lies_on = NULL;
}

/* An empty file system that was mounted over the directory may look the same. */
START_TEST(an_emptied_directory_is_believed_if_it_cannot_be_another_one)
{
	for (size_t i = 0; i < sizeof(file_systems) / sizeof(file_systems[0]); i++) {
		check_emptied_on(&file_systems[i]);
		teardown();
		setup();
	}
}
END_TEST

/* A store of before may have noted the numbers alone. */
START_TEST(only_a_place_that_is_known_is_the_same)
{
	ck_assert(watch_place_is("1:2 0a 3.000000004", "1:2 0a 3.000000004"));
	ck_assert(!watch_place_is("1:2 0a 3.000000004", "1:2 0b 3.000000004"));
	ck_assert(!watch_place_is("1:2 0a 3.000000004", ""));
	ck_assert(!watch_place_is("", "1:2 0a 3.000000004"));
	ck_assert(!watch_place_is("1:2  0.000000000", ""));
	ck_assert(!watch_place_is("", ""));
}
END_TEST

START_TEST(a_directory_that_is_mounted_over_is_seen_at_the_next_scan)
{
	begin();
	scan();
	mount_on_dir();
	put("a.yaml", "x");
	scan();
	assert_text(0, "a", "x");
	put("a.yaml", "y");
	assert_told();
}
END_TEST

START_TEST(files_removed_one_by_one_are_an_empty_directory)
{
	char *a = in_dir("a.yaml");

	put("a.yaml", "x");
	begin();
	scan();
	unlink(a);
	assert_told();
	scan();
	ck_assert_uint_eq(listing.n, 0);
	free(a);
}
END_TEST

START_TEST(lost_events_count_as_a_change)
{
	char *path = in_dir("a.yaml");
	char text[32] = "";
	FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	long events;

	ck_assert_ptr_nonnull(fgets(text, sizeof(text), limit));
	fclose(limit);
	events = atol(text);
	put("a.yaml", "x");
	begin();
	/* Two different ones in turn: equal ones would be merged. */
	for (long i = 0; i < events + 10; i++)
		ck_assert_int_eq(i % 2 ? chmod(path, 0644) : truncate(path, i % 100), 0);
	assert_told();
	put("b.yaml", "y");
	assert_told();
	free(path);
}
END_TEST

static void free_watch(void *arg)
{
	(void)arg;
	changes++;
	watch_free(watch);
	watch = NULL;
}

START_TEST(a_watch_may_be_freed_by_its_callback)
{
	watch_free(NULL);
	watch = watch_new(base, dir, free_watch, NULL);
	ask();
	put("a.yaml", "x");
	assert_told();
	ck_assert_ptr_null(watch);
}
END_TEST

START_TEST(without_inotify_scans_still_work)
{
	struct rlimit old, none;
	int fd = open("/dev/null", O_RDONLY);

	getrlimit(RLIMIT_NOFILE, &old);
	none = old;
	none.rlim_cur = fd;
	close(fd);
	setrlimit(RLIMIT_NOFILE, &none);
	watch = watch_new(base, dir, on_change, &changes);
	setrlimit(RLIMIT_NOFILE, &old);
	ck_assert_ptr_nonnull(watch_trouble(watch));
	ck_assert_ptr_nonnull(strstr(watch_trouble(watch), "changes are seen at the next regular look only"));
	put("a.yaml", "x");
	scan();
	assert_text(0, "a", "x");
	put("a.yaml", "more");
	ck_assert(settling(false));
	assert_told();
}
END_TEST

/* What inotify does not tell. */

/* Nothing has changed any more since the last scan. */
static void come_to_rest(void)
{
	int64_t limit = clock_ms() + LIMIT_MS;

	scan();
	while (settling(false)) {
		ck_assert_msg(clock_ms() < limit, "it never comes to rest");
		run_for(WATCH_SETTLE_MS / 4);
		if (changes > 0)
			scan();
		changes = 0;
	}
}

static char *elsewhere(void)
{
	return temp_path("elsewhere");
}

static void write_elsewhere(void)
{
	char *path = elsewhere();

	write_text(path, "y");
	free(path);
}

static void move_over_elsewhere(void)
{
	char *path = elsewhere(), *fresh = temp_path("fresh");

	write_text(fresh, "y");
	ck_assert_int_eq(rename(fresh, path), 0);
	free(fresh);
	free(path);
}

static void remove_elsewhere(void)
{
	char *path = elsewhere();

	unlink(path);
	free(path);
}

static void link_elsewhere(void)
{
	char *link = in_dir("a.yaml");

	ck_assert_int_eq(symlink("../elsewhere", link), 0);
	free(link);
}

static void follow_elsewhere(void)
{
	char *path = elsewhere();
	struct file_stamp stamp = file_stamp(path);
	struct watch_view *view = watch_lend(watch);

	watch_follow(view, path, &stamp);
	watch_take_back(watch, view);
	free(path);
}

static void nothing(void)
{
}

static const struct {
	const char *what;
	void (*prepare)(void);
	void (*rest)(void);
	void (*change)(void);
} untold[] = {
	{"a link's target is written", link_elsewhere, nothing, write_elsewhere},
	{"a link's target is moved over", link_elsewhere, nothing, move_over_elsewhere},
	{"a link's target goes", link_elsewhere, nothing, remove_elsewhere},
	{"a file that a spec names is written", nothing, follow_elsewhere, write_elsewhere},
	{"a file that a spec names is moved over", nothing, follow_elsewhere, move_over_elsewhere},
	{"a file that a spec names goes", nothing, follow_elsewhere, remove_elsewhere},
	{"the directory is mounted over", nothing, nothing, mount_on_dir},
};

static void check_untold(size_t i)
{
	write_elsewhere();
	untold[i].prepare();
	begin();
	come_to_rest();
	untold[i].rest();
	run_for(QUIET_MS);
	untold[i].change();
	run_for(QUIET_MS);
	ck_assert_msg(changes == 0, "%s: it was told", untold[i].what);
	ck_assert_msg(!watch_settling(watch), "%s: it was told", untold[i].what);
	ck_assert_msg(settling(false), "%s: not seen", untold[i].what);
	assert_told();
	come_to_rest();
}

START_TEST(what_is_not_told_is_seen_when_asked)
{
	for (size_t i = 0; i < sizeof(untold) / sizeof(untold[0]); i++) {
		check_untold(i);
		teardown();
		setup();
	}
}
END_TEST

START_TEST(a_target_made_later_is_seen_when_asked)
{
	link_elsewhere();
	begin();
	come_to_rest();
	write_elsewhere();
	ck_assert(settling(false));
	assert_told();
	scan();
	assert_text(0, "a", "y");
}
END_TEST

/* Asked all the while: it must not be read before its writer rests. */
START_TEST(a_file_elsewhere_is_waited_for_too)
{
	int fd;

	write_elsewhere();
	link_elsewhere();
	begin();
	come_to_rest();
	written = elsewhere();
	fd = open(written, O_WRONLY | O_TRUNC);
	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(write(fd, "x", 1), 1);
		ck_assert(settling(false) || changes);
		run_for(WATCH_SETTLE_MS / 2);
		if (changes > 0)
			come_to_rest();
	}
	close(fd);
	come_to_rest();
	assert_text(0, "a", "xxxxxx");
}
END_TEST

/* So that who waits can tell a slow file system from one that hangs. */
START_TEST(each_file_that_is_asked_for_counts)
{
	size_t before;

	put("a.yaml", "x");
	put("b.yaml", "y");
	begin();
	come_to_rest();
	scan();
	before = atomic_load(&ask()->answered_n);
	/* Of both files and the directory: what it is, and how old. */
	ck_assert_uint_ge(atomic_load(&ask()->answered_n), before + 6);
}
END_TEST

/* Within one tick of the clock that stamps files, and of the same size: nobody can tell the two. */
START_TEST(what_was_only_just_changed_when_it_was_read_is_read_again)
{
	link_elsewhere();
	begin();
	for (int i = 0; i < 20; i++) {
		write_elsewhere();
		scan();
		ck_assert(settling(false));
	}
	come_to_rest();
}
END_TEST

static void add_case(Suite *suite, const char *name, const TTest *const *tests)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	for (; *tests; tests++)
		tcase_add_test(tcase, *tests);
	suite_add_tcase(suite, tcase);
}

#define CASE(suite, name, ...) add_case(suite, name, (const TTest *const[]){__VA_ARGS__, NULL})

/* What was there when the watch began has been told to nobody. */
START_TEST(what_was_written_just_before_the_watch_is_waited_for)
{
	/* Should the machine take longer than that for this, it is not young any more. */
	for (int i = 0; i < 100 && !(watch && settling(true)); i++) {
		watch_free(watch);
		put("a.yaml", "half");
		watch = watch_new(base, dir, on_change, &changes);
	}
	ck_assert(settling(true));
	assert_told();
	while (ask()->young)
		continue;
	ck_assert(!settling(true));
	put("a.yaml", "more");
	ck_assert(settling(true));
}
END_TEST

START_TEST(a_directory_is_young_while_something_changes_there)
{
	put("a.yaml", "a");
	begin();
	ck_assert(ask()->young);
	while (ask()->young)
		continue;
	/* Again in place, which the directory does not show; and what is no spec is of no interest. */
	put("a.yaml", "again");
	ck_assert(ask()->young);
	put(".notes", "x");
	while (ask()->young)
		continue;
	put(".notes", "y");
	ck_assert(!ask()->young);
	watch_free(watch);
	free(dir);
	dir = temp_path("nowhere");
	begin();
	ck_assert(!ask()->young);
}
END_TEST

/* A directory that is new under its name is not watched yet, and was read when it was another: nobody tells
 * of what is written to it. */
START_TEST(what_is_written_to_a_new_directory_is_waited_for)
{
	char *away = temp_path("away");
	int fd;

	put("a.yaml", "x");
	begin();
	come_to_rest();
	ck_assert_int_eq(rename(dir, away), 0);
	make_dir();
	written = in_dir("b.yaml");
	fd = open(written, O_WRONLY | O_CREAT, 0600);
	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(write(fd, "x", 1), 1);
		run_for(WATCH_SETTLE_MS / 2);
		changes = 0;
	}
	close(fd);
	come_to_rest();
	assert_text(0, "b", "xxxxxx");
	free(away);
}
END_TEST

/* Its thread has set the watch, and the loop does not know of it yet. */
START_TEST(what_is_told_while_the_view_is_lent_counts)
{
	static const atomic_bool go_on;
	struct watch_view *view;

	rmdir(dir);
	begin();
	make_dir();
	view = watch_lend(watch);
	watch_ask(view, &go_on);
	/* Of the directory's beginning: that is clear. */
	watch_begin(watch);
	ck_assert(!watch_settling(watch));
	put("a.yaml", "x");
	ck_assert(watch_settling(watch));
	watch_begin(watch);
	put("a.yaml", "y");
	watch_take_back(watch, view);
	assert_told();
	assert_not_told();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("watch");

	CASE(suite, "scan", names_tell_what_is_a_spec, a_scan_reads_all_specs_in_order,
	     a_file_that_one_listing_leaves_out_is_there, a_file_that_all_listings_leave_out_is_there,
	     a_file_that_cannot_be_asked_for_is_not_gone,
	     a_file_that_goes_while_it_is_looked_at_may_come_again, bytes_come_as_they_are,
	     an_empty_directory_holds_nothing, what_is_not_a_regular_file_is_not_opened,
	     a_link_is_followed_and_a_dangling_one_named, four_mebibytes_are_the_limit,
	     a_file_that_may_not_be_read_is_told, a_directory_that_may_not_be_read_is_not_an_empty_one,
	     a_directory_that_is_gone_is_not_an_empty_one,
	     a_file_that_changes_while_it_is_read_comes_whole_or_not,
	     a_file_that_never_is_as_long_as_it_says_is_no_spec);
	CASE(suite, "files", a_quiet_directory_says_nothing, a_new_changed_renamed_or_removed_file_is_told,
	     many_changes_settle_into_one, a_directory_that_never_rests_is_looked_at_after_a_second,
	     a_file_still_being_written_is_waited_for, a_configmap_that_swaps_its_data_link_is_told,
	     files_removed_one_by_one_are_an_empty_directory, lost_events_count_as_a_change,
	     a_watch_may_be_freed_by_its_callback, without_inotify_scans_still_work);
	CASE(suite, "directory", a_directory_made_later_is_told,
	     a_directory_whose_parent_is_made_later_is_watched_after_a_scan,
	     a_directory_deleted_and_made_anew_is_told, a_directory_moved_away_and_back_is_told,
	     a_directory_that_is_a_link_is_told_when_it_leads_elsewhere,
	     an_unmounted_directory_is_told_and_is_not_an_empty_one,
	     a_directory_of_errors_is_not_the_one_that_is_meant,
	     a_directory_in_which_all_files_go_wrong_is_the_same_one,
	     a_directory_unmounted_while_nobody_looked_is_not_an_empty_one,
	     another_file_system_of_the_same_kind_is_not_an_emptied_directory,
	     a_directory_made_anew_is_not_an_emptied_one,
	     what_held_specs_nobody_knows_where_is_not_given_up_for_an_empty_directory,
	     files_removed_while_nobody_looked_are_an_empty_directory,
	     an_emptied_directory_is_believed_if_it_cannot_be_another_one,
	     only_a_place_that_is_known_is_the_same,
	     a_directory_that_is_mounted_over_is_seen_at_the_next_scan);
	CASE(suite, "young", a_directory_is_young_while_something_changes_there,
	     what_is_written_to_a_new_directory_is_waited_for, what_is_told_while_the_view_is_lent_counts);
	CASE(suite, "asked", what_is_not_told_is_seen_when_asked, a_target_made_later_is_seen_when_asked,
	     a_file_elsewhere_is_waited_for_too, what_was_written_just_before_the_watch_is_waited_for,
	     what_was_only_just_changed_when_it_was_read_is_read_again, each_file_that_is_asked_for_counts);
	return suite_run(suite);
}
