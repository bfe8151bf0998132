/* The control socket, as its clients see it: who may connect, who gets a place, and who keeps it. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/io/control/control.h"
#include "daemon/io/control/control_request.h"
#include "tests/control_lab.h"
#include "tests/suite.h"
#include "tests/temp.h"

/* Slow, dead and many clients. */

START_TEST(an_idle_client_is_closed)
{
	struct heard heard = {0};
	int fd;

	control_patience = (struct timeval){0, 50000};
	fd = client();
	hear_end(fd, &heard);
	ck_assert_uint_eq(heard.len, 0);
	forget(&heard);
	close(fd);
}
END_TEST

START_TEST(a_slow_writer_is_told_and_closed)
{
	struct heard heard = {0};
	int64_t begin;
	int fd;

	control_patience = (struct timeval){0, 100000};
	fd = client();
	begin = clock_ms();
	say(fd, "GET /hello HTTP/1.1\r\nX: ");
	/* Each byte in time, the whole never. */
	while (!heard.end && clock_ms() - begin < LIMIT_MS) {
		send(fd, "x", 1, MSG_NOSIGNAL);
		usleep(10000);
		hear(fd, &heard);
	}
	ck_assert(heard.end);
	assert_begins(&heard, "HTTP/1.1 408 ");
	ck_assert_int_eq(handled_count, 0);
	forget(&heard);
	close(fd);
}
END_TEST

START_TEST(a_slow_reader_of_a_large_reply_gets_all_of_it)
{
	struct heard heard = {0};
	int fd;

	control_patience = (struct timeval){0, 500000};
	fd = client();
	say(fd, "GET /big HTTP/1.1\r\n\r\n");
	/* Takes longer than the patience, but never stands still. */
	while (heard.len < BIG_BYTES) {
		ck_assert(!heard.end);
		hear(fd, &heard);
		usleep(8000);
	}
	forget(&heard);
	close(fd);
}
END_TEST

START_TEST(a_reader_that_stands_still_is_closed)
{
	struct heard heard = {0};
	int fd;

	control_patience = (struct timeval){0, 100000};
	fd = client();
	say(fd, "GET /big HTTP/1.1\r\n\r\n");
	for (int i = 0; i < 40; i++) {
		usleep(10000);
		turn();
	}
	hear_end(fd, &heard);
	ck_assert_uint_lt(heard.len, BIG_BYTES);
	forget(&heard);
	close(fd);
	assert_serves();
}
END_TEST

START_TEST(a_client_that_only_asks_and_never_reads_is_closed)
{
	int64_t limit = clock_ms() + LIMIT_MS;
	int fd = client();

	for (;;) {
		static const char request[] = "GET /big HTTP/1.1\r\n\r\n";

		ck_assert_int_lt(clock_ms(), limit);
		if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0 && errno == EPIPE)
			break;
		turn();
	}
	close(fd);
	assert_serves();
}
END_TEST

START_TEST(many_clients_are_served_at_once)
{
	struct heard heard[CONTROL_USER_CLIENTS] = {{0}};
	int fds[CONTROL_USER_CLIENTS];

	for (int i = 0; i < CONTROL_USER_CLIENTS; i++)
		fds[i] = client();
	/* One of them dead in the middle, one slow. */
	say(fds[0], "GET /hel");
	say(fds[1], "GET /stream HTTP/1.1\r\n\r\n");
	for (int i = 2; i < CONTROL_USER_CLIENTS; i++) {
		char *request = xasprintf("GET /hello?name=%d HTTP/1.1\r\n\r\n", i);

		say(fds[i], request);
		free(request);
	}
	for (int i = CONTROL_USER_CLIENTS - 1; i > 1; i--) {
		char *words = xasprintf("hello %d\n", i);

		hear_until(fds[i], &heard[i], words);
		free(words);
	}
	for (int i = 0; i < CONTROL_USER_CLIENTS; i++) {
		forget(&heard[i]);
		close(fds[i]);
	}
	settle();
	assert_serves();
}
END_TEST

/* Who connects while another user's rights are in force is that user. */
static int client_of(uid_t uid)
{
	int fd;

	ck_assert_int_eq(chmod(temp_dir, 0755), 0);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(seteuid(uid), 0);
	fd = client();
	ck_assert_int_eq(seteuid(0), 0);
	turn();
	return fd;
}

/* The answer to hello; then the client is gone. */
static struct heard hello(int fd)
{
	struct heard heard = {0};

	say(fd, "GET /hello HTTP/1.1\r\nConnection: close\r\n\r\n");
	hear_end(fd, &heard);
	close(fd);
	return heard;
}

static void assert_served(uid_t uid)
{
	struct heard heard = hello(client_of(uid));

	assert_begins(&heard, "HTTP/1.1 200 OK\r\n");
	forget(&heard);
}

static void assert_no_place(uid_t uid, const char *words)
{
	struct heard heard = hello(client_of(uid));

	assert_begins(&heard, "HTTP/1.1 503 Service Unavailable\r\n");
	assert_has(&heard, "{ \"error\": \"too many clients at once: ");
	assert_has(&heard, words);
	forget(&heard);
}

/* What may hold a place without ever ending by itself. */
static const char *const squatting[] = {"", "GET /hel", "GET /later HTTP/1.1\r\n\r\n",
					"GET /big HTTP/1.1\r\n\r\n"};

START_TEST(a_user_takes_no_place_from_another)
{
	struct heard heard = {0};
	int fds[CONTROL_USER_CLIENTS];

	for (int i = 0; i < CONTROL_USER_CLIENTS; i++) {
		fds[i] = client_of(1000);
		/* Of large replies only a few, which is another limit. */
		say(fds[i], squatting[i < 4 ? i : i % 3]);
	}
	assert_no_place(1000, "user 1000 has 64 connections here");
	assert_served(1001);
	assert_served(0);
	/* The others are not hurt, and one that leaves makes room. */
	say(fds[0], "GET /hello HTTP/1.1\r\n\r\n");
	hear_until(fds[0], &heard, "hello world");
	forget(&heard);
	close(fds[0]);
	settle();
	assert_served(1000);
	for (int i = 1; i < CONTROL_USER_CLIENTS; i++)
		close(fds[i]);
}
END_TEST

START_TEST(followers_leave_room_for_questions)
{
	static const char follow[] = "GET /stream HTTP/1.1\r\n\r\n";
	int fds[CONTROL_USER_CLIENTS];
	struct heard heard = {0};

	for (int i = 0; i < CONTROL_USER_STREAMS; i++) {
		fds[i] = client_of(1000);
		say(fds[i], follow);
		hear_until(fds[i], &heard, "first");
		forget(&heard);
	}
	for (int i = 0; i < 3; i++) {
		int fd = client_of(1000);

		say(fd, follow);
		hear_end(fd, &heard);
		assert_begins(&heard, "HTTP/1.1 503 Service Unavailable\r\n");
		assert_has(&heard, "{ \"error\": \"too many followers at once: user 1000 has 32 here");
		ck_assert_ptr_null(strstr(heard.text, "first"));
		/* Its handler hears of the end like any other's. */
		ck_assert_int_eq(gone_count, i + 1);
		forget(&heard);
		close(fd);
	}
	assert_served(1000);
	assert_served(0);
	for (int i = 0; i < CONTROL_USER_STREAMS; i++)
		close(fds[i]);
	TURN_UNTIL(gone_count == CONTROL_USER_STREAMS + 3);
}
END_TEST

START_TEST(a_crowd_keeps_out_neither_who_has_few_nor_root)
{
	int fds[CONTROL_MAX_CLIENTS], n = 0;
	uid_t uid = 1000;

	for (; n < CONTROL_MAX_CLIENTS - CONTROL_FOR_ROOT - CONTROL_FOR_FEW; n++)
		fds[n] = client_of(uid + n / CONTROL_USER_CLIENTS);
	assert_no_place(uid, "user 1000 has 64");
	fds[n++] = client_of(2000);
	assert_served(2000);
	for (int i = 1; i < CONTROL_FEW; i++)
		fds[n++] = client_of(2000);
	assert_no_place(2000, "connections; try again later");
	for (uid = 3000; n < CONTROL_MAX_CLIENTS - CONTROL_FOR_ROOT; uid++)
		fds[n++] = client_of(uid);
	assert_no_place(uid, "240 connections; try again later");
	while (n < CONTROL_MAX_CLIENTS) {
		assert_served(0);
		fds[n++] = client_of(0);
	}
	assert_no_place(0, "256 connections");
	while (n > 0)
		close(fds[--n]);
}
END_TEST

/* Far more than may be told slowly; nobody of them reads. */
START_TEST(those_who_get_no_place_take_none)
{
	int fds[CONTROL_USER_CLIENTS + 2 * CONTROL_MAX_REFUSED];
	const int n = sizeof(fds) / sizeof(fds[0]);

	for (int i = 0; i < n; i++)
		fds[i] = client_of(1000);
	assert_served(1001);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	settle();
	assert_served(1000);
}
END_TEST

START_TEST(who_reads_nothing_is_asked_to_before_he_asks_for_more)
{
	const int n = CONTROL_USER_BACKLOG / BIG_BYTES + 1;
	int fds[CONTROL_USER_BACKLOG / BIG_BYTES + 1];
	struct heard heard = {0};

	for (int i = 0; i < n; i++) {
		fds[i] = client_of(1000);
		say(fds[i], "GET /big HTTP/1.1\r\n\r\n");
		settle();
	}
	heard = hello(client_of(1000));
	assert_begins(&heard, "HTTP/1.1 503 ");
	assert_has(&heard, "user 1000 has 32 MiB of answers waiting here");
	forget(&heard);
	assert_served(1001);
	for (int i = 0; i < n; i++)
		close(fds[i]);
	settle();
	assert_served(1000);
}
END_TEST

START_TEST(running_out_of_descriptors_passes)
{
	struct rlimit limit, none;
	int fd = client();

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = fd + 1;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	settle();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	close(fd);
	assert_serves();
}
END_TEST

/* The socket's path. */

static void assert_no_control(const char *where, const char *words)
{
	memset(&err, 0, sizeof(err));
	ck_assert_ptr_null(control_new(base, where, routes, &base, &err));
	ck_assert_msg(strstr(err.message, words) && strstr(err.message, where), "\"%s\" lacks \"%s\"",
		      err.message, words);
	/* Who answers may be just ending. */
	ck_assert_int_eq(err.kind, strstr(words, "another apilbd") ? ERR_CONFLICT : ERR_PERMANENT);
}

START_TEST(only_owner_and_group_may_connect_whatever_the_umask)
{
	static const mode_t masks[] = {0, 022, 0777};

	for (int i = 0; i < 3; i++) {
		struct stat st;
		mode_t old;

		control_free(control);
		old = umask(masks[i]);
		start();
		ck_assert_int_eq(umask(old), masks[i]);
		ck_assert_int_eq(stat(path, &st), 0);
		ck_assert(S_ISSOCK(st.st_mode));
		ck_assert_int_eq(st.st_mode & 07777, 0660);
	}
}
END_TEST

START_TEST(a_socket_in_use_is_left_alone)
{
	assert_no_control(path, "another apilbd answers there");
	assert_serves();
}
END_TEST

START_TEST(a_socket_that_was_left_over_is_replaced)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	control_free(control);
	strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	close(fd);
	ck_assert_int_eq(access(path, F_OK), 0);
	start();
	assert_serves();
}
END_TEST

START_TEST(what_is_no_socket_is_never_removed)
{
	char *file = temp_path("file"), *link = temp_path("link"), *target = temp_path("target");
	struct stat st;

	write_text(file, "precious");
	assert_no_control(file, "is not a socket");
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_size, 8);
	assert_no_control(temp_dir, "is not a socket");
	ck_assert_int_eq(symlink(target, link), 0);
	assert_no_control(link, "is not a socket");
	ck_assert_int_eq(lstat(link, &st), 0);
	free(file);
	free(link);
	free(target);
}
END_TEST

START_TEST(a_path_that_cannot_be_is_refused_in_words)
{
	char *missing = temp_path("no/apilbd.sock"), name[200];
	char *longer;

	assert_no_control(missing, "its directory does not exist");
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	longer = temp_path(name);
	assert_no_control(longer, "too long: 107 bytes");
	free(longer);
	name[107 - strlen(temp_dir) - 1] = '\0';
	longer = temp_path(name);
	ck_assert_uint_eq(strlen(longer), 107);
	control_free(control);
	control = control_new(base, longer, routes, &base, &err);
	ck_assert_ptr_nonnull(control);
	free(path);
	path = longer;
	assert_serves();
	free(missing);
}
END_TEST

START_TEST(the_socket_of_a_successor_is_not_removed)
{
	struct control *old = control;

	/* Somebody takes the path away; another server begins there; then the old one ends. */
	ck_assert_int_eq(unlink(path), 0);
	start();
	control_free(old);
	assert_serves();
	control_free(NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control clients");
	TCase *clients = add_case(suite, "clients"), *paths = add_case(suite, "paths");

	ADD(clients, an_idle_client_is_closed, a_slow_writer_is_told_and_closed,
	    a_slow_reader_of_a_large_reply_gets_all_of_it, a_reader_that_stands_still_is_closed,
	    a_client_that_only_asks_and_never_reads_is_closed, many_clients_are_served_at_once,
	    a_user_takes_no_place_from_another, followers_leave_room_for_questions,
	    a_crowd_keeps_out_neither_who_has_few_nor_root, those_who_get_no_place_take_none,
	    who_reads_nothing_is_asked_to_before_he_asks_for_more, running_out_of_descriptors_passes);
	ADD(paths, only_owner_and_group_may_connect_whatever_the_umask, a_socket_in_use_is_left_alone,
	    a_socket_that_was_left_over_is_replaced, what_is_no_socket_is_never_removed,
	    a_path_that_cannot_be_is_refused_in_words, the_socket_of_a_successor_is_not_removed);
	return suite_run(suite);
}
