/* What an SSH agent answers: the list of its keys, and a signature. */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/io/ssh/ssh_agent.h"
#include "tests/fuzz.h"

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listener = -1;

static void start(void)
{
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/apilb-fuzz-agent-%ld.sock",
		 (long)getpid());
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(address.sun_path);
	require(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
		listen(listener, 8) == 0);
}

static void on_change(void *arg)
{
	(void)arg;
}

static void turn(struct event_base *base)
{
	for (int i = 0; i < 6; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void use(struct ssh_agent *agent)
{
	struct wire signature;

	for (size_t i = 0; i < ssh_agent_keys(agent); i++) {
		struct wire key = ssh_agent_key(agent, i);
		char *copy = xstrndup((const char *)key.p, key.left);

		free(copy);
	}
	if (ssh_agent_state(agent) == AGENT_IDLE && ssh_agent_signature(agent, &signature))
		require(signature.left == 0 || signature.p != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event_base *base = event_base_new();
	struct ssh_agent *agent;
	int fd;

	if (listener < 0)
		start();
	agent = ssh_agent_new(base, address.sun_path, 1000, on_change, NULL);
	turn(base);
	/* libFuzzer's clock interrupts it. */
	while ((fd = accept(listener, NULL, NULL)) < 0 && errno == EINTR)
		;
	turn(base);
	require(send(fd, data, size / 2, MSG_NOSIGNAL) == (ssize_t)(size / 2));
	turn(base);
	use(agent);
	if (ssh_agent_state(agent) == AGENT_IDLE && ssh_agent_keys(agent) > 0)
		ssh_agent_sign(agent, 0, "x", 1, 0);
	send(fd, data + size / 2, size - size / 2, MSG_NOSIGNAL | MSG_DONTWAIT);
	turn(base);
	use(agent);
	close(fd);
	turn(base);
	use(agent);
	ssh_agent_free(agent);
	turn(base);
	event_base_free(base);
	return 0;
}
