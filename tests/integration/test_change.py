"""A change costs no connection: what is new is checked beforehand, what is old leaves with its last client."""

import io
import socket
import ssl
import tarfile

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


STRICT = "haproxy:strict-lab"
SAYS = "config : parsing [haproxy.cfg:3] : unknown keyword 'of-the-past' in 'global' section"
STRICT_HAPROXY = f"""#!/bin/sh
echo "[NOTICE]   (1) : haproxy version is 9.9" >&2
echo "[ALERT]    (1) : {SAYS}" >&2
exit 1
"""


def make_strict_image(engine):
    """An image whose HAProxy takes no config of ours."""
    maker = engine.create("maker", "haproxy:2.6-lab", Cmd=["sh"])
    tar, script = io.BytesIO(), STRICT_HAPROXY.encode()
    with tarfile.open(fileobj=tar, mode="w") as out:
        entry = tarfile.TarInfo("usr/local/sbin/haproxy")
        entry.size, entry.mode = len(script), 0o755
        out.addfile(entry, io.BytesIO(script))
    engine.call("PUT", f"/containers/{maker}/archive?path=/", tar.getvalue(), "application/x-tar")
    repo, tag = STRICT.split(":")
    engine.call("POST", "/commit", {}, container=maker, repo=repo, tag=tag, changes='CMD ["haproxy"]')
    engine.remove(maker)


def test_config_that_the_image_refuses_never_reaches_the_host(daemon, hosts, servers):
    """haproxy -c says no: its words are shown, nothing is written, nothing is left behind."""
    host = hosts[0]
    make_strict_image(host.engine)
    deploy(daemon, [host], servers)
    before, config = identity(host), host.read(CONFIG)
    with LoadGenerator([endpoint(host)], rate=10) as load:
        daemon.drop("prod", spec.document([spec.instance(host)], servers[:2], image=STRICT))
        said = daemon.wait_error(host.address, "refuses the config", patience(20))
        wait_for("some load", lambda: load.total > 30, patience(10))
    load.assert_unharmed()
    assert f"HAProxy of {STRICT} refuses the config (it has not been written)" in said and SAYS in said
    assert SAYS in daemon.ctl("status", expect=None).text
    assert [e for e in daemon.events() if e["type"] == "failed" and SAYS in e["message"]]
    assert SAYS in daemon.ctl("events", "prod").stdout
    assert identity(host) == before
    assert host.read(CONFIG) == config
    # The daemon looks again, with a helper, when its time has come: that may be now.
    wait_for("nothing to be left behind", lambda: host.engine.names() == [NAME], patience(20))
    assert not events(daemon, "write-config")[1:], "only the first config was written"
    host.engine.call("DELETE", f"/images/{STRICT}", force=1)


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
