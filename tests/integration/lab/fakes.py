"""Ends of connections that misbehave: an engine, an sshd, a name server, a client."""

import contextlib
import os
import socket
import struct
import threading
import time
import types

from .engine import UnixConnection


class FakeServer:
    """Accepts on a listening socket; each connection is handled by `behave(connection)` in a thread."""

    def __init__(self, listener, behave):
        self.listener = listener
        self.behave = behave
        self.accepted = 0
        self.open = []
        self.closing = False
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while not self.closing:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError):
            self.behave(connection)
        with contextlib.suppress(OSError):
            connection.close()

    def close(self):
        self.closing = True
        # shutdown, not close alone: that wakes up accept() and recv() in their threads.
        for each in [self.listener, *self.open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def hang(connection):
    """Reads, and never says a word."""
    while connection.recv(65536):
        pass


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            raise OSError("client is gone")
        data += piece
    return data


def replying(raw, close=True):
    """Answers every request with these bytes."""

    def behave(connection):
        while True:
            read_request(connection)
            connection.sendall(raw)
            if close:
                return

    return behave


def json_reply(status, body, headers=b""):
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s" % (
        status,
        headers,
        len(body),
        body,
    )


PING = json_reply(b"200 OK", b"OK", b"Api-Version: 1.41\r\n").replace(b"application/json", b"text/plain")


def after_ping(raw):
    """A healthy ping, and then these bytes."""

    def behave(connection):
        while True:
            request = read_request(connection)
            if b"/_ping" in request.split(b"\r\n")[0]:
                connection.sendall(PING)
            elif raw is None:
                hang(connection)
                return
            else:
                connection.sendall(raw)
                return

    return behave


def answering(answer):
    """A healthy ping; answer(method, path) gives (status, body) to the rest, or the pieces of a raw reply without end."""

    def behave(connection):
        while True:
            method, path, _, _ = read_whole_request(connection)
            if path == "/_ping":
                connection.sendall(PING)
                continue
            reply = answer(method, path)
            if isinstance(reply, tuple):
                connection.sendall(json_reply(*reply))
            else:
                for piece in reply:
                    connection.sendall(piece)

    return behave


def trickle(connection):
    """One byte a second, for ever: alive, but no answer."""
    read_request(connection)
    for byte in PING * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(1)


# What an engine may do; each must become an error that a person understands.
ENGINES = {
    "garbage": replying(os.urandom(4096)),
    "not-http": replying(b"220 mail.example.org ESMTP ready\r\n"),
    "half-an-answer": replying(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n[{"),
    "500": replying(json_reply(b"500 Internal Server Error", b'{"message":"the moon is in the wrong phase"}'), False),
    "never": hang,
    "closes": lambda connection: None,
    "trickle": trickle,
    "list-garbage": after_ping(os.urandom(4096)),
    "list-not-json": after_ping(json_reply(b"200 OK", b"this is not JSON")),
    "list-wrong-json": after_ping(json_reply(b"200 OK", b'{"a": [1, {"b": null}]}')),
    "list-half": after_ping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n[{"),
    "list-bad-chunk": after_ping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    "list-endless-header": after_ping(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 2_000_000),
    "list-500": after_ping(json_reply(b"500 Internal Server Error", b'{"message":"the moon is in the wrong phase"}')),
    "list-never": after_ping(None),
}


def fake_engine(path, behave):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    return FakeServer(listener, behave)


def tcp_listener(address="127.0.0.1", port=0):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(64)
    return listener


def read_whole_request(connection):
    """(method, path, headers in lower case, body)"""
    head, _, body = read_request(connection).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    method, path, _ = first.split(" ")
    return method, path, headers, body


class Liar:
    """Stands before a real engine, and tells what it likes: lie(method, path, reply) may change reply.body (bytes),
    reply.status and reply.head (headers), and returns whether it did."""

    def __init__(self, path, engine):
        self.engine = str(engine)
        self.lie = None
        self.lies = 0
        self.server = fake_engine(path, self._serve)

    def _serve(self, client):
        while True:
            method, path, headers, body = read_whole_request(client)
            reply = self._ask(method, path, headers, body)
            lie = self.lie
            if lie and lie(method, path, reply):
                self.lies += 1
            self._tell(client, method, reply)

    @staticmethod
    def _tell(client, method, reply):
        head = "".join(f"{name}: {value}\r\n" for name, value in reply.head.items())
        length = f"Content-Length: {len(reply.body)}\r\n" if reply.body or method != "HEAD" else ""
        client.sendall(f"HTTP/1.1 {reply.status} Said\r\n{head}{length}\r\n".encode() + reply.body)

    def _ask(self, method, path, headers, body):
        connection = UnixConnection(self.engine)
        with contextlib.closing(connection):
            given = {"Content-Type": headers["content-type"]} if "content-type" in headers else {}
            connection.request(method, path, body or None, given)
            real = connection.getresponse()
            kept = ("Api-Version", "Content-Type", "X-Docker-Container-Path-Stat")
            head = {name: real.headers[name] for name in kept if real.headers[name]}
            return types.SimpleNamespace(status=real.status, head=head, body=real.read())

    def close(self):
        self.server.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FailingEngine(Liar):
    """Stands before a real engine. The nth request after fail() fails in a way, and all others go well."""

    def __init__(self, path, engine, lose_session):
        self.path = str(path)
        self.lose_session = lose_session
        self.lock = threading.Lock()
        self.way, self.left, self.failed = None, 0, False
        super().__init__(path, engine)

    def fail(self, nth, way=None):
        """0: none, from now on."""
        with self.lock:
            self.way, self.left, self.failed = way, nth, False

    def _due(self):
        """How this request fails; None: it does not."""
        with self.lock:
            self.left -= 1
            self.failed |= self.left == 0
            return self.way if self.left == 0 else None

    def _serve(self, client):
        while True:
            request = read_whole_request(client)
            way = self._due()
            if way == "cut before":
                return
            if way == "no space":
                client.sendall(json_reply(b"500 Internal Server Error", b'{"message":"no space left on device"}'))
                continue
            reply = self._ask(*request)
            if way:
                self.ENDS[way](self)
                return
            self._tell(client, request[0], reply)

    def _go_away(self):
        """As an engine that is restarted: silent for a moment, then not there for another one."""
        time.sleep(0.5)
        os.rename(self.path, self.path + ".gone")
        threading.Timer(1, os.rename, (self.path + ".gone", self.path)).start()

    # After the engine has done it, and before anybody hears of it.
    ENDS = {"cut after": lambda self: None, "engine gone": _go_away, "session lost": lambda self: self.lose_session()}
    WAYS = ("cut before", "cut after", "no space", "engine gone", "session lost")


class Relay:
    """A TCP relay that can stop carrying bytes, after so many from the server, or now.

    With `after` it lets an SSH handshake get just so far and then hangs (or closes):
    each step of it, without knowing the protocol.
    """

    def __init__(self, target, after=None, then="hang", listener=None, delay=0.0):
        self.target = target
        self.after = after
        self.then = then
        self.delay = delay
        self.stalled = threading.Event()
        self.from_server = 0
        listener = listener or tcp_listener()
        self.port = listener.getsockname()[1]
        self.server = FakeServer(listener, self._relay)

    @property
    def accepted(self):
        return self.server.accepted

    def stall(self):
        """From now on nothing passes, and nobody is told: a cable that is cut."""
        self.stalled.set()

    def _relay(self, client):
        server = socket.create_connection(self.target)
        self.server.open.append(server)
        back = threading.Thread(target=self._pump, args=(server, client, True), daemon=True)
        back.start()
        self._pump(client, server, False)
        back.join()

    def _pump(self, source, sink, counted):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                if counted and self.after is not None and passed + len(data) > self.after:
                    sink.sendall(data[: self.after - passed])
                    if self.then == "close":
                        break
                    self.stalled.set()
                while self.stalled.is_set() and not self.server.closing:
                    time.sleep(0.05)
                sink.sendall(data)
                passed += len(data)
                if counted:
                    self.from_server = max(self.from_server, passed)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.server.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FakeDns:
    """A name server on 127.0.0.1:53 that knows the names it is given, and that all others do not exist.

    A name that maps to None gets no answer at all.
    """

    def __init__(self, names):
        self.names = names
        self.questions = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.closing = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            data, peer = self.socket.recvfrom(2048)
            if self.closing:
                return
            labels, at = [], 12
            while data[at]:
                labels.append(data[at + 1 : at + 1 + data[at]].decode())
                at += 1 + data[at]
            question = data[12 : at + 5]
            kind = struct.unpack(">H", data[at + 1 : at + 3])[0]
            name = ".".join(labels).lower()
            self.questions.append((name, kind))
            if name in self.names and self.names[name] is None:
                continue
            address = self.names.get(name)
            answer = b""
            if address and kind == 1:
                answer = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(address)
            code = 0 if name in self.names else 3
            header = data[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 1 if answer else 0, 0, 0)
            self.socket.sendto(header + question + answer, peer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing = True
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join(5)
        self.socket.close()
