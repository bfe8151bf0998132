"""The load that a busy cluster puts on a balancer, by load_tool.c: a thousand new connections a second, 200 long ones."""

import hashlib
import itertools
import json
import signal
import socket
import subprocess

from . import spec
from .daemon import BUILD
from .fleet import NAME, endpoint
from .hosts import BRIDGE
from .images import NEW, OLD
from .proc import LAB, Process, patience, run, wait_for

TOOL = BUILD / "tests/load_tool"
PORTS = (6451, 6452, 6453)
SERVERS = [f"{BRIDGE}:{port}" for port in PORTS]
LOSSES = ("refused", "reset", "unanswered", "other")
# Connections that were closed wait for a minute by default (TIME-WAIT): at this rate that is all the ports there are.
PORTS_FOR_ALL = ("net.ipv4.ip_local_port_range=10000 65000", "net.ipv4.tcp_tw_reuse=1", "net.core.somaxconn=4096")


class Echo:
    """What stands behind the balancers: one process that listens as three API servers."""

    def __init__(self, certificate):
        run("sysctl", "-q", "-w", *PORTS_FOR_ALL)
        (LAB / "echo.log").unlink(missing_ok=True)
        self.process = Process("echo servers", [TOOL, "serve", *certificate, *SERVERS], LAB / "echo.log")
        self.process.wait_for("listening", lambda: self.process.log().count("listens") == len(PORTS), patience(5))

    @staticmethod
    def prepare(host):
        """A host whose balancer is to carry the load."""
        host.run("sysctl", "-q", "-w", *PORTS_FOR_ALL)

    def stop(self):
        self.process.stop()


class Load:
    """Runs for as long as the block does; `report` is what load_tool printed then."""

    def __init__(self, endpoint, rate=1000, long_lived=200, timeout_ms=5000):
        self.argv = [TOOL, "load", endpoint, f"--rate={rate}", f"--long={long_lived}", f"--timeout={timeout_ms}"]
        self.report = None

    def __enter__(self):
        self.child = subprocess.Popen([str(a) for a in self.argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGTERM)
        self.report = json.loads(self.child.communicate(timeout=patience(30))[0])

    def losses(self):
        """What a client has noticed: none of these may be."""
        new, long_ones = self.report["new"], self.report["long"]
        return {**{what: new[what] for what in LOSSES}, "long ones cut": long_ones["cut"]}

    def assert_unharmed(self, rate, long_lived):
        assert not any(self.losses().values()), f"{self.losses()}: {self.report['failures']}"
        assert self.report["new"]["answered"] == self.report["new"]["opened"]
        assert self.report["new"]["opened"] >= rate * self.report["ms"] / 1000 * 0.9, f"not the load meant: {self.report}"
        assert self.report["long"]["kept"] == long_lived


def echoes(where):
    """Whether a line comes back through a balancer."""
    host, port = where.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=1) as asked:
            asked.sendall(b"hello\n")
            return asked.recv(16) == b"hello\n"
    except OSError:
        return False


class Changer:
    """One balancer on a host, whose spec is edited again and again; each edit is awaited."""

    # Each edit is another config: other servers, or the same in another order.
    SERVERS = [list(servers) for n in (3, 2) for servers in itertools.permutations(SERVERS, n)]

    def __init__(self, daemon, host):
        self.daemon = daemon
        self.host = host
        self.servers = itertools.cycle(self.SERVERS)
        self.images = itertools.cycle((OLD, NEW))
        self.now = {"servers": next(self.servers), "image": next(self.images)}

    def deploy(self):
        self.apply()
        wait_for("it to echo", lambda: echoes(endpoint(self.host)), patience(10))

    def change_config(self):
        self.now["servers"] = next(self.servers)
        self.apply()

    def change_image(self):
        self.now["image"] = next(self.images)
        self.apply()

    def apply(self):
        """Returns when apilbd has seen it in force: the running HAProxy has told so."""
        file = self.daemon.drop("prod", spec.document([spec.instance(self.host)], **self.now))
        config = hashlib.sha256(self.daemon.ctl("render", file).stdout.encode()).hexdigest()

        def in_force():
            found = self.daemon.instance(self.host.address)
            return (
                found
                and found["converged"]
                and found["config"]["sha256"] == config
                and found["container"]["image"] == self.now["image"]
            )

        self.daemon.wait("the edit to be in force", in_force, patience(30))

    def is_alone(self):
        """Nothing is left of those before it."""
        return self.host.engine.names() == [NAME]
