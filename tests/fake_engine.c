#include "daemon/io/clock.h"
#include "tests/fake_engine.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/core/haproxy/haproxy.h"
#include "tests/fake_api.h"

const char *const fake_fault_names[FAULTS] = {
	[FAULT_CUT_BEFORE] = "cut before it", [FAULT_CUT_AFTER] = "cut after it", [FAULT_REFUSED] = "refused",
	[FAULT_SILENT] = "never answered",    [FAULT_DISK_FULL] = "disk full",
};

#define ASKED_MAX 8

struct fake_engine {
	struct event_base *base;
	struct fake_machine *machine;
	struct evhttp *http;
	struct evconnlistener *stats;
	char dir[32];
	size_t requests, outages, fail_at;
	enum fake_fault how;
	bool failed;
	enum fake_mouth mouth, others;
	char *gagged;           /* the token of the one whose mouth that is; NULL: everybody's */
	char *asked[ASKED_MAX]; /* tokens of the stats sockets that were opened, until they are accepted */
};

/* Faults. */

static void cut(struct evhttp_request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request);

	shutdown(bufferevent_getfd(evhttp_connection_get_bufferevent(connection)), SHUT_RDWR);
}

static bool is_due(struct fake_engine *engine)
{
	bool is = ++engine->requests == engine->fail_at;

	engine->failed |= is;
	return is;
}

static void finish(struct fake_turn *turn, bool fault)
{
	enum fake_fault how = turn->engine->how;

	if (evhttp_request_get_command(turn->request) == EVHTTP_REQ_HEAD)
		evbuffer_drain(turn->body, evbuffer_get_length(turn->body));
	if (fault && (how == FAULT_CUT_BEFORE || how == FAULT_CUT_AFTER))
		cut(turn->request);
	else if (!(fault && how == FAULT_SILENT))
		evhttp_send_reply(turn->request, turn->status, "as it is", turn->body);
}

static void on_request(struct evhttp_request *request, void *arg)
{
	struct fake_engine *engine = arg;
	struct fake_turn turn = {.engine = engine, .machine = engine->machine, .request = request};
	size_t served = fake_serving(engine->machine);
	bool fault = is_due(engine);

	fake_turn_begin(&turn);
	engine->machine->disk_is_full = fault && engine->how == FAULT_DISK_FULL;
	if (fault && engine->how == FAULT_REFUSED)
		fake_turn_say(&turn, 500, "the engine has had enough");
	else if (!(fault && (engine->how == FAULT_CUT_BEFORE || engine->how == FAULT_SILENT)))
		fake_turn_serve(&turn);
	engine->machine->disk_is_full = false;
	engine->outages += served > 0 && fake_serving(engine->machine) == 0;
	fake_turn_remember(&turn);
	finish(&turn, fault);
	fake_turn_end(&turn);
}

void fake_engine_fail(struct fake_engine *engine, size_t nth, enum fake_fault how)
{
	engine->fail_at = nth ? engine->requests + nth : 0;
	engine->how = how;
	engine->failed = false;
}

bool fake_engine_has_failed(const struct fake_engine *engine)
{
	return engine->failed;
}

size_t fake_engine_requests(const struct fake_engine *engine)
{
	return engine->requests;
}

size_t fake_engine_outages(const struct fake_engine *engine)
{
	return engine->outages;
}

/* What HAProxies have to say. */

void fake_engine_gag(struct fake_engine *engine, const char *token, enum fake_mouth mouth)
{
	free(engine->gagged);
	engine->gagged = xstrdup(token);
	engine->mouth = mouth;
}

void fake_engine_gag_others(struct fake_engine *engine, enum fake_mouth mouth)
{
	engine->others = mouth;
}

static enum fake_mouth mouth_of(const struct fake_engine *engine, const char *token)
{
	return !engine->gagged || strcmp(engine->gagged, token) == 0 ? engine->mouth : engine->others;
}

bool fake_engine_listens(const struct fake_engine *engine, const char *token)
{
	return mouth_of(engine, token) < MOUTH_REFUSES;
}

/* Stats sockets: one listener for all of them. Who is asked is known from what was opened, in that order. */

static struct fake_container *by_token(const struct fake_engine *engine, const char *token)
{
	for (struct fake_container *c = engine->machine->containers; c; c = c->next)
		if (c->status == FAKE_RUNNING && c->loaded && strcmp(fake_token(c), token) == 0)
			return c;
	return NULL;
}

static char *first_asked(struct fake_engine *engine)
{
	char *token = engine->asked[0];

	memmove(engine->asked, engine->asked + 1, sizeof(engine->asked) - sizeof(engine->asked[0]));
	engine->asked[ASKED_MAX - 1] = NULL;
	return token;
}

struct question {
	struct fake_engine *engine;
	char *token;
	struct event *drip; /* or a slow answer; NULL: it does not */
	struct bufferevent *stream;
};

static void question_end(struct bufferevent *stream, void *arg)
{
	struct question *question = arg;

	bufferevent_free(stream);
	if (question->drip)
		event_free(question->drip);
	free(question->token);
	free(question);
}

static void on_stats_end(struct bufferevent *stream, short what, void *arg)
{
	(void)what;
	question_end(stream, arg);
}

static void on_drip(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	bufferevent_write(arg, "x", 1);
}

static void drip(struct question *question, struct bufferevent *stream)
{
	question->drip = event_new(question->engine->base, -1, EV_PERSIST, on_drip, stream);
	event_add(question->drip, &(struct timeval){.tv_sec = 1});
}

static void speak(struct question *question, enum fake_mouth mouth)
{
	struct fake_container *container = by_token(question->engine, question->token);
	char *text = container ? fake_answer(container) : xstrdup("");

	if (mouth == MOUTH_HALF)
		text[strlen(text) - strlen("\n")] = '\0';
	else if (mouth == MOUTH_GARBAGE)
		memset(text, 'x', strlen(text));
	bufferevent_setcb(question->stream, NULL, question_end, on_stats_end, question);
	bufferevent_write(question->stream, text, strlen(text));
	free(text);
}

static void on_thought(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	speak(arg, MOUTH_SLOW);
}

static void on_question(struct bufferevent *stream, void *arg)
{
	struct question *question = arg;
	struct evbuffer *input = bufferevent_get_input(stream);
	enum fake_mouth mouth = mouth_of(question->engine, question->token);

	evbuffer_drain(input, evbuffer_get_length(input));
	question->stream = stream;
	if (mouth == MOUTH_DRIPS) {
		drip(question, stream);
	} else if (mouth == MOUTH_SLOW || question->engine->machine->answer_ms) {
		int64_t ms = mouth == MOUTH_SLOW ? 3000 : question->engine->machine->answer_ms;
		const struct timeval delay = clock_timeval(ms);

		question->drip = evtimer_new(question->engine->base, on_thought, question);
		evtimer_add(question->drip, &delay);
	} else if (mouth != MOUTH_SILENT) {
		speak(question, mouth);
	}
}

static void on_stats(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
		     void *arg)
{
	struct fake_engine *engine = arg;
	struct bufferevent *stream = bufferevent_socket_new(engine->base, fd, BEV_OPT_CLOSE_ON_FREE);
	struct question *question = xcalloc(1, sizeof(*question));

	(void)listener, (void)address, (void)len;
	question->engine = engine;
	question->token = first_asked(engine);
	bufferevent_setcb(stream, on_question, NULL, on_stats_end, question);
	bufferevent_enable(stream, EV_READ);
}

static struct sockaddr_un address_of(const struct fake_engine *engine, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", engine->dir, name);
	return address;
}

static bool takes_connection(const struct fake_engine *engine, const char *token)
{
	struct fake_container *container = by_token(engine, token);

	if (!container || mouth_of(engine, token) >= MOUTH_REFUSES)
		return false;
	return container->late == 0 || container->late-- == 0;
}

/* The path of a stats socket ends in "/TOKEN.sock"; any other is the engine's. */
struct stream_opening *fake_engine_open(void *arg, const char *path, int64_t timeout_ms, stream_open_cb *cb,
					void *cb_arg)
{
	struct fake_engine *engine = arg;
	bool is_engine = strncmp(path, HAPROXY_RUN_DIR "/", strlen(HAPROXY_RUN_DIR "/")) != 0;
	char *token = xasprintf("%.*s", (int)strcspn(strrchr(path, '/') + 1, "."), strrchr(path, '/') + 1);
	bool listens = !is_engine && takes_connection(engine, token);
	const char *name = is_engine ? "engine" : listens ? "stats" : "nobody";
	const struct sockaddr_un address = address_of(engine, name);
	bool forbidden = !is_engine && !listens && mouth_of(engine, token) == MOUTH_FORBIDS;
	size_t i = 0;

	while (engine->asked[i])
		i++;
	if (strcmp(name, "stats") == 0)
		engine->asked[i] = xstrdup(token);
	free(token);
	/* Nothing is forbidden to root: this fails as surely, and for another reason than that nobody
	 * listens. */
	if (forbidden)
		return stream_open_unix(engine->base, "/dev/null/forbidden", timeout_ms, cb, cb_arg);
	return stream_open_unix(engine->base, address.sun_path, timeout_ms, cb, cb_arg);
}

char *fake_engine_socket(const struct fake_engine *engine)
{
	return xstrdup(address_of(engine, "engine").sun_path);
}

/* Its life. */

static struct evconnlistener *listen_as(struct fake_engine *engine, const char *name, evconnlistener_cb cb)
{
	const struct sockaddr_un address = address_of(engine, name);
	struct evconnlistener *listener = evconnlistener_new_bind(
		engine->base, cb, engine, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
		(const struct sockaddr *)&address, sizeof(address));

	if (!listener)
		abort();
	return listener;
}

struct fake_engine *fake_engine_new(struct event_base *base, struct fake_machine *machine)
{
	struct fake_engine *engine = xcalloc(1, sizeof(*engine));

	engine->base = base;
	engine->machine = machine;
	strcpy(engine->dir, "/tmp/apilb-engine-XXXXXX");
	if (!mkdtemp(engine->dir))
		abort();
	engine->http = evhttp_new(base);
	evhttp_set_allowed_methods(engine->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
							 EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE);
	evhttp_set_gencb(engine->http, on_request, engine);
	evhttp_bind_listener(engine->http, listen_as(engine, "engine", NULL));
	engine->stats = listen_as(engine, "stats", on_stats);
	return engine;
}

void fake_engine_free(struct fake_engine *engine)
{
	static const char *const names[] = {"engine", "stats"};

	evhttp_free(engine->http);
	evconnlistener_free(engine->stats);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct sockaddr_un address = address_of(engine, names[i]);

		unlink(address.sun_path);
	}
	rmdir(engine->dir);
	while (engine->asked[0])
		free(first_asked(engine));
	free(engine->gagged);
	free(engine);
}
