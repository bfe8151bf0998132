/* Parses the answers of HAProxy's stats socket. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/haproxy/server_check.h"
#include "daemon/core/plan/observed.h"

/* Columns of `show stat`, found by the names in its first line, since their order may change. */
enum column {
	COLUMN_PROXY,
	COLUMN_SERVER,
	COLUMN_STATUS,
	COLUMN_CHECK,
	COLUMNS_NEEDED,
	COLUMN_BACKUP = COLUMNS_NEEDED,
	COLUMN_CHANGED,
	COLUMN_CODE,
	COLUMN_DURATION,
	COLUMN_LAST,
	COLUMNS
};
static const char *const column_names[COLUMNS] = {
	[COLUMN_PROXY] = "pxname",    [COLUMN_SERVER] = "svname",
	[COLUMN_STATUS] = "status",   [COLUMN_CHECK] = "check_status",
	[COLUMN_BACKUP] = "bck",      [COLUMN_CHANGED] = "lastchg",
	[COLUMN_CODE] = "check_code", [COLUMN_DURATION] = "check_duration",
	[COLUMN_LAST] = "last_chk",
};

/*
 * Removes the quotes of a field: the words of an API server may contain commas and quotes. *rest:
 * after the field.
 */
static void unquote(char *field, char **rest)
{
	char *from = field + 1, *to = field;

	for (; *from && (*from != '"' || from[1] == '"'); from++) {
		from += *from == '"';
		*to++ = *from;
	}
	from += *from == '"';
	*to = '\0';
	*rest = *from ? from + 1 : NULL;
}

/* Takes the next field off a CSV line. */
static char *next_field(char **rest)
{
	char *field = *rest;

	if (!field || *field != '"')
		return strsep(rest, ",");
	unquote(field, rest);
	return field;
}

/*
 * Somebody who answers in HAProxy's place may fill the whole answer with lines, fields and servers.
 * HAProxy has some 110 columns and 100 lines of info, and its lines are shorter than 2 KiB; no spec
 * has more servers, and no server more rows. An answer with a longer line is not HAProxy's; of more
 * lines, columns and servers the rest is ignored.
 */
#define MAX_LINE 16384
#define MAX_COLUMNS 256
#define MAX_INFO_LINES 1024
#define MAX_SERVERS SPEC_MAX_ITEMS
#define MAX_ROWS (8 * MAX_SERVERS)

/* The state of the parser. */
struct reader {
	struct observed_instance *instance;
	bool in_table;
	int lines, rows;
	int columns[MAX_COLUMNS];     /* the column of each field; COLUMNS: one that we do not need */
	uint32_t prints[MAX_SERVERS]; /* hashes of the servers' names, so that few names are compared */
};

static void read_header(struct reader *reader, char *line)
{
	char *field;

	for (int at = 0; at < MAX_COLUMNS; at++) {
		field = next_field(&line);
		reader->columns[at] = COLUMNS;
		for (int i = 0; field && i < COLUMNS; i++)
			if (strcmp(field, column_names[i]) == 0)
				reader->columns[at] = i;
	}
}

/*
 * "UP", "UP 1/3" (still up while checks fail), "DOWN", "DOWN 1/2", "no check", "MAINT
 * (resolution)". NOLB is the state after a conditional success, DRAIN is set by a person: both mean
 * no new connections.
 */
static const struct {
	const char *status;
	enum server_state state;
	bool draining;
} states[] = {
	{"UP", SERVER_UP, false},    {"DOWN", SERVER_DOWN, false}, {"MAINT", SERVER_DOWN, false},
	{"NOLB", SERVER_DOWN, true}, {"DRAIN", SERVER_DOWN, true},
};

static void read_state(struct observed_server *server, const char *status)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strncmp(status, states[i].status, strlen(states[i].status)) != 0)
			continue;
		server->state = states[i].state;
		server->draining = states[i].draining;
	}
	/* HAProxy counts a server as up before its first check has ended: it is unknown. */
	if (server->state == SERVER_UP && server->check[0] == '\0')
		server->state = SERVER_UNKNOWN;
}

/* "* L4TOUT" is the last check's result while the next one runs; "INI" stands for no check yet. */
static const char *last_check(const char *check)
{
	if (check[0] == '*')
		check += 1 + strspn(check + 1, " ");
	return strcmp(check, "INI") == 0 ? "" : check;
}

/* HAProxy's counters have 32 bits: a larger number is not from HAProxy, and counts as missing. */
static int64_t number(const char *field)
{
	long long n = field[0] >= '0' && field[0] <= '9' ? strtoll(field, NULL, 10) : -1;

	return n <= INT32_MAX ? n : -1;
}

static void server_clear(struct observed_server *server)
{
	free(server->name);
	free(server->check);
	free(server->why);
}

static bool is_unresolved(const char *status)
{
	return strncmp(status, "MAINT (resolution)", 18) == 0;
}

/*
 * Rows that say nothing about a server that has other rows: an address that the name does not have,
 * and the "-known" row, which is not checked while it is not needed.
 */
static bool is_idle(char *const fields[COLUMNS], size_t len)
{
	return is_unresolved(fields[COLUMN_STATUS]) || (strcmp(fields[COLUMN_SERVER] + len, "-known") == 0 &&
							strcmp(fields[COLUMN_STATUS], "no check") == 0);
}

static struct observed_server server_of(char *const fields[COLUMNS], size_t name_len)
{
	struct observed_server server = {
		.name = xasprintf("%.*s", (int)name_len, fields[COLUMN_SERVER]),
		.check = xstrdup(last_check(fields[COLUMN_CHECK])),
		.changed_s = number(fields[COLUMN_CHANGED]),
		.unresolved = is_unresolved(fields[COLUMN_STATUS]),
	};

	read_state(&server, fields[COLUMN_STATUS]);
	if (server.state == SERVER_DOWN)
		server.why = server_why(&(struct server_check){
			.status = fields[COLUMN_STATUS],
			.check = server.check,
			.code = number(fields[COLUMN_CODE]),
			.duration_ms = number(fields[COLUMN_DURATION]),
			.last = fields[COLUMN_LAST],
		});
	return server;
}

/* If a server has several addresses, the one that gets the most traffic speaks for it. */
static int rank(const struct observed_server *server)
{
	static const int ranks[] = {[SERVER_UP] = 3, [SERVER_UNKNOWN] = 2, [SERVER_DOWN] = 0};

	return ranks[server->state] + server->draining;
}

/* The length of the server's name: "cp1.example:6443-2" is another address of cp1.example:6443. */
static size_t base_length(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon ? (size_t)(colon - name) + 1 + strspn(colon + 1, "0123456789") : strlen(name);
}

static uint32_t print_of(const char *name, size_t len)
{
	uint32_t print = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		print = (print ^ (unsigned char)name[i]) * 16777619u;
	return print;
}

static struct observed_server *find_server(const struct reader *reader, const char *name, size_t len)
{
	struct observed_server *servers = reader->instance->servers;
	uint32_t print = print_of(name, len);

	for (size_t i = 0; i < reader->instance->servers_n; i++)
		if (reader->prints[i] == print && strlen(servers[i].name) == len &&
		    memcmp(servers[i].name, name, len) == 0)
			return &servers[i];
	return NULL;
}

static void add_server(struct reader *reader, char *const fields[COLUMNS])
{
	struct observed_instance *instance = reader->instance;
	const char *name = fields[COLUMN_SERVER];
	size_t len = base_length(name);
	struct observed_server *known = find_server(reader, name, len), server;

	if ((known && is_idle(fields, len)) || (!known && instance->servers_n == MAX_SERVERS))
		return;
	server = server_of(fields, len);
	if (!known) {
		instance->servers =
			xreallocarray(instance->servers, instance->servers_n + 1, sizeof(*instance->servers));
		reader->prints[instance->servers_n] = print_of(name, len);
		instance->servers[instance->servers_n++] = server;
		return;
	}
	if (rank(&server) > rank(known)) {
		struct observed_server worse = *known;

		*known = server;
		server = worse;
	}
	server_clear(&server);
}

static void read_row(struct reader *reader, char *line)
{
	static char nothing[] = "";
	char *fields[COLUMNS + 1] = {NULL};
	char *field;

	for (int at = 0; at < MAX_COLUMNS && (field = next_field(&line)) != NULL; at++)
		fields[reader->columns[at]] = field;
	for (int i = 0; i < COLUMNS; i++) {
		if (!fields[i] && i < COLUMNS_NEEDED)
			return;
		if (!fields[i])
			fields[i] = nothing;
	}
	if (strcmp(fields[COLUMN_PROXY], "kube-apiserver") != 0 ||
	    strcmp(fields[COLUMN_SERVER], "FRONTEND") == 0 || strcmp(fields[COLUMN_SERVER], "BACKEND") == 0)
		return;
	/*
	 * Backup rows are the same servers once more, for when no check passes; they count if they
	 * have an address.
	 */
	if (strcmp(fields[COLUMN_BACKUP], "1") == 0)
		reader->instance->fallback |= strncmp(fields[COLUMN_STATUS], "MAINT", 5) != 0;
	else
		add_server(reader, fields);
}

static const char *value_of(const char *line, const char *key)
{
	size_t len = strlen(key);

	return strncmp(line, key, len) == 0 && line[len] == ':' ? line + len + 1 + strspn(line + len + 1, " ")
								: NULL;
}

static void read_info(struct observed_instance *instance, const char *line)
{
	const char *value;

	if (value_of(line, "Version")) {
		instance->stats = STATS_ANSWERED;
	} else if ((value = value_of(line, "Uptime_sec")) != NULL) {
		instance->uptime_s = number(value);
	} else if ((value = value_of(line, "Stopping")) != NULL) {
		instance->stopping = number(value) == 1;
	} else if ((value = value_of(line, "description")) != NULL) {
		instance->loaded = haproxy_description_parse(value);
	}
}

static void read_line(struct reader *reader, char *line)
{
	if (reader->in_table && reader->rows++ < MAX_ROWS) {
		read_row(reader, line);
	} else if (!reader->in_table && strncmp(line, "# pxname,", 9) == 0) {
		read_header(reader, line + 2);
		reader->in_table = true;
	} else if (!reader->in_table && reader->lines++ < MAX_INFO_LINES) {
		read_info(reader->instance, line);
	}
}

void observed_stats_parse(struct observed_instance *instance, const char *text)
{
	struct reader reader = {.instance = instance};
	char *copy = xstrdup(text), *rest = copy, *line;
	bool whole = false;

	instance->stats = STATS_FAILED;
	instance->uptime_s = -1;
	instance->stopping = false;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if ((rest ? (size_t)(rest - line) : strlen(line)) > MAX_LINE) {
			instance->stats = STATS_FAILED;
			break;
		}
		/* An empty line ends each answer; this one ends the last. */
		if (reader.in_table && !*line && rest)
			whole = true;
		else
			read_line(&reader, line);
	}
	free(copy);
	if (instance->stats == STATS_ANSWERED && whole)
		return;
	free(instance->stats_error);
	instance->stats_error = xstrdup(instance->stats == STATS_ANSWERED ? "the answer is cut short"
									  : "the answer is not HAProxy's");
	instance->stats = STATS_FAILED;
	instance->loaded = (struct haproxy_description){0};
	observed_forget_servers(instance);
}

void observed_stats_suspect_certificates(struct observed_instance *instance, const char *name)
{
	for (size_t i = 0; i < instance->servers_n; i++) {
		struct observed_server *server = &instance->servers[i];

		if (!server->why || strcmp(server->check, "L6RSP") != 0)
			continue;
		free(server->why);
		server->why = xasprintf("the TLS handshake failed: most likely its certificate is not by "
					"healthCheck's CA, or not for \"%s\"",
					name);
	}
}

size_t observed_servers_in(const struct observed_instance *instance, enum server_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < instance->servers_n; i++)
		n += instance->servers[i].state == state;
	return n;
}

bool observed_is_unchecked(const struct observed_instance *instance)
{
	return observed_servers_in(instance, SERVER_UNKNOWN) > 0 &&
	       observed_servers_in(instance, SERVER_UP) == 0;
}

bool observed_serves_nobody(const struct observed_instance *instance)
{
	/* An answer without servers is of a config that is not ours: nobody knows whom it serves. */
	return instance->stats == STATS_ANSWERED && instance->servers_n > 0 &&
	       observed_servers_in(instance, SERVER_UP) == 0 && !observed_is_unchecked(instance) &&
	       !instance->fallback;
}
