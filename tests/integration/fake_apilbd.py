"""A control socket with canned answers, for the client's tests: right ones, wrong ones, late ones, none."""

import json
import socket
import threading
import urllib.parse


class Reply:
    """A whole answer. A dict or list is sent as JSON; with delay seconds before it."""

    def __init__(self, body, status=200, delay=0.0):
        self.data = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status, self.delay = status, delay

    def send(self, connection, stopped):
        if stopped.wait(self.delay):
            return False
        head = f"HTTP/1.1 {self.status} X\r\nContent-Type: application/json\r\nContent-Length: {len(self.data)}\r\n\r\n"
        connection.sendall(head.encode() + self.data)
        return True


class Raw:
    """Bytes as they are, then the end of the connection, or silence."""

    def __init__(self, data=b"", hang=False):
        self.data, self.hang = data, hang

    def send(self, connection, stopped):
        connection.sendall(self.data)
        if self.hang:
            stopped.wait()
        return False


class Stream:
    """Pieces of a chunked answer: bytes, or something to wait for (an Event). It ends, or hangs."""

    def __init__(self, *pieces, hang=False):
        self.pieces, self.hang = pieces, hang

    def send(self, connection, stopped):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in self.pieces:
            if isinstance(piece, threading.Event):
                piece.wait(20)
            else:
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        if self.hang:
            stopped.wait()
            return False
        connection.sendall(b"0\r\n\r\n")
        return True


class FakeDaemon:
    """answers: {"GET /v1/status": [reply, ...]}; the last one is repeated. requests: what was asked, with its query."""

    def __init__(self, path, answers=None):
        self.path, self.answers, self.requests = str(path), dict(answers or {}), []
        self.lock, self.threads, self.connections = threading.Lock(), [], []
        self.listener = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.stopped = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self._run(self._accept)
        return self

    def stop(self):
        """As when the daemon ends: the socket stays, and nobody listens."""
        if not self.listener:
            return
        self.stopped.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = None
        with self.lock:
            open_connections, self.connections = self.connections, []
        for connection in open_connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(10)
        self.threads = []

    def _run(self, what, *args):
        thread = threading.Thread(target=what, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        listener = self.listener
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections.append(connection)
            self._run(self._serve, connection)

    def _serve(self, connection):
        with connection:
            try:
                while self._answer(connection):
                    pass
            except OSError:
                pass
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _answer(self, connection):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return False
            data += piece
        method, target, _ = data.split(b"\r\n")[0].decode().split(" ")
        url = urllib.parse.urlsplit(target)
        key = f"{method} {url.path}"
        with self.lock:
            self.requests.append((key, dict(urllib.parse.parse_qsl(url.query))))
            left = self.answers.get(key, [Reply({"error": f"no such thing: {key}"}, 404)])
            answer = left.pop(0) if len(left) > 1 else left[0]
        return answer.send(connection, self.stopped)
