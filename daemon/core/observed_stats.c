/* The answers of HAProxy's stats socket. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/haproxy.h"
#include "daemon/core/observed.h"

/* Columns of `show stat`, by the names in its first line, so that their order may change. */
enum column { COLUMN_PROXY, COLUMN_SERVER, COLUMN_STATUS, COLUMN_CHECK, COLUMNS };
static const char *const column_names[COLUMNS] = {
	[COLUMN_PROXY] = "pxname",
	[COLUMN_SERVER] = "svname",
	[COLUMN_STATUS] = "status",
	[COLUMN_CHECK] = "check_status",
};

/* Cuts the next field off a CSV line. HAProxy quotes only fields that hold quotes or commas; ours never do.
 */
static char *next_field(char **rest)
{
	return strsep(rest, ",");
}

static void read_header(char *line, int index[COLUMNS])
{
	char *field;

	for (int i = 0; i < COLUMNS; i++)
		index[i] = -1;
	for (int at = 0; (field = next_field(&line)) != NULL; at++)
		for (int i = 0; i < COLUMNS; i++)
			if (strcmp(field, column_names[i]) == 0)
				index[i] = at;
}

/* "UP", "UP 1/3" (still up while checks fail), "DOWN", "DOWN 1/2", "MAINT", "NOLB", "no check", "DRAIN" ...
 */
static enum server_state state_of(const char *status)
{
	if (strncmp(status, "UP", 2) == 0)
		return SERVER_UP;
	if (strncmp(status, "DOWN", 4) == 0 || strncmp(status, "MAINT", 5) == 0)
		return SERVER_DOWN;
	return SERVER_UNKNOWN;
}

/* "* L4TOUT" is the last check's result while the next one runs; "INI" stands for no check yet. */
static const char *last_check(const char *check)
{
	if (check[0] == '*')
		check += 1 + strspn(check + 1, " ");
	return strcmp(check, "INI") == 0 ? "" : check;
}

static void read_row(struct observed_instance *instance, char *line, const int index[COLUMNS])
{
	char *fields[COLUMNS] = {NULL};
	struct observed_server *server;
	char *field;

	for (int at = 0; (field = next_field(&line)) != NULL; at++)
		for (int i = 0; i < COLUMNS; i++)
			if (index[i] == at)
				fields[i] = field;
	for (int i = 0; i < COLUMNS; i++)
		if (!fields[i])
			return;
	if (strcmp(fields[COLUMN_PROXY], "kube-apiserver") != 0 ||
	    strcmp(fields[COLUMN_SERVER], "FRONTEND") == 0 || strcmp(fields[COLUMN_SERVER], "BACKEND") == 0)
		return;
	instance->servers = xreallocarray(instance->servers, instance->servers_n + 1, sizeof(*server));
	server = &instance->servers[instance->servers_n++];
	server->name = xstrdup(fields[COLUMN_SERVER]);
	server->check = xstrdup(last_check(fields[COLUMN_CHECK]));
	server->state = state_of(fields[COLUMN_STATUS]);
	/* Until its first check is through HAProxy counts a server as up: nobody knows yet. */
	if (server->state == SERVER_UP && server->check[0] == '\0')
		server->state = SERVER_UNKNOWN;
}

static const char *value_of(const char *line, const char *key)
{
	size_t len = strlen(key);

	return strncmp(line, key, len) == 0 && line[len] == ':' ? line + len + 1 + strspn(line + len + 1, " ")
								: NULL;
}

void observed_stats_parse(struct observed_instance *instance, const char *text)
{
	char *copy = xstrdup(text), *rest = copy, *line;
	int index[COLUMNS] = {-1, -1, -1, -1};
	bool in_table = false;
	const char *value;

	instance->stats = STATS_FAILED;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strncmp(line, "# pxname,", 9) == 0) {
			read_header(line + 2, index);
			in_table = true;
		} else if (in_table) {
			read_row(instance, line, index);
		} else if ((value = value_of(line, "Version")) != NULL) {
			free(instance->haproxy_version);
			instance->haproxy_version = xstrdup(value);
			instance->stats = STATS_ANSWERED;
		} else if ((value = value_of(line, "description")) != NULL) {
			haproxy_generation(value, instance->generation, instance->loaded_binds);
		}
	}
	free(copy);
	if (instance->stats == STATS_FAILED) {
		free(instance->stats_error);
		instance->stats_error = xstrdup("the stats socket's answer is not HAProxy's");
	}
}
