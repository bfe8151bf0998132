"""apilbctl against a daemon with canned answers: whole outputs, every exit code, every way to be no daemon."""

import datetime
import fcntl
import json
import os
import pty
import re
import select
import shlex
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

import pytest
import yaml

from fake_apilbd import FakeDaemon, Raw, Reply, Stream

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
        subprocess.run([*WRAPPER, CTL, *args], capture_output=True, text=True, env=ENV | (env or {}), **kwargs)
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
        datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**ago) - datetime.timedelta(seconds=10)
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
        "lastError": {"kind": "transient", "message": error, "since": stamp(hours=1), "attempts": 3} if error else None,
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
FAILED = instance("prod/10.0.0.7/api-lb", "failed", servers="unknown unknown", error="no such image: haproxy:9.9", container=None, image="haproxy:9.9")
BAD_SPEC = spec("edge", 0, [{"file": "/etc/apilb.d/edge.yaml", "line": 7, "column": 3, "path": "servers[0]", "message": "port is missing"},
                            {"file": "/etc/apilb.d/edge.yaml", "line": 0, "column": 0, "path": "", "message": "unknown key \"naem\""}])


# status


def test_status_shows_what_needs_a_person_first(fake):
    daemon = fake({"GET /v1/status": [Reply(status(
        WELL,
        instance("prod/direct/b", "converged", servers="up down"),
        FAILED,
        instance("edge/h1/x", "unreachable", host="ssh://u@h1:2222", servers="unknown", error="refused", container=None),
        instance("edge/h2/x", "reconciling", host="ssh://u@[fd00::1]:22", progress="pulling haproxy:3.0: 2/5 layers", container=None),
        instance("edge/h3/x", "pending", servers="", container=None, changedAt=None),
    ))]})
    assert daemon.ctl("status") == (0, """\
SPEC  HOST      NAME    PHASE        IMAGE        SERVERS  AGE   WHY
prod  10.0.0.7  api-lb  failed       haproxy:9.9  ?/2      2d5h  no such image: haproxy:9.9
edge  h1:2222   x       unreachable  -            ?/1      2d5h  refused
edge  fd00::1   x       reconciling  -            3/3      2d5h  pulling haproxy:3.0: 2/5 layers
edge  h3        x       pending      -            ?/0      -
prod  direct    b       converged    haproxy:3.0  1/2      2d5h  down: 10.0.0.2:6443
prod  10.0.0.5  api-lb  converged    haproxy:3.0  3/3      2d5h
""", "2 of 6 balancers converged, 1 failed, 1 unreachable, 1 reconciling, 1 pending, 1 with servers down\n")


def test_status_problems_leaves_out_what_is_well(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL, FAILED))]})
    assert daemon.ctl("status", "--problems") == (0, """\
SPEC  HOST      NAME    PHASE   IMAGE        SERVERS  AGE   WHY
prod  10.0.0.7  api-lb  failed  haproxy:9.9  ?/2      2d5h  no such image: haproxy:9.9
""", "1 of 2 balancers converged, 1 failed\n")


def test_status_shows_every_error_of_an_invalid_spec(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL, specs=[spec("prod"), BAD_SPEC]))]})
    assert daemon.ctl("status") == (0, """\
SPEC  HOST      NAME    PHASE      IMAGE        SERVERS  AGE   WHY
prod  10.0.0.5  api-lb  converged  haproxy:3.0  3/3      2d5h
""", """\
INVALID SPEC edge: its last good version, if any, stays in force
  /etc/apilb.d/edge.yaml:7:3: servers[0]: port is missing
  /etc/apilb.d/edge.yaml: unknown key "naem"
1 of 1 balancer converged; 1 spec is invalid
""")


@pytest.mark.parametrize("ready, said", [
    (True, "no balancers\n"),
    (False, "apilbd has just started and still reads its specs; no balancers\n"),
])
def test_status_of_nothing(fake, ready, said):
    assert fake({"GET /v1/status": [Reply(status(ready=ready))]}).ctl("status") == (0, "", said)


def test_status_as_json_and_yaml_is_what_the_daemon_said(fake):
    said = status(WELL, FAILED, instance("prod/direct/yes", name="no", index=3), specs=[spec("prod"), BAD_SPEC])
    daemon = fake({"GET /v1/status": [Reply(said)]})
    result = daemon.ctl("status", "-o", "json")
    assert (result.code, json.loads(result.out), result.err) == (0, said, "")
    assert list(json.loads(result.out)) == list(said)
    result = daemon.ctl("-o", "yaml", "status")
    assert (result.code, yaml.safe_load(result.out), result.err) == (0, said, "")


def test_status_asks_for_one_spec(fake):
    daemon = fake({"GET /v1/status": [Reply(status(instance("a&b=c d/direct/x")))]})
    assert daemon.ctl("status", "a&b=c d").code == 0
    assert daemon.requests == [("GET /v1/status", {"spec": "a&b=c d"})]


def test_status_of_an_unknown_spec(fake):
    daemon = fake({"GET /v1/status": [Reply(status(specs=[]))]})
    assert daemon.ctl("status", "nope") == (1, "", 'apilbctl: there is no spec "nope"; apilbctl status shows all\n')
    assert daemon.ctl("status", "30s") == (1, "", 'apilbctl: there is no spec "30s"; a duration is given as --wait=30s\n')


def test_nothing_that_others_named_reaches_the_screen_raw(fake):
    evil = "\x1b]0;owned\x07\x9b31m\u202e\r\nx"
    daemon = fake({
        "GET /v1/status": [Reply(status(instance("prod/h/n", "failed", error=evil, name=evil), specs=[spec(evil, 1, [{"message": evil}])]))],
        "GET /v1/plan": [Reply({"ready": True, "instances": [plan(evil, actions=[evil], diff="+" + evil)]})],
        "GET /v1/events": [Reply(json.dumps(event(1, evil, type=evil, level=evil, instance=evil)) + "\n")],
        "POST /v1/reconcile": [Reply({"error": evil}, 409)],
        "GET /v1/state": [Reply(evil)],
    })
    for command in ("status", "status --watch", "status -o json", "status -o yaml", "plan", "plan -o json", "reconcile", "events", "events -o json",
                    "events -o yaml", "state export", "version"):
        with Terminal(daemon, *command.split()) as terminal:
            shown = terminal.read_until("\x1b[?7h" if "watch" in command else None).replace("\r\n", "\n")
        shown = re.sub("\x1b\\[(\\d+m|\\?7[lh]|[HJK])", "", shown)
        assert not set(re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)), command


# status --wait, --watch


def test_wait_ends_when_all_is_converged(fake):
    daemon = fake({"GET /v1/status": [
        Reply(status(ready=False)),
        Reply(status(FAILED)),
        Reply(status(WELL, specs=[spec("prod"), BAD_SPEC])),
        Reply(status(WELL)),
    ]})
    result = daemon.ctl("status", "--wait=10s")
    assert (result.code, result.err) == (0, "1 of 1 balancer converged\n")
    assert len(daemon.requests) == 4
    assert result.out.endswith("3/3      2d5h\n")


def test_wait_says_what_is_missing(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL, FAILED, specs=[spec("prod"), BAD_SPEC]))]})
    begin = time.monotonic()
    result = daemon.ctl("status", "--wait=700ms")
    assert 0.7 <= time.monotonic() - begin < 3 * SLOWNESS
    assert result.code == 1
    assert result.err.endswith("""\
1 of 2 balancers converged, 1 failed; 1 spec is invalid
apilbctl: not converged after 700ms:
  prod/10.0.0.7/api-lb: failed: no such image: haproxy:9.9
  spec edge is invalid
""")


def test_wait_lives_through_a_restart_of_the_daemon(fake, path):
    daemon = fake({"GET /v1/status": [Reply(status(FAILED)), Raw(b"")]})
    process = subprocess.Popen([*WRAPPER, CTL, "--socket", path, "status", "--wait=20s"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)
    wait_for(lambda: len(daemon.requests) > 1)
    daemon.stop()
    path.unlink()
    time.sleep(0.3)
    fake({"GET /v1/status": [Reply(status(WELL))]})
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "1 of 1 balancer converged\n")


def test_wait_with_a_daemon_that_does_not_come_back(fake, path):
    fake({"GET /v1/status": [Reply(status(FAILED)), Raw(b"")]})
    result = ctl("--socket", str(path), "status", "--wait=600ms")
    assert result == (3, "", f"apilbctl: {path}: GET /v1/status: the connection was closed without an answer.\n" + HINT)


def test_wait_does_not_wait_for_a_daemon_that_never_was(path):
    begin = time.monotonic()
    assert ctl("--socket", str(path), "status", "--wait").code == 3
    assert time.monotonic() - begin < 2 * SLOWNESS


def test_wait_gives_a_new_spec_time_to_be_seen(fake):
    daemon = fake({"GET /v1/status": [Reply(status()), Reply({"error": "no such spec: prod"}, 404), Reply(status(WELL))]})
    assert daemon.ctl("status", "--wait=5s", "prod").code == 0


def test_watch_prints_what_changes(fake):
    other = instance("prod/10.0.0.6/api-lb")
    daemon = fake({"GET /v1/status": [
        Reply(status(WELL, FAILED)),
        Reply(status(WELL, FAILED | {"observedAt": stamp(seconds=1)}, other)),
        Reply(status(WELL, FAILED | {"phase": "a-much-longer-phase"}, specs=[spec("prod"), BAD_SPEC])),
        Raw(b""),
    ]})
    result = daemon.ctl("status", "--watch")
    assert result.out == """\
SPEC  HOST      NAME    PHASE      IMAGE        SERVERS  AGE   WHY
prod  10.0.0.5  api-lb  converged  haproxy:3.0  3/3      2d5h
prod  10.0.0.7  api-lb  failed     haproxy:9.9  ?/2      2d5h  no such image: haproxy:9.9
prod  10.0.0.6  api-lb  converged  haproxy:3.0  3/3      2d5h
prod  10.0.0.6  api-lb  gone                 haproxy:3.0  3/3      2d5h
prod  10.0.0.7  api-lb  a-much-longer-phase  haproxy:9.9  ?/2      2d5h  no such image: haproxy:9.9
INVALID SPEC edge: its last good version, if any, stays in force
  /etc/apilb.d/edge.yaml:7:3: servers[0]: port is missing
  /etc/apilb.d/edge.yaml: unknown key "naem"
"""
    assert result.code == 3


def test_watch_and_wait_end_together(fake):
    daemon = fake({"GET /v1/status": [Reply(status(FAILED)), Reply(status(WELL))]})
    result = daemon.ctl("status", "--watch", "--wait=10s")
    assert result.code == 0
    assert [line.split()[:4] for line in result.out.splitlines()] == [
        ["SPEC", "HOST", "NAME", "PHASE"], ["prod", "10.0.0.7", "api-lb", "failed"], ["prod", "10.0.0.5", "api-lb", "converged"], ["prod", "10.0.0.7", "api-lb", "gone"]]


class Terminal:
    """The client on a terminal of its own."""

    def __init__(self, daemon, *args, columns=80, lines=24, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen([*WRAPPER, CTL, "--socket", daemon.path, *args], stdin=slave, stdout=slave, stderr=slave,
                                        env=ENV | (env or {}), start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
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


def test_a_terminal_gets_colour_and_no_long_lines(fake):
    daemon = fake({"GET /v1/status": [Reply(status(FAILED | {"lastError": {"message": "x" * 200}}))]})
    with Terminal(daemon, "status", columns=90) as terminal:
        header, row, *_ = terminal.read_until().split("\r\n")
    assert row == "prod  10.0.0.7  api-lb  \x1b[31mfailed\x1b[0m  haproxy:9.9  ?/2      2d5h  " + "x" * 27 + "..."
    assert len(row.replace("\x1b[31m", "").replace("\x1b[0m", "")) == 90
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        with Terminal(daemon, "status", env=env) as terminal:
            assert "\x1b" not in terminal.read_until()


def test_watch_draws_a_terminal_anew(fake):
    many = [instance(f"prod/10.0.0.{n}/api-lb") for n in range(30)]
    daemon = fake({"GET /v1/status": [Reply(status(*many)), Reply(status(FAILED, *many[1:]))]})
    with Terminal(daemon, "status", "--watch", lines=10) as terminal:
        terminal.read_until("1 failed")
        first, second = terminal.text.split("\x1b[?7l\x1b[H")[1:]
        assert first.endswith("\x1b[J\x1b[?7h")
        lines = first.split("\x1b[K\r\n")
        assert len(lines) == 10  # nine, and what ends the screen
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  30 of 30 balancers converged", lines[0])
        assert lines[8] == "... 25 more lines"
        terminal.read_until("more lines")
        daemon.stop()
        terminal.read_until("NO LONGER CURRENT")
        assert terminal.process.poll() is None
        os.write(terminal.master, b"\x03")
        terminal.process.wait(10)
        assert terminal.process.returncode == -signal.SIGINT


# plan


def plan(ident, actions=(), error=None, diff=None):
    return {
        "id": ident, "spec": "prod", "host": "direct", "name": "api-lb",
        "error": {"kind": "unreachable", "message": error} if error else None,
        "actions": [{"action": "create-container", "target": "api-lb", "reason": "container is missing", "text": text} for text in actions],
        "configDiff": diff,
    }


def test_plan_without_changes(fake):
    daemon = fake({"GET /v1/plan": [Reply({"ready": True, "instances": [plan("prod/h/a"), plan("prod/h/b")]})],
                   "GET /v1/status": [Reply(status(WELL))]})
    assert daemon.ctl("plan", "prod") == (0, "No changes. 2 balancers are as wanted.\n", "")
    assert daemon.requests == [("GET /v1/plan", {"spec": "prod"}), ("GET /v1/status", {"spec": "prod"})]


def test_plan_with_everything(fake):
    answer = {"ready": True, "instances": [
        plan("prod/h/a", ["create container api-lb from haproxy:3.0", "start container api-lb"]),
        plan("prod/h/b"),
        plan("prod/h/c", ["write /etc/haproxy/haproxy.cfg"], diff="--- host\n+++ wanted\n@@ -1 +1 @@\n-a\n+b\n"),
        plan("prod/h/d", error="connection refused"),
    ]}
    daemon = fake({"GET /v1/plan": [Reply(answer)], "GET /v1/status": [Reply(status(WELL))]})
    assert daemon.ctl("diff") == (1, """\
prod/h/a
  * create container api-lb from haproxy:3.0: container is missing
  * start container api-lb: container is missing

prod/h/c
  * write /etc/haproxy/haproxy.cfg: container is missing
      --- host
      +++ wanted
      @@ -1 +1 @@
      -a
      +b

prod/h/d
  ! unreachable: connection refused

3 actions on 2 of 4 balancers; 1 could not be looked at or changed.
""", "")
    result = daemon.ctl("plan", "-o", "json")
    assert (result.code, json.loads(result.out)) == (1, answer)


def test_plan_tells_of_a_spec_that_does_not_count(fake):
    daemon = fake({"GET /v1/plan": [Reply({"ready": True, "instances": []})], "GET /v1/status": [Reply(status(specs=[BAD_SPEC]))]})
    result = daemon.ctl("plan")
    assert result.code == 1
    assert result.err.startswith("INVALID SPEC edge")


def test_plan_before_the_specs_are_read(fake):
    daemon = fake({"GET /v1/plan": [Reply({"ready": False, "instances": []})]})
    assert daemon.ctl("plan") == (1, "", "apilbctl: apilbd has just started and still reads its specs; try again\n")


# reconcile


def test_reconcile_asks_and_returns(fake):
    daemon = fake({"POST /v1/reconcile": [Reply({"requestedAt": stamp()}, 202)], "GET /v1/status": [Reply(status(FAILED))]})
    assert daemon.ctl("reconcile", "prod") == (0, "", "A run is under way (apilbctl status --watch shows it).\n")
    assert daemon.requests[0] == ("POST /v1/reconcile", {"spec": "prod"})


def test_reconcile_is_refused(fake):
    daemon = fake({"POST /v1/reconcile": [Reply({"error": "no such spec: prod"}, 404), Reply("<html>", 500)]})
    assert daemon.ctl("reconcile", "prod") == (1, "", "apilbctl: no such spec: prod\n")
    assert daemon.ctl("reconcile") == (1, "", "apilbctl: POST /v1/reconcile: apilbd answers with status 500\n")


REQUESTED = "2026-05-01T10:00:00.500Z"
BEFORE, AFTER = "2026-05-01T10:00:00.499Z", "2026-05-01T12:00:00.5+02:00"


@pytest.mark.parametrize("final, code", [("converged", 0), ("failed", 1), ("unreachable", 1), ("conflict", 1), ("paused", 1)])
def test_reconcile_waits_for_the_end_of_a_run_that_began_after_the_request(fake, final, code):
    daemon = fake({
        "POST /v1/reconcile": [Reply({"requestedAt": REQUESTED}, 202)],
        "GET /v1/status": [
            Reply(status(WELL | {"observedAt": BEFORE})),
            Reply(status(WELL | {"observedAt": None})),
            Reply(status(instance("prod/h/x", "reconciling", observedAt=AFTER))),
            Reply(status(instance("prod/h/x", final, observedAt=AFTER))),
        ],
    })
    result = daemon.ctl("reconcile", "--wait=10s", "prod")
    assert result.code == code
    assert len(daemon.requests) == 5
    assert result.out.splitlines()[1].split()[3] == final


def test_reconcile_gives_up_waiting(fake):
    daemon = fake({"POST /v1/reconcile": [Reply({"requestedAt": REQUESTED}, 202)],
                   "GET /v1/status": [Reply(status(instance("prod/h/x", "removing", observedAt=AFTER)))]})
    result = daemon.ctl("reconcile", "--wait=300ms")
    assert result.code == 1
    assert result.err.endswith("apilbctl: not done after 300ms:\n  prod/h/x: removing\n")


def test_reconcile_wait_counts_invalid_specs(fake):
    daemon = fake({"POST /v1/reconcile": [Reply({"requestedAt": REQUESTED}, 202)],
                   "GET /v1/status": [Reply(status(WELL | {"observedAt": AFTER}, specs=[spec("prod"), BAD_SPEC]))]})
    assert daemon.ctl("reconcile", "--wait=5s").code == 1


# events


def event(ident, message, **more):
    return {"id": ident, "time": f"2026-05-01T10:00:0{ident}.250Z", "level": "info", "spec": "prod",
            "instance": "prod/10.0.0.5/api-lb", "type": "repaired", "message": message} | more


def lines(*events):
    return "".join(json.dumps(e) + "\n" for e in events).encode()


def test_events_as_lines(fake):
    daemon = fake({"GET /v1/events": [Stream(lines(
        event(1, "container started"), event(2, "gone\nfor good", level="warning", type="drift"), event(3, "bad", instance=None, level="error")))]})
    assert daemon.ctl("events", "-n", "3", "prod") == (0, """\
2026-05-01 10:00:01  info     prod/10.0.0.5/api-lb  repaired  container started
2026-05-01 10:00:02  warning  prod/10.0.0.5/api-lb  drift     gone\\nfor good
2026-05-01 10:00:03  error    prod                  repaired  bad
""", "")
    assert daemon.requests == [("GET /v1/events", {"spec": "prod", "limit": "3"})]


def test_events_as_json_and_yaml(fake):
    events = [event(1, "a"), event(2, "b")]
    daemon = fake({"GET /v1/events": [Stream(lines(*events))]})
    assert [json.loads(line) for line in daemon.ctl("events", "-o", "json").out.splitlines()] == events
    assert list(yaml.safe_load_all(daemon.ctl("events", "-o", "yaml").out)) == events
    assert daemon.requests[0][1] == {"limit": "100"}


def test_events_are_followed_as_they_come(fake, path):
    go = threading.Event()
    text = lines(event(1, "first"), event(2, "second"), event(3, "third"))
    daemon = fake({"GET /v1/events": [Stream(text[:200], text[200:250], go, text[250:])]})
    process = subprocess.Popen([*WRAPPER, CTL, "--socket", path, "events", "-f"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)
    assert process.stdout.readline().endswith("first\n")
    go.set()
    out, err = process.communicate(timeout=20)
    assert [line.split()[-1] for line in out.splitlines()] == ["second", "third"]
    assert (process.returncode, err) == (3, "apilbctl: apilbd has ended the stream of events\n")
    assert daemon.requests == [("GET /v1/events", {"follow": "1", "limit": "10"})]


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM)])
def test_following_is_ended_by_a_signal(fake, path, sent, code):
    fake({"GET /v1/events": [Stream(lines(event(1, "x")), hang=True)]})
    process = subprocess.Popen([*WRAPPER, CTL, "--socket", path, "events", "-f"], stdout=subprocess.PIPE, env=ENV)
    assert process.stdout.readline()
    process.send_signal(sent)
    assert process.wait(20) == code


def test_following_a_daemon_that_is_quiet_is_no_timeout(fake):
    go = threading.Event()
    daemon = fake({"GET /v1/events": [Stream(lines(event(1, "x")), go, lines(event(2, "y")))]})
    threading.Timer(1.2, go.set).start()
    assert daemon.ctl("--timeout", "500ms", "events", "-f").out.count("\n") == 2


def test_nobody_reads_the_events_any_more(fake, path):
    fake({"GET /v1/events": [Stream(*[lines(event(1, "x" * 1000))] * 3000, hang=True)]})
    shell = f"{shlex.join([*WRAPPER, str(CTL)])} --socket {path} events -f | head -n 1"
    assert len(subprocess.run(shell, shell=True, env=ENV, stdout=subprocess.PIPE, timeout=20).stdout.splitlines()) == 1


@pytest.mark.parametrize("line", [b"garbage\n", b"[1]\n", b"{\n"])
def test_events_that_are_none(fake, line):
    daemon = fake({"GET /v1/events": [Stream(lines(event(1, "x")) + line)]})
    result = daemon.ctl("events")
    assert (result.code, result.err) == (3, "apilbctl: what answers is not apilbd: an event is no JSON object\n")


# state export, version


def test_state_export_is_what_the_daemon_says(fake):
    text = 'state:\n  "0":\n    name: api-lb # kept\n'
    daemon = fake({"GET /v1/state": [Reply(text)]})
    assert daemon.ctl("state", "export", "prod") == (0, text, "")
    assert daemon.ctl("state", "export", "--with-secrets", "-o", "yaml") == (0, text, "")
    assert daemon.requests == [("GET /v1/state", {"spec": "prod"}), ("GET /v1/state", {"secrets": "1"})]


def test_version(fake, path):
    own = ctl("--version").out.split()[1]
    assert ctl("version", "--socket", str(path)) == (3, f"apilbctl  {own}\n", f"apilbctl: cannot connect to {path}: no such socket.\n{HINT}")
    daemon = fake({"GET /v1/status": [Reply(status())]})
    assert daemon.ctl("version") == (0, f"apilbctl  {own}\napilbd    9.8.7\n", "")
    assert json.loads(daemon.ctl("version", "-o", "json").out) == {"client": own, "daemon": "9.8.7"}


# no daemon


def test_no_socket(path):
    assert ctl("--socket", str(path), "status") == (3, "", f"apilbctl: cannot connect to {path}: no such socket.\n{HINT}")


def test_a_socket_that_was_left(path):
    FakeDaemon(path).start().stop()
    assert ctl("--socket", str(path), "plan") == (
        3, "", f"apilbctl: cannot connect to {path}: nobody listens there; the socket was left by a daemon that has ended.\n{HINT}")


def test_no_socket_but_a_file(path):
    path.write_text("x")
    assert ctl("--socket", str(path), "events") == (3, "", f"apilbctl: {path}: that is not a socket.\n{HINT}")


def as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


@pytest.fixture
def public_ctl(tmp_path_factory):
    """A copy of the client that everybody may run."""
    import shutil
    import tempfile
    directory = Path(tempfile.mkdtemp(prefix="apilbctl."))
    directory.chmod(0o755)
    shutil.copy(CTL, directory / "apilbctl")
    yield directory
    shutil.rmtree(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.skipif(WRAPPER != [], reason="valgrind itself needs more rights than nobody has")
def test_a_socket_of_somebody_else(public_ctl):
    path = public_ctl / "s"
    with FakeDaemon(path):
        path.chmod(0o660)
        os.chown(path, 0, 4)
        result = subprocess.run([public_ctl / "apilbctl", "--socket", path, "status"], capture_output=True, text=True, env=ENV, preexec_fn=as_nobody)
        assert (result.returncode, result.stderr) == (3, f"apilbctl: {path}: permission denied for nobody: the socket has mode 0660 and group adm.\n"
                                                      "Members of that group may use it (usermod -aG adm nobody, then log in anew), or root.\n")
        (public_ctl / "closed").mkdir(mode=0o700)
        inner = public_ctl / "closed" / "s"
        result = subprocess.run([public_ctl / "apilbctl", "--socket", inner, "status"], capture_output=True, text=True, env=ENV, preexec_fn=as_nobody)
        assert (result.returncode, result.stderr) == (3, f"apilbctl: {inner}: permission denied for nobody: the directory of the socket is closed to you.\n"
                                                      "Its group (see ls -ld) or root may use it.\n")


@pytest.mark.parametrize("answer, said", [
    (Raw(b""), "GET /v1/status: the connection was closed without an answer"),
    (Raw(b"\x00\xffSSH-2.0-garbage\r\n"), "GET /v1/status: what answers there does not speak HTTP, so it is not apilbd"),
    (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "GET /v1/status: the connection was closed in the middle of the answer"),
    (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", hang=True), "no answer to GET /v1/status within 300ms (--timeout)"),
    (Raw(hang=True), "no answer to GET /v1/status within 300ms (--timeout)"),
])
def test_a_daemon_that_is_none(fake, path, answer, said):
    daemon = fake({"GET /v1/status": [answer]})
    assert daemon.ctl("--timeout=300ms", "status") == (3, "", f"apilbctl: {path}: {said}.\n{HINT}")


def test_a_stream_that_does_not_begin(fake, path):
    daemon = fake({"GET /v1/events": [Raw(hang=True)]})
    assert daemon.ctl("--timeout=300ms", "events", "-f") == (3, "", f"apilbctl: {path}: no answer to GET /v1/events within 300ms (--timeout).\n{HINT}")


@pytest.mark.parametrize("body, why", [("", ": unexpected end of data"), ("[]", ""), ("nonsense", ": unexpected character"), ('{"a": ', None)])
def test_answers_that_are_no_json_object(fake, path, body, why):
    daemon = fake({"GET /v1/status": [Reply(body)]})
    result = daemon.ctl("status")
    assert result.code == 3
    assert result.err.startswith(f"apilbctl: what answers at {path} is not apilbd: its reply to GET /v1/status is no JSON object")


@pytest.mark.parametrize("body", [{}, {"instances": 1, "specs": []}, {"instances": []}])
def test_a_status_that_is_none(fake, body):
    daemon = fake({"GET /v1/status": [Reply(body)]})
    assert daemon.ctl("status") == (3, "", "apilbctl: what answers is not apilbd: its status has no list of instances and specs\n")


def test_a_status_full_of_nonsense_is_shown_as_far_as_it_goes(fake):
    daemon = fake({"GET /v1/status": [Reply({"ready": 1, "specs": [None, {"errors": [3]}], "instances": [None, 7, {"servers": [1], "container": "x", "changedAt": "then", "phase": []}]})]})
    assert daemon.ctl("status").code == 0


def test_a_proxy_is_not_asked(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL))]})
    assert daemon.ctl("status", env={"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}).code == 0


def test_a_path_that_is_too_long():
    assert ctl("--socket", "/" + "x" * 200, "status").code == 2


def test_a_full_disk_is_no_success(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL))]})
    with open("/dev/full", "w") as full:
        result = subprocess.run([*WRAPPER, CTL, "--socket", daemon.path, "status", "-o", "json"], stdout=full, stderr=subprocess.PIPE, text=True, env=ENV)
    assert (result.returncode, result.stderr) == (1, "apilbctl: cannot write to standard output: No space left on device\n")


# validate, render

SPEC = """\
servers: ["10.0.0.1:6443", "10.0.0.2:6443"]
bindAddress: 127.0.0.1
apiLoadBalancers:
- name: one
- name: two
  bindAddress: 127.0.0.1:7000
  hostConfigPath: /etc/two/haproxy.cfg
- host:
    ssh: {address: 10.0.0.9, privateKeyFile: /etc/apilb/key}
  name: two
"""
CHOICE = """
  0  prod/direct/one
  1  prod/direct/two
  2  prod/10.0.0.9/two
"""


@pytest.fixture
def prod(tmp_path):
    file = tmp_path / "prod.yaml"
    file.write_text(SPEC)
    return file


def test_validate_accepts(prod):
    assert ctl("validate", prod) == (0, f"{prod}: valid, 3 balancers\n", "")
    assert ctl("validate", "-", input=SPEC) == (0, "stdin.yaml: valid, 3 balancers\n", "")
    assert json.loads(ctl("validate", "-o", "json", prod).out) == {"valid": True, "errors": []}


def test_validate_shows_all_errors_of_all_files(prod, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("servers: [x]\nbindAddress: 127.0.0.1:9000\napiLoadBalancers:\n- naem: x\n")
    result = ctl("validate", bad, prod, tmp_path / "none.yaml")
    assert (result.code, result.out) == (2, f"{prod}: valid, 3 balancers\n")
    errors = result.err.splitlines()
    assert errors[0].startswith(f"{bad}:1:11: servers[0]: ")
    assert errors[1].startswith(f"{bad}:4:3: apiLoadBalancers[0].naem: unknown key; did you mean \"name\"?")
    assert errors[-1] == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    found = json.loads(ctl("validate", "-o", "json", bad).out)
    assert found["valid"] is False
    assert [(e["file"], e["line"], e["column"], e["path"]) for e in found["errors"]] == [(str(bad), 1, 11, "servers[0]"), (str(bad), 4, 3, "apiLoadBalancers[0].naem")]


def test_validate_compares_the_specs_of_a_directory(prod, tmp_path):
    (tmp_path / "copy.yaml").write_text(SPEC)
    (tmp_path / "ignored.yaml~").write_text("nonsense: [")
    (tmp_path / ".hidden.yaml").write_text("nonsense: [")
    result = ctl("validate", tmp_path)
    assert result.code == 2
    assert result.out == f"{tmp_path}/copy.yaml: valid, 3 balancers\n{tmp_path}/prod.yaml: valid, 3 balancers\n"
    assert f"{tmp_path}/prod.yaml:4:3: apiLoadBalancers[0]" in result.err and "copy.yaml" in result.err


@pytest.mark.parametrize("text, env, code", [
    (SPEC.replace(", privateKeyFile: /etc/apilb/key", ""), {}, 2),
    (SPEC.replace(", privateKeyFile: /etc/apilb/key", ""), {"SSH_AUTH_SOCK": "/run/agent"}, 0),
    ("", {}, 2),
    ("\xff\xfe", {}, 2),
    ("[" * 10000, {}, 2),
    ("#" * (17 << 20), {}, 2),
])
def test_validate_reads_anything(text, env, code):
    result = ctl("validate", "-", input=text, env=env)
    assert result.code == code
    assert bool(result.err) == (code != 0)


def test_validate_a_directory_that_cannot_be_a_file(tmp_path):
    assert ctl("render", tmp_path) == (2, "", f"apilbctl: {tmp_path}: render takes one spec; there are 0\n")


@pytest.mark.parametrize("wanted, bind", [
    ("0", "127.0.0.1:6443"), ("1", "127.0.0.1:7000"), ("one", "127.0.0.1:6443"), ("prod/direct/two", "127.0.0.1:7000"),
    ("10.0.0.9", "127.0.0.1:6443"), ("ssh://root@10.0.0.9:22", "127.0.0.1:6443"),
])
def test_render_one(prod, wanted, bind):
    result = ctl("render", prod, wanted)
    assert (result.code, result.err) == (0, "")
    assert re.search(rf"^\s+bind {bind}", result.out, re.M)
    assert "10.0.0.2:6443" in result.out


@pytest.mark.parametrize("args, said", [
    ([], "name one of these balancers, by number or id:"),
    (["two"], '"two" is more than one of these balancers:'),
    (["direct"], '"direct" is more than one of these balancers:'),
    (["3"], '"3" is none of these balancers:'),
    (["1x"], '"1x" is none of these balancers:'),
])
def test_render_needs_to_know_which(prod, args, said):
    assert ctl("render", prod, *args) == (2, "", f"apilbctl: {prod}: {said}{CHOICE}")


def test_render_the_only_one(tmp_path):
    file = tmp_path / "single.yaml"
    file.write_text(SPEC.split("- name: two")[0])
    assert ctl("render", file).out == ctl("render", file, "one").out != ""


def test_render_a_spec_with_errors(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("servers: 7\n")
    result = ctl("render", file)
    assert (result.code, result.out) == (2, "")
    assert f"{file}:1:10: servers: " in result.err


# the command line


@pytest.mark.parametrize("args, said", [
    ([], "no command given; see apilbctl --help"),
    (["bogus"], 'unknown command "bogus"; see apilbctl --help'),
    (["state"], "state what? There is: apilbctl state export"),
    (["status", "-x"], "status: unknown option -x"),
    (["status", "--bogus"], "status: unknown option --bogus"),
    (["status", "--follow"], "status: unknown option --follow"),
    (["status", "--watch=1"], "status: --watch takes no value"),
    (["status", "a", "b"], "too many arguments: apilbctl status [SPEC]"),
    (["status", "--wait=soon"], None),
    (["status", "--wait=0"], "status: --wait: 0 is no time at all"),
    (["status", "--watch", "-o", "json"], "status --watch is for a table; programs follow apilbctl events -f -o json"),
    (["status", "--problems", "-o", "json"], "status --problems is for a table, not for -o json"),
    (["events", "-n"], "events: --lines needs a value: --lines N"),
    (["events", "-n", "0"], 'events: --lines: "0" is no number from 1 to 1000000'),
    (["events", "-n", "1x"], 'events: --lines: "1x" is no number from 1 to 1000000'),
    (["-o", "xml", "status"], '--output: "xml" is none of table, json, yaml'),
    (["state", "export", "-o", "json"], "state export cannot be printed with -o json"),
    (["validate"], "validate needs FILE..."),
    (["--socket"], "--socket needs a value: --socket PATH"),
    (["help", "bogus"], 'unknown command "bogus"; see apilbctl --help'),
])
def test_wrong_usage(args, said):
    result = ctl(*args)
    assert (result.code, result.out) == (2, "")
    assert said is None or result.err == f"apilbctl: {said}\n"


def test_options_stand_anywhere(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL))]})
    expected = daemon.ctl("-o", "json", "status", "prod")
    assert expected.code == 0
    assert ctl("status", "prod", "-ojson", "--socket", daemon.path) == (0, expected.out, "")
    assert ctl("--socket=" + daemon.path, "status", "--output=json", "--", "prod") == (0, expected.out, "")


def commands():
    found = re.findall(r"^  ([a-z]+(?: export)?)(?:, ([a-z]+))? ", ctl("--help").out.split("Options:")[0], re.M)
    assert len(found) == 9
    return found


def test_help_of_every_command():
    for name, alias in commands():
        text = ctl(*name.split(), "--help")
        assert (text.code, text.err) == (0, "")
        assert text.out.startswith(f"apilbctl {name}: ")
        assert ctl("help", *name.split()).out == text.out
        if alias:
            assert ctl(alias, "-h").out == text.out
        assert max(map(len, text.out.splitlines())) <= 110
        assert not any(line.endswith(" ") for line in text.out.splitlines())


@pytest.mark.parametrize("typed, offered", [
    ("", "diff events help plan reconcile render state status validate version"),
    ("re", "reconcile render"),
    ("help st", "state status"),
    ("state ", "export"),
    ("-o ", "json table yaml"),
    ("events --fo", "--follow"),
    ("state export --wi", "--with-secrets"),
    ("--socket SOCKET status ", "edge prod"),
    ("--socket SOCKET diff p", "prod"),
    ("--socket SOCKET.gone status ", ""),
])
def test_completion(fake, typed, offered):
    daemon = fake({"GET /v1/status": [Reply(status(WELL, specs=[spec("prod"), BAD_SPEC]))]})
    words = ["apilbctl", *typed.replace("SOCKET", daemon.path).split(" ")]
    script = f"""source {TOP}/ctl/completion/apilbctl
        COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
        _apilbctl && printf '%s\\n' "${{COMPREPLY[@]}}" | sort"""
    env = ENV | {"PATH": f"{CTL.parent}:{ENV['PATH']}"}
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env)
    assert (result.stdout.split(), result.stderr) == (offered.split(), "")


def test_the_manual_names_every_command_and_option():
    manual = subprocess.run(["mandoc", "-T", "utf8", TOP / "man/apilbctl.1"], capture_output=True, text=True, check=True).stdout
    manual = re.sub(".\b", "", manual).replace("−", "-").replace("‐", "-")
    for name, alias in commands():
        assert re.search(rf"^     {name}\b", manual, re.M), name
        section = re.search(rf"^     {name}\b.*\n(?:(?:       .*)?\n)*", manual, re.M).group(0)
        assert not alias or alias in section
        for letter, option, value in re.findall(r"^  (?:(-\w), |    )(--[a-z-]+)(\S* ?[A-Z]*)", ctl(*name.split(), "--help").out.split("Options of every")[0], re.M):
            assert re.search(rf"{letter}[^\n]*{option}" if letter else option, section), (name, option)
    for letter, option, value in re.findall(r"^  (?:(-\w), |    )(--[a-z-]+)(\S* ?[A-Z]*)", ctl("--help").out, re.M):
        assert option in manual, option


def test_the_manual_is_clean():
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", TOP / "man/apilbctl.1"], capture_output=True, text=True)
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")
