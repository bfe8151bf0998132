/*
 * The Engine API from the command line, for the integration tests: every
 * command is one call of docker.h and prints what the callback got.
 *
 *     docker_tool SOCKET COMMAND [ARGUMENT...]
 *
 * Exit: 0 done, 1 an error (on stderr: "<kind>: <message>"), 2 usage, 4 there is none (404).
 */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/mem.h"
#include "daemon/io/archive.h"
#include "daemon/io/docker/docker.h"

struct tool {
	struct event_base *base;
	struct docker *docker;
	const struct command *command;
	char **args;
	struct json_object *config; /* of create */
	struct json_object *listed; /* list: the answer, so far */
	int idle_s;
	int result;
};

struct command {
	const char *name;
	int args;
	void (*run)(struct tool *tool);
};

static void end(struct tool *tool, int result)
{
	tool->result = result;
	event_base_loopexit(tool->base, NULL);
}

static void show_stat_and_body(const struct docker_reply *reply)
{
	if (reply->path_stat)
		printf("%s\n", reply->path_stat);
	if (reply->json)
		printf("%s\n", json_object_to_json_string(reply->json));
	else
		fwrite(reply->body, 1, reply->body_len, stdout);
}

static bool is_end(struct tool *tool, const struct docker_reply *reply, const struct err *err)
{
	if (err)
		fprintf(stderr, "%s: %s\n", err_kind_name(err->kind), err->message);
	else if (reply->status == 404)
		fprintf(stderr, "there is none\n");
	else
		return false;
	end(tool, err ? 1 : 4);
	return true;
}

static void on_reply(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct tool *tool = arg;

	if (is_end(tool, reply, err))
		return;
	show_stat_and_body(reply);
	end(tool, 0);
}

static void on_file(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct tool *tool = arg;
	struct err unpack;
	char *data;
	size_t len;

	if (is_end(tool, reply, err))
		return;
	if (archive_first_file(reply->body, reply->body_len, 1 << 20, &data, &len, &unpack) < 0) {
		is_end(tool, reply, &unpack);
		return;
	}
	fwrite(data, 1, len, stdout);
	free(data);
	end(tool, 0);
}

static void on_progress(void *arg, const char *text)
{
	(void)arg;
	printf("%s\n", text);
}

static void on_entry(void *arg, struct json_object *entry)
{
	struct tool *tool = arg;

	json_object_array_add(tool->listed, json_object_get(entry));
}

static void on_listed(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct tool *tool = arg;

	if (!is_end(tool, reply, err)) {
		printf("%s\n", json_object_to_json_string(tool->listed));
		end(tool, 0);
	}
	json_object_put(tool->listed);
}

static void run_list(struct tool *t)
{
	t->listed = json_object_new_array();
	docker_list(t->docker, t->args[0], on_entry, on_listed, t);
}

static void run_inspect(struct tool *t)
{
	docker_inspect(t->docker, t->args[0], on_reply, t);
}

static void run_image(struct tool *t)
{
	docker_image_inspect(t->docker, t->args[0], on_reply, t);
}

static void run_create(struct tool *t)
{
	t->config = json_tokener_parse(t->args[1]);
	docker_create(t->docker, t->args[0], t->config, on_reply, t);
}

static void run_start(struct tool *t)
{
	docker_start(t->docker, t->args[0], on_reply, t);
}

static void run_stop(struct tool *t)
{
	docker_stop(t->docker, t->args[0], atoi(t->args[1]), on_reply, t);
}

static void run_wait(struct tool *t)
{
	docker_wait(t->docker, t->args[0], 0, on_reply, t);
}

static void run_kill(struct tool *t)
{
	docker_kill(t->docker, t->args[0], t->args[1], on_reply, t);
}

static void run_unpause(struct tool *t)
{
	docker_unpause(t->docker, t->args[0], on_reply, t);
}

static void run_rename(struct tool *t)
{
	docker_rename(t->docker, t->args[0], t->args[1], on_reply, t);
}

static void run_remove(struct tool *t)
{
	docker_remove(t->docker, t->args[0], strcmp(t->args[1], "force") == 0, on_reply, t);
}

static void run_pull(struct tool *t)
{
	docker_pull(t->docker, t->args[0], on_progress, on_reply, t);
}

/* put ID DIRECTORY NAME CONTENT UID MODE: a name that ends in "/" is a directory */
static void run_put(struct tool *t)
{
	const char *name = t->args[2], *content = t->args[3];
	bool is_directory = name[strlen(name) - 1] == '/';
	unsigned owner = (unsigned)atoi(t->args[4]);
	struct archive_entry_spec entry = {
		.path = name,
		.mode = (unsigned)strtoul(t->args[5], NULL, 8),
		.uid = owner,
		.gid = owner,
		.data = is_directory ? NULL : content,
		.len = is_directory ? 0 : strlen(content),
	};
	char *tar;
	size_t len;

	archive_pack(&entry, 1, 1700000000, &tar, &len);
	docker_put_archive(t->docker, t->args[0], t->args[1], tar, len, on_reply, t);
	free(tar);
}

static void run_get(struct tool *t)
{
	docker_get_archive(t->docker, t->args[0], t->args[1], on_file, t);
}

static void run_head(struct tool *t)
{
	docker_head_archive(t->docker, t->args[0], t->args[1], on_reply, t);
}

static void run_logs(struct tool *t)
{
	docker_logs(t->docker, t->args[0], atoi(t->args[1]), on_reply, t);
}

static void on_idle_over(evutil_socket_t fd, short what, void *arg)
{
	struct tool *t = arg;

	(void)fd, (void)what;
	printf("usable after %d s: %s\n", t->idle_s, docker_usable(t->docker) ? "yes" : "no");
	docker_ping(t->docker, on_reply, t);
}

/* idle SECONDS: does the connection live that long without use? */
static void run_idle(struct tool *t)
{
	t->idle_s = atoi(t->args[0]);
	event_base_once(t->base, -1, EV_TIMEOUT, on_idle_over, t, &(struct timeval){.tv_sec = t->idle_s});
}

static void run_ping(struct tool *t)
{
	end(t, 0); /* it has been done already, like before every command */
}

static const struct command commands[] = {
	{"ping", 0, run_ping},       {"list", 1, run_list},     {"inspect", 1, run_inspect},
	{"image", 1, run_image},     {"create", 2, run_create}, {"start", 1, run_start},
	{"stop", 2, run_stop},       {"kill", 2, run_kill},     {"wait", 1, run_wait},
	{"unpause", 1, run_unpause}, {"rename", 2, run_rename}, {"remove", 2, run_remove},
	{"pull", 1, run_pull},       {"put", 6, run_put},       {"get", 2, run_get},
	{"head", 2, run_head},       {"logs", 2, run_logs},     {"idle", 1, run_idle},
};

static void on_ping(void *arg, const struct docker_reply *reply, const struct err *err)
{
	struct tool *tool = arg;

	if (!is_end(tool, reply, err))
		tool->command->run(tool);
}

static struct bufferevent *open_socket(struct event_base *base, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct bufferevent *stream = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (bufferevent_socket_connect(stream, (struct sockaddr *)&address, sizeof(address)) < 0)
		fprintf(stderr, "%s: cannot connect\n", path);
	return stream;
}

int main(int argc, char **argv)
{
	struct tool tool = {.args = argv + 3, .result = 1};

	for (size_t i = 0; argc > 2 && i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(commands[i].name, argv[2]) == 0 && commands[i].args == argc - 3)
			tool.command = &commands[i];
	if (!tool.command) {
		fprintf(stderr, "usage: docker_tool SOCKET COMMAND [ARGUMENT...]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	tool.base = event_base_new();
	tool.docker = docker_new(open_socket(tool.base, argv[1]));
	docker_ping(tool.docker, on_ping, &tool);
	event_base_dispatch(tool.base);
	docker_free(tool.docker);
	event_base_loop(tool.base, EVLOOP_NONBLOCK); /* lets libevent free what it frees later */
	event_base_free(tool.base);
	json_object_put(tool.config);
	return tool.result;
}
