/* Floor 2: openings of streams, against sockets of this process. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/stream/stream.h"
#include "tests/suite.h"

static struct event_base *base;
static struct evdns_base *dns;
static char directory[] = "/tmp/check_stream.XXXXXX";
static char path[64];

static int calls;
static struct bufferevent *stream;
static struct err error;

static void opened(void *arg, struct bufferevent *s, const struct err *err)
{
	ck_assert_ptr_eq(arg, &calls);
	calls++;
	stream = s;
	if (err)
		error = *err;
	event_base_loopbreak(base);
}

static void setup(void)
{
	base = event_base_new();
	dns = evdns_base_new(base, 0);
	strcpy(directory + strlen(directory) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	calls = 0;
	stream = NULL;
	memset(&error, 0, sizeof(error));
}

static void teardown(void)
{
	if (stream)
		bufferevent_free(stream);
	/* What was cancelled lets go of the resolver in the loop only: before the resolver goes. */
	event_base_loop(base, EVLOOP_NONBLOCK);
	evdns_base_free(dns, 0);
	event_base_free(base);
	unlink(path);
	rmdir(directory);
}

static int listen_unix(int backlog)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (backlog >= 0)
		ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

static int listen_tcp(int family, uint16_t *port, bool listening)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	socklen_t len = family == AF_INET ? sizeof(v4) : sizeof(v6);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, address, len), 0);
	ck_assert_int_eq(getsockname(fd, address, &len), 0);
	*port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
	if (listening)
		ck_assert_int_eq(listen(fd, 5), 0);
	return fd;
}

static void wait_for_callback(void)
{
	ck_assert_int_eq(calls, 0); /* never from within the call */
	event_base_dispatch(base);
	ck_assert_int_eq(calls, 1);
}

static void assert_carries_bytes(int listener)
{
	char buf[8] = "";
	int peer = accept(listener, NULL, NULL);

	ck_assert_ptr_nonnull(stream);
	ck_assert_int_eq(bufferevent_get_enabled(stream) & EV_READ, 0);
	bufferevent_write(stream, "hello", 5);
	for (int i = 0; i < 100 && evbuffer_get_length(bufferevent_get_output(stream)); i++)
		event_base_loop(base, EVLOOP_ONCE);
	ck_assert_int_eq(read(peer, buf, sizeof(buf)), 5);
	ck_assert_str_eq(buf, "hello");
	close(peer);
	close(listener);
}

START_TEST(a_unix_socket_is_opened)
{
	int listener = listen_unix(5);

	stream_open_unix(base, path, 1000, opened, &calls);
	wait_for_callback();
	assert_carries_bytes(listener);
}
END_TEST

START_TEST(a_numeric_address_needs_no_resolver)
{
	uint16_t port;
	int listener = listen_tcp(AF_INET, &port, true), value = 0;
	socklen_t len = sizeof(value);

	stream_open_tcp(base, NULL, "127.0.0.1", port, 1000, opened, &calls);
	wait_for_callback();
	ck_assert_int_eq(getsockopt(bufferevent_getfd(stream), IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
	ck_assert_int_ne(value, 0);
	assert_carries_bytes(listener);
}
END_TEST

/* A name with several addresses, as a hosts file gives them. */
static void name_hosts(const char *text)
{
	char hosts[80];
	FILE *f;

	snprintf(hosts, sizeof(hosts), "%s/hosts", directory);
	f = fopen(hosts, "w");
	fputs(text, f);
	fclose(f);
	ck_assert_int_eq(evdns_base_load_hosts(dns, hosts), 0);
	unlink(hosts);
}

START_TEST(every_address_of_a_name_is_tried)
{
	uint16_t port;
	int listener = listen_tcp(AF_INET, &port, true);

	name_hosts("127.0.0.7 twofold\n127.0.0.1 twofold\n");
	stream_open_tcp(base, dns, "twofold", port, 1000, opened, &calls);
	wait_for_callback();
	assert_carries_bytes(listener);
}
END_TEST

START_TEST(the_failures_of_all_addresses_are_told)
{
	char message[200];
	uint16_t port;
	int silent = listen_tcp(AF_INET, &port, false);

	name_hosts("127.0.0.7 twofold\n127.0.0.1 twofold\n");
	stream_open_tcp(base, dns, "twofold", port, 1000, opened, &calls);
	wait_for_callback();
	ck_assert_ptr_null(stream);
	ck_assert_int_eq(error.kind, ERR_UNREACHABLE);
	/* The hosts file's addresses come in any order. */
	snprintf(message, sizeof(message), "twofold port %u: 127.0.0.", port);
	ck_assert_int_eq(strncmp(error.message, message, strlen(message)), 0);
	ck_assert_ptr_nonnull(strstr(error.message, "127.0.0.1: connection refused"));
	ck_assert_ptr_nonnull(strstr(error.message, "127.0.0.7: connection refused"));
	close(silent);
}
END_TEST

START_TEST(a_refused_connection)
{
	char message[200];
	uint16_t port;
	int silent = listen_tcp(AF_INET, &port, false);

	stream_open_tcp(base, dns, "127.0.0.1", port, 1000, opened, &calls);
	wait_for_callback();
	snprintf(message, sizeof(message), "127.0.0.1 port %u: connection refused", port);
	ck_assert_str_eq(error.message, message);
	ck_assert_int_eq(error.kind, ERR_UNREACHABLE);
	close(silent);
}
END_TEST

START_TEST(a_name_without_a_resolver_is_not_found)
{
	stream_open_tcp(base, NULL, "some.name", 22, 1000, opened, &calls);
	wait_for_callback();
	ck_assert_str_eq(error.message, "some.name port 22: name not found");
}
END_TEST

START_TEST(a_full_queue_of_a_port_times_out)
{
	char message[200];
	uint16_t port;
	int full = listen_tcp(AF_INET, &port, false), fillers[4];
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};

	listen(full, 0);
	for (int i = 0; i < 4; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fillers[i], (struct sockaddr *)&address, sizeof(address));
	}
	stream_open_tcp(base, dns, "127.0.0.1", port, 200, opened, &calls);
	wait_for_callback();
	snprintf(message, sizeof(message), "127.0.0.1 port %u: timed out while connecting", port);
	ck_assert_str_eq(error.message, message);
	for (int i = 0; i < 4; i++)
		close(fillers[i]);
	close(full);
}
END_TEST

START_TEST(a_full_queue_of_a_unix_socket)
{
	int full = listen_unix(0);

	for (int i = 0; i < 3 && !error.message[0]; i++) {
		calls = 0;
		if (stream)
			bufferevent_free(stream);
		stream_open_unix(base, path, 1000, opened, &calls);
		wait_for_callback();
	}
	ck_assert_ptr_nonnull(strstr(error.message, ": its queue of connections is full"));
	close(full);
}
END_TEST

START_TEST(a_unix_socket_that_is_not_there)
{
	char message[200];

	stream_open_unix(base, path, 1000, opened, &calls);
	wait_for_callback();
	snprintf(message, sizeof(message), "%s: no such file or directory", path);
	ck_assert_str_eq(error.message, message);
}
END_TEST

START_TEST(a_unix_socket_that_nobody_listens_on)
{
	char message[200];

	close(listen_unix(-1));
	stream_open_unix(base, path, 1000, opened, &calls);
	wait_for_callback();
	snprintf(message, sizeof(message), "%s: connection refused", path);
	ck_assert_str_eq(error.message, message);
}
END_TEST

START_TEST(a_unix_socket_that_is_not_for_us)
{
	char message[200];
	int listener = listen_unix(5);

	chmod(path, 0600);
	chmod(directory, 0755);
	/* Root may everything; each test runs in a process of its own. */
	if (geteuid() == 0)
		ck_assert_int_eq(seteuid(65534), 0);
	else
		chmod(path, 0);
	stream_open_unix(base, path, 1000, opened, &calls);
	wait_for_callback();
	ck_assert_int_eq(seteuid(getuid()), 0);
	snprintf(message, sizeof(message), "%s: permission denied", path);
	ck_assert_str_eq(error.message, message);
	close(listener);
}
END_TEST

START_TEST(a_path_that_is_too_long)
{
	char longer[300];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	stream_open_unix(base, longer, 1000, opened, &calls);
	wait_for_callback();
	ck_assert_ptr_nonnull(strstr(error.message, ": File name too long"));
}
END_TEST

START_TEST(nothing_comes_of_a_cancelled_opening)
{
	struct stream_opening *opening;
	uint16_t port;
	int listener = listen_tcp(AF_INET, &port, true);

	stream_open_cancel(NULL);
	opening = stream_open_tcp(base, dns, "127.0.0.1", port, 1000, opened, &calls);
	stream_open_cancel(opening);
	/* Under way. */
	opening = stream_open_tcp(base, dns, "127.0.0.1", port, 1000, opened, &calls);
	event_base_loop(base, EVLOOP_NONBLOCK);
	if (calls == 0)
		stream_open_cancel(opening);
	calls = 0;
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_int_eq(calls, 0);
	close(listener);
}
END_TEST

/* A name server that never answers. */
static int silent_name_server(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	getsockname(fd, (struct sockaddr *)&address, &len);
	ck_assert_int_eq(evdns_base_nameserver_sockaddr_add(dns, (struct sockaddr *)&address, len, 0), 0);
	return fd;
}

START_TEST(a_silent_name_server_times_out)
{
	int server = silent_name_server();
	struct stream_opening *opening = stream_open_tcp(base, dns, "some.name", 22, 200, opened, &calls);

	ck_assert_str_eq(stream_open_phase(opening), "resolving");
	wait_for_callback();
	ck_assert_str_eq(error.message, "some.name port 22: timed out while looking up the name");
	close(server);
}
END_TEST

START_TEST(a_look_up_may_be_cancelled)
{
	int server = silent_name_server();

	stream_open_cancel(stream_open_tcp(base, dns, "some.name", 22, 200, opened, &calls));
	event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert_int_eq(calls, 0);
	close(server);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_unix_socket_is_opened,
		a_numeric_address_needs_no_resolver,
		every_address_of_a_name_is_tried,
		the_failures_of_all_addresses_are_told,
		a_refused_connection,
		a_name_without_a_resolver_is_not_found,
		a_full_queue_of_a_port_times_out,
		a_full_queue_of_a_unix_socket,
		a_unix_socket_that_is_not_there,
		a_unix_socket_that_nobody_listens_on,
		a_unix_socket_that_is_not_for_us,
		a_path_that_is_too_long,
		nothing_comes_of_a_cancelled_opening,
		a_silent_name_server_times_out,
		a_look_up_may_be_cancelled,
	};
	Suite *suite = suite_create("stream");
	TCase *openings = tcase_create("openings");

	tcase_add_checked_fixture(openings, setup, teardown);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(openings, tests[i]);
	suite_add_tcase(suite, openings);
	return suite_run(suite);
}
