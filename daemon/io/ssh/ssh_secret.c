#include "daemon/io/ssh/ssh_secret.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/mem.h"
#include "daemon/io/background.h"

/* What one thread is given, and what it has read. It outlives a cancelled ssh_secret. */
struct reading {
	struct ssh_secrets *secrets;
	struct ssh_secret *secret; /* NULL: nobody wants it any more */
	struct background *background;
	char *path;
	enum secret_kind kind;
	char *text;
	struct err err;
	TAILQ_ENTRY(reading) entry;
};

struct ssh_secret {
	struct ssh_secrets *secrets;
	struct reading *reading; /* NULL: it waits for its turn, or is told */
	bool told;               /* done is running */
	char *path;
	enum secret_kind kind;
	ssh_secret_cb *done;
	void *arg;
	TAILQ_ENTRY(ssh_secret) entry;
};

struct ssh_secrets {
	struct event_base *base;
	struct event *turn; /* who waits may have a place now, or none at all */
	TAILQ_HEAD(, ssh_secret) waiting;
	TAILQ_HEAD(, reading) readings;
	unsigned wanted_n; /* readings that a secret waits for */
	unsigned hung_n;   /* those whose secret was cancelled: in practice, since it had waited too long */
};

static void on_turn(evutil_socket_t fd, short what, void *arg);

struct ssh_secrets *ssh_secrets_new(struct event_base *base)
{
	struct ssh_secrets *secrets = xcalloc(1, sizeof(*secrets));

	secrets->base = base;
	secrets->turn = evtimer_new(base, on_turn, secrets);
	TAILQ_INIT(&secrets->waiting);
	TAILQ_INIT(&secrets->readings);
	return secrets;
}

static void reading_free(struct reading *reading)
{
	secret_free(reading->text);
	free(reading->path);
	free(reading);
}

static void secret_drop(struct ssh_secret *secret)
{
	free(secret->path);
	free(secret);
}

void ssh_secrets_free(struct ssh_secrets *secrets)
{
	struct reading *reading;

	if (!secrets)
		return;
	while ((reading = TAILQ_FIRST(&secrets->readings)) != NULL) {
		TAILQ_REMOVE(&secrets->readings, reading, entry);
		if (background_leave(reading->background))
			reading_free(reading);
	}
	event_free(secrets->turn);
	free(secrets);
}

static void read_file(void *arg, const atomic_bool *stop)
{
	struct reading *reading = arg;

	(void)stop;
	secret_file_read(reading->path, reading->kind, true, &reading->text, &reading->err);
}

/* The length of the directory's part of the path, with its slash. */
static size_t directory_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash - path + 1 : 0;
}

static bool is_busy(const struct ssh_secrets *secrets, const char *path)
{
	size_t len = directory_len(path);
	const struct reading *reading;

	TAILQ_FOREACH (reading, &secrets->readings, entry)
		if (directory_len(reading->path) == len && strncmp(reading->path, path, len) == 0)
			return true;
	return false;
}

static void go_on(struct ssh_secrets *secrets);

/* done may cancel the secret, and may free the secrets. */
static void tell(struct ssh_secret *secret, char *text, const struct err *err)
{
	secret->told = true;
	secret->done(secret->arg, text, err);
	secret_drop(secret);
}

static void on_read(void *arg)
{
	struct reading *reading = arg;
	struct ssh_secrets *secrets = reading->secrets;
	struct ssh_secret *secret = reading->secret;
	char *text = reading->text;
	struct err err = reading->err;

	TAILQ_REMOVE(&secrets->readings, reading, entry);
	if (secret) {
		secrets->wanted_n--;
		secret->reading = NULL;
		reading->text = NULL;
	} else {
		secrets->hung_n--;
	}
	reading_free(reading);
	go_on(secrets);
	if (secret)
		tell(secret, text, &err);
}

static void start(struct ssh_secret *secret)
{
	struct ssh_secrets *secrets = secret->secrets;
	struct reading *reading = xcalloc(1, sizeof(*reading));

	reading->secrets = secrets;
	reading->secret = secret;
	reading->path = xstrdup(secret->path);
	reading->kind = secret->kind;
	secret->reading = reading;
	TAILQ_REMOVE(&secrets->waiting, secret, entry);
	TAILQ_INSERT_TAIL(&secrets->readings, reading, entry);
	secrets->wanted_n++;
	reading->background = background_start(secrets->base, read_file, reading, on_read, reading);
}

static void go_on(struct ssh_secrets *secrets)
{
	struct ssh_secret *secret, *next;

	if (secrets->hung_n >= SSH_SECRET_HUNG) {
		if (!TAILQ_EMPTY(&secrets->waiting))
			evtimer_add(secrets->turn, &(struct timeval){0});
		return;
	}
	for (secret = TAILQ_FIRST(&secrets->waiting); secret; secret = next) {
		next = TAILQ_NEXT(secret, entry);
		if (secrets->wanted_n == SSH_SECRET_THREADS)
			return;
		if (!is_busy(secrets, secret->path))
			start(secret);
	}
}

/* Too many hang: the first that waits is told so. */
static void refuse(struct ssh_secrets *secrets)
{
	struct ssh_secret *secret = TAILQ_FIRST(&secrets->waiting);
	struct err err = {0};

	TAILQ_REMOVE(&secrets->waiting, secret, entry);
	err_set(&err, ERR_TRANSIENT,
		"%s: not read, since %u other key and password files hang: see their mounts (findmnt), and "
		"mount them again or restart apilbd",
		secret->path, secrets->hung_n);
	go_on(secrets);
	tell(secret, NULL, &err);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct ssh_secrets *secrets = arg;

	(void)fd;
	(void)what;
	if (secrets->hung_n >= SSH_SECRET_HUNG && !TAILQ_EMPTY(&secrets->waiting))
		refuse(secrets);
	else
		go_on(secrets);
}

struct ssh_secret *ssh_secret_read(struct ssh_secrets *secrets, const char *path, enum secret_kind kind,
				   ssh_secret_cb *done, void *arg)
{
	struct ssh_secret *secret = xcalloc(1, sizeof(*secret));

	*secret = (struct ssh_secret){
		.secrets = secrets,
		.path = xstrdup(path),
		.kind = kind,
		.done = done,
		.arg = arg,
	};
	TAILQ_INSERT_TAIL(&secrets->waiting, secret, entry);
	go_on(secrets);
	return secret;
}

void ssh_secret_cancel(struct ssh_secret *secret)
{
	if (!secret || secret->told)
		return;
	if (secret->reading) {
		/* Its place is free; from the loop, since whoever cancels one may be about to cancel all. */
		secret->reading->secret = NULL;
		secret->secrets->wanted_n--;
		secret->secrets->hung_n++;
		evtimer_add(secret->secrets->turn, &(struct timeval){0});
	} else {
		TAILQ_REMOVE(&secret->secrets->waiting, secret, entry);
	}
	secret_drop(secret);
}
