"""Docker engines: starting one, and looking at it independently of the daemon under test."""

import contextlib
import http.client
import json
import os
import socket
import threading
import time
from urllib.parse import quote, urlencode

from .proc import CGROUP, Process, patience


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("engine", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class EngineError(Exception):
    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status


class EngineApi:
    """The Engine API, as far as tests need it. The daemon has its own; neither knows the other."""

    def __init__(self, socket_path):
        self.socket = str(socket_path)

    def call(self, method, path, body=None, content_type="application/json", headers=(), **query):
        connection = UnixConnection(self.socket)
        with contextlib.closing(connection):
            if query:
                path += "?" + urlencode(query)
            if body is not None and content_type == "application/json":
                body = json.dumps(body)
            given = {"Content-Type": content_type} if body is not None else {}
            connection.request(method, path, body, {**given, **dict(headers)})
            reply = connection.getresponse()
            data = reply.read()
        if reply.status >= 400:
            raise EngineError(reply.status, data.decode(errors="replace"))
        if reply.headers.get_content_type() == "application/json" and data:
            # Progress comes as one object a line.
            lines = data.decode().strip().splitlines()
            return json.loads(lines[0]) if len(lines) == 1 else [json.loads(line) for line in lines]
        return data

    def answers(self):
        try:
            return self.call("GET", "/_ping") == b"OK"
        except (OSError, http.client.HTTPException, EngineError):
            return False

    def containers(self, everything=True):
        return self.call("GET", "/containers/json", all=int(everything))

    def names(self):
        return sorted(c["Names"][0].lstrip("/") for c in self.containers())

    def inspect(self, name):
        """None when there is no such container."""
        try:
            return self.call("GET", f"/containers/{quote(name)}/json")
        except EngineError as error:
            if error.status == 404:
                return None
            raise

    def status(self, name):
        container = self.inspect(name)
        return container and container["State"]["Status"]

    def create(self, name, image, **config):
        return self.call("POST", "/containers/create", {"Image": image, **config}, name=name)["Id"]

    def act(self, container, action, **query):
        """start, stop, kill, pause, unpause, restart, rename."""
        return self.call("POST", f"/containers/{quote(container)}/{action}", **query)

    def update(self, name, **config):
        return self.call("POST", f"/containers/{quote(name)}/update", config)

    def remove(self, name):
        return self.call("DELETE", f"/containers/{quote(name)}", force=1, v=1)

    def clear(self):
        for container in self.containers():
            with contextlib.suppress(EngineError):
                self.remove(container["Id"])

    def logs(self, name):
        raw = self.call("GET", f"/containers/{quote(name)}/logs", stdout=1, stderr=1)
        text = b""
        while len(raw) >= 8:  # frames: stream, three zeros, big-endian length
            size = int.from_bytes(raw[4:8], "big")
            text += raw[8 : 8 + size]
            raw = raw[8 + size :]
        return text.decode(errors="replace")

    def images(self):
        return sorted(tag for image in self.call("GET", "/images/json") for tag in image["RepoTags"] or [])

    def load(self, tar_path):
        with open(tar_path, "rb") as tar:
            return self.call("POST", "/images/load", tar.read(), "application/x-tar", quiet=1)


class Engine(EngineApi):
    """A dockerd. `within` is the command that enters the host it is to run on."""

    def __init__(self, directory, socket_path, within=(), also=(), options=()):
        super().__init__(socket_path)
        self.directory = directory
        self.argv = [
            *within,
            "dockerd",
            "--iptables=false",
            "--ip6tables=false",
            "--bridge=none",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            f"--cgroup-parent={CGROUP}",
            f"--data-root={directory}/docker",
            "--exec-root=/run/docker",
            "--pidfile=/run/docker.pid",
            "--insecure-registry=10.77.0.0/24",
            f"--host=unix://{socket_path}",
            *(f"--host=unix://{path}" for path in also),
            *options,
        ]
        self.env = None
        self.process = None

    def start(self, wait=True):
        directory = self.directory
        directory.mkdir(parents=True, exist_ok=True)
        self.process = Process(f"engine in {directory}", self.argv, directory / "engine.log", env=self.env)
        if wait:
            self.wait()

    def wait(self):
        self.process.wait_for("an answer", self.answers, patience(20))

    def stop(self):
        return self.process.stop(timeout=20)


class Podman(Engine):
    """Podman's service: the same API, root's, as the package podman-docker has it in the place of Docker's."""

    CONF = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
pids_limit = 0
default_ulimits = ["nofile=20000:20000", "nproc=1024:1024"]
"""

    def __init__(self, directory, socket_path, within=(), also=()):
        super().__init__(directory, socket_path)
        conf = directory / "containers.conf"
        conf.write_text(self.CONF)
        self.env = {**os.environ, "CONTAINERS_CONF": str(conf)}
        # It listens at one place only.
        links = [word for path in also for word in ("ln", "-sf", str(socket_path), path, "&&")]
        self.argv = [
            *within,
            "sh",
            "-c",
            "".join(f"{word} " for word in links) + 'exec "$@"',
            "-",
            "podman",
            f"--root={directory}/podman",
            "--runroot=/run/containers",
            "--tmpdir=/run/libpod",
            "system",
            "service",
            "--time=0",
            f"unix://{socket_path}",
        ]


class EngineEvents:
    """Records what an engine says has happened, from now on."""

    # Reading a file shows up as an event; it changes nothing.
    READING = {"archive-path", "top"}

    def __init__(self, engine):
        self.engine = engine
        self.seen = []
        self.connection = UnixConnection(engine.socket, timeout=None)
        self.connection.request("GET", "/events")
        self.reply = self.connection.getresponse()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            for line in self.reply:
                if line.strip():
                    self.seen.append(json.loads(line))

    def mutating(self):
        return [
            (event["Type"], event["Action"], event["Actor"]["Attributes"].get("name", event["Actor"]["ID"]))
            for event in list(self.seen)
            if event["Action"].split(":")[0] not in self.READING
        ]

    def clear(self):
        time.sleep(0.3)  # what is under way
        self.seen.clear()

    def close(self):
        with contextlib.suppress(OSError):
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
