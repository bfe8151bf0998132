#include "tests/fake_ssh.h"

#include <check.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/clock.h"
#include "daemon/io/ssh/ssh.h"

#define HOSTS_MAX 16

struct ssh {
	struct fake_host *host; /* NULL: nobody has this address */
	struct ssh_callbacks callbacks;
	struct event *timer; /* until it is ready, or has failed */
	struct err err;      /* how it ends; kind ERR_NONE: it becomes ready */
	bool ready;
	struct ssh *next; /* of the same host */
};

static struct fake_host {
	char address[64];
	struct fake_engine *engine;
	enum fake_answer answer;
	size_t attempts;
	struct ssh *sessions;
} hosts[HOSTS_MAX];

static struct fake_host *find_host(const char *address)
{
	for (size_t i = 0; i < HOSTS_MAX; i++)
		if (strcmp(hosts[i].address, address) == 0)
			return &hosts[i];
	return NULL;
}

static struct fake_host *host_at(const char *address)
{
	struct fake_host *host = find_host(address);

	ck_assert_msg(host != NULL, "there is no host %s", address);
	return host;
}

void fake_ssh_add(const char *address, struct fake_engine *engine)
{
	struct fake_host *host = find_host("");

	ck_assert(host != NULL && strlen(address) < sizeof(host->address));
	strcpy(host->address, address);
	host->engine = engine;
}

void fake_ssh_answer(const char *address, enum fake_answer answer)
{
	host_at(address)->answer = answer;
}

size_t fake_ssh_attempts(const char *address)
{
	return host_at(address)->attempts;
}

size_t fake_ssh_sessions(const char *address)
{
	size_t n = 0;

	for (const struct ssh *ssh = host_at(address)->sessions; ssh; ssh = ssh->next)
		n += ssh->ready;
	return n;
}

void fake_ssh_clear(void)
{
	for (size_t i = 0; i < HOSTS_MAX; i++)
		ck_assert_msg(!hosts[i].sessions, "a session with %s was not closed", hosts[i].address);
	memset(hosts, 0, sizeof(hosts));
}

/* Sessions. */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct ssh *ssh = arg;

	(void)fd, (void)what;
	if (ssh->err.kind != ERR_NONE) {
		struct err err = ssh->err;

		ssh->ready = false;
		ssh->callbacks.closed(ssh->callbacks.arg, &err);
		return;
	}
	ssh->ready = true;
	ssh->callbacks.ready(ssh->callbacks.arg);
}

static void end_in(struct ssh *ssh, int64_t ms)
{
	struct timeval delay = clock_timeval(ms);

	evtimer_add(ssh->timer, &delay);
}

void fake_ssh_lose(const char *address, bool denied)
{
	for (struct ssh *ssh = host_at(address)->sessions; ssh; ssh = ssh->next) {
		err_set(&ssh->err, denied ? ERR_PERMANENT : ERR_UNREACHABLE,
			denied ? "host key has changed" : "connection reset by peer");
		end_in(ssh, 0);
	}
}

struct ssh *ssh_connect(const struct ssh_context *context, const struct ssh_settings *settings,
			const struct ssh_callbacks *callbacks)
{
	struct ssh *ssh = xcalloc(1, sizeof(*ssh));
	struct fake_host *host = find_host(settings->address);
	int64_t ms = 1;

	ssh->host = host;
	ssh->callbacks = *callbacks;
	ssh->timer = evtimer_new(context->base, on_timer, ssh);
	if (!host) {
		err_set(&ssh->err, ERR_UNREACHABLE, "%s: name not found", settings->address);
	} else if (host->answer == ANSWERS_REFUSING) {
		err_set(&ssh->err, ERR_UNREACHABLE, "connection refused");
	} else if (host->answer == ANSWERS_DENYING) {
		err_set(&ssh->err, ERR_PERMANENT, "authentication refused");
	} else if (host->answer == ANSWERS_NEVER) {
		err_set(&ssh->err, ERR_UNREACHABLE, "timed out");
		ms = settings->connection_timeout_ms;
	}
	if (host) {
		host->attempts++;
		ssh->next = host->sessions;
		host->sessions = ssh;
	}
	end_in(ssh, ms);
	return ssh;
}

void ssh_free(struct ssh *ssh)
{
	struct ssh **at;

	if (!ssh)
		return;
	for (at = ssh->host ? &ssh->host->sessions : NULL; at && *at; at = &(*at)->next) {
		if (*at == ssh) {
			*at = ssh->next;
			break;
		}
	}
	event_free(ssh->timer);
	free(ssh);
}

bool ssh_is_ready(const struct ssh *ssh)
{
	return ssh->ready;
}

const char *ssh_phase(const struct ssh *ssh)
{
	return ssh->ready ? "ready" : "connecting";
}

struct stream_opening *ssh_open_unix(struct ssh *ssh, const char *path, int64_t timeout_ms,
				     stream_open_cb *cb, void *arg)
{
	ck_assert(ssh->ready);
	return fake_engine_open(ssh->host->engine, path, timeout_ms, cb, arg);
}
