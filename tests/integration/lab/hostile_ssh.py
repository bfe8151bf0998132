"""An sshd that logs everybody in and then sends what nobody asked for, as fast as it can."""

import socket
import threading

import paramiko

# No more than this: what does not defend itself is to fail its test, not the machine.
MOST_BYTES = 100_000_000


def number(n):
    return n.to_bytes(4, "big")


def text(s):
    return number(len(s)) + s


# SSH's messages (RFC 4250, 4.1) that a client gets without having asked. Channel 0 is its first one.
FLOODS = {
    "ignore": b"\x02" + text(bytes(1000)),
    "debug": b"\x04\0" + text(b"x" * 1000) + text(b""),
    "banner": b"\x35" + text(b"x" * 1000) + text(b""),
    "global request": b"\x50" + text(b"hostkeys-00@openssh.com") + b"\0" + bytes(1000),
    "global request that wants an answer": b"\x50" + text(b"keepalive@openssh.com") + b"\1" + bytes(300),
    "answer to no request": b"\x51" + bytes(30000),
    "small answers to no request": b"\x51",
    "refusal of no request": b"\x52" + bytes(100),
    "channel open": b"\x5a" + text(b"forwarded-tcpip") + number(9) + number(1000) + number(1000) + text(bytes(300))
    + number(1) + text(b"h") + number(1),
    "confirmation of no opening": b"\x5b" + number(77) + number(1) + number(1000) + number(1000) + bytes(300),
    "window adjust": b"\x5d" + number(0) + number(1),
    "data byte by byte": b"\x5e" + number(0) + text(b"x"),
    "data of no channel": b"\x5e" + number(77) + text(bytes(1000)),
    "data on stderr": b"\x5f" + number(0) + number(1) + text(bytes(1000)),
    "success of no request": b"\x63" + number(0) + bytes(300),
    "message that SSH does not have": b"\xc0" + bytes(100),
}  # fmt: skip


class HostileSshd(paramiko.ServerInterface):
    """Floods `when`: "login", "opening" (instead of answering), "open" (a channel), "idle" (it opens none)."""

    def __init__(self, key_file, when, message):
        self.key = paramiko.Ed25519Key.from_private_key_file(str(key_file))
        self.when, self.message = when, message
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.transports = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.key)
            transport.start_server(server=self, event=threading.Event())
            self.transports.append(transport)

    def flood(self):
        message = paramiko.Message(self.message)
        message.packet.seek(0, 2)
        try:
            for _ in range(MOST_BYTES // len(self.message)):
                self.transports[-1]._send_message(message)
        except (OSError, EOFError):
            pass

    def start(self):
        threading.Thread(target=self.flood, daemon=True).start()

    def get_allowed_auths(self, username):
        if self.when == "login":
            self.start()
            threading.Event().wait(30)
        return "publickey"

    def check_auth_none(self, username):
        return paramiko.AUTH_FAILED

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        if self.when == "opening":
            self.start()
            threading.Event().wait(30)
        if self.when == "idle":
            threading.Timer(1, self.flood).start()
            return paramiko.OPEN_FAILED_CONNECT_FAILED
        threading.Timer(0.1, self.flood).start()
        return paramiko.OPEN_SUCCEEDED

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for transport in self.transports:
            transport.close()
