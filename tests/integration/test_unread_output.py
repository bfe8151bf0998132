"""Nobody reads what HAProxy says: the engine stands still, or is away. Lines may be lost, connections may not."""

import itertools
import os
import signal

import pytest

from lab import spec
from lab.fakes import FakeServer, tcp_listener
from lab.fleet import NAME, endpoint
from lab.hosts import BRIDGE
from lab.images import NEW, OLD
from lab.load import LoadGenerator
from lab.proc import patience, wait_for
from test_change import Watch, events

FLAPPING = 40
# Each check makes two lines or more of some 150 bytes, and each of them is written twice.
CHECKS = 2500


@pytest.fixture
def flapping():
    """A server whose checks end in another way each time: at each of them HAProxy has something to say."""
    turns = itertools.cycle((b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", b"what is this\r\n"))

    def behave(connection):
        connection.recv(4096)
        connection.sendall(next(turns))

    with FakeServer(tcp_listener(BRIDGE), behave) as server:
        yield server


def noisy(server, *more):
    """Lines for the backend: servers of which each is checked all the time, and none gets a connection."""
    where = "{}:{}".format(*server.listener.getsockname())
    options = "weight 0 check no-check-ssl inter 50ms fastinter 50ms fall 1 rise 1"
    return {"backend": [*more, *(f"server flapping{n} {where} {options}" for n in range(FLAPPING))]}


def test_connections_do_not_wait_for_who_reads_the_log(daemon, hosts, servers, flapping):
    hosts = hosts[:2]
    # The operator may have taken away what HAProxy would log of servers: it still tells its stderr of them.
    noise = [noisy(flapping), noisy(flapping, "no log")]
    instances = [
        spec.instance(host, image=image, extraConfig=extra) for host, image, extra in zip(hosts, (OLD, NEW), noise)
    ]
    daemon.drop("prod", spec.document(instances, servers))
    daemon.wait_converged(2)
    watches = [Watch(endpoint(host)) for host in hosts]
    for client in "2m", "3m":
        daemon.drop("prod", spec.document(instances, servers, timeouts={"client": client}))
        daemon.ctl("reconcile", "--wait")
        watches += [Watch(endpoint(host)) for host in hosts]
    assert len(events(daemon, "reload")) == 4 and not events(daemon, "drain"), "there are two old workers each"

    for host in hosts:
        os.kill(host.engine.process.pid, signal.SIGSTOP)
    try:
        with LoadGenerator([endpoint(host) for host in hosts], rate=10, long_lived=1) as load:
            begun = flapping.accepted
            wait_for("much to say", lambda: flapping.accepted - begun > 2 * CHECKS, patience(40))
            watches += [Watch(endpoint(host)) for host in hosts]
            assert all(watch.answers() for watch in watches)
            wait_for("some load", lambda: load.total > 40, patience(10))
        load.assert_unharmed()
    finally:
        for host in hosts:
            os.kill(host.engine.process.pid, signal.SIGCONT)
    daemon.wait_converged(2, timeout=patience(40))
    assert not events(daemon, "drain", "start")[2:], "nothing had to be replaced"
    for host in hosts:
        assert "guard.lua watches" in host.engine.logs(NAME)
        said = host.engine.logs(NAME)
        wait_for("the log to go on", lambda host=host, said=said: len(host.engine.logs(NAME)) > len(said), patience(10))
