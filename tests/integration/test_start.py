"""The start: what somebody else holds for a moment is waited for, what stays is said clearly."""

import os
import signal
import sqlite3

from lab import spec
from lab.fleet import deploy_local, identity
from lab.proc import patience, wait_for

WAITS = "waits for up to"


def start_waiting(daemon):
    """It is there, and does not get on."""
    daemon.start(wait=False)
    daemon.process.wait_for("it to wait", lambda: WAITS in daemon.process.log(), patience(10))
    return daemon


def test_what_is_held_for_a_moment_is_waited_for(daemon, make_daemon, local, servers):
    content = deploy_local(daemon, servers)
    before = identity(local, "lb0")
    # The state directory, and the control socket, of a daemon that is still there.
    heir = make_daemon()
    heir.settings["state-dir"] = heir.state_dir = daemon.state_dir
    heir.settings["spec-dir"] = heir.spec_dir = daemon.spec_dir
    start_waiting(heir)
    other = make_daemon()
    other.settings["socket"] = daemon.socket
    start_waiting(other)
    other.process.child.send_signal(signal.SIGHUP)
    # It ends cleanly when it is told to, as at any other time.
    other.stop()
    daemon.crash()
    heir.wait_answering()
    heir.wait_converged(1)
    assert heir.log().count(WAITS) == 1
    assert identity(local, "lb0") == before

    # The store, at the start.
    heir.stop()
    store = sqlite3.connect(heir.state_dir / "apilbd.db", isolation_level=None)
    store.execute("PRAGMA locking_mode = EXCLUSIVE")
    store.execute("BEGIN EXCLUSIVE")
    start_waiting(heir)
    assert "another program keeps it locked" in heir.process.log()
    store.close()
    heir.wait_answering()
    heir.wait_converged(1)

    # And while it runs: balancers are looked after all the same, and nothing is lost.
    store = sqlite3.connect(heir.state_dir / "apilbd.db", isolation_level=None)
    store.execute("BEGIN IMMEDIATE")
    content["apiLoadBalancers"].append(spec.direct("lb1", 7444))
    heir.drop("local", content)
    heir.wait_converged(2)
    status, _, text = heir.request("GET", "/healthz")
    assert status == 503 and "another program keeps it locked" in text
    store.close()
    heir.wait("health", lambda: heir.request("GET", "/healthz")[0] == 200, patience(10))

    # Also when it ends meanwhile.
    store = sqlite3.connect(heir.state_dir / "apilbd.db", isolation_level=None)
    store.execute("BEGIN IMMEDIATE")
    content["apiLoadBalancers"].append(spec.direct("lb2", 7445))
    heir.drop("local", content)
    heir.wait_converged(3)
    ending = heir.process
    ending.child.send_signal(signal.SIGTERM)
    ending.wait_for("its end to begin", lambda: "SIGTERM: stopping" in ending.log(), patience(10))
    store.close()
    assert ending.child.wait(patience(5)) == 0
    heir.process = None
    heir.remove("local")
    heir.start()
    wait_for("removal", lambda: local.engine.names() == [], patience(15))


def test_what_stays_is_said(daemon, make_daemon, local, servers):
    deploy_local(daemon, servers)
    second, third = make_daemon(), make_daemon()
    second.settings["state-dir"] = daemon.state_dir
    third.settings["socket"] = daemon.socket
    for other in (second, third):
        start_waiting(other)
    for other, words in (
        (second, f"another apilbd (pid {daemon.process.pid}) uses {daemon.state_dir}"),
        (third, f"control socket {daemon.socket}: another apilbd answers there"),
    ):
        assert other.process.child.wait(patience(20)) == 2
        assert words in other.log().splitlines()[-1]
        other.process = None
    assert daemon.answers(), "the first goes on"
    daemon.wait_converged(1)


def test_a_closed_descriptor_is_no_place_for_the_log(make_daemon):
    """Else a socket, or a file of the store, would get its number, and log lines."""
    daemon = make_daemon(prefix=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]).start()
    assert [os.readlink(f"/proc/{daemon.process.pid}/fd/{fd}") for fd in (0, 1, 2)] == ["/dev/null"] * 3
