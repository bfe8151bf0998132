"""The client on pipes or on a terminal, and what a daemon would tell it."""

import datetime
import fcntl
import json
import os
import pty
import select
import shlex
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from fake_apilbd import FakeDaemon


TOP = Path(__file__).resolve().parents[2]
CTL = Path(os.environ.get("APILB_BUILD", TOP / "build")) / "apilbctl"
WRAPPER = shlex.split(os.environ.get("APILB_WRAPPER", ""))
SLOWNESS = float(os.environ.get("APILB_SLOWNESS", "1"))
ENV = {"PATH": os.environ["PATH"], "TZ": "UTC", "TERM": "xterm", "HOME": "/"} | {
    k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")
}
HINT = "Is apilbd running? See: systemctl status apilbd\n"


class Result:
    def __init__(self, process):
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr

    def __eq__(self, other):
        return (self.code, self.out, self.err) == other

    def __repr__(self):
        return f"exit {self.code}\n--- stdout\n{self.out}--- stderr\n{self.err}"


def ctl(*args, env=None, **kwargs):
    kwargs.setdefault("timeout", 30 * SLOWNESS)
    return Result(
        subprocess.run(
            [*WRAPPER, CTL, *args], capture_output=True, text=True, env=ENV | (env or {}), **kwargs
        )
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s"


@pytest.fixture
def fake(path):
    """fake({"GET /v1/status": [...]}) starts one; fake.ctl runs the client on it."""
    made = []

    def make(answers):
        daemon = FakeDaemon(path, answers).start()
        daemon.ctl = lambda *args, **kwargs: ctl("--socket", str(path), *args, **kwargs)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.stop()


def stamp(**ago):
    """RFC 3339, so long ago; with ten more seconds, so that a slow test shows the same age."""
    return (
        datetime.datetime.now(datetime.timezone.utc)
        - datetime.timedelta(**ago)
        - datetime.timedelta(seconds=10)
    ).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def instance(ident, phase="converged", host=None, servers="up up up", error=None, **more):
    spec, label, name = ident.split("/")
    return {
        "id": ident,
        "spec": spec,
        "index": 0,
        "host": host or ("direct" if label == "direct" else f"ssh://root@{label}:22"),
        "name": name,
        "phase": phase,
        "converged": phase == "converged",
        "progress": None,
        "container": {"id": "0123456789ab", "image": "haproxy:3.0", "status": "running"},
        "config": {"path": "/etc/haproxy/haproxy.cfg", "sha256": "00"},
        "servers": [{"address": f"10.0.0.{n}:6443", "state": s} for n, s in enumerate(servers.split(), 1)],
        "lastError": {"kind": "transient", "message": error, "since": stamp(hours=1), "attempts": 3}
        if error
        else None,
        "observedAt": stamp(seconds=5),
        "changedAt": stamp(days=2, hours=5),
        "nextRunAt": stamp(seconds=-30),
    } | more


def spec(name, instances=1, errors=()):
    return {
        "name": name,
        "file": f"/etc/apilb.d/{name}.yaml",
        "valid": not errors,
        "errors": list(errors),
        "instances": instances,
        "converged": instances,
    }


def status(*instances, specs=None, ready=True):
    names = sorted({i["spec"] for i in instances})
    return {
        "version": "9.8.7",
        "ready": ready,
        "startedAt": stamp(days=9),
        "specs": [spec(n) for n in names] if specs is None else specs,
        "instances": list(instances),
    }


WELL = instance("prod/10.0.0.5/api-lb")
FAILED = instance(
    "prod/10.0.0.7/api-lb",
    "failed",
    servers="unknown unknown",
    error="no such image: haproxy:9.9",
    container=None,
    image="haproxy:9.9",
)
BAD_SPEC = spec(
    "edge",
    0,
    [
        {
            "file": "/etc/apilb.d/edge.yaml",
            "line": 7,
            "column": 3,
            "path": "servers[0]",
            "message": "port is missing",
        },
        {
            "file": "/etc/apilb.d/edge.yaml",
            "line": 0,
            "column": 0,
            "path": "",
            "message": 'unknown key "naem"',
        },
    ],
)


class Terminal:
    """The client on a terminal of its own."""

    def __init__(self, daemon, *args, columns=80, lines=24, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            [*WRAPPER, CTL, "--socket", daemon.path, *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=ENV | (env or {}),
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)

    def read_until(self, wanted=None, timeout=20):
        """Everything, up to `wanted` or the end."""
        deadline = time.monotonic() + timeout
        data = b""
        while wanted is None or wanted not in self.text:
            if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"waited for {wanted!r}; there is {self.text!r}")
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            self.text += data.decode(errors="surrogateescape")
        return self.text


def wait_for(condition, timeout=20):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def plan(ident, actions=(), error=None, diff=None):
    return {
        "id": ident,
        "spec": "prod",
        "host": "direct",
        "name": "api-lb",
        "error": {"kind": "unreachable", "message": error} if error else None,
        "actions": [
            {"action": "create-container", "target": "api-lb", "reason": "container is missing", "text": text}
            for text in actions
        ],
        "configDiff": diff,
    }


def event(ident, message, **more):
    return {
        "id": ident,
        "time": f"2026-05-01T10:00:0{ident}.250Z",
        "level": "info",
        "spec": "prod",
        "instance": "prod/10.0.0.5/api-lb",
        "type": "repaired",
        "message": message,
    } | more


def lines(*events):
    return "".join(json.dumps(e) + "\n" for e in events).encode()
