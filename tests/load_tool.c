/*
 * Load, and what stands behind it: many connections through a balancer, each of
 * which counts, for little of the machine's time.
 *
 *   load_tool serve CERTIFICATE KEY ADDRESS:PORT...
 *   load_tool load ADDRESS:PORT [--rate N] [--long N] [--timeout MS] [--seconds N]
 *
 * `serve` stands for API servers: it echoes what it gets, and answers a health
 * check, in TLS as the checks come or in plain text. It tells them by their
 * first byte (RFC 8446, 5.1: 22 begins a handshake) and by "GET ".
 *
 * `load` opens RATE new connections a second (connect, send a line, read its
 * echo, close) and holds LONG others, on each of which a line goes every 100 ms
 * and must come back within the timeout; one that is cut is made anew. Until
 * SIGTERM or SIGINT, or for SECONDS; then it waits for what is under way and
 * prints one JSON object:
 *
 *   new   opened, answered; refused, reset (also: closed without an answer),
 *         unanswered (within the timeout), other; worst_ms of those answered
 *   long  kept, lines (that came back), cut, worst_gap_ms between two echoes
 *   failures   the first of them: at_ms since the start, what
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <getopt.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/mem.h"
#include "daemon/io/clock.h"

#define TLS_HANDSHAKE 22
#define BACKLOG 4096
#define TICK_MS 2
#define LINE_INTERVAL_MS 100
#define RECONNECT_MS 20
#define MAX_UNDER_WAY 8000
#define MAX_FAILURES_TOLD 50

static void die(const char *what)
{
	fprintf(stderr, "load_tool: %s\n", what);
	exit(2);
}

static struct sockaddr_storage parse_address(const char *text, int *len)
{
	struct sockaddr_storage address = {0};

	*len = sizeof(address);
	if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&address, len) != 0)
		die("ADDRESS:PORT is wanted");
	return address;
}

/* serve */

struct server {
	struct event_base *base;
	SSL_CTX *tls;
};

static void on_peer_gone(struct bufferevent *peer, short what, void *arg)
{
	(void)arg;
	/* TLS tells that the handshake is done by the same way. */
	if (!(what & BEV_EVENT_CONNECTED))
		bufferevent_free(peer);
}

static void on_peer_data(struct bufferevent *peer, void *arg)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
	struct evbuffer *input = bufferevent_get_input(peer);
	const char *begin = (const char *)evbuffer_pullup(input, 4);
	struct evbuffer_ptr end;

	(void)arg;
	if (!begin || memcmp(begin, "GET ", 4) != 0) {
		bufferevent_write_buffer(peer, input);
		return;
	}
	end = evbuffer_search(input, "\r\n\r\n", 4, NULL);
	if (end.pos < 0)
		return;
	evbuffer_drain(input, (size_t)end.pos + 4);
	bufferevent_write(peer, ok, sizeof(ok) - 1);
}

/* One that has not said anything yet. */
struct newcomer {
	struct server *server;
	struct event *first_byte;
};

static void on_first_byte(evutil_socket_t fd, short what, void *arg)
{
	struct newcomer *newcomer = arg;
	struct server *server = newcomer->server;
	struct bufferevent *peer = NULL;
	char first;

	(void)what;
	event_free(newcomer->first_byte);
	free(newcomer);
	if (recv(fd, &first, 1, MSG_PEEK) != 1)
		close(fd);
	else if (first == TLS_HANDSHAKE)
		peer = bufferevent_openssl_socket_new(server->base, fd, SSL_new(server->tls),
						      BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	else
		peer = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!peer)
		return;
	bufferevent_setcb(peer, on_peer_data, NULL, on_peer_gone, NULL);
	bufferevent_enable(peer, EV_READ | EV_WRITE);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len,
		      void *arg)
{
	struct newcomer *newcomer = xcalloc(1, sizeof(*newcomer));

	(void)listener, (void)from, (void)len;
	newcomer->server = arg;
	newcomer->first_byte = event_new(newcomer->server->base, fd, EV_READ, on_first_byte, newcomer);
	event_add(newcomer->first_byte, NULL);
}

static int serve(struct event_base *base, int argc, char **argv)
{
	struct server server = {.base = base, .tls = SSL_CTX_new(TLS_server_method())};

	if (argc < 3 || SSL_CTX_use_certificate_chain_file(server.tls, argv[0]) != 1 ||
	    SSL_CTX_use_PrivateKey_file(server.tls, argv[1], SSL_FILETYPE_PEM) != 1)
		die("serve CERTIFICATE KEY ADDRESS:PORT...");
	for (int i = 2; i < argc; i++) {
		int len;
		struct sockaddr_storage address = parse_address(argv[i], &len);

		if (!evconnlistener_new_bind(base, on_accept, &server,
					     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, BACKLOG,
					     (struct sockaddr *)&address, len))
			die(strerror(errno));
		printf("%s listens\n", argv[i]);
	}
	fflush(stdout);
	event_base_dispatch(base);
	return 0;
}

/* load */

enum outcome { ANSWERED, REFUSED, RESET, UNANSWERED, OTHER, OUTCOMES };
static const char *const outcome_names[OUTCOMES] = {"answered", "refused", "reset", "unanswered", "other"};

struct load {
	struct event_base *base;
	struct sockaddr_storage target;
	int target_len;
	int64_t rate, long_n, timeout_ms, seconds;

	int64_t began_ms;
	struct event *tick, *end;
	struct timeval timeout;
	bool ending;
	int64_t opened, under_way, worst_ms;
	int64_t outcomes[OUTCOMES];
	struct watch *watches;
	int64_t lines, cut, worst_gap_ms;
	struct json_object *failures;
};

static void note_failure(struct load *load, const char *kind, const char *what)
{
	struct json_object *row;

	if (json_object_array_length(load->failures) >= MAX_FAILURES_TOLD)
		return;
	row = json_object_new_object();
	json_object_object_add(row, "at_ms", json_object_new_int64(clock_ms() - load->began_ms));
	json_object_object_add(row, "kind", json_object_new_string(kind));
	json_object_object_add(row, "what", json_object_new_string(what));
	json_object_array_add(load->failures, row);
}

static enum outcome outcome_of(short what)
{
	if (what & BEV_EVENT_TIMEOUT)
		return UNANSWERED;
	if (what & BEV_EVENT_EOF)
		return RESET;
	switch (EVUTIL_SOCKET_ERROR()) {
	case ECONNREFUSED:
		return REFUSED;
	case ECONNRESET:
	case EPIPE:
		return RESET;
	case ETIMEDOUT:
		return UNANSWERED;
	default:
		return OTHER;
	}
}

static const char *failure_text(short what)
{
	if (what & BEV_EVENT_TIMEOUT)
		return what & BEV_EVENT_READING ? "no answer" : "no connection";
	return what & BEV_EVENT_EOF ? "closed" : evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR());
}

static struct bufferevent *dial(struct load *load, bufferevent_data_cb on_data, bufferevent_event_cb on_event,
				void *arg)
{
	struct bufferevent *stream = bufferevent_socket_new(load->base, -1, BEV_OPT_CLOSE_ON_FREE);

	/* Connecting is timed as writing; and an echo is awaited from the start. */
	bufferevent_set_timeouts(stream, &load->timeout, &load->timeout);
	bufferevent_setcb(stream, on_data, NULL, on_event, arg);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	return stream;
}

/* New connections. */

struct visit {
	struct load *load;
	struct bufferevent *stream;
	int64_t began_ms;
};

static const char line[] = "are you there?\n";

static void load_ended(struct load *load)
{
	if (load->ending && load->under_way == 0)
		event_base_loopbreak(load->base);
}

static void visit_over(struct visit *visit, enum outcome outcome)
{
	struct load *load = visit->load;
	int64_t took_ms = clock_ms() - visit->began_ms;

	load->outcomes[outcome]++;
	load->under_way--;
	if (outcome == ANSWERED && took_ms > load->worst_ms)
		load->worst_ms = took_ms;
	bufferevent_free(visit->stream);
	free(visit);
	load_ended(load);
}

static void on_visit_data(struct bufferevent *stream, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(stream);

	if (evbuffer_get_length(input) < sizeof(line) - 1)
		return;
	visit_over(arg, memcmp(evbuffer_pullup(input, sizeof(line) - 1), line, sizeof(line) - 1) == 0
				? ANSWERED
				: OTHER);
}

static void on_visit_event(struct bufferevent *stream, short what, void *arg)
{
	struct visit *visit = arg;
	enum outcome outcome;

	(void)stream;
	if (what & BEV_EVENT_CONNECTED)
		return;
	outcome = outcome_of(what);
	note_failure(visit->load, outcome_names[outcome], failure_text(what));
	visit_over(visit, outcome);
}

static void open_visit(struct load *load)
{
	struct visit *visit = xcalloc(1, sizeof(*visit));

	*visit = (struct visit){.load = load, .began_ms = clock_ms()};
	load->opened++;
	load->under_way++;
	visit->stream = dial(load, on_visit_data, on_visit_event, visit);
	bufferevent_write(visit->stream, line, sizeof(line) - 1);
	/* It may fail at once, and tells so by the callback. */
	bufferevent_socket_connect(visit->stream, (struct sockaddr *)&load->target, load->target_len);
}

/* Long ones. */

struct watch {
	struct load *load;
	struct bufferevent *stream;
	struct event *timer; /* the next line, or the next attempt */
	int64_t echoed_ms;   /* when a line last came back; 0: none on this connection */
};

static void on_watch_data(struct bufferevent *stream, void *arg)
{
	struct watch *watch = arg;
	struct load *load = watch->load;
	struct evbuffer *input = bufferevent_get_input(stream);
	int64_t now_ms = clock_ms();

	while (evbuffer_get_length(input) >= sizeof(line) - 1) {
		evbuffer_drain(input, sizeof(line) - 1);
		load->lines++;
	}
	if (watch->echoed_ms && now_ms - watch->echoed_ms > load->worst_gap_ms)
		load->worst_gap_ms = now_ms - watch->echoed_ms;
	watch->echoed_ms = now_ms;
}

static void wake_after(struct watch *watch, int64_t ms)
{
	struct timeval delay = clock_timeval(ms);

	evtimer_add(watch->timer, &delay);
}

static void on_watch_event(struct bufferevent *stream, short what, void *arg)
{
	struct watch *watch = arg;
	struct load *load = watch->load;

	if (what & BEV_EVENT_CONNECTED)
		return;
	/* One that was never through is an attempt to come back: the cut has been counted. */
	if (watch->echoed_ms) {
		load->cut++;
		note_failure(load, "cut", failure_text(what));
	}
	watch->stream = NULL;
	bufferevent_free(stream);
	wake_after(watch, RECONNECT_MS);
}

static void on_watch_timer(evutil_socket_t fd, short what, void *arg)
{
	struct watch *watch = arg;
	struct load *load = watch->load;

	(void)fd, (void)what;
	if (load->ending)
		return;
	wake_after(watch, LINE_INTERVAL_MS);
	if (watch->stream) {
		bufferevent_write(watch->stream, line, sizeof(line) - 1);
		return;
	}
	watch->echoed_ms = 0;
	watch->stream = dial(load, on_watch_data, on_watch_event, watch);
	bufferevent_write(watch->stream, line, sizeof(line) - 1);
	bufferevent_socket_connect(watch->stream, (struct sockaddr *)&load->target, load->target_len);
}

static void start_watches(struct load *load)
{
	load->watches = xcalloc((size_t)load->long_n, sizeof(*load->watches));
	for (int64_t i = 0; i < load->long_n; i++) {
		struct watch *watch = &load->watches[i];

		watch->load = load;
		watch->timer = evtimer_new(load->base, on_watch_timer, watch);
		wake_after(watch, i * LINE_INTERVAL_MS / load->long_n);
	}
}

/* Beginning and end. */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct load *load = arg;
	int64_t due = load->rate * (clock_ms() - load->began_ms) / 1000;

	(void)fd, (void)what;
	/* Behind the clock it catches up: the rate is a promise. */
	while (!load->ending && load->opened < due && load->under_way < MAX_UNDER_WAY)
		open_visit(load);
}

static void on_end(evutil_socket_t sig, short what, void *arg)
{
	struct load *load = arg;

	(void)sig, (void)what;
	load->ending = true;
	load_ended(load);
}

static void report(const struct load *load)
{
	struct json_object *all = json_object_new_object(), *new = json_object_new_object(),
			   *long_ones = json_object_new_object();
	int64_t kept = 0;

	for (int64_t i = 0; i < load->long_n; i++)
		kept += load->watches[i].stream && load->watches[i].echoed_ms;
	json_object_object_add(new, "opened", json_object_new_int64(load->opened));
	for (int i = 0; i < OUTCOMES; i++)
		json_object_object_add(new, outcome_names[i], json_object_new_int64(load->outcomes[i]));
	json_object_object_add(new, "worst_ms", json_object_new_int64(load->worst_ms));
	json_object_object_add(long_ones, "kept", json_object_new_int64(kept));
	json_object_object_add(long_ones, "lines", json_object_new_int64(load->lines));
	json_object_object_add(long_ones, "cut", json_object_new_int64(load->cut));
	json_object_object_add(long_ones, "worst_gap_ms", json_object_new_int64(load->worst_gap_ms));
	json_object_object_add(all, "ms", json_object_new_int64(clock_ms() - load->began_ms));
	json_object_object_add(all, "new", new);
	json_object_object_add(all, "long", long_ones);
	json_object_object_add(all, "failures", json_object_get(load->failures));
	puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN));
	json_object_put(all);
}

static void parse_load(struct load *load, int argc, char **argv)
{
	static const struct option options[] = {{"rate", required_argument, NULL, 'r'},
						{"long", required_argument, NULL, 'l'},
						{"timeout", required_argument, NULL, 't'},
						{"seconds", required_argument, NULL, 's'},
						{0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		int64_t *value = option == 'r'   ? &load->rate
				 : option == 'l' ? &load->long_n
				 : option == 't' ? &load->timeout_ms
				 : option == 's' ? &load->seconds
						 : NULL;

		if (!value)
			exit(2);
		*value = atoll(optarg);
	}
	if (optind != argc - 1)
		die("load ADDRESS:PORT is wanted");
	load->target = parse_address(argv[optind], &load->target_len);
}

static int generate(struct event_base *base, int argc, char **argv)
{
	struct load load = {.base = base, .rate = 1000, .long_n = 200, .timeout_ms = 5000};
	struct timeval every = clock_timeval(TICK_MS), for_long;

	parse_load(&load, argc, argv);
	load.timeout = clock_timeval(load.timeout_ms);
	load.failures = json_object_new_array();
	load.began_ms = clock_ms();
	load.tick = event_new(base, -1, EV_PERSIST, on_tick, &load);
	event_add(load.tick, &every);
	event_add(evsignal_new(base, SIGTERM, on_end, &load), NULL);
	event_add(evsignal_new(base, SIGINT, on_end, &load), NULL);
	load.end = evtimer_new(base, on_end, &load);
	for_long = clock_timeval(load.seconds * 1000);
	if (load.seconds)
		evtimer_add(load.end, &for_long);
	start_watches(&load);
	event_base_dispatch(base);
	report(&load);
	return 0;
}

int main(int argc, char **argv)
{
	struct event_base *base = event_base_new();
	struct rlimit limit;

	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (argc > 1 && strcmp(argv[1], "serve") == 0)
		return serve(base, argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "load") == 0)
		return generate(base, argc - 1, argv + 1);
	die("serve or load");
	return 2;
}
