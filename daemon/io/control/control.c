#include "daemon/io/control/control.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/control/control_request.h"

#define ACCEPT_QUEUE 128

struct control {
	struct event_base *base;
	char *path;
	dev_t dev; /* device and inode of the socket that we made: another socket is not ours to unlink */
	ino_t ino;
	const struct control_route *routes;
	void (*gate)(void *arg, struct control_request *request,
		     void (*handle)(void *arg, struct control_request *request));
	void *arg;
	struct evconnlistener *listener;
	struct event *resume;
	struct control_requests clients;
	bool ending;
};

/* 0: somebody answers on the socket; else the errno that says why nobody does. */
static int try_connect(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int error = 0;

	if (fd < 0)
		return errno;
	/* EAGAIN: the queue of connections is full, so somebody listens. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno != EAGAIN)
		error = errno;
	close(fd);
	return error;
}

/* The path is taken: removes the socket if a dead daemon has left it behind. */
static int clear_path(const struct sockaddr_un *address, struct err *err)
{
	const char *path = address->sun_path;
	struct stat st;
	int error;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return err_set(err, ERR_PERMANENT,
			       "control socket %s: the path is taken, and is not a socket; move it away",
			       path);
	error = try_connect(address);
	if (error == 0)
		return err_set(
			err, ERR_CONFLICT,
			"control socket %s: another apilbd answers there; stop it, or use another --socket",
			path);
	if (error != ECONNREFUSED && error != ENOENT)
		return err_set(err, ERR_PERMANENT, "control socket %s: another socket is in the way: %s",
			       path, strerror(error));
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, ERR_PERMANENT, "control socket %s: cannot remove what was left over: %s",
			       path, strerror(errno));
	return 0;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
	/* The socket must have its mode from the first moment on: chmod would come too late. */
	mode_t old = umask(0117);
	int rc = bind(fd, (const struct sockaddr *)address, sizeof(*address));

	umask(old);
	return rc;
}

static int bind_error(const char *path, struct err *err)
{
	if (errno == ENOENT)
		return err_set(err, ERR_PERMANENT,
			       "control socket %s: its directory does not exist; make it first", path);
	return err_set(err, ERR_PERMANENT, "control socket %s: %s", path, strerror(errno));
}

/* Returns a bound socket that does not listen yet, or -1. */
static int make_socket(const char *path, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, rc;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, ERR_PERMANENT,
			       "control socket %s: the path is too long: %zu bytes are the limit", path,
			       sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, ERR_PERMANENT, "control socket %s: %s", path, strerror(errno));
	rc = bind_private(fd, &address);
	if (rc < 0 && errno != EADDRINUSE) {
		bind_error(path, err);
	} else if (rc < 0) {
		rc = clear_path(&address, err);
		if (rc == 0 && (rc = bind_private(fd, &address)) < 0)
			bind_error(path, err);
	}
	if (rc == 0)
		return fd;
	close(fd);
	return -1;
}

/* Why this user may not connect now; NULL: the user may. The caller frees. */
static char *refusal(const struct control_requests *clients, uid_t uid)
{
	struct control_count count = control_requests_count(clients, uid);
	size_t limit = CONTROL_MAX_CLIENTS;

	if (uid != 0)
		limit -= CONTROL_FOR_ROOT;
	if (uid != 0 && count.of_user >= CONTROL_FEW)
		limit -= CONTROL_FOR_FEW;
	if (count.of_user >= CONTROL_USER_CLIENTS)
		return xasprintf("too many clients at once: user %u has %zu connections here, the most that "
				 "one may have; end some of them, or try again later",
				 uid, count.of_user);
	if (count.all >= limit)
		return xasprintf("too many clients at once: %zu connections; try again later", count.all);
	return NULL;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
		      void *arg)
{
	struct control *control = arg;
	uid_t uid = control_peer(fd);
	char *why = refusal(&control->clients, uid);

	(void)listener;
	(void)address;
	(void)len;
	if (why && control_requests_count(&control->clients, uid).refused >= CONTROL_MAX_REFUSED) {
		control_refuse(fd, 503, why);
		evutil_closesocket(fd);
	} else {
		control_request_new(control, control->base, fd, uid, &control->clients, why);
	}
	free(why);
}

/* Most likely the process is out of descriptors. To retry at once would only burn CPU time. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	static const struct timeval pause = {1, 0};
	struct control *control = arg;

	evconnlistener_disable(listener);
	event_add(control->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct control *control = arg;

	(void)fd;
	(void)what;
	evconnlistener_enable(control->listener);
}

struct control *control_new(struct event_base *base, const char *path, const struct control_route *routes,
			    void *arg, struct err *err)
{
	struct control *control;
	struct stat st = {0};
	int fd = make_socket(path, err);

	if (fd < 0)
		return NULL;
	control = xcalloc(1, sizeof(*control));
	control->base = base;
	control->path = xstrdup(path);
	control->routes = routes;
	control->arg = arg;
	TAILQ_INIT(&control->clients);
	control->resume = evtimer_new(base, on_resume, control);
	if (lstat(path, &st) == 0) {
		control->dev = st.st_dev;
		control->ino = st.st_ino;
	}
	control->listener = evconnlistener_new(
		base, on_accept, control, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, ACCEPT_QUEUE, fd);
	if (!control->listener) {
		err_set(err, ERR_PERMANENT, "control socket %s: listen: %s", path, strerror(errno));
		close(fd);
		control_free(control);
		return NULL;
	}
	evconnlistener_set_error_cb(control->listener, on_accept_error);
	return control;
}

void control_set_gate(struct control *control,
		      void (*gate)(void *arg, struct control_request *request,
				   void (*handle)(void *arg, struct control_request *request)))
{
	control->gate = gate;
}

void control_end(struct control *control)
{
	if (control)
		control->ending = true;
}

void control_free(struct control *control)
{
	struct control_request *client;
	struct stat st;

	if (!control)
		return;
	if (lstat(control->path, &st) == 0 && st.st_dev == control->dev && st.st_ino == control->ino)
		unlink(control->path);
	if (control->listener)
		evconnlistener_free(control->listener);
	while ((client = TAILQ_FIRST(&control->clients)))
		control_request_close(client);
	event_free(control->resume);
	free(control->path);
	free(control);
}

static bool serves(const struct control_route *route, const char *method)
{
	return strcmp(route->method, method) == 0 ||
	       (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* "GET, HEAD": the methods of this path; NULL when there is no such path. The caller frees. */
static char *allowed_methods(const struct control_route *routes, const char *path)
{
	char *list = NULL;

	for (; routes->path; routes++) {
		char *longer;

		if (strcmp(routes->path, path) != 0)
			continue;
		longer = xasprintf("%s%s%s%s", list ? list : "", list ? ", " : "", routes->method,
				   serves(routes, "HEAD") ? ", HEAD" : "");
		free(list);
		list = longer;
	}
	return list;
}

void control_dispatch(struct control *control, struct control_request *request, const char *method,
		      const char *path)
{
	const struct control_route *route;
	char *allowed, *header;

	if (control->ending) {
		control_error(request, 503, "apilbd is ending");
		return;
	}
	for (route = control->routes; route->path; route++) {
		if (strcmp(route->path, path) == 0 && serves(route, method)) {
			if (control->gate)
				control->gate(control->arg, request, route->handle);
			else
				route->handle(control->arg, request);
			return;
		}
	}
	allowed = allowed_methods(control->routes, path);
	if (!allowed) {
		control_error(request, 404, "no such path");
		return;
	}
	header = xasprintf("Allow: %s", allowed);
	control_request_set_header(request, header);
	control_error(request, 405, "%s is not allowed here; %s is", method, allowed);
	free(header);
	free(allowed);
}
