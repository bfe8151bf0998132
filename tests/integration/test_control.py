"""The control socket: every endpoint, any client, many clients, bad clients."""

import contextlib
import json
import re
import signal
import socket
import stat
import time

import pytest

from lab import spec
from lab.certificates import Authority
from lab.engine import UnixConnection
from lab.fleet import deploy_local
from lab.proc import always, patience, run, wait_for

INSTANCE_KEYS = {"id", "spec", "index", "host", "name", "phase", "converged", "container", "config", "servers",
                 "lastError", "observedAt", "changedAt", "nextRunAt"}  # fmt: skip
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"


def curl(daemon, path, *options):
    return run("curl", "-sS", "--fail-with-body", "--max-time", "10", *options, "--unix-socket", daemon.socket,
               f"http://apilb{path}")  # fmt: skip


def test_status_document(daemon, local, servers):
    deploy_local(daemon, servers, count=2)
    status = json.loads(curl(daemon, "/v1/status"))
    assert status.keys() >= {"version", "ready", "startedAt", "specs", "instances"}
    assert status["ready"] is True
    assert re.match(TIME, status["startedAt"])
    expected = {"name": "local", "file": f"{daemon.spec_dir}/local.yaml", "valid": True, "errors": [],
                "instances": 2, "converged": 2}  # fmt: skip
    assert {key: status["specs"][0][key] for key in expected} == expected
    first = status["instances"][0]
    assert first.keys() >= INSTANCE_KEYS
    assert (first["id"], first["spec"], first["index"], first["name"]) == ("local/direct/lb0", "local", 0, "lb0")
    assert first["container"]["id"] == local.engine.inspect("lb0")["Id"]
    assert first["container"].items() >= {"image": "haproxy:2.6-lab", "status": "running"}.items()
    assert first["config"]["path"] == "/etc/haproxy-lb0/haproxy.cfg"
    digest = local.sh("sha256sum /etc/haproxy-lb0/haproxy.cfg").split()[0]
    assert first["config"]["sha256"] == digest
    assert [s["address"] for s in first["servers"]] == servers
    assert {s["state"] for s in first["servers"]} <= {"up", "down", "unknown"}
    assert first["lastError"] is None
    for key in ("observedAt", "changedAt", "nextRunAt"):
        assert re.match(TIME, first[key]), f"{key}: {first[key]}"


def test_errors_in_the_status_document(daemon):
    daemon.drop("bad", "apiLoadBalancers:\n  - nmae: x\n")
    daemon.wait_invalid("bad")
    errors = json.loads(curl(daemon, "/v1/status"))["specs"][0]["errors"]
    found = next(e for e in errors if "nmae" in e["path"])
    assert found.keys() >= {"file", "line", "column", "path", "message"}
    assert (found["line"], found["column"]) == (2, 5)


def test_plan_reconcile_events_state(daemon, local, servers):
    deploy_local(daemon, servers)
    assert isinstance(json.loads(curl(daemon, "/v1/plan")), (dict, list))
    assert isinstance(json.loads(curl(daemon, "/v1/plan?spec=local")), (dict, list))
    assert daemon.request("POST", "/v1/reconcile")[0] == 202
    assert daemon.request("POST", "/v1/reconcile?spec=local")[0] == 202
    events = [json.loads(line) for line in curl(daemon, "/v1/events").splitlines()]
    assert events and any("lb0" in json.dumps(event) for event in events)
    assert curl(daemon, "/v1/state?spec=local").startswith("state:")
    assert local.engine.inspect("lb0")["Id"] in curl(daemon, "/v1/state")


@pytest.mark.parametrize("path", ["/v1/plan?spec=none", "/v1/state?spec=none"])
def test_unknown_spec(daemon, path):
    status, _, body = daemon.request("GET", path)
    assert status == 404 and "none" in json.loads(body)["error"]


def test_a_file_is_not_the_name_of_its_spec(daemon):
    """People write what they see in the directory."""
    daemon.drop("prod", {"nonsense": 1})
    daemon.wait_invalid("prod")
    for named in ("prod.yaml", "prod.yml", "/etc/apilb.d/prod.yaml"):
        said = daemon.ctl("status", named, expect=1).stderr
        assert said == f'apilbctl: no spec is named "{named}"; the spec of this file is named "prod"\n'
    assert daemon.ctl("status", "other.yaml", expect=1).stderr == 'apilbctl: no spec is named "other.yaml"\n'


WRONG = [("GET", "/", 404), ("GET", "/v2/status", 404), ("GET", "/v1/status/x", 404), ("POST", "/v1/status", 405),
         ("GET", "/v1/reconcile", 405), ("DELETE", "/v1/plan", 405), ("PUT", "/metrics", 405)]  # fmt: skip


@pytest.mark.parametrize("method,path,code", WRONG)
def test_wrong_requests(daemon, method, path, code):
    status, headers, body = daemon.request(method, path)
    assert status == code and json.loads(body)["error"]
    if code == 405:
        assert headers["Allow"]


def test_metrics(daemon, servers, local):
    deploy_local(daemon, servers)
    text = curl(daemon, "/metrics")
    sample = re.compile(r'^[a-z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*="([^"\\]|\\.)*",?)*\})? -?[0-9.e+-]+(NaN|Inf)?$')
    typed = set(re.findall(r"(?m)^# TYPE (\S+) (?:counter|gauge|histogram)$", text))
    assert typed
    for line in text.splitlines():
        if line and not line.startswith("#"):
            assert sample.match(line), line
            assert re.sub(r"_(bucket|sum|count)?$", "", re.match(r"\w+", line).group()) in typed or (
                re.match(r"\w+", line).group() in typed
            ), f"no type: {line}"
            assert line.startswith(("apilb", "process_")), line
    for seen in re.findall(r"(?m)^# TYPE (\S+) counter$", text):
        assert seen.endswith("_total"), seen


def test_healthz(daemon):
    status, _, _ = daemon.request("GET", "/healthz")
    assert status == 200


def test_mode_of_the_socket(daemon):
    assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o660


# Followers.


def half_written(path, content, ask):
    """Writes it again, line by line; asks after each. From the first balancer on, what stands there is valid."""
    balancers = content.pop("apiLoadBalancers")
    lines = [f"{key}: {json.dumps(value)}" for key, value in content.items()]
    lines += ["apiLoadBalancers:", *(f"- {json.dumps(balancer)}" for balancer in balancers)]
    with open(path, "w") as file:
        for line in lines:
            print(line, file=file, flush=True)
            ask()
            time.sleep(0.05)


def test_a_file_that_is_being_written_is_not_read_because_somebody_asks(daemon, local, servers):
    content = deploy_local(daemon, servers, count=3)
    before = [local.engine.inspect(f"lb{n}")["Id"] for n in range(3)]
    path = daemon.spec_dir / "local.yaml"
    with contextlib.ExitStack() as stack:

        def post():
            for question in (("POST", "/v1/reconcile"), ("GET", "/v1/plan"), ("GET", "/v1/status")):
                connection = stack.enter_context(contextlib.closing(UnixConnection(daemon.socket, 10)))
                connection.request(*question)
                waiting.append(connection)
            daemon.process.child.send_signal(signal.SIGHUP)

        waiting = []
        half_written(path, content, post)
        assert len(waiting) > 9
        assert {connection.getresponse().status for connection in waiting} == {200, 202}
    daemon.wait_converged(3)
    assert [local.engine.inspect(f"lb{n}")["Id"] for n in range(3)] == before
    types = [event["type"] for event in daemon.events()]
    assert "removed" not in types and "spec-invalid" not in types


def found(method, path):
    return lambda daemon, name: daemon.request(method, f"{path}?spec={name}")[0] != 404


# Whether the answer knows of a spec.
QUESTIONS = {
    "status": lambda daemon, name: bool(daemon.spec(name)),
    "status of one": found("GET", "/v1/status"),
    "plan": found("GET", "/v1/plan"),
    "state": found("GET", "/v1/state"),
    "reconcile": found("POST", "/v1/reconcile"),
    "pause": found("POST", "/v1/pause"),
    "metrics": lambda daemon, name: f'apilb_spec_valid{{spec="{name}"}}' in daemon.metrics(),
    "events": lambda daemon, name: daemon.events()[-1].items() >= {"spec": name, "type": "spec-invalid"}.items(),
}


def test_every_answer_knows_what_was_written_before_it_was_asked_for(make_daemon):
    """New, renamed, removed; no look that is due anyway comes to its help."""
    daemon = make_daemon(resync="1h").start()
    for question, knows in QUESTIONS.items():
        daemon.drop("new", "apiLoadBalancers: []")
        assert knows(daemon, "new"), question
        (daemon.spec_dir / "new.yaml").rename(daemon.spec_dir / "other.yml")
        assert knows(daemon, "other") and not knows(daemon, "new"), question
        (daemon.spec_dir / "other.yml").unlink()
        assert not knows(daemon, "other"), question
    assert daemon.request("GET", "/healthz")[0] == 200


def test_a_plan_right_after_an_edit_is_of_the_edit(make_daemon, local, servers, tmp_path):
    daemon = make_daemon(resync="1h").start()
    ca, other, outside = tmp_path / "ca.crt", Authority(tmp_path / "other", "other").file, tmp_path / "outside.yaml"
    ca.write_bytes(Authority(tmp_path / "one", "one").file.read_bytes())
    content = deploy_local(daemon, servers, healthCheck={"caFile": str(ca)})

    def edited(address):
        content["servers"] = [*servers, address]
        return json.dumps(content)

    def link():
        outside.write_text(edited("10.9.9.3:6443"))
        (daemon.spec_dir / "local.yaml").unlink()
        (daemon.spec_dir / "local.yaml").symlink_to(outside)

    edits = [
        (lambda: daemon.drop("local", edited("10.9.9.1:6443")), "10.9.9.1"),
        (lambda: (daemon.spec_dir / "local.yaml").write_text(edited("10.9.9.2:6443")), "10.9.9.2"),
        (link, "10.9.9.3"),
        (lambda: outside.write_text(edited("10.9.9.4:6443")), "10.9.9.4"),
        (lambda: spec.write(outside, edited("10.9.9.5:6443")), "10.9.9.5"),
        (lambda: ca.write_bytes(other.read_bytes()), "lb0"),
        (lambda: spec.write(ca, (tmp_path / "one" / "one.crt").read_bytes()), "lb0"),
        (lambda: daemon.remove("local"), "remove"),
    ]
    for edit, words in edits:
        edit()
        # At once: not by a program that may take so long to start that the edit has been carried out.
        plan = daemon.request("GET", "/v1/plan")[2]
        assert any(row["actions"] for row in json.loads(plan)["instances"]), daemon.log()[-3000:]
        assert words in plan
        daemon.ctl("status", "--wait")
    assert not daemon.instances()


def test_a_client_may_leave_while_its_reconcile_waits(daemon, local, servers):
    content = deploy_local(daemon, servers)
    for method, path in (("POST", "/v1/reconcile"), ("GET", "/v1/plan"), ("GET", "/v1/status")):
        daemon.drop("local", content)
        with contextlib.closing(UnixConnection(daemon.socket, 10)) as connection:
            connection.request(method, path)
    daemon.wait_converged(1)
    # And the daemon while one waits.
    daemon.drop("local", content)
    with contextlib.closing(UnixConnection(daemon.socket, 10)) as connection:
        connection.request("POST", "/v1/reconcile")
        daemon.stop()


def follow(daemon, path="/v1/events?follow=1"):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(daemon.socket))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: apilb\r\n\r\n".encode())
    return client


def test_events_are_followed(daemon, local, servers):
    client = follow(daemon)
    deploy_local(daemon, servers)
    seen = b""
    while b"lb0" not in seen:
        piece = client.recv(65536)
        assert piece, seen
        seen += piece
    daemon.stop()  # an open follower does not hold up the end
    client.close()


def test_many_clients_at_once(daemon, local, servers):
    deploy_local(daemon, servers)
    clients = [follow(daemon) for _ in range(25)]
    asking = [follow(daemon, "/v1/status") for _ in range(25)]
    for client in asking:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    daemon.remove("local")
    for client in clients:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    for client in clients + asking:
        client.close()


def quick(daemon):
    began = time.monotonic()
    daemon.status()
    return time.monotonic() - began < patience(0.5)


def test_slow_clients_slow_nobody(daemon, local, servers):
    """Half a request, a follower that never reads, one that dies: the job goes on at its pace."""
    deploy_local(daemon, servers)
    clients = []
    for n in range(40):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(daemon.socket))
        client.sendall(b"GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n"[: n + 1])
        clients.append(client)
    clients += [follow(daemon) for _ in range(10)]
    for _ in range(200):
        clients[-1].sendall(b"GET /v1/status HTTP/1.1\r\nHost: a\r\n\r\n")
    always("it answers others at once", lambda: quick(daemon), 1)
    local.engine.remove("lb0")
    wait_for("the repair", lambda: local.engine.status("lb0") == "running", patience(5))
    for client in clients:
        client.close()
    always("and afterwards as well", lambda: quick(daemon), 0.5)


def test_client_that_dies_in_the_middle(daemon):
    for path in ("/v1/plan", "/v1/status", "/v1/events?follow=1", "/v1/state"):
        for _ in range(20):
            follow(daemon, path).close()
    # There is a bound on clients; those that are dead soon do not count any more.
    daemon.wait("an answer", daemon.answers, patience(1))
    assert quick(daemon)


def test_followers_and_idle_clients_lock_nobody_out(daemon):
    clients = [follow(daemon) for _ in range(64)]
    for client in clients[:32]:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    for client in clients[32:]:
        assert client.recv(100).startswith(b"HTTP/1.1 503")
        while client.recv(4096):
            pass  # a refusal has its place until it has been read
    assert daemon.request("GET", "/healthz")[0] == 200
    daemon.ctl("status")
    said = daemon.ctl("events", "--follow", expect=1).stderr
    assert "too many followers at once: user 0 has 32 here" in said
    for _ in range(32):
        clients.append(socket.socket(socket.AF_UNIX))
        clients[-1].connect(str(daemon.socket))
    daemon.wait("no place", lambda: daemon.ctl("status", expect=None).returncode == 1, patience(5))
    assert "user 0 has 64 connections here" in daemon.ctl("status", expect=1).stderr
    for client in clients:
        client.close()
    daemon.wait("an answer", daemon.answers, patience(5))


def test_more_clients_than_it_takes(daemon):
    """The one too many is told so, and all is well when others leave."""
    clients = []
    for _ in range(500):
        with contextlib.suppress(ConnectionError, BlockingIOError):  # sent away, or not even let in, before it had asked
            clients.append(follow(daemon))
    answered = 0
    for client in clients:
        with contextlib.suppress(ConnectionError):
            answered += client.recv(100).startswith(b"HTTP/1.1 200")
    assert 16 <= answered < 500
    for client in clients:
        client.close()
    daemon.wait("an answer", daemon.answers, patience(5))


GARBAGE = [
    b"\0" * 1000,
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
    b"POST /v1/reconcile HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/reconcile HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
    b"GET /v1/status?spec=%zz%00%ff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


@pytest.mark.parametrize("number", range(len(GARBAGE)))
def test_garbage(daemon, number):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(1)
    client.connect(str(daemon.socket))
    try:
        client.sendall(GARBAGE[number])
        client.recv(1000)
    except OSError:
        pass  # to be cut off is an answer
    client.close()
    assert quick(daemon)


def test_status_of_many(make_daemon):
    """300 balancers that cannot be reached: the status is complete, and quick."""
    daemon = make_daemon().start()
    instances = []
    for n in range(300):
        instances.append({
            "host": {"ssh": {"address": f"127.1.{n // 250}.{n % 250 + 1}", "port": 1, "password": "x"}},
            "bindAddress": "127.0.0.1:9000",
        })  # fmt: skip
    daemon.drop("many", spec.document(instances, ["10.0.0.1:6443"]))
    daemon.wait("all to be there", lambda: len(daemon.instances()) == 300, patience(10))
    always("quick", lambda: quick(daemon), 2)
