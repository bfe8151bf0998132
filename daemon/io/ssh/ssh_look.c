/*
 * Why did sshd not open a Unix socket? sshd gives the same reason for a missing
 * socket, for a socket that the user may not use, and for forbidden forwarding.
 * So we ask the host's SFTP server, if it has one, to open the path for writing.
 * The kernel checks the same permission as for connecting, and the opening then
 * fails because the path is a socket: the error tells the cases apart. Nothing is
 * read, made or changed.
 *
 * The messages are written by hand, on a channel of our own: libssh2's sftp_init
 * spins for ever in non-blocking mode when the host has no SFTP subsystem. Three
 * messages of draft-ietf-secsh-filexfer-02 are needed.
 */
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/io/ssh/ssh_internal.h"
#include "daemon/io/ssh/ssh_wire.h"

enum { FXP_INIT = 1, FXP_VERSION = 2, FXP_OPEN = 3, FXP_STATUS = 101, FXP_HANDLE = 102 };
enum { FXF_WRITE = 2 };
enum { FX_NO_SUCH_FILE = 2, FX_PERMISSION_DENIED = 3, FX_FAILURE = 4 };

/* An SFTP server's answers to these requests are far shorter. */
#define REPLY_MAX_BYTES 4096

struct ssh_look {
	LIBSSH2_CHANNEL *channel;
	bool subsystem; /* the host has started its SFTP server */
	struct evbuffer *request;
	unsigned char reply[REPLY_MAX_BYTES];
	size_t reply_len;
	enum ssh_found found;
};

static const char session_type[] = "session";

struct ssh_look *ssh_look_new(const char *path)
{
	struct ssh_look *look = xcalloc(1, sizeof(*look));
	uint8_t init = FXP_INIT, open = FXP_OPEN;

	look->request = evbuffer_new();
	wire_put_u32(look->request, 5);
	evbuffer_add(look->request, &init, 1);
	wire_put_u32(look->request, 3); /* version */
	wire_put_u32(look->request, 17 + strlen(path));
	evbuffer_add(look->request, &open, 1);
	wire_put_u32(look->request, 1); /* request */
	wire_put_string(look->request, path, strlen(path));
	wire_put_u32(look->request, FXF_WRITE);
	wire_put_u32(look->request, 0); /* no attributes */
	return look;
}

void ssh_look_free(struct ssh *s, struct ssh_look *look)
{
	if (!look)
		return;
	if (look->channel && s->session)
		ssh_channel_discard(s, look->channel);
	evbuffer_free(look->request);
	free(look);
}

bool ssh_look_can_stop(const struct ssh_look *look)
{
	return look->channel != NULL;
}

static enum ssh_found judge(struct wire reply)
{
	uint32_t id, code;
	uint8_t type;

	if (!wire_get_u8(&reply, &type) || !wire_get_u32(&reply, &id))
		return FOUND_NOTHING_OUT;
	if (type == FXP_HANDLE)
		return FOUND_NO_SOCKET;
	if (type != FXP_STATUS || !wire_get_u32(&reply, &code))
		return FOUND_NOTHING_OUT;
	switch (code) {
	case FX_NO_SUCH_FILE:
		return FOUND_MISSING;
	case FX_PERMISSION_DENIED:
		return FOUND_NO_PERMISSION;
	case FX_FAILURE:
		return FOUND_USABLE;
	default:
		return FOUND_NOTHING_OUT;
	}
}

/* True when both replies have come: the version, and the outcome of the open request. */
static bool complete(struct ssh_look *look)
{
	struct wire w = {look->reply, look->reply_len}, version, reply;

	if (!wire_get_string(&w, &version) || !wire_get_string(&w, &reply))
		return false;
	if (version.left > 0 && version.p[0] == FXP_VERSION)
		look->found = judge(reply);
	return true;
}

/* The steps; each returns 0 when it is done, else libssh2's EAGAIN or error. */

static int open_channel(struct ssh *s, struct ssh_look *look)
{
	if (!look->channel)
		look->channel = libssh2_channel_open_ex(s->session, session_type, strlen(session_type),
							SSH_PACKET_BYTES, SSH_PACKET_BYTES, NULL, 0);
	return look->channel ? 0 : libssh2_session_last_errno(s->session);
}

static int start_sftp(struct ssh_look *look)
{
	int rc = look->subsystem
			 ? 0
			 : libssh2_channel_process_startup(look->channel, "subsystem", strlen("subsystem"),
							   "sftp", strlen("sftp"));

	look->subsystem = rc == 0;
	return rc;
}

static int send_request(struct ssh_look *look)
{
	size_t len = evbuffer_get_length(look->request);
	ssize_t n;

	if (len == 0)
		return 0;
	n = libssh2_channel_write(look->channel, (char *)evbuffer_pullup(look->request, -1), len);
	if (n <= 0)
		return n < 0 ? (int)n : LIBSSH2_ERROR_EAGAIN;
	evbuffer_drain(look->request, n);
	return send_request(look);
}

static int read_reply(struct ssh_look *look)
{
	ssize_t n;

	while (!complete(look)) {
		n = libssh2_channel_read(look->channel, (char *)look->reply + look->reply_len,
					 sizeof(look->reply) - look->reply_len);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return LIBSSH2_ERROR_CHANNEL_FAILURE; /* the channel ended, or its replies are too
								 long */
		look->reply_len += n;
	}
	return 0;
}

bool ssh_look_step(struct ssh *s, struct ssh_look *look, enum ssh_found *found)
{
	int rc = open_channel(s, look);

	if (rc == 0)
		rc = start_sftp(look);
	if (rc == 0)
		rc = send_request(look);
	if (rc == 0)
		rc = read_reply(look);
	*found = look->found;
	return !ssh_again(rc);
}
