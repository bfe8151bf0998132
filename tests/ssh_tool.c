/*
 * Drives daemon/io/ssh/ssh.h for tests/integration/test_ssh.py: connects as told on
 * its command line, does one thing, prints one line.
 *
 *     ssh_tool [do=WHAT] [NAME=VALUE...] address=A port=P ... [jump address=A port=P ...]...
 *
 * Output: "ok NAME=VALUE...", or "error KIND MESSAGE".
 */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/io/ssh/ssh.h"
#include "daemon/io/ssh/ssh_secret.h"

static struct {
	const char *what;
	const char *known_hosts, *agent, *socket, *tcp_host;
	long tcp_port, bytes, channels, sessions, timeout_ms, pause_ms, seed;
	struct ssh_settings ssh[8]; /* each is the jump of the one before */
	int hops;
} opt = {.what = "connect", .bytes = 1000, .channels = 1, .sessions = 1, .timeout_ms = 5000, .seed = 1};

static struct event_base *base;
static struct ssh_context context;
static struct ssh **sessions;
static long sessions_ready, streams_open, streams_done;
static long long total_bytes;
static int exit_code;

static void finish(void)
{
	event_base_loopbreak(base);
}

static void fail(const struct err *err)
{
	printf("error %s %s\n", err_kind_name(err->kind), err->message);
	exit_code = 1;
	finish();
}

static void failed(const char *why)
{
	struct err err;

	err_set(&err, ERR_PERMANENT, "%s", why);
	fail(&err);
}

static long cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
	       usage.ru_stime.tv_usec;
}

static long rss_kb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (!f || fscanf(f, "%*s %ld", &pages) != 1)
		abort();
	fclose(f);
	return pages * 4;
}

/* The most it ever was: of this program, not of the one that forked it. */
static long peak_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "VmHWM: %ld", &kb) != 1)
		;
	if (f)
		fclose(f);
	return kb;
}

/* --- echo: sends a pattern, closes its side, wants it all back, then the end --- */

struct echo {
	long n;
	long sent, received;
};

static unsigned char pattern(long channel, long i)
{
	return (unsigned char)(i * 7 + i / 251 + channel);
}

static void echo_write(struct bufferevent *stream, void *arg)
{
	struct echo *e = arg;
	unsigned char chunk[16384];
	long n = opt.bytes - e->sent;

	if (e->sent == opt.bytes && e->sent > 0)
		return;
	n = n < (long)sizeof(chunk) ? n : (long)sizeof(chunk);
	for (long i = 0; i < n; i++)
		chunk[i] = pattern(e->n, e->sent + i);
	e->sent += n;
	bufferevent_write(stream, chunk, n);
	if (e->sent == opt.bytes)
		bufferevent_flush(stream, EV_WRITE, BEV_FINISHED);
}

static void echo_read(struct bufferevent *stream, void *arg)
{
	struct echo *e = arg;
	unsigned char chunk[16384];
	int n;

	while ((n = bufferevent_read(stream, chunk, sizeof(chunk))) > 0) {
		for (int i = 0; i < n; i++)
			if (chunk[i] != pattern(e->n, e->received + i))
				failed("the bytes that came back are others");
		e->received += n;
		total_bytes += n;
	}
}

static void echo_end(struct bufferevent *stream, short what, void *arg)
{
	struct echo *e = arg;
	struct err err;

	echo_read(stream, e);
	bufferevent_free(stream);
	if (!(what & BEV_EVENT_EOF) || e->received != opt.bytes) {
		err_set(&err, ERR_TRANSIENT, "stream ended with %s after %ld of %ld bytes",
			what & BEV_EVENT_EOF ? "EOF" : "an error", e->received, opt.bytes);
		fail(&err);
	} else if (++streams_done == opt.channels * opt.sessions) {
		printf("ok bytes=%lld cpu_us=%ld rss_kb=%ld\n", total_bytes, cpu_us(), rss_kb());
		finish();
	}
	free(e);
}

static void echo_start(struct bufferevent *stream)
{
	static long n;
	struct echo *e = xcalloc(1, sizeof(*e));

	e->n = n++;
	bufferevent_setcb(stream, echo_read, echo_write, echo_end, e);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	echo_write(stream, e);
}

/* --- slow: reads nothing for pause_ms, says what that cost in memory, then reads all --- */

static long rss_before_kb, rss_paused_kb;
static struct bufferevent *slow_stream;

static void slow_read(struct bufferevent *stream, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(stream);

	(void)arg;
	total_bytes += evbuffer_get_length(input);
	evbuffer_drain(input, evbuffer_get_length(input));
}

static void slow_end(struct bufferevent *stream, short what, void *arg)
{
	slow_read(stream, arg);
	bufferevent_free(stream);
	printf("ok bytes=%lld end=%s grew_kb=%ld\n", total_bytes, what & BEV_EVENT_EOF ? "eof" : "error",
	       rss_paused_kb - rss_before_kb);
	finish();
}

static void slow_go_on(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	rss_paused_kb = rss_kb();
	bufferevent_enable(slow_stream, EV_READ);
}

static void slow_start(struct bufferevent *stream)
{
	struct timeval pause = clock_timeval(opt.pause_ms);

	rss_before_kb = rss_kb();
	slow_stream = stream;
	bufferevent_setcb(stream, slow_read, NULL, slow_end, NULL);
	bufferevent_setwatermark(stream, EV_READ, 0, 65536);
	event_base_once(base, -1, EV_TIMEOUT, slow_go_on, NULL, &pause);
}

/* --- flood: writes bytes to a peer that does not read for a while; what waits, waits in our own half --- */

static void flood_write(struct bufferevent *stream, void *arg)
{
	bufferevent_free(stream);
	(void)arg;
	printf("ok bytes=%ld grew_kb=%ld\n", opt.bytes, rss_paused_kb - rss_before_kb);
	finish();
}

static void flood_end(struct bufferevent *stream, short what, void *arg)
{
	(void)stream;
	(void)what;
	(void)arg;
	failed("stream ended");
}

static void flood_measure(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	rss_paused_kb = rss_kb();
}

static void flood_free(const void *data, size_t len, void *arg)
{
	(void)len;
	(void)arg;
	free((void *)data);
}

static void flood_start(struct bufferevent *stream)
{
	struct timeval pause = clock_timeval(opt.pause_ms);
	char *data = xcalloc(1, opt.bytes);

	memset(data, 'x', opt.bytes);
	bufferevent_setcb(stream, NULL, flood_write, flood_end, NULL);
	bufferevent_enable(stream, EV_WRITE);
	/* By reference: the bytes themselves are here before we measure. */
	evbuffer_add_reference(bufferevent_get_output(stream), data, opt.bytes, flood_free, NULL);
	rss_before_kb = rss_kb();
	event_base_once(base, -1, EV_TIMEOUT, flood_measure, NULL, &pause);
}

/* --- hold: keeps streams open, and waits for the session to be lost --- */

static int64_t held_since_ms;
static char held_ends[64];

static void hold_end(struct bufferevent *stream, short what, void *arg)
{
	(void)arg;
	strcat(held_ends, what & BEV_EVENT_ERROR ? "E" : "F");
	bufferevent_free(stream);
}

static void hold_start(struct bufferevent *stream)
{
	bufferevent_setcb(stream, NULL, NULL, hold_end, NULL);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	if (streams_open == opt.channels) {
		held_since_ms = clock_ms();
		printf("held\n");
		fflush(stdout);
	}
}

/* --- free: reads one byte, and frees its stream from the callback --- */

static void free_read(struct bufferevent *stream, void *arg)
{
	(void)arg;
	bufferevent_free(stream);
	if (++streams_done == opt.channels * opt.sessions) {
		printf("ok freed=%ld\n", streams_done);
		finish();
	}
}

static void free_end(struct bufferevent *stream, short what, void *arg)
{
	(void)what;
	(void)stream;
	(void)arg;
	failed("stream ended");
}

static void free_start(struct bufferevent *stream)
{
	bufferevent_setcb(stream, free_read, NULL, free_end, NULL);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	bufferevent_write(stream, "x", 1);
}

/* --- churn: opens, cancels, frees streams and sessions in every order --- */

static long churn_left;
static void churn(evutil_socket_t fd, short what, void *arg);
static struct stream_opening *churn_opening[8];
static struct bufferevent *churn_stream[8];

static void churn_opened(void *arg, struct bufferevent *stream, const struct err *err)
{
	long i = (long)(intptr_t)arg;

	(void)err;
	churn_opening[i] = NULL;
	churn_stream[i] = stream;
	if (stream) {
		bufferevent_enable(stream, EV_READ | EV_WRITE);
		bufferevent_write(stream, "hello", 5);
	}
	if (random() % 20 == 0) {
		ssh_free(sessions[0]); /* from within its own callback */
		sessions[0] = NULL;
	}
}

static void churn_drop(long i)
{
	stream_open_cancel(churn_opening[i]);
	churn_opening[i] = NULL;
	if (churn_stream[i])
		bufferevent_free(churn_stream[i]);
	churn_stream[i] = NULL;
}

static void churn_closed(void *arg, const struct err *err)
{
	(void)arg;
	(void)err;
	ssh_free(sessions[0]);
	sessions[0] = NULL;
}

static void churn_ready(void *arg)
{
	(void)arg;
}

static void churn_session_gone(void)
{
	/* Openings have died with their session; streams are still ours. */
	for (long i = 0; i < 8; i++) {
		churn_opening[i] = NULL;
		if (random() % 2)
			churn_drop(i);
	}
}

static void churn(evutil_socket_t fd, short what, void *arg)
{
	struct ssh_callbacks callbacks = {churn_ready, churn_closed, NULL};
	struct timeval soon = {.tv_usec = random() % 3000};
	long i = random() % 8;

	(void)fd;
	(void)what;
	(void)arg;
	if (churn_left-- == 0) {
		for (i = 0; i < 8; i++)
			churn_drop(i);
		printf("ok churned=%ld\n", opt.bytes);
		finish();
		return;
	}
	if (!sessions[0]) {
		churn_session_gone();
		sessions[0] = ssh_connect(&context, &opt.ssh[0], &callbacks);
	} else if (random() % 60 == 0) {
		ssh_free(sessions[0]);
		sessions[0] = NULL;
		churn_session_gone();
	} else if (!churn_opening[i] && !churn_stream[i]) {
		churn_opening[i] = ssh_open_unix(sessions[0], random() % 4 ? opt.socket : "/nowhere",
						 random() % 5 ? 5000 : 1, churn_opened, (void *)(intptr_t)i);
	} else {
		churn_drop(i);
	}
	event_base_once(base, -1, EV_TIMEOUT, churn, NULL, &soon);
}

/* --- what there is to do ------------------------------------------------ */

static const struct {
	const char *name;
	void (*start)(struct bufferevent *stream); /* NULL: no stream is opened */
} things[] = {
	{"connect", NULL},    {"echo", echo_start}, {"slow", slow_start}, {"flood", flood_start},
	{"hold", hold_start}, {"free", free_start}, {"churn", NULL},
};

static void (*start_stream)(struct bufferevent *stream);

static void opened(void *arg, struct bufferevent *stream, const struct err *err)
{
	(void)arg;
	if (!stream) {
		fail(err);
		return;
	}
	streams_open++;
	start_stream(stream);
}

static void ready(void *arg)
{
	struct ssh **s = arg;

	sessions_ready++;
	if (start_stream) {
		for (long i = 0; i < opt.channels; i++) {
			if (opt.tcp_host)
				ssh_open_tcp(*s, opt.tcp_host, opt.tcp_port, opt.timeout_ms, opened, NULL);
			else
				ssh_open_unix(*s, opt.socket, opt.timeout_ms, opened, NULL);
		}
	} else if (sessions_ready == opt.sessions) {
		printf("ok ready=%ld cpu_us=%ld\n", sessions_ready, cpu_us());
		finish();
	}
}

static void report_end(evutil_socket_t fd, short what, void *arg)
{
	struct err *err = arg;

	(void)fd;
	(void)what;
	printf("closed after_ms=%lld streams=%s %s %s\n", (long long)(clock_ms() - held_since_ms), held_ends,
	       err_kind_name(err->kind), err->message);
	finish();
}

static void closed(void *arg, const struct err *err)
{
	static const struct timeval soon = {.tv_usec = 10000};
	static struct err last;
	struct ssh **s = arg;

	if (!held_since_ms) {
		fail(err);
		return;
	}
	last = *err;
	ssh_free(*s);
	*s = NULL;
	event_base_once(base, -1, EV_TIMEOUT, report_end, &last, &soon);
}

static void guard(evutil_socket_t fd, short what, void *arg)
{
	struct err err;

	(void)fd;
	(void)what;
	(void)arg;
	err_set(&err, ERR_TRANSIENT,
		"the test tool waited too long; phase %s, %ld streams open, %ld done, %lld bytes",
		sessions[0] ? ssh_phase(sessions[0]) : "none", streams_open, streams_done, total_bytes);
	fail(&err);
}

/* --- command line ------------------------------------------------------- */

static const struct {
	const char *name;
	const char **text;
	long *number;
} options[] = {
	{"do", &opt.what, NULL},           {"known_hosts", &opt.known_hosts, NULL},
	{"agent", &opt.agent, NULL},       {"socket", &opt.socket, NULL},
	{"tcp_host", &opt.tcp_host, NULL}, {"tcp_port", NULL, &opt.tcp_port},
	{"bytes", NULL, &opt.bytes},       {"channels", NULL, &opt.channels},
	{"sessions", NULL, &opt.sessions}, {"timeout_ms", NULL, &opt.timeout_ms},
	{"pause_ms", NULL, &opt.pause_ms}, {"seed", NULL, &opt.seed},
};

static const struct {
	const char *name;
	size_t offset;
} ssh_texts[] = {
	{"address", offsetof(struct ssh_settings, address)},
	{"user", offsetof(struct ssh_settings, user)},
	{"password", offsetof(struct ssh_settings, password)},
	{"password_file", offsetof(struct ssh_settings, password_file)},
	{"key", offsetof(struct ssh_settings, private_key)},
	{"key_file", offsetof(struct ssh_settings, private_key_file)},
	{"host_key", offsetof(struct ssh_settings, host_key)},
};

static bool ssh_option(struct ssh_settings *ssh, const char *name, char *value)
{
	static const char *const modes[] = {"accept-new", "strict", "off"};

	for (size_t i = 0; i < sizeof(ssh_texts) / sizeof(ssh_texts[0]); i++) {
		if (strcmp(name, ssh_texts[i].name) == 0) {
			*(char **)((char *)ssh + ssh_texts[i].offset) = value;
			return true;
		}
	}
	if (strcmp(name, "port") == 0)
		ssh->port = atoi(value);
	else if (strcmp(name, "connect_ms") == 0)
		ssh->connection_timeout_ms = atol(value);
	else if (strcmp(name, "checking") == 0)
		for (int i = 0; i < 3; i++)
			ssh->host_key_checking = strcmp(value, modes[i]) == 0 ? (enum host_key_checking)i
									      : ssh->host_key_checking;
	else
		return false;
	return true;
}

static bool tool_option(const char *name, char *value)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (strcmp(name, options[i].name) != 0)
			continue;
		if (options[i].text)
			*options[i].text = value;
		else
			*options[i].number = atol(value);
		return true;
	}
	return false;
}

static void parse(int argc, char **argv)
{
	for (int i = 0; i < 8; i++)
		opt.ssh[i] = (struct ssh_settings){
			.user = (char *)"root", .port = 22, .connection_timeout_ms = 5000};
	for (int i = 1; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (strcmp(argv[i], "jump") == 0) {
			opt.hops++;
			opt.ssh[opt.hops - 1].jump = &opt.ssh[opt.hops];
			continue;
		}
		if (value)
			*value++ = '\0';
		if (!value ||
		    (!tool_option(argv[i], value) && !ssh_option(&opt.ssh[opt.hops], argv[i], value))) {
			fprintf(stderr, "what is %s?\n", argv[i]);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct timeval patience = {.tv_sec = 60};
	struct ssh_callbacks callbacks = {.ready = ready, .closed = closed};
	size_t thing = 0;

	parse(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	srandom(opt.seed);
	base = event_base_new();
	context = (struct ssh_context){.base = base,
				       .dns = evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
									   EVDNS_BASE_DISABLE_WHEN_INACTIVE),
				       .known_hosts = opt.known_hosts,
				       .agent = opt.agent,
				       .secrets = ssh_secrets_new(base)};
	sessions = xcalloc(opt.sessions, sizeof(struct ssh *));
	while (thing < sizeof(things) / sizeof(things[0]) && strcmp(things[thing].name, opt.what) != 0)
		thing++;
	if (thing == sizeof(things) / sizeof(things[0]))
		return 2;
	start_stream = things[thing].start;
	churn_left = opt.bytes;
	if (strcmp(opt.what, "churn") == 0) {
		churn(-1, 0, NULL);
	} else {
		for (long i = 0; i < opt.sessions; i++) {
			callbacks.arg = &sessions[i];
			sessions[i] = ssh_connect(&context, &opt.ssh[0], &callbacks);
		}
	}
	event_base_once(base, -1, EV_TIMEOUT, guard, NULL, &patience);
	event_base_dispatch(base);

	if (start_stream == hold_start)
		printf("peak_kb=%ld cpu_us=%ld\n", peak_kb(), cpu_us());
	for (long i = 0; i < opt.sessions; i++)
		ssh_free(sessions[i]);
	ssh_secrets_free(context.secrets);
	free(sessions);
	evdns_base_free(context.dns, 0);
	/* What libevent has put off until the next turn: the last of a freed stream. */
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_free(base);
	return exit_code;
}
