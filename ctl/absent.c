#include "ctl/absent.h"

#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/duration.h"

#define IS_IT_RUNNING "Is apilbd running? See: systemctl status apilbd"

static const struct reason {
	int os_errno;
	const char *text;
} connect_reasons[] = {
	{ENOENT, "no such socket"},
	{ENOTDIR, "its directory is none"},
	{ECONNREFUSED, "nobody listens there; the socket was left by a daemon that has ended"},
	{EAGAIN, "the daemon takes no more connections; is it stuck?"},
	{EPROTOTYPE, "that is a socket of another type"},
};

/* Errors that curl reports after it has connected. */
static const struct outcome {
	int code;
	const char *text;
} outcomes[] = {
	{CURLE_GOT_NOTHING, "the connection was closed without an answer"},
	{CURLE_PARTIAL_FILE, "the connection was closed in the middle of the answer"},
	{CURLE_RECV_ERROR, "the connection was closed in the middle of the answer"},
	{CURLE_SEND_ERROR, "the connection was closed while the request was sent"},
	{CURLE_UNSUPPORTED_PROTOCOL, "what answers there does not speak HTTP, so it is not apilbd"},
	{CURLE_WEIRD_SERVER_REPLY, "what answers there does not speak HTTP, so it is not apilbd"},
};

/* Says which user or group may use the socket, and who is asking. */
static int explain_permission(const struct absence *a, struct err *err)
{
	struct stat st;
	const struct group *group;
	const struct passwd *user = getpwuid(geteuid());
	char name[64];

	if (user)
		snprintf(name, sizeof(name), "%s", user->pw_name);
	else
		snprintf(name, sizeof(name), "uid %u", (unsigned)geteuid());
	if (stat(a->socket_path, &st) < 0)
		return err_set(err, ERR_UNREACHABLE,
			       "%s: permission denied for %s: the directory of the socket is closed to you.\n"
			       "Its group (see ls -ld) or root may use it.",
			       a->socket_path, name);
	group = getgrgid(st.st_gid);
	if (!group)
		return err_set(err, ERR_UNREACHABLE,
			       "%s: permission denied for %s: the socket has mode %04o and group %u.\n"
			       "Members of that group may use it, or root.",
			       a->socket_path, name, st.st_mode & 07777u, (unsigned)st.st_gid);
	return err_set(err, ERR_UNREACHABLE,
		       "%s: permission denied for %s: the socket has mode %04o and group %s.\n"
		       "Members of that group may use it (usermod -aG %s %s, then log in anew), or root.",
		       a->socket_path, name, st.st_mode & 07777u, group->gr_name, group->gr_name, name);
}

static int explain_connect(const struct absence *a, struct err *err)
{
	struct stat st;

	if (a->os_errno == EACCES || a->os_errno == EPERM)
		return explain_permission(a, err);
	if (stat(a->socket_path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return err_set(err, ERR_UNREACHABLE, "%s: that is not a socket.\n" IS_IT_RUNNING,
			       a->socket_path);
	for (size_t i = 0; i < sizeof(connect_reasons) / sizeof(connect_reasons[0]); i++)
		if (connect_reasons[i].os_errno == a->os_errno)
			return err_set(err, ERR_UNREACHABLE, "cannot connect to %s: %s.\n" IS_IT_RUNNING,
				       a->socket_path, connect_reasons[i].text);
	return err_set(err, ERR_UNREACHABLE, "cannot connect to %s: %s.\n" IS_IT_RUNNING, a->socket_path,
		       a->os_errno ? strerror((int)a->os_errno) : a->detail);
}

int absence_explain(const struct absence *a, struct err *err)
{
	const char *text = a->detail;
	char limit[32];

	if (a->code == CURLE_COULDNT_CONNECT)
		return explain_connect(a, err);
	if (a->code == CURLE_OPERATION_TIMEDOUT || a->code == CURLE_ABORTED_BY_CALLBACK)
		return err_set(err, ERR_UNREACHABLE,
			       "%s: no answer to %s %s within %s (--timeout).\n" IS_IT_RUNNING,
			       a->socket_path, a->method, a->path,
			       duration_human(a->timeout_ms, limit, sizeof(limit)));
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		if (outcomes[i].code == a->code)
			text = outcomes[i].text;
	return err_set(err, ERR_UNREACHABLE, "%s: %s %s: %s.\n" IS_IT_RUNNING, a->socket_path, a->method,
		       a->path, text);
}
