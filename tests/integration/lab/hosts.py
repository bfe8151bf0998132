"""Hosts: separate machines as far as apilb can see, and this one.

A host is a network namespace on the lab's bridge and a mount namespace with its
own /etc, /opt, /var/lib and /run, held open by a process that sleeps. Its sshd
and its engine run inside.
"""

import subprocess
import threading

from . import images
from .engine import Engine
from .proc import LAB, Process, patience, run

BRIDGE = "10.77.0.254"  # the lab itself: API servers live here
PASSWORD = "correct-horse-battery-staple"

HOLDER = r"""
set -e
dir=$1
for d in etc opt var/lib; do
	mkdir -p "$dir/upper/$d" "$dir/work/$d"
	# volatile: nothing of it is to survive, so nothing needs a sync
	mount -t overlay -o "volatile,lowerdir=$LAB/lower/$d,upperdir=$dir/upper/$d,workdir=$dir/work/$d" lab "/$d"
done
mount -t tmpfs -o mode=755 lab /run
mkdir -p /run/lock /run/sshd
ip link set lo up
# As docs/operations.md recommends it where CPU is short, which a lab is.
sysctl -q -w net.ipv4.tcp_migrate_req=1
echo ready
exec sleep infinity
"""


def make_keys(directory):
    """Keys of each kind; all but `stranger` are let in. Returns name -> path."""
    directory.mkdir(parents=True, exist_ok=True)
    kinds = {
        "ed25519": ("ed25519", ""),
        "second": ("ed25519", ""),
        "ecdsa": ("ecdsa", ""),
        "rsa": ("rsa", ""),
        "encrypted": ("ed25519", "a passphrase"),
        "stranger": ("ed25519", ""),
    }
    authorized = directory / "authorized_keys"
    with open(authorized, "w") as out:
        for name, (kind, passphrase) in kinds.items():
            run("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", directory / name)
            if name != "stranger":
                out.write((directory / f"{name}.pub").read_text())
    return {name: directory / name for name in kinds}


class Sshd:
    """An sshd on a host. Options are lines of sshd_config, first one wins."""

    def __init__(self, host, port=22, options=(), host_key="ed25519"):
        self.host = host
        self.port = port
        self.directory = host.directory / f"sshd-{port}"
        self.directory.mkdir(exist_ok=True)
        self.key = self.directory / f"host_{host_key}"
        if not self.key.exists():
            run("ssh-keygen", "-q", "-t", host_key, "-N", "", "-f", self.key)
        config = self.directory / "sshd_config"
        config.write_text(
            "\n".join(
                [
                    *options,
                    f"Port {port}",
                    f"HostKey {self.key}",
                    f"AuthorizedKeysFile {host.keys['ed25519'].parent}/authorized_keys",
                    "StrictModes no",
                    "UsePAM no",
                    "PermitRootLogin yes",
                    "PasswordAuthentication yes",
                    "MaxStartups 100",
                    "LogLevel VERBOSE",
                    "PidFile none",
                    "",
                ]
            )
        )
        log = self.directory / "log"
        log.write_text("")
        self.before = 0
        self.process = Process(
            f"sshd on {host.name}:{port}", [*host.within, "/usr/sbin/sshd", "-D", "-e", "-f", config], log
        )
        self.process.wait_for("listening", lambda: "Server listening" in self.process.log(), patience(20))

    def fingerprint(self):
        return run("ssh-keygen", "-lf", f"{self.key}.pub").split()[1]

    def public_key(self):
        return " ".join((self.key.with_name(self.key.name + ".pub")).read_text().split()[:2])

    def connections(self):
        """How many TCP connections it has seen in this test."""
        return self.process.log().count("Connection from ") - self.before

    def sessions(self):
        """The processes that serve the connections under way."""
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, check=False)
        return [pid.decode() for pid in found.stdout.split()]

    def drop_sessions(self):
        """What a reboot or a firewall does to connections under way: they end; the listener stays."""
        for pid in self.sessions():
            subprocess.run(["kill", "-KILL", pid], check=False, stderr=subprocess.DEVNULL)

    def stop(self, sessions=False):
        """The listener; with `sessions`, what it has let in as well."""
        orphans = self.sessions() if sessions else []
        self.process.stop()
        for pid in orphans:
            subprocess.run(["kill", "-KILL", pid], check=False, stderr=subprocess.DEVNULL)


class Host:
    """A host of the lab, 10.77.0.N. Its engine is Docker's, or what `engine` makes."""

    def __init__(self, number, keys, engine=Engine):
        self.number = number
        self.name = f"h{number}"
        self.address = f"10.77.0.{number}"
        self.keys = keys
        self.directory = LAB / "hosts" / self.name
        self.directory.mkdir(parents=True)
        self.holder = Process(
            self.name,
            ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", HOLDER, "-", self.directory],
            self.directory / "holder.log",
        )
        self.holder.wait_for("its mounts", lambda: "ready" in self.holder.log(), patience(20))
        # nsenter, not ip netns exec, which would hide the control groups from the engine.
        self.within = ["nsenter", f"--target={self.holder.pid}", "--net", "--mount"]
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.holder.pid)
        run("ip", "link", "set", self.name, "master", "lab", "up")
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "addr", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
        self.run("ip", "link", "set", "eth0", "up")
        # Accounts: root with a password, one in the engine's group, one that is not.
        self.run("useradd", "-M", "-p", "*", "-G", "docker", "deploy")
        self.run("useradd", "-M", "-p", "*", "nobodys-friend")
        self.run("chpasswd", input=f"root:{PASSWORD}\ndeploy:{PASSWORD}\n")
        self.engine = engine(self.directory, self.directory / "docker.sock", self.within, ["/run/docker.sock"])
        self.engine.start(wait=False)
        self.sshd = Sshd(self)
        self.extra = []

    def run(self, *argv, **kwargs):
        return run(*self.within, *argv, **kwargs)

    def sh(self, script):
        return self.run("sh", "-ec", script)

    def read(self, path):
        return self.run("cat", path)

    def write(self, path, text):
        self.run("sh", "-c", 'cat >"$1"', "-", path, input=text)

    def exists(self, path):
        return subprocess.run([*self.within, "test", "-e", path], check=False).returncode == 0

    def add_sshd(self, port, *options, **kwargs):
        """One more sshd, of another mind, until the end of the test."""
        sshd = Sshd(self, port, options, **kwargs)
        self.extra.append(sshd)
        return sshd

    def link(self, state):
        """Plugs ("up") and unplugs ("down") the cable."""
        run("ip", "link", "set", self.name, state)

    def ready(self):
        self.engine.wait()
        self.engine.load(images.haproxy_image("2.6"))
        self.engine.load(images.haproxy_image("3.0"))

    def reset(self):
        """As new, for the next test."""
        self.link("up")
        while self.extra:
            self.extra.pop().stop(sessions=True)
        if not self.engine.process.running():
            self.engine.start()
        if not self.sshd.process.running():
            self.sshd = Sshd(self)
        self.sshd.drop_sessions()
        self.sshd.before += self.sshd.connections()
        self.engine.clear()
        self.sh("chattr -f -i /etc/haproxy 2>/dev/null || true; rm -rf /etc/haproxy* /opt/* /var/lib/apilb")


class LocalHost:
    """This side of the lab as a host: its engine is at /run/docker.sock, where `direct` looks."""

    def __init__(self):
        self.name = "local"
        self.directory = LAB / "hosts" / self.name
        self.engine = Engine(self.directory, "/run/docker.sock")
        self.engine.start(wait=False)

    ready = Host.ready

    def run(self, *argv, **kwargs):
        return run(*argv, **kwargs)

    sh = Host.sh
    read = Host.read

    def reset(self):
        if not self.engine.process.running():
            self.engine.start()
        self.engine.clear()
        self.sh("rm -rf /etc/haproxy* /opt/* /var/lib/apilb")


class Lab:
    """The network, three hosts and this one, up side by side."""

    def __init__(self, count=3):
        run("ip", "link", "add", "lab", "type", "bridge")
        run("ip", "addr", "add", f"{BRIDGE}/24", "dev", "lab")
        run("ip", "addr", "add", "fd77::fe/64", "dev", "lab", "nodad")
        run("ip", "link", "set", "lab", "up")
        self.keys = make_keys(LAB / "keys")
        self.hosts = [None] * count
        self.local = LocalHost()
        self._in_parallel(lambda n: self.hosts.__setitem__(n, Host(n + 11, self.keys)), range(count))
        self._in_parallel(lambda host: host.ready(), [*self.hosts, self.local])

    @staticmethod
    def _in_parallel(action, items):
        failures = []

        def guarded(item):
            try:
                action(item)
            except BaseException as error:  # pylint: disable=broad-except
                failures.append(error)

        threads = [threading.Thread(target=guarded, args=(item,)) for item in items]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def reset(self):
        self._in_parallel(lambda host: host.reset(), [*self.hosts, self.local])

    def close(self):
        for host in self.hosts:
            host.sshd.stop()
        self._in_parallel(lambda host: host.engine.stop(), [*self.hosts, self.local])
        for host in self.hosts:
            host.holder.stop()
