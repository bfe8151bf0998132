#!/usr/bin/python3
"""One measurement: three API servers, one HAProxy, clients, and one fault.

    failover_cell.py ROOT CONFIG FAULT DIRECTORY

It has network and mounts to itself (failover.py sees to that), so that packets
can be dropped and several can run side by side. Prints one JSON object.
"""

import asyncio
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import failover_configs as configs
from failover_faults import FAULTS

HERE = Path(__file__).resolve().parent
ADDRESSES = {f"s{n}": f"127.0.2.{n}" for n in (1, 2, 3)}
LOOPS, PAUSE_S = 4, 0.05  # clients that open connections, one after the other
STREAMS, LINE_S = 24, 0.1  # clients that hold one
LIMIT_S = 20  # so long does a client wait
LATE_S = 3  # so long it should wait at most
IN_USE_S = 0.2  # a connection that ends so soon after its server was killed was in use there
LOST = (OSError, EOFError, asyncio.TimeoutError, ValueError)


def wait_listening(address):
    until = time.monotonic() + 15
    while True:
        try:
            socket.create_connection((address, configs.PORT), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


class Server:
    """An API server, and what is done to it."""

    def __init__(self, name, directory):
        self.name, self.address = name, ADDRESSES[name]
        self.probes = directory / f"{name}.probes"
        self.argv = ["/usr/bin/python3", HERE / "failover_server.py", name, self.address]
        self.argv += [directory / "api.crt", directory / "api.key", self.probes]
        self.alive = False
        self.ready()
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.alive = True

    def ready(self):
        self.probes.write_text("")

    def not_ready(self, paths=("/readyz",)):
        """What a probe reads is there whole: a file that is renamed."""
        new = self.probes.with_suffix(".new")
        new.write_text("".join(f"{path} 500\n" for path in paths))
        new.rename(self.probes)

    def kill(self):
        self.alive = False
        self.process.kill()
        self.process.wait()

    def close_port(self):
        self.process.terminate()

    def hang(self):
        self.alive = False
        self.process.send_signal(signal.SIGSTOP)

    def drop(self):
        """In silence, both ways: nobody is told that the packets went nowhere."""
        self.alive = False
        for side in ("--source", "--destination"):
            subprocess.run(["iptables", "-A", "INPUT", side, self.address, "-j", "DROP"], check=True)


class Balancer:
    """HAProxy of one version, from the files of its image, with one config."""

    def __init__(self, root, config, directory):
        (directory / "sockets").mkdir()
        for inside, outside in (("cell", directory), ("var/lib/apilb", directory / "sockets"), ("dev", Path("/dev"))):
            (root / inside).mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--bind", outside, root / inside], check=True)
        (directory / "sockets" / configs.NAME).mkdir()
        text = configs.config_named(config)([f"{a}:{configs.PORT}" for a in ADDRESSES.values()])
        (directory / "haproxy.cfg").write_text(text)
        environment = {"PATH": "/usr/local/sbin:/bin", "APILB_TOKEN": configs.TOKEN}
        for script in configs.scripts_of(config):
            shutil.copy(script, directory)
        for path in re.findall(r'lua-load "/var/lib/apilb/(\S+)"', text):
            shutil.copy(configs.GUARD, directory / "sockets" / path)
        argv = ["/usr/sbin/chroot", root, "/usr/local/sbin/haproxy", "-W", "-db", "-f", "/cell/haproxy.cfg"]
        self.log = open(directory / "haproxy.log", "wb")
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment
        )

    def reload(self):
        self.process.send_signal(signal.SIGUSR2)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


class Stream:
    """A client that holds a connection, and gets a new one at once when it has lost it."""

    def __init__(self):
        self.server = None
        self.answered = time.monotonic()
        self.gap = 0
        self.affected = False

    def count(self):
        now = time.monotonic()
        self.gap, self.answered = max(self.gap, now - self.answered), now


class Cell:
    def __init__(self, root, config, directory):
        self.servers = [Server(name, directory) for name in ADDRESSES]
        for server in self.servers:
            wait_listening(server.address)
        self.balancer = Balancer(root, config, directory)
        self.host, self.port = configs.ADDRESS, configs.PORT
        wait_listening(self.host)
        self.context = context()
        self.streams = [Stream() for _ in range(STREAMS)]
        self.began = None  # when the fault came
        self.news = []  # [begun, wait, the server that answered or None]
        self.waiting = {}  # {client: since when}
        self.strikes = []  # when a server was killed, stopped or cut off
        self.cuts = []  # (when, server) of streams that were cut though their server was well
        self.unwanted = []  # [server, from, until]: when no new connection should get there
        self.lag = 0

    def server(self, name):
        return next(s for s in self.servers if s.name == name)

    def now(self):
        return time.monotonic() - self.began

    def unwant(self, server):
        self.unwanted.append([server.name, self.now(), None])

    def want(self, server):
        for row in self.unwanted:
            if row[0] == server.name and row[2] is None:
                row[2] = self.now()

    async def ask(self, path):
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.context)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: k\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise OSError(head)
            name = (await reader.readexactly(2)).decode()
            return name, reader, writer
        except BaseException:
            writer.transport.abort()
            raise

    async def open_connections(self, client):
        while True:
            begun, name = time.monotonic(), None
            self.waiting[client] = begun
            try:
                name, _, writer = await asyncio.wait_for(self.ask("/version"), LIMIT_S)
                writer.transport.abort()
            except LOST:
                pass
            del self.waiting[client]
            self.news.append([begun, time.monotonic() - begun, name])
            await asyncio.sleep(PAUSE_S)

    async def hold(self, stream):
        while True:
            try:
                name, reader, writer = await asyncio.wait_for(self.ask("/stream"), LIMIT_S)
            except LOST:
                await asyncio.sleep(PAUSE_S)
                continue
            stream.server = self.server(name)
            try:
                while True:
                    writer.write(b"a line\n")
                    if not await reader.readline():
                        raise EOFError
                    stream.count()
                    await asyncio.sleep(LINE_S)
            except LOST:
                writer.transport.abort()
                if self.began:
                    stream.affected = True
                    if stream.server.alive:
                        self.cuts.append((self.now(), stream.server.name))
                stream.server = None

    async def watch_lag(self):
        while True:
            due = time.monotonic() + 0.05
            await asyncio.sleep(0.05)
            self.lag = max(self.lag, time.monotonic() - due)

    async def connected(self):
        until = time.monotonic() + 15
        while any(s.server is None for s in self.streams):
            if time.monotonic() > until or self.balancer.process.poll() is not None:
                raise TimeoutError("the streams do not get connected")
            await asyncio.sleep(0.1)

    async def settle(self, old_worker):
        """For a while, so that the fault meets a check anywhere in its interval."""
        if old_worker:
            self.balancer.reload()
            await asyncio.sleep(2)
        await asyncio.sleep(1 + 2 * random.random())

    def start_counting(self):
        self.began = time.monotonic()
        self.lag = 0
        for stream in self.streams:
            stream.gap = 0

    def doomed(self, server):
        """Called before a fault: whoever is connected there will notice."""
        self.strikes.append(time.monotonic())
        for stream in self.streams:
            stream.affected |= stream.server is server

    async def run(self, fault):
        clients = [self.hold(s) for s in self.streams] + [self.watch_lag()]
        tasks = [asyncio.ensure_future(c) for c in clients]
        # The others only then, so that `leastconn` and `roundrobin` spread the streams alike.
        await self.connected()
        tasks += [asyncio.ensure_future(self.open_connections(n)) for n in range(LOOPS)]
        await self.settle(fault.old_worker)
        if fault.before:
            await fault.before(self)
        self.start_counting()
        await fault.act(self)
        await asyncio.sleep(max(0, fault.seconds - self.now()))
        return self.result()

    def new_connections(self):
        """Those begun since the fault. One that waits at the end, and has for longer than it should, has failed."""
        now = time.monotonic()
        news = self.news + [[since, now - since, None] for since in self.waiting.values() if now - since > LATE_S]
        return [
            [begun - self.began, wait, name]
            for begun, wait, name in news
            if begun >= self.began and not (name is None and self.was_in_use(begun, begun + wait))
        ]

    def was_in_use(self, begun, ended):
        """Did it end because its server was struck just then? That is not a new connection's fate, nor avoidable."""
        return any(begun < struck <= ended < struck + IN_USE_S for struck in self.strikes)

    def result(self):
        for stream in self.streams:
            stream.count()
        for row in self.unwanted:
            row[2] = row[2] or self.now()
        new = self.new_connections()
        return {
            "new": new,
            "late": sum(self.is_late(*row) for row in new),
            "gaps": [s.gap for s in self.streams if s.affected],
            "cuts": self.cuts,
            "lag": self.lag,
        }

    def is_late(self, begun, wait, name):
        """Did it get to a server that should have been known for two seconds? Who waits does not say where."""
        for server, since, until in self.unwanted:
            if since + 2 <= begun < until and (name == server or name is None or wait > 1):
                return True
        return False


def main(root, config, fault, directory):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    cell = Cell(Path(root), config, Path(directory))
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    print(json.dumps(loop.run_until_complete(cell.run(FAULTS[fault]))), flush=True)
    # Everything that was started dies with this namespace.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
