"""Changes under load: a thousand new connections a second and 200 long ones, and none of them notices.

`make bench` measures the same for longer, beside what others do. What a host's
kernel does with connections that HAProxy has not accepted when it closes its
socket is the host's setting (docs/operations.md, "Short of CPU"): on a busy
machine it decides, so the balancer's host has it as the page recommends.
"""

import contextlib
import socket
import time

import pytest

from lab import heavy
from lab.fleet import NAME, endpoint
from lab.proc import SLOWNESS, patience, wait_for

# Instrumented builds and busy machines change as well, only not as fast.
RATE, LONG = int(1000 / SLOWNESS), 200


@pytest.fixture
def echo(certificate):
    made = heavy.Echo(certificate)
    yield made
    made.stop()


@pytest.fixture
def changer(make_daemon, hosts, echo):
    echo.prepare(hosts[0])
    made = heavy.Changer(make_daemon().start(), hosts[0])
    made.deploy()
    return made


@pytest.mark.parametrize("kind, times", [("config", 10), ("image", 4)])
def test_change_costs_no_connection(changer, capsys, kind, times):
    with heavy.Load(endpoint(changer.host), RATE, LONG) as load:
        time.sleep(1)
        for _ in range(times):
            (changer.change_config if kind == "config" else changer.change_image)()
        time.sleep(1)
    with capsys.disabled():
        print(f"\n{times} {kind} changes, {load.report['new']['opened']} new connections, {LONG} long ones: {load.losses()}")
    load.assert_unharmed(RATE, LONG)


def test_load_notices_a_restart(changer):
    """The measure itself: what is lost is counted."""
    with heavy.Load(endpoint(changer.host), RATE, LONG) as load:
        time.sleep(1)
        changer.host.engine.act(NAME, "restart", t=0)
        time.sleep(patience(2))
    lost = load.losses()
    assert lost["long ones cut"] == LONG
    assert lost["refused"] + lost["reset"] > 0
    assert load.report["long"]["kept"] == LONG, "they come back"


def workers(host):
    """The processes of HAProxy's that have a master."""
    master = host.engine.inspect(NAME)["State"]["Pid"]
    return len(host.run("ps", "-o", "pid=", "--ppid", master).split())


def hold(where):
    """A connection that is through to a server, and does not end by itself."""
    made = socket.create_connection(where.rsplit(":", 1), timeout=patience(5))
    made.sendall(b"hello\n")
    assert made.recv(16) == b"hello\n"
    return made


def test_old_workers_do_not_pile_up(changer, capsys):
    """Each has a connection that does not end: they leave with the drain timeout."""
    changer.now["timeouts"] = {"drain": "2s"}
    changer.apply()
    seen, reloads = [], 100
    with contextlib.ExitStack() as held:
        for _ in range(reloads):
            held.enter_context(hold(endpoint(changer.host)))
            changer.change_config()
            seen.append(workers(changer.host))
        wait_for("one worker to be left", lambda: workers(changer.host) == 1, patience(5))
    assert max(seen) > 1, "nothing was held: this test shows nothing"
    assert max(seen) < reloads / 2, f"workers after each reload: {seen}"
    with capsys.disabled():
        print(f"\n{reloads} reloads, a connection held through each: {max(seen)} workers at the most, one in the end")
