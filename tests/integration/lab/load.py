"""Clients: what a kubelet does, many times, and every failure counted."""

import asyncio
import ssl
import threading
import time
from pathlib import Path

from .proc import Process, patience, run

HERE = Path(__file__).resolve().parent


def make_certificate(directory):
    """Self-signed; who wants to know more than that it is TLS asks somebody else."""
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key = directory / "api.crt", directory / "api.key"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=kubernetes", "-keyout", key, "-out", certificate)  # fmt: skip
    return certificate, key


class ApiServer:
    """A toy kube-apiserver (toy_apiserver.py) in a process of its own."""

    def __init__(self, name, address, port, certificate, directory):
        self.name = name
        self.endpoint = f"{address}:{port}"
        self.fail_file = directory / f"{name}.fail"
        self.argv = ["/usr/bin/python3", HERE / "toy_apiserver.py", name, address, port, *certificate, self.fail_file]
        self.log = directory / f"{name}.log"
        self.process = None
        self.start()

    def start(self):
        self.process = Process(self.name, self.argv, self.log)

    def wait(self):
        self.process.wait_for("listening", lambda: "listens" in self.process.log(), patience(10))

    def fail(self, failing=True):
        if failing:
            self.fail_file.touch()
        else:
            self.fail_file.unlink(missing_ok=True)

    def stop(self):
        self.process.stop()


def _context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


CONTEXT = _context()


async def _ask(reader, writer, close):
    ending = "Connection: close\r\n" if close else ""
    writer.write(f"GET /version HTTP/1.1\r\nHost: k\r\n{ending}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise OSError(head.split(b"\r\n")[0].decode())
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return (await reader.readexactly(length)).decode()


async def _once(host, port, timeout):
    async def talk():
        reader, writer = await asyncio.open_connection(host, port, ssl=CONTEXT)
        try:
            return await _ask(reader, writer, True)
        finally:
            # Without a TLS goodbye: asyncio would leave the connection half open when the loop ends before the answer to
            # it comes, and a HAProxy that is told to leave would wait for it (timeout client-fin, 30 s).
            writer.transport.abort()

    return await asyncio.wait_for(talk(), timeout)


def _split(endpoint):
    host, _, port = endpoint.rpartition(":")
    return host.strip("[]"), int(port)


def ask(endpoint, timeout=3):
    """One request through a balancer: the name of the API server behind it, or None."""
    try:
        return asyncio.run(_once(*_split(endpoint), timeout))
    except (OSError, EOFError, asyncio.TimeoutError, ssl.SSLError):
        return None


class LoadGenerator:
    """New TLS connections at a rate, and some that stay open, to each endpoint, until stopped."""

    def __init__(self, endpoints, rate=20, long_lived=2, timeout=5):
        self.endpoints = [_split(e) for e in endpoints]
        self.interval = 1 / rate
        self.long_lived = long_lived
        self.timeout = timeout
        self.answers = {}
        self.failures = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    async def _short(self, host, port):
        started = time.monotonic()
        try:
            name = await _once(host, port, self.timeout)
            self.answers[name] = self.answers.get(name, 0) + 1
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self.failures.append((round(started - self.began, 2), f"{host}:{port}", repr(error)))

    async def _long(self, host, port):
        """A watch: one connection that is to stay, asked twice a second."""
        try:
            reader, writer = await asyncio.open_connection(host, port, ssl=CONTEXT)
            while not self._stop.is_set():
                await asyncio.wait_for(_ask(reader, writer, False), self.timeout)
                await asyncio.sleep(0.5)
            # Without a TLS goodbye, for which nobody would wait: it is to be gone when the load is.
            writer.transport.abort()
        except (OSError, EOFError, asyncio.TimeoutError) as error:
            self.failures.append((round(time.monotonic() - self.began, 2), f"{host}:{port} (long)", repr(error)))

    async def _main(self):
        tasks = {asyncio.ensure_future(self._long(*e)) for e in self.endpoints for _ in range(self.long_lived)}
        due = time.monotonic()
        while not self._stop.is_set():
            tasks |= {asyncio.ensure_future(self._short(*e)) for e in self.endpoints}
            tasks = {t for t in tasks if not t.done()}
            due += self.interval
            await asyncio.sleep(max(0, due - time.monotonic()))
        await asyncio.gather(*tasks)

    def __enter__(self):
        self.began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(self.timeout + 10)

    @property
    def total(self):
        return sum(self.answers.values())

    def assert_unharmed(self, at_least=10):
        assert self.total >= at_least, f"only {self.total} requests were made"
        assert not self.failures, f"{len(self.failures)} of {self.total} failed: {self.failures[:5]}"
