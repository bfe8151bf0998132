"""A change costs no connection: what is new is checked beforehand, what is old leaves with its last client."""

import socket
import ssl

from lab import spec
from lab.fleet import CONFIG, NAME, deploy, endpoint, identity, serves, stats
from lab.load import CONTEXT, LoadGenerator
from lab.proc import patience, wait_for


class Watch:
    """A connection that stays open, as a kubelet's watch."""

    def __init__(self, where):
        host, port = where.rsplit(":", 1)
        self.socket = CONTEXT.wrap_socket(socket.create_connection((host, int(port)), timeout=5))

    def answers(self):
        try:
            self.socket.sendall(b"GET /version HTTP/1.1\r\nHost: k\r\n\r\n")
            return self.socket.recv(4096).startswith(b"HTTP/1.1 200")
        except (OSError, ssl.SSLError):
            return False

    def close(self):
        self.socket.close()


def change(daemon, hosts, servers, **more):
    """Another version, in force when this returns."""
    daemon.drop("prod", spec.document([spec.instance(host) for host in hosts], servers, **more))
    daemon.ctl("reconcile", "--wait")


def events(daemon, *types):
    return [event["type"] for event in daemon.events() if event["type"] in types]


def test_connections_outlive_the_container_that_took_them(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    former = identity(host)[0]
    watch = Watch(endpoint(host))
    for image in "haproxy:3.0-lab", "haproxy:2.6-lab":  # one is still leaving when the next change comes
        change(daemon, [host], servers, image=image)
        assert host.engine.inspect(NAME)["Config"]["Image"] == image
    leaving = f"{NAME}-apilb-old-{former[:8]}"
    assert host.engine.status(leaving) == "running"
    daemon.wait("the others to have left", lambda: daemon.instances()[0]["draining"] == 1, patience(20))
    assert daemon.instances()[0]["phase"] == "converged"
    assert sorted(host.engine.names()) == [NAME, leaving]
    assert watch.answers()
    watch.close()
    wait_for("it to have left", lambda: host.engine.names() == [NAME], patience(15))
    daemon.wait("status to say so", lambda: daemon.instances()[0]["draining"] == 0)


def test_what_is_leaving_is_not_started_again(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    watch = Watch(endpoint(host))
    change(daemon, [host], servers, image="haproxy:3.0-lab")
    daemon.stop()
    watch.close()
    (leaving,) = [name for name in host.engine.names() if "-apilb-old-" in name]
    wait_for("it to end", lambda: host.engine.status(leaving) == "exited", patience(10))
    daemon.start()
    wait_for("it to be removed", lambda: host.engine.names() == [NAME], patience(15))


def test_a_config_is_checked_once_for_each_image(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    change(daemon, [host], servers[:2])
    assert len(events(daemon, "check-config")) == 2
    change(daemon, [host], servers)
    host.write(CONFIG, "garbage\n")
    daemon.restart()
    wait_for("repair", lambda: "garbage" not in host.read(CONFIG), patience(10))
    daemon.wait_converged(1)
    assert len(events(daemon, "check-config")) == 2, "it is remembered, also over a restart"
    change(daemon, [host], servers, image="haproxy:3.0-lab")
    assert len(events(daemon, "check-config")) == 3
    assert host.engine.names() == [NAME]


def test_servers_that_do_not_answer_do_not_replace_those_that_do(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    before, config = identity(host), host.read(CONFIG)
    nobody = ["10.77.0.254:1", "10.77.0.254:2"]
    with LoadGenerator([endpoint(host)], rate=10) as load:
        daemon.drop("prod", spec.document([spec.instance(host)], nobody))
        said = daemon.wait_error(host.address, "none of the 2 wanted servers up", patience(20))
        wait_for("some load", lambda: load.total > 30, patience(10))
        daemon.drop("prod", spec.document([spec.instance(host)], nobody[:1], image="haproxy:3.0-lab"))
        daemon.wait_error(host.address, "none of the 1 wanted servers up", patience(20))
        wait_for("more load", lambda: load.total > 60, patience(10))
    load.assert_unharmed()
    assert identity(host) == before
    assert host.read(CONFIG) == config
    assert servers[0] in stats(host, "show stat")
    assert host.engine.names() == [NAME]
    deploy(daemon, [host], servers[:2])
    serves(endpoint(host))
