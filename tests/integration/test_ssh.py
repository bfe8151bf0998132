"""daemon/io/ssh.c against real sshds, and against fake ones that misbehave.

Each test drives tests/ssh_tool (see there), which prints one line. SSH_TOOL
names another build of it (sanitizers), SSH_TOOL_WRAPPER a program that runs it
(valgrind). Needs root: sshd only lets other users in then.
"""
import base64
import hashlib
import hmac
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
TOOL = os.environ.get("SSH_TOOL", str(TOP / "build/tests/ssh_tool"))
WRAPPER = os.environ.get("SSH_TOOL_WRAPPER", "").split()
# How much longer things may take under valgrind.
SLOWNESS = 10 if WRAPPER else 1
USER = "apilbssh"
PASSWORD = "correct horse"


# --- the lab -----------------------------------------------------------------


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def keygen(path, kind="ed25519", passphrase="", extra=()):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", path, *extra], check=True)
    return path


def fingerprint(public_key_file):
    blob = base64.b64decode(pathlib.Path(public_key_file).read_text().split()[1])
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def wait_for(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def listens(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Sshd:
    """One sshd with its own directory, port, host keys and authorized keys."""

    def __init__(self, directory, config="", host_key_types=("ed25519",)):
        self.directory = directory
        directory.mkdir()
        directory.chmod(0o755)
        self.port = free_port()
        self.host_keys = [keygen(directory / f"host_{kind}", kind) for kind in host_key_types]
        self.key = keygen(directory / "user_ed25519")
        self.authorized = directory / "authorized_keys"
        self.authorized.write_text((directory / "user_ed25519.pub").read_text())
        self.authorized.chmod(0o644)
        self.log = directory / "log"
        self.config = directory / "sshd_config"
        self.process = None
        self.start(config)

    def start(self, config=""):
        lines = [
            config,
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            "UsePAM no",
            "StrictModes no",
            "PidFile none",
            f"AuthorizedKeysFile {self.authorized}",
            "LogLevel VERBOSE",
            "MaxStartups 200",
            *(f"HostKey {key}" for key in self.host_keys),
        ]
        self.config.write_text("\n".join(lines) + "\n")
        log = open(self.log, "ab")
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", self.config], stderr=log,
                                        start_new_session=True)
        log.close()
        wait_for(lambda: listens(self.port))

    def children(self):
        """Of this sshd, down to the last one."""
        found, parents = [], [self.process.pid]
        while parents:
            pid = parents.pop()
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    found += (pids := [int(p) for p in task.read_text().split()])
                except FileNotFoundError:
                    pids = []
                parents += pids
        return found

    def signal_sessions(self, number):
        for pid in self.children():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def stop(self):
        if self.process and self.process.poll() is None:
            self.signal_sessions(signal.SIGCONT)
            self.signal_sessions(signal.SIGKILL)
            self.process.kill()
            self.process.wait()

    def to(self, **settings):
        return dict(address="127.0.0.1", port=self.port, key_file=self.key, **settings)


class Server:
    """A Unix or TCP socket that runs `serve(connection)` in a thread for each connection."""

    def __init__(self, serve, path=None):
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(str(path) if path else ("127.0.0.1", 0))
        self.listener.listen(200)
        self.path = path
        self.port = None if path else self.listener.getsockname()[1]
        self.serve = serve
        self.connections = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.handle, args=(connection,), daemon=True).start()

    def handle(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


@pytest.fixture(scope="session", autouse=True)
def run_directory():
    os.makedirs("/run/sshd", exist_ok=True)


@pytest.fixture
def lab(tmp_path):
    """Makes things, and takes all of them down again."""

    class Lab:
        things = []
        path = tmp_path

        def sshd(self, config="", name="sshd", **more):
            self.things.append(server := Sshd(tmp_path / name, config, **more))
            return server

        def server(self, serve=echo, path=None):
            self.things.append(server := Server(serve, path))
            return server

        def echo(self):
            return self.server(echo, tmp_path / "echo.sock")

    # The path of a Unix socket must be short, and reachable for an unprivileged user.
    for parent in [tmp_path, *tmp_path.parents][:4]:
        parent.chmod(parent.stat().st_mode | 0o055)
    lab = Lab()
    lab.things = []
    yield lab
    for thing in reversed(lab.things):
        (thing.stop if isinstance(thing, Sshd) else thing.close)()


def arguments(*hops, **options):
    words = [f"{name}={value}" for name, value in options.items()]
    for i, hop in enumerate(hops):
        words += (["jump"] if i else []) + [f"{name}={value}" for name, value in hop.items()]
    return [*WRAPPER, TOOL, *words]


def run(*hops, **options):
    """The tool's one line."""
    done = subprocess.run(arguments(*hops, **options), capture_output=True, text=True, timeout=120)
    assert done.stderr == "" or WRAPPER, done.stderr
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.rstrip("\n")


def fields(line):
    assert line.startswith("ok "), line
    return {name: value for name, _, value in (word.partition("=") for word in line.split()[1:])}


def ok(*hops, **options):
    return fields(run(*hops, **options))


# --- bytes -------------------------------------------------------------------


def test_a_unix_socket_of_the_host_is_reached(lab):
    assert ok(lab.sshd().to(), do="echo", socket=lab.echo().path)["bytes"] == "1000"
