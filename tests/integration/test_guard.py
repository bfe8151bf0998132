"""guard.lua: connections to an API server that hangs end, also those of an old worker; others are left alone."""

import os
import select
import signal
import socket

from lab.fleet import NAME, deploy, endpoint
from lab.load import CONTEXT
from lab.proc import patience, wait_for
from test_change import change, events

WATCHES = 9


class Watch:
    """A connection that stays, to a server that it knows; it says nothing by itself."""

    def __init__(self, where):
        host, port = where.rsplit(":", 1)
        self.socket = CONTEXT.wrap_socket(socket.create_connection((host, int(port)), timeout=10))
        self.server = self.ask()

    def ask(self):
        self.socket.sendall(b"GET /version HTTP/1.1\r\nHost: k\r\n\r\n")
        return self.socket.recv(4096).rsplit(b"\r\n", 1)[1].decode()

    def has_ended(self):
        """A byte may be left of TLS's own; then, the end."""
        if not select.select([self.socket], [], [], 0)[0]:
            return False
        try:
            return self.socket.recv(4096) == b""
        except OSError:
            return True


def watches_of(host):
    made = [Watch(endpoint(host)) for _ in range(WATCHES)]
    assert len({w.server for w in made}) == 3, "they are spread over all servers"
    return made


def test_connections_to_a_server_that_hangs_end(daemon, hosts, servers, apis):
    host = hosts[0]
    deploy(daemon, [host], servers)
    assert daemon.instances()[0]["guarded"] is True
    daemon.wait("all to be up", lambda: all(s["state"] == "up" for s in daemon.instances()[0]["servers"]))
    old = watches_of(host)
    change(daemon, [host], servers, timeouts={"client": "2m"})
    assert events(daemon, "reload") and not events(daemon, "drain")
    new = watches_of(host)
    hung = apis[0]
    os.kill(hung.process.pid, signal.SIGSTOP)
    try:
        for which in new, old:
            there = [w for w in which if w.server == hung.name]
            wait_for("its connections to end", lambda there=there: all(w.has_ended() for w in there), patience(8))
            others = [w for w in which if w not in there]
            assert others and [w.ask() for w in others] == [w.server for w in others]
        assert {Watch(endpoint(host)).server for _ in range(WATCHES)} == {a.name for a in apis[1:]}
    finally:
        os.kill(hung.process.pid, signal.SIGCONT)


def test_connections_to_a_server_that_only_stops_go_on(daemon, hosts, servers, apis):
    """Not ready, and then its port is closed: what it still serves is not cut."""
    host = hosts[0]
    deploy(daemon, [host], servers)
    daemon.wait("all to be up", lambda: all(s["state"] == "up" for s in daemon.instances()[0]["servers"]))
    watches = watches_of(host)
    apis[0].fail()
    daemon.wait("it to drain", lambda: daemon.instances()[0]["servers"][0]["state"] == "down", patience(20))
    assert "not ready" in daemon.instances()[0]["servers"][0]["why"]
    assert {Watch(endpoint(host)).server for _ in range(WATCHES)} == {a.name for a in apis[1:]}
    assert [w.ask() for w in watches] == [w.server for w in watches]
    apis[0].fail(False)
    daemon.wait("it to be back", lambda: daemon.instances()[0]["servers"][0]["state"] == "up", patience(20))


def without_lua(host):
    """An image whose HAProxy has none, from the balancer's."""
    script = 'sed "s/feature(LUA)/feature(NONE)/" /usr/local/etc/haproxy/haproxy.cfg >/dev/shm/x.cfg; exec haproxy -W -db -f /dev/shm/x.cfg'
    entry = '["/bin/sh", "-c", "case \\"$*\\" in *apilb-check*) exec \\"$@\\";; esac; ' + script.replace('"', '\\"') + '", "x"]'
    host.engine.call(
        "POST", "/commit", {}, container=NAME, repo="haproxy", tag="no-lua", changes=f"ENTRYPOINT {entry}"
    )  # fmt: skip
    return "haproxy:no-lua"


def test_where_there_is_no_lua_status_says_so(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    change(daemon, [host], servers, image=without_lua(host))
    assert daemon.instances()[0]["converged"] and daemon.instances()[0]["guarded"] is False
    assert "without Lua" in daemon.ctl("status").text
