#!/usr/bin/python3
"""The longest turn of apilbd's event loop because of spec files: `make bench`.

A real apilbd, whose balancers are on an engine that is not there, is given
files that are as much work as the limits allow, each kind at the start, as new
files, as an edit of each, and at a look that nothing has changed before. What is
printed is the CPU time of its loop's longest turn (tests/turns.c), in milliseconds,
so a busy machine changes nothing.

    turns.py [--only KIND] [--json]

It measures and prints; it is not a test.
"""

import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUILD = Path(os.environ.get("APILB_BUILD", "build")).resolve()
MAX_BYTES = 4 << 20

HEAD = (
    "servers: [10.0.0.1:6443, 10.0.0.2:6443, 10.0.0.3:6443]\nbindAddress: 127.0.0.1\n"
    "runtime: {docker: {host: unix:///nowhere/docker.sock}}\n"
)
ONE = HEAD + "apiLoadBalancers: [{}]\n"


def hosts(number, first=0, head=HEAD):
    """A fleet behind one engine socket each that is not there, so that no network is asked."""
    rows = (
        f"- {{name: lb{n}, hostConfigPath: /etc/lb{n}/x.cfg, bindAddress: '127.0.0.1:{1 + n % 65000}',"
        f" host: {{ssh: {{address: 127.1.{n >> 8 & 255}.{n & 255}, port: 1, password: x}}}}}}\n"
        for n in range(first, first + number)
    )
    return head + "apiLoadBalancers:\n" + "".join(rows)


def shared():
    items = "".join(f"- 10.0.{n // 250}.{n % 250 + 1}:6443\n" for n in range(200))
    return f"bindAddress: '*'\nservers:\n{items}apiLoadBalancers:\n" + "- {}\n" * 200_000


def doubling():
    return "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 60))


def laughing():
    """As many values as may be, by aliases; twice."""
    return "x0: &x0 [a,b,c,d,e,f,g,h,i]\n" + "".join(
        f"x{n}: &x{n} [" + ",".join([f"*x{n - 1}"] * 9) + "]\n" for n in range(1, 5)
    )


# The files of each kind: how many, and what is in each.
KINDS = {
    "one balancer": (1, lambda n: ONE),
    "200,000 maps": (1, lambda n: HEAD + "apiLoadBalancers:\n" + "- {}\n" * 200_000),
    "much that is shared": (1, lambda n: shared()),
    "a list in a list": (1, lambda n: ONE + "x: " + "[" * 60 + "a," * 200_000 + "]" * 60 + "\n"),
    "aliases that double": (1, lambda n: doubling()),
    "aliases to the limit": (1, lambda n: laughing()),
    "a text of 4 MiB": (1, lambda n: ONE + 'x: "' + "a" * (MAX_BYTES - 200) + '"\n'),
    "escapes, 4 MiB": (1, lambda n: ONE + 'x: "' + "\\x41" * (MAX_BYTES // 4 - 100) + '"\n'),
    "a comment of 4 MiB": (1, lambda n: ONE + "#" + "x" * (MAX_BYTES - 200) + "\n"),
    "120,000 unknown keys": (1, lambda n: ONE + "".join(f"serverz{i}: x\n" for i in range(120_000))),
    "10,000 hosts, one error": (1, lambda n: hosts(10_000) + "nonsense: x\n"),
    "4 times that": (4, lambda n: hosts(10_000, n * 10_000) + "nonsense: x\n"),
    "4 texts of 4 MiB": (4, lambda n: ONE + 'x: "' + "a" * (MAX_BYTES - 200) + '"\n'),
    "500 files, 100 errors each": (500, lambda n: ONE + "".join(f"serverz{i}: x\n" for i in range(100))),
    "1,000 hosts, valid": (1, lambda n: hosts(1_000)),
    "10,000 hosts, valid": (1, lambda n: hosts(10_000)),
}


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("apilb", timeout=300)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


class Daemon:
    def __init__(self, directory):
        self.specs = directory / "specs"
        self.specs.mkdir()
        (directory / "settings").touch()
        self.socket = directory / "socket"
        self.turns = directory / "turns"
        self.directory = directory
        self.process = None

    def start(self):
        arguments = {"config": "settings", "spec-dir": "specs", "state-dir": "state", "socket": "socket"}
        options = [f"--{key}={self.directory / value}" for key, value in arguments.items()]
        environment = {
            "LD_PRELOAD": str(BUILD / "tests/turns.so"),
            "APILB_TURNS": str(self.turns),
            "PATH": os.environ["PATH"],
        }
        self.socket.unlink(missing_ok=True)
        with open(self.directory / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [BUILD / "apilbd", *options, "--resync=1h", "--log-level=error"], env=environment, stderr=log
            )
        while not self.socket.exists():
            assert self.process.poll() is None, (self.directory / "log").read_text()
            time.sleep(0.01)
        self.ask()

    def ask(self):
        """Answered when all that is in the directory has been read."""
        connection = Connection(self.socket)
        connection.request("GET", "/v1/status?spec=no-such-spec")
        connection.getresponse().read()
        connection.close()

    def longest(self, act):
        self.turns.unlink(missing_ok=True)
        act()
        self.ask()
        time.sleep(0.3)
        self.ask()
        return int(self.turns.read_text()) / 1000

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
        self.process = None

    def peak_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(kind):
    number, text = KINDS[kind]
    directory = Path(tempfile.mkdtemp(prefix="apilb-turns-"))
    daemon = Daemon(directory)
    texts = [text(n) for n in range(number)]
    assert max(map(len, texts)) <= MAX_BYTES
    ready = directory / "ready"

    def write(more=""):
        """All at once, as a tool would that writes aside and renames."""
        for n, one in enumerate(texts):
            ready.write_text(one + more)
            os.rename(ready, daemon.specs / f"spec{n}.yaml")

    def hang_up():
        daemon.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)

    try:
        daemon.start()
        row = {
            "new": daemon.longest(write),
            "edit": daemon.longest(lambda: write("# b\n")),
            "again": daemon.longest(hang_up),
        }
        daemon.stop()
        row["start"] = daemon.longest(daemon.start)
        row["peak MiB"] = daemon.peak_mib()
        return row
    finally:
        daemon.stop()
        shutil.rmtree(directory)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=KINDS, metavar="KIND")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = {}
    for kind in [options.only] if options.only else KINDS:
        rows[kind] = measure(kind)
        if not options.json:
            print(f"{kind:28}" + "".join(f"  {key} {value:7.1f}" for key, value in rows[kind].items()), flush=True)
    if options.json:
        json.dump(rows, sys.stdout)


if __name__ == "__main__":
    main()
